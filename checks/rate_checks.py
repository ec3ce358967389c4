"""Rate claims: inequalities asserted along the late orbit, all constants computed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from checks import judging
from checks.cases import Case
from checks.context import Context
from checks.flow import integrate
from checks.flow.orbit import Orbit
from checks.late_probe import LateOrbit, LateProbe
from checks.limit_checks import result, unmet, vacuous
from checks.outcomes import CaseResult, Measurement, Outcome

CLEAR = 10.0
"""An inequality is refuted beyond this many times its error bound, undecided up to there."""


def _late_orbits(
    cases: Sequence[Case], context: Context
) -> tuple[Orbit | None, list[LateOrbit | None]]:
    if not cases:
        return None, []
    probe = LateProbe()
    orbit = integrate.integrate(
        [c.problem for c in cases],
        [c.start for c in cases],
        context.budget.settings,
        [probe],
        context.device,
    )
    return orbit, [
        probe.orbit(row, case.problem, orbit.selected[row]) if orbit.settled[row] else None
        for row, case in enumerate(cases)
    ]


def _state_error(late: LateOrbit, context: Context) -> np.ndarray:
    """Error of ln(m~/S) from the local error of one step in the weights, step by step.

    A relative change tol of every weight changes S by 2 tol and a margin by at most tol times
    sum |a_rj beta_j| <= condition * m~.  Rounding of the margins is far below it.
    """
    return np.asarray(context.budget.settings.late_tolerance * (2 + late.condition))


def monotone_margin(cases: Sequence[Case], context: Context) -> list[CaseResult]:
    """rate.monotone-margin, -factored (derived): ln(m~/S) never falls between two steps."""
    checked = [(case, *unmet(case, context.assumptions)) for case in cases]
    ready = [case for case, _, missing in checked if not missing]
    _, found = _late_orbits(ready, context)
    by_case = {id(case): late for case, late in zip(ready, found, strict=True)}
    out = []
    for case, margins, missing in checked:
        if missing:
            out.append(vacuous(case, margins, missing))
            continue
        late = by_case[id(case)]
        if late is None:
            reason = "the run has no late orbit"
            out.append(result(case, Outcome.VACUOUS, reason, margins, informative=False))
            continue
        ratio = late.log_margin - late.log_size
        error = _state_error(late, context)
        allowed = error[1:] + error[:-1]
        worst = int(np.argmax((ratio[:-1] - ratio[1:]) / allowed))
        fall = max(float(ratio[worst] - ratio[worst + 1]), 0.0)
        because = "local error allowed per step, times the condition of the margins, at both ends"
        measured = Measurement("largest fall of ln(m~/S)", fall, float(allowed[worst]), because)
        out.append(
            result(
                case, judged(measured), "" if measured.ratio <= 1 else measured.name, margins,
                informative=bool(ratio[-1] - ratio[0] > allowed[worst]), measurements=(measured,),
                curves={"ln(m~/S)": thin(late.log_size, ratio)},
            )
        )  # fmt: skip
    return out


def judged(measured: Measurement) -> Outcome:
    """Held up to the bound, refuted beyond CLEAR times it, undecided between."""
    if measured.ratio <= 1:
        return Outcome.HELD
    return Outcome.FALSIFIED if measured.ratio > CLEAR else Outcome.INCONCLUSIVE


def thin(x: np.ndarray, y: np.ndarray) -> list[tuple[float, float]]:
    """At most 64 points of a curve."""
    keep = np.unique(np.linspace(0, len(x) - 1, 64).astype(int))
    return [(float(a), float(b)) for a, b in zip(x[keep], y[keep], strict=True)]


def kkt_stationarity(cases: Sequence[Case], context: Context) -> list[CaseResult]:
    """limit.kkt-stationarity (S5): the sum of 1/cos^2 - 1 over ln S against its bound."""
    checked = [(case, *unmet(case, context.assumptions)) for case in cases]
    ready = [case for case, _, missing in checked if not missing]
    orbit, found = _late_orbits(ready, context)
    rows = {id(case): row for row, case in enumerate(ready)}
    out = []
    for case, margins, missing in checked:
        if missing:
            out.append(vacuous(case, margins, missing))
            continue
        assert orbit is not None
        row = rows[id(case)]
        late = found[row]
        solutions, failure = judging.solutions(case.problem, ("l1",))
        if failure == judging.NOT_SEPARABLE:
            out.append(vacuous(case, {**margins, "separable": 0.0}, "separable"))
            continue
        if failure or not orbit.settled[row]:
            reason = failure or orbit.status[row].advice
            out.append(result(case, Outcome.INCONCLUSIVE, reason, margins, informative=False))
            continue
        margins["separable"] = 1 / solutions["l1"].upper
        margins["infimum-reached"] = least_margin(case, orbit, row)
        if not (orbit.selected[row] == case.problem.optimal).all():
            out.append(vacuous(case, margins, "infimum-reached"))
        elif late is None:
            reason = "the run has no late orbit"
            out.append(result(case, Outcome.INCONCLUSIVE, reason, margins, informative=False))
        else:
            shown = _stationarity(case, late, solutions["l1"].lower, margins, context)
            out.append(replace(shown, optima=(solutions["l1"].record,)))
    return out


def least_margin(case: Case, orbit: Orbit, row: int) -> float:
    """Smallest margin of the optimal tokens at the run's final direction."""
    problem, direction = case.problem, orbit.direction[row]
    delta = np.take_along_axis(problem.tokens, problem.optimal[:, None, None], axis=1)
    delta = delta - problem.tokens
    if direction.size == problem.dim:
        pulls = problem.queries * direction.ravel()
    else:
        pulls = problem.queries @ direction.reshape(problem.dim, problem.dim).T
    rows = (delta * pulls[:, None, :]).sum(-1)
    others = np.ones(rows.shape, dtype=bool)
    np.put_along_axis(others, problem.optimal[:, None], False, axis=1)
    return float(rows[others].min())


def _stationarity(
    case: Case, late: LateOrbit, optimum: float, margins: dict[str, float], context: Context
) -> CaseResult:
    steps = np.diff(late.log_size)
    trapezoid = float((steps * (late.angle[1:] + late.angle[:-1]) / 2).sum())
    # Between two states the residual is between its ends where it is monotone: half the
    # difference of the two one-sided sums bounds the error of the trapezoid rule.
    rule = float((steps * np.abs(np.diff(late.angle))).sum()) / 2
    start = late.log_margin[0] - late.log_size[0]
    bound = -np.log(optimum) - start
    allowed = float(bound + rule + _state_error(late, context)[0])
    because = (
        "ln(gamma*/gamma~(0)) (derived), plus half the difference of left and right sums and "
        "the local error of the first state"
    )
    measured = Measurement("sum of 1/cos^2 - 1 over ln S", trapezoid, allowed, because)
    mean = trapezoid / max(float(late.log_size[-1] - late.log_size[0]), 1e-300)
    return result(
        case, judged(measured), "" if measured.ratio <= 1 else measured.name, margins,
        # A bound that is all error shows nothing; nor does an orbit without any residual.
        informative=bool(bound > rule and trapezoid > 1e-12),
        measurements=(measured,),
        curves={"1/cos^2 - 1": thin(late.log_size, np.maximum(late.angle, 1e-16))},
        inputs={**case.inputs(), "mean residual": mean},
    )  # fmt: skip
