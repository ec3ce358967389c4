"""Is there a direction of positive margin?  Answered with a witness or a Farkas vector.

Feasibility of the margin problems (THEORY.md 1, "separable"): a witness W with
min_r <G_r, W> > 0 proved in float64 or in integers, or y >= 0, y != 0 with sum_r y_r G_r = 0
proved in integers.  Where neither proof is found the answer is "undecided", never a guess.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, NoReturn

import numpy as np
from scipy.optimize import nnls

from checks.active_set import MAX_ROWS, decide
from checks.basis import halves_of, l1_tableau, prove_farkas
from checks.certificates import OracleFailure
from checks.exact import IntMatrix, integers, solve
from checks.exact_data import ExactConstraints
from checks.problems import Array, Constraints
from checks.rounding import FULL, Norm, least_margin, push

Answer = Literal["separable", "non-separable", "undecided"]

EXACT_ENTRIES = 4096
"""Largest R * d (full: R * d^2) for which integer pivoting is tried: about a second, and at most
the 2,000 pivots of ``simplex.maximise``.  Beyond, what floats do not prove is undecided."""


@dataclass(frozen=True, eq=False)
class Separability:
    """The answer and its proof.

    witness: (d,) or (d, d) weights whose least margin is proved positive, else None.  whole: where
    integers decided, integer weights proved the same: one row of d, or d (full).  Where two
    constraints differ by an ulp from opposite ones, their rounding to float64 no longer
    separates, and they are all there is.
    farkas: (R,) y >= 0, sum 1, the float64 image of ``integers`` (tuple of R Python integers),
    for which sum_r y_r G_r = 0 was verified exactly; else None.  Without constraints the answer
    is "separable" with the zero witness.
    """

    answer: Answer
    witness: Array | None = None
    whole: tuple[tuple[int, ...], ...] | None = None
    farkas: Array | None = None
    integers: tuple[int, ...] | None = None


class NotSeparable(OracleFailure):
    """No direction has all margins positive (proved: ``separability`` holds the Farkas vector,
    or, where signs are frozen, integers y >= 0 that push no allowed half-line)."""

    def __init__(self, norm: Norm, proof: Separability) -> None:
        super().__init__(f"{norm}: the constraints are not separable")
        self.separability = proof


@dataclass(frozen=True, eq=False)
class LeastDistance:
    """Raw output of the least-distance problem: multipliers (R,) >= 0 and the residual's last
    entry, positive where the rows are separable and about 0 where they are not."""

    multipliers: Array
    residual: float


def least_distance(rows: Array) -> LeastDistance:
    """min |b| s.t. rows @ b >= 1 by nonnegative least squares (Lawson and Hanson, ch. 23).

    rows (R, k) of entries about 1.  u = argmin_{u >= 0} |[rows^T; 1^T] u - e_{k+1}|.  Nothing
    of it is trusted: the caller certifies.  Raises RuntimeError where scipy's nnls gives up.
    """
    count, width = rows.shape
    stacked = np.ones((width + 1, count))
    stacked[:width] = rows.T
    target = np.zeros(width + 1)
    target[-1] = 1.0
    u, _ = nnls(stacked, target)
    return LeastDistance(u, float(1.0 - u.sum()))


def span_rows(constraints: Constraints, full: bool) -> Array:
    """(R, k) rows of about unit size with the Gram matrix of the G_r, up to one scale.

    Diagonal: the rows themselves.  Full: from the eigenvectors of (delta delta^T)*(z z^T), so
    that (R, d, d) is never formed.
    """
    if not full:
        rows = constraints.rows
        size = float(np.abs(rows).max(initial=0.0))
        return np.asarray(rows / size) if size > 0.0 else rows
    gram = (constraints.delta @ constraints.delta.T) * (constraints.query @ constraints.query.T)
    size = float(np.abs(gram).max(initial=0.0))
    if size == 0.0:
        return np.zeros((len(gram), 1))
    values, vectors = np.linalg.eigh(gram / size)
    # Eigenvalues within the rounding error of eigh (R eps times the largest) are kept as 0:
    # their square roots, 1e-8, would look like directions and break the Farkas kernels.
    floor = len(gram) * np.finfo(np.float64).eps * values.max()
    return np.asarray(vectors * np.sqrt(np.where(values > floor, values, 0.0)))


def _proved_witness(constraints: Constraints, weights: Array) -> Separability | None:
    """The witness if its margins are positive: by rounding bounds, else in integers."""
    if not (np.isfinite(weights).all() and weights.any()):
        return None
    if not least_margin(constraints, weights) > 0.0:
        data = ExactConstraints.of(constraints, full=weights.ndim == 2)
        if min(data.margins(integers(weights)[0])) <= 0:
            return None
    return Separability("separable", witness=weights)


def farkas_answer(constraints: Constraints, vector: dict[int, int]) -> Separability:
    """The answer "non-separable", proved by integers ``vector`` (row -> y_r >= 0)."""
    integers = tuple(vector.get(r, 0) for r in range(len(constraints)))
    total = sum(integers)
    image = np.array([y / total for y in integers], dtype=np.float64)
    return Separability("non-separable", farkas=image, integers=integers)


def unit_rows(constraints: Constraints) -> Constraints:
    """Each delta_r and z_r divided by its own power of two: sizes in [1/2, 1), exactly.

    Separability does not change, multipliers do (the margin problems would change).
    """

    def exponents(vectors: Array) -> Array:
        return np.frexp(np.abs(vectors).max(axis=1, keepdims=True))[1]

    down, across = -exponents(constraints.delta), -exponents(constraints.query)
    return replace(
        constraints,
        delta=np.ldexp(constraints.delta, down),
        low=np.ldexp(constraints.low, down),
        query=np.ldexp(constraints.query, across),
    )


def separability(constraints: Constraints, full: bool) -> Separability:
    """Decide whether some beta (d,) (full: W (d, d)) has all margins positive.

    Cascade: least-distance problem, its support as a Farkas vector, then an exact method (the
    simplex method; for few rows and W, the active-set method).  Source: S2 ("separable data");
    Farkas' lemma.
    """
    dim = constraints.delta.shape[1]
    if len(constraints) == 0:
        return Separability("separable", witness=np.zeros((dim, dim) if full else dim))
    with np.errstate(over="ignore", invalid="ignore"):  # an overflow proves nothing
        return _separability(constraints, full)


def _separability(constraints: Constraints, full: bool) -> Separability:
    unit = unit_rows(constraints)
    try:
        guess = least_distance(span_rows(unit, full)).multipliers
    except (RuntimeError, ValueError, np.linalg.LinAlgError):
        guess = np.zeros(len(constraints))  # no proposal: decide exactly
    if guess.any():
        found = _proved_witness(constraints, push(unit, guess, full))
        if found is not None:
            return found
        vector = prove_farkas(constraints, [int(r) for r in np.flatnonzero(guess > 0.0)], full)
        if vector is not None:
            return farkas_answer(constraints, vector)
    if full and len(constraints) <= MAX_ROWS:
        return _decide_by_active_set(constraints)
    return _decide_by_simplex(constraints, full)


def _whole_witness(data: ExactConstraints, weights: IntMatrix, den: int) -> Separability:
    """Separable by integer ``weights``, which the exact methods found; weights/den are near 1."""
    if min(data.margins(weights)) <= 0:  # a bug: they were just decided
        return Separability("undecided")
    near = np.array([[x / den for x in row] for row in weights], dtype=np.float64)
    whole = tuple(map(tuple, weights))
    if min(data.margins(integers(near)[0])) <= 0:
        return Separability("separable", whole=whole)
    return Separability("separable", witness=near[0] if data.right is None else near, whole=whole)


def _decide_by_active_set(constraints: Constraints) -> Separability:
    """The exact active-set method on the Gram matrix of the G_r."""
    data = ExactConstraints.of(constraints, full=True)
    decided = decide(data.gram(range(len(constraints))), 1 << 2 * data.shift)
    if decided.farkas is not None:
        return farkas_answer(constraints, decided.farkas)
    lam, _ = solve(data.gram(decided.support), [[1] for _ in decided.support])
    weights = data.push(decided.support, [row[0] for row in lam])
    return _whole_witness(data, weights, max(abs(x) for row in weights for x in row))


def _decide_by_simplex(constraints: Constraints, full: bool) -> Separability:
    """The exact simplex method on max sum(y) s.t. |sum_r y_r G_r|_inf <= 1, if small enough."""
    count, dim = constraints.delta.shape
    size = dim * dim if full else dim
    if count * size > EXACT_ENTRIES:
        return Separability("undecided")
    halves = halves_of(size)
    data = ExactConstraints.of(constraints, full)
    rows = data.left
    if data.right is not None:
        pairs = zip(data.left, data.right, strict=True)
        rows = [[x * y for x in left for y in right] for left, right in pairs]
    vertex = l1_tableau(rows, halves, data.shift)
    if vertex.status == "unbounded" and vertex.ray is not None:
        return farkas_answer(constraints, {r: int(y) for r, y in enumerate(vertex.ray)})
    if vertex.status != "optimal":
        return Separability("undecided")
    flat = [0] * size
    for variable, cost in zip(vertex.nonbasic, vertex.costs, strict=True):
        if variable >= count:
            j, s = halves[variable - count]
            flat[j] += s * int(cost)
    weights = [flat[i : i + dim] for i in range(0, size, dim)]
    return _whole_witness(data, weights, max(abs(x) for x in flat))


def refuse(constraints: Constraints, norm: Norm) -> NoReturn:
    """Raise :class:`NotSeparable` where that can be proved, OracleFailure otherwise."""
    answer = separability(constraints, full=norm in FULL)
    if answer.answer == "non-separable":
        raise NotSeparable(norm, answer)
    raise OracleFailure(f"{norm}: no proof of an optimum, nor of non-separability")
