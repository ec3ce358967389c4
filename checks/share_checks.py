"""How vacuous S2 is: which starts reach the infimum, counted by what they are like."""

from __future__ import annotations

from collections.abc import Sequence

from checks.cases import Case
from checks.context import Context
from checks.families import family
from checks.grids import ELSEWHERE, INFIMUM
from checks.late_runs import at_handover
from checks.limit_checks import result, unmet
from checks.outcomes import CaseResult, Outcome

_SCORES = {"separable": "distinct", "equal-scores": "equal below", "near-tied": "nearly tied"}
"""Problem family -> what its scores are like; violators keep the name of their family."""
_MODELS = {"diagonal": "separate", "combined-diagonal": "combined"}


def shares(cases: Sequence[Case], context: Context) -> list[CaseResult]:
    """frontier.infimum-shares (S2): HELD where the infimum is reached, VACUOUS elsewhere.

    Runs stop at the hand-over, where every sample is on its token by ``Settings.handover``.
    """
    checked = [(case, *unmet(case, context.assumptions)) for case in cases]
    out = []
    for run in at_handover(checked, context):
        if isinstance(run, CaseResult):
            out.append(run)
            continue
        if run.reached is None:
            outcome, found = Outcome.INCONCLUSIVE, "undecided"
        else:
            run.margins["infimum-reached"] = run.least
            outcome = Outcome.HELD if run.reached else Outcome.VACUOUS
            found = INFIMUM if run.reached else ELSEWHERE
        regions = (*run.case.regions, *_axes(run.case), f"found: {found}")
        out.append(
            result(run.case, outcome, run.reason, run.margins, informative=True, regions=regions)
        )
    return out


def _axes(case: Case) -> tuple[str, ...]:
    parts = family(case.spec.family)
    n, length, dim = case.spec.shape
    return (
        f"start: {_MODELS[parts.model]} weights, {parts.start}",
        f"size: {n} samples of {length} tokens in {dim} dimensions",
        f"score structure: {_SCORES.get(parts.problem, parts.problem)}",
    )
