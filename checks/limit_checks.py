"""Limit claims: where gradient flow goes, case by case, against a certified optimum."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from checks import assumptions, audit, instead, judging, runs, tolerances
from checks.cases import Case
from checks.context import Context
from checks.judging import NOT_SEPARABLE, Judged, Rival
from checks.outcomes import CaseResult, Outcome
from checks.problems import constraints_of, rows_for
from checks.rounding import Norm
from checks.runs import Run
from checks.svm import SvmSolution


@dataclass(frozen=True)
class Target:
    """What a limit claim says of a model: the norm whose margin is attained, and its rival.

    The model's own norm is attained; a control claims the rival's and must be falsified.
    """

    claimed: Norm
    rival: Norm
    discriminates: bool = True
    """False where the theory says that both norms agree: then no rival is asked to miss."""


@dataclass(frozen=True)
class Prepared:
    """A case whose problem and start assumptions are met, with its certified optima."""

    case: Case
    margins: dict[str, float]
    claimed: SvmSolution
    rival: SvmSolution
    discriminates: bool

    @property
    def informative(self) -> bool:
        """Could this case have shown the claim wrong?  (DESIGN.md, "Informative".)"""
        problem, start = self.case.problem, self.case.start
        return (
            int(self.claimed.active.sum()) >= 2
            and judging.start_gap(problem, start, self.claimed) >= judging.INFORMATIVE_GAP
            and (
                not self.discriminates
                or judging.discriminates(constraints_of(problem), self.claimed, self.rival)
            )
        )


def result(
    case: Case, outcome: Outcome, reason: str, margins: dict[str, float], **more: Any
) -> CaseResult:
    """A CaseResult with everything that belongs to the case itself filled in."""
    own: dict[str, Any] = {
        "problem_id": case.problem.id,
        "spec": case.spec.to_json(),
        "assumptions": margins,
        "inputs": case.inputs(),
        "regions": case.regions,
    }
    return CaseResult(outcome, reason, **{**own, **more})


def unmet(case: Case, keys: Sequence[str]) -> tuple[dict[str, float], str]:
    """Signed margins of the problem and start assumptions among keys; the first unmet one."""
    margins = assumptions.before(case, keys)
    return margins, next((key for key, margin in margins.items() if not margin > 0), "")


def vacuous(case: Case, margins: dict[str, float], key: str) -> CaseResult:
    """The case says nothing: assumption ``key`` is unmet."""
    return result(case, Outcome.VACUOUS, f"{key} is unmet", margins, informative=False)


def prepare(case: Case, target: Target, context: Context) -> Prepared | CaseResult:
    margins, missing = unmet(case, context.assumptions)
    if missing:
        return vacuous(case, margins, missing)
    found, failure = judging.solutions(case.problem, (target.claimed, target.rival), case.alignment)
    if failure == NOT_SEPARABLE:
        # A verified Farkas vector: gamma* <= 0, so the assumption misses by nothing less.
        return vacuous(case, {**margins, "separable": 0.0}, "separable")
    if failure:
        return result(case, Outcome.INCONCLUSIVE, failure, margins, informative=False)
    margins["separable"] = assumptions.separable(found[target.claimed])
    return Prepared(case, margins, found[target.claimed], found[target.rival], target.discriminates)


Judge = Callable[[Run, Prepared, Context], Judged]


def follow(cases: Sequence[Case], context: Context) -> list[Run]:
    """Run every case from its own start, as one batch."""
    return runs.follow(
        [case.problem for case in cases],
        [case.start for case in cases],
        context.budget.settings,
        context.budget.audited,
        context.budget.stretches,
        context.device,
    )


def measure(
    cases: Sequence[Case],
    target: Target,
    context: Context,
    judge: Judge,
    run: Callable[[Sequence[Case], Context], list[Run]] = follow,
) -> list[CaseResult]:
    """Prepare every case, run those whose assumptions are met as one batch, judge each."""
    prepared = [prepare(case, target, context) for case in cases]
    ready = [p for p in prepared if isinstance(p, Prepared)]
    followed = run([p.case for p in ready], context)
    by_case = {id(p): each for p, each in zip(ready, followed, strict=True)}
    return [
        p if isinstance(p, CaseResult) else _judged(p, by_case[id(p)], context, judge)
        for p in prepared
    ]


def _judged(prepared: Prepared, run: Run, context: Context, judge: Judge) -> CaseResult:
    judged = judge(run, prepared, context)
    margins, certificate = recorded(run, prepared, judged)
    return result(
        prepared.case,
        judged.outcome,
        judged.reason,
        margins,
        informative=judged.outcome is not Outcome.VACUOUS and prepared.informative,
        measurements=judged.measurements,
        curves=gap_curves(run, prepared.claimed),
        optima=(prepared.claimed.record, prepared.rival.record),
        certificate=certificate,
        fidelity=run.fidelity.record,
    )


def recorded(
    run: Run, prepared: Prepared, judged: Judged
) -> tuple[dict[str, float], dict[str, Any] | None]:
    """Signed margins with the trajectory's among them, and the certificate, if there is one."""
    margins = dict(prepared.margins)
    if run.settled:
        margins["infimum-reached"] = _separation(run)
    if not np.isfinite(judged.upper):
        return margins, None
    gap = audit.gap_of(judged.lower, judged.upper)
    return margins, judging.certificate(run, prepared.claimed.norm, gap)


def _separation(run: Run) -> float:
    """Least optimal-token margin of the final direction: positive iff the infimum is reached."""
    return float((rows_for(run.problem, run.direction) @ run.direction.ravel()).min())


def gap_curves(run: Run, claimed: SvmSolution) -> dict[str, list[tuple[float, ...]]]:
    """Relative gaps of margin and dual bound to the optimum, late: (ln norm, gap, ln t)."""
    late = run.curve[np.isfinite(run.curve[:, 2])]
    out: dict[str, list[tuple[float, ...]]] = {}
    if len(late) and run.norm == claimed.norm and run.reached:
        gap, excess = 1 - claimed.optimum * late[:, 2], claimed.optimum * late[:, 3] - 1
        for name, values in (("margin gap", gap), ("certificate gap", gap + excess)):
            out[name] = [
                (float(x), float(max(y, tolerances.EPS)), float(t))
                for x, y, t in zip(late[:, 0], values, late[:, 1], strict=True)
            ]
    return out


def direction(run: Run, prepared: Prepared, context: Context) -> Judged:
    """The limit claim itself: the claimed margin is attained."""
    others = [Rival(f"the {prepared.rival.norm} problem", prepared.rival)]
    tolerance = tolerances.margin_gap(context.budget.settings)
    if context.dropped:
        return instead.judge(
            run, prepared.case, prepared.claimed, others, tolerance, context.dropped
        )
    return judging.judge(run, prepared.claimed, others, tolerance)


def diagonal_l1(cases: Sequence[Case], context: Context) -> list[CaseResult]:
    """limit.diagonal-l1 (S2, S3, S5): separate diagonal weights attain the l1 margin."""
    return measure(cases, Target("l1", "l2"), context, direction)


def diagonal_l2(cases: Sequence[Case], context: Context) -> list[CaseResult]:
    """control.diagonal-attains-l2, and limit.combined-l2 (S4) on combined diagonal weights."""
    return measure(cases, Target("l2", "l1"), context, direction)


def combined_l1(cases: Sequence[Case], context: Context) -> list[CaseResult]:
    """control.combined-attains-l1: the wrong norm claimed of combined diagonal weights."""
    return measure(cases, Target("l1", "l2"), context, direction)


def combined_frobenius(cases: Sequence[Case], context: Context) -> list[CaseResult]:
    """limit.combined-frobenius (S4): W trained directly attains the Frobenius margin."""
    return measure(cases, Target("frobenius", "nuclear"), context, direction)


def factored_nuclear(cases: Sequence[Case], context: Context) -> list[CaseResult]:
    """frontier.unaligned-nuclear: full K and Q from unaligned starts."""
    return measure(cases, Target("nuclear", "frobenius"), context, direction)


def frozen_sign(cases: Sequence[Case], context: Context) -> list[CaseResult]:
    """control.frozen-sign: the l1 margin claimed where c_j = 0 freezes signs (THEORY.md 3).

    The rival is the l1 problem in the frozen orthant; where its optimum is the same, the
    frozen sign was already right and the case is uninformative.
    """
    return measure(cases, Target("l1", "l2"), context, _frozen)


def _frozen(run: Run, prepared: Prepared, context: Context) -> Judged:
    tolerance = tolerances.margin_gap(context.budget.settings)
    stopped = judging.unresolved(run)
    if stopped is not None and stopped[0] is Outcome.VACUOUS:
        return Judged(*stopped)  # the claim's own assumption, named before what is ours
    return instead.frozen(run, prepared.case, prepared.claimed, tolerance)
