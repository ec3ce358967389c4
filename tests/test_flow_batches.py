"""A run does not depend on its neighbours: same bits alone, permuted, beside broken rows."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import pytest

from checks.flow.integrate import integrate
from checks.flow.orbit import Orbit, Status
from checks.flow.settings import Settings
from checks.problems import AttentionProblem
from tests.flow_fixture import MODELS, drawn

FIELDS = [f.name for f in dataclasses.fields(Orbit) if f.name not in ("norm", "status")]
SHORT = Settings(horizon=60.0, early_steps=500, late_steps=25)
"""Enough for most rows to settle and close; the others stop on their budgets, bit for bit too."""


def same_bits(one: Orbit, rows: Sequence[int], other: Orbit, others: Sequence[int]) -> list[str]:
    """Names of the fields that differ in any bit between the rows of two orbits."""
    wrong = []
    for name in FIELDS:
        a = np.ascontiguousarray(getattr(one, name)[list(rows)])
        b = np.ascontiguousarray(getattr(other, name)[list(others)])
        if a.tobytes() != b.tobytes():
            wrong.append(name)
    if [one.status[i] for i in rows] != [other.status[i] for i in others]:
        wrong.append("status")
    return wrong


@pytest.mark.parametrize(
    ("model", "shape"),
    [("diagonal", (3, 3, 4)), ("combined-diagonal", (2, 4, 5)), ("combined", (3, 3, 4))],
)
def test_alone_and_in_other_company(model: str, shape: tuple[int, int, int]) -> None:
    """research/determinism.md: every operation of the engine keeps the bits of a row."""
    problems, starts = drawn(model, 6, shape)
    whole = integrate(problems, starts, SHORT)
    assert sum(whole.settled) >= 2
    order = [4, 2, 0, 1, 5, 3]
    mixed = integrate([problems[i] for i in order], [starts[i] for i in order], SHORT)
    assert same_bits(whole, order, mixed, range(6)) == []
    alone = integrate([problems[3]], [starts[3]], SHORT)
    assert same_bits(whole, [3], alone, [0]) == []
    trio = integrate(problems[:3], starts[:3], SHORT)
    assert same_bits(whole, range(3), trio, range(3)) == []


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


@pytest.mark.parametrize("model", MODELS)
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
