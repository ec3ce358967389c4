"""Differences of tokens as they are, not as they round: integers, and the optima they lead to."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from checks.certificates import certify
from checks.exact_data import ExactConstraints
from checks.problems import AttentionProblem, Constraints, constraints_of
from checks.rational_bounds import certify_exactly
from checks.svm import solve_svm

VALUES = st.floats(-1e9, 1e9) | st.integers(-4, 4).map(float) | st.floats(-1e-9, 1e-9)


def two_tokens(best: list[float], other: list[float], query: list[float]) -> Constraints:
    """One sample whose first token scores higher."""
    tokens = [[best, other]]
    scores = [[1.0, 0.0]]
    return constraints_of(AttentionProblem.of(tokens, [query], [1.0], np.zeros(len(query)), scores))


@given(st.lists(st.tuples(VALUES, VALUES, VALUES), min_size=1, max_size=3))
def test_integers_are_the_tokens_differences(entries: list[tuple[float, float, float]]) -> None:
    best, other, query = (list(column) for column in zip(*entries, strict=True))
    problem = two_tokens(best, other, query)
    delta = [Fraction(a) - Fraction(b) for a, b in zip(best, other, strict=True)]
    z = [Fraction(x) for x in query]
    flat = ExactConstraints.of(problem, full=False)
    full = ExactConstraints.of(problem, full=True)
    assert [Fraction(x, 1 << flat.shift) for x in flat.left[0]] == [
        a * b for a, b in zip(delta, z, strict=True)
    ]
    pushed = full.push([0], [3])
    for i, a in enumerate(delta):
        for j, b in enumerate(z):
            assert Fraction(pushed[i][j], 1 << full.shift) == 3 * a * b
    square = sum(a * a for a in delta) * sum(b * b for b in z)
    assert Fraction(full.gram([0])[0][0], 1 << 2 * full.shift) == square
    weights = [[i + 2 * j for j in range(len(z))] for i in range(len(z))]
    margin = sum(a * w * b for a, row in zip(delta, weights, strict=True)
                 for w, b in zip(row, z, strict=True))  # fmt: skip
    assert Fraction(full.margins(weights)[0], 1 << full.shift) == margin


def test_the_optimum_is_that_of_the_tokens() -> None:
    """1 - 2^-60 rounds to 1: the optimum is 1/(1 - 2^-60) all the same, and in the interval."""
    problem = two_tokens([1.0], [2.0**-60], [1.0])
    truth = 1 / (1 - Fraction(1, 2**60))
    assert problem.delta.tolist() == [[1.0]]
    for norm, value in (("l1", truth), ("l2", truth**2), ("frobenius", truth**2)):
        exact = solve_svm(problem, norm)
        assert exact.value == value
        rigorous = solve_svm(problem, norm, exact=False)
        assert rigorous.value is None
        for found in (exact, rigorous):
            assert Fraction(found.lower) <= truth <= Fraction(found.upper)
    # Negative control: without what rounding took, the value is another.
    assert solve_svm(replace(problem, low=np.zeros((1, 1))), "l1").value == 1


@given(st.integers(0, 2**32 - 1), st.sampled_from(["l1", "l2", "frobenius", "nuclear"]))
def test_rounded_differences_are_inside_every_interval(seed: int, norm: str) -> None:
    """Tokens of several scales: rational bounds are never outside the rounding bounds."""
    rng = np.random.default_rng(np.random.Philox(seed))
    n, length, d = 2, 3, 3
    queries = rng.normal(size=(n, d))
    tokens = rng.normal(size=(n, length, d)) * 10.0 ** rng.integers(-3, 4, size=(n, length, 1))
    level = np.einsum("ild,id->il", tokens, queries)
    order = np.argsort(-level, axis=1)
    tokens = np.take_along_axis(tokens, order[:, :, None], axis=1)  # the best one first
    scores = np.tile(np.arange(length, 0.0, -1.0), (n, 1))
    problem = constraints_of(AttentionProblem.of(tokens, queries, np.ones(n), np.zeros(d), scores))
    assert problem.low.any()
    weights = np.eye(d) if norm in ("frobenius", "nuclear") else np.ones(d)
    lam = np.abs(rng.normal(size=len(problem)))
    rounded, rational = (f(problem, norm, weights, lam) for f in (certify, certify_exactly))
    # weak duality at one and the same guess: rationals never lie outside the rounding bounds,
    # but for the proof of the largest singular value, 2**-46 above at the most
    assert rounded.lower <= rational.lower * (1 + 2.0**-40)
    assert rational.upper <= rounded.upper * (1 + 2.0**-50)
    assert rational.lower <= rational.upper
