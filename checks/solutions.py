"""One margin problem solved: what is proved of it, and how it is put together."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property, partial
from typing import Literal

import numpy as np

from checks.certificates import Half, Interval, OracleFailure
from checks.exact import float_above, float_below, root_above, root_below
from checks.optima import ExactOptimum, Uniqueness
from checks.outcomes import Optimum
from checks.problems import Array, Constraints
from checks.rational_bounds import certify_exactly
from checks.rounding import FULL, TINY, Measured, Norm, margins

Proof = Literal["exact", "rigorous", "float"]

WIDEST = 1e-9
"""Widest relative interval handed out: three decades below the smallest gap (1e-6) that any
claim is held to, so that the oracle's own uncertainty never decides a verdict."""

NARROW = 1e-12
"""The relative width promised; a wider interval is handed out with status "wide"."""

EXACT_DIM = 32
"""Entries of the weights (d, or d^2 of a matrix) up to which a proof in rationals is the default.
It takes 1.5 ms at 24 x 16, 5 at 60 x 32, 8 at 120 x 32 on random floats, by strict signs
(checks.strict_signs); ties take fractions, 70 ms at 60 x 32 for numbers of that many digits."""

EXACT_ENTRIES = 4096
"""And R * d up to which it is: with ties, 0.2 s (l1), 0.4 s (l2) there, for random floats."""

EXACT_ROWS = 10
"""Frobenius, beyond those dimensions: the R up to which it is (its integers are twice as long:
8 ms at R = 15, d = 8; 70 at R = 24, d = 16)."""

DECIDE_ENTRIES = 400
"""R * d up to which integers decide, unasked, what the floats' proposal does not prove."""


@dataclass(frozen=True, eq=False)
class SvmSolution:
    """One margin problem solved.

    solution: (d,) for l1, l2; (d, d) for frobenius, nuclear; margin 1 up to rounding.
    multipliers (R,) >= 0, summing to the optimum (l1, nuclear) or its square (l2, frobenius).
    lower <= smallest norm at margin 1 <= upper, always, for tokens and queries as given: the
    rounding of their differences is included.  proof "exact": decided in rationals, ``value`` is
    the optimum (l1) or its square (l2, frobenius) and the interval is one or two ulps wide;
    "rigorous": weak duality with rounding bounds, or evaluated in rationals; "float": unproved
    (never handed out by this module).  status "optimal" (exact), "certified" (width at most
    ``NARROW``) or "wide".  unique: of the optimal weights.  active (R,): margin 1 within the
    rounding error of the margins.  sign (d,): the frozen orthant of ``solve_signed_l1``, else
    None.
    """

    norm: Norm
    solution: Array
    multipliers: Array
    optimum: float
    lower: float
    upper: float
    proof: Proof
    unique: Uniqueness
    active: Array
    solver: str
    status: str
    sign: Array | None = None
    fraction: Callable[[], Fraction] | None = None

    @cached_property
    def value(self) -> Fraction | None:
        """The optimum (l1) or its square (l2, frobenius) where the proof is exact, else None.

        Computed when first asked for: 40 ms at 120 x 32 (l1), a quarter of a second (l2).
        """
        return None if self.fraction is None else self.fraction()

    @property
    def width(self) -> float:
        """(upper - lower)/upper."""
        return (self.upper - self.lower) / self.upper

    @property
    def record(self) -> Optimum:
        """How this optimum is known, for the evidence."""
        return Optimum(self.norm, self.proof, self.unique, self.width, self.solver)

    @property
    def gamma(self) -> float:
        """gamma* = 1/optimum, the best normalised margin."""
        return 1.0 / self.optimum


def active_rows(computed: Array, error: Array) -> Array:
    """Margins within their rounding error of the least one (twice: the weights round too)."""
    return np.asarray(computed - computed.min() <= 2.0 * error + 2.0 * error[computed.argmin()])


def from_proof(
    constraints: Constraints, norm: Norm, found: ExactOptimum, solver: str, sign: Array | None
) -> SvmSolution:
    if norm == "l1":
        lower, upper = float_below(found.bounds[0]), float_above(found.bounds[1])
    else:
        lower, upper = root_below(found.bounds[0]), root_above(found.bounds[1])
    return SvmSolution(
        norm=norm,
        solution=found.primal,
        multipliers=found.multipliers,
        optimum=upper,
        lower=lower,
        upper=upper,
        proof="exact",
        unique=found.unique,
        active=active_rows(*margins(constraints, found.primal)),
        solver=solver,
        status="optimal",
        sign=sign,
        fraction=found.value,
    )


def exact_by_default(constraints: Constraints, norm: Norm) -> bool:
    """Is the optimum proved in rationals unless asked otherwise?"""
    count, dim = constraints.delta.shape
    if norm in FULL and dim**2 > EXACT_DIM:
        return count <= EXACT_ROWS
    return dim <= EXACT_DIM and count * dim <= EXACT_ENTRIES


def grade(interval: Interval) -> str:
    """The status of a solution certified by an interval."""
    return "certified" if interval.width <= NARROW else "wide"


def narrowed(
    constraints: Constraints,
    norm: Norm,
    primal: Array,
    multipliers: Array,
    interval: Interval,
    halves: Sequence[Half] | None = None,
    force: bool = False,
) -> Interval:
    """The interval, evaluated in rationals where rounding bounds leave it too wide."""
    if interval.width <= NARROW and not force:
        return interval
    exact = certify_exactly(constraints, norm, primal, multipliers, halves)
    return Interval(max(interval.lower, exact.lower), min(interval.upper, exact.upper))


def from_interval(
    constraints: Constraints,
    norm: Norm,
    primal: Array,
    multipliers: Array,
    interval: Interval,
    unique: Uniqueness,
    solver: str,
    sign: Array | None = None,
    measured: Measured | None = None,
) -> SvmSolution:
    """Scale primal to margin 1 and multipliers to the optimum; refuse too wide an interval."""
    if not interval.width <= WIDEST:
        raise OracleFailure(f"{norm}: certified interval too wide ({interval.width:.1e})")
    computed, error = measured or margins(constraints, primal)
    kept = np.maximum(multipliers, 0.0)
    total = interval.upper if norm in ("l1", "nuclear") else interval.upper**2
    return SvmSolution(
        norm=norm,
        solution=primal / float(computed.min()),
        multipliers=kept * (total / kept.sum()),
        optimum=0.5 * (interval.lower + interval.upper),
        lower=interval.lower,
        upper=interval.upper,
        proof="rigorous",
        unique=unique,
        active=active_rows(computed, error),
        solver=solver,
        status=grade(interval),
        sign=sign,
    )


USUAL = 2.0**200
"""Data whose largest entries (diagonal: those of the rows) are between 1/USUAL and this are solved
as they are: two of their products and a square stay far from the range of float64."""


def unit_scale(constraints: Constraints, full: bool) -> tuple[Constraints, int]:
    """(the problem, e) divided by 2**e, exactly, so that unusually large or small data come near 1.

    Its optimum is 2**e times the problem's own; see ``rescaled``.  Left alone (e = 0) where the
    division would lose a bit of an entry.
    """
    if not full and 1.0 / USUAL < float(constraints.row_sizes.max()) < USUAL:
        return constraints, 0
    sizes = [float(np.abs(part).max()) for part in (constraints.delta, constraints.query)]
    if all(1.0 / USUAL < size < USUAL for size in sizes) or not all(map(math.isfinite, sizes)):
        return constraints, 0
    down, across = (-math.frexp(size)[1] for size in sizes)
    moves = ((constraints.delta, down), (constraints.low, down), (constraints.query, across))
    moved = [np.ldexp(part, move) for part, move in moves]
    for part, (own, move) in zip(moved, moves, strict=True):
        if not np.array_equal(np.ldexp(part, -move), own):
            return constraints, 0
    delta, low, query = moved
    return replace(constraints, delta=delta, low=low, query=query), -down - across


def _times(value: Callable[[], Fraction], factor: Fraction) -> Fraction:
    return value() * factor


def rescaled(found: SvmSolution, exponent: int) -> SvmSolution:
    """The solution of the problem that is 2**exponent times the one solved.

    Raises OracleFailure where that is beyond the range of float64.
    """
    if exponent == 0:
        return found
    squared = found.norm not in ("l1", "nuclear")
    unit = Fraction(2) ** -exponent
    optimum, lower, upper = np.ldexp([found.optimum, found.lower, found.upper], -exponent).tolist()
    scaled = replace(
        found,
        solution=np.ldexp(found.solution, -exponent),
        multipliers=np.ldexp(found.multipliers, -exponent * (1 + squared)),
        optimum=optimum,
        lower=lower,
        upper=upper,
        fraction=found.fraction and partial(_times, found.fraction, unit ** (1 + squared)),
    )
    parts = np.array([lower, upper, np.abs(scaled.solution).max(), scaled.multipliers.max()])
    if not ((parts > TINY) & (parts < math.inf)).all():
        raise OracleFailure(f"{found.norm}: the optimum is beyond the range of float64")
    return scaled
