"""Starts of the frontier atlas: unaligned K(0), Q(0) with every axis of the chart drawn.

The labels of the axes are regions of the case, "axis: value"; ``grids`` counts by them.
"""

from __future__ import annotations

import numpy as np

from checks.blobs import Blob, normal_like, signs
from checks.frames import orthogonal, rotated
from checks.problem_families import DrawnProblem
from checks.problems import Array, Start

WIDTHS = ("1", "2", "d-1", "d", "2d")
"""Columns e of K and Q, d the dimension of the tokens."""
SCALES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
"""Largest entry of K and Q."""
_COPIED = ("no", "columns")
"""columns: all columns equal up to sign, to the last bit, so that K and Q have rank one."""
BALANCES = ("free", "balanced", "query zero")
"""balanced: Q = O K, O orthogonal, so K^T K = Q^T Q up to rounding."""
ANGLES = (0, 45, 90)
"""Degrees between [K; Q] and factors of a separating direction, before the balance is made."""


_RANK_CUT = 1e-9
"""Singular values are 0 up to rounding, or of the order of the drawn numbers, 2^-16 and more."""


def width_of(label: str, dim: int) -> int:
    """e of one of ``WIDTHS``."""
    return {"d-1": dim - 1, "d": dim, "2d": 2 * dim}.get(label) or int(label)


def draw_charted(blob: Blob, drawn: DrawnProblem) -> tuple[Start, list[str]]:
    """Decode one start of 2d columns, those beyond e zero: its place first, then its entries.

    Reads as many bytes whatever the place: a blob's length belongs to family and shape.
    """
    dim = drawn.problem.dim
    label = WIDTHS[blob.pick(len(WIDTHS))]
    scale = SCALES[blob.pick(len(SCALES))]
    copied = _COPIED[blob.pick(len(_COPIED))] == "columns"
    balance = BALANCES[blob.pick(len(BALANCES))]
    angle = ANGLES[blob.pick(len(ANGLES))]
    noise = normal_like(blob.words(2, dim, 2 * dim, width=2))
    inner = orthogonal(blob.words(2, 2 * dim))[:dim]
    turn = orthogonal(blob.words(2, dim))
    flips = signs(blob.words(2 * dim))
    width = width_of(label, dim)
    assert drawn.witness is not None
    # W R and R with R R^T = 1: factors of the witness where e >= d, of a part of it below.
    near = np.stack((rotated(inner[:, :width].T, drawn.witness), inner[:, :width]))
    tilt = np.deg2rad(angle)
    both = np.cos(tilt) * _unit(near) + np.sin(tilt) * _unit(noise[:, :, :width])
    if balance == "balanced":
        both[1] = rotated(both[0].T, turn)
    if balance == "query zero":
        both[1] = 0.0
    if copied:
        both = both[:, :, :1] * flips[:width]
    both = both * (scale / np.abs(both).max())
    rank = np.linalg.matrix_rank(np.concatenate(both), tol=_RANK_CUT * scale)
    # Columns of zeros stay zeros, exactly: runs of every width share a batch.
    padded = np.zeros((2, dim, 2 * dim))
    padded[:, :, :width] = both
    regions = [
        f"width e: {label}",
        f"start scale: {scale:g}",
        f"rank: {_rank_label(int(rank), width)}",
        f"balance: {balance}",
        f"alignment angle: {angle}",
        f"scores: {'tied' if 'equal-scores' in drawn.regions else 'distinct'}",
    ]  # fmt: skip
    return Start.factored(padded[0], padded[1], dim), regions


def _rank_label(rank: int, width: int) -> str:
    """Of [K; Q]: full is that of its e columns."""
    return "full" if rank == width else "one" if rank == 1 else "between"


def _unit(both: Array) -> Array:
    """Largest entry 1; numbers that are all 0 (simplest bytes) become the first unit ones."""
    size = float(np.abs(both).max())
    if size == 0.0:
        both = both.copy()
        both[:, 0, 0] = size = 1.0
    return np.asarray(both / size)
