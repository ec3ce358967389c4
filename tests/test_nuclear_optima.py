"""Shared nuclear optima: a second one in fractions, or the proof that there is none."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st

from checks.nuclear import solve_nuclear
from checks.nuclear_optima import Optima, exact_optima, is_semidefinite, solutions
from checks.problems import Constraints
from checks.svm import NotSeparable
from tests.margin_cases import constraints, exact_pairs, separable_full

SEEDS = st.integers(0, 2**32 - 1)


def optima(problem: Constraints) -> Optima | None:
    found = solve_nuclear(problem)
    return exact_optima(problem, found.solution, found.multipliers)


def assert_optimal(
    problem: Constraints, weights: list[list[Fraction]], dual: list[Fraction]
) -> None:
    """Margins >= 1, |G(dual)| <= 1 and |W|_* = sum(dual), entry by entry, in sympy's fractions."""
    pairs = [
        (sympy.Matrix(list(map(sympy.Rational, a))), sympy.Matrix(list(map(sympy.Rational, b))))
        for a, b in exact_pairs(problem)
    ]
    w = sympy.Matrix([[sympy.Rational(x) for x in row] for row in weights])
    assert min((a.T * w * b)[0] for a, b in pairs) >= 1
    assert min(dual) >= 0
    push = sum(
        (sympy.Rational(y) * a * b.T for y, (a, b) in zip(dual, pairs, strict=True)),
        sympy.zeros(*w.shape),
    )
    assert (sympy.eye(w.shape[1]) - push.T * push).is_positive_semidefinite
    # |W|_* is the trace of the semidefinite root of W^T W: here push^T W is that root
    root = push.T * w
    assert root == root.T
    assert root.is_positive_semidefinite
    assert root * root == w.T * w
    assert root.trace() == sum(map(sympy.Rational, dual))


@pytest.mark.parametrize("size", [2, 3])
@settings(max_examples=8)
@given(seed=SEEDS, power=st.integers(-20, 20))
def test_single_entries_share_their_optimum(size: int, seed: int, power: int) -> None:
    """One constraint a direction, of random size: W = D + a (E_12 + E_21) costs no more than D."""
    rng = np.random.default_rng(np.random.Philox(seed))
    left, right = (np.diag(rng.normal(size=size)) for _ in range(2))
    problem = constraints(np.ldexp(left, power), right)
    assert solve_nuclear(problem).unique == "disproved"
    found = optima(problem)
    assert found is not None
    assert found.second is not None
    assert found.second != found.first
    for weights in (found.first, found.second):
        assert_optimal(problem, weights, found.dual)


@settings(max_examples=15)
@given(SEEDS)
def test_answers_on_small_integers_agree_with_the_float_proof(seed: int) -> None:
    """Wherever fractions decide, their optima are optimal; and floats prove no uniqueness that
    fractions disprove."""
    rng = np.random.default_rng(np.random.Philox(seed))
    problem = constraints(rng.integers(-1, 2, size=(3, 2)), rng.integers(-1, 2, size=(3, 2)))
    try:
        solved = solve_nuclear(problem)
    except NotSeparable:
        return
    found = exact_optima(problem, solved.solution, solved.multipliers)
    if found is None:
        return
    assert_optimal(problem, found.first, found.dual)
    assert solved.unique == found.unique
    assert float(sum(found.dual)) == pytest.approx(solved.optimum, rel=1e-11)
    if found.second is not None:
        assert_optimal(problem, found.second, found.dual)


def test_lone_optima_are_proved_and_not_disproved() -> None:
    """Negative controls: one constraint; W = [[1, x], [x, 1]] where 1 + x >= 1 and 1 - x >= 1."""
    rows = [[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [1.0, -1.0]]
    tied = constraints(np.array(rows) * [[1.0], [1.0], [0.5], [0.5]], rows)
    for problem in (constraints([[3.0, 0.0]], [[0.0, 2.0]]), tied):
        assert solve_nuclear(problem).unique == "proved"
        found = optima(problem)
        assert found is not None
        assert found.second is None
        assert_optimal(problem, found.first, found.dual)
    for seed in range(10):
        assert solve_nuclear(separable_full(seed, 3, 3, 4)).unique != "disproved"


def test_a_tied_row_stops_one_direction_only() -> None:
    """W = [[1, x], [x, 1]] with x >= 0 asked for as well: still shared, on one side."""
    problem = constraints(
        [[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], [[1.0, 0.0], [0.0, 1.0], [1.0, 0.5]]
    )
    found = optima(problem)
    assert found is not None
    assert found.unique == "disproved"
    for weights in (found.first, found.second):
        assert weights is not None
        assert_optimal(problem, weights, found.dual)


def test_wrong_pairs_prove_nothing() -> None:
    problem = constraints(np.eye(2), np.eye(2))
    good = np.eye(2), np.ones(2)
    assert exact_optima(problem, *good) is not None
    assert exact_optima(problem, np.array([[1.0, 2.0], [2.0, 1.0]]), np.ones(2)) is None
    assert exact_optima(problem, good[0], np.array([1.0, 0.37281])) is None
    assert exact_optima(problem, np.full((2, 2), np.nan), good[1]) is None
    assert exact_optima(problem, good[0], np.zeros(2)) is None


def test_semidefinite_and_linear_solutions() -> None:
    one, two = Fraction(1), Fraction(2)
    assert is_semidefinite([[one, one], [one, one]])
    assert is_semidefinite([[0 * one, 0 * one], [0 * one, one]])
    assert not is_semidefinite([[one, two], [two, one]])
    assert not is_semidefinite([[0 * one, one], [one, two]])
    assert solutions([[one, one, two], [one, one, one]], [0.0, 0.0]) is None
    found = solutions([[one, two, one]], [9.0, 0.5])
    assert found == ([0 * one, Fraction(1, 2)], [[-two, one]])
