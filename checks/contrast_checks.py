"""Contrast claims: two parametrisations, one dataset, two margins, each by an interval."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

from checks import aligned_checks, judging, limit_checks, rivals, tolerances
from checks.cases import Case
from checks.certificates import OracleFailure
from checks.context import Context
from checks.judging import Rival
from checks.limit_checks import Prepared, Target, prepare, recorded, result
from checks.outcomes import CaseResult, Measurement, Outcome
from checks.problems import Start, constraints_of
from checks.rounding import up
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
    own = limit_checks.direction(separate, p, context)
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
    shares: dict[str, float] = {}
    if p.informative:
        shares = {
            "best share of the other margin, separate": _share(separate, p.claimed, p.rival),
            "best share of the other margin, combined": _share(combined, p.rival, p.claimed),
        }
    missed = all(share <= 1 - judging.INFORMATIVE_RIVAL for share in shares.values())
    return result(
        p.case, Outcome.HELD, "", margins, informative=p.informative and missed,
        measurements=measured, optima=optima, certificate=certificate,
        fidelity=separate.fidelity.record,
        inputs={**p.case.inputs(), **shares},
    )  # fmt: skip


def _named(solution: SvmSolution) -> Rival:
    return Rival(f"the {solution.norm} problem", solution)


def _share(run: Run, own: SvmSolution, other: SvmSolution) -> float:
    """The share of the other norm's best margin that the run can have, from above (infinite:
    nothing is proved).  At most 0.95 is asked for: data that miss less show no contrast.

    An interval, and one for the limit too: the run is proved to lie in the eps-optimal set of
    its own problem, and so does whatever it converges to as the gap closes; every point of that
    set has at least ``floor`` of the other norm at margin 1.
    """
    eps = rivals.eps_reached(own, judging.from_raw(run, own.norm)[0])
    try:
        floor = rivals.eps_optimal_floor(constraints_of(run.problem), own, eps, other.norm)
    except OracleFailure:
        return math.inf
    return up(other.upper / floor)
