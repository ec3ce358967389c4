"""What a rival problem's near-optimum costs in the claimed norm: the certificate of FALSIFIED.

DESIGN.md, "FALSIFIED by certificate only": a run whose certificate closes, at eps, for another
norm (or a frozen orthant) ends in that problem's eps-optimal set.  If every point of that set
has a claimed norm well above the claimed optimum, the claim is false of that run, and no
convergence question is left open.
"""

from __future__ import annotations

import math
import warnings
from typing import Any, cast

import numpy as np
from scipy.linalg import lstsq
from scipy.optimize import nnls

from checks.certificates import OracleFailure, mixed_bound, upper_bound
from checks.problems import Array, Constraints
from checks.rounding import (
    FULL,
    POWERS,
    UNIT,
    Norm,
    down,
    gamma,
    margins,
    norm_above,
    operator_above,
    power_norm,
    push,
    sum_below,
    svd,
    up,
)
from checks.solutions import SvmSolution

BALL_EPS = 1e-6
"""Below this eps the ball argument alone is used: its radius sqrt(2 eps) costs at most 0.15 % of
the norm times sqrt(d), against rivals that miss by 5 %, and the dual bound's multipliers grow
like 1/sqrt(eps), beyond what an interior-point solver resolves."""


@np.errstate(over="ignore", invalid="ignore")  # what overflows proves nothing
def eps_optimal_floor(
    constraints: Constraints,
    closes: SvmSolution,
    eps: float,
    claimed: Norm,
    enough: float = math.inf,
) -> float:
    """Certified lower bound of N_claimed over the eps-optimal set of another problem.

    The set: weights with all margins >= 1 and N_closes <= (1 + eps) * closes.upper (and in the
    frozen orthant, where ``closes.sign`` is set).  In units of ``SvmSolution.upper``: the claim
    is refuted where the floor exceeds the claimed optimum.  enough: a floor this high is not
    raised any further.  Derived (strong convexity; weak duality), rounding included.  Raises
    :class:`OracleFailure` where nothing is proved, ValueError where the norms live on weights of
    different shapes, or eps < 0.
    """
    if (claimed in FULL) != (closes.norm in FULL):
        raise ValueError(f"{claimed} and {closes.norm} are norms of different weights")
    if not eps >= 0.0:
        raise ValueError(f"eps is {eps}; give a nonnegative number")
    if claimed == closes.norm:
        return closes.lower
    ceiling = up((1.0 + eps) * closes.upper * (1.0 + gamma(2)))
    if closes.norm in ("l2", "frobenius"):
        floor, last = _ball_floor(constraints, closes, ceiling, claimed), eps <= BALL_EPS
    elif closes.norm in POWERS:
        floor, last = _uniform_floor(constraints, closes, ceiling, claimed), eps <= BALL_EPS
    else:
        floor = _face_floor(constraints, closes, eps, ceiling, claimed, enough)
        # The shortest of the l1 optima is found; a solver would add a part in 1e4.
        last = (closes.norm, claimed) == ("l1", "l2") and floor > 0.0 and eps <= BALL_EPS
    if floor < enough and not last:
        floor = max(floor, _dual_floor(constraints, closes.norm, ceiling, claimed))
    if not floor > 0.0:
        raise OracleFailure(f"no floor of {claimed} is proved near the {closes.norm} optimum")
    return floor


def eps_reached(closes: SvmSolution, margin: float) -> float:
    """Smallest eps whose eps-optimal set is proved to hold weights of this normalised margin.

    margin: a lower bound of min_r <G_r, W>/N_closes(W) (the first number of
    ``audit.gap_from_raw``).  At margin 1 such weights have N_closes <= 1/margin, so
    eps = 1/(margin * upper) - 1, rounded up; to first order the gap 1 - margin * upper, and
    larger to second.  Infinite where margin <= 0.
    """
    if not margin > 0.0:
        return math.inf
    return max(0.0, up(up(1.0 / down(margin * closes.upper)) - 1.0))


def _norm_below(weights: Array, norm: Norm) -> float:
    """Rigorous lower bound of a vector's or of the nuclear norm of weights (d,) or (d, d)."""
    if norm == "l1":
        return sum_below(np.abs(weights))
    if norm in POWERS:
        return power_norm(weights, norm, above=False)
    if norm == "l2":  # |b|_2 >= <b, u>/|u|_2 for any u: take u = b
        return down(sum_below(weights * weights) / norm_above(weights, "l2"))
    # |W|_* >= <W, D>/|D|_op for any D: take D = U V^T.
    u, _, vt = svd(weights)
    direction = u @ vt
    size = float((np.abs(weights) * np.abs(direction)).sum())
    inner = down(float((weights * direction).sum()) - gamma(weights.size) * size)
    return down(inner / operator_above(direction, np.zeros_like(direction)))


def _ball_floor(
    constraints: Constraints, closes: SvmSolution, ceiling: float, claimed: Norm
) -> float:
    """Both the set and the rescaled computed solution lie in balls around the true optimum b*.

    b* is the projection of 0 onto {margins >= 1}, so |b - b*|^2 <= |b|^2 - |b*|^2 for every
    feasible b; and |x|_claimed <= sqrt(d) |x|_2 for l1 and for nuclear.
    """
    own = upper_bound(constraints, closes.norm, closes.solution)
    if not own < math.inf:
        return 0.0
    radius = 0.0
    for reach in (ceiling, own):
        square = up(up(reach**2) - down(closes.lower**2))
        radius = up(radius + up(math.sqrt(max(square, 0.0))))
    computed, error = margins(constraints, closes.solution)
    # The least margin is at most this, so the rescaled solution is at least that long.
    least = up(float((computed + error).min()))
    root = up(math.sqrt(closes.solution.shape[0]))
    return down(down(_norm_below(closes.solution, claimed) / least) - up(root * radius))


EXPONENT: dict[Norm, float] = {"l1": 1.0, "l1.5": 1.5, "l2": 2.0, "l3": 3.0}
"""The vector norms l_p -> p."""


def _uniform_floor(
    constraints: Constraints, closes: SvmSolution, ceiling: float, claimed: Norm
) -> float:
    """Two points of the set and their midpoint are feasible, and l_p is uniformly convex (derived).

    With c >= both norms and L <= that of the midpoint m, h half their difference: p = 3 (Clarkson)
    |m|^p + |h|^p <= c^p; p = 1.5 (Ball, Carlen, Lieb) |m|^2 + (p - 1)|h|^2 <= c^2.  And |x|_a <=
    d^(1/a - 1/p) |x|_p for a < p, |x|_a <= |x|_p else.
    """
    own = upper_bound(constraints, closes.norm, closes.solution)
    if not own < math.inf:
        return 0.0
    reach, least = max(ceiling, own), closes.lower
    if closes.norm == "l3":
        half = math.cbrt(
            max(up(reach**3) * (1.0 + gamma(3)) - down(least**3) * (1.0 - gamma(3)), 0.0)
        )
    else:
        half = math.sqrt(2.0 * max(up(up(reach**2) - down(least**2)), 0.0))
    excess = max(0.0, 1.0 / EXPONENT[claimed] - 1.0 / EXPONENT[closes.norm])
    radius = 2.0 * half * closes.solution.size**excess * (1.0 + 2.0**-40)  # pays for pow and cbrt
    computed, error = margins(constraints, closes.solution)
    # The least margin is at most this, so the rescaled solution is at least that long.
    longest = up(float((computed + error).min()))
    return down(down(_norm_below(closes.solution, claimed) / longest) - up(radius))


def _face_floor(
    constraints: Constraints,
    closes: SvmSolution,
    eps: float,
    ceiling: float,
    claimed: Norm,
    enough: float,
) -> float:
    """Weak duality at points written down from the l1 or nuclear solution itself (derived).

    D ~ W (l_p: sign(W)|W|^(p-1)), lambda the solution's multipliers, |G(lambda)| = 1, and nu on
    their support with <G(nu), U S V^T> = <D, U S V^T> for all symmetric S (l1: A^T nu = D on the
    support of beta).  At t lambda + nu, g1 = D, the rest t G(lambda) + G(nu) - D has dual norm
    t + O(1/t) (l1: t, once that is large), and <D, W> = sum(nu): ``mixed_bound`` gives N(W) less
    eps t and O(1/t), times the optimum.  Solvable where the solution is unique; whatever comes out
    is evaluated, not believed.
    """
    # The loss eps t + C/t is least near sqrt(C/eps); for l1 any t beyond some C will do.
    most = 1.0 / math.sqrt(max(eps, closes.width, UNIT))
    floor = 0.0
    for propose in (_face_proposal, _shortest_proposal)[: 1 + (closes.norm == "l1")]:
        direction, shift = propose(constraints, closes, claimed)
        for t in (0.1 * most, most, 0.01 * most, 10.0 * most):
            point = t * closes.multipliers + shift
            proved = mixed_bound(constraints, point, direction, claimed, closes.norm, ceiling)
            floor = max(floor, proved)
            if floor >= enough:
                return floor
    return floor


def _face_proposal(
    constraints: Constraints, closes: SvmSolution, claimed: Norm
) -> tuple[Array, Array]:
    """(D, nu): D of the shape of W, nu (R,), as near as they come to ``_face_floor``'s."""
    direction = closes.solution / np.abs(closes.solution).max()
    if claimed in EXPONENT:
        direction = np.sign(direction) * np.abs(direction) ** (EXPONENT[claimed] - 1.0)
    direction = direction / np.linalg.norm(direction)
    kept = np.flatnonzero(closes.multipliers > 0.0)
    equations, target = _face_equations(constraints, closes, kept, direction)
    shift = np.zeros_like(closes.multipliers)
    shift[kept] = lstsq(equations, target, lapack_driver="gelsy")[0]
    return direction, shift


ROOM = 1e-7
"""Relative width of the set of near-optima that ``_shortest_proposal`` looks at: what nnls resolves
with room to spare."""


def _shortest_proposal(
    constraints: Constraints, closes: SvmSolution, claimed: Norm
) -> tuple[Array, Array]:
    """(D (d,), nu (R,)) where l1 optima are shared: D ~ x, the shortest of them (derived).

    The optima use half-lines sigma_j of reduced cost 0 only.  On those |x|_1 = sigma.x, so x is
    the answer to a least-distance problem (Lawson and Hanson, ch. 23), and x = A^T nu + mu sigma
    - s sigma with its multipliers.  claimed: any, best for l2.
    """
    rows = constraints.rows
    pull = push(constraints, closes.multipliers, full=False)
    used = np.flatnonzero(np.abs(pull) >= np.abs(pull).max() * (1.0 - ROOM))
    sigma, size = np.sign(pull[used]), float(np.abs(rows).max())
    # In units of the largest entry: margins >= 1, sigma_j x_j >= 0, sigma.x <= the optimum.
    limits = np.vstack([rows[:, used] / size, np.diag(sigma), -sigma])
    least = np.concatenate([np.ones(len(rows)), 0.0 * sigma, [-closes.upper * size * (1.0 + ROOM)]])
    target = np.append(0.0 * sigma, 1.0)
    direction, shift = np.zeros(rows.shape[1]), np.zeros(len(rows))
    try:
        u, _ = nnls(np.vstack([limits.T, least]), target)
    except (RuntimeError, ValueError):
        return direction, shift  # proves nothing
    x = limits.T @ u
    scale = float(np.linalg.norm(x))
    if scale > 0.0:
        direction[used], shift = x / scale, u[: len(rows)] / (size * scale)
    return direction, shift


def _face_equations(
    constraints: Constraints, closes: SvmSolution, kept: Array, direction: Array
) -> tuple[Array, Array]:
    """(matrix, right-hand side) that nu on the rows ``kept`` should solve."""
    if direction.ndim == 1:
        support = np.flatnonzero(direction)
        return constraints.rows[np.ix_(kept, support)].T, direction[support]
    u, s, vt = svd(direction)
    t = svd(push(constraints, closes.multipliers, full=True))[1]
    rank = max(1, int((s / s.max() > 1.0 - t / t.max()).sum()))
    a, b = constraints.delta[kept] @ u[:, :rank], constraints.query[kept] @ vt[:rank].T
    i, j = np.triu_indices(rank)
    return 0.5 * (a[:, i] * b[:, j] + a[:, j] * b[:, i]).T, np.diag(s[:rank])[i, j]


def _dual_floor(constraints: Constraints, closes: Norm, ceiling: float, claimed: Norm) -> float:
    """Weak duality at a point proposed by cvxpy; 0 where the proposal proves nothing."""
    multipliers, part = _proposal(constraints, closes, ceiling, claimed)
    return mixed_bound(constraints, multipliers, part, claimed, closes, ceiling)


def _proposal(
    constraints: Constraints, closes: Norm, ceiling: float, claimed: Norm
) -> tuple[Array, Array]:
    """Nearly optimal (lambda, g1) of max sum(lambda) - ceiling N°_closes(G(lambda) - g1) over
    N°_claimed(g1) <= 1.  Its status is not looked at: ``mixed_bound`` judges it."""
    import cvxpy as cp

    full = claimed in FULL
    # With weights in units of the ceiling, for the solver's sake: margins grow by it.
    lam = cp.Variable(len(constraints), nonneg=True)
    if full:
        pushed = (constraints.delta.T * ceiling) @ cp.diag(lam) @ constraints.query
    else:
        pushed = (constraints.rows.T * ceiling) @ lam
    part = cp.Variable(pushed.shape)
    rest = pushed - part
    objective = cp.sum(lam) - cvxpy_dual_norm(rest, closes)
    problem = cp.Problem(cp.Maximize(objective), [cvxpy_dual_norm(part, claimed) <= 1.0])
    try:
        with warnings.catch_warnings():
            # "Solution may be inaccurate": whatever it is, the bound is evaluated, not believed.
            warnings.simplefilter("ignore", UserWarning)
            problem.solve(solver=cp.CLARABEL)
    except (cp.SolverError, ValueError, ArithmeticError) as failure:
        raise OracleFailure(f"no floor near the {closes} optimum: {failure}") from failure
    if lam.value is None or part.value is None:
        raise OracleFailure(f"no floor near the {closes} optimum: {problem.status}")
    return np.asarray(lam.value), np.asarray(part.value) / ceiling


def cvxpy_dual_norm(expression: Any, norm: Norm) -> Any:
    """The dual norm as a cvxpy expression."""
    import cvxpy as cp

    if norm == "nuclear":
        return cp.sigma_max(expression)
    if norm == "l1":
        return cp.norm_inf(expression)
    if norm in POWERS:
        return cp.pnorm(expression, cast(Any, EXPONENT[POWERS[norm]]))
    return cp.norm(expression, "fro") if norm == "frobenius" else cp.norm2(expression)
