"""Is a start of key and query matrices aligned with the data (S6)?  Frames are looked for.

An aligned start is K = U diag(k) R^T, Q = V diag(q) R^T with U^T G(lambda) V diagonal along the
orbit, which stays among the weights U diag(beta) V^T: so it is diagonal there, whatever beta.
That is tried at a few beta; both forms of THEORY.md 4 pass, entry by entry and symmetrised.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from checks.problems import Array, AttentionProblem, Start
from checks.rounding import svd

ALIGNED = 1e-9
"""Largest relative off-diagonal part of a user's aligned start: frames found by an SVD are good
to 1e-16 over the relative distance of the singular values, of which 1e-7 is asked."""
_TRIED = 4
"""Diagonal weights at which G(lambda) is looked at, beside those of the start."""


@dataclass(frozen=True, eq=False)
class Frames:
    """left, right (D, D) orthogonal; key, query (D,): diagonals in them, up to ``misalignment``."""

    left: Array
    right: Array
    key: Array
    query: Array
    misalignment: float

    def invariant(self, problem: AttentionProblem) -> float:
        """Least c_j = |k_j^2 - q_j^2|/2 over the directions that a constraint enters, relative to
        the largest k_j^2 + q_j^2; infinite where no direction is used."""
        best = problem.tokens[np.arange(problem.samples), problem.optimal]
        delta = (best[:, None] - problem.tokens) @ self.left
        size = np.abs(delta * (problem.queries @ self.right)[:, None, :]).max(axis=(0, 1))
        used = size > ALIGNED * max(float(size.max()), 1e-300)
        squares = self.key**2, self.query**2
        c = (
            np.abs(squares[0] - squares[1])
            / 2
            / max(float((squares[0] + squares[1]).max()), 1e-300)
        )
        return float(c[used].min()) if used.any() else np.inf


def aligned_frames(problem: AttentionProblem, start: Start) -> Frames | None:
    """The frames in which a factored start is aligned with the data, or None: none was found.

    start: K, Q (D, e).  Frames are not unique where singular values repeat; then those of K, of Q,
    of K Q^T and the axes are tried.
    """
    key, query = np.asarray(start.key), np.asarray(start.query)
    for left, right in _candidates(key, query):
        found = _aligned_in(problem, key, query, left, right)
        if found is not None:
            return found
    return None


def _candidates(key: Array, query: Array) -> Iterator[tuple[Array, Array]]:
    size = len(key)
    u, _, vt = np.linalg.svd(key @ query.T)
    yield u, vt.T
    if key.shape[1] >= size:
        for first, second, swap in ((key, query, False), (query, key, True)):
            left, _, inner = svd(first)
            # Rows of U^T K are orthogonal, along those of R; V^T then follows from Q R.
            columns = second @ inner.T
            norms = np.linalg.norm(columns, axis=0)
            if (norms > ALIGNED * norms.max()).all():
                yield (columns / norms, left) if swap else (left, columns / norms)
    yield np.eye(size), np.eye(size)


def _aligned_in(
    problem: AttentionProblem, key: Array, query: Array, left: Array, right: Array
) -> Frames | None:
    stack = np.concatenate([left.T @ key, right.T @ query])
    size = len(key)
    blocks = (stack @ stack.T).reshape(2, size, 2, size).swapaxes(1, 2)
    square = float((stack * stack).sum())
    off = float(np.linalg.norm(blocks * (1.0 - np.eye(size)))) / square if square else 0.0
    skew = max(float(np.abs(f.T @ f - np.eye(size)).max()) for f in (left, right))
    # k_j, q_j: lengths of the rows, q_j with the sign that K Q^T has.
    k = np.linalg.norm(stack[:size], axis=1)
    q = np.linalg.norm(stack[size:], axis=1) * np.sign(np.diag(blocks[0, 1]))
    if max(off, skew) > ALIGNED:
        return None
    rng = np.random.Generator(np.random.Philox(key=0))  # any diagonals will do, always the same
    for beta in (k * q, *rng.standard_normal((_TRIED, size))):
        g = left.T @ _ascent(problem, (left * beta) @ right.T) @ right
        total = float(np.linalg.norm(g))
        outside = float(np.linalg.norm(g * (1.0 - np.eye(size))))
        off = max(off, outside / total if total else 0.0)
    return Frames(left, right, k, q, off) if off <= ALIGNED else None


def _ascent(problem: AttentionProblem, weights: Array) -> Array:
    """-(gradient of the loss in W) at a multiple of W whose logits are at most 1: further out
    attention saturates, and what is left of the gradient is rounding."""
    x, z, gamma = problem.tokens, problem.queries, problem.scores
    logits = (x * (z @ weights.T)[:, None, :]).sum(-1)
    logits = logits / (float(np.abs(logits).max()) or 1.0)
    paid = np.exp(logits - logits.max(1, keepdims=True))
    paid /= paid.sum(1, keepdims=True)
    average = (paid * gamma).sum(1, keepdims=True)
    pull = paid * (gamma - average) * np.exp(-average) / problem.samples
    return np.asarray((pull[:, :, None] * x).sum(1).T @ z)
