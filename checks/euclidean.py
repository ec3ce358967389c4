"""The l2 and Frobenius margin problems (S4): strictly convex, so the optimum is unique.

Nonnegative least squares proposes the support; integers prove it, the active-set method in
rationals decides what floats could not, large problems are certified by weak duality.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from scipy.linalg import lstsq

from checks.active_set import MAX_ROWS, decide
from checks.basis import prove_l2
from checks.certificates import Interval, OracleFailure, certify
from checks.exact import ExactFailure
from checks.exact_data import ExactConstraints
from checks.problems import Array, Constraints
from checks.rounding import FULL, Measured, Norm, margins, push
from checks.separability import NotSeparable, farkas_answer, least_distance, refuse, span_rows
from checks.solutions import (
    NARROW,
    SvmSolution,
    exact_by_default,
    from_interval,
    from_proof,
    narrowed,
)


def solve_euclidean(constraints: Constraints, norm: Norm, exact: bool | None) -> SvmSolution:
    """Nonnegative least squares proposes the support; integers, or weak duality, prove it."""
    full = norm in FULL
    try:
        guess = least_distance(span_rows(constraints, full)).multipliers
    except (RuntimeError, ValueError, np.linalg.LinAlgError) as failure:
        raise OracleFailure(f"{norm}: nnls failed ({failure})") from failure
    if exact_by_default(constraints, norm) if exact is None else exact:
        support = np.flatnonzero(guess > 0.0).tolist()
        try:
            found = prove_l2(constraints, support, full)
            return from_proof(constraints, norm, found, "nnls", None)
        except ExactFailure:
            pass  # a wrong support: decide in rationals, or polish and certify
        if exact or len(constraints) <= MAX_ROWS:
            return _decided_l2(constraints, norm)
    best: tuple[Interval, Array, Array, Measured] | None = None
    for multipliers in _polished_l2(constraints, guess, full):
        primal = push(constraints, multipliers, full)
        try:
            measured = margins(constraints, primal)
            interval = certify(constraints, norm, primal, multipliers, measured=measured)
        except OracleFailure:
            continue
        if best is None or interval.width < best[0].width:
            best = (interval, primal, multipliers, measured)
        if interval.width <= NARROW:
            break
    if best is None:
        refuse(constraints, norm)
    interval, primal, multipliers, measured = best
    interval = narrowed(constraints, norm, primal, multipliers, interval)
    return from_interval(
        constraints, norm, primal, multipliers, interval, "proved", "nnls", measured=measured
    )


def _decided_l2(constraints: Constraints, norm: Norm) -> SvmSolution:
    """The active-set method in rationals: an exact optimum or an exact Farkas vector."""
    full = norm in FULL
    data = ExactConstraints.of(constraints, full)
    decided = decide(data.gram(range(len(constraints))), 1 << 2 * data.shift)
    if decided.farkas is not None:
        raise NotSeparable(norm, farkas_answer(constraints, decided.farkas))
    found = prove_l2(constraints, decided.support, full)
    return from_proof(constraints, norm, found, "integer active set", None)


def _polished_l2(constraints: Constraints, guess: Array, full: bool) -> Iterator[Array]:
    """Candidate multipliers (R,), the quickest first: the guess, then its support re-solved."""
    yield guess
    for invert in (np.linalg.inv, _pseudo_inverse):
        try:
            found = _resolved(constraints, guess, full, invert)
        except np.linalg.LinAlgError:
            continue
        if found is not None:
            yield found


def _pseudo_inverse(gram: Array) -> Array:
    """For singular systems (duplicates); gelsy never fails to converge."""
    return np.asarray(lstsq(gram, np.eye(len(gram)), lapack_driver="gelsy")[0])


def _resolved(
    constraints: Constraints, guess: Array, full: bool, invert: Callable[[Array], Array]
) -> Array | None:
    """Active-set steps from the guess's support: multipliers (R,) > 0 that make its margins 1."""
    support = np.flatnonzero(guess > 0.0)
    while len(support):
        left, right = _own(constraints, support, full)
        gram = left @ left.T if right is None else (left @ left.T) * (right @ right.T)
        inverse = invert(gram)
        found = inverse.sum(axis=1)
        # Refined by the margins themselves: the Gram matrix rounds more.
        found += inverse @ (1.0 - _own_margins(left, right, found))
        kept = found > 0.0
        if kept.all():
            multipliers = np.zeros(len(constraints))
            multipliers[support] = found
            return multipliers
        support = support[kept]
    return None


def _own(constraints: Constraints, support: Array, full: bool) -> tuple[Array, Array | None]:
    """The G_r of the support: their rows, or (full) their differences and queries."""
    if not full:
        return constraints.rows[support], None
    return constraints.delta[support], constraints.query[support]


def _own_margins(left: Array, right: Array | None, weights: Array) -> Array:
    """(k,) margins of the support at W = G(weights)."""
    if right is None:
        return np.asarray(left @ (left.T @ weights))
    return np.asarray(((left @ (left.T @ (weights[:, None] * right))) * right).sum(axis=1))
