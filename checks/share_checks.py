"""How vacuous S2 is: which starts reach the infimum, counted by what they are like."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from checks.cases import Case
from checks.context import Context
from checks.families import family
from checks.flow import integrate
from checks.grids import ELSEWHERE, INFIMUM
from checks.late_runs import least_margin
from checks.limit_checks import result, unmet, vacuous
from checks.outcomes import CaseResult, Outcome

_SCORES = {"separable": "distinct", "equal-scores": "equal below", "near-tied": "nearly tied"}
"""Problem family -> what its scores are like."""
_MODELS = {"diagonal": "separate", "combined-diagonal": "combined"}


def shares(cases: Sequence[Case], context: Context) -> list[CaseResult]:
    """frontier.infimum-shares (S2): HELD where the infimum is reached, VACUOUS elsewhere.

    Runs stop at the hand-over, where every sample is on its token by ``Settings.handover``.
    """
    # Nothing is asked of the late phase: its first step is enough.
    settings = replace(context.budget.settings, late_steps=1)
    checked = [(case, *unmet(case, context.assumptions)) for case in cases]
    ready = [case for case, _, missing in checked if not missing]
    if not ready:
        return [vacuous(case, margins, missing) for case, margins, missing in checked]
    orbit = integrate.integrate(
        [c.problem for c in ready], [c.start for c in ready], settings, device=context.device
    )
    rows = {id(case): row for row, case in enumerate(ready)}
    out = []
    for case, margins, missing in checked:
        if missing:
            out.append(vacuous(case, margins, missing))
            continue
        row = rows[id(case)]
        if not orbit.settled[row]:
            outcome, reason, found = Outcome.INCONCLUSIVE, orbit.status[row].advice, "undecided"
        else:
            margins["infimum-reached"] = least_margin(case, orbit, row)
            reached = bool((orbit.selected[row] == case.problem.optimal).all())
            outcome = Outcome.HELD if reached else Outcome.VACUOUS
            reason = "" if reached else "a sample settled on another token"
            found = INFIMUM if reached else ELSEWHERE
        regions = (*case.regions, *_axes(case), f"found: {found}")
        out.append(result(case, outcome, reason, margins, informative=True, regions=regions))
    return out


def _axes(case: Case) -> tuple[str, ...]:
    parts = family(case.spec.family)
    n, length, dim = case.spec.shape
    return (
        f"start: {_MODELS[parts.model]} weights, {parts.start}",
        f"size: {n} samples of {length} tokens in {dim} dimensions",
        f"score structure: {_SCORES[parts.problem]}",
    )
