"""The l1 margin problem, free or with frozen signs (S2, S3; THEORY.md 3, "c_j = 0").

A float simplex proposes a basis; integers prove it; integer pivoting decides what floats could
not; large problems are certified by weak duality instead.
"""

from __future__ import annotations

import numpy as np

from checks.basis import L1Basis, halves_of, l1_proposal, l1_tableau, prove_l1
from checks.certificates import Half, OracleFailure, certify
from checks.exact import ExactFailure
from checks.problems import Array, Constraints
from checks.separability import NotSeparable, farkas_answer, refuse
from checks.solutions import SvmSolution, from_interval, from_proof

EXACT_ENTRIES = 400
"""Default limit on R * d for a proof in rationals: 2.6 ms at 24 x 16, 0.6 at 15 x 8
(and 0.1 s at 120 x 32, which is why it has to be asked for there)."""


def _unit_rows(constraints: Constraints) -> Array:
    """The rows divided by a power of two (exactly), so that the largest entry is about 1."""
    rows = constraints.rows
    size = float(np.abs(rows).max(initial=0.0))
    return rows if size == 0.0 else np.ldexp(rows, -int(np.frexp(size)[1]))


def solve_l1(constraints: Constraints, sign: Array | None, exact: bool | None) -> SvmSolution:
    """Float simplex proposes; integers prove; integer pivoting decides what floats could not."""
    rows = constraints.rows
    halves = halves_of(rows.shape[1], sign)
    guess = l1_tableau(_unit_rows(constraints), halves)
    if not (constraints.delta.size <= EXACT_ENTRIES if exact is None else exact):
        if guess.status == "optimal":
            basis = l1_proposal(guess, len(rows), halves)
            return _polished_l1(constraints, basis, halves, sign)
        refuse(constraints, "l1")
    if guess.status == "optimal":
        try:
            found = prove_l1(rows, halves, l1_proposal(guess, len(rows), halves))
            return from_proof(constraints, "l1", found, "simplex", sign)
        except ExactFailure:
            pass  # a wrong or degenerate proposal: decide by integer pivoting instead
    decided = l1_tableau(rows, halves, exact=True)
    if decided.status == "unbounded" and decided.ray is not None:
        ray = {r: int(y) for r, y in enumerate(decided.ray)}
        raise NotSeparable("l1", farkas_answer(constraints, ray))
    if decided.status != "optimal":
        raise OracleFailure("l1: integer pivoting ran out of pivots")
    try:
        found = prove_l1(rows, halves, l1_proposal(decided, len(rows), halves))
    except ExactFailure as failure:
        raise OracleFailure(f"l1: {failure}") from failure
    return from_proof(constraints, "l1", found, "integer simplex", sign)


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
    return from_interval(
        constraints, "l1", weights, multipliers, interval, "undetermined", "simplex", sign
    )
