"""Proved optima of the l1, l2 and Frobenius margin problems, and what proves them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import numpy as np

from checks.certificates import Half
from checks.problems import Array

Uniqueness = Literal["proved", "disproved", "undetermined"]


@dataclass(frozen=True)
class L1Basis:
    """A proposal: ``rows`` of margin exactly 1 and the half-lines that carry beta."""

    rows: tuple[int, ...]
    support: tuple[Half, ...]


@dataclass(frozen=True, eq=False)
class ExactOptimum:
    """A proved optimum.

    primal (d,) or (d, d) and multipliers (R,): the exact ones to 40 digits, rounded once.
    bounds: below and above the optimum (l1) or its square (l2, frobenius), at most 2**-100 of it
    apart.  value(): that number itself; where the bounds differ it takes its time.
    """

    primal: Array
    multipliers: Array
    bounds: tuple[Fraction, Fraction]
    value: Callable[[], Fraction]
    unique: Uniqueness


def spread(size: int, places: Sequence[int], numerators: Sequence[int], den: int) -> Array:
    """(size,) zeros but for numerators/den, correctly rounded, at ``places``."""
    spread = np.zeros(size)
    for place, numerator in zip(places, numerators, strict=True):
        spread[place] = numerator / den
    return spread
