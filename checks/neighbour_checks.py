"""Neighbouring theorems: the parts of their checks that are not ``limit_checks`` already."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from checks import flow_checks, tolerances
from checks.cases import Case
from checks.context import Context
from checks.limit_checks import Target, direction, measure, unmet, vacuous
from checks.outcomes import CaseResult, Measurement
from checks.problems import Array


def embedding(cases: Sequence[Case], context: Context) -> list[CaseResult]:
    """neighbour.embedding (derived): autograd of the attention loss against sum exp(-<a, beta>).

    Compared as directions: the two flows run along one orbit at different speeds.
    """
    out = []
    for case in cases:
        margins, missing = unmet(case, context.assumptions)
        if missing:
            out.append(vacuous(case, margins, missing))
            continue
        ours = np.concatenate(flow_checks.autograd(case.problem, case.start))
        theirs, condition = _exponential(case)
        size = np.linalg.norm(ours) * np.linalg.norm(theirs)
        # The sine of the angle, whose rounding is that of the directions (a cosine loses half).
        off = ours / np.linalg.norm(ours) - theirs / np.linalg.norm(theirs) if size else np.inf
        allowed = tolerances.rounding(case.problem.length * case.problem.dim, condition,
                                      "the two gradients, by their condition")  # fmt: skip
        measured = Measurement(
            "angle between the gradients", float(np.linalg.norm(off)), allowed.value,
            allowed.because,
        )  # fmt: skip
        # A gradient that is all cancellation shows nothing.
        decided = flow_checks.decide(case, margins, [measured], allowed.value < 1e-6)
        out.append(decided)
    return out


def _exponential(case: Case) -> tuple[Array, float]:
    """-gradient of sum_l exp(-<x_o - x_l, beta>), up to a factor, in beta or in (k, q); and the
    condition of either route: sums of absolute terms over their sums, times 1 + the logits."""
    problem, start = case.problem, case.start
    x, best = problem.tokens[0], int(problem.optimal[0])
    a = np.delete(x[best] - x, best, axis=0) * problem.queries[0]
    logits = a @ start.weights
    force = np.exp(logits.min() - logits)
    pull = force @ a
    # The attention route sums differences of tokens weighted by all pairs of attention.
    terms = force @ (np.abs(x[best]) + np.abs(np.delete(x, best, axis=0)))
    reach = 1 + float((np.abs(x) @ np.abs(start.weights * problem.queries[0])).max())
    # gamma_o - gamma-bar = lead (1 - s_o), gamma-bar - gamma_l = lead s_o: differences of
    # numbers of the scores' size.
    odds = float(np.exp(-logits).sum())
    missed = odds / (1 + odds) ** 2
    lead = problem.optimal_lead / float(np.abs(problem.scores).max())
    spread = 1 + 1 / (lead * missed)
    if start.key is None or start.query is None:
        return pull, float(terms.sum() / np.linalg.norm(pull)) * reach * spread
    both = np.concatenate((start.query * pull, start.key * pull))
    sizes = (np.abs(start.query) + np.abs(start.key)) * terms
    return both, float(sizes.sum() / np.linalg.norm(both)) * reach * spread


def mirror_l15(cases: Sequence[Case], context: Context) -> list[CaseResult]:
    """neighbour.mirror-l1.5, control.mirror-l3-attains-l1.5 (arXiv 2410.14581)."""
    return measure(cases, Target("l1.5", "l3"), context, direction)


def mirror_l3(cases: Sequence[Case], context: Context) -> list[CaseResult]:
    """neighbour.mirror-l3, control.mirror-l1.5-attains-l3 (arXiv 2410.14581)."""
    return measure(cases, Target("l3", "l1.5"), context, direction)
