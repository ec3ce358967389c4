"""Every assumption bound to a function that returns its signed margin (positive: met).

Problem and start assumptions are judged before a run, the trajectory's after it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

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


BEFORE: dict[str, ProblemMargin] = {
    "optimal-unique": optimal_unique,
    "realisable": realisable,
    "nonzero-invariant": nonzero_invariant,
}
"""Judged from problem and start alone; "separable" needs the oracle's answer."""


def separable(solution: SvmSolution) -> float:
    """Lower end of the certified best normalised margin gamma* = 1/optimum."""
    return 1.0 / solution.upper
