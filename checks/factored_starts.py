"""Starts of the factored model: bytes -> K(0), Q(0) (D, e), D = dim (S1, S6; THEORY.md 4)."""

from __future__ import annotations

import dataclasses

import numpy as np

from checks.blobs import Blob, normal_like, signs
from checks.charted_starts import draw_charted
from checks.constructions import gaps
from checks.frames import Alignment, bordered, orthogonal, rotated
from checks.problem_families import DrawnProblem
from checks.problems import Array, Start
from checks.start_families import draw_start, large_weights, needed_margin

FACTORED_STARTS = (
    "random", "small", "separating", "trapped", "wide", "wide-separating", "wide-trapped",
    "charted",
)  # fmt: skip
LOW_RANK = {"rank-one": 1, "rank-two": 2}
"""Start family -> e: the rank of K and Q is bounded by their shape, which no rounding mends."""
ALIGNED_STARTS = {
    "aligned": "separating",
    "aligned-small": "small",
    "aligned-random": "random",
    "aligned-trapped": "trapped",
    "aligned-frozen": "frozen",
}
"""Start family -> the family its diagonal start is drawn from."""

_REFLECTIONS = 2
_HALVINGS = 40
"""Perturbations are halved at most so often; 2^-40 of one cannot undo an exact margin."""


def draw_aligned_start(
    blob: Blob, kind: str, alignment: Alignment, base: DrawnProblem, turned: bool
) -> tuple[Start, Alignment, list[str]]:
    """K = U diag(k) R^T, Q = V diag(q) R^T with (k, q) a start of the diagonal problem.

    aligned: separating (so large that the infimum must be reached); aligned-small,
    aligned-random, aligned-trapped, aligned-frozen: see
    :func:`checks.start_families.draw_start`.  Every c_j > 0, but for aligned-frozen, where one
    is 0 or more on directions that are used.  R is drawn where ``turned``, else the identity.
    """
    start, regions = draw_start(blob, ALIGNED_STARTS[kind], base, "diagonal")
    dim = base.problem.dim
    inner = alignment.inner
    if turned:
        inner = orthogonal(blob.words(_REFLECTIONS, dim))
        inner.setflags(write=False)
    assert start.key is not None and start.query is not None
    key = rotated(inner, alignment.left * start.key)
    query = rotated(inner, alignment.right * start.query)
    aligned = dataclasses.replace(alignment, inner=inner, start=start)
    return Start.factored(key, query, dim), aligned, regions


def draw_factored_start(blob: Blob, kind: str, drawn: DrawnProblem) -> tuple[Start, list[str]]:
    """Decode one unaligned start and its region labels (source: derived).

    e = D: random (entries of order 1/2), small (1e-3 .. 1e-1), separating
    (W(0) as in the combined model: not optimal, and the infimum must be reached),
    trapped (the same for the other tokens of a trap; K's row at the appended coordinate is
    0, and twin samples keep it so).
    e = 2D, [K; Q] of full rank: wide (random), wide-separating, wide-trapped (there
    the row of W at the appended coordinate starts at 0, and twin samples pull it back to it).
    charted: any place of the frontier atlas.
    e = 1, 2: rank-one, rank-two (separating as above; for problems of a rank-one witness).
    """
    dim = drawn.problem.dim
    if kind == "charted":
        return draw_charted(blob, drawn)
    if kind in LOW_RANK:
        return _low_rank(blob, drawn, LOW_RANK[kind])
    if kind in ("separating", "wide-separating", "trapped", "wide-trapped"):
        weights, regions = large_weights(blob, drawn, (dim, dim), trapped=kind.endswith("trapped"))
        key, query = _split(blob, weights, kind)
        return Start.factored(key, query, dim), regions
    shape = (2, dim, 2 * dim if kind == "wide" else dim)
    if kind == "small":
        words = blob.words(*shape)
        both = signs(words) * 10.0 ** (-1.0 - 2.0 * (words >> 1) / 127.0)
    else:
        both = 0.5 * normal_like(blob.words(*shape, width=2))
    return Start.factored(both[0], both[1], dim), []


def _split(blob: Blob, weights: Array, kind: str) -> tuple[Array, Array]:
    """K, Q with K Q^T = W up to rounding: K = O S, Q = W^T O S^-1, and for e = 2D, K = [O S, B],
    Q = [(W - B C^T)^T O S^-1, C], with O a rational rotation, S > 0 diagonal."""
    dim = len(weights)
    words = np.zeros(dim, dtype=np.int64)
    used = dim - 1 if kind == "trapped" else dim
    words[:used] = blob.words(used)
    size = np.sqrt(np.sqrt((weights * weights).sum() / dim))
    stretch = size * 2.0 ** (signs(words) * ((words >> 1) % 16) / 16.0)
    if kind == "trapped":
        frame = bordered(orthogonal(blob.words(_REFLECTIONS, dim - 1)))
        key, query = frame * stretch, rotated(frame.T, weights.T) / stretch
        key[:, -1] = 0.0
        query[:, -1] = size * normal_like(blob.words(dim, width=2))
        return key, query
    frame = orthogonal(blob.words(_REFLECTIONS, dim))
    if kind == "separating":
        return frame * stretch, rotated(frame.T, weights.T) / stretch
    more = 0.5 * size * normal_like(blob.words(2, dim, dim, width=2))
    rest = weights - rotated(more[1], more[0])
    first = np.concatenate([frame * stretch, more[0]], axis=1)
    second = np.concatenate([rotated(frame.T, rest.T) / stretch, more[1]], axis=1)
    return first, second


def _low_rank(blob: Blob, drawn: DrawnProblem, columns: int) -> tuple[Start, list[str]]:
    """The factors of a rank-one witness, perturbed as far as a quarter of each margin stays."""
    problem, witness = drawn.problem, drawn.witness
    assert witness is not None
    dim = problem.dim
    row, column = np.unravel_index(np.argmax(np.abs(witness)), witness.shape)
    base = np.zeros((2, dim, columns), dtype=np.float64)
    base[0, :, 0] = witness[:, column]
    base[1, :, 0] = witness[row] / witness[row, column]
    noise = normal_like(blob.words(2, dim, columns, width=2))
    tilt = 2.0 ** (signs(blob.words(1))[0] * 0.5)

    def least(both: Array) -> float:
        weights = rotated(both[1], both[0])
        return float(gaps(problem.tokens, rotated(weights, problem.queries), problem.optimal).min())

    kept = least(base) / 4.0
    for halvings in range(_HALVINGS):
        both = base + 0.5**halvings * noise
        if least(both) >= kept:
            break
    else:
        both = base
    both *= np.sqrt(needed_margin(problem) / least(both))
    return Start.factored(both[0] * tilt, both[1] / tilt, dim), [f"rank-{columns}-start"]
