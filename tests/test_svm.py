"""Margin problems: closed forms, references, degenerate data, and solvers that fail or lie."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import cvxpy as cp
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from checks import euclidean, polyhedral, solutions
from checks import separability as separability_module
from checks.basis import halves_of, prove_l1, prove_l2
from checks.exact import ExactFailure
from checks.optima import L1Basis
from checks.problems import Array, Constraints, constraints_of
from checks.rounding import FULL, Norm
from checks.separability import LeastDistance
from checks.simplex import Vertex
from checks.svm import (
    NotSeparable,
    OracleFailure,
    SvmSolution,
    separability,
    solve_svm,
)
from tests.flow_fixture import gaussian_problem
from tests.margin_cases import (
    assert_farkas,
    build,
    constraints,
    exact_margins,
    problems,
    separable_full,
)

QUICK: tuple[Norm, ...] = ("l1", "l2", "frobenius")
SEEDS = st.integers(0, 2**32 - 1)


def solved(problem: Constraints, norm: Norm, exact: bool | None = None) -> SvmSolution:
    """The solution, or reject the draw where the problem has none."""
    try:
        return solve_svm(problem, norm, exact)
    except NotSeparable:
        assume(False)
        raise


def encloses(solution: SvmSolution, value: float) -> bool:
    """Is ``value``, known to a few roundings, in the certified interval?"""
    slack = 2.0**-48 * value  # sixteen units in the last place of a closed form
    return solution.lower - slack <= value <= solution.upper + slack


@pytest.mark.parametrize("shift", [300, 560, 900])
def test_scales_of_tokens_and_queries_that_cancel_leave_every_bit(shift: int) -> None:
    """Of full weights the parts are scaled, whatever the size of their products: |delta|^2 is
    beyond float64 here."""
    plain = constraints_of(gaussian_problem(2, (2, 2, 3)))
    moved = replace(
        plain, delta=np.ldexp(plain.delta, shift), low=np.ldexp(plain.low, shift),
        query=np.ldexp(plain.query, -shift),
    )  # fmt: skip
    for norm in FULL:
        one, two = solve_svm(plain, norm), solve_svm(moved, norm)
        assert (one.optimum, one.lower, one.upper) == (two.optimum, two.lower, two.upper)
        assert np.array_equal(one.solution, two.solution)


# --- closed forms ----------------------------------------------------------------------------


@given(SEEDS, st.integers(1, 6))
def test_one_constraint(seed: int, dim: int) -> None:
    """N* = 1/N°(G): the largest entry, the Euclidean norm, |delta||z| for both matrix norms."""
    rng = np.random.default_rng(np.random.Philox(seed))
    problem = constraints(rng.normal(size=(1, dim)), rng.normal(size=(1, dim)))
    row = problem.rows[0]
    lengths = np.linalg.norm(problem.delta) * np.linalg.norm(problem.query)
    assert encloses(solve_svm(problem, "l1"), 1.0 / np.abs(row).max())
    assert encloses(solve_svm(problem, "l2"), 1.0 / np.linalg.norm(row))
    assert encloses(solve_svm(problem, "frobenius"), 1.0 / lengths)


@given(SEEDS, st.integers(2, 5))
def test_one_sample_is_a_vector_problem(seed: int, dim: int) -> None:
    """With one query every constraint is (delta_r . u) |z|: the vector optimum over |z|."""
    rng = np.random.default_rng(np.random.Philox(seed))
    delta = rng.normal(size=(4, dim))
    delta *= np.sign(delta @ rng.normal(size=dim))[:, None]
    query = rng.normal(size=dim)
    vector = solve_svm(constraints(delta), "l2")
    full = solve_svm(constraints(delta, np.tile(query, (4, 1))), "frobenius")
    assert encloses(full, vector.optimum / float(np.linalg.norm(query)))


def test_gamma_is_the_best_normalised_margin() -> None:
    solution = solve_svm(constraints([[3.0, 0.0], [0.0, 4.0]]), "l2")
    assert solution.gamma == pytest.approx(12.0 / 5.0, rel=2.0**-50)
    assert solution.active.tolist() == [True, True]


# --- references ------------------------------------------------------------------------------


def reference(problem: Constraints, norm: Norm) -> float:
    """The optimum by cvxpy at the level of the model: HiGHS for the LP, CLARABEL otherwise."""
    dim = problem.delta.shape[1]
    if norm in FULL:
        weights: Any = cp.Variable((dim, dim))
        m = cp.sum(cp.multiply(problem.delta @ weights, problem.query), axis=1)
        size = cp.norm(weights, "fro")
    else:
        weights = cp.Variable(dim)
        m = problem.rows @ weights
        size = cp.norm1(weights) if norm == "l1" else cp.norm2(weights)
    model = cp.Problem(cp.Minimize(size), [m >= 1.0])
    model.solve(solver=cp.HIGHS if norm == "l1" else cp.CLARABEL)
    assert model.status == "optimal"
    return float(model.value)


@settings(max_examples=25)
@given(SEEDS, st.integers(1, 10), st.integers(1, 6), st.sampled_from(QUICK))
def test_agrees_with_cvxpy(seed: int, rows: int, dim: int, norm: Norm) -> None:
    problem = build("gauss", seed, rows, dim)
    solution = solved(problem, norm)
    # CLARABEL and HiGHS stop at 1e-8 and 1e-7, absolute and relative
    assert solution.optimum == pytest.approx(reference(problem, norm), rel=1e-6)


# --- every family, every norm ----------------------------------------------------------------


@settings(max_examples=300)
@given(problems(), st.sampled_from(QUICK))
def test_every_answer_is_proved_and_consistent(problem: Constraints, norm: Norm) -> None:
    """Separable iff solved; the interval is tight; primal and multipliers belong to it."""
    answer = separability(problem, full=norm in FULL)
    try:
        found = solve_svm(problem, norm)
    except NotSeparable as proof:
        assert answer.answer != "separable"
        assert_farkas(problem, proof.separability.integers, norm in FULL)
        return
    assert answer.answer != "non-separable"
    if answer.witness is not None:
        assert min(exact_margins(problem, answer.witness)) > 0
    assert 0.0 < found.lower <= found.optimum <= found.upper
    # two ulps where exact; 1e-9 is what a rigorous interval promises
    assert found.width <= (2.0**-51 if found.proof == "exact" else 1e-9)
    assert (found.multipliers >= 0.0).all()
    total = found.optimum if norm == "l1" else found.optimum**2
    # R <= 27 roundings of the sum, one of each multiplier, one of the square
    assert found.multipliers.sum() == pytest.approx(total, rel=2.0**-45)
    assert found.active.any()
    if norm != "l1":
        assert found.unique == "proved"


@settings(max_examples=100)
@given(problems(max_rows=6, max_dim=4), st.sampled_from(QUICK))
def test_exact_lies_in_the_rigorous_interval(problem: Constraints, norm: Norm) -> None:
    exact = solved(problem, norm, exact=True)
    assert exact.proof == "exact"
    try:
        rigorous = solve_svm(problem, norm, exact=False)
    except OracleFailure:
        return  # refusing is always allowed: small l2 problems are then decided exactly anyway
    assert rigorous.lower <= exact.upper
    assert exact.lower <= rigorous.upper


@given(problems(), st.integers(-200, 200), st.sampled_from(QUICK))
def test_powers_of_two_scale_the_optimum_exactly(
    problem: Constraints, power: int, norm: Norm
) -> None:
    plain = solved(problem, norm, exact=True)
    scaled = solved(constraints(np.ldexp(problem.delta, power), problem.query), norm, exact=True)
    assert scaled.optimum == math.ldexp(plain.optimum, -power)


@given(SEEDS, st.sampled_from(QUICK), st.sampled_from([1e-8, 1e-4, 1e4, 1e8]))
def test_tiny_and_huge_data(seed: int, norm: Norm, scale: float) -> None:
    problem = build("duplicates", seed, 5, 4)
    plain = solve_svm(problem, norm)
    scaled = solve_svm(constraints(problem.delta * scale, problem.query), norm)
    # each entry is rounded once more; the optimum moves by at most its condition times that,
    # and 1e-9 is three decades below anything a claim is held to
    assert scaled.optimum * scale == pytest.approx(plain.optimum, rel=1e-9)


@given(SEEDS, st.sampled_from(QUICK))
def test_duplicates_and_slack_copies_change_nothing(seed: int, norm: Norm) -> None:
    single = build("gauss", seed, 4, 4)
    found = solved(single, norm, exact=True)
    twice = constraints(
        np.vstack([single.delta, single.delta, 2.0 * single.delta]), np.tile(single.query, (3, 1))
    )
    again = solve_svm(twice, norm, exact=True)
    assert (again.lower, again.upper) == (found.lower, found.upper)


def test_large_problems_are_certified_without_integers() -> None:
    for norm in QUICK:
        problem = separable_full(5, 12, 6, 16) if norm in FULL else build("duplicates", 5, 20, 40)
        found = solve_svm(problem, norm)
        assert found.proof == "rigorous"
        assert (found.status, found.width <= solutions.NARROW) == ("certified", True)


@pytest.mark.parametrize("norm", QUICK)
def test_wide_intervals_are_refused(norm: Norm, monkeypatch: pytest.MonkeyPatch) -> None:
    """A certified but wide interval is no answer: with the limit below what floats can prove."""
    monkeypatch.setattr(solutions, "WIDEST", 2.0**-60)
    problem = separable_full(6, 5, 5, 4) if norm in FULL else build("duplicates", 6, 7, 4)
    with pytest.raises(OracleFailure, match="too wide"):
        solve_svm(problem, norm, exact=False)


# --- infeasible and empty --------------------------------------------------------------------


@pytest.mark.parametrize("norm", [*QUICK, "nuclear"])
def test_without_constraints_there_is_no_problem(norm: Norm) -> None:
    empty = constraints(np.zeros((0, 2)))
    assert separability(empty, full=norm in FULL).answer == "separable"
    with pytest.raises(OracleFailure, match="constrains"):
        solve_svm(empty, norm)


@pytest.mark.parametrize("norm", QUICK)
def test_optima_beyond_float64_are_refused(norm: Norm) -> None:
    with pytest.raises(OracleFailure):
        solve_svm(constraints([[1e-300, 1e-310]], [[1e-10, 1e-10]]), norm)


# --- solvers that fail or lie ----------------------------------------------------------------


def lying_vertex(kind: str, vertex: Vertex) -> Vertex:
    if kind == "unbounded":
        return replace(vertex, status="unbounded", ray=np.ones(3))
    if kind == "stalled":
        return replace(vertex, status="stalled")
    if kind == "no basis":
        return replace(vertex, basic=[], nonbasic=[])
    # a basis that is not optimal (or not even square): the last row and half-line
    return replace(vertex, basic=[0], nonbasic=vertex.nonbasic[-1:])


@pytest.mark.parametrize("kind", ["unbounded", "stalled", "wrong basis", "no basis"])
@pytest.mark.parametrize("exact", [True, False])
def test_a_lying_simplex_is_caught(kind: str, exact: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    problem = constraints([[2.0, 1.0, 0.0], [0.5, 3.0, 1.0], [-1.0, 1.0, 4.0]])
    truth = solve_svm(problem, "l1", exact=True)
    honest = polyhedral.l1_tableau

    def liar(rows: Any, halves: list[tuple[int, int]], shift: int = 0) -> Vertex:
        vertex = honest(rows, halves, shift)
        return vertex if isinstance(rows, list) else lying_vertex(kind, vertex)

    monkeypatch.setattr(polyhedral, "l1_tableau", liar)
    if exact:
        found = solve_svm(problem, "l1", exact=True)
        assert (found.lower, found.upper) == (truth.lower, truth.upper)
        assert found.solver == "integer simplex"
        return
    found = solve_svm(problem, "l1", exact=False)
    assert found.solver == "CLARABEL"  # the model in cvxpy, asked in its stead
    assert max(found.lower, truth.lower) <= min(found.upper, truth.upper)


@pytest.mark.parametrize("norm", ["l2", "frobenius"])
@pytest.mark.parametrize("kind", ["raises", "nan", "zeros", "wrong"])
def test_a_failing_nnls_never_gives_a_wrong_answer(
    kind: str, norm: Norm, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = separable_full(11, 3, 4, 3) if norm in FULL else build("duplicates", 11, 3, 4)
    large = separable_full(12, 5, 6, 4) if norm in FULL else build("duplicates", 12, 9, 4)
    truth = [solve_svm(p, norm) for p in (small, large)]

    def liar(rows: Array) -> LeastDistance:
        if kind == "raises":
            raise RuntimeError("Maximum number of iterations reached.")
        value = {"nan": np.nan, "zeros": 0.0, "wrong": 1.0}[kind]
        return LeastDistance(np.full(len(rows), value), 0.5)

    monkeypatch.setattr(euclidean, "least_distance", liar)
    monkeypatch.setattr(separability_module, "least_distance", liar)
    for problem, honest in zip((small, large), truth, strict=True):
        try:
            found = solve_svm(problem, norm)
        except NotSeparable:
            pytest.fail("a separable problem was called non-separable")
        except OracleFailure:
            continue
        assert found.lower <= honest.upper
        assert honest.lower <= found.upper


def test_wrong_bases_and_supports_are_no_proof() -> None:
    problem = constraints([[2.0, 1.0], [1.0, 3.0]])
    halves = halves_of(2)
    proposals = [
        L1Basis((0,), ((0, 1),)),  # leaves the other margin at 1/2
        L1Basis((0,), ((1, 1),)),  # feasible but not optimal
        L1Basis((0,), ((0, -1),)),  # wrong sign
        L1Basis((0, 1), ((0, 1),)),  # not square
        L1Basis((), ()),
    ]
    for basis in proposals:
        with pytest.raises(ExactFailure):
            prove_l1(problem, halves, basis)
    # margins and signs are right and the push is feasible, but the multipliers are (3, -1)
    with pytest.raises(ExactFailure):
        prove_l1(constraints([[1.0, 0.0], [2.0, -1.0]]), halves, L1Basis((0, 1), ((0, 1), (1, 1))))
    for support in ([0], [1], []):
        problem = constraints([[2.0, 1.0], [-1.0, 3.0]])
        with pytest.raises(ExactFailure):
            prove_l2(problem, support, full=False)
