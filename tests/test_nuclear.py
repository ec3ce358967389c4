"""The nuclear-norm problem: closed forms, the l1 reduction of S6, proposals that fail or lie."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import cvxpy as cp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checks import nuclear, refinement, solutions
from checks.problems import Array, Constraints
from checks.rivals import eps_optimal_floor
from checks.svm import NotSeparable, OracleFailure, solve_svm
from tests.margin_cases import constraints, exact_margins, separable_full

SEEDS = st.integers(0, 2**32 - 1)


def flipped(base: Constraints) -> Constraints:
    """All sign flips (D_h delta, D_h z) of every constraint (THEORY.md 4, symmetrised form)."""
    signs = np.array(list(itertools.product([1.0, -1.0], repeat=base.delta.shape[1])))
    return constraints(
        np.concatenate([base.delta * h for h in signs]),
        np.concatenate([base.query * h for h in signs]),
    )


@settings(max_examples=10)
@given(SEEDS, st.integers(1, 5))
def test_one_constraint(seed: int, dim: int) -> None:
    rng = np.random.default_rng(np.random.Philox(seed))
    problem = constraints(rng.normal(size=(1, dim)), rng.normal(size=(1, dim)))
    found = solve_svm(problem, "nuclear")
    value = 1.0 / float(np.linalg.norm(problem.delta) * np.linalg.norm(problem.query))
    assert found.lower <= value * (1 + 2.0**-50)
    assert value * (1 - 2.0**-50) <= found.upper
    # rounding bounds of a few dozen operations on 5 x 5 matrices
    assert found.width <= 1e-12


@settings(max_examples=6)
@given(SEEDS)
def test_one_sample_is_a_vector_problem(seed: int) -> None:
    """With one query the optimum has rank one: |u*|/|z| (research: closed forms)."""
    problem = separable_full(seed, 1, 5, 4)
    vector = solve_svm(constraints(problem.delta), "l2")
    value = vector.optimum / float(np.linalg.norm(problem.query[0]))
    found = solve_svm(problem, "nuclear")
    assert found.lower <= value * (1 + 2.0**-48)
    assert value * (1 - 2.0**-48) <= found.upper


@settings(max_examples=12)
@given(SEEDS, st.integers(1, 4), st.integers(2, 4), st.integers(2, 5))
def test_agrees_with_cvxpy_and_is_narrow(seed: int, samples: int, length: int, dim: int) -> None:
    problem = separable_full(seed, samples, length, dim)
    found = solve_svm(problem, "nuclear")
    weights = cp.Variable((dim, dim))
    margins = cp.sum(cp.multiply(problem.delta @ weights, problem.query), axis=1)
    model = cp.Problem(cp.Minimize(cp.normNuc(weights)), [margins >= 1.0])
    model.solve(solver=cp.CLARABEL)
    assert found.optimum == pytest.approx(model.value, rel=1e-6)  # CLARABEL stops at 1e-8
    assert found.width <= 1e-9  # what a rigorous interval promises
    assert found.active.any()
    assert float(min(exact_margins(problem, found.solution))) == pytest.approx(1.0, abs=1e-9)
    # frobenius <= nuclear <= sqrt(dim) frobenius
    other = solve_svm(problem, "frobenius")
    assert other.lower <= found.upper
    assert found.lower <= other.upper * np.sqrt(dim) * (1 + 2.0**-50)


@settings(max_examples=6)
@given(SEEDS, st.integers(2, 3))
def test_symmetrised_data_reduce_to_l1_and_l2(seed: int, dim: int) -> None:
    """THEORY.md 4 (derived): nuclear becomes l1, Frobenius becomes l2, on flipped copies."""
    rng = np.random.default_rng(np.random.Philox(seed))
    delta, query = rng.normal(size=(3, dim)), rng.normal(size=(3, dim))
    delta *= np.sign((delta * query) @ rng.normal(size=dim))[:, None]
    base = constraints(delta, query)
    big = flipped(base)
    for small, large in (("l1", "nuclear"), ("l2", "frobenius")):
        value, found = solve_svm(base, small), solve_svm(big, large)
        # base rows are rounded products, the flipped copies are not: a few ulps times condition
        assert found.lower <= value.upper * (1 + 1e-12)
        assert value.lower * (1 - 1e-12) <= found.upper


def single_entries(seed: int, rows: int, dim: int) -> Constraints:
    """Every G_r has one entry, in common frames: optima are shared as a rule."""
    rng = np.random.default_rng(np.random.Philox(seed))
    left, right = (np.linalg.qr(rng.normal(size=(dim, dim)))[0] for _ in range(2))
    i, j = rng.integers(0, dim, size=(2, rows))
    return constraints(left[i] * rng.uniform(0.3, 2.0, size=(rows, 1)), right[j])


@pytest.mark.parametrize(("rows", "dim"), [(8, 4), (20, 6)])
def test_shared_optima_are_certified_as_narrowly(rows: int, dim: int) -> None:
    """Newton goes straight to the surface of optima; it wandered along it, and most intervals
    were wide, while singular values of 1e-13 counted."""
    for seed in range(10):
        found = solve_svm(single_entries(seed, rows, dim), "nuclear")
        assert found.status == "certified"


def test_contradicting_constraints_are_refused() -> None:
    problem = constraints([[1.0, 2.0], [-1.0, -2.0]])
    with pytest.raises(NotSeparable):
        solve_svm(problem, "nuclear")


def lying(kind: str, honest: nuclear.Proposal) -> nuclear.Proposal:
    """The solver, failing in one way."""

    def liar(reduced: nuclear._Reduced, witness: Array) -> Iterator[tuple[Array, Array]]:
        for weights, multipliers in honest(reduced, witness):
            if kind == "raises":
                raise OracleFailure("nuclear: planted")
            if kind == "swapped":
                yield weights, multipliers[::-1].copy()
            elif kind == "negative":
                yield weights, -multipliers
            elif kind == "noise":
                rng = np.random.default_rng(np.random.Philox(1))
                yield weights + rng.normal(size=weights.shape), np.abs(rng.normal(size=6))
            else:
                fill = {"nan": np.nan, "infinite": np.inf, "zeros": 0.0}[kind]
                yield np.full_like(weights, fill), np.full_like(multipliers, fill)

    return liar


LIES = ("nan", "infinite", "zeros", "noise", "swapped", "negative", "raises")


@pytest.mark.parametrize("kind", LIES)
@pytest.mark.parametrize("who", ["first", "both"])
def test_lying_proposals_never_give_a_wrong_interval(
    kind: str, who: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One lying solver is made good by the other; two never give more than a valid interval."""
    problem = separable_full(21, 3, 3, 3)
    truth = solve_svm(problem, "nuclear")
    for name in list(nuclear.SOLVERS)[: 1 if who == "first" else 2]:
        monkeypatch.setitem(nuclear.SOLVERS, name, lying(kind, nuclear.SOLVERS[name]))
    try:
        found = solve_svm(problem, "nuclear")
    except NotSeparable:
        pytest.fail("a separable problem was called non-separable")
    except OracleFailure:
        assert who == "both"
        return
    assert found.lower <= truth.upper
    assert truth.lower <= found.upper
    if who == "first":
        assert found.status == "certified"


def test_the_polish_is_what_makes_it_narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: without Newton the interval is the solver's, and wider by decades."""
    problem = separable_full(22, 4, 4, 5)
    narrow = solve_svm(problem, "nuclear")
    for module in (nuclear, refinement):
        monkeypatch.setattr(module, "ranks", lambda weights, push: [])
    monkeypatch.setattr(nuclear, "WIDEST", 1.0)
    raw = solve_svm(problem, "nuclear")
    assert raw.status == "wide"
    assert raw.width > 10.0 * narrow.width
    assert raw.lower <= narrow.upper
    assert narrow.lower <= raw.upper


def test_floor_of_the_nuclear_norm_near_the_frobenius_optimum() -> None:
    problem = separable_full(23, 3, 3, 4)
    euclid, best = solve_svm(problem, "frobenius"), solve_svm(problem, "nuclear")
    own = float(np.linalg.svd(euclid.solution, compute_uv=False).sum())
    for eps in (0.0, 1e-9, 1e-4):
        floor = eps_optimal_floor(problem, euclid, eps, "nuclear")
        assert floor <= own * (1 + 2.0**-44)  # own: a sum of four computed singular values
        assert floor > best.upper
    floor = eps_optimal_floor(problem, best, 1e-4, "frobenius")
    assert floor <= float(np.linalg.norm(best.solution)) * (1 + 2.0**-44)
    assert floor > euclid.upper


def test_rationals_on_request_and_where_rounding_bounds_are_wide(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """exact=True: inside the rounding bounds, and narrower; unasked where they exceed NARROW."""
    problem = separable_full(24, 4, 4, 5)
    rounded, rational = solve_svm(problem, "nuclear"), solve_svm(problem, "nuclear", exact=True)
    assert rounded.lower <= rational.lower <= rational.upper <= rounded.upper
    # what is left is Newton's own error and 2^-50 of the largest singular value
    assert rational.width <= 1e-14
    assert rational.width < 0.2 * rounded.width
    monkeypatch.setattr(solutions, "NARROW", 0.5 * rounded.width)
    assert solve_svm(problem, "nuclear").width == pytest.approx(rational.width, rel=1e-9)
