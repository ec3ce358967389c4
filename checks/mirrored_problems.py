"""Data closed under transposition, the control whose start K = Q keeps W positive semidefinite.

THEORY.md 4: with Q = K on transposition-symmetric data the limit is that of the margin problem
restricted to W >= 0 (semidefinite), not the nuclear one.  Source: derived.
"""

from __future__ import annotations

import numpy as np

from checks.blobs import Blob, normal_like, signs, zigzag
from checks.constructions import gaps, separate
from checks.problem_families import DrawnProblem, Shape
from checks.problems import Array, AttentionProblem, Start
from checks.start_families import needed_margin

_UNIT = 0.25
_HALVINGS = 40
"""Perturbations are halved at most so often; 2^-40 of one cannot undo an exact margin."""


def check_mirrored_shape(shape: Shape) -> None:
    """Raise ValueError unless n is even, L is 2 and d >= 1."""
    n, length, d = shape
    if n < 2 or n % 2 or length != 2 or d < 1:
        raise ValueError(f"shape {shape}: mirrored problems have n even, L = 2 and d >= 1")


def draw_mirrored(blob: Blob, shape: Shape) -> tuple[DrawnProblem, Array]:
    """Decode pairs of samples with G_s = G_r^T exactly, and C with witness = C C^T.

    Sample i < n/2 has delta and z, sample i + n/2 has delta' = z, z' = delta; their scores
    agree, so at symmetric W they have equal lambda, and G(lambda) is symmetric.  To be
    realisable, delta and z both carry +-(score lead) in the appended coordinate: here, and
    only here, queries are not 0 there.  C is lower triangular with a positive diagonal.
    Raises ValueError for a shape the family cannot have, or for too few bytes.
    """
    check_mirrored_shape(shape)
    n, _, d = shape
    half = n // 2
    y = signs(blob.words(n))
    lead = (1 + blob.words(half) % 16) / 8.0
    top = zigzag(blob.words(half) % 9) / 8.0
    words = blob.words(half, d)
    z = np.zeros((half, d + 1), dtype=np.float64)
    z[:, :d] = signs(words) * (1 + (words >> 1) % 8) / 4
    z[:, d] = y[half:] * lead
    factor = np.zeros((d + 1, d + 1), dtype=np.float64)
    factor[np.tril_indices(d, -1)] = zigzag(blob.words(d * (d - 1) // 2) % 5) / 4
    factor[np.diag_indices(d + 1)] = (1 + blob.words(d + 1) % 8) / 4
    witness = factor @ factor.T  # few bits an entry: exact in any order

    # Tokens of a sample: delta above 0.  Its data coordinates are pushed until the witness
    # separates, whatever the appended one takes away.
    delta = np.zeros((half, 2, d), dtype=np.float64)
    delta[:, 0] = zigzag(blob.words(half, d) % 33) * _UNIT
    h = z @ witness
    lost = -(y[:half] * lead * h[:, d]).min()
    separate(delta, h[:, :d], np.zeros(half, dtype=np.int64), 0.5 + max(lost, 0.0), _UNIT)
    difference = np.concatenate([delta[:, 0], (y[:half] * lead)[:, None]], axis=1)

    best = blob.words(n) % 2
    low = zigzag(blob.words(n, d) % 9) / 4
    rows = np.arange(n)
    scores = np.concatenate([top, top])[:, None].repeat(2, axis=1)
    scores[rows, 1 - best] -= np.concatenate([lead, lead])
    tokens = np.concatenate([low[:, None].repeat(2, axis=1), (y[:, None] * scores)[..., None]], 2)
    tokens[rows, best, :d] += np.concatenate([difference, z])[:, :d]
    head = np.zeros(d + 1, dtype=np.float64)
    head[d] = 1.0
    problem = AttentionProblem.of(tokens, np.concatenate([z, difference]), y, head, scores)
    regions = ("mixed-labels",) if (y != y[0]).any() else ()
    return DrawnProblem(problem, witness, regions), factor


def draw_mirrored_start(blob: Blob, drawn: DrawnProblem, factor: Array) -> tuple[Start, list[str]]:
    """K = Q, the same floats: a multiple of C, perturbed, large enough to reach the infimum."""
    problem = drawn.problem
    noise = normal_like(blob.words(*factor.shape, width=2))

    def least(key: Array) -> float:
        levels = problem.queries @ (key @ key.T)
        return float(gaps(problem.tokens, levels, problem.optimal).min())

    kept = least(factor) / 4.0
    for halvings in range(_HALVINGS):
        key = factor + 0.5**halvings * noise
        if least(key) >= kept:
            break
    else:
        key = factor
    key = key * np.sqrt(needed_margin(problem) / least(key))
    return Start.factored(key, key, problem.dim), ["key-is-query"]
