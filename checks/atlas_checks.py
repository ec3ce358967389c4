"""The frontier atlas: where unaligned key and query end, by what their start is like."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from checks import judging, limit_checks, runs, saddles, tolerances
from checks.cases import Case
from checks.context import Context
from checks.judging import Judged, Rival
from checks.limit_checks import Prepared, Target, prepare, recorded, result
from checks.outcomes import CaseResult, Outcome
from checks.runs import Run
from checks.saddles import Memory

_FAR_ENOUGH = 150.0
_STEPS = 300
"""ln N(W) and late steps at which a run that is stuck is left: it is one of many."""


def atlas(cases: Sequence[Case], context: Context) -> list[CaseResult]:
    """frontier.atlas (THEORY.md 4, frontier): one chart of starts, each run said what it is."""
    settings = context.budget.settings
    settings = replace(
        settings, horizon=min(settings.horizon, _FAR_ENOUGH),
        late_steps=min(settings.late_steps, _STEPS),
    )  # fmt: skip
    context = replace(context, budget=replace(context.budget, settings=settings))
    target = Target("nuclear", "frobenius", discriminates=False)
    prepared = [prepare(case, target, context) for case in cases]
    batch = [p for p in prepared if isinstance(p, Prepared)]
    memory = Memory()
    followed = runs.follow(
        [p.case.problem for p in batch], [p.case.start for p in batch], settings,
        context.budget.audited, context.budget.stretches, context.device, [memory],
    )  # fmt: skip
    done = {
        id(p): _charted(p, run, row, memory, context)
        for row, (p, run) in enumerate(zip(batch, followed, strict=True))
    }
    return [p if isinstance(p, CaseResult) else done[id(p)] for p in prepared]


def _charted(p: Prepared, run: Run, row: int, memory: Memory, context: Context) -> CaseResult:
    tolerance = tolerances.margin_gap(context.budget.settings)
    judged = judging.judge(
        run, p.claimed, [Rival(f"the {p.rival.norm} problem", p.rival)], tolerance
    )
    judged, found = _found(judged, run, row, memory)
    margins, certificate = recorded(run, p, judged)
    return result(
        p.case, judged.outcome, judged.reason, margins,
        informative=judged.outcome is not Outcome.VACUOUS and p.informative,
        measurements=judged.measurements,
        regions=(*p.case.regions, f"found: {found}"),
        curves=limit_checks.gap_curves(run, p.claimed),
        optima=(p.claimed.record, p.rival.record), certificate=certificate,
    )  # fmt: skip


OPTIMUM, ELSEWHERE, UNDECIDED, NOT_REACHED = "optimum", "elsewhere", "undecided", "not reached"


def _found(judged: Judged, run: Run, row: int, memory: Memory) -> tuple[Judged, str]:
    """What the run is said to be, and the judgement with that as its reason."""
    if judged.outcome is Outcome.VACUOUS:
        return judged, NOT_REACHED
    if not run.reached or not run.fidelity.ok:
        return judged, UNDECIDED
    if memory.lost(row, run.problem, run.selected):
        reason = "rounding decides: the growing direction fell below the rounding of the weights"
        return replace(judged, outcome=Outcome.INCONCLUSIVE, reason=reason), UNDECIDED
    if judged.outcome is Outcome.HELD:
        return judged, OPTIMUM
    if judged.outcome is Outcome.FALSIFIED:
        return judged, f"{ELSEWHERE}, at the Frobenius optimum"
    point = saddles.stationarity(saddles.push(run.problem, run.selected, run.p), run.direction)
    if point.residual > saddles.STATIONARY or point.excess < 10 * saddles.STATIONARY:
        return judged, UNDECIDED
    reason = f"at a KKT point of rank {point.rank} of the factored problem, not the optimum"
    return replace(judged, reason=reason), f"{ELSEWHERE}, KKT point of rank {point.rank}"
