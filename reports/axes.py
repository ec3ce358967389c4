"""Scales and ticks of the plots: numbers to SVG units, and where to put a label."""

from __future__ import annotations

import math
from dataclasses import dataclass

from reports.text import number, power_of_ten


@dataclass(frozen=True)
class Scale:
    """Maps [lo, hi] to [start, end] (SVG units): linearly, in log10, or (``signed``) like
    asinh, which is linear around 0 and logarithmic far from it.  lo < hi."""

    lo: float
    hi: float
    start: float
    end: float
    log: bool = False
    signed: bool = False

    @classmethod
    def over(
        cls,
        values: list[float],
        start: float,
        end: float,
        *,
        log: bool = False,
        snug: bool = False,
        signed: bool = False,
    ) -> Scale:
        """A scale that holds every value (for ``log``: up to 1e307, from 1e-307 on), widened to its
        ticks unless ``snug``.

        ``values`` is not empty; for ``log`` all are positive.  ``signed`` is taken up only by
        values that a linear scale would crowd: a range of more than 200.
        """
        lo, hi = min(values), max(values)
        if signed and hi / 2 - lo / 2 > 100:
            return cls(lo, hi, start, end, signed=True)
        if log:
            low, high = math.floor(math.log10(lo)), math.ceil(math.log10(hi))
            # 1e-323 and 1e308 are the ends of float64: one decade inside stays representable
            low = min(max(low, -307), 306)
            high = min(max(high, low + 1), 307)
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
        if self.log or self.signed:
            read = math.log10 if self.log else math.asinh
            low = read(self.lo)
            share = (read(value) - low) / (read(self.hi) - low)
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
        if self.signed:
            return self._signed_ticks(most)
        step = _step(self.lo, self.hi, most)
        first = math.ceil(self.lo / step - 1e-9)  # 1e-9 of a step: a tick on the edge counts
        marks = []
        for i in range(first, first + most + 2):
            value = i * step
            if value <= self.hi + 1e-9 * step:
                marks.append((self.at(value), number(value, 4)))
        return marks

    def _signed_ticks(self, most: int) -> list[tuple[float, str]]:
        """0 and powers of ten of either sign, thinned from the largest down."""
        top = max(abs(self.lo), abs(self.hi))
        powers = range(1, math.floor(math.log10(top)) + 1)
        every = max(1, math.ceil(len(powers) / max(1, most - 2)))
        values = [0.0, *(sign * 10.0**p for p in powers[::-1][::every] for sign in (1, -1))]
        inside = sorted(v for v in values if self.lo <= v <= self.hi)
        return [(self.at(v), number(v, 1) if abs(v) < 1e3 else _power(v)) for v in inside]


def _power(value: float) -> str:
    sign = "−" if value < 0 else ""
    return sign + power_of_ten(round(math.log10(abs(value))))


def _step(lo: float, hi: float, most: int = 6) -> float:
    """The smallest of 1, 2, 5 times a power of ten with at most ``most`` steps in [lo, hi]."""
    rough = max((hi / most - lo / most), 1e-300)
    base = 10.0 ** math.floor(math.log10(rough))
    return next((m * base for m in (1.0, 2.0, 5.0) if m * base >= rough), 10.0 * base)
