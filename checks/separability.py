"""Is there a direction of positive margin?  Answered with a witness or a Farkas vector.

Feasibility of the margin problems (THEORY.md 1, "separable"): a witness W with
min_r <G_r, W> > 0 proved in float64, or y >= 0, y != 0 with sum_r y_r G_r = 0 proved in
integers.  Where neither proof is found the answer is "undecided", never a guess.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.optimize import nnls

from checks.basis import Half, halves_of, l1_tableau, prove_farkas
from checks.problems import Array, Constraints
from checks.rounding import gradient, least_margin

Answer = Literal["separable", "non-separable", "undecided"]

EXACT_ENTRIES = 4096
"""Largest R * d (R * R where W is full) for which integer pivoting is tried: about a second."""


@dataclass(frozen=True, eq=False)
class Separability:
    """The answer and its proof.

    witness: (d,) or (d, d) weights whose least margin is proved positive, else None.
    farkas: (R,) y >= 0, sum 1, the float64 image of ``integers`` (tuple of R Python integers),
    for which sum_r y_r G_r = 0 was verified exactly; else None.  Without constraints the answer
    is "separable" with the zero witness.
    """

    answer: Answer
    witness: Array | None = None
    farkas: Array | None = None
    integers: tuple[int, ...] | None = None


@dataclass(frozen=True, eq=False)
class LeastDistance:
    """Raw output of the least-distance problem: multipliers (R,) >= 0 and the residual's last
    entry, positive where the rows are separable and about 0 where they are not."""

    multipliers: Array
    residual: float


def least_distance(rows: Array) -> LeastDistance:
    """min |b| s.t. rows @ b >= 1 by nonnegative least squares (Lawson and Hanson, ch. 23).

    rows (R, k) of entries about 1.  u = argmin_{u >= 0} |[rows^T; 1^T] u - e_{k+1}|.  Nothing
    of it is trusted: the caller certifies.  Raises RuntimeError where scipy's nnls gives up.
    """
    count, width = rows.shape
    stacked = np.vstack([rows.T, np.ones((1, count))])
    target = np.zeros(width + 1)
    target[-1] = 1.0
    u, _ = nnls(stacked, target)
    return LeastDistance(u, float(1.0 - u.sum()))


def span_rows(constraints: Constraints, full: bool) -> Array:
    """(R, k) rows of about unit size with the Gram matrix of the G_r, up to one scale.

    Diagonal: the rows themselves.  Full: from the eigenvectors of (delta delta^T)*(z z^T), so
    that (R, d, d) is never formed.
    """
    if not full:
        rows = constraints.rows
        size = float(np.abs(rows).max(initial=0.0))
        return np.asarray(rows / size) if size > 0.0 else rows
    gram = (constraints.delta @ constraints.delta.T) * (constraints.query @ constraints.query.T)
    size = float(np.abs(gram).max(initial=0.0))
    if size == 0.0:
        return np.zeros((len(gram), 1))
    values, vectors = np.linalg.eigh(gram / size)
    return np.asarray(vectors * np.sqrt(np.maximum(values, 0.0)))


def _proved_witness(constraints: Constraints, weights: Array) -> Separability | None:
    if np.isfinite(weights).all() and least_margin(constraints, weights) > 0.0:
        return Separability("separable", witness=weights)
    return None


def _farkas(constraints: Constraints, vector: dict[int, int]) -> Separability:
    integers = tuple(vector.get(r, 0) for r in range(len(constraints)))
    total = sum(integers)
    image = np.array([y / total for y in integers], dtype=np.float64)
    return Separability("non-separable", farkas=image, integers=integers)


def separability(constraints: Constraints, full: bool) -> Separability:
    """Decide whether some beta (d,) (full: W (d, d)) has all margins positive.

    Cascade: least-distance problem, its support as a Farkas vector, then (diagonal) the exact
    simplex method.  Source: S2 ("separable data"); Farkas' lemma.
    """
    dim = constraints.delta.shape[1]
    if len(constraints) == 0:
        return Separability("separable", witness=np.zeros((dim, dim) if full else dim))
    try:
        guess = least_distance(span_rows(constraints, full)).multipliers
    except (RuntimeError, ValueError, np.linalg.LinAlgError):
        guess = np.zeros(len(constraints))
    if guess.any():
        found = _proved_witness(constraints, gradient(constraints, guess, full)[0])
        if found is not None:
            return found
        vector = prove_farkas(constraints, [int(r) for r in np.flatnonzero(guess > 0.0)], full)
        if vector is not None:
            return _farkas(constraints, vector)
    return _decide_exactly(constraints, full)


def _decide_exactly(constraints: Constraints, full: bool) -> Separability:
    """The exact simplex method on max sum(y) s.t. |sum_r y_r (G_r)_j| <= 1, if small enough."""
    rows = constraints.matrices if full else constraints.rows
    if rows.size > EXACT_ENTRIES:
        return Separability("undecided")
    # Full: the products delta_a z_b round, so the rows are a proposal and the Farkas vector is
    # proved on the exact products below.
    halves = halves_of(rows.shape[1])
    vertex = l1_tableau(rows, halves, exact=True)
    if vertex.status == "unbounded" and vertex.ray is not None:
        ray = [int(y) for y in vertex.ray]
        support = [r for r, y in enumerate(ray) if y > 0]
        if not full:
            return _farkas(constraints, {r: ray[r] for r in support})
        vector = prove_farkas(constraints, support, full)
        return Separability("undecided") if vector is None else _farkas(constraints, vector)
    if vertex.status == "optimal":
        weights = _dual_weights(vertex.nonbasic, vertex.costs, vertex.den, len(rows), halves)
        if full:
            weights = weights.reshape(constraints.delta.shape[1], -1)
        found = _proved_witness(constraints, weights)
        if found is not None:
            return found
    return Separability("undecided")


def _dual_weights(
    nonbasic: list[int], costs: Array, den: int | float, count: int, halves: list[Half]
) -> Array:
    """beta (d,) from the reduced costs of the slacks, each rounded once."""
    weights = np.zeros(1 + max(j for j, _ in halves), dtype=np.float64)
    for variable, cost in zip(nonbasic, costs, strict=True):
        if variable >= count:
            j, s = halves[variable - count]
            weights[j] += s * (cost / den)
    return weights
