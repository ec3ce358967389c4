"""Contrast claims: two parametrisations, one dataset, two margins, each by an interval."""

from __future__ import annotations

from collections.abc import Sequence

from checks import judging, runs, tolerances
from checks.cases import Case
from checks.context import Context
from checks.judging import Judged, Rival
from checks.limit_checks import Prepared, Target, prepare, recorded, result
from checks.outcomes import CaseResult, Measurement, Outcome
from checks.problems import AttentionProblem, Start
from checks.runs import Run


def diagonal(cases: Sequence[Case], context: Context) -> list[CaseResult]:
    """contrast.diagonal (S2, S4, S5): beta = k q against beta trained directly."""
    prepared = [prepare(case, Target("l1", "l2"), context) for case in cases]
    ready = [p for p in prepared if isinstance(p, Prepared)]
    problems = [p.case.problem for p in ready]
    separate = _follow(problems, [p.case.start for p in ready], context)
    combined = _follow(
        problems,
        [Start.combined(p.case.start.weights, p.case.problem.dim) for p in ready],
        context,
    )
    pairs = {id(p): pair for p, pair in zip(ready, zip(separate, combined, strict=True),
                                            strict=True)}  # fmt: skip
    return [
        p if isinstance(p, CaseResult) else _contrast(p, *pairs[id(p)], context) for p in prepared
    ]


def _follow(
    problems: Sequence[AttentionProblem], starts: Sequence[Start], context: Context
) -> list[Run]:
    budget = context.budget
    return runs.follow(
        problems, starts, budget.settings, budget.audited, budget.stretches, context.device
    )


def _contrast(p: Prepared, separate: Run, combined: Run, context: Context) -> CaseResult:
    """Both runs attain their own margin; then the other's is missed, by its optimum's floor."""
    tolerance = tolerances.margin_gap(context.budget.settings)
    own = judging.judge(separate, p.claimed, [Rival("the l2 problem", p.rival)], tolerance)
    other = judging.judge(combined, p.rival, [Rival("the l1 problem", p.claimed)], tolerance)
    margins, certificate = recorded(separate, p, own)
    for name, judged in (("separate", own), ("combined", other)):
        if judged.outcome is not Outcome.HELD:
            return result(
                p.case, judged.outcome, f"{name} weights: {judged.reason}", margins,
                informative=judged.outcome is Outcome.FALSIFIED,
                measurements=judged.measurements, certificate=certificate,
            )  # fmt: skip
    measured = (
        *(Measurement(f"{m.name}, separate", m.value, m.tolerance, m.because)
          for m in own.measurements),
        *(Measurement(f"{m.name}, combined", m.value, m.tolerance, m.because)
          for m in other.measurements),
    )  # fmt: skip
    crossed = _missed(separate, p, own), _missed(combined, p, other)
    return result(
        p.case, Outcome.HELD, "", margins, informative=p.informative and all(crossed),
        measurements=measured, certificate=certificate,
    )  # fmt: skip


def _missed(run: Run, p: Prepared, judged: Judged) -> bool:
    """Is the other norm's margin missed by 5 % or more, by the run's own raw certificate?"""
    norm, optimum = ("l2", p.rival) if run.norm == "l1" else ("l1", p.claimed)
    margin = judging.margin_above(run, norm)
    return margin * optimum.upper <= 1 - judging.INFORMATIVE_RIVAL
