"""A reader of bytes: it turns a fixed number of them into small exact numbers.

Every case of the suite is decoded from bytes, because bytes are what Hypothesis shrinks
best and what a counter-based generator gives without a state.  All maps send 0 to the
simplest value and small bytes to simple values, so that shrinking ends in simple cases;
and all are total, so that any bytes of the right length mean something.
"""

from __future__ import annotations

import math
from functools import cache
from statistics import NormalDist

import numpy as np

from checks.problems import Array


class Blob:
    """Bytes read from the front.  ``Blob(None)`` reads zeros for ever and only counts."""

    def __init__(self, data: bytes | None) -> None:
        self._data = data
        self.position = 0

    def words(self, *shape: int, width: int = 1) -> Array:
        """Unsigned little-endian integers of ``width`` bytes, as int64 of the given shape.

        Raises ValueError where the bytes run out.
        """
        size = math.prod(shape) * width
        start, self.position = self.position, self.position + size
        if self._data is None:
            return np.zeros(shape, dtype=np.int64)
        if self.position > len(self._data):
            raise ValueError(f"the blob has {len(self._data)} bytes; at least {self.position} read")
        raw = np.frombuffer(self._data, dtype=f"<u{width}", count=size // width, offset=start)
        return raw.astype(np.int64).reshape(shape)

    def pick(self, choices: int) -> int:
        """One byte, reduced to 0 .. choices-1."""
        return int(self.words(1)[0]) % choices

    def finish(self) -> None:
        """Raise ValueError unless every byte has been read."""
        if self._data is not None and self.position != len(self._data):
            raise ValueError(f"the blob has {len(self._data)} bytes; expected {self.position}")


def zigzag(words: Array) -> Array:
    """0, 1, 2, 3, 4 .. -> 0, -1, 1, -2, 2 ..: small words are numbers near zero (int64)."""
    return np.asarray((words >> 1) ^ -(words & 1))


def signs(words: Array) -> Array:
    """Even -> +1.0, odd -> -1.0."""
    return np.asarray(1.0 - 2.0 * (words & 1))


@cache
def _knots() -> Array:
    """(257,) normal quantiles at i/256, the two ends at 1/1024, rounded to multiples of 2^-8."""
    normal = NormalDist()
    levels = [min(max(i / 256, 1 / 1024), 1 - 1 / 1024) for i in range(257)]
    return np.array([round(normal.inv_cdf(p) * 256) / 256 for p in levels], dtype=np.float64)


def normal_like(words: Array) -> Array:
    """16-bit words -> nearly standard normal numbers in [-3.1, 3.1], multiples of 2^-16.

    The inverse normal distribution function, linear between 257 dyadic knots: exact
    arithmetic throughout, hence the same bits on every machine.
    """
    level = zigzag(words) + 32768
    knots, cell, rest = _knots(), level >> 8, level & 255
    return np.asarray(knots[cell] + (knots[cell + 1] - knots[cell]) * (rest / 256))
