"""Scales and ticks of the plots: numbers to SVG units, and where to put a label."""

from __future__ import annotations

import math
from dataclasses import dataclass

from reports.text import number, power_of_ten


@dataclass(frozen=True)
class Scale:
    """Maps [lo, hi] to [start, end] (SVG units), linearly or in log10.  lo < hi."""

    lo: float
    hi: float
    start: float
    end: float
    log: bool = False

    @classmethod
    def over(
        cls, values: list[float], start: float, end: float, *, log: bool = False, snug: bool = False
    ) -> Scale:
        """A scale that holds every value, widened to its ticks unless ``snug``.

        ``values`` is not empty; for ``log`` all are positive.
        """
        lo, hi = min(values), max(values)
        if log:
            low, high = math.floor(math.log10(lo)), math.ceil(math.log10(hi))
            # 1e-323 and 1e308 are the ends of float64: one decade inside stays representable
            low, high = max(low, -307), min(max(high, low + 1), 307)
            return cls(10.0**low, 10.0**high, start, end, log=True)
        # 1e-12: a spread that rounding could have made, or too small for float64 to divide
        size = max(abs(lo), abs(hi))
        if hi / 2 - lo / 2 <= 1e-12 * max(size, 1e-200):
            reach = size / 2 if size > 1e-200 else 1.0
            lo, hi = lo - reach, hi + reach
        if not snug:
            step = _step(lo, hi)
            lo, hi = math.floor(lo / step) * step, math.ceil(hi / step) * step
        return cls(lo, hi, start, end)

    def at(self, value: float) -> float:
        """Position of ``value``; outside [lo, hi] clipped to the nearer end."""
        value = min(max(value, self.lo), self.hi)
        if self.log:
            low = math.log10(self.lo)
            share = (math.log10(value) - low) / (math.log10(self.hi) - low)
        else:
            # halved first: hi - lo overflows for data near the ends of float64
            share = (value / 2 - self.lo / 2) / (self.hi / 2 - self.lo / 2)
        return self.start + min(max(share, 0.0), 1.0) * (self.end - self.start)

    def ticks(self, most: int = 6) -> list[tuple[float, str]]:
        """(position, label) of at most about ``most`` ticks."""
        if self.log:
            low, high = round(math.log10(self.lo)), round(math.log10(self.hi))
            every = max(1, math.ceil((high - low) / (most - 1)))
            powers = range(high, low - 1, -every)
            return [(self.at(10.0**p), "1" if p == 0 else power_of_ten(p)) for p in powers]
        step = _step(self.lo, self.hi, most)
        first = math.ceil(self.lo / step - 1e-9)  # 1e-9 of a step: a tick on the edge counts
        marks = []
        for i in range(first, first + most + 2):
            value = i * step
            if value <= self.hi + 1e-9 * step:
                marks.append((self.at(value), number(value, 4)))
        return marks


def _step(lo: float, hi: float, most: int = 6) -> float:
    """The smallest of 1, 2, 5 times a power of ten with at most ``most`` steps in [lo, hi]."""
    rough = max((hi / most - lo / most), 1e-300)
    base = 10.0 ** math.floor(math.log10(rough))
    return next((m * base for m in (1.0, 2.0, 5.0) if m * base >= rough), 10.0 * base)
