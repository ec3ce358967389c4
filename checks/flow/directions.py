"""How the directions of [K; Q] compare: what audits of factored weights measure."""

from __future__ import annotations

import numpy as np

from checks.problems import Array


def relative_change(z: Array, other: Array, small: float) -> float:
    """|T - 1| (Frobenius) of the T with z = T other (2d x e); directions of other smaller
    than ``small`` times its largest are measured against that size."""
    _, sizes, axes = np.linalg.svd(other, full_matrices=False)
    if sizes[0] == 0:  # weights of 0 stay 0, and deviate by 0, not by 0/0
        return np.inf if z.any() else 0.0
    return float(np.linalg.norm((z - other) @ axes.T / np.maximum(sizes, small * sizes[0])))


def grown(first: Array, end: Array) -> float:
    """By what factor the smaller directions of [K; Q] grew against the largest, at least 1: the
    reference's own errors grow with them (seen: 118 times, from 5e-10 of the largest)."""
    before, after = (np.linalg.svd(z, compute_uv=False) for z in (first, end))
    told = before > 1e-12 * before[0]  # less is rounding
    if not told.any() or after[0] == 0:
        return 1.0
    return max(1.0, float((after[told] / before[told]).max() * before[0] / after[0]))
