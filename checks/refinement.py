"""Newton's method on the factored nuclear optimality system, in 600 bits.

For data so nearly infeasible that float64 holds neither the optimal weights nor their multipliers
to the digits that a narrow interval needs.  Like every proposal it is believed nothing: what comes
out is certified in rationals (``rational_bounds.certify_factors``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from mpmath import mp, mpf

from checks.certificates import Interval, OracleFailure
from checks.exact import IntMatrix, dot
from checks.exact_data import ExactConstraints
from checks.problems import Array, Constraints
from checks.rational_bounds import certify_factors
from checks.rounding import least_margin, svd
from checks.solutions import NARROW

PRECISION = 600
"""Bits.  Normal equations square the condition of the system, 1e12 at worst for nearly infeasible
data, and its square in the multipliers: 2**160 in all."""

DAMPING = -300
"""Log of the weight, relative, of the step's length beside the equations: the rotation of P and Q
is a gauge, so the system is singular.  It slows Newton by 2**-140 a step at that condition."""

STEPS = 12

EXCHANGES = 8
"""Systems tried: a row of negative multiplier leaves, one of too small a margin enters."""

UNKNOWNS = 80
"""Largest system: a step takes 0.5 s there."""

KEPT = 200
"""Bits after the point that are handed over."""

Table = list[list[mpf]]

Found = tuple[Interval, Array, Array, str]
"""(what is proved, W (d, d), lambda (R,), which solver proposed it)."""


@dataclass(frozen=True)
class Refined:
    """W = P Q^T * 4**-KEPT and lambda * 2**-KEPT, in integers; p, q (d, k), multipliers (R,)."""

    p: IntMatrix
    q: IntMatrix
    multipliers: list[int]

    @property
    def weights(self) -> Array:
        """(d, d): W, each entry rounded once."""
        return np.array([[dot(a, b) / (1 << 2 * KEPT) for b in self.q] for a in self.p])


def ranks(weights: Array, push: Array) -> list[int]:
    """Guesses of rank W*: strict complementarity first, then its neighbours."""
    s, t = svd(weights)[1], svd(push)[1]
    count = int((s / s.max() > 1.0 - t / t.max()).sum())
    return [k for k in (count, count - 1, count + 1) if 1 <= k <= len(s)]


def sharpened(
    constraints: Constraints, pairs: Sequence[tuple[Array, Array, str]], best: Found | None
) -> Found | None:
    """The best of ``best`` and what Newton's method in 600 bits makes of the pairs (W, lambda)."""
    for weights, multipliers, solver in pairs:
        if not (np.isfinite(weights).all() and np.isfinite(multipliers).all()):
            continue
        size = float(svd(constraints.delta.T @ (multipliers[:, None] * constraints.query))[1].max())
        length = float(svd(weights)[1].sum())
        if not (0.0 < size < np.inf and 0.0 < length < np.inf):
            continue
        # At an optimum |G(lambda)|_op = 1 and |W|_* = sum(lambda); margins may be all rounding.
        multipliers = multipliers / size
        weights = weights * (float(multipliers.sum()) / length)
        push = constraints.delta.T @ (multipliers[:, None] * constraints.query)
        for rank in ranks(weights, push):
            found = refined(constraints, weights, multipliers, rank)
            if found is None:
                continue
            lam = np.array([y / (1 << KEPT) for y in found.multipliers], dtype=np.float64)
            # The floats handed out must at least separate, and push.
            if not (least_margin(constraints, found.weights) > 0.0 and lam.any()):
                continue
            try:
                interval = certify_factors(constraints, found.p, found.q, found.multipliers)
            except OracleFailure:
                continue
            if best is None or interval.width < best[0].width:
                best = interval, found.weights, lam, f"{solver}, {PRECISION} bits"
            if best[0].width <= NARROW:
                return best
    return best


def refined(
    constraints: Constraints, weights: Array, multipliers: Array, rank: int
) -> Refined | None:
    """From a pair (d, d), (R,) near an optimum of this rank; None where Newton does not converge.

    weights: of least margin about 1.
    """
    u, s, vt = svd(weights)
    slack = ((constraints.delta @ weights) * constraints.query).sum(axis=1) - 1.0
    # Strict complementarity, of unit G_r: their own multipliers differ as their sizes do.
    sizes = np.linalg.norm(constraints.delta, axis=1) * np.linalg.norm(constraints.query, axis=1)
    active = np.flatnonzero(multipliers * sizes > slack * (multipliers * sizes).max()).tolist()
    data = ExactConstraints.of(constraints, full=True)
    assert data.right is not None
    root = np.sqrt(s[:rank])
    with mp.workprec(PRECISION):
        unit = mpf(2) ** -data.shift
        left = [[mpf(x) * unit for x in row] for row in data.left]
        right = [[mpf(x) for x in row] for row in data.right]
        start = [
            [[mpf(x) for x in row] for row in (side * root).tolist()]
            for side in (u[:, :rank], vt[:rank].T)
        ]
        lam = [mpf(x) for x in multipliers.tolist()]
        for _ in range(EXCHANGES):
            p, q = ([list(row) for row in side] for side in start)
            moved = [lam[r] for r in active]
            own = [left[r] for r in active], [right[r] for r in active]
            if len(p) * 2 * rank + len(active) > UNKNOWNS or not _newton(*own, p, q, moved):
                return None
            if min(moved) < 0:
                active.remove(active[moved.index(min(moved))])
                continue
            margins = [_margin(p, q, *row) for row in zip(left, right, strict=True)]
            least = min(margins)
            if least > 1 - mpf(2) ** -60:
                found = [0] * len(constraints)
                for r, x in zip(active, moved, strict=True):
                    found[r] = int(mp.nint(mp.ldexp(x, KEPT)))
                return Refined(_integers(p), _integers(q), found)
            active.append(margins.index(least))
    return None


def _margin(p: Table, q: Table, left: list[mpf], right: list[mpf]) -> mpf:
    columns = zip(zip(*p, strict=True), zip(*q, strict=True), strict=True)
    return mp.fsum(mp.fdot(left, a) * mp.fdot(right, b) for a, b in columns)


def _integers(table: Table) -> IntMatrix:
    return [[int(mp.nint(mp.ldexp(x, KEPT))) for x in row] for row in table]


def _newton(left: Table, right: Table, p: Table, q: Table, lam: list[mpf]) -> bool:
    """P = M Q, Q = M^T P, <l_r, P Q^T r_r> = 1; moves p, q, lam in place.  Did it converge?"""
    dim, rank = len(p), len(p[0])
    last = mp.inf
    for _ in range(STEPS):
        jacobian, residual = _system(left, right, p, q, lam)
        step = _least_squares(jacobian, residual)
        if step is None:
            return False
        for i in range(dim):
            for c in range(rank):
                p[i][c] -= step[i * rank + c]
                q[i][c] -= step[(dim + i) * rank + c]
        for r in range(len(lam)):
            lam[r] -= step[2 * dim * rank + r]
        size = max(map(abs, step)) / max(abs(x) for row in p for x in row)
        if size < mpf(2) ** -120:
            return True
        last = size
    return bool(last < mpf(2) ** -60)


def _system(
    left: Table, right: Table, p: Table, q: Table, lam: list[mpf]
) -> tuple[Table, list[mpf]]:
    dim, rank, m = len(p), len(p[0]), len(lam)
    push = [
        [mp.fdot(lam, [a[i] * b[j] for a, b in zip(left, right, strict=True)]) for j in range(dim)]
        for i in range(dim)
    ]
    left_p = [[mp.fdot(a, column) for column in zip(*p, strict=True)] for a in left]
    right_q = [[mp.fdot(b, column) for column in zip(*q, strict=True)] for b in right]
    zero, width = mpf(0), 2 * dim * rank + m
    rows: Table = []
    residual: list[mpf] = []
    for own, other, matrix, mine, away, at, there in (
        (p, q, push, left, right_q, 0, dim),
        (q, p, [list(x) for x in zip(*push, strict=True)], right, left_p, dim, 0),
    ):
        for i in range(dim):
            for c in range(rank):
                row = [zero] * width
                row[(at + i) * rank + c] = mpf(1)
                for j in range(dim):
                    row[(there + j) * rank + c] = -matrix[i][j]
                for r in range(m):
                    row[2 * dim * rank + r] = -mine[r][i] * away[r][c]
                rows.append(row)
                residual.append(own[i][c] - mp.fdot(matrix[i], [x[c] for x in other]))
    for r in range(m):
        row = [left[r][i] * right_q[r][c] for i in range(dim) for c in range(rank)]
        row += [right[r][i] * left_p[r][c] for i in range(dim) for c in range(rank)]
        rows.append(row + [zero] * m)
        residual.append(mp.fdot(left_p[r], right_q[r]) - 1)
    return rows, residual


def _least_squares(matrix: Table, rhs: list[mpf]) -> list[mpf] | None:
    """x of (A^T A + damping) x = A^T b by Cholesky's method, columns scaled to length 1."""
    columns = [list(column) for column in zip(*matrix, strict=True)]
    scale = [mp.sqrt(mp.fdot(column, column)) for column in columns]
    if min(scale) == 0:
        return None
    columns = [[x / s for x in column] for column, s in zip(columns, scale, strict=True)]
    n, damping = len(columns), mpf(2) ** DAMPING
    factor: Table = []
    for i in range(n):
        row: list[mpf] = []
        for j in range(i + 1):
            entry = mp.fdot(columns[i], columns[j]) - mp.fdot(row, factor[j][:j] if j < i else row)
            if j < i:
                row.append(entry / factor[j][j])
            elif entry + damping > 0:
                row.append(mp.sqrt(entry + damping))
            else:
                return None
        factor.append(row)
    found = [mp.fdot(column, rhs) for column in columns]
    for i in range(n):
        found[i] = (found[i] - mp.fdot(factor[i][:i], found[:i])) / factor[i][i]
    for i in reversed(range(n)):
        later = [factor[k][i] for k in range(i + 1, n)]
        found[i] = (found[i] - mp.fdot(later, found[i + 1 :])) / factor[i][i]
    return [x / s for x, s in zip(found, scale, strict=True)]
