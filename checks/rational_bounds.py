"""The certified interval of a margin problem, evaluated in rationals: no rounding bounds at all.

The same weak duality as ``checks.certificates``, for the same tokens and queries: what is left
of the width is the distance of the guess from the optimum.  Square roots are 2**-80 wide, a
largest singular value 2**-50.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from checks.certificates import Half, Interval, OracleFailure
from checks.exact import IntMatrix, dot, float_above, float_below, integers, root_bounds
from checks.exact_data import ExactConstraints
from checks.problems import Array, Constraints
from checks.rounding import FULL, Norm, svd

KEPT_BITS = 96
"""Bits of G(lambda) kept for its largest singular value; what is cut off is bounded and added."""

STEPS = (50, 46, 40, 30)
"""How far above the float singular value the proof is tried, 2**-bits; then the Frobenius norm."""


def certify_exactly(
    constraints: Constraints,
    norm: Norm,
    primal: Array,
    multipliers: Array,
    halves: Sequence[Half] | None = None,
) -> Interval:
    """As ``certificates.certify``: the interval proved by (primal, multipliers).

    nuclear: the primal is replaced by its float64 factors' product.  Raises OracleFailure where
    the pair proves nothing.
    """
    if not (np.isfinite(primal).all() and np.isfinite(multipliers).all()):
        raise OracleFailure(f"{norm}: the solver's answer is not finite")
    if halves is not None:
        used = {(int(j), int(np.sign(primal[j]))) for j in np.flatnonzero(primal)}
        if not used <= set(halves):
            raise OracleFailure(f"{norm}: the solver's answer leaves the frozen signs")
    data = ExactConstraints.of(constraints, full=norm in FULL)
    [kept], _ = integers(np.maximum(multipliers, 0.0))
    return _interval(data, norm, *_primal(primal, norm), kept, halves)


def certify_factors(
    constraints: Constraints, p: IntMatrix, q: IntMatrix, multipliers: Sequence[int]
) -> Interval:
    """The nuclear interval proved by W = P Q^T and lambda >= 0, in integers of any scales.

    p, q (d, k); multipliers (R,).  Raises OracleFailure where they prove nothing.
    """
    # |P Q^T|_* <= (|P|^2 + |Q|^2)/2, with equality for balanced factors.
    square = sum(x * x for row in (*p, *q) for x in row)
    table = [[dot(a, b) for b in q] for a in p]
    data = ExactConstraints.of(constraints, full=True)
    return _interval(data, "nuclear", table, Fraction(square, 2), multipliers, None)


def _interval(
    data: ExactConstraints,
    norm: Norm,
    table: IntMatrix,
    size: Fraction,
    kept: Sequence[int],
    halves: Sequence[Half] | None,
) -> Interval:
    """From integer weights, a bound of their norm and integer multipliers, of any scales."""
    least = min(data.margins(table))
    if norm == "nuclear":  # its bound is rounded up to an integer, which must not be a small one
        kept = [y << KEPT_BITS for y in kept]
    some = [r for r, y in enumerate(kept) if y]
    if least <= 0 or not some:
        raise OracleFailure(f"{norm}: the solver's answer certifies nothing")
    push = data.push(some, [kept[r] for r in some])
    most = _dual_norm_above(push, norm, halves)
    if most <= 0:
        raise OracleFailure(f"{norm}: the solver's answer certifies nothing")
    unit = 1 << data.shift  # margins and push both carry it; the weights' own scales cancel
    return Interval(float_below(unit * sum(kept) / most), float_above(unit * size / least))


def _primal(primal: Array, norm: Norm) -> tuple[IntMatrix, Fraction]:
    """(integer weights, rational upper bound of their norm), of some common positive scale."""
    if norm != "nuclear":
        table, _ = integers(primal)
        flat = [x for row in table for x in row]
        if norm == "l1":
            return table, Fraction(sum(abs(x) for x in flat))
        return table, root_bounds(Fraction(dot(flat, flat)))[1]
    u, s, vt = svd(primal)
    root = np.sqrt(s)
    (left, one), (right, two) = integers(u * root), integers(vt.T * root)
    common = max(one, two)
    left = [[x << (common - one) for x in row] for row in left]
    right = [[x << (common - two) for x in row] for row in right]
    # |P Q^T|_* <= (|P|^2 + |Q|^2)/2, with equality for balanced factors.
    square = sum(x * x for row in (*left, *right) for x in row)
    return [[dot(p, q) for q in right] for p in left], Fraction(square, 2)


def _dual_norm_above(push: IntMatrix, norm: Norm, halves: Sequence[Half] | None) -> Fraction:
    if norm == "l1":
        if halves is not None:
            return Fraction(max((s * push[0][j] for j, s in halves), default=0))
        return Fraction(max(abs(x) for x in push[0]))
    flat = [x for row in push for x in row]
    frobenius = root_bounds(Fraction(dot(flat, flat)))[1]
    return _operator_above(push, frobenius) if norm == "nuclear" else frobenius


def _operator_above(push: IntMatrix, frobenius: Fraction) -> Fraction:
    """s with s^2 I - G^T G positive definite, proved by the signs of its leading minors."""
    size = max(abs(x).bit_length() for row in push for x in row)
    cut = max(0, size - KEPT_BITS)
    kept = [[x >> cut for x in row] for row in push]
    columns = list(zip(*kept, strict=True))
    square = [[dot(p, q) for q in columns] for p in columns]
    scale = max(0, size - cut - 64)
    floats = np.array([[x / (1 << scale) for x in row] for row in kept], dtype=np.float64)
    guess = Fraction(float(svd(floats)[1].max())) * (1 << scale)
    # Cutting moved every entry down by less than 1, so the norm by less than the sides' sum.
    moved = len(kept) + len(columns) if cut else 0
    for bits in STEPS:
        bound = guess * (1 + Fraction(1, 1 << bits))
        trial = -((-(bound.numerator**2)) // bound.denominator**2)  # rounded up: an integer s^2
        rows = enumerate(square)
        if is_definite([[trial * (i == j) - x for j, x in enumerate(row)] for i, row in rows]):
            return min((root_bounds(Fraction(trial))[1] + moved) * (1 << cut), frobenius)
    return frobenius


def is_definite(work: IntMatrix) -> bool:
    """Is this symmetric matrix positive definite?  All leading minors positive (Bareiss)."""
    previous = 1
    for c in range(len(work)):
        pivot = work[c][c]
        if pivot <= 0:
            return False
        for i in range(c + 1, len(work)):
            factor = work[i][c]
            pairs = zip(work[i], work[c], strict=True)
            work[i] = [(pivot * x - factor * y) // previous for x, y in pairs]
        previous = pivot
    return True
