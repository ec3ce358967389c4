"""Rate claims: inequalities asserted along the late orbit, all constants computed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from checks import late_runs
from checks.cases import Case
from checks.context import Context
from checks.flow import integrate
from checks.late_probe import LateOrbit, LateProbe
from checks.late_runs import Late, judged, thin
from checks.limit_checks import result, unmet, vacuous
from checks.outcomes import CaseResult, Measurement, Outcome


def _late_orbits(cases: Sequence[Case], context: Context) -> list[LateOrbit | None]:
    if not cases:
        return []
    probe = LateProbe()
    orbit = integrate.integrate(
        [c.problem for c in cases],
        [c.start for c in cases],
        context.budget.settings,
        [probe],
        context.device,
    )
    return [
        probe.orbit(row, case.problem, orbit.selected[row]) if orbit.settled[row] else None
        for row, case in enumerate(cases)
    ]


def _state_error(late: LateOrbit, tolerance: float) -> np.ndarray:
    """Error of ln(m~/S) from the local error of one step in the weights, step by step.

    A relative change tol of every weight changes S by 2 tol and a margin by at most tol times
    sum |a_rj beta_j| <= condition * m~.  Rounding of the margins is far below it.
    """
    return np.asarray(tolerance * (2 + late.condition))


def monotone_margin(cases: Sequence[Case], context: Context) -> list[CaseResult]:
    """rate.monotone-margin, -factored (derived): ln(m~/S) never falls between two steps."""
    checked = [(case, *unmet(case, context.assumptions)) for case in cases]
    ready = [case for case, _, missing in checked if not missing]
    found = _late_orbits(ready, context)
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
        error = _state_error(late, context.budget.settings.late_tolerance)
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


def kkt_stationarity(cases: Sequence[Case], context: Context) -> list[CaseResult]:
    """limit.kkt-stationarity (S5): the sum of 1/cos^2 - 1 over ln S against its bound."""
    return late_runs.measure(cases, context, context.budget.settings, _stationarity)


def _stationarity(run: Late) -> CaseResult:
    case, late, optimum = run.case, run.orbit, run.optimum.lower
    steps = np.diff(late.log_size)
    trapezoid = float((steps * (late.angle[1:] + late.angle[:-1]) / 2).sum())
    # Between two states the residual is between its ends where it is monotone: half the
    # difference of the two one-sided sums bounds the error of the trapezoid rule.
    rule = float((steps * np.abs(np.diff(late.angle))).sum()) / 2
    start = late.log_margin[0] - late.log_size[0]
    bound = -np.log(optimum) - start
    allowed = float(bound + rule + _state_error(late, run.tolerance)[0])
    because = (
        "ln(gamma*/gamma~(0)) (derived), plus half the difference of left and right sums and "
        "the local error of the first state"
    )
    measured = Measurement("sum of 1/cos^2 - 1 over ln S", trapezoid, allowed, because)
    mean = trapezoid / max(float(late.log_size[-1] - late.log_size[0]), 1e-300)
    return result(
        case, judged(measured), "" if measured.ratio <= 1 else measured.name, run.margins,
        # A bound that is all error shows nothing; nor does an orbit without any residual.
        informative=bool(bound > rule and trapezoid > 1e-12),
        measurements=(measured,),
        curves={"1/cos^2 - 1": thin(late.log_size, np.maximum(late.angle, 1e-16))},
        inputs={**case.inputs(), "mean residual": mean},
    )  # fmt: skip
