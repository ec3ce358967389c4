"""Optima proved by strict signs: no number needs to be known better than its sign.

Where every multiplier, every coordinate of the support, every other margin and every other
reduced cost is strictly on its side, enclosures of 40 digits (checks.enclosures) prove what
fractions of thousands would.  Ties are left to the fractions of checks.basis.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import partial

import numpy as np

from checks.certificates import Half
from checks.enclosures import Enclosure, Near, enclose
from checks.exact import ExactFailure, IntMatrix, dot, solve
from checks.exact_data import ExactConstraints
from checks.optima import ExactOptimum, L1Basis, spread
from checks.problems import Array

FRACTIONS = 8
"""Order of the system from which on strict signs are proved by enclosures, in a third of the time
that the fractions take at 24 x 16 and a tenth at 120 x 32; below, fractions are as quick."""


def strict_l1(
    data: ExactConstraints, halves: Sequence[Half], basis: L1Basis
) -> ExactOptimum | None:
    """The proof of ``prove_l1`` where everything that may be positive is: then the optimum is the
    only one.  None where that is not so, or not to be seen at 40 digits.
    """
    columns, signs = (np.array(part) for part in zip(*basis.support, strict=True))
    at, k = np.array(basis.rows), len(basis.rows)
    ints = np.array(data.left, dtype=object)
    square = ints[at[:, None], columns]
    near = Near.of(square)
    flipped = Near(near.values.T, near.error.T, near.exponent)
    try:
        beta = enclose(square.dot, near, np.array([1] * k, dtype=object))
        lam = enclose(square.T.dot, flipped, signs.astype(object))
    except ExactFailure:
        return None
    largest = k * int(np.abs(ints).max())  # times the error of k terms
    others = np.ones(len(ints), dtype=bool)
    others[at] = False
    slack = ints[others][:, columns].dot(beta.near) - (1 << beta.shift)
    push = ints[at].T.dot(lam.near)
    cost = [(1 << lam.shift) - s * push[j] for j, s in halves if (j, s) not in basis.support]
    if not (
        min(signs * beta.near) > beta.error
        and min(lam.near) > lam.error
        and min(slack, default=largest * beta.error + 1) > largest * beta.error
        and min(cost, default=largest * lam.error + 1) > largest * lam.error
    ):
        return None
    unit = 1 << data.shift
    return ExactOptimum(
        spread(ints.shape[1], columns.tolist(), [unit * x for x in beta.near], 1 << beta.shift),
        spread(len(ints), basis.rows, [unit * x for x in lam.near], 1 << lam.shift),
        _sum_bounds(beta, signs * beta.near, unit),
        partial(_fraction_l1, square.tolist(), signs.tolist(), unit),
        "proved",
    )


def _fraction_l1(square: IntMatrix, signs: Sequence[int], unit: int) -> Fraction:
    numerators, den = solve(square, [[1] for _ in square])
    return Fraction(unit * sum(s * row[0] for s, row in zip(signs, numerators, strict=True)), den)


def _fraction_l2(rows: IntMatrix, unit: int) -> Fraction:
    gram = [[dot(a, b) for b in rows] for a in rows]
    numerators, den = solve(gram, [[1] for _ in gram])
    return Fraction(unit * sum(row[0] for row in numerators), den)


def _sum_bounds(found: Enclosure, terms: Array, unit: int) -> tuple[Fraction, Fraction]:
    """Around ``unit`` times the sum of the enclosed numbers, as which ``terms`` are given."""
    total, error = int(terms.sum()), len(terms) * found.error
    one = 1 << found.shift
    return Fraction(unit * (total - error), one), Fraction(unit * (total + error), one)


def strict_l2(data: ExactConstraints, support: Sequence[int]) -> ExactOptimum | None:
    """The proof of ``prove_l2`` where multipliers and the other margins are strictly as they
    should be; None where that is not so, or not to be seen at 40 digits."""
    at, k = np.array(support), len(support)
    ints = np.array(data.left, dtype=object)
    own = ints[at]
    try:
        lam = enclose(lambda y: own.dot(own.T.dot(y)), Near.of(own).gram, np.array([1] * k, object))
    except ExactFailure:
        return None
    push = own.T.dot(lam.near)
    others = np.ones(len(ints), dtype=bool)
    others[at] = False
    slack = ints[others].dot(push) - (1 << lam.shift)
    error = own.size * int(np.abs(ints).max()) ** 2 * lam.error
    if not (min(lam.near) > lam.error and min(slack, default=error + 1) > error):
        return None
    den, unit = 1 << lam.shift, 1 << 2 * data.shift
    return ExactOptimum(
        np.array([(x << data.shift) / den for x in push], dtype=np.float64),
        spread(len(ints), support, [unit * x for x in lam.near], den),
        _sum_bounds(lam, lam.near, unit),
        partial(_fraction_l2, own.tolist(), unit),
        "proved",
    )
