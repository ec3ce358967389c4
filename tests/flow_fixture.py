"""Problems, starts and independent oracles shared by the tests of the flow engine."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import linprog, nnls

from checks.flow.geometries import Geometry
from checks.flow.integrate import Batch
from checks.flow.orbit import Orbit
from checks.problems import Array, AttentionProblem, Start, constraints_of

MODELS = ("diagonal", "combined-diagonal", "combined")
GEOMETRIES = (*MODELS, "factored", "mirror-1.5", "mirror-3")
"""All that the engine knows: ``mirror-p`` is the mirror flow of |beta|_p^p/p."""


def gaussian_problem(seed: int, shape: tuple[int, int, int] = (3, 3, 4)) -> AttentionProblem:
    """Gaussian tokens, queries, head and labels of shape (n, L, d)."""
    n, length, d = shape
    rng = np.random.default_rng([seed, n, length, d])
    return AttentionProblem.of(
        rng.normal(size=shape), rng.normal(size=(n, d)), rng.choice([-1, 1], size=n),
        rng.normal(size=d),
    )  # fmt: skip


def small_start(seed: int, d: int, model: str) -> Start:
    """A small random start, with every c_j > 0 where the model is diagonal, and a full stack
    where it is factored."""
    rng = np.random.default_rng([seed, d])
    if model == "factored":
        return Start.factored(*(0.3 * rng.normal(size=(2, d, d))), d)
    if model.startswith("mirror-"):
        return Start.mirror(0.3 * rng.normal(size=d), float(model.removeprefix("mirror-")), d)
    if model == "diagonal":
        return Start.diagonal(0.1 * abs(rng.normal(size=d)) + 0.1, 0.05 * rng.normal(size=d), d)
    return Start.combined(0.1 * rng.normal(size=(d,) if model != "combined" else (d, d)), d)


def drawn(
    model: str, count: int, shape: tuple[int, int, int] = (3, 3, 4), first: int = 0
) -> tuple[list[AttentionProblem], list[Start]]:
    """``count`` Gaussian problems and small starts."""
    seeds = range(first, first + count)
    return [gaussian_problem(s, shape) for s in seeds], [
        small_start(s, shape[2], model) for s in seeds
    ]


def three_tokens(step: tuple[float, float], higher: tuple[float, float]) -> AttentionProblem:
    """One sample of three tokens in the plane; differences to token 0 of the lower-score
    token 1 and the higher-score token 2."""
    tokens = [[[0.0, 0.0], [-step[0], -step[1]], [-higher[0], -higher[1]]]]
    return AttentionProblem.of(tokens, [[1.0, 1.0]], [1], [1.0, 0.0], [[0.5, 0.0, 1.0]])


def stack(arrays: list[Array]) -> torch.Tensor:
    return torch.tensor(np.stack(arrays), dtype=torch.float64)


def geometry_of(
    problems: list[AttentionProblem], starts: list[Start]
) -> tuple[Geometry, torch.Tensor]:
    """The geometry relative to the optimal tokens, and the scores (B, n, L)."""
    batch = Batch.of(problems, starts)
    return batch.geometry, batch.scores


def norm_of(weights: Array, norm: str) -> float:
    """l1 for "l1", Euclidean for "l2" and "frobenius", of flattened weights."""
    return float(np.abs(weights).sum() if norm == "l1" else np.linalg.norm(weights))


def rows_of(problem: AttentionProblem, selected: Array, full: bool) -> Array:
    """(R, D) constraint rows of the selected tokens, from the problem's own constraints."""
    constraints = constraints_of(problem, selected)
    return constraints.matrices if full else constraints.rows


def best_margin(rows: Array, norm: str) -> float:
    """gamma* = max of min(rows @ w) over norm(w) <= 1, by scipy.

    0 where not separable, infinite where there is no row.

    l1: a linear programme in (w+, w-, gamma).  l2: the distance of the hull of the rows from
    0, by non-negative least squares (the least-distance reduction of Lawson and Hanson).
    """
    count, d = rows.shape
    if count == 0:
        return np.inf
    if norm == "l1":
        upper = np.block([[-rows, rows, np.ones((count, 1))], [np.ones((1, 2 * d)), 0.0]])
        bound = np.append(np.zeros(count), 1.0)
        cost = np.append(np.zeros(2 * d), -1.0)
        return float(linprog(cost, A_ub=upper, b_ub=bound).x[-1])
    target = np.append(np.zeros(d), 1.0)
    weights, _ = nnls(np.vstack((rows.T, np.ones(count))), target)
    residual = target - np.vstack((rows.T, np.ones(count))) @ weights
    # residual = (-w, 1 - sum) with rows @ w >= 1 - sum: w/(1 - sum) is the least-norm solution.
    return float(residual[-1] / np.linalg.norm(residual[:-1])) if residual[-1] > 1e-12 else 0.0


def daily(models: Iterable[str], *few: str) -> list[Any]:
    """All models as parameters, but for these few only by night."""
    night = [pytest.mark.nightly]
    return [pytest.param(m, marks=[] if m in few else night) for m in models]


FIELDS = [f.name for f in dataclasses.fields(Orbit) if f.name not in ("norm", "status")]


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
