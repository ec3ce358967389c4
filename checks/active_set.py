"""Lawson and Hanson's active-set method in rationals: decides small l2 margin problems.

The dual of min |W| s.t. <G_r, W> >= 1 is max sum(lambda) - lambda^T K lambda / 2 over
lambda >= 0, K the Gram matrix of the G_r.  In floats nnls proposes its support; where rows
differ in scale by 1e8 or nearly cancel, that proposal can be wrong, and this module decides.
Lawson and Hanson, Solving Least Squares Problems, ch. 23; it ends because every pass ends at
the maximum over its support, with a larger value than the pass before.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from checks.exact import ExactFailure, IntMatrix, kernel_vector, solve

MAX_ROWS = 16
"""Largest R at which the callers try this method: a pass costs up to 10 ms there (Frobenius,
d = 8) and there are about R of them."""


@dataclass(frozen=True)
class Decided:
    """``support`` of the optimal multipliers, or ``farkas``: y >= 0 with K y = 0, y != 0."""

    support: tuple[int, ...]
    farkas: dict[int, int] | None


def decide(gram: IntMatrix, unit: int) -> Decided:
    """Decide the problem of the integer Gram matrix ``gram`` (R, R); K = gram / unit.

    K y = 0 with y >= 0 means |sum_r y_r G_r|^2 = 0: no weights separate.
    """
    count = len(gram)
    lam = [Fraction(0)] * count
    passive: list[int] = []
    while True:
        excess = {
            r: unit - sum((gram[r][s] * lam[s] for s in passive), Fraction(0))
            for r in range(count)
            if r not in passive
        }
        entering = max(excess, key=lambda r: excess[r], default=None)
        if entering is None or excess[entering] <= 0:
            return Decided(tuple(sorted(passive)), None)
        passive.append(entering)
        farkas = _climb(gram, unit, lam, passive, entering)
        if farkas is not None:
            return Decided((), farkas)


def _climb(
    gram: IntMatrix, unit: int, lam: list[Fraction], passive: list[int], entering: int
) -> dict[int, int] | None:
    """Move lam (in place) to the maximum over the span of ``passive``, dropping what turns
    negative on the way; returns a Farkas vector where the climb is unbounded."""
    while True:
        block = [[gram[r][s] for s in passive] for r in passive]
        try:
            numerators, den = solve(block, [[unit] for _ in passive])
        except ExactFailure:
            kernel = kernel_vector(block)
            if kernel is None:
                raise  # the support was independent but for the entering row: a bug
            if kernel[passive.index(entering)] < 0:
                kernel = [-x for x in kernel]
            if min(kernel) >= 0:
                return {r: x for r, x in zip(passive, kernel, strict=True) if x > 0}
            move = {r: Fraction(x) for r, x in zip(passive, kernel, strict=True)}
            step = min(-lam[r] / x for r, x in move.items() if x < 0)
        else:
            target = {r: Fraction(row[0], den) for r, row in zip(passive, numerators, strict=True)}
            move = {r: x - lam[r] for r, x in target.items()}
            blocked = [-lam[r] / move[r] for r, x in target.items() if x <= 0 and move[r] < 0]
            step = min(blocked, default=Fraction(1))
            if min(target.values()) > 0:
                step = Fraction(1)
        for r, x in move.items():
            lam[r] += step * x
        dropped = [r for r in passive if lam[r] <= 0]
        for r in dropped:
            passive.remove(r)
            lam[r] = Fraction(0)
        if not dropped:
            return None
