"""Every assumption bound to a function that returns its signed margin (positive: met).

Problem and start assumptions are judged before a run, the trajectory's after it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from checks.barriers import loss_barrier, loss_excess
from checks.cases import Case
from checks.frames import misalignment
from checks.problems import AttentionProblem, Start
from checks.svm import SvmSolution
from checks.tolerances import EPS

ProblemMargin = Callable[[AttentionProblem, Start], float]


def optimal_unique(problem: AttentionProblem, start: Start) -> float:
    """Least lead of a best score over the second best, less the scores' rounding error."""
    return problem.optimal_lead


def realisable(problem: AttentionProblem, start: Start) -> float:
    """Rounding bound of the scores less their distance from y v.x, least over tokens.

    Agreement to the bound itself is met: it is counted from the next larger float.
    """
    computed = problem.labels[:, None] * (problem.tokens @ problem.head)
    margin = float((problem.score_rounding - np.abs(computed - problem.scores)).min())
    return margin if margin < 0 else margin + np.finfo(np.float64).tiny


def nonzero_invariant(problem: AttentionProblem, start: Start) -> float:
    """Least c_j = |k_j^2 - q_j^2|/2 over coordinates that enter a constraint, less rounding."""
    if start.key is None or start.query is None:
        return np.inf
    k, q = start.key, start.query
    differences = problem.tokens[:, :, None, :] - problem.tokens[:, None, :, :]
    used = ((differences != 0) & (problem.queries != 0)[:, None, None, :]).any(axis=(0, 1, 2))
    c = np.abs((k - q) * (k + q)) / 2 - EPS * (k * k + q * q)
    return float(c[used].min()) if used.any() else np.inf


def equal_scores(problem: AttentionProblem, start: Start) -> float:
    """Rounding bound of the scores less the spread among each sample's non-optimal tokens."""
    others = np.ones(problem.scores.shape, dtype=bool)
    np.put_along_axis(others, problem.optimal[:, None], False, axis=1)
    rest = problem.scores[others].reshape(problem.samples, -1)
    margin = float(problem.score_rounding.max() - np.ptp(rest, axis=1).max())
    return margin if margin < 0 else margin + np.finfo(np.float64).tiny


def full_stack_rank(problem: AttentionProblem, start: Start) -> float:
    """Smallest of the 2d singular values of [K; Q] over its largest, less rounding."""
    if start.key is None or start.query is None or start.key.ndim != 2:
        return np.inf
    stack = np.concatenate((start.key, start.query))
    values = np.linalg.svd(stack, compute_uv=False)
    least = float(values[-1]) if stack.shape[1] >= stack.shape[0] else 0.0
    # LAPACK's singular values are off by a modest multiple of eps times the largest.
    return least / max(float(values[0]), np.finfo(np.float64).tiny) - EPS * sum(stack.shape)


def loss_below_barrier(problem: AttentionProblem, start: Start) -> float:
    """1 less L(0) - L* over its barrier, less the rounding of both: some ten operations each."""
    excess, barrier = loss_excess(problem, start.weights), loss_barrier(problem)
    return 1.0 - excess / barrier - 1e-12 if barrier > 0 else -np.inf


BEFORE: dict[str, ProblemMargin] = {
    "optimal-unique": optimal_unique,
    "realisable": realisable,
    "nonzero-invariant": nonzero_invariant,
    "equal-scores": equal_scores,
    "full-stack-rank": full_stack_rank,
    "loss-below-barrier": loss_below_barrier,
}
"""Judged from problem and start alone; "separable" needs the oracle's answer."""

ALIGNED = 1e-13
"""Largest relative off-diagonal part of an aligned case: frames are products of at most a few
dozen rounded rotations, a few 1e-16 in each entry."""


def aligned(case: Case) -> float:
    """ALIGNED less the off-diagonal part of start and constraints in the case's frames."""
    if case.alignment is None:
        return -1.0  # no frames in which it could be diagonal: as far off as can be
    return ALIGNED - misalignment(case.problem, case.start, case.alignment)


def before(case: Case, keys: Sequence[str]) -> dict[str, float]:
    """Signed margins of those keys that are judged before a run.

    An aligned case's invariant is that of its diagonal form: c_j in the frames of the start.
    """
    margins = {}
    for key in keys:
        if key == "aligned":
            margins[key] = aligned(case)
        elif key == "nonzero-invariant" and case.start.model == "factored":
            form = case.alignment
            margins[key] = (
                nonzero_invariant(form.problem, form.start)
                if form is not None and form.start is not None
                else -1.0
            )
        elif key in BEFORE:
            margins[key] = BEFORE[key](case.problem, case.start)
    return margins


def separable(solution: SvmSolution) -> float:
    """Lower end of the certified best normalised margin gamma* = 1/optimum."""
    return 1.0 / solution.upper
