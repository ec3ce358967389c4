"""The optimal face of a margin problem in two or three dimensions, as the polygon it is.

For drawing only: vertices by brute force in float64, where the oracles prove what they say.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations, product

import numpy as np

from checks.problems import Array

SLACK = 1e-9
"""Relative slack for a point to count as on the face: far above rounding, far below a pixel."""


@dataclass(frozen=True)
class Plane:
    """norm: l1 or l2.  face (m, d): vertices of {b: N(b) = 1, min A b = gamma*}, m >= 1."""

    norm: str
    face: Array

    def normalised(self, points: Array) -> Array:
        """points/N(points), row by row; a row of zeros stays where it is."""
        size = np.linalg.norm(points, ord=1 if self.norm == "l1" else 2, axis=1, keepdims=True)
        return np.asarray(points / np.where(size > 0, size, 1.0))


def plane_of(rows: Array, optimum: float, norm: str) -> Plane:
    """rows (R, d), d in (2, 3): constraints; optimum: smallest N at margin 1.

    The l2 optimum is unique: one vertex, found like the others as the nearest point.
    """
    scaled = rows * optimum  # the face is where every scaled margin is >= 1
    if norm == "l1":
        return Plane(norm, _polygon(_l1_vertices(scaled)))
    return Plane(norm, _nearest(scaled))


def _l1_vertices(scaled: Array) -> Array:
    """Points of the unit l1 sphere with scaled margins >= 1 at which d constraints are tight."""
    d = scaled.shape[1]
    planes = [(row, 1.0) for row in scaled]
    planes += [(np.eye(d)[j], 0.0) for j in range(d)]
    planes += [(np.array(s), 1.0) for s in product((-1.0, 1.0), repeat=d)]
    found: list[Array] = []
    for chosen in combinations(planes, d):
        matrix = np.array([row for row, _ in chosen])
        if abs(np.linalg.det(matrix)) <= SLACK * np.prod(np.linalg.norm(matrix, axis=1)):
            continue
        point = np.linalg.solve(matrix, [value for _, value in chosen])
        on = abs(np.abs(point).sum() - 1) <= SLACK and (scaled @ point >= 1 - SLACK).all()
        if on and not any(np.abs(point - other).max() <= 10 * SLACK for other in found):
            found.append(point)
    return np.array(found).reshape(-1, d)


def _polygon(vertices: Array) -> Array:
    """The vertices in order around their mean, so that a line through them does not cross."""
    if len(vertices) < 3:
        return vertices
    centred = vertices - vertices.mean(axis=0)
    _, _, axes = np.linalg.svd(centred)
    flat = centred @ axes[:2].T
    return np.asarray(vertices[np.argsort(np.arctan2(flat[:, 1], flat[:, 0]))])


def _nearest(scaled: Array) -> Array:
    """(1, d): the unit vector with scaled margins >= 1."""
    best: Array | None = None
    for size in range(1, scaled.shape[1] + 1):
        for chosen in combinations(range(len(scaled)), size):
            point = np.linalg.pinv(scaled[list(chosen)]) @ np.ones(size)
            if (scaled @ point >= 1 - SLACK).all() and (
                best is None or np.linalg.norm(point) < np.linalg.norm(best)
            ):
                best = point
    return np.zeros((0, scaled.shape[1])) if best is None else best[None]
