"""Start families: bytes -> initial weights, for the diagonal and the combined models.

In the diagonal model a start is drawn through the conserved c_j = |k_j^2 - q_j^2|/2 and
beta_j = c_j sinh r_j (THEORY.md 3), so that c_j > 0 is controlled rather than hoped for; in
the degenerate families some c_j = 0 exactly, because k_j and q_j are the same float up to
sign.
"""

from __future__ import annotations

import numpy as np

from checks.barriers import loss_barrier, loss_excess
from checks.blobs import Blob, normal_like, signs, zigzag
from checks.constructions import gaps
from checks.problem_families import DrawnProblem
from checks.problems import Array, AttentionProblem, Start

STARTS = (
    "separating",
    "threshold",
    "small",
    "random",
    "trapped",
    "frozen",
    "conflicting",
    "degenerate",
)
DIAGONAL_ONLY = ("frozen", "conflicting", "degenerate")
NEEDS_WITNESS = ("separating", "threshold", "trapped", "frozen", "conflicting")

_APPENDED = 1.0 / 16.0
"""Scale of the weights at the appended coordinate, which no diagonal margin depends on."""
_LEAST_BARRIER = 2.0**-10
_ROOM = 1.0
"""How far, in nats, the margins at the start exceed what the descent argument needs."""


def draw_start(blob: Blob, kind: str, drawn: DrawnProblem, model: str) -> tuple[Start, list[str]]:
    """Decode one start of family ``kind`` and its region labels (source: derived).

    model: diagonal, combined-diagonal (attention (d+1,)) or combined ((d+1, d+1)).

    separating: a non-optimal separating direction, so large that sum_i (e^-gamma-bar_i -
        e^-gamma_io) is below what any one sample would have to contribute at its second-best
        score: as the loss descends, no sample ever falls back to it, so lambda >= 0 for ever.
    threshold: separating, then scaled down until the loss is just below what is sure to reach
        the infimum (``barriers.loss_barrier``): by a half, ..., a 256th of that.
    small: max(|k|, |q|) of 1e-3 .. 1e-1.  random: of order 1.
    trapped: - witness of a trap, large: every sample starts on a non-optimal token.
    frozen: separating, with k_j = +-q_j at one coordinate or more (in a contrary problem at
        the contrary one, with the sign that the optimum does not want).
    conflicting: random, with one such beta_j of the sign opposite to the witness's.
    degenerate: random, with frozen coordinates of either sign and dead ones.
    """
    problem = drawn.problem
    dim = problem.dim
    shape = (dim, dim) if model == "combined" else (dim,)
    if kind in ("separating", "threshold", "trapped", "frozen"):
        weights, regions = large_weights(blob, drawn, shape, trapped=kind == "trapped")
        if kind == "threshold":
            weights = _scaled_down(problem, weights, 1.0 - 2.0 ** -(1 + blob.pick(8)))
        if model != "diagonal":
            return Start.combined(weights, dim), regions
        if kind == "frozen":
            frozen = blob.words(dim - 1) % 2 == 1
            frozen[_touched(problem, blob.pick(dim - 1))] = True
            if drawn.contrary is not None:
                frozen[drawn.contrary] = True
            key, query = _freeze(*_split(blob, weights), frozen, weights)
            regions.append("frozen-start-sign")
        else:
            key, query = _split(blob, weights)
    elif model != "diagonal":
        return Start.combined(_plain(blob, kind, shape), dim), []
    else:
        key, query = _small(blob, dim) if kind == "small" else _random(blob, dim)
        regions = []
        if kind in ("conflicting", "degenerate"):
            key, query, regions = _degenerate(blob, kind, drawn, key, query)
    if (np.abs(key * key - query * query) < 0.02).any():
        regions.append("small-invariant")
    return Start.diagonal(key, query, dim), regions


def needed_margin(problem: AttentionProblem, trapped: Array | None = None) -> float:
    """A margin of the selected tokens that, reached at t = 0, makes the flow keep them.

    Without ``trapped``: every gamma-bar stays above the second-best score for ever, so that
    lambda >= 0 and, on separable data, the loss reaches its infimum.  With ``trapped`` (n,),
    the tokens alpha of a trap and diagonal weights: no sample ever leaves alpha.

    Why: sample i misses the score of its selected token by eta <= (L-1) reach e^-m.  The
    loss falls, so sample j can lose ``barrier_j`` only if sum_i e^-gamma_i (e^eta - 1) is at
    least e^-gamma_j barrier_j; as e^eta - 1 <= 2 eta (eta <= 1) that is excluded once
    2 n (L-1) reach e^spread e^-m < barrier, spread = max - min of the selected scores.
    The barrier is the lead over the second best.  In a trap, with a the lead of alpha over
    the tokens below, H the lead of o over alpha and S the attention paid to those below,
    s_o <= S^2/s_alpha, so gamma_alpha - gamma-bar >= a S - 2 H S^2 (S <= 1/4, s_alpha >=
    1/2), which at S = min(1/4, a/4H) is at least min(a/8, a^2/8H): that must be crossed.
    A barrier of 0 (tied best tokens) counts as 2^-10.
    """
    ordered = np.sort(problem.scores, axis=1)
    if trapped is None:
        selected = ordered[:, -1]
        barrier = selected - ordered[:, -2]
    else:
        selected = ordered[:, -2]
        lead, above = selected - ordered[:, -3], ordered[:, -1] - selected
        barrier = np.minimum(lead, lead * lead / above) / 8.0
    least = max(float(barrier.min()), _LEAST_BARRIER if trapped is None else 0.0)
    spread = float(selected.max() - selected.min())
    reach = max(float((selected - ordered[:, 0]).max()), least)
    excess = 2.0 * problem.samples * (problem.length - 1) * reach
    return max(float(np.log(excess / least)) + spread, 0.0) + _ROOM


def _margins(problem: AttentionProblem, chosen: Array, weights: Array) -> Array:
    """(n, L-1): (x_i,chosen - x_il)^T W z_i over l != chosen, W a matrix or a diagonal."""
    z = problem.queries
    return gaps(problem.tokens, z @ weights.T if weights.ndim == 2 else z * weights, chosen)


def large_weights(
    blob: Blob, drawn: DrawnProblem, shape: tuple[int, ...], trapped: bool
) -> tuple[Array, list[str]]:
    """(weights, regions): +-witness plus a perturbation that keeps a quarter of each margin.

    Scaled up to the margin of :func:`needed_margin`; shape (dim,), or (dim, dim) for W.
    """
    assert drawn.witness is not None
    problem = drawn.problem
    base, chosen = drawn.witness, problem.optimal
    if trapped:
        assert drawn.trapped is not None
        base, chosen = -drawn.witness, drawn.trapped
    noise = np.zeros(shape, dtype=np.float64)
    # The appended coordinate: no diagonal margin sees it; in a full matrix its row is seen,
    # and stays 0 in a trap, because twin samples keep it so.
    rows = shape[0] - 1 if trapped and len(shape) == 2 else shape[0]
    noise[:rows] = normal_like(blob.words(rows, *shape[1:], width=2))
    noise[-1] *= _APPENDED
    share = 1.0 - blob.pick(8) / 8.0
    if drawn.contrary is not None:
        noise[drawn.contrary] = 0.0
    kept, change = _margins(problem, chosen, base), _margins(problem, chosen, noise)
    falling = change < 0
    limit = 4.0 * np.abs(base).sum() / max(float(np.abs(noise).sum()), 1.0)
    if falling.any():
        limit = min(limit, float((0.75 * kept[falling] / -change[falling]).min()))
    weights = base + share * limit * noise
    worst = float(_margins(problem, chosen, weights).min())
    grown = weights * (needed_margin(problem, drawn.trapped if trapped else None) / worst)
    if grown.ndim == 1:
        grown[-1] = _APPENDED * noise[-1]
    flips = bool((np.sign(grown) * np.sign(base) < 0).any())
    return grown, ["sign-differs-from-witness"] if flips else []


def _scaled_down(problem: AttentionProblem, weights: Array, share: float) -> Array:
    """weights times a factor in (0, 1] at which L - L* is below ``share`` of its barrier, and
    above it at a factor 2^-20 less (unless it is nowhere: then 2^-20)."""
    outside, inside = 0.0, 1.0
    most = share * loss_barrier(problem)
    for _ in range(20):
        middle = (outside + inside) / 2
        if loss_excess(problem, middle * weights) <= most:
            inside = middle
        else:
            outside = middle
    return inside * weights


def _invariants(blob: Blob, dim: int) -> Array:
    """(dim,) c_j over the decades 1e-3 .. 10."""
    return np.asarray(10.0 ** (zigzag(blob.words(dim)) / 64.0 - 1.0), dtype=np.float64)


def _split(blob: Blob, beta: Array) -> tuple[Array, Array]:
    """k, q with k q = beta and drawn c_j, signs of w+ and w- drawn too."""
    c = _invariants(blob, len(beta))
    words = blob.words(len(beta))
    half = np.arcsinh(beta / c) / 2.0
    plus = signs(words) * np.sqrt(c) * np.exp(half)
    minus = signs(words >> 1) * np.sqrt(c) * np.exp(-half)
    return (plus + minus) / np.sqrt(2.0), (plus - minus) / np.sqrt(2.0)


def _small(blob: Blob, dim: int) -> tuple[Array, Array]:
    """The larger of |k|, |q| is 1e-3 .. 1e-1, the other 2^(-1/4 .. -2) of it: c_j > 0.14 max^2."""
    large = 10.0 ** (-1.0 - 2.0 * blob.words(dim) / 255.0)
    words = blob.words(dim)
    ratio = 2.0 ** -(0.25 + 1.75 * (words >> 3) / 31.0)
    first, second = signs(words) * large, signs(words >> 1) * large * ratio
    swap = (words >> 2) % 2 == 1
    return np.where(swap, second, first), np.where(swap, first, second)


def _random(blob: Blob, dim: int) -> tuple[Array, Array]:
    """k, q nearly standard normal, |k| widened where k^2 and q^2 nearly agree: c_j >= 2^-7."""
    key, query = normal_like(blob.words(2, dim, width=2))
    near = np.abs(key * key - query * query) < 2.0**-6
    key = np.where(near, key + np.where(key < 0, -0.25, 0.25), key)
    key[-1] *= _APPENDED
    query[-1] *= _APPENDED
    return key, query


def _plain(blob: Blob, kind: str, shape: tuple[int, ...]) -> Array:
    """Combined weights: 1e-3 .. 1e-1 with drawn signs (small), or nearly standard normal."""
    if kind == "small":
        words = blob.words(*shape)
        return signs(words) * 10.0 ** (-1.0 - 2.0 * (words >> 1) / 127.0)
    weights = normal_like(blob.words(*shape, width=2))
    weights[-1] *= _APPENDED
    return weights


def _freeze(key: Array, query: Array, where: Array, beta: Array) -> tuple[Array, Array]:
    """k_j = +-q_j (the same float) with k_j q_j = beta_j up to rounding, at data coordinates."""
    key, query = key.copy(), query.copy()
    at = np.nonzero(where)[0]
    size = np.sqrt(np.maximum(np.abs(beta[at]), 2.0**-10))
    key[at] = np.copysign(size, key[at])
    query[at] = np.copysign(key[at], beta[at] * key[at])
    return key, query


def _touched(problem: AttentionProblem, wanted: int, among: Array | None = None) -> int:
    """The data coordinate ``wanted``, or the next one (cyclically) that a constraint touches.

    c_j = 0 breaks an assumption only where the column j of the constraints is not zero.
    among: (d,) which coordinates may be chosen.  Falls back on ``wanted`` if none is touched.
    """
    x, z = problem.tokens[:, :, :-1], problem.queries[:, :-1]
    best = x[np.arange(problem.samples), problem.optimal]
    touched = (((best[:, None] - x) * z[:, None]) != 0).any(axis=(0, 1))
    allowed = touched if among is None else touched & among
    order = (wanted + np.arange(len(allowed))) % len(allowed)
    return int(order[np.argmax(allowed[order])])


def _degenerate(
    blob: Blob, kind: str, drawn: DrawnProblem, key: Array, query: Array
) -> tuple[Array, Array, list[str]]:
    """Some c_j = 0: coordinates frozen in the witness's sign or against it, or dead."""
    d = len(key) - 1
    reference = np.sign(drawn.witness[:d]) if drawn.witness is not None else np.ones(d)
    fate = blob.words(d) % 6
    wanted = blob.pick(d)
    if kind == "conflicting":
        fate[_touched(drawn.problem, wanted, reference != 0)] = 4
    else:
        forced = _touched(drawn.problem, wanted)
        fate[forced] = max(fate[forced], 3)
    reference = np.where(reference == 0, 1.0, reference)
    key, query = key.copy(), query.copy()
    regions = []
    for code, word, sign in ((3, "frozen-agreeing", 1.0), (4, "frozen-conflicting", -1.0)):
        at = np.nonzero(fate == code)[0]
        # A zero key would be a dead coordinate, not a frozen one.
        key[at] = np.where(key[at] == 0, 0.5, key[at])
        query[at] = sign * reference[at] * key[at]
        regions += [word] if len(at) else []
    dead = np.nonzero(fate == 5)[0]
    key[dead] = query[dead] = 0.0
    regions += ["dead-coordinate"] if len(dead) else []
    return key, query, regions
