"""How far above its infimum the loss may start and still be bound to reach it."""

from __future__ import annotations

import numpy as np

from checks.problems import Array, AttentionProblem


def loss_excess(problem: AttentionProblem, weights: Array) -> float:
    """L - L* = (1/n) sum_i e^-gamma_io (e^eta_i - 1), eta_i = sum_l s_il (gamma_io - gamma_il):
    what sample i's output misses.  weights (d,) or (d, d); inf where exponentials overflow."""
    x, z = problem.tokens, problem.queries
    moved = z @ weights.T if weights.ndim == 2 else z * weights
    levels = (x * moved[:, None, :]).sum(-1)
    paid = np.exp(levels - levels.max(axis=1, keepdims=True))
    paid = paid / paid.sum(axis=1, keepdims=True)
    own = problem.scores.max(axis=1)
    missed = (paid * (own[:, None] - problem.scores)).sum(axis=1)
    return float((np.exp(-own) * np.expm1(missed)).mean())


def loss_barrier(problem: AttentionProblem) -> float:
    """(1/n) min_i e^-gamma_io (e^b_i - 1), b_i the lead of the best score over the second best.

    A sample whose output falls to its second-best score adds that much to L - L* by itself, and
    no sample subtracts.  0 where two tokens share the best score.
    """
    ordered = np.sort(problem.scores, axis=1)
    lead = ordered[:, -1] - ordered[:, -2]
    return float((np.exp(-ordered[:, -1]) * np.expm1(lead)).min() / problem.samples)
