"""Contrast claims: two parametrisations, one dataset, two margins, each by an interval."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from checks import aligned_checks, judging, limit_checks, tolerances
from checks.cases import Case
from checks.context import Context
from checks.judging import Rival
from checks.limit_checks import Prepared, Target, prepare, recorded, result
from checks.outcomes import CaseResult, Measurement, Outcome
from checks.problems import Start
from checks.runs import Run
from checks.svm import SvmSolution

Follow = Callable[[Sequence[Case], Context], list[Run]]


def diagonal(cases: Sequence[Case], context: Context) -> list[CaseResult]:
    """contrast.diagonal (S2, S4, S5): beta = k q against beta trained directly."""
    return _measure(cases, context, Target("l1", "l2"), limit_checks.follow)


def aligned(cases: Sequence[Case], context: Context) -> list[CaseResult]:
    """contrast.aligned (S2, S4, S6): aligned K, Q on symmetrised data against W."""
    return _measure(cases, context, Target("nuclear", "frobenius"), aligned_checks.follow)


def factored(cases: Sequence[Case], context: Context) -> list[CaseResult]:
    """frontier.factored-contrast: unaligned K, Q against W."""
    return _measure(cases, context, Target("nuclear", "frobenius"), limit_checks.follow)


def _measure(
    cases: Sequence[Case], context: Context, target: Target, separate: Follow
) -> list[CaseResult]:
    """Both flows of every case, from the same start weights."""
    prepared = [prepare(case, target, context) for case in cases]
    ready = [p for p in prepared if isinstance(p, Prepared)]
    apart = separate([p.case for p in ready], context)
    together = _combined([p.case for p in ready], context)
    pairs = {id(p): (one, two) for p, one, two in zip(ready, apart, together, strict=True)}
    return [
        p if isinstance(p, CaseResult) else _contrast(p, *pairs[id(p)], context) for p in prepared
    ]


def _combined(cases: Sequence[Case], context: Context) -> list[Run]:
    """W trained directly from the same start weights."""
    starts = [Start.combined(case.start.weights, case.problem.dim) for case in cases]
    return limit_checks.follow(
        [replace(case, start=start) for case, start in zip(cases, starts, strict=True)], context
    )


def _contrast(p: Prepared, separate: Run, combined: Run, context: Context) -> CaseResult:
    """Both runs attain their own margin; then each misses the other's, by its own interval."""
    tolerance = tolerances.margin_gap(context.budget.settings)
    own = judging.judge(separate, p.claimed, [_named(p.rival)], tolerance)
    other = judging.judge(combined, p.rival, [_named(p.claimed)], tolerance)
    margins, certificate = recorded(separate, p, own)
    optima = (p.claimed.record, p.rival.record)
    for name, judged in (("separate", own), ("combined", other)):
        if judged.outcome is not Outcome.HELD:
            # The assumption that is unmet comes first in the reason, whichever run misses it.
            reason = judged.reason if judged.outcome is Outcome.VACUOUS else (
                f"{name} weights: {judged.reason}"
            )  # fmt: skip
            return result(
                p.case, judged.outcome, reason, margins,
                informative=judged.outcome is Outcome.FALSIFIED,
                measurements=judged.measurements, optima=optima, certificate=certificate,
                fidelity=separate.fidelity.record,
            )  # fmt: skip
    measured = tuple(
        Measurement(f"{m.name}, {name}", m.value, m.tolerance, m.because)
        for name, judged in (("separate", own), ("combined", other))
        for m in judged.measurements
    )
    missed = _misses(separate, p.rival) and _misses(combined, p.claimed)
    return result(
        p.case, Outcome.HELD, "", margins, informative=p.informative and missed,
        measurements=measured, optima=optima, certificate=certificate,
        fidelity=separate.fidelity.record,
    )  # fmt: skip


def _named(solution: SvmSolution) -> Rival:
    return Rival(f"the {solution.norm} problem", solution)


def _misses(run: Run, other: SvmSolution) -> bool:
    """Does the run miss this other norm's optimal margin by 5 % or more?"""
    margin = judging.margin_above(run, other.norm)
    return margin * other.upper <= 1 - judging.INFORMATIVE_RIVAL
