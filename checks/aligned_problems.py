"""Problems whose features share singular frames (S6; THEORY.md 4): bytes -> data and frames.

Single-entry form: delta_r = alpha_r u_j, z_i = zeta_i v_j, j = pi(i).  Symmetrised form:
every sample of a diagonal problem in copies under sign flips.  Source: derived.
"""

from __future__ import annotations

import numpy as np

from checks.blobs import Blob, signs, zigzag
from checks.frames import Alignment, bordered, copies, flips, orthogonal, rotated
from checks.problem_families import DrawnProblem, Shape, check_shape, draw_problem
from checks.problems import Array, AttentionProblem

SYMMETRISED = {
    "symmetrised": "separable",
    "symmetrised-rotated": "separable",
    "symmetrised-equal-scores": "equal-scores",
    "symmetrised-trap": "trap",
    "symmetrised-tied": "tied",
    "symmetrised-unrealisable": "unrealisable",
    "symmetrised-nonseparable": "nonseparable",
}
"""Family -> the family its diagonal problem is drawn from."""
SINGLE_ENTRY = ("aligned-single", "aligned-general")
TURNED = (*SINGLE_ENTRY, "symmetrised-rotated")
"""Families whose frames are drawn; those of the others are the axes."""
ALIGNED_PROBLEMS = (*SINGLE_ENTRY, *SYMMETRISED)

Drawn = tuple[DrawnProblem, Alignment, DrawnProblem]

_REFLECTIONS = 2
_LEAST_COSINE = 1.0 / 32.0
"""|u_j . head| that a direction needs to carry a score gap."""


def check_aligned_shape(kind: str, shape: Shape) -> None:
    """Raise ValueError where a problem of this family cannot have this shape."""
    n, length, d = shape
    if kind in SINGLE_ENTRY:
        check_shape("separable", shape, True)
    elif d < 1 or n < 1 or n % copies(d):
        raise ValueError(
            f"shape {shape}: {kind} problems have n a multiple of the least power of 2 above d"
        )
    else:
        check_shape(SYMMETRISED[kind], (n // copies(d), length, d), False)


def draw_aligned(blob: Blob, kind: str, shape: Shape) -> Drawn:
    """Decode one aligned problem: the full one, its frames (no start), the diagonal one.

    aligned-single: equal scores among each sample's non-optimal tokens, hence, as the gap is
        y alpha u_j . head, equal alpha: those tokens coincide.  aligned-general: distinct
        alpha and scores.  Several samples may share a direction, some directions serve none.
    symmetrised: from a diagonal problem; copies of a sample are consecutive, frames are the
        axes.  symmetrised-rotated: tokens then turned by U, queries by V (data coordinates).

    The full weights of both witnesses agree.  Frames are correctly rounded rational matrices:
    alignment holds to rounding, except where they are the axes, where it is exact.
    Raises ValueError for a shape the family cannot have, or for too few bytes.
    """
    check_aligned_shape(kind, shape)
    if kind in SINGLE_ENTRY:
        return _single_entry(blob, shape, equal=kind == "aligned-single")
    return _symmetrised(blob, kind, shape)


def _single_entry(blob: Blob, shape: Shape, equal: bool) -> Drawn:
    n, length, d = shape
    left = orthogonal(blob.words(_REFLECTIONS, d + 1))
    right = bordered(orthogonal(blob.words(_REFLECTIONS, d)))
    if np.abs(left[d, :d]).max() < _LEAST_COSINE:
        # The head is nearly the direction that queries leave out: exchange it for the first.
        left[:, [0, d]] = left[:, [d, 0]]
    usable = np.nonzero(np.abs(left[d, :d]) >= _LEAST_COSINE)[0]
    words = blob.words(d)
    wanted = signs(words)
    witness = np.zeros(d + 1, dtype=np.float64)
    witness[:d] = wanted * (1 + (words >> 1) % 8) / 4

    rows = np.arange(n)
    direction = usable[blob.words(n) % len(usable)]
    y = signs(blob.words(n))
    best = blob.words(n) % length
    room = 1 << (length - 1).bit_length()
    rank = blob.words(n, length) * room + np.arange(length)
    if equal:
        rank = np.repeat(rank.sum(axis=1, keepdims=True) % (256 * room), length, axis=1)
    alpha = 0.25 + 1.75 * rank / (256 * room)
    alpha[rows, best] = 0.0
    # The optimal token scores highest: y (x_o - x_l) . head = alpha |u_j . head|.
    toward = y * np.sign(left[d, direction])
    x = np.repeat(zigzag(blob.words(n, 1, d + 1) % 17) / 8.0, length, axis=1)
    x[rows, :, direction] -= toward[:, None] * alpha
    z = np.zeros((n, d + 1), dtype=np.float64)
    z[rows, direction] = toward * wanted[direction] * (1 + blob.words(n) % 8) / 4

    tokens = rotated(left, x)
    scores = y[:, None] * tokens[:, :, d]
    head = np.zeros(d + 1, dtype=np.float64)
    head[d] = 1.0
    served = np.bincount(direction, minlength=d)
    regions = ["equal-scores"] if equal else []
    regions += ["unused-direction"] if (served == 0).any() else []
    regions += ["shared-direction"] if (served > 1).any() else []
    regions += ["several-directions"] if (served > 0).sum() > 1 else []
    base = AttentionProblem.of(x, z, y, left[d], scores)
    full = AttentionProblem.of(tokens, rotated(right, z), y, head, scores)
    return _pair(full, left, right, 1, DrawnProblem(base, witness, tuple(regions)))


def _symmetrised(blob: Blob, kind: str, shape: Shape) -> Drawn:
    n, length, d = shape
    count = copies(d)
    base = draw_problem(blob, SYMMETRISED[kind], (n // count, length, d), False)
    left = right = np.eye(d + 1, dtype=np.float64)
    if kind == "symmetrised-rotated":
        left = bordered(orthogonal(blob.words(_REFLECTIONS, d)))
        right = bordered(orthogonal(blob.words(_REFLECTIONS, d)))
    sign = np.ones((count, d + 1), dtype=np.float64)
    sign[:, :d] = flips(d)
    given = base.problem
    x = (given.tokens[:, None] * sign[:, None, :]).reshape(n, length, d + 1)
    z = (given.queries[:, None] * sign).reshape(n, d + 1)
    full = AttentionProblem.of(
        rotated(left, x),
        rotated(right, z),
        np.repeat(given.labels, count),
        given.head,
        np.repeat(given.scores, count, axis=0),
    )
    return _pair(full, left, right, count, base)


def _pair(
    full: AttentionProblem, left: Array, right: Array, count: int, base: DrawnProblem
) -> Drawn:
    """The full problem with the witness and the trapped tokens of the diagonal one."""
    identity = np.eye(full.dim, dtype=np.float64)
    for array in (left, right, identity):
        array.setflags(write=False)
    alignment = Alignment(left, right, identity, count, base.problem, None)
    witness = None if base.witness is None else alignment.lift(base.witness)
    trapped = None if base.trapped is None else np.repeat(base.trapped, count)
    return DrawnProblem(full, witness, base.regions, trapped), alignment, base
