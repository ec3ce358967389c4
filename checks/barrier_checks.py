"""A loss below its barrier reaches the infimum; one below a larger barrier need not."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from checks import assumptions, judging
from checks.barriers import loss_barrier, loss_excess
from checks.cases import Case
from checks.context import Context
from checks.late_runs import at_handover, own_norm
from checks.limit_checks import result, unmet
from checks.outcomes import CaseResult, Outcome

NEAR = 0.25
"""Of the barrier: a start below that is too safe to tell the barrier from a lower one."""


def below_barrier(cases: Sequence[Case], context: Context) -> list[CaseResult]:
    """limit.loss-barrier, -combined (derived): L(0) - L* below the barrier reaches L*."""
    return _measure(cases, context)


def below_sum(cases: Sequence[Case], context: Context) -> list[CaseResult]:
    """control.loss-barrier-sum: the same of twice the sum of all samples' barriers; wrong."""
    return _measure(cases, context, summed=True)


def _measure(cases: Sequence[Case], context: Context, summed: bool = False) -> list[CaseResult]:
    out = []
    for run in at_handover([(case, *_before(case, context)) for case in cases], context):
        if isinstance(run, CaseResult):
            out.append(run)
            continue
        share, reason = _share(run.case, summed), run.reason
        near = NEAR <= share < 1
        if run.reached is None:
            outcome = Outcome.INCONCLUSIVE
        elif share >= 1:
            outcome, reason = Outcome.VACUOUS, "the loss starts above this barrier"
        else:
            outcome = Outcome.HELD if run.reached else Outcome.FALSIFIED
            run.margins["separable"] = run.least if run.reached else np.nan
            near = near and not (summed and run.reached)
        inputs = {**run.case.inputs(), "loss over barrier": share}
        out.append(result(run.case, outcome, reason, run.margins, informative=near, inputs=inputs))
    return out


def _before(case: Case, context: Context) -> tuple[dict[str, float], str]:
    """Signed margins, and the first assumption that is unmet; the barrier's last of all."""
    barrier = "loss-below-barrier"
    margins, missing = unmet(case, [key for key in context.assumptions if key != barrier])
    if not missing and case.witness is None:
        # Separable by construction where there is a witness; else the oracle is asked.
        _, failure = judging.solutions(case.problem, (own_norm(case),))
        if failure == judging.NOT_SEPARABLE:
            return {**margins, "separable": 0.0}, "separable"
    if not missing and barrier in context.assumptions:
        margins[barrier] = assumptions.before(case, [barrier])[barrier]
        missing = "" if margins[barrier] > 0 else barrier
    return margins, missing


def _share(case: Case, summed: bool) -> float:
    """L(0) - L* over the barrier, or over twice the sum of the samples' own barriers."""
    problem = case.problem
    barrier = loss_barrier(problem)
    if summed:
        ordered = np.sort(problem.scores, axis=1)
        lead = ordered[:, -1] - ordered[:, -2]
        barrier = 2 * float((np.exp(-ordered[:, -1]) * np.expm1(lead)).mean())
    return loss_excess(problem, case.start.weights) / barrier
