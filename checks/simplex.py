"""A dense simplex method from a feasible origin, in float64 or in exact integers.

    maximise  c.x   subject to  M x <= rhs,  x >= 0,   with rhs >= 0.

The dual of every l1 margin problem has this form, and so have the questions "separable?"
and "unique?".  One algorithm serves twice: in float64 it *proposes* a basis, which
``checks.basis`` then proves or refutes in rationals; on integers (object arrays) it *decides*,
by integer pivoting (Edmonds; as in lrs) and Bland's rule, which cannot cycle.
Own code rather than HiGHS: no banner on stdout, no global thread pool, the same basis on
every machine, and 0.2 ms where highspy takes 0.5 ms; HiGHS is the reference in the tests.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

Array = np.ndarray

FLOAT_ZERO = 1e-10
"""Entries of a float tableau below this count as 0.  Rounding in a tableau scaled to unit
entries is about 1e-16 a pivot and 1e2 pivots; a wrong guess only costs the exact fallback."""


@dataclass(frozen=True)
class Vertex:
    """Where the simplex method stopped.

    ``basic``: indices of the basic variables, ``nonbasic``: of the others; 0..n-1 are x,
    n..n+m-1 the slacks of M x <= rhs.  ``values`` belong to ``basic`` and ``costs`` (reduced
    costs >= 0 at an optimum: the dual variables) to ``nonbasic``, both over the common
    denominator ``den``.  ``ray`` (n,): where unbounded, a direction x >= 0 with M x <= 0 and
    c.x > 0; else None.
    """

    status: Literal["optimal", "unbounded", "stalled"]
    basic: list[int]
    nonbasic: list[int]
    values: Array
    costs: Array
    den: int | float
    ray: Array | None


def _leaving(tableau: Array, c: int, basic: list[int], bland: bool) -> int | None:
    """Row of the smallest ratio rhs/entry over positive entries; ties by index or pivot."""
    if tableau.dtype != object:
        return _leaving_in_floats(tableau[:-1, c], tableau[:-1, -1], basic, bland)
    best: int | None = None
    for i in np.flatnonzero(tableau[:-1, c] > 0):
        if best is None:
            best = int(i)
            continue
        # ratio_i < ratio_best, without a division
        left = tableau[i, -1] * tableau[best, c]
        right = tableau[best, -1] * tableau[i, c]
        better = basic[i] < basic[best] if bland else tableau[i, c] > tableau[best, c]
        if left < right or (left == right and better):
            best = int(i)
    return best


def _leaving_in_floats(column: Array, rhs: Array, basic: list[int], bland: bool) -> int | None:
    (rows,) = (column > FLOAT_ZERO).nonzero()
    if len(rows) == 0:
        return None
    ratios = rhs[rows] / column[rows]
    tied = rows[ratios == ratios.min()]
    if len(tied) == 1:
        return int(tied[0])
    if bland:
        return int(min(tied, key=lambda i: basic[i]))
    return int(tied[column[tied].argmax()])


def _pivot(tableau: Array, r: int, c: int, den: int | float, room: Array) -> int | float:
    """One condensed pivot in place; returns the new common denominator.  room: scratch space."""
    pivot = tableau[r, c]
    row, column = tableau[r].copy(), tableau[:, c].copy()
    if tableau.dtype == object:
        tableau[:] = (tableau * pivot - np.multiply.outer(column, row)) // den
        tableau[r], tableau[:, c] = row, -column
        tableau[r, c] = den
        return int(pivot)
    row /= pivot
    tableau -= np.multiply.outer(column, row, out=room)
    tableau[r], tableau[:, c] = row, -column / pivot
    tableau[r, c] = 1.0 / pivot
    return 1.0


def maximise(objective: Array, matrix: Array, rhs: Array, max_pivots: int = 2000) -> Vertex:
    """Run the simplex method; exact iff ``matrix`` has dtype object (Python integers).

    objective (n,), matrix (m, n), rhs (m,) >= 0.  ``stalled`` where max_pivots ran out.
    """
    exact = matrix.dtype == object
    m, n = matrix.shape
    tableau = np.zeros((m + 1, n + 1), dtype=object if exact else np.float64)
    tableau[:m, :n], tableau[:m, n], tableau[m, :n] = matrix, rhs, -objective
    room = np.empty_like(tableau)
    zero = 0 if exact else FLOAT_ZERO
    nonbasic, basic = list(range(n)), list(range(n, n + m))
    den: int | float = 1 if exact else 1.0
    for count in range(max_pivots):
        costs = tableau[m, :n]
        c = int(costs.argmin()) if n else -1
        if c < 0 or not costs[c] < -zero:
            return Vertex("optimal", basic, nonbasic, tableau[:m, n], costs, den, None)
        # Largest coefficient first (few pivots); Bland's rule once that may be cycling.
        bland = count > 4 * (m + n)
        if bland:
            c = int(min(np.flatnonzero(costs < -zero), key=lambda j: nonbasic[j]))
        r = _leaving(tableau, c, basic, bland)
        if r is None:
            ray = np.zeros(n, dtype=tableau.dtype)
            for i, variable in enumerate(basic):
                if variable < n:
                    ray[variable] = -tableau[i, c]
            if nonbasic[c] < n:
                ray[nonbasic[c]] = den
            return Vertex("unbounded", basic, nonbasic, tableau[:m, n], costs, den, ray)
        den = _pivot(tableau, r, c, den, room)
        basic[r], nonbasic[c] = nonbasic[c], basic[r]
    return Vertex("stalled", basic, nonbasic, tableau[:m, n], tableau[m, :n], den, None)
