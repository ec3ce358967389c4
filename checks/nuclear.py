"""The nuclear-norm margin problem: two solvers propose, Newton polishes, weak duality certifies.

minimise |W|_* s.t. <G_r, W> >= 1 (S2, S6).  Dual: maximise sum(lambda) s.t. |G(lambda)|_op <= 1.
W lives in span(delta) x span(z), so the problem is first projected there, which is exact in
exact arithmetic and, as everything else here, only a way to a proposal: the interval is
certified on the unprojected constraints.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import lstsq

from checks.certificates import Interval, OracleFailure, certify
from checks.euclidean import solve_euclidean
from checks.interior_point import interior_point
from checks.nuclear_faces import nuclear_uniqueness
from checks.nuclear_optima import exact_optima
from checks.problems import Array, Constraints
from checks.refinement import Found, ranks, sharpened
from checks.rounding import margins, svd
from checks.separability import NotSeparable, separability
from checks.solutions import NARROW, WIDEST, SvmSolution, grade, narrowed

NEWTON_STEPS = 12
"""Newton on the factored optimality system converges quadratically: from the solver's 1e-8 two
or three steps suffice; a run that is still moving after twelve was not in its basin."""

SINGULAR = 1e-9
"""Singular values of the Newton system, relative to the largest, that count as 0.  Where optima are
shared (single-entry data, orthonormal tokens) they form a surface along which the system is
singular: steps of minimal norm then go straight to it, but a singular value that rounding left
at 1e-13 throws them along it."""

SOLVER_TOLERANCE = 1e-10
"""CLARABEL's gap and feasibility tolerance; below it SDPs stall (measured)."""


@dataclass(frozen=True, eq=False)
class _Reduced:
    """Constraints in orthonormal bases of the spans: delta = left @ U^T, z = right @ V^T."""

    left: Array
    right: Array
    delta_basis: Array
    query_basis: Array
    unit: float

    def lift(self, weights: Array) -> Array:
        """W (d, d) from its reduced form."""
        return np.asarray(self.delta_basis @ weights @ self.query_basis.T)

    def push(self, multipliers: Array) -> Array:
        """G(lambda) in reduced form."""
        return np.asarray(self.left.T @ (multipliers[:, None] * self.right))


def _span(vectors: Array) -> tuple[Array, Array]:
    """(coordinates (R, k), orthonormal basis (d, k)) of the rows' span."""
    _, s, vt = svd(vectors)
    # Directions below the rounding of the largest are rounding: dropping them moves the
    # proposal by as little, and the certificate is taken on the full constraints.
    rank = int((s > s.max() * max(vectors.shape) * np.finfo(np.float64).eps).sum())
    basis = vt[:rank].T
    return vectors @ basis, basis


def _reduce(constraints: Constraints) -> _Reduced:
    left, delta_basis = _span(constraints.delta)
    right, query_basis = _span(constraints.query)
    left_size, right_size = float(np.abs(left).max()), float(np.abs(right).max())
    return _Reduced(
        left / left_size, right / right_size, delta_basis, query_basis, left_size * right_size
    )


def _interior(reduced: _Reduced, witness: Array) -> Iterator[tuple[Array, Array]]:
    """(W, lambda) as the interior point method in numpy approaches them."""
    return interior_point(reduced.left, reduced.right, witness)


def _propose(reduced: _Reduced, witness: Array) -> Iterator[tuple[Array, Array]]:
    """(W, lambda) of the reduced dual semidefinite program, as CLARABEL leaves them."""
    import cvxpy as cp

    rows, columns = reduced.left.shape[1], reduced.right.shape[1]
    lam = cp.Variable(len(reduced.left), nonneg=True)
    pushed = reduced.left.T @ cp.diag(lam) @ reduced.right
    block = cp.bmat([[np.eye(rows), pushed], [pushed.T, np.eye(columns)]])
    bound = block >> 0
    problem = cp.Problem(cp.Maximize(cp.sum(lam)), [bound])
    settings = dict.fromkeys(("tol_gap_abs", "tol_gap_rel", "tol_feas"), SOLVER_TOLERANCE)
    try:
        with warnings.catch_warnings():
            # "Solution may be inaccurate": whatever it is, the interval decides.
            warnings.simplefilter("ignore", UserWarning)
            problem.solve(solver=cp.CLARABEL, accept_unknown=True, **settings)
    except (cp.SolverError, ValueError, ArithmeticError) as failure:
        raise OracleFailure(f"nuclear: {failure}") from failure
    if lam.value is None or bound.dual_value is None:
        raise OracleFailure(f"nuclear: the solver returned {problem.status}")
    # Stationarity: 1 + 2 <X_12, G_r> <= 0 for the dual block X, so W = -2 X_12.
    yield -2.0 * np.asarray(bound.dual_value)[:rows, rows:], np.asarray(lam.value)


def _polish(
    reduced: _Reduced, weights: Array, multipliers: Array, rank: int
) -> tuple[Array, Array]:
    """Newton on P = M Q, Q = M^T P, <d_r, P Q^T z_r> = 1 over active r, M = G(lambda).

    W = P Q^T with k = ``rank`` columns each.  Steps are least-squares steps of minimal norm: the
    rotation of P and Q is a gauge.  Active: lambda_r/lambda_max > slack_r (strict
    complementarity; fixed thresholds fail).  Raises LinAlgError where a step fails.
    """
    u, s, vt = svd(weights)
    root = np.sqrt(s[:rank])
    p, q = u[:, :rank] * root, vt[:rank].T * root
    slack = np.einsum("ra,ab,rb->r", reduced.left, weights, reduced.right) - 1.0
    active = np.flatnonzero(multipliers / multipliers.max() > slack)
    p, q, lam = polish_factors(
        reduced.left[active], reduced.right[active], p, q, multipliers[active]
    )
    found = np.zeros(len(multipliers))
    found[active] = lam
    return p @ q.T, found


def polish_factors(
    left: Array, right: Array, p: Array, q: Array, multipliers: Array
) -> tuple[Array, Array, Array]:
    """(P, Q, lambda) after Newton's method: see ``_polish``.  left, right (m, .): the vectors of
    the active rows.  Raises LinAlgError or ValueError where a step fails."""
    lam = multipliers.copy()
    a, b, m, rank = p.shape[0], q.shape[0], len(left), p.shape[1]
    for _ in range(NEWTON_STEPS):
        push = left.T @ (lam[:, None] * right)
        left_p, right_q = left @ p, right @ q
        residual = np.concatenate(
            [
                (p - push @ q).ravel(),
                (q - push.T @ p).ravel(),
                (left_p * right_q).sum(axis=1) - 1.0,
            ]
        )
        top = np.hstack(
            [np.eye(a * rank), -np.kron(push, np.eye(rank)), -_khatri_rao(left, right_q)]
        )
        middle = np.hstack(
            [-np.kron(push.T, np.eye(rank)), np.eye(b * rank), -_khatri_rao(right, left_p)]
        )
        bottom = np.hstack(
            [_khatri_rao(left, right_q).T, _khatri_rao(right, left_p).T, np.zeros((m, m))]
        )
        # gelsy: gesdd-based least squares raised "SVD did not converge" on finite input.
        system = np.vstack([top, middle, bottom])
        step = lstsq(system, -residual, cond=SINGULAR, lapack_driver="gelsy")[0]
        p = p + step[: a * rank].reshape(a, rank)
        q = q + step[a * rank : (a + b) * rank].reshape(b, rank)
        lam = lam + step[(a + b) * rank :]
        if np.abs(step).max() <= 4.0 * np.finfo(np.float64).eps * np.abs(p).max():
            break
    return p, q, lam


def _khatri_rao(first: Array, second: Array) -> Array:
    """(a * k, m): column r is vec(first_r second_r^T)."""
    return np.asarray((first[:, :, None] * second[:, None, :]).reshape(len(first), -1).T)


Proposal = Callable[[_Reduced, Array], Iterator[tuple[Array, Array]]]
"""(reduced constraints, reduced witness) -> reduced (W, lambda), the better the later, from one
solver."""

SOLVERS: dict[str, Proposal] = {"interior point": _interior, "CLARABEL": _propose}
"""In the order they are asked: the second only where the first does not suffice.  Both reach 1e-11;
the first takes 6 ms against 8 at R = 6, d = 4, 11 against 24 at R = 30, d = 8, and 15 against
190 at R = 60, d = 16."""


def solve_nuclear(
    constraints: Constraints, exact: bool | None = None, solvers: Sequence[str] = tuple(SOLVERS)
) -> SvmSolution:
    """The nuclear-norm SVM with a rigorous interval.

    exact: evaluate the interval in rationals; None: only where rounding bounds are wide.
    solvers: keys of ``SOLVERS``, asked in this order until the interval is narrow.  Raises
    :class:`~checks.separability.NotSeparable` with a proof, or OracleFailure (no proposal, or an
    interval wider than ``WIDEST``).
    """
    answer = separability(constraints, full=True)
    if answer.answer == "non-separable":
        raise NotSeparable("nuclear", answer)
    if answer.witness is None:
        known = "separable, but by no float64 weights" if answer.whole else "separability undecided"
        raise OracleFailure(f"nuclear: {known}")
    reduced = _reduce(constraints)
    witness = reduced.delta_basis.T @ answer.witness @ reduced.query_basis
    best: Found | None = None
    failures: list[str] = []
    raw: list[tuple[Array, Array, str]] = []
    for solver, proposal in _proposals(reduced, witness, solvers, failures):
        raw.append((reduced.lift(proposal[0]), np.maximum(proposal[1], 0.0), solver))
        try:
            found = _certified(constraints, reduced, *proposal)
        except OracleFailure as failure:
            failures.append(str(failure))
            continue
        interval = narrowed(constraints, "nuclear", *found[1:], found[0], force=exact is True)
        if best is None or interval.width < best[0].width:
            best = (interval, *found[1:], solver)
        if interval.width <= NARROW:
            break
    if best is None or best[0].width > NARROW:
        tried = [best[1:]] if best else []
        best = sharpened(constraints, [*tried, *reversed(raw), *_frobenius(constraints)], best)
    if best is None:
        raise OracleFailure("; ".join(dict.fromkeys(failures)))
    return _solution(constraints, *best)


def _frobenius(constraints: Constraints) -> list[tuple[Array, Array, str]]:
    """The Frobenius optimum, which integers find where no solver in floats comes near the other."""
    try:
        found = solve_euclidean(constraints, "frobenius", None)
    except (OracleFailure, OverflowError):
        return []
    return [(found.solution, found.multipliers, "Frobenius optimum")]


def _proposals(
    reduced: _Reduced, witness: Array, solvers: Sequence[str], failures: list[str]
) -> Iterator[tuple[str, tuple[Array, Array]]]:
    """What the solvers propose, each in its turn; why one stops is added to ``failures``."""
    for solver in solvers:
        try:
            for proposal in SOLVERS[solver](reduced, witness):
                yield solver, proposal
        except OracleFailure as failure:
            failures.append(str(failure))


def _certified(
    constraints: Constraints, reduced: _Reduced, weights: Array, multipliers: Array
) -> tuple[Interval, Array, Array]:
    """The narrowest interval that a proposal leads to, with its (d, d) weights."""
    if not (np.isfinite(weights).all() and np.isfinite(multipliers).all()):
        raise OracleFailure("nuclear: the solver's answer is not finite")
    best: tuple[Interval, Array, Array] | None = None
    if weights.any() and multipliers.max() > 0.0:
        for rank in ranks(weights, reduced.push(multipliers)):
            try:
                candidate = _polish(reduced, weights, multipliers, rank)
            except (np.linalg.LinAlgError, ValueError):
                continue  # one rank guess led nowhere; the others and the raw answer remain
            best = _better(constraints, reduced, best, candidate)
            if best is not None and best[0].width <= POLISHED:
                return best
    best = _better(constraints, reduced, best, (weights, multipliers))
    if best is None:
        raise OracleFailure("nuclear: the solver's answer certifies nothing")
    return best


POLISHED = 1e-11
"""An interval this narrow ends the search: rounding bounds alone are 1e-13 to 1e-11."""


def _better(
    constraints: Constraints,
    reduced: _Reduced,
    best: tuple[Interval, Array, Array] | None,
    candidate: tuple[Array, Array],
) -> tuple[Interval, Array, Array] | None:
    """The narrower of ``best`` and what the candidate (reduced W, lambda) certifies."""
    weights, multipliers = reduced.lift(candidate[0]), np.maximum(candidate[1], 0.0)
    try:
        interval = certify(constraints, "nuclear", weights, multipliers)
    except OracleFailure:
        return best
    if best is None or interval.width < best[0].width:
        return interval, weights, multipliers
    return best


def _solution(
    constraints: Constraints, interval: Interval, weights: Array, multipliers: Array, solver: str
) -> SvmSolution:
    if not interval.width <= WIDEST:
        raise OracleFailure(f"nuclear: certified interval too wide ({interval.width:.1e})")
    computed, error = margins(constraints, weights)
    least = float(computed.min())
    # A margin is active if neither rounding nor the certified gap can tell it from the least.
    unique = nuclear_uniqueness(constraints, weights, multipliers)
    if unique == "undetermined":
        optima = exact_optima(constraints, weights, multipliers)
        unique = optima.unique if optima else unique
    room = 2.0 * error + 2.0 * error.max() + np.sqrt(interval.width) * least
    return SvmSolution(
        norm="nuclear",
        solution=weights / least,
        multipliers=multipliers * (interval.upper / multipliers.sum()),
        optimum=0.5 * (interval.lower + interval.upper),
        lower=interval.lower,
        upper=interval.upper,
        proof="rigorous",
        unique=unique,
        active=np.asarray(computed - least <= room),
        solver=f"{solver} and Newton",
        status=grade(interval),
    )
