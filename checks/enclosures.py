"""Linear systems of integers solved to some 60 digits, with a proved bound of what is missing.

An optimum proved by strict signs needs no more than that; the solution as a fraction has hundreds
of times more digits and takes as much longer.  Floats invert, integers evaluate the residuals:

    |I - C A| <= D < 1 in the maximum norm, so that |x - y| <= |C| |b - A y| / (1 - D) for any y

(Rump, Acta Numerica 19, 2010, section 10; iterative refinement, Wilkinson).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from checks.exact import ExactFailure
from checks.rounding import gamma

Array = np.ndarray

BITS = 256
"""Bits of the largest entry of the solution that are asked for, and"""

ENOUGH = 160
"""that must be proved; an ill-conditioned system gives up the difference, 1e29."""

ROUNDS = 24
"""A round gains 53 bits less those of the condition number: at the least 12, or it is given up."""

TINY = 2.0**-1000
"""More than what underflow takes from a few entries of size below 1."""


@dataclass(frozen=True, eq=False)
class Near:
    """A float64 image of an integer matrix: |A - 2**exponent values| <= 2**exponent error."""

    values: Array
    error: Array
    exponent: int

    @classmethod
    def of(cls, matrix: Array) -> Near:
        """matrix: object array of Python integers, not all 0."""
        exponent = max(int(x).bit_length() for x in matrix.flat)
        unit = 1 << exponent
        values = np.array([x / unit for x in matrix.flat], dtype=np.float64).reshape(matrix.shape)
        return cls(values, 2.0**-53 * np.abs(values) + TINY, exponent)

    @property
    def gram(self) -> Near:
        """Of A A^T."""
        size = np.abs(self.values)
        spread = gamma(self.values.shape[1] + 4) * (size @ size.T) + size.shape[1] * 4.0 * TINY
        return Near(self.values @ self.values.T, spread, 2 * self.exponent)


@dataclass(frozen=True, eq=False)
class Enclosure:
    """|x - near * 2**-shift| <= error * 2**-shift in every entry; near: object array (k,)."""

    near: Array
    error: int
    shift: int


def enclose(apply: Callable[[Array], Array], matrix: Near, rhs: Array) -> Enclosure:
    """The solution of A x = rhs; ``apply`` is A y, exactly, for an object array (k,) of integers.

    Raises ExactFailure where the system is too ill-conditioned (or singular) for a proof.
    """
    try:
        inverse = np.linalg.inv(matrix.values)
    except np.linalg.LinAlgError as failure:
        raise ExactFailure("singular in floats") from failure
    size, k = np.abs(inverse), len(rhs)
    if not np.isfinite(size).all():
        raise ExactFailure("singular in floats")
    rest = np.abs(np.eye(k) - inverse @ matrix.values) + size @ matrix.error
    rest += gamma(k + 2) * (size @ np.abs(matrix.values) + np.eye(k))
    defect = float(rest.sum(axis=1).max()) * (1.0 + gamma(2 * k))
    if not defect < 0.5:
        raise ExactFailure("too ill-conditioned")
    length = Fraction(float(size.sum(axis=1).max()) * (1.0 + gamma(k)))
    length /= (1 - Fraction(defect)) * (1 << matrix.exponent)

    first = inverse @ np.array(rhs, dtype=np.float64)
    shift = max(0, BITS + matrix.exponent - math.frexp(float(np.abs(first).max()))[1])
    near = np.array([0] * k, dtype=object)
    residual, target = rhs << shift, rhs << shift
    bits = _bits(residual)
    for _ in range(ROUNDS):
        near = near + _scaled(inverse, residual, bits, matrix.exponent)
        residual = target - apply(near)
        before, bits = bits, _bits(residual)
        if bits > before - 12:
            break
    error = math.ceil(length * max(abs(x) for x in residual))
    if error << ENOUGH > max(abs(x) for x in near):
        raise ExactFailure("too ill-conditioned")
    return Enclosure(near, error, shift)


def _bits(values: Array) -> int:
    return max(int(x).bit_length() for x in values)


def _scaled(inverse: Array, residual: Array, bits: int, exponent: int) -> Array:
    """inverse @ residual / 2**exponent in integers, right to 50 bits or so."""
    unit = 1 << bits
    step = inverse @ np.array([x / unit for x in residual], dtype=np.float64)
    own = math.frexp(float(np.abs(step).max()))[1]
    whole = np.rint(np.ldexp(step, 53 - own)).astype(np.int64).astype(object)
    move = bits - exponent - 53 + own
    return whole << move if move >= 0 else whole >> -move
