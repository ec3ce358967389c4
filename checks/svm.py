"""The margin problems of THEORY.md 1, solved: minimise N(W) s.t. <G_r, W> >= 1 for all r.

N = l1 or l2 of beta (diagonal models), Frobenius or nuclear norm of W (full ones): S2-S5.
Every solution carries a certified interval around the optimum; solvers only propose, their
status is information.  Wrong or missing proposals end in :class:`OracleFailure`.
"""

from __future__ import annotations

import numpy as np

from checks.certificates import OracleFailure
from checks.euclidean import solve_euclidean
from checks.polyhedral import solve_l1
from checks.problems import Array, Constraints
from checks.rounding import FULL, Norm
from checks.separability import NotSeparable, Separability, separability
from checks.solutions import SvmSolution

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
    if norm == "nuclear":
        from checks.nuclear import solve_nuclear  # loads cvxpy: only here

        return solve_nuclear(constraints, exact)
    try:
        if norm == "l1":
            return solve_l1(constraints, None, exact)
        return solve_euclidean(constraints, norm, exact)
    except OverflowError as failure:
        raise OracleFailure(f"{norm}: the optimum is beyond the range of float64") from failure


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
    try:
        return solve_l1(constraints, sign, exact)
    except OverflowError as failure:
        raise OracleFailure("l1: the optimum is beyond the range of float64") from failure
