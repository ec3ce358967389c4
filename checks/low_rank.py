"""No weights of rank <= e come near the nuclear optimum: a certificate, by minors.

The control rank[K(0); Q(0)] < rank W* (THEORY.md 4) never leaves the weights of rank <= e, since
K and Q have e columns.  So the claim is refuted, whatever the flow does, once every W with
margins >= 1 and |W|_* <= ceiling is proved to have a larger rank: for fixed vectors u_i, v_j the
matrix u_i^T W v_j of order e + 1 would be singular if rank W <= e.  Each of its entries is linear
in W and is bounded by weak duality (``certificates.linear_bound``).  Derived.
"""

from __future__ import annotations

import math

import numpy as np

from checks.certificates import OracleFailure, linear_bound
from checks.problems import Array, Constraints
from checks.rounding import down, svd, up
from checks.solutions import SvmSolution
from checks.svm import solve_svm

_SCALES = 2.0 ** np.arange(2, 26, 3)
"""Multiples of the optimal multipliers tried in each bound: they hold W to the optimal face; the
best multiple is near sqrt(1/eps), and any of them proves what it proves."""


def exceeds_rank(constraints: Constraints, nuclear: SvmSolution, columns: int, eps: float) -> bool:
    """Is every W with margins >= 1 and |W|_* <= (1 + eps) upper proved of rank > columns?

    nuclear: the certified optimum of these constraints; False proves nothing.
    """
    size = columns + 1
    u, s, vt = svd(nuclear.solution)
    if size > len(s):
        return False
    ceiling = up((1.0 + eps) * up(nuclear.upper))
    face = _Face(constraints, nuclear, ceiling)
    entries = [
        [face.interval(np.outer(u[:, i], vt[j]), i == j) for j in range(size)] for i in range(size)
    ]
    least = [entries[i][i][0] for i in range(size)]
    if not min(least) > 0.0:
        return False
    # D M D, D = diag(1/sqrt(least)), has diagonal >= 1: singular never, if it dominates its row.
    for i in range(size):
        off = 0.0
        for j in range(size):
            if j != i:
                largest = max(abs(entries[i][j][0]), abs(entries[i][j][1]))
                off = up(off + up(largest / down(math.sqrt(down(least[i] * least[j])))))
        if not off < 1.0:
            return False
    return True


class _Face:
    """Bounds of linear functions of W over {margins >= 1, |W|_* <= ceiling}."""

    def __init__(self, constraints: Constraints, nuclear: SvmSolution, ceiling: float) -> None:
        self._constraints, self._ceiling = constraints, ceiling
        self._optimal = np.maximum(nuclear.multipliers, 0.0)
        push = constraints.delta.T @ (self._optimal[:, None] * constraints.query)
        u, t, vt = svd(push)
        self._scale = float(t[0])
        # The optimal face: W = U_k H V_k^T; strict complementarity guesses k.
        s = svd(nuclear.solution)[1]
        k = max(1, int((s / s[0] > 1.0 - t / t[0]).sum()))
        self._left, self._right = u[:, :k], vt[:k].T
        self._active = np.flatnonzero(nuclear.active)
        left = constraints.delta[self._active] @ self._left
        right = constraints.query[self._active] @ self._right
        self._pushes = np.asarray(
            [self._symmetric(np.outer(a, b)) for a, b in zip(left, right, strict=True)]
        ).T

    @staticmethod
    def _symmetric(matrix: Array) -> Array:
        return np.asarray((matrix + matrix.T)[np.triu_indices(len(matrix))])

    def interval(self, functional: Array, below_only: bool) -> tuple[float, float]:
        """(lower, upper) of <functional, W>; upper is infinite where it is not asked for."""
        lower = self._below(functional)
        return lower, math.inf if below_only else -self._below(-functional)

    def _below(self, functional: Array) -> float:
        wanted = self._symmetric(self._left.T @ functional @ self._right)
        moved = np.zeros(len(self._constraints))
        # On the face <functional, W> = sum of these (1 times each): of any sign, since a large
        # multiple of the optimal multipliers is added, which costs only that multiple of eps.
        moved[self._active] = np.linalg.lstsq(self._pushes, wanted, rcond=None)[0]
        unit = self._optimal / self._scale * max(float(np.abs(functional).max()), 1e-300)
        return max(
            linear_bound(self._constraints, moved + scale * unit, functional, self._ceiling)
            for scale in _SCALES
        )


def blocks(constraints: Constraints, weights: Array) -> tuple[SvmSolution, SvmSolution]:
    """The margin problems of one factor of W = a b^T with the other held: l2 in b, l2 in a.

    Where both are solved by W itself, W is stationary for the problem min (|a|^2 + |b|^2)/2 of
    weights of rank one.  Raises :class:`~checks.certificates.OracleFailure`, NotSeparable.
    """
    u, _, vt = svd(weights)
    a, b = u[:, 0], vt[0]
    if not float(((constraints.delta @ a) * (constraints.query @ b)).min()) > 0.0:
        raise OracleFailure("the weights have no rank-one part that separates")
    return (
        solve_svm(_held(constraints, constraints.query, constraints.delta @ a), "l2"),
        solve_svm(_held(constraints, constraints.delta, constraints.query @ b), "l2"),
    )


def _held(constraints: Constraints, free: Array, held: Array) -> Constraints:
    rows = held[:, None] * free
    return Constraints(
        rows, np.ones_like(rows), constraints.sample, constraints.token, constraints.kappa
    )
