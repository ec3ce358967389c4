"""Problem families: bytes -> tokens, queries, labels, scores, with what is known of them.

A shape is (n, L, d), d counting the *data* coordinates.  One more coordinate is appended
that makes the scores realisable (THEORY.md 4): tokens carry y_i * score_il there, the head
is its unit vector, queries are 0 there; hence ``AttentionProblem.dim == d + 1``.  All
numbers are dyadic with few bits: float64 margins of the witness are exact, and a problem
separable by construction is so in exact arithmetic.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from checks.blobs import Blob, normal_like, signs, zigzag
from checks.constructions import FAINT, gaps, oblige, oppose, separate, set_trap
from checks.problems import Array, AttentionProblem

Shape = tuple[int, int, int]

PROBLEMS = (
    "separable",
    "near-tied",
    "equal-scores",
    "one-sample",
    "prompt",
    "classifier",
    "contrary",
    "low-rank",
    "trap",
    "tied",
    "unrealisable",
    "nonseparable",
    "unconstrained",
)
WITNESSED = PROBLEMS[:11]
"""The problem families that come with a separating direction."""
PLAIN = ("prompt", "classifier")
"""Those whose data coordinates of the queries are all 1, so that m_r = <delta_r, beta>.  prompt:
only a vector is trained, attention logits are x^T beta (arXiv 2306.13596).  classifier: one
sample with equal scores, delta_r = y_r x_r of a linear classifier with exponential loss."""
ONE_SAMPLE = ("one-sample", "classifier")

_STYLES = ("integer-data", "quarter-data", "gaussian-data", "scaled-data")
_GRID = (1.0, 0.25, 2.0**-16, 2.0**-16)
"""The unit to which shifted coordinates are rounded, by style: integer data stay integer."""
_LEAST_LEAD = 0.125
_NEAR_TIE = 2.0**-10


@dataclass(frozen=True, eq=False)
class DrawnProblem:
    """A problem with its separating direction, known by construction, and its regions.

    witness: (d+1,) for diagonal weights, (d+1, d+1) for full ones, 0 at the appended
    coordinate, every optimal-token margin positive; None where nothing is enforced.
    trapped (n,): the token that direction -witness selects in each sample of a trap.
    contrary: the coordinate of a contrary problem, which separates well alone, with the sign
    opposite to the witness's: a sign frozen as the witness's there costs margin.
    """

    problem: AttentionProblem
    witness: Array | None
    regions: tuple[str, ...]
    trapped: Array | None = None
    contrary: int | None = None


def check_shape(kind: str, shape: Shape, full: bool) -> None:
    """Raise ValueError where a problem of this family cannot have this shape."""
    n, length, d = shape
    if n < 1 or length < 2 or d < 1:
        raise ValueError(f"shape {shape}: expected n >= 1, L >= 2, d >= 1")
    if kind in ONE_SAMPLE and n != 1:
        raise ValueError(f"shape {shape}: {kind} problems have n = 1")
    if kind in PLAIN and full:
        raise ValueError(f"shape {shape}: {kind} problems have diagonal weights")
    if kind == "nonseparable" and n < 2:
        raise ValueError(f"shape {shape}: the opposite pair needs n >= 2")
    if kind == "trap" and length < 3:
        raise ValueError(f"shape {shape}: a trap needs a token between two others, L >= 3")
    if kind == "contrary" and (full or d < 2):
        raise ValueError(f"shape {shape}: contrary problems have d >= 2 and diagonal weights")
    if kind == "low-rank" and not full:
        raise ValueError(f"shape {shape}: low-rank problems have full weights")
    if kind == "trap" and full and n % 2:
        raise ValueError(f"shape {shape}: a trap for full weights is made of pairs, n is even")


def draw_problem(blob: Blob, kind: str, shape: Shape, full: bool) -> DrawnProblem:
    """Decode one problem of family ``kind``; ``full``: the witness is a matrix (source: derived).

    Raises ValueError for a shape the family cannot have, or for too few bytes.
    """
    check_shape(kind, shape, full)
    n, length, d = shape
    twins = kind == "trap" and full
    n = n // 2 if twins else n
    style = blob.pick(len(_STYLES))
    unit = _GRID[style]
    x = _entries(blob, style, n, length, d)
    z = _queries(blob, style, n, d, zeros=kind == "unconstrained")
    if kind in PLAIN:
        z = np.ones_like(z)
    y = signs(blob.words(n))
    scores, best = scores_of(blob, kind, n, length)
    regions = [_STYLES[style]]
    if shape[0] * (length - 1) > d:
        regions.append("more-constraints-than-coordinates")

    witness = trapped = contrary = None
    if kind in WITNESSED:
        direction, words = _witness(blob, d, full, low_rank=kind == "low-rank")
        regions += words
        z = _off_kernel(direction, z) if full else z
        h = z @ direction.T if full else direction * z
        target = 2.0 ** -blob.pick(8)
        if kind == "trap":
            trapped = set_trap(x, h, scores, best, target, unit)
        else:
            if kind == "contrary":
                contrary = blob.pick(d)
                direction[contrary] = np.copysign(FAINT, direction[contrary])
                if np.count_nonzero(direction) == 1:
                    direction[(contrary + 1) % d] = 1.0
                h = direction * z
                oblige(x, h, best, contrary, unit)
            separate(x, h, best, target, unit)
        margins = gaps(x, h, best)
        if margins.min() <= 0.0625:
            regions.append("small-margin")
        witness = np.zeros((d + 1,) * direction.ndim, dtype=np.float64)
        witness[(slice(d),) * direction.ndim] = direction
    elif kind == "nonseparable":
        i = blob.pick(n)
        pair = (i, (i + 1) % n)
        low = [(int(best[j]) + 1 + blob.pick(length - 1)) % length for j in pair]
        flip = float(signs(blob.words(1))[0])
        oppose(x, z, y, scores, best, pair, (low[0], low[1]), flip)

    if twins:
        x, z, scores, best = (np.concatenate([part, part]) for part in (x, z, scores, best))
        y, trapped = np.concatenate([y, -y]), np.concatenate([trapped, trapped])
    if (y != y[0]).any():
        regions.append("mixed-labels")
    tokens = np.concatenate([x, (y[:, None] * scores)[:, :, None]], axis=2)
    if kind == "unrealisable":
        # The scores no longer are y_i v.x_il: a quarter is taken off one non-optimal token.
        i = blob.pick(n)
        scores[i, (best[i] + 1 + blob.pick(length - 1)) % length] -= 0.25
    queries = np.concatenate([z, np.zeros((len(z), 1))], axis=1)
    head = np.zeros(d + 1, dtype=np.float64)
    head[d] = 1.0
    if kind in ("tied", "near-tied", "equal-scores"):
        regions.append(kind)
    problem = AttentionProblem.of(tokens, queries, y, head, scores)
    return DrawnProblem(problem, witness, tuple(regions), trapped, contrary)


def _entries(blob: Blob, style: int, n: int, length: int, d: int) -> Array:
    """(n, L, d) token coordinates: integers -2..2, quarters -4..4, or nearly normal numbers."""
    words = blob.words(n, length, d, width=2)
    exponents = blob.words(d) % 4
    if style == 0:
        return np.asarray(zigzag(words % 5), dtype=np.float64)
    if style == 1:
        return np.asarray(zigzag(words % 33) / 4, dtype=np.float64)
    x = normal_like(words)
    return np.asarray(x * 0.5**exponents) if style == 3 else x


def _queries(blob: Blob, style: int, n: int, d: int, zeros: bool) -> Array:
    """(n, d) queries: +-1, quarters up to 2, or normal; no zero entry unless ``zeros``."""
    words = blob.words(n, d, width=2)
    if zeros:
        return np.asarray(zigzag(words % 9) / 2 if style < 2 else normal_like(words))
    if style == 0:
        return signs(words)
    if style == 1:
        return np.asarray(signs(words) * (1 + (words >> 1) % 8) / 4)
    z = normal_like(words)
    return np.asarray(np.where(z < 0, z - 0.25, z + 0.25))


def scores_of(blob: Blob, kind: str, n: int, length: int) -> tuple[Array, Array]:
    """Scores (n, L) in [-2, 2], distinct dyadics unless ``kind`` ties them, and o (n,).

    The best leads by at least 1/8 (near-tied: 2^-10; tied: two tokens share it exactly, of
    which ``AttentionProblem.optimal`` takes the first, and so does this).
    """
    best = blob.words(n) % length
    room = 1 << (length - 1).bit_length()
    rank = blob.words(n, length) * room + np.arange(length)
    rows = np.arange(n)
    scores = -2.0 + 3.5 * rank / (256 * room)
    if kind in ("equal-scores", "classifier"):
        common = rank.sum(axis=1, keepdims=True) % (256 * room)
        scores = np.repeat(-2.0 + 3.5 * common / (256 * room), length, axis=1)
    scores[rows, best] = -np.inf
    second = scores.max(axis=1)
    if kind == "tied":
        twin = np.argmax(scores, axis=1)
        scores[rows, best] = second
        best = np.minimum(best, twin)
    elif kind == "near-tied":
        scores[rows, best] = second + _NEAR_TIE
    else:
        spare = 2.0 - _LEAST_LEAD - second
        scores[rows, best] = second + _LEAST_LEAD + blob.words(n) / 256 * spare
    return scores, best


def _witness(blob: Blob, d: int, full: bool, low_rank: bool) -> tuple[Array, list[str]]:
    """A direction with entries +-1/4 .. +-2: dense or sparse (d,); rank one or full (d, d).

    low_rank: always of rank one.
    """
    shape = 1 if low_rank else blob.pick(4)
    pivot = blob.pick(d)
    words = blob.words(d)
    b = signs(words) * (1 + (words >> 1) % 8) / 4
    # The pivot keeps h = b * z (or W z) from being tiny, whatever the other bytes say.
    b[pivot] = np.sign(b[pivot])
    sparse = shape >= 2 and not full
    if sparse:
        keep = (words >> 4) % 2 == 1
        keep[pivot] = True
        b = np.where(keep, b, 0.0)
    if not full:
        return b, ["sparse-witness" if sparse else "dense-witness"]
    words = blob.words(d, d)
    if shape % 2:
        words = words.sum(axis=0)
        right = signs(words) * (1 + (words >> 1) % 8) / 4
        right[pivot] = np.sign(right[pivot])
        return np.outer(b, right), ["rank-one-witness"]
    matrix = np.asarray(zigzag(words % 9) / 4, dtype=np.float64)
    matrix[:, pivot] = b
    return matrix, ["full-witness"]


def _off_kernel(matrix: Array, z: Array) -> Array:
    """Queries moved off the kernel of the witness where |W z_i| is below 1/4."""
    column = int(np.argmax(np.abs(matrix).max(axis=0)))
    near = np.abs(z @ matrix.T).max(axis=1) < 0.25
    z = z.copy()
    # Away from zero, so that the entry stays nonzero; that column has an entry >= 1.
    z[near, column] += np.sign(z[near, column])
    return z
