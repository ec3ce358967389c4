"""One margin problem solved: what is proved of it, and how it is put together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from checks.basis import ExactOptimum, Uniqueness
from checks.certificates import Interval, OracleFailure
from checks.exact import float_above, float_below, root_above, root_below
from checks.problems import Array, Constraints
from checks.rounding import Norm, margins

Proof = Literal["exact", "rigorous", "float"]

WIDEST = 1e-9
"""Widest relative interval handed out: three decades below the smallest gap (1e-6) that any
claim is held to, so that the oracle's own uncertainty never decides a verdict."""


@dataclass(frozen=True, eq=False)
class SvmSolution:
    """One margin problem solved.

    solution: (d,) for l1, l2; (d, d) for frobenius, nuclear; margin 1 up to rounding.
    multipliers (R,) >= 0, summing to the optimum (l1, nuclear) or its square (l2, frobenius).
    lower <= smallest norm at margin 1 <= upper, always (rounding included).  proof "exact":
    decided in rationals, the interval is one or two ulps wide; "rigorous": weak duality with
    rounding bounds; "float": unproved (never handed out by this module).  unique: of the
    optimal weights.  active (R,): margin 1 within the rounding error of the margins.
    sign (d,): the frozen orthant of ``solve_signed_l1``, else None.
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

    @property
    def width(self) -> float:
        """(upper - lower)/upper."""
        return (self.upper - self.lower) / self.upper

    @property
    def gamma(self) -> float:
        """gamma* = 1/optimum, the best normalised margin."""
        return 1.0 / self.optimum


def active_rows(constraints: Constraints, weights: Array) -> Array:
    """Margins within their rounding error of the least one (twice: the weights round too)."""
    computed, error = margins(constraints, weights)
    return np.asarray(computed - computed.min() <= 2.0 * error + 2.0 * error[computed.argmin()])


def from_proof(
    constraints: Constraints, norm: Norm, found: ExactOptimum, solver: str, sign: Array | None
) -> SvmSolution:
    if norm == "l1":
        lower, upper = float_below(found.value), float_above(found.value)
    else:
        lower, upper = root_below(found.value), root_above(found.value)
    return SvmSolution(
        norm=norm,
        solution=found.primal,
        multipliers=found.multipliers,
        optimum=upper,
        lower=lower,
        upper=upper,
        proof="exact",
        unique=found.unique,
        active=active_rows(constraints, found.primal),
        solver=solver,
        status="optimal",
        sign=sign,
    )


def from_interval(
    constraints: Constraints,
    norm: Norm,
    primal: Array,
    multipliers: Array,
    interval: Interval,
    unique: Uniqueness,
    solver: str,
    sign: Array | None = None,
) -> SvmSolution:
    """Scale primal to margin 1 and multipliers to the optimum; refuse too wide an interval."""
    if not interval.width <= WIDEST:
        raise OracleFailure(f"{norm}: certified interval too wide ({interval.width:.1e})")
    kept = np.maximum(multipliers, 0.0)
    total = interval.upper if norm in ("l1", "nuclear") else interval.upper**2
    return SvmSolution(
        norm=norm,
        solution=primal / float(margins(constraints, primal)[0].min()),
        multipliers=kept * (total / kept.sum()),
        optimum=0.5 * (interval.lower + interval.upper),
        lower=interval.lower,
        upper=interval.upper,
        proof="rigorous",
        unique=unique,
        active=active_rows(constraints, primal),
        solver=solver,
        status="certified",
        sign=sign,
    )
