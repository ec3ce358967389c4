"""Controls of the controls' own measure: could a tolerance that is too wide be seen?"""

from __future__ import annotations

from collections.abc import Sequence

from checks import judging, tolerances
from checks.cases import Case
from checks.context import Context
from checks.judging import Judged
from checks.limit_checks import Prepared, Target, measure
from checks.outcomes import CaseResult, Measurement, Outcome
from checks.runs import Run

EXCESS = 5e-5
"""By how much the planted margin exceeds the best one.  Fixed in the claim, not computed from
the tolerance it is there to test: fifty times the tolerance of the quick and full profiles,
and a twentieth of one that is a thousand times too wide."""


def beyond_optimum(cases: Sequence[Case], context: Context) -> list[CaseResult]:
    """control.margin-beyond-optimum (S2): a margin (1 + EXCESS) times the best is attained."""
    return measure(cases, Target("l1", "l2"), context, _beyond)


def _beyond(run: Run, prepared: Prepared, context: Context) -> Judged:
    """HELD if the planted margin is met within tolerance; FALSIFIED where the run's own dual
    bound, from raw tokens, proves the margin of these weights to fall short by more."""
    stopped = judging.unresolved(run)
    if stopped is not None:
        return Judged(*stopped)
    lower, upper = judging.from_raw(run, prepared.claimed.norm)
    tolerance = tolerances.margin_gap(context.budget.settings)
    gap = 1 - prepared.claimed.lower * lower / (1 + EXCESS)
    proved = 1 - prepared.claimed.upper * upper / (1 + EXCESS)
    measured = (Measurement("margin gap", gap, tolerance.value, tolerance.because),)
    outcome, reason = Outcome.INCONCLUSIVE, "the run's dual bound is open"
    if gap <= tolerance.value:
        outcome, reason = Outcome.HELD, ""
    elif proved > tolerance.value:
        outcome = Outcome.FALSIFIED
        reason = "the run's dual bound excludes the planted margin by more than the tolerance"
    return Judged(outcome, reason, measured, lower, upper)
