"""Constructions: token coordinates moved, in place, until a property holds exactly.

x (n, L, d) are data coordinates, h (n, d) the directions W z_i in which the witness W reads
them: the margin of token l under W is h_i . (x_i,chosen - x_il).  Source: derived.
"""

from __future__ import annotations

import numpy as np

from checks.problems import Array

FAINT = 2.0**-6
"""|witness| at the contrary coordinate."""
STRONG = 4.0
"""Margin that the contrary coordinate alone gives, before the witness is made to separate."""


def gaps(x: Array, h: Array, chosen: Array) -> Array:
    """(n, L-1): (x_i,chosen - x_il) . h_i over l != chosen."""
    n, length, _ = x.shape
    levels = np.einsum("ild,id->il", x, h)
    gaps = levels[np.arange(n), chosen][:, None] - levels
    others = np.arange(length) != chosen[:, None]
    return np.asarray(gaps[others].reshape(n, length - 1))


def _push(x: Array, h: Array, chosen: Array, amount: Array, unit: float) -> None:
    """Move x_i,chosen so that its level h_i . x rises by at least amount_i (>= 0), in place.

    The step is amount h/|h|^2 with each coordinate rounded *away* from zero to a multiple of
    ``unit``: as its signs are those of h, rounding only raises the level further.
    """
    step = amount[:, None] * h / (h * h).sum(axis=1)[:, None]
    rounded = np.sign(step) * np.ceil(np.abs(step) / unit) * unit
    x[np.arange(len(x)), chosen] += rounded


def separate(x: Array, h: Array, best: Array, target: float, unit: float) -> None:
    """Push the optimal token of each sample until all its margins are >= target, in place."""
    short = target - gaps(x, h, best).min(axis=1)
    _push(x, h, best, np.maximum(short, 0.0), unit)


def oblige(x: Array, h: Array, best: Array, j: int, unit: float) -> None:
    """Make coordinate j separate alone against the sign of the witness, in place.

    h (n, d) = witness * z; afterwards -sign(witness_j) z_ij (x_io - x_il)_j >= about
    ``STRONG`` for every l != o_i.
    """
    rows = np.arange(len(x))
    against = -np.sign(h[:, j])
    column = x[:, :, j] * against[:, None]
    # |z_ij| = |h_ij| / |witness_j|
    step = np.ceil(STRONG * FAINT / np.abs(h[:, j]) / unit) * unit
    x[rows, best, j] = against * (column.max(axis=1) + step)


def set_trap(x: Array, h: Array, scores: Array, best: Array, target: float, unit: float) -> Array:
    """Make the second-best token a trap under -h, keeping o separable under h; in place.

    The second-best alpha is pushed below all others; x_o becomes the mirror image of x_alpha
    in the highest of the others, m: x_alpha - x_o = 2 (x_alpha - x_m).  Every diagonal weight
    that solves the problem selected by alpha then gives o a margin >= 2: settled (THEORY.md
    5).  For full weights that needs their row at the appended coordinate to stay 0: there
    every sample has a twin of the opposite label, otherwise equal, so that the two pull that
    row in opposite directions.
    """
    n = len(x)
    rows = np.arange(n)
    masked = scores.copy()
    masked[rows, best] = -np.inf
    alpha = np.argmax(masked, axis=1)
    levels = np.einsum("ild,id->il", x, h)
    middle = np.ones(scores.shape, dtype=bool)
    middle[rows, best] = middle[rows, alpha] = False
    top = np.argmax(np.where(middle, levels, -np.inf), axis=1)
    bottom = np.where(middle, levels, np.inf).min(axis=1)
    drop = np.maximum(levels[rows, alpha] - (bottom - target), 0.0)
    _push(x, -h, alpha, drop, unit)
    x[rows, best] = 2.0 * x[rows, top] - x[rows, alpha]
    return np.asarray(alpha)


def oppose(
    x: Array,
    z: Array,
    y: Array,
    scores: Array,
    best: Array,
    pair: tuple[int, int],
    low: tuple[int, int],
    flip: float,
) -> None:
    """Give two samples exactly opposite constraints G_r = -G_s, in place.

    r, s: the constraints of the optimal tokens of ``pair`` against the tokens ``low``.  Either
    z' = -z and the same token difference (flip 1), or z' = z and the opposite one (flip -1);
    scores and labels make it so in the appended coordinate too, hence for every model.
    """
    (i, j), (below, m) = pair, low
    delta = x[i, best[i]] - x[i, below]
    z[j] = -flip * z[i]
    y[j] = flip * y[i]
    x[j, best[j]] = x[j, m] + flip * delta
    scores[j, m] = scores[j, best[j]] - (scores[i, best[i]] - scores[i, below])
