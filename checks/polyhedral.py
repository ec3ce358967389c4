"""The l1 margin problem, free or with frozen signs (S2, S3; THEORY.md 3, "c_j = 0").

A float simplex proposes a basis; integers prove it; integer pivoting decides what floats could
not; large problems are certified by weak duality instead.
"""

from __future__ import annotations

import numpy as np

from checks.basis import L1Basis, halves_of, l1_proposal, l1_tableau, prove_l1
from checks.certificates import Half, OracleFailure, certify
from checks.exact import ExactFailure
from checks.exact_data import ExactConstraints
from checks.problems import Array, Constraints
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
    interval = certify(constraints, "l1", weights, multipliers, halves)
    interval = narrowed(constraints, "l1", weights, multipliers, interval, halves)
    return from_interval(
        constraints, "l1", weights, multipliers, interval, "undetermined", "simplex", sign
    )
