"""Proofs in rationals: an l1 basis, an l2 support, a Farkas vector, a unique optimum.

A float solver proposes *which* constraints and coordinates matter; everything is then solved
and checked again in integers.  What comes back is true of tokens and queries as given, or
:class:`~checks.exact.ExactFailure` is raised; there is no tolerance anywhere in this module.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import partial

import numpy as np

from checks.certificates import Half
from checks.exact import ExactFailure, IntMatrix, dot, kernel_vector, solve
from checks.exact_data import ExactConstraints
from checks.optima import ExactOptimum, L1Basis, Uniqueness, spread
from checks.problems import Array, Constraints
from checks.simplex import Vertex, maximise
from checks.strict_signs import FRACTIONS, strict_l1, strict_l2


def halves_of(dim: int, sign: Array | None = None) -> list[Half]:
    """The half-lines allowed to each coordinate: sign (d,) of +1, -1, 0 (free), nan (dead)."""
    signs = [0.0] * dim if sign is None else sign.tolist()
    return [(j, s) for s in (1, -1) for j in range(dim) if signs[j] * s >= 0.0]  # nan: neither


def l1_tableau(rows: Array | IntMatrix, halves: Sequence[Half], shift: int = 0) -> Vertex:
    """Simplex on the dual, max sum(lambda) s.t. sigma (A^T lambda)_j <= 1 for all half-lines.

    rows (R, d): A in float64, or integers, exact, with A = rows * 2**-shift.  Unbounded iff no
    beta on these half-lines separates; the ray is then a Farkas vector (from floats: a proposal).
    """
    columns = [j for j, _ in halves]
    signs = [s for _, s in halves]
    count = len(rows)
    if isinstance(rows, list):
        matrix = np.array([[s * row[j] for row in rows] for j, s in halves], dtype=object).reshape(
            len(halves), count
        )
        ones = np.array([1] * count, dtype=object)
        return maximise(ones, matrix, np.array([1 << shift] * len(halves), dtype=object))
    matrix = (rows[:, columns] * np.array(signs, dtype=np.float64)).T
    return maximise(np.ones(count), matrix, np.ones(len(halves)))


def l1_proposal(vertex: Vertex, count: int, halves: Sequence[Half]) -> L1Basis:
    """Read rows (basic lambdas) and support (slacks at zero) off a final tableau."""
    rows = tuple(sorted(v for v in vertex.basic if v < count))
    support = tuple(sorted(halves[v - count] for v in vertex.nonbasic if v >= count))
    return L1Basis(rows, support)


def prove_l1(constraints: Constraints, halves: Sequence[Half], basis: L1Basis) -> ExactOptimum:
    """Solve the basis in integers and check primal and dual feasibility: a proof of optimality.

    min sum |beta_j| s.t. A beta >= 1, beta on ``halves``.  Raises ExactFailure where the basis
    is singular, infeasible or not optimal.
    """
    data = ExactConstraints.of(constraints, full=False)
    ints, unit, dim = data.left, 1 << data.shift, len(data.left[0])
    at, columns = basis.rows, [j for j, _ in basis.support]
    if len(at) != len(columns) or len(set(columns)) != len(columns) or not at:
        raise ExactFailure("not a basis")
    if len(at) >= FRACTIONS:
        strict = strict_l1(data, halves, basis)
        if strict is not None:
            return strict
    square = [[ints[r][j] for j in columns] for r in at]
    beta, beta_den = solve(square, [[1] for _ in at])
    flipped = [list(column) for column in zip(*square, strict=True)]
    lam, lam_den = solve(flipped, [[s] for _, s in basis.support])
    b = [row[0] for row in beta]
    weights = [row[0] for row in lam]
    if any(s * x < 0 for (_, s), x in zip(basis.support, b, strict=True)) or min(weights) < 0:
        raise ExactFailure("the basis is not feasible")
    slack = [dot([row[j] for j in columns], b) - beta_den for row in ints]
    if min(slack) < 0:
        raise ExactFailure("a margin is below 1")
    push = [dot([ints[r][j] for r in at], weights) for j in range(dim)]
    cost = {(j, s): lam_den - s * push[j] for j, s in halves}
    if min(cost.values()) < 0:
        raise ExactFailure("the multipliers are not feasible")
    value = Fraction(unit * sum(abs(x) for x in b), beta_den)
    if value != Fraction(unit * sum(weights), lam_den):
        raise ExactFailure("primal and dual values differ")  # a bug: both were just solved
    free = [h for h, c in cost.items() if c == 0 and h not in basis.support]
    loose = [i for i, x in enumerate(weights) if x == 0]
    tight = [r for r, x in enumerate(slack) if x == 0 and r not in at]
    stuck = [i for i, x in enumerate(b) if x == 0]
    return ExactOptimum(
        spread(dim, columns, [unit * x for x in b], beta_den),
        spread(len(ints), at, [unit * x for x in weights], lam_den),
        (value, value),
        partial(Fraction, value),
        _unique_l1(ints, basis, free, loose, tight, stuck),
    )


def _unique_l1(
    ints: IntMatrix,
    basis: L1Basis,
    free: list[Half],
    loose: list[int],
    tight: list[int],
    stuck: list[int],
) -> Uniqueness:
    """Is the optimal vertex the whole optimal face?  Decided exactly.

    Directions h of the face: t >= 0 along the half-lines of reduced cost 0 (``free``) and
    w >= 0 into the basis rows of multiplier 0 (``loose``); h on the support follows.  They must
    not lower a margin that is tight outside the basis, nor push a support coordinate that is 0
    (``stuck``) to its forbidden side.  The optimum is unique iff only t = w = 0 is left.
    """
    if not free and not loose:
        return "proved"
    if not tight and not stuck:
        return "disproved"
    columns = [j for j, _ in basis.support]
    square = [[ints[r][j] for j in columns] for r in basis.rows]
    # One right-hand side a direction: square @ h_S = w - (what t does to the basis rows).
    pushes = [[-s * ints[r][j] for j, s in free] for r in basis.rows]
    lifts = [[int(i == k) for k in loose] for i in range(len(basis.rows))]
    moves, den = solve(square, [p + q for p, q in zip(pushes, lifts, strict=True)])
    count = len(free) + len(loose)
    limits = []
    for r in tight:
        own = [s * ints[r][j] * den for j, s in free] + [0] * len(loose)
        along = [
            dot([ints[r][j] for j in columns], [move[c] for move in moves]) for c in range(count)
        ]
        limits.append([-(x + y) for x, y in zip(own, along, strict=True)])
    limits += [[-basis.support[i][1] * x for x in moves[i]] for i in stuck]
    limits.append([1] * count)
    rhs = np.array([0] * (len(limits) - 1) + [1], dtype=object)
    end = maximise(np.array([1] * count, dtype=object), np.array(limits, dtype=object), rhs)
    if end.status != "optimal":
        return "undetermined"
    reached = sum(
        value for variable, value in zip(end.basic, end.values, strict=True) if variable < count
    )
    return "disproved" if reached > 0 else "proved"


def prove_l2(constraints: Constraints, support: Sequence[int], full: bool) -> ExactOptimum:
    """Prove that ``support`` carries the multipliers of the l2 (full: frobenius) optimum.

    Solves K_SS lambda = 1 in integers (K = Gram matrix of the G_r), then checks lambda >= 0 and
    every margin K lambda >= 1; then sum(lambda) is the square of the optimum.  The optimum of a
    strictly convex norm is always unique.
    """
    data = ExactConstraints.of(constraints, full)
    if len(support) >= FRACTIONS and not full:
        strict = strict_l2(data, support)
        if strict is not None:
            return strict
    lam, den = solve(data.gram(support), [[1] for _ in support])
    weights = [row[0] for row in lam]
    if not weights or min(weights) < 0:
        raise ExactFailure("a multiplier is negative")
    push = data.push(support, weights)
    if min(data.margins(push)) < den:
        raise ExactFailure("a margin is below 1")
    # With K = gram * 4**-shift: lambda = lam/den * 4**shift, and W = push/den * 2**shift.
    table = np.array([[(x << data.shift) / den for x in row] for row in push], dtype=np.float64)
    unit = 1 << 2 * data.shift
    value = Fraction(unit * sum(weights), den)
    return ExactOptimum(
        table if full else table[0],
        spread(len(data.left), support, [unit * x for x in weights], den),
        (value, value),
        partial(Fraction, value),
        "proved",
    )


def prove_farkas(
    constraints: Constraints, support: Sequence[int], full: bool
) -> dict[int, int] | None:
    """Integers y_r > 0 on rows of ``support`` with sum_r y_r G_r = 0 exactly, or None.

    Found as the kernel of the columns G_r (full: of their Gram matrix, which has the same
    kernel), which must be a line: a proof that no weights separate.
    """
    if not support:
        return None
    data = ExactConstraints.of(constraints, full)
    if full:
        vector = kernel_vector(data.gram(support))
    else:
        columns = zip(*(data.left[r] for r in support), strict=True)
        vector = kernel_vector([list(c) for c in columns])
    if vector is None:
        return None
    if max(vector) < 0:
        vector = [-x for x in vector]
    if min(vector) < 0:
        return None
    # Rows that only rounding put into the support have y_r = 0.
    return {r: y for r, y in zip(support, vector, strict=True) if y}
