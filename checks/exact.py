"""Exact rational linear algebra on float64 data: every float is an integer times 2**-shift.

Python integers only, fraction-free elimination (Bareiss; Edmonds, J. Res. NBS 71B, 1967).
Nothing here knows about margins; nothing here rounds except the outward conversions at the
end, which say so in their names.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np

Array = np.ndarray
IntMatrix = list[list[int]]


class ExactFailure(ArithmeticError):
    """An exact computation has no answer here (singular system, no valid basis)."""


def integers(values: Array) -> tuple[IntMatrix, int]:
    """(rows of integers, shift) with ``values == rows * 2**-shift`` exactly.

    values (m, k), float64 and finite: OverflowError otherwise.
    """
    values = np.atleast_2d(np.asarray(values, dtype=np.float64))
    if not np.isfinite(values).all():
        raise OverflowError("not finite")
    fraction, exponent = np.frexp(values)
    whole = np.ldexp(fraction, 53).astype(np.int64)
    # Trailing zeros go to the exponent: short numbers give short integers.
    zeros = np.frexp((whole & -whole).astype(np.float64))[1] - 1
    used = whole != 0
    exponent = np.where(used, exponent - 53 + zeros, 0)
    whole >>= np.where(used, zeros, 0)
    shift = max(0, -int(exponent.min(initial=0)))
    return (whole.astype(object) << (exponent + shift).astype(object)).tolist(), shift


def solve(matrix: IntMatrix, rhs: IntMatrix) -> tuple[IntMatrix, int]:
    """(numerators, den > 0) with ``matrix @ numerators == den * rhs``; Bareiss elimination.

    matrix (k, k), rhs (k, c).  Raises :class:`ExactFailure` where the matrix is singular.
    """
    k = len(matrix)
    if k == 0:
        return [], 1
    work = [list(row) + list(extra) for row, extra in zip(matrix, rhs, strict=True)]
    width = len(work[0])
    previous = 1
    for c in range(k):
        at = next((i for i in range(c, k) if work[i][c]), None)
        if at is None:
            raise ExactFailure("singular system")
        work[c], work[at] = work[at], work[c]
        head = work[c]
        pivot = head[c]
        for i in range(c + 1, k):
            row = work[i]
            factor = row[c]
            # Bareiss: the division by the previous pivot is exact (Sylvester's identity).
            row[c + 1 :] = [
                (pivot * x - factor * y) // previous
                for x, y in zip(row[c + 1 :], head[c + 1 :], strict=True)
            ]
        previous = pivot
    den = previous
    numerators = [[0] * (width - k) for _ in range(k)]
    for i in range(k - 1, -1, -1):
        row = work[i]
        for c in range(width - k):
            known = sum(row[j] * numerators[j][c] for j in range(i + 1, k))
            # Cramer's rule: the numerators are integers, so this division is exact too.
            numerators[i][c] = (den * row[k + c] - known) // row[i]
    if den < 0:
        den, numerators = -den, [[-x for x in row] for row in numerators]
    return numerators, den


def kernel_vector(matrix: IntMatrix) -> list[int] | None:
    """The integer vector y != 0 with ``matrix @ y == 0``, or None unless the kernel is a line.

    matrix (m, k).
    """
    work = [list(row) for row in matrix]
    k = len(work[0]) if work else 0
    pivots: list[int] = []
    previous = 1
    top = 0
    for c in range(k):
        at = next((i for i in range(top, len(work)) if work[i][c]), None)
        if at is None:
            continue
        work[top], work[at] = work[at], work[top]
        head, pivot = work[top], work[top][c]
        for i, row in enumerate(work):
            if i != top:
                factor = row[c]
                work[i] = [
                    (pivot * x - factor * y) // previous for x, y in zip(row, head, strict=True)
                ]
        previous = pivot
        pivots.append(c)
        top += 1
    free = [c for c in range(k) if c not in pivots]
    if len(free) != 1:
        return None
    vector = [0] * k
    vector[free[0]] = previous
    for row, c in zip(work, pivots, strict=False):
        vector[c] = -row[free[0]]
    return vector


def dot(a: Sequence[int], b: Sequence[int]) -> int:
    """Sum of products of two integer sequences of equal length."""
    return sum(x * y for x, y in zip(a, b, strict=True))


def float_below(value: Fraction) -> float:
    """The largest float64 <= value (OverflowError beyond the range of float64)."""
    near = value.numerator / value.denominator
    return near if Fraction(near) <= value else math.nextafter(near, -math.inf)


def float_above(value: Fraction) -> float:
    """The smallest float64 >= value (OverflowError beyond the range of float64)."""
    return -float_below(-value)


def root_bounds(value: Fraction) -> tuple[Fraction, Fraction]:
    """Rationals around sqrt(value), relatively 2**-80 apart; value >= 0."""
    excess = value.denominator.bit_length() - value.numerator.bit_length()
    places = max(0, 160 + excess) // 2
    whole = math.isqrt((value.numerator << (2 * places)) // value.denominator)
    return Fraction(whole, 1 << places), Fraction(whole + 1, 1 << places)


def root_below(value: Fraction) -> float:
    """A float64 <= sqrt(value), within two ulps; value >= 0."""
    return float_below(root_bounds(value)[0])


def root_above(value: Fraction) -> float:
    """A float64 >= sqrt(value), within two ulps; value >= 0."""
    return float_above(root_bounds(value)[1])
