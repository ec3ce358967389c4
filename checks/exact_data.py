"""Margin constraints as integers: what tokens and queries are, not what rounding made of them.

``Constraints.delta`` and ``rows`` are rounded; here the differences x_opt - x_l, their products
with the queries and their inner products are formed exactly, as integers times a power of two.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from checks.exact import IntMatrix, dot, integers
from checks.problems import Constraints


@dataclass(frozen=True, eq=False)
class ExactConstraints:
    """The G_r times 2**shift as integers: ``left`` (R, d) holds a_r = delta_r * z_i (diagonal),
    or delta_r with ``right`` (R, d) the queries (full)."""

    left: IntMatrix
    right: IntMatrix | None
    shift: int

    @classmethod
    def of(cls, constraints: Constraints, full: bool) -> ExactConstraints:
        """OverflowError where a number is not finite."""
        left, left_shift = _differences(constraints)
        right, right_shift = integers(constraints.query)
        shift = left_shift + right_shift
        if full:
            return cls(left, right, shift)
        product = np.array(left, dtype=object) * np.array(right, dtype=object)
        return cls(product.tolist(), None, shift)

    def gram(self, some: Sequence[int]) -> IntMatrix:
        """<G_r, G_s> times 4**shift for r, s in ``some``."""
        rows = [self.left[r] for r in some]
        if self.right is None:
            return [[dot(a, b) for b in rows] for a in rows]
        kinds = [tuple(self.right[r]) for r in some]  # one sample's rows share their query
        inner = {(a, b): dot(a, b) for a in set(kinds) for b in set(kinds)}
        return [
            [dot(a, b) * inner[p, q] for b, q in zip(rows, kinds, strict=True)]
            for a, p in zip(rows, kinds, strict=True)
        ]

    def push(self, some: Sequence[int], weights: Sequence[int]) -> IntMatrix:
        """Sum over ``some`` of weights_r G_r times 2**shift: d rows, or (diagonal) one of d."""
        columns = list(zip(*(self.left[r] for r in some), strict=True))
        if self.right is None:
            return [[dot(weights, column) for column in columns]]
        right = self.right
        pulled = [[w * x for x in right[r]] for w, r in zip(weights, some, strict=True)]
        across = list(zip(*pulled, strict=True))
        return [[dot(a, b) for b in across] for a in columns]

    def margins(self, weights: IntMatrix) -> list[int]:
        """<G_r, W> times 2**shift for all r; integer weights of the form of ``push``."""
        if self.right is None:
            return [dot(row, weights[0]) for row in self.left]
        pulled: dict[tuple[int, ...], list[int]] = {}
        for z in map(tuple, self.right):
            if z not in pulled:
                pulled[z] = [dot(row, z) for row in weights]
        return [dot(a, pulled[tuple(z)]) for a, z in zip(self.left, self.right, strict=True)]


def _differences(constraints: Constraints) -> tuple[IntMatrix, int]:
    """(R rows of d integers, shift): delta + low = rows * 2**-shift, exactly."""
    high, shift = integers(constraints.delta)
    if not constraints.low.any():
        return high, shift
    low, finer = integers(constraints.low)
    common = max(shift, finer)
    up, down = common - shift, common - finer
    total = (np.array(high, dtype=object) << up) + (np.array(low, dtype=object) << down)
    return total.tolist(), common
