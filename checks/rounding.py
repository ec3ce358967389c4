"""Rigorous bounds on quantities of the margin problems, computed in float64.

Every bound holds in any order of summation, with or without fused multiply-add: the error of
a k-term dot product is at most gamma_k |a|.|b|, gamma_k = k u/(1 - k u), u = 2^-53 (Higham,
Accuracy and Stability of Numerical Algorithms, ch. 3).  Underflow is covered by adding k times
the smallest normal number (so flushing subnormals to zero is covered too).

The data are the tokens: ``delta`` is one subtraction away from them and ``rows`` one product
further, each rounded once, relatively by u; two more terms of gamma pay for that.  Full models
never form (R, d, d).
"""

from __future__ import annotations

import math
from fractions import Fraction
from functools import cache
from typing import Literal

import numpy as np

from checks.problems import Array, Constraints

Norm = Literal["l1", "l1.5", "l2", "l3", "frobenius", "nuclear"]
FULL: tuple[Norm, ...] = ("frobenius", "nuclear")
"""Norms of a (d, d) matrix W; the others are norms of a vector beta (d,)."""
POWERS: dict[Norm, Norm] = {"l1.5": "l3", "l3": "l1.5"}
"""The norms that are neither polyhedral nor Euclidean, and their dual norms."""

UNIT = 2.0**-53
TINY = float(np.finfo(np.float64).tiny)


@cache
def gamma(terms: int) -> float:
    """gamma_k for k = terms + 4: the 4 pay for the roundings made while the bound itself is
    evaluated (|a|.|b| is computed too, and added: a factor 1 + gamma_terms and two units more,
    less than 4/terms as long as terms < 2^25)."""
    k = terms + 4.0
    return k * UNIT / (1.0 - k * UNIT)


def up(value: float) -> float:
    """The next float64 above."""
    return math.nextafter(value, math.inf)


def down(value: float) -> float:
    """The next float64 below."""
    return math.nextafter(value, -math.inf)


def margins(constraints: Constraints, weights: Array) -> tuple[Array, Array]:
    """(m, error), both (R,): computed margins <G_r, W>, and a bound on their rounding error.

    weights (d,): m = rows @ beta; weights (d, d): m_r = delta_r^T W z_r.  The error is that
    against the tokens' own margins.
    """
    d = constraints.delta.shape[1]
    if weights.ndim == 1:
        sizes = np.abs(weights)
        # An entry of rows may underflow too, before it meets its weight.
        lost = 2 * TINY * (d + float(sizes.sum()))
        error = gamma(d + 2) * (constraints.row_sizes @ sizes) + lost
        return constraints.rows @ weights, error
    left, right = constraints.delta, constraints.query
    size = ((np.abs(left) @ np.abs(weights)) * np.abs(right)).sum(axis=1)
    # An underflowing delta W (at most d TINY) is multiplied by z afterwards.
    lost = 2 * d * TINY * (1.0 + np.abs(right).sum(axis=1))
    return ((left @ weights) * right).sum(axis=1), gamma(2 * d + 2) * size + lost


Measured = tuple[Array, Array]
"""What ``margins`` returned, where a caller has it already."""


def least_margin(
    constraints: Constraints, weights: Array, measured: Measured | None = None
) -> float:
    """A rigorous lower bound of min_r <G_r, W>."""
    computed, error = measured or margins(constraints, weights)
    return down(float((computed - error).min()))


def push(constraints: Constraints, multipliers: Array, full: bool) -> Array:
    """G(lambda) = sum_r lambda_r G_r as computed, (d,) or (d, d)."""
    if full:
        return np.asarray(constraints.delta.T @ (multipliers[:, None] * constraints.query))
    return np.asarray(constraints.rows.T @ multipliers)


def gradient(constraints: Constraints, multipliers: Array, full: bool) -> tuple[Array, Array]:
    """(g, error): G(lambda) = sum_r lambda_r G_r, (d,) or (d, d), and a bound on its rounding,
    that of the data included."""
    count = len(multipliers)
    sizes = np.abs(multipliers)
    value = push(constraints, multipliers, full)
    if full:
        left, right = constraints.delta, constraints.query
        size = np.abs(left).T @ (sizes[:, None] * np.abs(right))
        lost = 2 * count * TINY * (1.0 + float(np.abs(left).max(initial=0.0)))
    else:
        size = constraints.row_sizes.T @ sizes
        lost = 2 * TINY * (count + float(sizes.sum()))
    return value, gamma(count + 3) * size + lost


def sum_above(values: Array) -> float:
    """A rigorous upper bound of the sum of nonnegative values."""
    return up(float(values.sum()) * (1.0 + gamma(values.size)))


def sum_below(values: Array) -> float:
    """A rigorous lower bound of the sum of nonnegative values."""
    return down(float(values.sum()) * (1.0 - gamma(values.size)))


def frobenius_above(values: Array) -> float:
    """A rigorous upper bound of the Euclidean (Frobenius) norm, free of overflow."""
    flat = values.ravel()
    square = float(flat @ flat)
    if 1e-200 < square < 1e200:  # no scaling needed; what underflows is covered as below
        square = up(square * (1.0 + gamma(flat.size)) + flat.size * TINY)
        return up(math.sqrt(square))
    scale = float(np.abs(values).max(initial=0.0))
    if scale == 0.0:
        return 0.0
    unit = math.ldexp(1.0, math.frexp(scale)[1] - 1)
    square = float(np.square(values / unit).sum())
    # values/unit underflows only below unit * TINY: the added term covers those entries.
    square = up(square * (1.0 + gamma(values.size + 2)) + values.size * TINY)
    return up(up(math.sqrt(square)) * unit)


def svd(matrix: Array) -> tuple[Array, Array, Array]:
    """U, s, V^T; falls back from gesdd, which can fail on finite input, to gesvd."""
    try:
        u, s, vt = np.linalg.svd(matrix, full_matrices=False)
    except np.linalg.LinAlgError:
        from scipy.linalg import svd as lapack_svd

        u, s, vt = lapack_svd(matrix, full_matrices=False, lapack_driver="gesvd")
    return u, s, vt


def operator_above(matrix: Array, error: Array) -> float:
    """Rigorous upper bound of the operator norm of every matrix within ``error`` of ``matrix``.

    With any computed factors, |G| <= |U| max(s) |V| + |G - U s V^T|_F and
    |U|^2 <= 1 + |U^T U - I|_F: no trust in the singular value routine is needed.
    """
    if not (np.isfinite(matrix).all() and np.isfinite(error).all()):
        return math.inf
    u, s, vt = svd(matrix)
    rest, defects = _unfactored(matrix, error, u, s, vt)
    stretch = 1.0
    for defect in defects:
        stretch = up(stretch * (1.0 + defect))
    return up(up(float(s.max()) * up(math.sqrt(stretch))) + rest)


def _unfactored(
    matrix: Array, error: Array, u: Array, s: Array, vt: Array
) -> tuple[float, list[float]]:
    """(|G - U s V^T|_F for every G within ``error`` of matrix, [|U^T U - I|_F, |V^T V - I|_F])
    from above."""
    k = len(s)
    size = (np.abs(u) * s) @ np.abs(vt)
    rest = np.abs(matrix - (u * s) @ vt) + gamma(k + 2) * (size + np.abs(matrix)) + error
    defects = []
    for basis in (u.T, vt):
        square = np.abs(basis @ basis.T - np.eye(k))
        square += gamma(basis.shape[1] + 1) * (np.abs(basis) @ np.abs(basis.T) + np.eye(k))
        defects.append(frobenius_above(square))
    return frobenius_above(rest), defects


def smallest_below(matrix: Array, error: Array) -> float:
    """Rigorous lower bound of the smallest singular value of every (m, k) matrix, m >= k, within
    ``error`` of ``matrix``; 0 where m < k.

    With any computed factors, |A x| >= |U s V^T x| - |A - U s V^T|_F |x|, and
    |U y|^2 >= (1 - |U^T U - I|_F) |y|^2.
    """
    if matrix.shape[0] < matrix.shape[1] or not np.isfinite(matrix).all():
        return 0.0
    u, s, vt = svd(matrix)
    rest, defects = _unfactored(matrix, error, u, s, vt)
    shrink = 1.0
    for defect in defects:
        shrink = down(shrink * max(0.0, 1.0 - defect))
    return max(0.0, down(down(float(s.min()) * down(math.sqrt(shrink))) - rest))


def nuclear_above(matrix: Array) -> float:
    """Rigorous upper bound of the nuclear norm, from |P Q^T|_* <= (|P|^2 + |Q|^2)/2.

    What the factors P = U sqrt(s), Q = V sqrt(s) miss of the matrix counts sqrt(d) times its
    Frobenius norm.
    """
    if not np.isfinite(matrix).all():
        return math.inf
    u, s, vt = svd(matrix)
    root = np.sqrt(s)
    left, right = u * root, (vt.T * root).T
    product = left @ right
    size = np.abs(left) @ np.abs(right)
    rest = np.abs(matrix - product) + gamma(len(s) + 2) * (size + np.abs(matrix))
    half = (up(frobenius_above(left) ** 2) + up(frobenius_above(right) ** 2)) / 2.0
    extra = up(up(math.sqrt(min(matrix.shape))) * frobenius_above(rest + TINY))
    return up(up(half) + extra)


def _cube_root(value: float, towards: float) -> float:
    """A float on the ``towards`` side of the real cube root of value >= 0, next to it, or it."""
    root = math.cbrt(value)
    while root and (Fraction(root) ** 3 < Fraction(value)) == (towards > 0):
        root = math.nextafter(root, towards)
    return root


def power_norm(values: Array, norm: Norm, above: bool) -> float:
    """Rigorous upper (or lower) bound of the l1.5 or l3 norm, free of overflow."""
    scale = float(np.abs(values).max(initial=0.0))
    if not 0.0 < scale < math.inf:
        return scale
    unit = math.ldexp(1.0, math.frexp(scale)[1])
    size = np.abs(values) / unit  # at most 1; what underflows is below TINY
    # sqrt rounds correctly: two roundings a term, as for the product of three.
    powers = size * size * size if norm == "l3" else size * np.sqrt(size)
    step = gamma(values.size + 2)
    if above:
        total = up(float(powers.sum()) * (1.0 + step) + values.size * TINY)
        total = total if norm == "l3" else up(total * total)
        return up(_cube_root(total, math.inf) * unit)
    total = max(0.0, down(float(powers.sum()) * (1.0 - step) - values.size * TINY))
    total = total if norm == "l3" else down(total * total)
    return down(_cube_root(total, -math.inf) * unit)


def norm_above(weights: Array, norm: Norm) -> float:
    """Rigorous upper bound of N(weights)."""
    if norm in POWERS:
        return power_norm(weights, norm, above=True)
    if norm == "l1":
        return sum_above(np.abs(weights))
    if norm == "nuclear":
        return nuclear_above(weights)
    return frobenius_above(weights)


def dual_norm_above(value: Array, error: Array, norm: Norm) -> float:
    """Rigorous upper bound of the dual norm of everything within ``error`` of ``value``."""
    if norm == "nuclear":
        return operator_above(value, error)
    size = np.abs(value) + error
    if norm in POWERS:
        return up(power_norm(size, POWERS[norm], above=True) * (1.0 + gamma(2)))
    if norm == "l1":
        return up(float(size.max(initial=0.0)))
    return up(frobenius_above(size) * (1.0 + gamma(2)))
