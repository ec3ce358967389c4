"""Uniqueness of nuclear optima: proved where it holds with room, never where it does not hold."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checks.nuclear import SOLVERS, solve_nuclear
from checks.problems import Array
from checks.rounding import smallest_below
from tests.margin_cases import constraints, separable_full

SEEDS = st.integers(0, 2**32 - 1)


def orthogonal(seed: int, size: int) -> Array:
    rng = np.random.default_rng(np.random.Philox(seed))
    return np.asarray(np.linalg.qr(rng.normal(size=(size, size)))[0])


@settings(max_examples=8)
@given(SEEDS, st.sampled_from([(1, 4, 3), (3, 3, 3), (4, 3, 4)]))
def test_gaussian_optima_are_proved_unique_and_found_twice(
    seed: int, shape: tuple[int, int, int]
) -> None:
    problem = separable_full(seed, *shape)
    first, second = (solve_nuclear(problem, solvers=[name]) for name in SOLVERS)
    assert max(first.lower, second.lower) <= min(first.upper, second.upper)
    if "proved" in (first.unique, second.unique):
        # Quadratic growth: near-optimal points are within the root of their gap, over a rigidity
        # that the proof itself needs to be above 1e-5 or so.
        assert np.linalg.norm(first.solution - second.solution) <= 1e-2 * first.optimum


def test_most_gaussian_optima_are_proved_unique() -> None:
    """Otherwise the test below would be met by never proving anything."""
    found = [solve_nuclear(separable_full(seed, 3, 3, 4)).unique for seed in range(10)]
    assert found.count("proved") >= 8


@pytest.mark.parametrize("size", [2, 3, 4])
@given(seed=SEEDS, power=st.integers(-20, 20))
@settings(max_examples=10)
def test_shared_optima_are_never_proved_unique(size: int, seed: int, power: int) -> None:
    """One constraint a direction: W = I shares its norm with I + a (E_12 + E_21), |a| <= 1; in
    any frames, at any scale."""
    left, right = orthogonal(seed, size), orthogonal(seed + 1, size)
    problem = constraints(np.ldexp(left, power), right)
    found = solve_nuclear(problem)
    assert found.unique != "proved"
    other = left.T @ (np.eye(size) + 0.5 * np.eye(size)[::-1] * (1 - np.eye(size))) @ right
    weight = float(np.linalg.svd(other, compute_uv=False).sum()) * 2.0**-power
    # the frames are orthogonal to 1e-15: the other point's norm exceeds the optimum by as little
    assert weight <= found.upper * (1 + 1e-12)


@given(SEEDS, st.integers(1, 4), st.integers(0, 3), st.integers(0, 12))
def test_smallest_singular_value_is_bounded_from_below_and_tightly(
    seed: int, width: int, extra: int, spread: int
) -> None:
    """A^T A - s^2 I is positive semidefinite at the bound, in rationals; not so just above it."""
    rng = np.random.default_rng(np.random.Philox(seed))
    scale = 10.0 ** -rng.integers(0, spread + 1, size=width)
    matrix = rng.normal(size=(width + extra, width)) * scale
    bound = smallest_below(matrix, np.zeros_like(matrix))
    assert semidefinite(matrix, Fraction(bound))
    # some 300 roundings relative to the *largest* singular value
    above = Fraction(bound) + Fraction(float(np.linalg.norm(matrix))) / 2**40
    assert not semidefinite(matrix, above)
    if extra:
        assert smallest_below(matrix.T, np.zeros_like(matrix.T)) == 0.0


def semidefinite(matrix: Array, bound: Fraction) -> bool:
    """Are all pivots of A^T A - bound^2 I positive (or, at bound 0, not negative)?"""
    rows = [[Fraction(x) for x in row] for row in matrix.tolist()]
    size = len(rows[0])
    work = [
        [sum((r[i] * r[j] for r in rows), Fraction(0)) - bound**2 * (i == j) for j in range(size)]
        for i in range(size)
    ]
    for c in range(size):
        if work[c][c] <= 0:
            return bound == 0 and work[c][c] == 0
        for i in range(c + 1, size):
            ratio = work[i][c] / work[c][c]
            work[i] = [x - ratio * y for x, y in zip(work[i], work[c], strict=True)]
    return True
