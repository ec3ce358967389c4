"""Certified intervals around the optimum of a margin problem, from any primal and dual guess.

THEORY.md 1: for any W with min_r <G_r, W> > 0 and any lambda >= 0, lambda != 0,

    sum(lambda) / N°(G(lambda))  <=  min {N(W): <G_r, W> >= 1}  <=  N(W) / min_r <G_r, W>.

Both sides are scale-free and neither asks who proposed the guess or with what status: a wrong
guess gives a wide interval, never a wrong one.  The same weak duality, with one more bound on
the weights, gives ``mixed_bound``, the certificate behind FALSIFIED.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from checks.problems import Array, Constraints
from checks.rounding import (
    FULL,
    Measured,
    Norm,
    down,
    dual_norm_above,
    gamma,
    gradient,
    least_margin,
    norm_above,
    sum_below,
    up,
)


class OracleFailure(RuntimeError):
    """The oracle could not certify an answer; callers turn it into INCONCLUSIVE."""


Half = tuple[int, int]
"""(j, sigma): coordinate j may take the sign sigma = +1 or -1; both are listed where free."""


@dataclass(frozen=True)
class Interval:
    """lower <= smallest norm at margin 1 <= upper, rounding included."""

    lower: float
    upper: float

    @property
    def width(self) -> float:
        """Relative width (upper - lower)/upper."""
        return (self.upper - self.lower) / self.upper


def upper_bound(
    constraints: Constraints, norm: Norm, primal: Array, measured: Measured | None = None
) -> float:
    """N(W)/min_r <G_r, W> from above; infinite where the least margin is not proved positive.

    primal (d,) for l1 and l2, (d, d) for frobenius and nuclear, of any positive scale.
    """
    # An entry that is not finite makes margins or their error infinite, and the difference nan.
    with np.errstate(over="ignore", invalid="ignore"):  # an overflow proves nothing: infinite
        least = least_margin(constraints, primal, measured)
        if not least > 0.0:
            return float("inf")
        bound = up(norm_above(primal, norm) / least)
    return bound if bound == bound else float("inf")


def lower_bound(
    constraints: Constraints,
    norm: Norm,
    multipliers: Array,
    halves: Sequence[Half] | None = None,
) -> float:
    """sum(lambda)/N°(G(lambda)) from below; negative multipliers count as 0; 0 if none is left.

    multipliers (R,), of any positive scale.  halves (l1 only): the signs beta may take; the
    others push nothing, so N° is the maximum of sigma G(lambda)_j over these half-lines.
    """
    kept = np.maximum(multipliers, 0.0)
    with np.errstate(over="ignore", invalid="ignore"):  # an overflow proves nothing: 0
        total = sum_below(kept)
        if not 0.0 < total < float("inf"):  # none positive, or one not finite
            return 0.0
        value, error = gradient(constraints, kept, full=norm in FULL)
        if halves is None:
            size = dual_norm_above(value, error, norm)
        else:
            size = max((up(s * float(value[j]) + float(error[j])) for j, s in halves), default=0.0)
    if not 0.0 < size < float("inf"):
        return 0.0
    return max(0.0, down(total / size))


def certify(
    constraints: Constraints,
    norm: Norm,
    primal: Array,
    multipliers: Array,
    halves: Sequence[Half] | None = None,
    measured: Measured | None = None,
) -> Interval:
    """The interval the pair (primal, multipliers) proves; derived (weak duality).

    halves (l1 only): the signs beta is frozen to; a primal that leaves them is refused.
    measured: ``rounding.margins`` of the primal, where known.

    Raises :class:`OracleFailure` where it proves nothing (no positive margin, no positive
    multiplier, non-finite numbers, or bounds that cross, which would be a bug).
    """
    if halves is not None:
        if not np.isfinite(primal).all():
            raise OracleFailure(f"{norm}: the solver's answer is not finite")
        used = {(int(j), int(np.sign(primal[j]))) for j in np.flatnonzero(primal)}
        if not used <= set(halves):
            raise OracleFailure(f"{norm}: the solver's answer leaves the frozen signs")
    upper = upper_bound(constraints, norm, primal, measured)
    lower = lower_bound(constraints, norm, multipliers, halves)
    if not (upper < float("inf") and lower > 0.0):
        raise OracleFailure(f"{norm}: the solver's answer certifies nothing")
    if lower > upper:
        raise OracleFailure(f"{norm}: certified bounds cross ({lower!r} > {upper!r}): a bug")
    return Interval(lower, upper)


def mixed_bound(
    constraints: Constraints,
    multipliers: Array,
    part: Array,
    claimed: Norm,
    closes: Norm,
    ceiling: float,
) -> float:
    """Certified lower bound of N_claimed over {W: <G_r, W> >= 1, N_closes(W) <= ceiling}.

    For any lambda >= 0 and any g1 (``part``), with g2 = G(lambda) - g1, every W of that set has
    sum(lambda) <= <G(lambda), W> <= N°_claimed(g1) N_claimed(W) + N°_closes(g2) ceiling, so
    N_claimed(W) >= (sum(lambda) - ceiling N°_closes(g2)) / N°_claimed(g1).  Derived.
    multipliers (R,); part (d,) or (d, d), the shape of W.  0 where it proves nothing.
    """
    if not (np.isfinite(multipliers).all() and np.isfinite(part).all()):
        return 0.0
    kept = np.maximum(multipliers, 0.0)
    value, error = gradient(constraints, kept, full=claimed in FULL)
    rest = value - part
    # The subtraction itself rounds, by at most one unit of its result.
    error = error + gamma(1) * np.abs(rest)
    over = up(ceiling * dual_norm_above(rest, error, closes))
    size = dual_norm_above(part, np.zeros_like(part), claimed)
    if not size > 0.0:
        return 0.0
    return max(0.0, down(down(sum_below(kept) - over) / size))


def linear_bound(
    constraints: Constraints,
    multipliers: Array,
    functional: Array,
    ceiling: float,
    norm: Norm = "nuclear",
    slack: Array | float = 0.0,
) -> float:
    """Certified lower bound of <functional, W> over {W: <G_r, W> >= 1, N(W) <= ceiling}.

    <Y, W> = <G(lambda), W> - <G(lambda) - Y, W> >= sum(lambda) - ceiling N°(G(lambda) - Y) for
    any lambda >= 0 (negative entries count as 0).  Derived; -inf where it proves nothing.
    multipliers (R,); functional Y of the shape of W, known up to ``slack`` in each entry.
    """
    kept = np.maximum(multipliers, 0.0)
    if not (np.isfinite(kept).all() and np.isfinite(functional).all()):
        return -np.inf
    value, error = gradient(constraints, kept, full=norm in FULL)
    rest = value - functional
    error = error + gamma(1) * np.abs(rest) + slack
    over = up(ceiling * dual_norm_above(rest, error, norm))
    return down(sum_below(kept) - over)
