"""All optima of a nuclear margin problem whose dual optimum is a simple matrix: decided exactly.

Generic data have one optimum, which checks.nuclear_faces proves.  Data with several are special
(single entries, orthonormal tokens, small integers), and there the optimal M = G(lambda) is as
a rule a matrix of simple fractions.  Guess it, and all the rest is linear algebra in rationals.
Derived:

1. lambda >= 0 with G(lambda) = M and I - M^T M >= 0 is dual feasible.
2. Any W has |W|_* >= <M, W>, and equality iff W = M H with H = M^T W >= 0.  So W with margins
   >= 1 is optimal, with |W|_* = tr H = sum(lambda), once H >= 0, M H = W, and the margins of the
   rows with lambda_r > 0 are exactly 1.
3. By the same token *every* optimum is M H with H symmetric, M^T M H = H, and <G_r, M H> = 1 on
   those rows: linear equations.  One solution: the optimum is unique.  A second one that is also
   feasible: it is not, and here is another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from checks.exact_data import ExactConstraints
from checks.optima import Uniqueness
from checks.problems import Array, Constraints
from checks.rounding import svd

Rational = list[list[Fraction]]

LARGEST_DIM, LARGEST_ROWS = 8, 64
"""Sizes up to which it is tried: a second of fractions there at the worst."""

DENOMINATOR = 64
"""Largest denominator of an entry of M that counts as simple."""

CLOSE = 1e-9
"""How near M must be to such a matrix: it is known to 1e-12 or so, and of d^2 random entries each
is that near to one of the 1,300 fractions between 0 and 1 with chance 3e-6."""

HALVINGS = 40
"""Of the step towards another optimum."""


@dataclass(frozen=True)
class Optima:
    """Optimal weights, exactly; ``second`` is another optimum, None where ``first`` is the only
    one.  dual: lambda, exactly, a certificate for both (point 2 above)."""

    first: Rational
    second: Rational | None
    dual: list[Fraction]

    @property
    def unique(self) -> Uniqueness:
        return "proved" if self.second is None else "disproved"


def exact_optima(constraints: Constraints, weights: Array, multipliers: Array) -> Optima | None:
    """From a nearly optimal pair (d, d), (R,): exact optima, or None where nothing is proved."""
    count, dim = constraints.delta.shape
    if dim > LARGEST_DIM or count > LARGEST_ROWS or not np.isfinite(weights).all():
        return None
    push = constraints.delta.T @ (multipliers[:, None] * constraints.query)
    top = float(svd(push)[1].max(initial=0.0))
    if not 0.0 < top < np.inf:
        return None
    simple = _simple(push / top)
    if simple is None:
        return None
    data = ExactConstraints.of(constraints, full=True)
    assert data.right is not None
    unit = Fraction(1, 1 << data.shift)
    matrices = [
        [[unit * x * y for y in right] for x in left]
        for left, right in zip(data.left, data.right, strict=True)
    ]
    dual = _dual(matrices, simple, multipliers / top)
    if dual is None:
        return None
    return _primal(matrices, simple, dual, weights / float(_margins(constraints, weights).min()))


def _margins(constraints: Constraints, weights: Array) -> Array:
    return np.asarray(((constraints.delta @ weights) * constraints.query).sum(axis=1))


def _simple(matrix: Array) -> Rational | None:
    """The matrix of simple fractions that this one is, within CLOSE; |M| <= 1, exactly."""
    found = [[Fraction(x).limit_denominator(DENOMINATOR) for x in row] for row in matrix.tolist()]
    if np.abs(np.array(found, dtype=np.float64) - matrix).max() > CLOSE:
        return None
    square = _product(_transposed(found), found)
    rest = [[int(i == j) - x for j, x in enumerate(row)] for i, row in enumerate(square)]
    return found if is_semidefinite(rest) else None


def _dual(matrices: Sequence[Rational], push: Rational, near: Array) -> list[Fraction] | None:
    """lambda >= 0 with G(lambda) = push, near ``near``, positive only where that is."""
    used = np.flatnonzero(near > CLOSE * near.max()).tolist()
    flat = [[x for row in matrices[r] for x in row] for r in used]
    goal = [x for row in push for x in row]
    equations = [[*column, x] for column, x in zip(zip(*flat, strict=True), goal, strict=True)]
    solved = solutions(equations, near[used].tolist())
    if solved is None or min(solved[0]) < 0:
        return None
    dual = [Fraction(0)] * len(matrices)
    for r, x in zip(used, solved[0], strict=True):
        dual[r] = x
    return dual


def _primal(
    matrices: Sequence[Rational], push: Rational, dual: list[Fraction], near: Array
) -> Optima | None:
    """Points 2 and 3 of the module's text, near the float optimum."""
    dim = len(push)
    pairs = [(i, j) for i in range(dim) for j in range(i + 1)]
    pulled = [_product(_transposed(push), matrix) for matrix in matrices]  # <G_r, M H> = <., H>
    square = _product(_transposed(push), push)
    equations = []
    for i in range(dim):
        for j in range(dim):  # (M^T M H - H)_ij = 0
            row = dict.fromkeys(pairs, Fraction(0))
            for k in range(dim):
                row[max(k, j), min(k, j)] += square[i][k]
            row[max(i, j), min(i, j)] -= 1
            equations.append([*row.values(), Fraction(0)])
    for r, y in enumerate(dual):
        if y > 0:
            equations.append([*_symmetric(pulled[r], pairs), Fraction(1)])
    float_push = np.array(push, dtype=np.float64)
    guess = float_push.T @ near
    solved = solutions(equations, [float(guess[i, j] + guess[j, i]) / 2 for i, j in pairs])
    if solved is None:
        return None
    first, moves = solved
    limits = [_symmetric(matrix, pairs) for matrix in pulled]

    def feasible(entries: Sequence[Fraction]) -> bool:
        return min(_dot(row, entries) for row in limits) >= 1 and is_semidefinite(
            _matrix(entries, pairs, dim)
        )

    if not feasible(first):
        return None
    weights = _product(push, _matrix(first, pairs, dim))
    if not moves:
        return Optima(weights, None, dual)
    for move in moves:
        for sign in (1, -1):
            for halvings in range(HALVINGS):
                step = Fraction(sign, 1 << halvings)
                second = [x + step * y for x, y in zip(first, move, strict=True)]
                if feasible(second):
                    return Optima(weights, _product(push, _matrix(second, pairs, dim)), dual)
    return None  # the face may still be a point: its other directions are not tried


def solutions(
    equations: list[list[Fraction]], near: Sequence[float]
) -> tuple[list[Fraction], list[list[Fraction]]] | None:
    """(x, basis of the kernel) of the linear equations [a | b], a x = b: the solution that agrees
    with ``near`` in the free unknowns.  None where there is none."""
    count = len(near)
    work = [list(row) for row in equations]
    pivots: list[int] = []
    for c in range(count):
        top = len(pivots)
        at = next((i for i in range(top, len(work)) if work[i][c]), None)
        if at is None:
            continue
        work[top], work[at] = work[at], work[top]
        head = work[top] = [x / work[top][c] for x in work[top]]
        for i, row in enumerate(work):
            if i != top and row[c]:
                factor = row[c]
                work[i] = [x - factor * y for x, y in zip(row, head, strict=True)]
        pivots.append(c)
    if any(row[count] for row in work[len(pivots) :]):
        return None
    free = [c for c in range(count) if c not in pivots]
    found = [Fraction(x) for x in near]
    for row, c in zip(work, pivots, strict=False):
        found[c] = row[count] - sum((row[f] * found[f] for f in free), Fraction(0))
    kernel = []
    for f in free:
        vector = [Fraction(int(c == f)) for c in range(count)]
        for row, c in zip(work, pivots, strict=False):
            vector[c] = -row[f]
        kernel.append(vector)
    return found, kernel


def is_semidefinite(matrix: Rational) -> bool:
    """Is this symmetric matrix positive semidefinite?  By elimination: a pivot 0 has a row 0."""
    work = [list(row) for row in matrix]
    for c in range(len(work)):
        pivot = work[c][c]
        if pivot < 0 or (pivot == 0 and any(work[c][c:])):
            return False
        if pivot == 0:
            continue
        for i in range(c + 1, len(work)):
            factor = work[i][c] / pivot
            work[i] = [x - factor * y for x, y in zip(work[i], work[c], strict=True)]
    return True


def _matrix(entries: Sequence[Fraction], pairs: list[tuple[int, int]], dim: int) -> Rational:
    table = dict(zip(pairs, entries, strict=True))
    return [[table[max(i, j), min(i, j)] for j in range(dim)] for i in range(dim)]


def _symmetric(matrix: Rational, pairs: list[tuple[int, int]]) -> list[Fraction]:
    """The coefficients of <matrix, H> in the entries of a symmetric H."""
    return [matrix[i][j] + matrix[j][i] if i != j else matrix[i][i] for i, j in pairs]


def _transposed(matrix: Rational) -> Rational:
    return [list(column) for column in zip(*matrix, strict=True)]


def _product(a: Rational, b: Rational) -> Rational:
    columns = _transposed(b)
    return [[_dot(row, column) for column in columns] for row in a]


def _dot(a: Sequence[Fraction], b: Sequence[Fraction]) -> Fraction:
    return sum((x * y for x, y in zip(a, b, strict=True)), Fraction(0))
