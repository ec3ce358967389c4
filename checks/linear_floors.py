"""How little a linear function of the weights can be near the optimum of a margin problem.

The certificate behind "the run went elsewhere": on the whole eps-optimal set of the problem that
it solves instead, some constraint of the claimed one is bounded.
"""

from __future__ import annotations

import warnings

import numpy as np

from checks.certificates import OracleFailure, linear_bound
from checks.problems import Array, Constraints
from checks.rivals import cvxpy_dual_norm
from checks.rounding import FULL, TINY, Norm, gamma


def linear_floor(
    constraints: Constraints, norm: Norm, ceiling: float, delta: Array, query: Array, low: Array
) -> float:
    """Certified lower bound of <Y, W> over {W: <G_r, W> >= 1, N(W) <= ceiling}.

    Y = (delta + low) query^T, for vectors its diagonal; delta, query, low (d,), low the rounding
    error of delta.  Derived (weak duality, ``certificates.linear_bound``): the multipliers are
    cvxpy's proposal, of which nothing is believed.  Raises OracleFailure where there is none.
    """
    form = np.outer if norm in FULL else np.multiply
    functional = form(delta, query)
    # What the product rounds, and what the difference of two tokens did.
    slack = gamma(1) * np.abs(functional) + (1 + gamma(2)) * np.abs(form(low, query)) + TINY
    multipliers = _proposal(constraints, norm, ceiling, functional)
    return linear_bound(constraints, multipliers, functional, ceiling, norm, slack)


def _proposal(constraints: Constraints, norm: Norm, ceiling: float, functional: Array) -> Array:
    """Nearly optimal lambda >= 0 of max sum(lambda) - ceiling N°(G(lambda) - Y)."""
    import cvxpy as cp

    lam = cp.Variable(len(constraints), nonneg=True)
    if norm in FULL:
        pushed = (constraints.delta.T * ceiling) @ cp.diag(lam) @ constraints.query
    else:
        pushed = (constraints.rows.T * ceiling) @ lam
    objective = cp.sum(lam) - cvxpy_dual_norm(pushed - ceiling * functional, norm)
    problem = cp.Problem(cp.Maximize(objective))
    try:
        with warnings.catch_warnings():
            # "Solution may be inaccurate": whatever it is, the bound is evaluated, not believed.
            warnings.simplefilter("ignore", UserWarning)
            problem.solve(solver=cp.CLARABEL)
    except (cp.SolverError, ValueError, ArithmeticError) as failure:
        raise OracleFailure(f"no bound near the {norm} optimum: {failure}") from failure
    if lam.value is None:
        raise OracleFailure(f"no bound near the {norm} optimum: {problem.status}")
    return np.asarray(lam.value)
