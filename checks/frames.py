"""Orthogonal frames, exact signs, and how far a case is from alignment (S6; THEORY.md 4)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from checks.blobs import signs
from checks.problems import Array, AttentionProblem, Constraints, Start, constraints_of


@dataclass(frozen=True, eq=False)
class Alignment:
    """The frames of an aligned problem, and the problem and start in their coordinates.

    left U, right V (D, D), inner R (D, D): K(0) = U diag(k) R^T, Q(0) = V diag(q) R^T.
    copies: samples of the full problem that stand for one of ``problem`` (1: single-entry
    form; consecutive samples otherwise), summed over which the constraints are diagonal.
    problem: the diagonal problem; the full flow from an aligned start is its diagonal flow,
    in the same time, as U diag(beta) V^T.  start: diagonal (k, q); None where the case's own
    start is not aligned, and then ``inner`` means nothing.
    """

    left: Array
    right: Array
    inner: Array
    copies: int
    problem: AttentionProblem
    start: Start | None

    def lift(self, beta: Array) -> Array:
        """U diag(beta) V^T: (D,) -> (D, D)."""
        return _product(self.left * beta, self.right.T)

    def spread(self, weights: Array, diagonal: Constraints, full: Constraints) -> Array:
        """Weights (R0,) of the diagonal problem's constraints -> (R,) of the full problem's.

        Each weight is shared equally among the copies, so that G(p) = U diag(A^T p) V^T: a
        dual certificate of one problem becomes one of the other, with the same value (l1 as
        nuclear, l2 as Frobenius).  Both constraints are of the same selected tokens.
        Raises KeyError where the full problem has a constraint the diagonal one lacks.
        """
        place = {
            pair: r
            for r, pair in enumerate(
                zip(diagonal.sample.tolist(), diagonal.token.tolist(), strict=True)
            )
        }
        pairs = zip((full.sample // self.copies).tolist(), full.token.tolist(), strict=True)
        return np.asarray(weights[[place[pair] for pair in pairs]] / self.copies)


def orthogonal(words: Array) -> Array:
    """(k, m) words -> product of k Householder reflections of R^m, (m, m).

    Each reflects along an integer vector of entries +-1, +-2, +-3, so every entry is a
    rational number; numerators and denominators are exact integers, hence the entries are
    the correctly rounded ones.  0 words reflect along (1, .., 1).  No reflection: identity.
    """
    size = words.shape[1]
    unit = np.eye(size, dtype=np.int64)
    numerator, denominator = unit, 1
    for word in words:
        along = signs(word).astype(np.int64) * (1 + (word >> 1) % 3)
        square = int(along @ along)
        numerator = numerator @ (square * unit - 2 * np.outer(along, along))
        denominator *= square
    return np.asarray(numerator / np.float64(denominator))


def bordered(matrix: Array) -> Array:
    """(m, m) -> (m+1, m+1): the last, appended coordinate is left alone."""
    size = len(matrix)
    out = np.eye(size + 1, dtype=np.float64)
    out[:size, :size] = matrix
    return out


def rotated(frame: Array, coordinates: Array) -> Array:
    """frame @ x for every last axis x of ``coordinates``.

    Summed in one fixed order: equal tokens stay equal to the bit, on every machine.
    """
    return _product(coordinates, frame.T)


def _product(left: Array, right: Array) -> Array:
    """left @ right, (.., m) x (m, d), its terms added from the first to the last."""
    out = np.zeros((*left.shape[:-1], right.shape[1]), dtype=np.float64)
    for j in range(len(right)):
        out += left[..., j, None] * right[j]
    return out


def copies(d: int) -> int:
    """How many copies make the constraints of d data coordinates diagonal: the least power
    of 2 above d (the order of the Sylvester-Hadamard matrix)."""
    return 1 << d.bit_length()


def flips(d: int) -> Array:
    """(copies, d) of +-1: columns 2 .. d+1 of a Sylvester-Hadamard matrix.

    Sum_h h_i h_j = 0 for i != j makes Sum_h (D_h delta)(D_h z)^T diagonal on the data
    coordinates; Sum_h h_j = 0, since the constant column is left out, removes the terms that
    an appended coordinate, which is never flipped, would leave in its row.
    """
    both = np.arange(copies(d))[:, None] & np.arange(1, d + 1)
    parity = np.array([int(b).bit_count() & 1 for b in both.ravel()], dtype=np.int64)
    return signs(parity).reshape(both.shape)


def misalignment(problem: AttentionProblem, start: Start, alignment: Alignment) -> float:
    """Largest relative off-diagonal part, of the start and of the constraints; 0: aligned.

    The start: U^T K, V^T Q have orthogonal rows, with one R for both, iff all four blocks of
    M M^T, M = [U^T K; V^T Q], are diagonal; relative to |M|^2, Frobenius norms.  The
    constraints: Sum U^T G_r V over the copies of one sample and token, relative to the sum
    of |G_r|.  Rounding of the frames alone gives a few 1e-16.
    """
    assert start.key is not None and start.query is not None
    stack = np.concatenate([alignment.left.T @ start.key, alignment.right.T @ start.query])
    size = problem.dim
    gram = stack @ stack.T
    blocks = gram.reshape(2, size, 2, size).swapaxes(1, 2)
    square = float((stack * stack).sum())
    # A start of zeros is diagonal in any frame.
    off = float(np.linalg.norm(blocks * (1.0 - np.eye(size)))) / square if square else 0.0
    return max(off, off_diagonal(constraints_of(problem), alignment))


def off_diagonal(constraints: Constraints, alignment: Alignment) -> float:
    """The constraints' part of :func:`misalignment`: 0 where the data are aligned."""
    left = constraints.delta @ alignment.left
    right = constraints.query @ alignment.right
    group = constraints.sample // alignment.copies
    worst = 0.0
    for sample, token in {*zip(group.tolist(), constraints.token.tolist(), strict=True)}:
        at = (group == sample) & (constraints.token == token)
        total = left[at].T @ right[at]
        size = float((np.linalg.norm(left[at], axis=1) * np.linalg.norm(right[at], axis=1)).sum())
        off = float(np.linalg.norm(total - np.diag(np.diag(total))))
        worst = max(worst, off / size if size else 0.0)
    return worst
