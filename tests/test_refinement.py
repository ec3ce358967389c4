"""Newton's method in 600 bits: narrow where floats are lost, and never believed."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checks.certificates import OracleFailure
from checks.nuclear import solve_nuclear
from checks.rational_bounds import certify_exactly, certify_factors
from checks.refinement import KEPT, refined
from checks.rounding import svd
from checks.solutions import NARROW
from tests.margin_cases import constraints, definite, exact_pairs, separable_full

SEEDS = st.integers(0, 2**32 - 1)


@pytest.mark.parametrize("power", [4, 7, 10])
def test_the_closed_form_of_two_nearly_opposite_rows(power: int) -> None:
    """One query: W = b z^T/|z|^2, b = (1, 2/gap) the shortest with both margins 1."""
    gap = 10.0**-power
    problem = constraints([[1.0, 0.0], [-1.0, gap]], [[1.0, 0.0], [1.0, 0.0]])
    found = solve_nuclear(problem)
    square = 1 + (2 / Fraction(gap)) ** 2
    assert Fraction(found.lower) ** 2 <= square <= Fraction(found.upper) ** 2
    assert found.width <= NARROW
    assert found.status == "certified"


@settings(max_examples=10)
@given(SEEDS)
def test_refined_answers_lie_inside_the_float_interval(seed: int) -> None:
    problem = separable_full(seed, 3, 3, 3)
    solved = solve_nuclear(problem)
    lam = solved.multipliers / float(solved.multipliers.sum()) * solved.optimum
    rank = int((svd(solved.solution)[1] > 1e-6 * solved.optimum).sum())
    lam /= float(svd(problem.delta.T @ (lam[:, None] * problem.query))[1].max())
    found = refined(problem, solved.solution, lam, rank)
    assert found is not None
    interval = certify_factors(problem, found.p, found.q, found.multipliers)
    assert interval.width <= 1e-13
    assert solved.lower <= interval.upper
    assert interval.lower <= solved.upper
    # the floats that stand for it prove the same as exactly as floats can
    own = certify_exactly(problem, "nuclear", found.weights, np.array(found.multipliers, float))
    assert own.lower <= interval.upper
    assert interval.lower <= own.upper
    # the lower bound once more, from the multipliers alone
    y = [Fraction(x, 1 << KEPT) for x in found.multipliers]
    push = [
        [sum(w * a[i] * b[j] for w, (a, b) in zip(y, exact_pairs(problem), strict=True))
         for j in range(3)] for i in range(3)
    ]  # fmt: skip
    assert definite(push, sum(y) / Fraction(interval.lower) * (1 + Fraction(1, 10**12)))
    assert not definite(push, sum(y) / Fraction(interval.upper) * (1 - Fraction(1, 10**12)))


def test_wrong_factors_and_multipliers_prove_only_what_is_true() -> None:
    """The optimum here is 1."""
    problem = constraints([[1.0, 0.0], [0.0, 1.0]], [[2.0, 0.0], [0.0, 2.0]])
    right = certify_factors(problem, [[1, 0], [0, 1]], [[1, 0], [0, 1]], [1, 1])
    assert right.lower <= 1.0 <= right.upper
    assert right.width <= NARROW
    for p, q, lam in (
        ([[1, 0], [0, 2]], [[1, 0], [0, 2]], [1, 1]),
        ([[1, 0], [0, 1]], [[1, 0], [0, 1]], [1, 7]),
        ([[1, 1], [0, 1]], [[1, 0], [0, 1]], [0, 1]),
    ):
        wide = certify_factors(problem, p, q, lam)
        assert wide.lower <= 1.0 <= wide.upper
        assert wide.width > 0.01
    for p, lam in (([[-1, 0], [0, 1]], [1, 1]), ([[1, 0], [0, 1]], [0, 0])):
        with pytest.raises(OracleFailure):
            certify_factors(problem, p, [[1, 0], [0, 1]], lam)


def test_a_start_far_away_or_too_large_a_system_gives_nothing() -> None:
    problem = separable_full(3, 3, 3, 4)
    solved = solve_nuclear(problem)
    assert refined(problem, solved.solution * 1e9, solved.multipliers, 1) is None
    large = separable_full(3, 5, 5, 12)
    assert refined(large, np.eye(12), np.ones(len(large)), 12) is None
