"""Problems on which one coordinate is off the optimal support by a chosen dual slack delta.

THEORY.md 3: its share of S = sum c_j cosh r_j falls like S^-delta and no faster, and so does the
gap of separate diagonal weights.  Source: derived.
"""

from __future__ import annotations

import numpy as np

from checks.blobs import Blob, signs, zigzag
from checks.problem_families import DrawnProblem, Shape, scores_of
from checks.problems import AttentionProblem

_UNIT = 2.0**-12
_SIXTEENTHS = 8
"""The slack is 1/16 .. 8/16, rounded up to a multiple of gamma* _UNIT."""
_FEEBLE = 0.25
"""Largest pull of the other coordinates off the support, relative to the slack one's."""


def check_slack_shape(shape: Shape) -> None:
    """Raise ValueError unless L is 2 and there is a coordinate beyond one a sample."""
    n, length, d = shape
    if n < 1 or length != 2 or d <= n:
        raise ValueError(f"shape {shape}: slack problems have n >= 1, L = 2 and d > n")


def draw_slack(blob: Blob, shape: Shape) -> DrawnProblem:
    """Decode samples with a coordinate each, and others that are the same in every constraint.

    Up to signs and order of the coordinates, a_i = (g_i e_i, v, v t_1, v t_2, ..), g_i one of 1,
    1/2, 1/4.  So gamma* = 1/sum_i (1/g_i) with p*_i = gamma*/g_i, unique as is the optimum, and
    (A^T p)_j = v = (1 - delta) gamma* at the slack coordinate *whatever p in the simplex is*.
    Raises ValueError for a shape the family cannot have, or for too few bytes.
    """
    check_slack_shape(shape)
    n, _, d = shape
    pull = 2.0 ** -(blob.words(n) % 3)
    gamma = 1.0 / (1.0 / pull).sum()
    slack = 1 + blob.pick(_SIXTEENTHS)
    v = np.floor((16 - slack) * gamma / (16 * _UNIT)) * _UNIT
    rows = np.zeros((n, d))
    rows[np.arange(n), np.arange(n)] = pull
    rows[:, n] = v
    rows[:, n + 1 :] = v * _FEEBLE * zigzag(blob.words(d - n - 1) % 33) / 16.0
    turn = signs(blob.words(d))
    order = np.argsort(blob.words(d), kind="stable")
    rows = (rows * turn)[:, order]
    witness = np.zeros(d + 1)
    witness[:d] = np.concatenate([turn[:n] / pull, np.zeros(d - n)])[order]

    y = signs(blob.words(n))
    z = signs(blob.words(n, d)) * 2.0 ** (1.0 - blob.words(n, d) % 3)
    scores, best = scores_of(blob, "slack", n, 2)
    low = zigzag(blob.words(n, d) % 9) / 4
    x = low[:, None].repeat(2, axis=1)
    x[np.arange(n), best] += rows / z  # exact: powers of two
    tokens = np.concatenate([x, (y[:, None] * scores)[:, :, None]], axis=2)
    queries = np.concatenate([z, np.zeros((n, 1))], axis=1)
    head = np.zeros(d + 1)
    head[d] = 1.0
    problem = AttentionProblem.of(tokens, queries, y, head, scores)
    regions = ("mixed-labels",) if (y != y[0]).any() else ()
    return DrawnProblem(problem, witness, (*regions, f"slack {slack}/16"))
