"""Selection claims: a settled run solves the SVM of the tokens it selected (THEORY.md 5)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from checks import aligned_checks, judging, tolerances
from checks.cases import Case
from checks.certificates import OracleFailure
from checks.context import Context
from checks.flow.orbit import Status
from checks.frames import Alignment
from checks.judging import RIVAL, Judged, Rival
from checks.limit_checks import follow, result, unmet, vacuous
from checks.outcomes import CaseResult, Outcome
from checks.problems import constraints_of
from checks.rounding import Norm
from checks.runs import Run

NOT_KEPT = "the selected problem does not keep the selection"
ELSEWHERE = "settled-elsewhere"
"""Region: runs that left the optimal token of some sample, where S2 says nothing."""


def diagonal(cases: Sequence[Case], context: Context) -> list[CaseResult]:
    """selection.selected-svm: separate diagonal weights, the l1 problem of their tokens."""
    return _measure(cases, context, "l1")


def combined_diagonal(cases: Sequence[Case], context: Context) -> list[CaseResult]:
    """selection.selected-svm-combined: combined diagonal weights, the l2 problem."""
    return _measure(cases, context, "l2")


def combined(cases: Sequence[Case], context: Context) -> list[CaseResult]:
    """selection.selected-svm-frobenius: W trained directly, the Frobenius problem."""
    return _measure(cases, context, "frobenius")


def aligned(cases: Sequence[Case], context: Context) -> list[CaseResult]:
    """selection.selected-svm-aligned: aligned K and Q, the nuclear problem."""
    return _measure(cases, context, "nuclear", aligned_checks.follow)


def factored(cases: Sequence[Case], context: Context) -> list[CaseResult]:
    """frontier.selected-nuclear: K and Q from unaligned starts, the nuclear problem."""
    return _measure(cases, context, "nuclear")


def _measure(
    cases: Sequence[Case],
    context: Context,
    norm: Norm,
    run_all: Callable[[Sequence[Case], Context], list[Run]] = follow,
) -> list[CaseResult]:
    checked = [(case, *unmet(case, context.assumptions)) for case in cases]
    ready = [case for case, _, missing in checked if not missing]
    followed = run_all(ready, context)
    by_case = {id(case): run for case, run in zip(ready, followed, strict=True)}
    out = []
    for case, margins, missing in checked:
        if missing:
            out.append(vacuous(case, margins, missing))
            continue
        run = by_case[id(case)]
        judged, informative = judge_selected(run, norm, context, case.alignment)
        if context.dropped == "nonzero-invariant" and judged.outcome is Outcome.HELD:
            informative = False  # the frozen sign is already right, or this would have missed
        regions = case.regions
        if run.settled and not run.reached:
            regions = (*regions, ELSEWHERE)
        certificate = None
        if judged.outcome is Outcome.HELD:
            gap = judging.audit.gap_of(judged.lower, judged.upper)
            certificate = judging.certificate(run, norm, gap)
        out.append(
            result(
                case, judged.outcome, judged.reason, margins, informative=informative,
                measurements=judged.measurements, regions=regions, optima=judged.optima,
                certificate=certificate, fidelity=run.fidelity.record,
            )
        )  # fmt: skip
    return out


def judge_selected(
    run: Run, norm: Norm, context: Context, alignment: Alignment | None = None
) -> tuple[Judged, bool]:
    """The selection claim on one run, and whether the run could have shown it wrong."""
    if not run.fidelity.ok:
        return Judged(Outcome.INCONCLUSIVE, f"fidelity: {run.fidelity.fault}"), False
    if not run.settled or run.status in (Status.UNSETTLED, Status.RESURGENT, Status.FLAT):
        return Judged(Outcome.VACUOUS, f"not settled ({run.status.word})"), False
    constraints = constraints_of(run.problem, run.selected)
    if len(constraints) == 0:
        return Judged(Outcome.VACUOUS, "the selected tokens constrain nothing"), False
    try:
        own = judging.solution(constraints, norm, alignment, run.selected)
        rival = judging.solution(constraints, RIVAL[norm], alignment, run.selected)
    except OracleFailure as failure:
        return Judged(Outcome.INCONCLUSIVE, f"oracle: {failure}"), False
    if not judging.stays(run, own):
        return Judged(Outcome.VACUOUS, NOT_KEPT), False
    tolerance = tolerances.margin_gap(context.budget.settings)
    others = [Rival(f"the {rival.norm} problem of the same tokens", rival)]
    judged = judging.compare(run, own, others, tolerance, constraints)
    informative = (
        int(own.active.sum()) >= 2
        and judging.start_gap(run.problem, run.start, own, run.selected) >= judging.INFORMATIVE_GAP
        and judging.discriminates(constraints, own, rival)
    )
    return replace(judged, optima=(own.record, rival.record)), informative
