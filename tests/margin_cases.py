"""Margin problems for the oracle tests, built from a seed so that every draw is reproducible."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
from hypothesis import strategies as st

from checks.problems import Array, Constraints
from checks.separability import Separability

KINDS = (
    "gauss",
    "unsigned",
    "integer",
    "nearly infeasible",
    "row scales",
    "column scales",
    "duplicates",
    "low rank",
    "scaled",
)
"""Families that broke solvers when they were compared (research/oracles.md)."""


def constraints(delta: object, query: object | None = None) -> Constraints:
    """Constraints with the given delta (R, d) and query (R, d) (ones, so that rows = delta)."""
    left = np.asarray(delta, dtype=np.float64)
    right = np.ones_like(left) if query is None else np.asarray(query, dtype=np.float64)
    index = np.arange(len(left))
    return Constraints(left, right, index, np.ones_like(index), np.zeros(len(left)))


def _separable(rows: Array, rng: np.random.Generator) -> Array:
    side = np.sign(rows @ rng.normal(size=rows.shape[1]))
    return rows * np.where(side == 0.0, 1.0, side)[:, None]


def build(kind: str, seed: int, rows: int, dim: int) -> Constraints:
    """One problem of a family; separable but for "unsigned", "integer" (either way) and
    "nearly infeasible" (either way, narrowly)."""
    rng = np.random.default_rng(np.random.Philox(seed))
    if kind == "integer":
        return constraints(
            rng.integers(-3, 4, size=(rows, dim)), rng.integers(-2, 3, size=(rows, dim))
        )
    if kind == "nearly infeasible":
        a, c = rng.normal(size=(2, dim))
        gap = 10.0 ** -int(rng.integers(1, 13))
        return constraints(np.vstack([a, -a + gap * c, rng.normal(size=(rows, dim))[: rows // 4]]))
    if kind == "unsigned":
        return constraints(rng.normal(size=(rows, dim)), rng.normal(size=(rows, dim)))
    if kind == "low rank":
        inner = max(1, dim // 2)
        return constraints(
            _separable(rng.normal(size=(rows, inner)) @ rng.normal(size=(inner, dim)), rng)
        )
    delta = _separable(rng.normal(size=(rows, dim)), rng)
    if kind == "scaled":
        return constraints(delta * 10.0 ** rng.integers(-8, 9))
    if kind == "row scales":
        return constraints(delta * 10.0 ** rng.integers(-8, 9, size=(rows, 1)))
    if kind == "column scales":
        return constraints(delta * 10.0 ** rng.integers(-8, 9, size=(1, dim)))
    if kind == "duplicates":
        return constraints(np.vstack([delta, delta, 2.0 * delta]))
    query = np.abs(rng.normal(size=(rows, dim))) + 0.1
    return constraints(_separable(delta * query, rng) / query, query)


def separable_full(seed: int, samples: int, length: int, dim: int) -> Constraints:
    """n samples, L - 1 constraints each, separable by a full Gaussian W."""
    rng = np.random.default_rng(np.random.Philox(seed))
    weights, queries = rng.normal(size=(dim, dim)), rng.normal(size=(samples, dim))
    query = np.repeat(queries, length - 1, axis=0)
    delta = rng.normal(size=query.shape)
    delta *= np.sign(((delta @ weights) * query).sum(axis=1))[:, None]
    sample = np.repeat(np.arange(samples), length - 1)
    token = np.tile(np.arange(1, length), samples)
    return Constraints(delta, query, sample, token, np.zeros(len(sample)))


FULL_KINDS = ("gauss", "integer", "nearly infeasible", "scaled", "duplicates", "low rank", "single")
"""Families of full problems; "single": deltas and queries are unit vectors of one frame, whose
optima are often shared."""


def build_full(kind: str, seed: int) -> Constraints:
    """One problem of a family for matrix weights, of 1 to 4 samples, 2 to 4 tokens and d to 5."""
    rng = np.random.default_rng(np.random.Philox(seed))
    samples, length, dim = (int(rng.integers(low, high)) for low, high in ((1, 5), (2, 5), (1, 6)))
    rows = samples * (length - 1)
    query, delta = rng.normal(size=(samples, dim)), rng.normal(size=(rows, dim))
    if kind == "low rank":
        query = rng.normal(size=(samples, 1)) @ rng.normal(size=(1, dim))
        delta = rng.normal(size=(rows, min(2, dim))) @ rng.normal(size=(min(2, dim), dim))
    if kind == "single":
        query, delta = (
            np.eye(dim)[rng.integers(0, dim, samples)],
            np.eye(dim)[rng.integers(0, dim, rows)],
        )
    if kind == "integer":  # either way
        query = rng.integers(-2, 3, size=(samples, dim))
        delta = rng.integers(-3, 4, size=(rows, dim))
        return constraints(delta, np.repeat(query, length - 1, axis=0))
    right = np.repeat(query, length - 1, axis=0)
    side = np.sign(((delta @ rng.normal(size=(dim, dim))) * right).sum(axis=1))
    delta = delta * np.where(side == 0.0, 1.0, side)[:, None]
    if kind == "duplicates":
        return constraints(np.vstack([delta, delta, 2.0 * delta]), np.tile(right, (3, 1)))
    if kind == "nearly infeasible":  # either way, narrowly
        gap = 10.0 ** -int(rng.integers(1, 13))
        against = -delta[:1] + gap * rng.normal(size=(1, dim))
        return constraints(np.vstack([delta, against]), np.vstack([right, right[:1]]))
    if kind == "scaled":
        scale = 10.0 ** rng.integers(-8, 9) * 10.0 ** rng.integers(-2, 3, size=(rows, 1))
        return constraints(delta * scale, right)
    return constraints(delta, right)


def problems(max_rows: int = 9, max_dim: int = 5) -> st.SearchStrategy[Constraints]:
    """Hypothesis strategy over all families."""
    return st.builds(
        build,
        kind=st.sampled_from(KINDS),
        seed=st.integers(0, 2**32 - 1),
        rows=st.integers(1, max_rows),
        dim=st.integers(1, max_dim),
    )


def exact_pairs(problem: Constraints) -> list[tuple[list[Fraction], list[Fraction]]]:
    """(difference of tokens, query) of every constraint as rationals, rounding put back."""
    return [
        (
            [Fraction(x) + Fraction(e) for x, e in zip(*pair, strict=True)],
            [Fraction(x) for x in query],
        )
        for *pair, query in zip(
            problem.delta.tolist(), problem.low.tolist(), problem.query.tolist(), strict=True
        )
    ]


def exact_margins(problem: Constraints, weights: Array) -> list[Fraction]:
    """The margins of tokens and queries as rationals, by a route that shares nothing with
    checks."""
    zero = Fraction(0)
    if weights.ndim == 1:
        beta = [Fraction(x) for x in weights.tolist()]
        return [
            sum((a * b * z for a, b, z in zip(left, beta, right, strict=True)), zero)
            for left, right in exact_pairs(problem)
        ]
    table = [[Fraction(x) for x in row] for row in weights.tolist()]
    return [
        sum(
            (
                a * entry * b
                for a, row in zip(left, table, strict=True)
                for b, entry in zip(right, row, strict=True)
            ),
            zero,
        )
        for left, right in exact_pairs(problem)
    ]


def definite(matrix: list[list[Fraction]], bound: Fraction) -> bool:
    """Is bound^2 I - G^T G positive definite?  Rational LDL^T: proves |G| < bound, exactly."""
    size = len(matrix[0])
    work = [
        [
            bound**2 * (i == j) - sum((row[i] * row[j] for row in matrix), Fraction(0))
            for j in range(size)
        ]
        for i in range(size)
    ]
    for c in range(size):
        if work[c][c] <= 0:
            return False
        for i in range(c + 1, size):
            ratio = work[i][c] / work[c][c]
            work[i] = [x - ratio * y for x, y in zip(work[i], work[c], strict=True)]
    return True


def assert_separates(problem: Constraints, found: Separability) -> None:
    """A witness, in floats or in integers, and whatever there is of them separates."""
    assert found.witness is not None or found.whole is not None
    if found.witness is not None:
        assert min(exact_margins(problem, found.witness)) > 0
    if found.whole is not None:
        whole = np.array(found.whole, dtype=object)
        assert min(exact_margins(problem, whole if len(whole) > 1 else whole[0])) > 0


def assert_farkas(problem: Constraints, y: tuple[int, ...] | None, full: bool) -> None:
    """y >= 0, y != 0, sum_r y_r G_r = 0, in rationals and entry by entry."""
    assert y is not None
    assert min(y) >= 0
    assert any(y)
    pairs = exact_pairs(problem)
    dim = problem.delta.shape[1]
    entries = itertools.product(range(dim), range(dim)) if full else ((j, j) for j in range(dim))
    for a, b in entries:
        total = sum(w * left[a] * right[b] for w, (left, right) in zip(y, pairs, strict=True))
        assert total == 0
