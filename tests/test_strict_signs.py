"""Optima proved by enclosures are those of the fractions; wrong proposals and ties are not."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checks.basis import halves_of, l1_proposal, l1_tableau, prove_l1, prove_l2
from checks.enclosures import Near, enclose
from checks.exact import ExactFailure, solve
from checks.exact_data import ExactConstraints
from checks.optima import L1Basis
from checks.problems import Constraints
from checks.separability import least_distance, span_rows
from checks.strict_signs import FRACTIONS, strict_l1, strict_l2
from checks.svm import NotSeparable, solve_svm
from tests.margin_cases import KINDS, build, constraints

SEEDS = st.integers(0, 2**32 - 1)


def proposal(problem: Constraints) -> L1Basis | None:
    halves = halves_of(problem.delta.shape[1])
    vertex = l1_tableau(problem.rows, halves)
    return l1_proposal(vertex, len(problem), halves) if vertex.status == "optimal" else None


@given(SEEDS, st.integers(1, 7), st.integers(0, 60))
def test_enclosures_hold_the_solution(seed: int, size: int, spread: int) -> None:
    """Integers of up to 50 + ``spread`` bits, rows of very different sizes."""
    rng = np.random.default_rng(np.random.Philox(seed))
    shifts = rng.integers(0, spread + 1, size=(size, 1)).astype(object)
    matrix = rng.integers(-(2**50), 2**50, size=(size, size)).astype(object) << shifts
    rhs = np.array([1] * size, dtype=object)
    try:
        found = enclose(matrix.dot, Near.of(matrix), rhs)
    except ExactFailure:
        assert spread > 8  # about the float condition number: 1e15 and more
        return
    numerators, den = solve(matrix.tolist(), [[1] for _ in rhs])
    for near, (numerator,) in zip(found.near, numerators, strict=True):
        missed = abs(Fraction(numerator << found.shift, den) - near)
        assert missed <= found.error
    assert found.error << 160 <= max(abs(x) for x in found.near)


def test_singular_systems_are_not_enclosed() -> None:
    matrix = np.array([[1, 2], [2, 4]], dtype=object)
    with pytest.raises(ExactFailure):
        enclose(matrix.dot, Near.of(matrix), np.array([1, 1], dtype=object))
    nearly = np.array([[10**20, 10**20 + 1], [10**20 + 1, 10**20]], dtype=object)
    with pytest.raises(ExactFailure):
        enclose(nearly.dot, Near.of(nearly), np.array([1, 1], dtype=object))


@settings(max_examples=60)
@given(st.sampled_from(KINDS), SEEDS, st.integers(1, 12), st.integers(1, 8))
def test_strict_l1_is_the_optimum_in_fractions(kind: str, seed: int, rows: int, dim: int) -> None:
    problem = build(kind, seed, rows, dim)
    basis, halves = proposal(problem), halves_of(dim)
    if basis is None or not len(basis.rows) == len(basis.support) > 0:
        return
    found = strict_l1(ExactConstraints.of(problem, full=False), halves, basis)
    if found is None:
        return
    whole = solve_svm(problem, "l1", exact=True)
    assert whole.value == found.value()
    assert found.bounds[0] <= whole.value <= found.bounds[1]
    assert (found.bounds[1] - found.bounds[0]) * 2**100 <= whole.value
    assert whole.unique == found.unique == "proved"
    assert np.array_equal(found.primal, whole.solution)
    assert np.array_equal(found.multipliers, whole.multipliers)


@settings(max_examples=60)
@given(st.sampled_from(KINDS), SEEDS, st.integers(1, 12), st.integers(1, 8))
def test_strict_l2_is_the_optimum_in_fractions(kind: str, seed: int, rows: int, dim: int) -> None:
    problem = build(kind, seed, rows, dim)
    support = np.flatnonzero(least_distance(span_rows(problem, False)).multipliers > 0.0).tolist()
    found = strict_l2(ExactConstraints.of(problem, full=False), support) if support else None
    if found is None:
        return
    whole = solve_svm(problem, "l2", exact=True)
    assert whole.value == found.value()
    assert found.bounds[0] <= whole.value <= found.bounds[1]
    assert np.array_equal(found.primal, whole.solution)
    assert np.array_equal(found.multipliers, whole.multipliers)


def test_most_gaussian_optima_are_strict() -> None:
    """Otherwise the tests above would be met by never proving anything."""
    seen = [0, 0]
    for seed in range(20):
        problem = build("gauss", seed, 12, 8)
        data, basis = ExactConstraints.of(problem, full=False), proposal(problem)
        assert basis is not None
        seen[0] += strict_l1(data, halves_of(8), basis) is not None
        support = np.flatnonzero(least_distance(span_rows(problem, False)).multipliers > 0.0)
        seen[1] += strict_l2(data, support.tolist()) is not None
    assert min(seen) >= 18


def test_wrong_bases_supports_and_ties_are_not_strict() -> None:
    problem = constraints([[2.0, 1.0], [1.0, 3.0]])
    data = ExactConstraints.of(problem, full=False)
    for basis in (
        L1Basis((0,), ((0, 1),)),  # leaves the other margin at 1/2
        L1Basis((0,), ((1, 1),)),  # feasible but not optimal
        L1Basis((0,), ((0, -1),)),  # wrong sign
    ):
        assert strict_l1(data, halves_of(2), basis) is None
    assert strict_l1(data, halves_of(2), L1Basis((0, 1), ((0, 1), (1, 1)))) is not None
    # margins and signs are right and the push is feasible, but the multipliers are (3, -1)
    other = ExactConstraints.of(constraints([[1.0, 0.0], [2.0, -1.0]]), full=False)
    assert strict_l1(other, halves_of(2), L1Basis((0, 1), ((0, 1), (1, 1)))) is None
    for tied in ([[1.0, 0.0], [1.0, 0.0]], [[1.0, 1.0], [1.0, 0.0]]):  # a margin, a reduced cost
        data = ExactConstraints.of(constraints(tied), full=False)
        assert strict_l1(data, halves_of(2), L1Basis((0,), ((0, 1),))) is None
    data = ExactConstraints.of(constraints([[2.0, 1.0], [-1.0, 3.0]]), full=False)
    assert strict_l2(data, [0]) is None
    assert strict_l2(data, [1]) is None
    assert strict_l2(data, [0, 1]) is not None
    assert strict_l2(ExactConstraints.of(constraints([[1.0], [1.0]]), full=False), [0]) is None


@pytest.mark.parametrize("kind", KINDS)
def test_large_optima_are_proved_through_the_usual_entry(kind: str) -> None:
    """Orders at and above FRACTIONS: prove_l1 and prove_l2 give the fraction and its bounds."""
    problem = build(kind, 5, 40, 12)
    try:
        l1, l2 = (solve_svm(problem, norm, exact=True) for norm in ("l1", "l2"))
    except NotSeparable:
        return
    assert l1.value is not None
    assert l2.value is not None
    assert Fraction(l1.lower) <= l1.value <= Fraction(l1.upper)
    assert Fraction(l2.lower) ** 2 <= l2.value <= Fraction(l2.upper) ** 2
    support = np.flatnonzero(l2.multipliers > 0.0).tolist()
    if kind == "gauss":
        assert len(support) >= FRACTIONS
        with pytest.raises(ExactFailure):
            prove_l2(problem, support[1:], full=False)
        basis = proposal(problem)
        assert basis is not None
        assert len(basis.rows) >= FRACTIONS
        with pytest.raises(ExactFailure):
            prove_l1(problem, halves_of(12), L1Basis(basis.rows[1:], basis.support[1:]))
