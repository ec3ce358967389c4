"""The l1 margin problem, free or with frozen signs (S2, S3; THEORY.md 3, "c_j = 0").

A float simplex proposes a basis; integers prove it; integer pivoting decides what floats could
not; large problems are certified by weak duality instead.
"""

from __future__ import annotations

import numpy as np

from checks.basis import halves_of, l1_proposal, l1_tableau, prove_l1
from checks.certificates import Half, OracleFailure, certify
from checks.exact import ExactFailure
from checks.exact_data import ExactConstraints
from checks.optima import L1Basis, Uniqueness
from checks.problems import Array, Constraints
from checks.rounding import TINY, Measured, gamma, gradient, margins
from checks.separability import NotSeparable, farkas_answer, refuse
from checks.solutions import (
    DECIDE_ENTRIES,
    SvmSolution,
    exact_by_default,
    from_interval,
    from_proof,
    narrowed,
)


def _unit_rows(constraints: Constraints) -> Array:
    """The rows divided by a power of two (exactly), so that the largest entry is about 1."""
    rows = constraints.rows
    size = float(np.abs(rows).max(initial=0.0))
    return rows if size == 0.0 else np.ldexp(rows, -int(np.frexp(size)[1]))


def solve_l1(constraints: Constraints, sign: Array | None, exact: bool | None) -> SvmSolution:
    """Float simplex proposes; integers prove; integer pivoting decides what floats could not."""
    halves = halves_of(constraints.delta.shape[1], sign)
    guess = l1_tableau(_unit_rows(constraints), halves)
    found = guess.status == "optimal"
    if exact_by_default(constraints, "l1") if exact is None else exact:
        if found:
            try:
                proved = prove_l1(constraints, halves, l1_proposal(guess, len(constraints), halves))
                return from_proof(constraints, "l1", proved, "simplex", sign)
            except ExactFailure:
                pass  # a wrong or degenerate proposal
        if exact or constraints.delta.size <= DECIDE_ENTRIES:
            return _decided_l1(constraints, halves, sign)
    if not found:
        refuse(constraints, "l1")
    return _polished_l1(constraints, l1_proposal(guess, len(constraints), halves), halves, sign)


def _decided_l1(constraints: Constraints, halves: list[Half], sign: Array | None) -> SvmSolution:
    """Integer pivoting: an exact optimum or an exact Farkas vector."""
    data = ExactConstraints.of(constraints, full=False)
    decided = l1_tableau(data.left, halves, data.shift)
    if decided.status == "unbounded" and decided.ray is not None:
        ray = {r: int(y) for r, y in enumerate(decided.ray)}
        raise NotSeparable("l1", farkas_answer(constraints, ray))
    if decided.status != "optimal":
        raise OracleFailure("l1: integer pivoting ran out of pivots")
    try:
        proved = prove_l1(constraints, halves, l1_proposal(decided, len(constraints), halves))
    except ExactFailure as failure:
        raise OracleFailure(f"l1: {failure}") from failure
    return from_proof(constraints, "l1", proved, "integer simplex", sign)


def _polished_l1(
    constraints: Constraints, basis: L1Basis, halves: list[Half], sign: Array | None
) -> SvmSolution:
    """Re-solve the basis in float64, refined once, and certify by weak duality."""
    if not len(basis.rows) == len(basis.support) > 0:
        raise OracleFailure("l1: the proposal is not a basis")
    rows = constraints.rows
    at = np.array(basis.rows)
    columns, signs = (np.array(part) for part in zip(*basis.support, strict=True))
    square = rows[at[:, None], columns]
    try:
        inverse = np.linalg.inv(square)
    except np.linalg.LinAlgError as failure:
        raise OracleFailure(f"l1: {failure}") from failure
    beta, lam = inverse.sum(axis=1), signs @ inverse
    beta += inverse @ (1.0 - square @ beta)
    lam += (signs - lam @ square) @ inverse
    weights, multipliers = np.zeros(rows.shape[1]), np.zeros(len(rows))
    weights[columns] = np.maximum(signs * beta, 0.0) * signs
    multipliers[at] = lam
    measured = margins(constraints, weights)
    interval = certify(constraints, "l1", weights, multipliers, halves, measured)
    interval = narrowed(constraints, "l1", weights, multipliers, interval, halves)
    unique = _uniqueness(constraints, basis, inverse, weights, measured, multipliers, halves)
    return from_interval(
        constraints, "l1", weights, multipliers, interval, unique, "simplex", sign, measured
    )


def _uniqueness(
    constraints: Constraints,
    basis: L1Basis,
    inverse: Array,
    weights: Array,
    measured: Measured,
    multipliers: Array,
    halves: list[Half],
) -> Uniqueness:
    """Is the vertex of the basis the only optimum?  Proved by rounding bounds, or left open.

    A system A x = b with |I - C A| <= D < 1 has its solution within |C| |b - A x|/(1 - D) of any
    x (maximum norms).  If beta then keeps its signs and the other margins exceed 1, lambda is
    positive on the basis' rows and every other half-line has reduced cost > 0, the basis is
    optimal, and all optima meet its rows and vanish off its support: there is one.
    """
    rows, at = constraints.row_sizes, np.array(basis.rows)
    columns, signs = (np.array(part) for part in zip(*basis.support, strict=True))
    square, size = constraints.rows[at[:, None], columns], np.abs(inverse)
    # The products' rounding, and that of the data themselves.
    defect = np.abs(inverse @ square - np.eye(len(at)))
    defect += gamma(len(at) + 2) * (size @ np.abs(square)) + TINY * (1.0 + size.sum())
    margin, margin_error = measured
    push, push_error = gradient(constraints, multipliers, full=False)
    beyond = (np.abs(margin - 1.0) + margin_error)[at].max() * size.sum(axis=1).max()
    above = (np.abs(push[columns] - signs) + push_error[columns]).max() * size.sum(axis=0).max()
    rest = 1.0 - SAFE * max(defect.sum(axis=1).max(), defect.sum(axis=0).max())
    if not rest > 0.0:
        return "undetermined"
    beyond, above = (SAFE * part / rest for part in (beyond, above))
    slack = margin - margin_error - SAFE * beyond * rows.sum(axis=1) - 1.0
    slack[at] = 1.0  # these margins are 1, by the exact solution
    pull = push_error + SAFE * above * rows.sum(axis=0)
    signed = {half: 1.0 - half[1] * push[half[0]] - pull[half[0]] for half in halves}
    for half in basis.support:
        del signed[half]
    strict = (
        (signs * weights[columns]).min() > beyond
        and multipliers[at].min() > above
        and slack.min() > 0.0
        and min(signed.values(), default=1.0) > 0.0
    )
    return "proved" if strict else "undetermined"


SAFE = 1.0 + 2.0**-40
"""Pays for the roundings of norms and quotients, some (R + d + 10) 2**-53."""
