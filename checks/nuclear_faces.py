"""Is the nuclear-norm optimum unique?  Proved from one nearly optimal pair, or left open.

Derived; |.| is the Frobenius norm, hats are units (G_r and the factors divided by their sizes).
W = P Q^T with margins >= 1 and lambda with |M|_op <= 1, M = G(lambda), leave the relative gap
eps = ((|P|^2 + |Q|^2)/2 - sum(lambda)) / ((|P|^2 + |Q|^2)/2).  Let lambda' be *any* optimal dual.

1. Half of |P - M'Q|^2 plus sum lambda'_r (m_r - 1) is at most the gap; so it is for Q - M'^T P and
   for lambda itself.  Hence |(M' - M) Q^|, |(M' - M)^T P^| <= 2 sqrt(2 eps), and multipliers of
   rows with slack are at most eps |G_r| / slack.
2. If lambda -> (G(lambda) Q^, G(lambda)^T P^) is injective on the active rows, with least singular
   value c, then lambda' is within rho = (4 sqrt(eps) + inactive part)/c of lambda there.  Where
   lambda_r > rho the row is active at *every* optimum; and |M' - M| <= eta = sqrt(rows) rho + ...
3. Every optimum is W' = M' H, H >= 0 on the right singular space of M' for singular value 1.  That
   space is within t of V, the top k right singular vectors of M, if sigma_{k+1}(M) < 1.  Two optima
   differ by M' Y, Y symmetric on that space, with <G_r, M' Y> = 0 on the active rows.  If
   S -> <G^_r, M V S V^T>, S symmetric (k, k), has least singular value c' beyond the error of
   replacing M' by M and the space by V, then Y = 0.

The gap enters by its square root, 1e-6: so no disproof comes out of this (checks.nuclear_optima has
one), and the answer is "proved" or "undetermined".
"""

from __future__ import annotations

import math

import numpy as np

from checks.certificates import lower_bound
from checks.optima import Uniqueness
from checks.problems import Array, Constraints
from checks.rounding import (
    frobenius_above,
    gamma,
    gradient,
    margins,
    operator_above,
    smallest_below,
    svd,
)

SAFE = 1.0 + 2.0**-46
"""Pays for the few dozen roundings of the scalar arithmetic below, each 2**-53."""


def nuclear_uniqueness(constraints: Constraints, weights: Array, multipliers: Array) -> Uniqueness:
    """Is the optimum near ``weights`` (d, d) the only one?  multipliers (R,), of any scale."""
    constraints, multipliers = _distinct(constraints, multipliers)
    d = constraints.delta.shape[1]
    sizes = np.linalg.norm(constraints.delta, axis=1) * np.linalg.norm(constraints.query, axis=1)
    if not ((sizes > 0.0).all() and multipliers.any()):
        return "undetermined"
    push, push_error = gradient(constraints, multipliers, full=True)
    scale = operator_above(push, push_error)
    push, push_error = push / scale, push_error / scale + np.abs(push) * gamma(1) / scale
    u, s, vt = svd(weights)
    _, t, v = svd(push)
    rank = int((s / s.max() > 1.0 - t / t.max()).sum())
    p, q = u[:, :rank] * np.sqrt(s[:rank]), vt[:rank].T * np.sqrt(s[:rank])
    least = _margins_of_product(constraints, p, q, sizes)
    if not least.min() > 0.0:
        return "undetermined"
    size = 0.5 * (frobenius_above(p) ** 2 + frobenius_above(q) ** 2) / float(least.min()) * SAFE
    lower = lower_bound(constraints, "nuclear", multipliers)
    eps = max(0.0, 1.0 - lower / (size * SAFE)) + 2.0**-50
    unit = math.sqrt(size * float(least.min()))
    p, q = p / unit, q / unit
    mu = multipliers * sizes / scale  # of the unit G_r
    slack = least / float(least.min()) - 1.0
    active = mu / mu.max() > slack
    if not (slack[~active] > 0.0).all():
        return "undetermined"
    loose = eps * float((size * sizes[~active] / slack[~active]).sum()) * SAFE

    left = constraints.delta[active] / np.linalg.norm(constraints.delta[active], axis=1)[:, None]
    right = constraints.query[active] / np.linalg.norm(constraints.query[active], axis=1)[:, None]
    rounding = gamma(4 * d + 16)  # of products of at most three unit vectors or factors
    columns = np.hstack(
        [
            (left[:, :, None] * (right @ q)[:, None, :]).reshape(len(left), -1),
            (right[:, :, None] * (left @ p)[:, None, :]).reshape(len(left), -1),
        ]
    ).T
    injective = smallest_below(columns, np.full_like(columns, rounding))
    if not injective > 0.0:
        return "undetermined"
    # |G^_r Q^|^2 + |G^_r^T P^|^2 <= |P^|^2 + |Q^|^2 = 2 for a loose row.
    rho = (4.0 * math.sqrt(eps) + 1.5 * loose) / injective * SAFE
    if not mu[active].min() > rho * SAFE:
        return "undetermined"
    eta = (math.sqrt(len(left)) * rho + loose) * SAFE
    turn = _turn(push, push_error, v, t, rank, eta)
    if not turn <= 1.0 / 16.0:
        return "undetermined"
    faces = _faces(left, right, push, v[:rank].T)
    doubt = math.sqrt(d) * rounding + 2.0 * frobenius_above(push_error)  # |M| <= sqrt(d)
    rigid = smallest_below(faces, np.full_like(faces, doubt))
    error = math.sqrt(len(left)) * (2.5 * turn + eta) * SAFE
    return "proved" if 0.79 * rigid > error else "undetermined"


def _distinct(constraints: Constraints, multipliers: Array) -> tuple[Constraints, Array]:
    """The problem without repeated constraints, whose multipliers nothing determines."""
    keys = np.hstack([constraints.delta, constraints.low, constraints.query])
    _, at, group = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    fewer = Constraints(
        constraints.delta[at],
        constraints.query[at],
        constraints.sample[at],
        constraints.token[at],
        constraints.kappa[at],
        constraints.low[at],
    )
    return fewer, np.bincount(group, weights=np.maximum(multipliers, 0.0))


def _margins_of_product(constraints: Constraints, p: Array, q: Array, sizes: Array) -> Array:
    """(R,) lower bounds of the margins of p q^T, exactly that product."""
    product = p @ q.T
    missed = frobenius_above(gamma(p.shape[1]) * (np.abs(p) @ np.abs(q).T))
    computed, error = margins(constraints, product)
    return np.asarray(computed - error - sizes * missed * SAFE)


def _turn(push: Array, error: Array, v: Array, t: Array, rank: int, eta: float) -> float:
    """How far (sine, twice) the top singular space of any M' within eta of M = push is from the
    span of the first ``rank`` rows of v (d, d); infinite where sigma_{rank+1} is not below 1."""
    d = len(v)
    if rank == d:
        return 0.0
    # v (I - M^T M) v^T = diag(1 - t^2) + E; on the top space |(I - M^T M) y| <= 2 eta |y|.
    moved = push @ v.T
    rest = v @ v.T - moved.T @ moved - np.diag(1.0 - t**2)
    # Products of matrices of Frobenius norm at most sqrt(d) and a little: their rounding.
    pad = gamma(8 * d) * 8.0 * d * d + 4.0 * math.sqrt(d) * frobenius_above(error)
    off = frobenius_above(rest) + pad
    skew = frobenius_above(v @ v.T - np.eye(d)) + pad
    gap = 1.0 - float(t[rank]) ** 2
    if not (gap > 0.0 and skew <= 1.0 / 16.0):
        return math.inf
    return 2.0 * (2.0 * eta + off) / gap * SAFE


def _faces(left: Array, right: Array, push: Array, v: Array) -> Array:
    """(rows, k(k+1)/2) matrix of S -> <G^_r, M V S V^T> in an orthonormal basis of Sym(k)."""
    a, b = left @ (push @ v), right @ v
    i, j = np.triu_indices(v.shape[1])
    weight = np.where(i == j, 0.5, math.sqrt(0.5))
    return np.asarray((a[:, i] * b[:, j] + a[:, j] * b[:, i]) * weight)
