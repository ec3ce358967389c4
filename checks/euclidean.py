"""The l2 and Frobenius margin problems (S4): strictly convex, so the optimum is unique.

Nonnegative least squares proposes the support; integers prove it, the active-set method in
rationals decides what floats could not, large problems are certified by weak duality.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import lstsq

from checks.active_set import MAX_ROWS, decide
from checks.basis import prove_l2
from checks.certificates import Interval, OracleFailure, certify, upper_bound
from checks.exact import ExactFailure
from checks.exact_data import ExactConstraints
from checks.problems import Array, Constraints
from checks.rounding import FULL, Norm, gradient, margins
from checks.separability import NotSeparable, farkas_answer, least_distance, refuse, span_rows
from checks.solutions import SvmSolution, exact_by_default, from_interval, from_proof, narrowed


def solve_euclidean(constraints: Constraints, norm: Norm, exact: bool | None) -> SvmSolution:
    """Nonnegative least squares proposes the support; integers, or weak duality, prove it."""
    full = norm in FULL
    try:
        guess = least_distance(span_rows(constraints, full)).multipliers
    except (RuntimeError, ValueError, np.linalg.LinAlgError) as failure:
        raise OracleFailure(f"{norm}: nnls failed ({failure})") from failure
    support = [int(r) for r in np.flatnonzero(guess > 0.0)]
    if exact_by_default(constraints, norm) if exact is None else exact:
        try:
            found = prove_l2(constraints, support, full)
            return from_proof(constraints, norm, found, "nnls", None)
        except ExactFailure:
            pass  # a wrong support: decide in rationals, or polish and certify
        if exact or len(constraints) <= MAX_ROWS:
            return _decided_l2(constraints, norm)
    best: tuple[Interval, Array, Array] | None = None
    for multipliers in _polished_l2(constraints, guess, full):
        primal, _ = gradient(constraints, multipliers, full)
        if upper_bound(constraints, norm, primal) == float("inf"):
            continue
        interval = certify(constraints, norm, primal, multipliers)
        if best is None or interval.width < best[0].width:
            best = (interval, primal, multipliers)
    if best is None:
        refuse(constraints, norm)
    interval, primal, multipliers = best
    interval = narrowed(constraints, norm, primal, multipliers, interval)
    return from_interval(constraints, norm, primal, multipliers, interval, "proved", "nnls")


def _decided_l2(constraints: Constraints, norm: Norm) -> SvmSolution:
    """The active-set method in rationals: an exact optimum or an exact Farkas vector."""
    full = norm in FULL
    data = ExactConstraints.of(constraints, full)
    decided = decide(data.gram(range(len(constraints))), 1 << 2 * data.shift)
    if decided.farkas is not None:
        raise NotSeparable(norm, farkas_answer(constraints, decided.farkas))
    found = prove_l2(constraints, decided.support, full)
    return from_proof(constraints, norm, found, "integer active set", None)


def _polished_l2(constraints: Constraints, guess: Array, full: bool) -> list[Array]:
    """Candidate multipliers (R,): the guess, and its support re-solved by active-set steps."""
    found = [guess]
    support = np.flatnonzero(guess > 0.0)
    for _ in range(len(constraints)):
        if len(support) == 0:
            break
        multipliers = np.zeros(len(constraints))
        gram = _gram_block(constraints, support, full)
        # The system may be singular (duplicates): least squares; gelsy never fails to converge.
        multipliers[support] = lstsq(gram, np.ones(len(support)), lapack_driver="gelsy")[0]
        primal, _ = gradient(constraints, multipliers, full)
        missing = 1.0 - margins(constraints, primal)[0]
        correction = lstsq(gram, missing[support], lapack_driver="gelsy")[0]
        multipliers[support] += correction
        if (multipliers[support] > 0.0).all():
            found.append(multipliers)
            break
        support = support[multipliers[support] > 0.0]
    return found


def _gram_block(constraints: Constraints, support: Array, full: bool) -> Array:
    """(k, k) inner products of the G_r of the support."""
    if not full:
        rows = constraints.rows[support]
        return np.asarray(rows @ rows.T)
    left, right = constraints.delta[support], constraints.query[support]
    return np.asarray((left @ left.T) * (right @ right.T))
