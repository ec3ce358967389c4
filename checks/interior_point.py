"""A second, independent solver of the nuclear margin problem: an interior point method in numpy.

    minimise tr X  s.t.  <A_r, X> = 1 + x_r,  X >= 0,  x >= 0;      W = 2 X_12
    maximise sum(y) s.t.  S = I - [[0, G(y)], [G(y)^T, 0]] >= 0,  y >= 0,

A_r = [[0, G_r], [G_r^T, 0]], so that tr X >= |W|_*.  Predictor and corrector along the HKM
direction (Helmberg, Rendl, Vanderbei and Wolkowicz; Kojima, Shindoh and Hara; Monteiro), from a
feasible pair, which it stays.  It shares nothing with cvxpy and CLARABEL but the data, and is
believed as little: its answer is a proposal, certified like any other.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from checks.certificates import OracleFailure
from checks.problems import Array

STEPS = 60
"""Twenty suffice; a method still moving after sixty has lost its way in rounding."""

GAPS = (1e-6, 1e-11)
"""Relative gaps at which it hands out where it is.  The first is as a rule close enough for
Newton's method (checks.nuclear), at two thirds of the steps; below the last, the Schur complement
holds only rounding."""

BACK = 0.95
"""The part of the way to the boundary that a step goes."""


def interior_point(left: Array, right: Array, witness: Array) -> Iterator[tuple[Array, Array]]:
    """(W (a, b), lambda (R,)) ever nearer the optimum of min |W|_* s.t. left_r^T W right_r >= 1.

    left (R, a), right (R, b); witness (a, b), of positive margins, to start from.  One pair for
    each of ``GAPS``, as it is reached, or for the last point before rounding ends the method.
    Raises OracleFailure where the witness has no positive margins or the first step fails.
    """
    state = _start(left, right, witness)
    due = list(GAPS)
    for count in range(STEPS):
        try:
            moved = _step(left, right, *state)
        except np.linalg.LinAlgError as failure:
            if count == 0:
                raise OracleFailure(f"interior point: {failure}") from failure
            break  # rounding has the last word: what is reached is certified or refused
        if not all(np.isfinite(part).all() for part in moved):
            break
        state = moved
        gap = np.trace(state[0]) - state[2].sum()
        if gap <= due[0] * state[2].sum():
            due = [goal for goal in due if gap > goal * state[2].sum()]
            yield _pair(left, state)
            if not due:
                return
    yield _pair(left, state)


def _pair(left: Array, state: tuple[Array, Array, Array]) -> tuple[Array, Array]:
    """(W, lambda) of a state (X, x, y)."""
    rows = left.shape[1]
    return 2.0 * state[0][:rows, rows:], state[2]


def _start(left: Array, right: Array, witness: Array) -> tuple[Array, Array, Array]:
    """A feasible triple: X around the witness at margin 2, and y at half the unit ball."""
    margins = ((left @ witness) * right).sum(axis=1)
    if not (np.isfinite(margins).all() and margins.min() > 0.0):
        raise OracleFailure("interior point: no feasible start")
    half = witness / margins.min()
    x = margins * (2.0 / margins.min()) - 1.0
    y = np.ones(len(left))
    y *= 0.5 / np.linalg.norm(left.T @ (y[:, None] * right))
    rows, columns = witness.shape
    return 1.5 * float(np.linalg.norm(half)) * np.eye(rows + columns) + _framed(half), x, y


def _framed(block: Array) -> Array:
    """[[0, B], [B^T, 0]]."""
    rows, columns = block.shape
    out = np.zeros((rows + columns, rows + columns))
    out[:rows, rows:], out[rows:, :rows] = block, block.T
    return out


def _pushed(left: Array, right: Array, y: Array) -> Array:
    """A^T y = [[0, G(y)], [G(y)^T, 0]]."""
    return _framed((left.T * y) @ right)


def _apply(left: Array, right: Array, block: Array) -> Array:
    """(R,) <A_r, B> of a symmetric B."""
    rows = left.shape[1]
    return np.asarray(2.0 * ((left @ block[:rows, rows:]) * right).sum(axis=1))


def _schur(left: Array, right: Array, x_matrix: Array, inverse: Array) -> Array:
    """(R, R) <A_r, X A_s S^-1>, from the four blocks of X and of S^-1."""
    rows = left.shape[1]

    def framed(block: Array) -> tuple[Array, Array, Array]:
        across = left @ block[:rows, rows:] @ right.T
        return left @ block[:rows, :rows] @ left.T, across, right @ block[rows:, rows:] @ right.T

    (x_left, x_across, x_right), (s_left, s_across, s_right) = framed(x_matrix), framed(inverse)
    mixed = x_across * s_across.T
    return np.asarray(x_right * s_left + x_left * s_right + mixed + mixed.T)


def _reach(root: Array, direction: Array) -> float:
    """Largest step along ``direction`` that keeps the matrix (root^T root)^-1 positive."""
    lowest = float(np.linalg.eigvalsh(root @ direction @ root.T)[0])
    return -1.0 / lowest if lowest < 0.0 else np.inf


def _ratio(values: Array, direction: Array) -> float:
    falling = direction < 0.0
    return float((-values[falling] / direction[falling]).min(initial=np.inf))


def _step(
    left: Array, right: Array, x_matrix: Array, x: Array, y: Array
) -> tuple[Array, Array, Array]:
    """One predictor and one corrector step."""
    slack = np.eye(len(x_matrix)) - _pushed(left, right, y)
    root, own = (np.linalg.inv(np.linalg.cholesky(part)) for part in (slack, x_matrix))
    inverse = root.T @ root
    schur = _schur(left, right, x_matrix, inverse) + np.diag(x / y)
    pushed = _apply(left, right, inverse)

    def direction(centre: float, drift: Array, twist: Array) -> tuple[Array, Array, Array, Array]:
        """(dX, dS, dx, dy) to X S = centre - drift and x y = centre - twist."""
        extra = drift @ inverse
        extra = 0.5 * (extra + extra.T)
        # A(dX) - dx = 1 + x - A(X), where the feasible pair has 0 but for rounding.
        rhs = 1.0 - centre * pushed + centre / y + _apply(left, right, extra) - twist / y
        dy = np.linalg.solve(schur, rhs)
        ds = -_pushed(left, right, dy)
        dx_matrix = centre * inverse - x_matrix - extra
        turned = x_matrix @ ds @ inverse
        dx_matrix -= 0.5 * (turned + turned.T)
        return dx_matrix, ds, centre / y - x - (x * dy + twist) / y, dy

    def reach(move: tuple[Array, Array, Array, Array]) -> tuple[float, float]:
        dx_matrix, ds, dx, dy = move
        primal = min(_reach(own, dx_matrix), _ratio(x, dx))
        return primal, min(_reach(root, ds), _ratio(y, dy))

    count = len(slack) + len(y)
    centre = (float((x_matrix * slack).sum()) + float(x @ y)) / count
    none = np.zeros_like(slack), np.zeros_like(y)
    guess = direction(0.0, *none)
    primal, dual = (min(1.0, BACK * part) for part in reach(guess))
    ahead = float(((x_matrix + primal * guess[0]) * (slack + dual * guess[1])).sum())
    ahead += float((x + primal * guess[2]) @ (y + dual * guess[3]))
    goal = centre * min(1.0, ahead / (count * centre)) ** 2
    move = direction(goal, guess[0] @ guess[1], guess[2] * guess[3])
    primal, dual = (min(1.0, BACK * part) for part in reach(move))
    return x_matrix + primal * move[0], x + primal * move[2], y + dual * move[3]
