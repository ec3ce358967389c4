"""Where a factored run is that is not at the nuclear optimum: KKT points, and what leaves them.

Derived (THEORY.md 4): at a KKT point of min (|K|^2 + |Q|^2)/2 s.t. margins >= 1 with multipliers
p/gamma, M(p) Z = gamma Z, so W = U S V^T has G V = gamma U, G^T U = gamma V.  It is global iff
|G|_op = gamma; else the top pair y = [u; v]/sqrt 2 of G leaves it, |y^T Z| growing like
e^(|G|_op tau) against e^(gamma tau), as soon as Z has a part in it.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from checks.flow.probes import View
from checks.problems import Array, AttentionProblem
from checks.tolerances import EPS

RANK_CUT = 1e-5
"""Singular values of W below this share of the largest count as 0: at a finite norm the others
have decayed like a power of it."""
STATIONARY = 1e-3
"""Largest relative residual of a point that is called KKT: how near, not a proof."""


def push(problem: AttentionProblem, selected: Array, p: Array) -> Array:
    """G(p)/sum(p) (d, d) over the tokens of lower score than the selected ones; p (n, L)."""
    x, z = problem.tokens, problem.queries
    own = np.take_along_axis(problem.scores, selected[:, None], axis=1)
    weight = np.where(problem.scores < own, np.maximum(p, 0.0), 0.0)
    delta = np.take_along_axis(x, selected[:, None, None], axis=1) - x
    pushed = (weight[:, :, None] * delta).sum(1)
    return np.asarray(pushed.T @ z / weight.sum())


@dataclass(frozen=True)
class Stationarity:
    """Of weights W with multipliers p.  residual: of G V = gamma U and G^T U = gamma V, relative
    to gamma = <G, W>/|W|_*; rank of W; excess: |G|_op/gamma - 1, at a KKT point 0 iff global."""

    residual: float
    rank: int
    excess: float


def stationarity(g: Array, weights: Array) -> Stationarity:
    u, sizes, vt = np.linalg.svd(weights)
    rank = int((sizes > RANK_CUT * sizes[0]).sum())
    u, v = u[:, :rank], vt[:rank].T
    gamma = float((g * weights).sum() / sizes.sum())
    off = max(np.linalg.norm(g @ v - gamma * u, 2), np.linalg.norm(g.T @ u - gamma * v, 2))
    top = float(np.linalg.norm(g, 2))
    if gamma <= 0:
        return Stationarity(np.inf, rank, np.inf)
    return Stationarity(float(off) / gamma, rank, top / gamma - 1)


class Memory:
    """Probe: does a run still know its start in the direction that grows?

    Each step rounds every direction of Z by some eps |Z|.  Where |y^T Z| of the growing pair y
    of G(p) is no more than the roundings made so far, what comes next is the rounding's doing:
    the run may be right, but says nothing of its start (THEORY.md 4).
    """

    def init(self, rows: int) -> None:
        self._seen: dict[int, list[tuple[Array, Array]]] = defaultdict(list)

    def update(self, view: View) -> None:
        if not view.late:
            return
        raw, p = view.geometry.raw(view.state).cpu().numpy(), view.p.cpu().numpy()
        for at, row in enumerate(view.index.tolist()):
            self._seen[row].append((raw[at].copy(), p[at].copy()))

    def steps(self, row: int) -> list[tuple[Array, Array]]:
        """([Z e^(-rho/2), rho] flattened, p) at every late step."""
        return self._seen.get(row, [])

    def lost(self, row: int, problem: AttentionProblem, selected: Array) -> bool:
        """Did ``growing_part`` ever fall to the roundings made by then, y growing faster than Z?

        A part that is 0 exactly is structure (no column is left for it) and stays 0.
        """
        for step, (flat, p) in enumerate(self.steps(row), start=1):
            stack = flat[:-1].reshape(2 * problem.dim, -1)
            part, excess = growing_part(
                push(problem, selected, p.reshape(len(selected), -1)), stack
            )
            if excess > 0.01 and 0 < part <= 16 * EPS * step:
                return True
        return False


_SMALL = 1e-8
"""Share of |Z| below which a direction of its row space is not part of the KKT point it is near."""
_NEAR = 1e-6
"""|y^T Z|/|Z| at most, near a saddle: at a KKT point that is not global it is 0."""


def growing_part(g: Array, stack: Array) -> tuple[float, float]:
    """(|y^T Z N|/|Z|, |G|_op/rate - 1), N the columns' directions that Z hardly uses; (inf, .)
    where y^T Z itself is no small part of Z, which is then near no saddle.

    Along y c^T with c in its row space Z moves its margins to first order, and p answers; only
    outside of it does y grow by itself.  rate: that of |Z|^2 in d ln S, gamma at a KKT point.
    """
    stack = stack[:, stack.any(axis=0)]
    d = len(g)
    u, sizes, vt = np.linalg.svd(g)
    size = float(np.linalg.norm(stack))
    rate = 2 * float((g * (stack[:d] @ stack[d:].T)).sum()) / size**2
    _, own, axes = np.linalg.svd(stack)
    used = int((own > _SMALL * own[0]).sum())
    ahead = (u[:, 0] @ stack[:d] + vt[0] @ stack[d:]) / np.sqrt(2)
    near = np.linalg.norm(ahead) <= _NEAR * size
    part = float(np.linalg.norm(axes[used:] @ ahead)) / size if near else np.inf
    return part, float(sizes[0]) / rate - 1 if rate > 0 else np.inf
