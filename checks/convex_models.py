"""The margin problems as a textbook writes them, in cvxpy: the reference at the level of the model.

    minimise N(W)  subject to  <G_r, W> >= 1

No reduction, no reformulation, no polish.  ``solve_svm`` asks it where its own solvers propose
nothing that can be certified; the tests ask it about every problem.
"""

from __future__ import annotations

import warnings
from functools import partial
from typing import Any, cast

import numpy as np

from checks.certificates import OracleFailure
from checks.problems import Array, Constraints
from checks.rounding import FULL, Norm

TOLERANCE = 1e-10
"""CLARABEL's gap and feasibility tolerance (its default, 1e-8, leaves two digits unused)."""


def cvxpy_answer(
    constraints: Constraints, norm: Norm, sign: Array | None = None, solver: str = "CLARABEL"
) -> tuple[Array, Array]:
    """(W, lambda) as cvxpy's solver leaves them: (d,) or (d, d), and (R,); nothing is proved.

    The Euclidean norms are squared.  sign as in ``svm.solve_signed_l1``; solver: CLARABEL, or for
    l1 HIGHS (which prints a banner).  Raises OracleFailure where the solver gives no answer.
    """
    import cvxpy as cp

    dim = constraints.delta.shape[1]
    weights: Any = cp.Variable((dim, dim) if norm in FULL else dim)
    if norm in FULL:
        margins = cp.sum(cp.multiply(constraints.delta @ weights, constraints.query), axis=1)
    else:
        margins = constraints.rows @ weights
    norms: dict[Norm, Any] = {
        "l1": cp.norm1, "l2": cp.sum_squares, "frobenius": cp.sum_squares, "nuclear": cp.normNuc,
        "l1.5": partial(cp.pnorm, p=cast(Any, 1.5)), "l3": partial(cp.pnorm, p=3),
    }  # fmt: skip
    size = norms[norm](weights)
    limits = [margins >= 1.0]
    if sign is not None:
        for j, s in enumerate(sign.tolist()):
            if s != 0.0:
                limits.append(weights[j] == 0.0 if np.isnan(s) else s * weights[j] >= 0.0)
    problem = cp.Problem(cp.Minimize(size), limits)
    settings: dict[str, Any] = {}
    if solver == "CLARABEL":
        settings = dict.fromkeys(("tol_gap_abs", "tol_gap_rel", "tol_feas"), TOLERANCE)
        settings["accept_unknown"] = True
    try:
        with warnings.catch_warnings():
            # "Solution may be inaccurate": whatever it is, the interval decides.
            warnings.simplefilter("ignore", UserWarning)
            problem.solve(solver=solver, **settings)
    except (cp.SolverError, ValueError, ArithmeticError) as failure:
        raise OracleFailure(f"{norm}: {failure}") from failure
    if weights.value is None or limits[0].dual_value is None:
        raise OracleFailure(f"{norm}: the solver returned {problem.status}")
    return np.asarray(weights.value), np.asarray(limits[0].dual_value)
