"""The l1.5 and l3 margin problems: strictly convex, so the optimum is unique (arXiv 2410.14581).

With N = l_p, 1/p + 1/q = 1 and theta = A^T lambda, the dual is to minimise |theta|_q^q/q - sum
lambda over lambda >= 0, and beta = sign(theta) |theta|^(q-1).  L-BFGS-B proposes, Newton's method
on the active margins polishes, weak duality with rounding bounds certifies; cvxpy's power cones
are the second opinion.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.optimize import minimize

from checks.certificates import Interval, OracleFailure, certify
from checks.problems import Array, Constraints
from checks.rounding import Norm
from checks.separability import least_distance, refuse
from checks.solutions import NARROW, SvmSolution, from_interval

EXPONENT: dict[Norm, float] = {"l1.5": 1.5, "l3": 3.0}
_NEWTON = 40
_TURNS = 12
"""How often rows may enter or leave the proposed active set."""


def solve_power(constraints: Constraints, norm: Norm) -> SvmSolution:
    """Solve and certify.  Raises NotSeparable with a proof, or OracleFailure."""
    scale = float(np.abs(constraints.rows).max(initial=0.0))
    if not 0.0 < scale < np.inf:
        refuse(constraints, norm)
    best: tuple[Interval, Array, Array, str] | None = None
    for primal, multipliers, solver in _proposals(constraints, norm, scale):
        try:
            interval = certify(constraints, norm, primal, multipliers)
        except OracleFailure:
            continue
        if best is None or interval.width < best[0].width:
            best = (interval, primal, multipliers, solver)
        if interval.width <= NARROW:
            break
    if best is None:
        refuse(constraints, norm)
    interval, primal, multipliers, solver = best
    return from_interval(constraints, norm, primal, multipliers, interval, "proved", solver)


def _proposals(
    constraints: Constraints, norm: Norm, scale: float
) -> Iterator[tuple[Array, Array, str]]:
    """(beta, lambda, who), the quickest first; cvxpy last, raw and polished."""
    p = EXPONENT[norm]
    rows = constraints.rows / scale
    guess = _descent(rows, p)
    if guess is None:
        return
    yield (*_polished(rows, guess, p), "l-bfgs-b")
    yield (_beta(rows.T @ guess, p), guess, "l-bfgs-b")
    from checks.convex_models import cvxpy_answer  # loads cvxpy: only here

    try:
        primal, multipliers = cvxpy_answer(constraints, norm)
    except OracleFailure:
        return
    # d |beta|_p has the multipliers of the norm, not of its power: any scale certifies.
    yield primal, multipliers, "CLARABEL"
    yield (*_polished(rows, np.maximum(multipliers, 0.0), p), "CLARABEL")


def _beta(theta: Array, p: float) -> Array:
    return np.asarray(np.sign(theta) * np.abs(theta) ** (1.0 / (p - 1.0)))


def _descent(rows: Array, p: float) -> Array | None:
    """lambda (R,) near the dual optimum, from that of the l2 problem; None: not separable."""
    try:
        start = least_distance(rows).multipliers
    except (RuntimeError, ValueError, np.linalg.LinAlgError):
        start = np.ones(len(rows))
    if not start.any():
        return None
    q = p / (p - 1.0)
    # The best multiple of the start: c^q |theta|_q^q/q - c sum is least at its stationary c.
    power = float((np.abs(rows.T @ start) ** q).sum())
    if power == 0.0:
        return None
    start = start * (start.sum() / power) ** (1.0 / (q - 1.0))

    def value(lam: Array) -> tuple[float, Array]:
        theta = rows.T @ lam
        return float((np.abs(theta) ** q).sum() / q - lam.sum()), rows @ _beta(theta, p) - 1.0

    found = minimize(
        value, start, jac=True, method="L-BFGS-B", bounds=[(0.0, None)] * len(rows),
        options={"maxiter": 500, "ftol": 1e-15, "gtol": 1e-10},
    )  # fmt: skip
    return np.asarray(found.x) if np.isfinite(found.x).all() and found.x.any() else start


def _polished(rows: Array, guess: Array, p: float) -> tuple[Array, Array]:
    """Newton's method with the active margins equal to 1; rows leave and enter a few times."""
    beta = _beta(rows.T @ guess, p)
    least = float((rows @ beta).min())
    if least > 0.0:  # at margin 1, multipliers that agree with it: theta scales like beta^(p-1)
        beta, guess = beta / least, guess / least ** (p - 1.0)
    active = guess > 1e-7 * guess.max()
    lam = guess
    for _ in range(_TURNS):
        if not active.any():
            break
        beta, lam = _newton(rows, active, beta, lam, p)
        leaving = active & (lam <= 0.0)
        entering = ~active & (rows @ beta < 1.0 - 1e-11)
        if not (leaving.any() or entering.any()):
            break
        active = (active & ~leaving) | entering
    return beta, np.maximum(lam, 0.0)


def _newton(rows: Array, active: Array, beta: Array, lam: Array, p: float) -> tuple[Array, Array]:
    """grad(|beta|_p^p/p) = A^T lambda and A beta = 1 on the active rows.

    In whichever of beta and theta the other is a smooth function of: beta for p = 3, where theta
    = beta |beta|; theta for p = 1.5, where beta = theta |theta|.  Least squares, because rows may
    depend on each other.
    """
    a = rows[active]
    mine = np.where(active, lam, 0.0)[active]
    dim = a.shape[1]
    for _ in range(_NEWTON):
        if p < 2.0:
            theta = a.T @ mine
            beta = theta * np.abs(theta)
            step = _solve((a * (2.0 * np.abs(theta))) @ a.T, 1.0 - a @ beta)
            change = float(np.abs(step).max(initial=0.0) / np.abs(mine).max(initial=1e-300))
            mine = mine + step
        else:
            block = np.zeros((dim + len(a), dim + len(a)))
            block[:dim, :dim] = np.diag(2.0 * np.abs(beta))
            block[:dim, dim:], block[dim:, :dim] = -a.T, a
            gap = np.concatenate((a.T @ mine - beta * np.abs(beta), 1.0 - a @ beta))
            step = _solve(block, gap)
            change = float(np.abs(step[:dim]).max() / np.abs(beta).max(initial=1e-300))
            beta, mine = beta + step[:dim], mine + step[dim:]
        if not np.isfinite(change) or change < 1e-15:
            break
    if p < 2.0:
        theta = a.T @ mine
        beta = theta * np.abs(theta)
    full = np.zeros(len(rows))
    full[active] = mine
    return beta, full


def _solve(matrix: Array, right: Array) -> Array:
    try:
        return np.asarray(np.linalg.lstsq(matrix, right, rcond=1e-13)[0])
    except np.linalg.LinAlgError:
        return np.full(len(right), np.nan)
