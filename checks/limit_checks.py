"""Limit claims: where gradient flow goes, case by case, against a certified optimum."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from checks import assumptions, audit, judging, runs, svm, tolerances
from checks.cases import Case
from checks.certificates import OracleFailure
from checks.context import Context
from checks.judging import NOT_SEPARABLE, Judged, Rival
from checks.outcomes import CaseResult, Measurement, Outcome
from checks.problems import Array, constraints_of
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
    constraints = constraints_of(run.problem)
    full = run.direction.ndim == 2
    rows = constraints.matrices if full else constraints.rows
    return float((rows @ run.direction.ravel()).min())


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
    return judging.judge(
        run, prepared.claimed, others, tolerances.margin_gap(context.budget.settings)
    )


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
    sign = judging.frozen_orthant(run.start)
    if sign is None:
        return Judged(Outcome.VACUOUS, "no sign is frozen")
    try:
        orthant = svm.solve_signed_l1(constraints_of(run.problem), sign)
    except svm.NotSeparable:
        return Judged(Outcome.VACUOUS, "the frozen orthant does not separate the data")
    except OracleFailure as failure:
        return Judged(Outcome.INCONCLUSIVE, f"oracle: {failure}")
    if orthant.lower <= prepared.claimed.upper * (1 + judging.MISS * tolerance.value):
        return Judged(Outcome.VACUOUS, "the frozen sign is already right")
    return judging.judge(
        run, prepared.claimed, [Rival("the l1 problem of the frozen orthant", orthant)], tolerance
    )


def kkt_dual_feasibility(cases: Sequence[Case], context: Context) -> list[CaseResult]:
    """limit.kkt-dual-feasibility (S5): |A^T p|_inf -> gamma*, with equality on the support."""
    return measure(cases, Target("l1", "l2"), context, _dual_feasibility)


def _dual_feasibility(run: Run, prepared: Prepared, context: Context) -> Judged:
    judged = direction(run, prepared, context)
    if judged.outcome is not Outcome.HELD:
        return judged
    tolerance = tolerances.margin_gap(context.budget.settings)
    excess = judged.upper * prepared.claimed.upper - 1
    pull = _pull(run)
    beta = run.direction.ravel() / np.abs(run.direction).sum()
    slack = float((np.abs(beta) * (1 - np.sign(beta) * pull / np.abs(pull).max())).sum())
    because = (
        "the certificate's gap is the sum of this residual and the complementarity residual, "
        f"all terms >= 0, so both are bounded by it: {tolerance.because}"
    )
    measured = (
        Measurement("dual infeasibility", excess, tolerance.value, because),
        Measurement("slack on the support", slack, tolerance.value, because),
    )
    if excess < -tolerance.value:
        reason = "a point of the simplex beats weak duality against the solver's optimum"
        return replace(judged, outcome=Outcome.FALSIFIED, reason=reason, measurements=measured)
    return _within(judged, measured, "the dual residual is open")


def _pull(run: Run) -> Array:
    """A^T p at the best dual weights, p normalised to the simplex; flattened."""
    p = run.dual_weights / run.dual_weights.sum()
    x, z = run.problem.tokens, run.problem.queries
    delta = np.take_along_axis(x, run.selected[:, None, None], axis=1) - x
    return np.asarray((p[:, :, None] * delta * z[:, None, :]).sum((0, 1)))


def kkt_complementarity(cases: Sequence[Case], context: Context) -> list[CaseResult]:
    """limit.kkt-complementarity (S5): sum p_r (m_r/m_min - 1) <= C/m_min, and it vanishes."""
    return measure(cases, Target("l1", "l2"), context, _complementarity)


def _complementarity(run: Run, prepared: Prepared, context: Context) -> Judged:
    judged = direction(run, prepared, context)
    if judged.outcome is not Outcome.HELD:
        return judged
    constraints = constraints_of(run.problem)
    margins = constraints.rows @ run.direction.ravel()
    smallest = float(margins.min())
    p = run.p[constraints.sample, constraints.token]
    residual = float((p * (margins / smallest - 1)).sum() / p.sum())
    spread = float(np.log(len(constraints)) + np.ptp(constraints.kappa))
    entropy = spread * float(np.exp(-np.log(smallest) - run.log_norm))
    sizes = np.abs(constraints.rows) @ np.abs(run.direction.ravel())
    rounding = tolerances.rounding(run.problem.dim, float(sizes.max()) / smallest, "a margin")
    newton = 1e-9 * float(margins.max() / smallest)
    bound = entropy + rounding.value + newton
    because = (
        "C/m_min with C = ln R + max kappa - min kappa (derived, THEORY.md 3), plus "
        f"{rounding.because} and 1e-9 relative, to which Newton's method solves for p"
    )
    measured = (Measurement("complementarity", residual, bound, because),)
    if residual > judging.MISS * bound:
        reason = "complementarity exceeds its proven bound"
        return replace(judged, outcome=Outcome.FALSIFIED, reason=reason, measurements=measured)
    return _within(judged, measured, "complementarity is above its bound")


def _within(judged: Judged, measured: tuple[Measurement, ...], reason: str) -> Judged:
    """HELD where every measurement meets its tolerance, else INCONCLUSIVE."""
    if all(m.ratio <= 1 for m in measured):
        return replace(judged, measurements=measured)
    return replace(judged, outcome=Outcome.INCONCLUSIVE, reason=reason, measurements=measured)


def trajectory_certificate(cases: Sequence[Case], context: Context) -> list[CaseResult]:
    """limit.trajectory-certificate (S3): the orbit's certificate brackets the solver's optimum."""
    return measure(cases, Target("l1", "l2"), context, _bracket)


def _bracket(run: Run, prepared: Prepared, context: Context) -> Judged:
    stopped = judging.unresolved(run)
    if stopped is not None:
        return Judged(*stopped)
    lower, upper = judging.from_raw(run, prepared.claimed.norm)
    tolerance = tolerances.margin_gap(context.budget.settings)
    # gamma* lies in [1/U, 1/L] by the solver and in [lower, upper] by the orbit, both with
    # their rounding inside: two intervals that do not meet refute one of the two.
    outside = max(lower * prepared.claimed.lower, 1 / (upper * prepared.claimed.upper)) - 1
    measured = (
        Measurement("distance of the two intervals", max(outside, 0.0), 0.0, "both are rigorous"),
        Measurement("width of the orbit's bracket", 1 - lower / upper, tolerance.value,
                    tolerance.because),
    )  # fmt: skip
    judged = Judged(Outcome.HELD, "", measured, lower, upper)
    if outside > 0:
        reason = "the orbit's certificate and the solver's interval do not meet"
        return replace(judged, outcome=Outcome.FALSIFIED, reason=reason)
    return _within(judged, measured, "the orbit's bracket is open")
