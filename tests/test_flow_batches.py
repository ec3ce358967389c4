"""A run does not depend on its neighbours: same bits alone, permuted, beside broken rows."""

from __future__ import annotations

import numpy as np
import pytest

from checks.flow.integrate import integrate
from checks.flow.orbit import Status
from checks.flow.settings import Settings
from checks.problems import AttentionProblem
from tests.flow_fixture import GEOMETRIES, daily, drawn, same_bits

SHORT = Settings(horizon=60.0, early_steps=500, late_steps=25)
"""Enough for most rows to settle and close; the others stop on their budgets, bit for bit too."""

SHAPES = {"combined-diagonal": (2, 4, 5), "mirror-3": (2, 4, 5)}
"""Odd sizes too: where arrays start in memory must not matter."""


@pytest.mark.parametrize("model", daily(GEOMETRIES, "diagonal", "factored"))
def test_alone_and_in_other_company(model: str) -> None:
    """research/determinism.md: every operation of the engine keeps the bits of a row."""
    problems, starts = drawn(model, 7, SHAPES.get(model, (3, 3, 4)))
    whole = integrate(problems, starts, SHORT)
    assert sum(whole.settled) >= 2
    order = [4, 2, 6, 0, 1, 5, 3]
    mixed = integrate([problems[i] for i in order], [starts[i] for i in order], SHORT)
    assert same_bits(whole, order, mixed, range(7)) == []
    # In chunks of 1, 2, 3 and 1: vector bodies and tails of every kernel change places.
    for first, last in ((0, 1), (1, 3), (3, 6), (6, 7)):
        part = integrate(problems[first:last], starts[first:last], SHORT)
        assert same_bits(whole, range(first, last), part, range(last - first)) == []


@pytest.mark.parametrize("model", GEOMETRIES)
def test_one_sample_shares_no_memory(model: str) -> None:
    """Rows relative to other tokens are written over the old ones, row by row: torch warns (an
    error here) where several entries of one are the same memory."""
    problems, starts = drawn(model, 6, (1, 3, 4))
    queries = [problem.queries.copy() for problem in problems]
    orbit = integrate(problems, starts, SHORT)
    assert (orbit.selected[orbit.settled] != 0).any()
    assert all(
        np.array_equal(problem.queries, kept)
        for problem, kept in zip(problems, queries, strict=True)
    )


@pytest.mark.nightly
@pytest.mark.parametrize("model", GEOMETRIES)
@pytest.mark.parametrize("chunk", [1, 2, 3, 7, 128, 255])
def test_many_rows_in_every_chunking(model: str, chunk: int) -> None:
    problems, starts = drawn(model, 256)
    whole = integrate(problems, starts, SHORT)
    for first in range(0, 256 if chunk >= 7 else 8 * chunk, chunk):
        rows = range(first, min(first + chunk, 256))
        part = integrate([problems[i] for i in rows], [starts[i] for i in rows], SHORT)
        assert same_bits(whole, rows, part, range(len(rows))) == []


@pytest.mark.parametrize("model", daily(GEOMETRIES, "diagonal", "factored"))
def test_the_tolerances_of_others_do_not_matter(model: str) -> None:
    """A run and its twin at a tenth of the tolerance share a batch: neither notices."""
    problems, starts = drawn(model, 3)
    alone = integrate(problems, starts, SHORT)
    both = integrate(problems * 2, starts * 2, SHORT, tightness=[1.0] * 3 + [0.1] * 3)
    assert same_bits(alone, range(3), both, range(3)) == []
    assert same_bits(alone, range(3), both, range(3, 6)) != []  # and the twins did differ


def test_the_comparison_sees_one_bit() -> None:
    """Negative control: the last bit of one number of one row."""
    problems, starts = drawn("combined-diagonal", 2)
    one, other = integrate(problems, starts, SHORT), integrate(problems, starts, SHORT)
    other.tau[1] = np.nextafter(other.tau[1], np.inf)
    assert same_bits(one, [0], other, [0]) == []
    assert same_bits(one, [1], other, [1]) == ["tau"]


HOSTILE = {
    "overflow": {Status.STALLED},
    "zero": {Status.UNSETTLED},
    "flat": {Status.FLAT},
    "huge": set(Status) - {Status.FLAT},
}


def broken(shape: tuple[int, int, int], kind: str) -> AttentionProblem:
    """A neighbour that fails: rows of delta * query overflow, cancel, or are all alike."""
    n, length, d = shape
    rng = np.random.default_rng(5)
    tokens, scores = rng.normal(size=shape), rng.normal(size=(n, length))
    queries, labels, head = rng.normal(size=(n, d)), np.ones(n), np.ones(d)
    if kind == "overflow":
        tokens, queries = tokens * 1e200, queries * 1e200
    elif kind == "huge":
        tokens = tokens * 1e30
    elif kind == "zero":
        queries = np.zeros((n, d))
    else:
        scores = np.zeros((n, length))
    return AttentionProblem.of(tokens, queries, labels, head, scores)


@pytest.mark.parametrize("model", daily(GEOMETRIES, "diagonal", "factored"))
def test_hostile_neighbours(model: str) -> None:
    shape = (3, 3, 4)
    problems, starts = drawn(model, 4, shape)
    clean = integrate(problems, starts, SHORT)
    kinds = list(HOSTILE)
    hostile = [*problems[:2], *(broken(shape, kind) for kind in kinds), *problems[2:]]
    company = [*starts[:2], *(starts[:1] * len(kinds)), *starts[2:]]
    beside = integrate(hostile, company, SHORT)
    own = [0, 1, 2 + len(kinds), 3 + len(kinds)]
    assert same_bits(clean, range(4), beside, own) == []
    for at, kind in enumerate(kinds):
        assert beside.status[2 + at] in HOSTILE[kind], kind
