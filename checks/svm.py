"""The margin problems of THEORY.md 1, solved: minimise N(W) s.t. <G_r, W> >= 1 for all r.

N = l1 or l2 of beta (diagonal models), Frobenius or nuclear norm of W (full ones): S2-S5.
Every solution carries a certified interval around the optimum; solvers only propose, their
status is information.  Wrong or missing proposals end in :class:`OracleFailure`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NoReturn

import numpy as np
from scipy.linalg import lstsq

from checks.basis import (
    ExactOptimum,
    Half,
    L1Basis,
    Uniqueness,
    halves_of,
    l1_proposal,
    l1_tableau,
    prove_l1,
    prove_l2,
)
from checks.certificates import Interval, OracleFailure, certify, upper_bound
from checks.exact import ExactFailure, float_above, float_below, root_above, root_below
from checks.problems import Array, Constraints
from checks.rounding import FULL, Norm, gradient, margins
from checks.separability import Separability, least_distance, separability, span_rows

Proof = Literal["exact", "rigorous", "float"]

EXACT_ENTRIES = 400
"""Default limit on R * d for an l1 or l2 proof in rationals: 2.6 ms at 24 x 16, 0.6 at 15 x 8
(and 0.1 s at 120 x 32, which is why it has to be asked for there)."""

EXACT_ROWS = 10
"""The same for Frobenius, in R: its integers are twice as long (5.6 ms at R = 15, d = 8; 0.1 s
at R = 24; minutes at R = 120)."""

WIDEST = 1e-9
"""Widest relative interval handed out: three decades below the smallest gap (1e-6) that any
claim is held to, so that the oracle's own uncertainty never decides a verdict."""


class NotSeparable(OracleFailure):
    """No direction has all margins positive (proved: ``separability`` holds the Farkas vector,
    or, where signs are frozen, integers y >= 0 that push no allowed half-line)."""

    def __init__(self, norm: Norm, proof: Separability) -> None:
        super().__init__(f"{norm}: the constraints are not separable")
        self.separability = proof


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


def solve_svm(constraints: Constraints, norm: Norm, exact: bool | None = None) -> SvmSolution:
    """Solve one margin problem and certify its optimum.

    exact: prove in rationals (l1, l2, frobenius); None: only where R * d is small.  Raises
    :class:`NotSeparable` with a proof, or :class:`OracleFailure` with the reason.
    """
    if len(constraints) == 0:
        raise OracleFailure(f"{norm}: no token constrains the weights")
    if norm == "l1":
        return _solve_l1(constraints, None, exact)
    if norm == "nuclear":
        from checks.nuclear import solve_nuclear

        return solve_nuclear(constraints)
    return _solve_l2(constraints, norm, exact)


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
    return _solve_l1(constraints, sign, exact)


def _small(constraints: Constraints, norm: Norm, exact: bool | None) -> bool:
    if exact is not None:
        return exact
    if norm in FULL and len(constraints) > EXACT_ROWS:
        return False
    return constraints.delta.size <= EXACT_ENTRIES


def _active(constraints: Constraints, weights: Array) -> Array:
    """Margins within their rounding error of the least one (twice: the weights round too)."""
    computed, error = margins(constraints, weights)
    return np.asarray(computed - computed.min() <= 2.0 * error + 2.0 * error[computed.argmin()])


def _from_proof(
    constraints: Constraints, norm: Norm, found: ExactOptimum, solver: str, sign: Array | None
) -> SvmSolution:
    multipliers = np.zeros(len(constraints))
    for r, value in found.multipliers.items():
        multipliers[r] = float(value)
    if norm == "l1":
        lower, upper = float_below(found.value), float_above(found.value)
        weights = np.zeros(constraints.delta.shape[1])
        for j, value in found.primal.items():
            weights[j] = float(value)
    else:
        lower, upper = root_below(found.value), root_above(found.value)
        weights, _ = gradient(constraints, multipliers, full=norm in FULL)
    return SvmSolution(
        norm=norm,
        solution=weights,
        multipliers=multipliers,
        optimum=upper,
        lower=lower,
        upper=upper,
        proof="exact",
        unique=found.unique,
        active=_active(constraints, weights),
        solver=solver,
        status="optimal",
        sign=sign,
    )


def _from_interval(
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
        active=_active(constraints, primal),
        solver=solver,
        status="certified",
        sign=sign,
    )


def _unit_rows(constraints: Constraints) -> Array:
    """The rows divided by a power of two (exactly), so that the largest entry is about 1."""
    rows = constraints.rows
    size = float(np.abs(rows).max(initial=0.0))
    return rows if size == 0.0 else np.ldexp(rows, -int(np.frexp(size)[1]))


def _solve_l1(constraints: Constraints, sign: Array | None, exact: bool | None) -> SvmSolution:
    """Float simplex proposes; integers prove; integer pivoting decides what floats could not."""
    rows = constraints.rows
    halves = halves_of(rows.shape[1], sign)
    guess = l1_tableau(_unit_rows(constraints), halves)
    if not _small(constraints, "l1", exact):
        if guess.status == "optimal":
            basis = l1_proposal(guess, len(rows), halves)
            return _polished_l1(constraints, basis, halves, sign)
        _refuse(constraints, "l1", sign)
    if guess.status == "optimal":
        try:
            found = prove_l1(rows, halves, l1_proposal(guess, len(rows), halves))
            return _from_proof(constraints, "l1", found, "simplex", sign)
        except ExactFailure:
            pass  # a wrong or degenerate proposal: decide by integer pivoting instead
    decided = l1_tableau(rows, halves, exact=True)
    if decided.status == "unbounded" and decided.ray is not None:
        ray = tuple(int(y) for y in decided.ray)
        image = np.array([y / sum(ray) for y in ray])
        raise NotSeparable("l1", Separability("non-separable", farkas=image, integers=ray))
    if decided.status != "optimal":
        raise OracleFailure("l1: integer pivoting ran out of pivots")
    try:
        found = prove_l1(rows, halves, l1_proposal(decided, len(rows), halves))
    except ExactFailure as failure:
        raise OracleFailure(f"l1: {failure}") from failure
    return _from_proof(constraints, "l1", found, "integer simplex", sign)


def _refuse(constraints: Constraints, norm: Norm, sign: Array | None = None) -> NoReturn:
    """Raise NotSeparable where that can be proved, OracleFailure otherwise."""
    answer = separability(constraints, full=norm in FULL)
    if answer.answer == "non-separable":
        raise NotSeparable(norm, answer)
    where = "within the frozen signs" if sign is not None else "of the constraints"
    raise OracleFailure(f"{norm}: no proof of an optimum nor of non-separability {where}")


def _refined(square: Array, rhs: Array) -> Array:
    """Solve a square system in float64 with one step of iterative refinement."""
    x = np.linalg.solve(square, rhs)
    return np.asarray(x + np.linalg.solve(square, rhs - square @ x))


def _polished_l1(
    constraints: Constraints, basis: L1Basis, halves: list[Half], sign: Array | None
) -> SvmSolution:
    """Re-solve the basis in float64 and certify by weak duality (large problems)."""
    rows = constraints.rows
    at, columns = list(basis.rows), [j for j, _ in basis.support]
    signs = np.array([s for _, s in basis.support], dtype=np.float64)
    try:
        square = rows[np.ix_(at, columns)]
        weights = np.zeros(rows.shape[1])
        weights[columns] = np.maximum(signs * _refined(square, np.ones(len(at))), 0.0) * signs
        multipliers = np.zeros(len(rows))
        multipliers[at] = _refined(square.T, signs)
    except np.linalg.LinAlgError as failure:
        raise OracleFailure(f"l1: {failure}") from failure
    interval = certify(constraints, "l1", weights, multipliers, halves=halves)
    return _from_interval(
        constraints, "l1", weights, multipliers, interval, "undetermined", "simplex", sign
    )


def _solve_l2(constraints: Constraints, norm: Norm, exact: bool | None) -> SvmSolution:
    """Nonnegative least squares proposes the support; integers, or weak duality, prove it."""
    full = norm in FULL
    try:
        guess = least_distance(span_rows(constraints, full)).multipliers
    except (RuntimeError, ValueError, np.linalg.LinAlgError) as failure:
        raise OracleFailure(f"{norm}: nnls failed ({failure})") from failure
    support = [int(r) for r in np.flatnonzero(guess > 0.0)]
    if _small(constraints, norm, exact):
        try:
            found = prove_l2(constraints, support, full)
            return _from_proof(constraints, norm, found, "nnls", None)
        except ExactFailure:
            pass  # a wrong support can still be polished and certified
    best: tuple[Interval, Array, Array] | None = None
    for multipliers in _polished_l2(constraints, guess, full):
        primal, _ = gradient(constraints, multipliers, full)
        if upper_bound(constraints, norm, primal) == float("inf"):
            continue
        interval = certify(constraints, norm, primal, multipliers)
        if best is None or interval.width < best[0].width:
            best = (interval, primal, multipliers)
    if best is None:
        _refuse(constraints, norm)
    interval, primal, multipliers = best
    return _from_interval(constraints, norm, primal, multipliers, interval, "proved", "nnls")


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
