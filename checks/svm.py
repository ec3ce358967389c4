"""The margin problems of THEORY.md 1, solved: minimise N(W) s.t. <G_r, W> >= 1 for all r.

N = l1, l1.5, l2 or l3 of beta (diagonal models), Frobenius or nuclear norm of W (full ones): S2-S5.
Every solution carries a certified interval around the optimum; solvers only propose, their
status is information.  Wrong or missing proposals end in :class:`OracleFailure`.
"""

from __future__ import annotations

import numpy as np

from checks.basis import halves_of
from checks.certificates import OracleFailure, certify
from checks.euclidean import solve_euclidean
from checks.optima import Uniqueness
from checks.polyhedral import solve_l1
from checks.power_margins import solve_power
from checks.problems import Array, Constraints
from checks.rounding import FULL, POWERS, Norm
from checks.separability import NotSeparable, Separability, separability
from checks.solutions import SvmSolution, from_interval, narrowed, rescaled, unit_scale

__all__ = [
    "FULL",
    "Norm",
    "NotSeparable",
    "OracleFailure",
    "Separability",
    "SvmSolution",
    "separability",
    "solve_signed_l1",
    "solve_svm",
]


def solve_svm(constraints: Constraints, norm: Norm, exact: bool | None = None) -> SvmSolution:
    """Solve one margin problem and certify its optimum.

    exact: prove in rationals (nuclear: evaluate the interval in them); None: up to 32
    dimensions (nuclear: where rounding bounds are wide).  Raises :class:`NotSeparable` with a
    proof, or :class:`OracleFailure` with the reason.
    """
    if len(constraints) == 0:
        raise OracleFailure(f"{norm}: no token constrains the weights")
    # What overflows in floats becomes infinite or nan, and certifies nothing.
    with np.errstate(over="ignore", invalid="ignore"):
        near, exponent = unit_scale(constraints, full=norm in FULL)
        if norm in POWERS:
            found = solve_power(near, norm)
        elif norm == "nuclear":
            from checks.nuclear import solve_nuclear  # not needed by most claims: loaded late

            found = solve_nuclear(near, exact)
        else:
            found = _solve(near, norm, None, exact)
        return rescaled(found, exponent)


def solve_signed_l1(
    constraints: Constraints, sign: Array, exact: bool | None = None
) -> SvmSolution:
    """The l1 problem with frozen signs (THEORY.md 3, "c_j = 0").

    sign (d,): +1 or -1 restricts beta_j to that sign, 0 leaves it free, nan makes it 0.
    Raises as ``solve_svm``; ValueError for any other entry.
    """
    sign = np.asarray(sign, dtype=np.float64)
    allowed = np.isnan(sign) | np.isin(sign, (-1.0, 0.0, 1.0))
    if sign.shape != constraints.delta.shape[1:] or not allowed.all():
        raise ValueError("sign must be (d,) of +1, -1, 0 (free) or nan (dead)")
    if len(constraints) == 0:
        raise OracleFailure("l1: no token constrains the weights")
    with np.errstate(over="ignore", invalid="ignore"):
        near, exponent = unit_scale(constraints, full=False)
        return rescaled(_solve(near, "l1", sign, exact), exponent)


def _solve(
    constraints: Constraints, norm: Norm, sign: Array | None, exact: bool | None
) -> SvmSolution:
    """l1, l2 or Frobenius: our own solvers, and where they end without a proof, cvxpy's."""
    try:
        if norm == "l1":
            return solve_l1(constraints, sign, exact)
        return solve_euclidean(constraints, norm, exact)
    except OverflowError as failure:
        raise OracleFailure(f"{norm}: the optimum is beyond the range of float64") from failure
    except NotSeparable:
        raise
    except OracleFailure:
        if exact:
            raise
        second = _second(constraints, norm, sign)
        if second is None:
            raise
        return second


def _second(constraints: Constraints, norm: Norm, sign: Array | None) -> SvmSolution | None:
    """What the answer of the model in cvxpy proves, if it proves anything."""
    from checks.convex_models import cvxpy_answer  # loads cvxpy: only here

    try:
        weights, multipliers = cvxpy_answer(constraints, norm, sign)
        if sign is not None:  # the solver keeps to its half-lines only nearly
            weights = np.where(np.isnan(sign) | (sign * weights < 0.0), 0.0, weights)
        halves = halves_of(len(weights), sign) if norm == "l1" else None
        interval = certify(constraints, norm, weights, multipliers, halves)
        interval = narrowed(constraints, norm, weights, multipliers, interval, halves)
        unique: Uniqueness = "undetermined" if norm == "l1" else "proved"
        return from_interval(
            constraints, norm, weights, multipliers, interval, unique, "CLARABEL", sign
        )
    except OracleFailure:
        return None
