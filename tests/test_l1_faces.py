"""Uniqueness of l1 optima, decided exactly, and the l1 problem with frozen signs."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from checks.basis import halves_of, prove_farkas, prove_l1
from checks.optima import L1Basis
from checks.problems import Constraints
from checks.svm import NotSeparable, OracleFailure, solve_signed_l1, solve_svm
from tests.margin_cases import build, constraints, exact_pairs, problems

SEEDS = st.integers(0, 2**32 - 1)


# --- uniqueness ------------------------------------------------------------------------------


def spread_of_face(problem: Constraints, optimum: float) -> float:
    """Largest range of a coordinate over the l1-optimal face, by LP (HiGHS)."""
    rows = problem.rows
    count, dim = rows.shape
    stacked = np.vstack([np.hstack([-rows, rows]), np.ones((1, 2 * dim))])
    # The face is widened by what HiGHS resolves, 1e-7, so that it is not empty to the solver.
    limits = np.append(-np.ones(count), optimum * (1.0 + 1e-9))
    widest = 0.0
    for j in range(dim):
        ends = []
        for side in (1.0, -1.0):
            cost = np.zeros(2 * dim)
            cost[j], cost[dim + j] = side, -side
            ends.append(linprog(cost, A_ub=stacked, b_ub=limits, method="highs").fun)
        widest = max(widest, -ends[1] - ends[0])
    return widest


@settings(max_examples=60)
@given(SEEDS, st.integers(1, 6), st.integers(1, 3))
def test_uniqueness_of_l1_optima_on_integers(seed: int, rows: int, dim: int) -> None:
    problem = build("integer", seed, rows, dim)
    try:
        found = solve_svm(problem, "l1")
    except NotSeparable:
        assume(False)
        raise
    spread = spread_of_face(problem, found.optimum)
    assert found.unique in ("proved", "disproved")
    # Vertices of these integer problems (entries <= 6, dim <= 3) are multiples of 1/648: two
    # distinct ones differ by far more than 1e-3 in some coordinate; the widening is 1e-9.
    assert (spread > 1e-3) == (found.unique == "disproved")


def test_a_shared_optimum_is_disproved_and_a_lone_one_proved() -> None:
    assert solve_svm(constraints([[1.0, 1.0]]), "l1").unique == "disproved"
    assert solve_svm(constraints([[1.0, 0.5]]), "l1").unique == "proved"
    # degenerate vertex: three margins tight at a point of the plane, still unique
    rows = [[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]]
    assert solve_svm(constraints(rows), "l1").unique == "proved"


@pytest.mark.parametrize(
    ("rows", "basis", "unique"),
    [
        # a half-line of reduced cost 0, blocked by a tight margin outside the basis
        ([[1.0, 1.0], [1.0, -1.0]], L1Basis((0,), ((0, 1),)), "proved"),
        # the same vertex: a loose row, blocked by a support coordinate that is 0
        ([[1.0, 1.0], [1.0, -1.0]], L1Basis((0, 1), ((0, 1), (1, 1))), "proved"),
        # a loose row and nothing in the way: b0 + b1 = 1 from b0 = 1/4 on
        ([[1.0, 1.0], [4.0, 0.0]], L1Basis((0, 1), ((0, 1), (1, 1))), "disproved"),
        # a half-line of reduced cost 0, and a tight margin that only rises along it
        ([[1.0, 1.0], [1.0, 2.0]], L1Basis((0,), ((0, 1),)), "disproved"),
    ],
)
def test_uniqueness_at_degenerate_vertices(
    rows: list[list[float]], basis: L1Basis, unique: str
) -> None:
    assert prove_l1(constraints(rows), halves_of(2), basis).unique == unique


def test_only_kernels_of_one_sign_are_farkas_vectors() -> None:
    assert prove_farkas(constraints([[1.0], [-2.0]]), [0, 1], full=False) == {0: 2, 1: 1}
    assert prove_farkas(constraints([[1.0], [2.0]]), [0, 1], full=False) is None
    # a row that does not belong, as rounding in nnls adds them, has y_r = 0
    assert prove_farkas(constraints([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]]), [0, 1, 2], False) == {
        0: 1,
        2: 1,
    }
    assert prove_farkas(constraints([[1.0, 0.0], [0.0, 1.0]]), [0, 1], full=False) is None


@settings(max_examples=150)
@given(problems())
def test_uniqueness_by_rounding_bounds_is_what_integers_say(problem: Constraints) -> None:
    """Proved by floats only where it is true; and by floats for most Gaussian problems."""
    try:
        exact = solve_svm(problem, "l1", exact=True)
        rounded = solve_svm(problem, "l1", exact=False)
    except OracleFailure:
        assume(False)
        raise
    assert rounded.unique in (exact.unique, "undetermined")
    assert rounded.unique != "disproved"


def test_floats_prove_most_gaussian_optima_unique() -> None:
    found = [solve_svm(build("gauss", s, 9, 5), "l1", exact=False).unique for s in range(40)]
    assert found.count("proved") >= 38


# --- frozen signs ----------------------------------------------------------------------------


@settings(max_examples=60)
@given(
    SEEDS,
    st.integers(1, 6),
    st.lists(st.sampled_from([1.0, -1.0, 0.0, float("nan")]), min_size=3, max_size=3),
    st.sampled_from([True, False]),
)
def test_frozen_signs_agree_with_highs(
    seed: int, rows: int, sign: list[float], exact: bool
) -> None:
    problem = build("gauss", seed, rows, 3)
    bounds = []
    for s in sign:  # positive parts, then negative parts
        bounds.append((0, None if s in (0.0, 1.0) else 0))
    for s in sign:
        bounds.append((0, None if s in (0.0, -1.0) else 0))
    model = linprog(
        np.ones(6),
        A_ub=np.hstack([-problem.rows, problem.rows]),
        b_ub=-np.ones(rows),
        bounds=bounds,
        method="highs",
    )
    try:
        found = solve_signed_l1(problem, np.array(sign), exact)
    except NotSeparable as proof:
        assert model.status != 0
        ray = proof.separability.integers
        assert ray is not None
        pairs = exact_pairs(problem)
        push = [
            sum(y * left[j] * right[j] for y, (left, right) in zip(ray, pairs, strict=True))
            for j in range(3)
        ]
        if exact:  # else the proof is that of the free problem
            assert min(ray) >= 0
            assert any(ray)
        assert all(s * push[j] <= 0 for j, s in halves_of(3, np.array(sign)))
        return
    except OracleFailure:
        assert not exact
        assert model.status != 0
        return
    assert model.fun == pytest.approx(found.optimum, rel=1e-6)  # HiGHS: 1e-7
    assert found.lower <= found.upper
    assert found.sign is not None
    for b, s in zip(found.solution, sign, strict=True):
        assert (b == 0.0) if math.isnan(s) else (s * b >= 0.0)


def test_freezing_signs_can_cost_and_can_forbid() -> None:
    problem = constraints([[2.0, 1.0]])
    assert solve_signed_l1(problem, np.array([-1.0, 0.0])).optimum == 1.0
    assert solve_svm(problem, "l1").optimum == 0.5
    with pytest.raises(NotSeparable):
        solve_signed_l1(problem, np.array([-1.0, -1.0]))
    with pytest.raises(NotSeparable):
        solve_signed_l1(problem, np.array([np.nan, np.nan]))
    with pytest.raises(ValueError, match="sign"):
        solve_signed_l1(problem, np.array([2.0, 0.0]))
