"""The offset gamma*|W| - m~ of combined weights: it never rises, so the gap is O(1/|W|)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from checks import judging
from checks.cases import Case
from checks.context import Context
from checks.flow import integrate
from checks.late_probe import LateOrbit, LateProbe
from checks.limit_checks import result, unmet, vacuous
from checks.outcomes import CaseResult, Measurement, Outcome
from checks.problems import Array
from checks.rate_checks import CLEAR, judged, least_margin, thin
from checks.rounding import Norm

PLANTED = 1.05
"""Factor on gamma* of control.combined-offset-beyond.  A case that could not refute it is
uninformative about the true claim too."""
TOLERANCE = 1e-6
"""Late tolerance of these runs.  The offset is of order 1 to 1e3 and the weights are known to
tolerance * |W|: up to the horizon that is below 1e-2."""
HORIZON = 9.0
"""ln |W| at which they stop: beyond, the error of the weights hides a change of the offset."""
GAP = 1e-6
"""Nor need they go on once the margin's own certificate has closed to this."""


def offset(cases: Sequence[Case], context: Context) -> list[CaseResult]:
    """rate.combined-offset (derived): gamma*|W| - m~ never rises between two late states."""
    return _measure(cases, context, 1.0)


def beyond(cases: Sequence[Case], context: Context) -> list[CaseResult]:
    """control.combined-offset-beyond: the same of 1.05 gamma*; wrong."""
    return _measure(cases, context, PLANTED)


def _measure(cases: Sequence[Case], context: Context, factor: float) -> list[CaseResult]:
    checked = [(case, *unmet(case, context.assumptions)) for case in cases]
    ready = [case for case, _, missing in checked if not missing]
    if not ready:
        return [vacuous(case, margins, missing) for case, margins, missing in checked]
    settings = replace(
        context.budget.settings,
        late_tolerance=min(TOLERANCE, context.budget.settings.late_tolerance),
        horizon=HORIZON,
        gap=GAP,
    )
    probe = LateProbe()
    orbit = integrate.integrate(
        [c.problem for c in ready], [c.start for c in ready], settings, [probe], context.device
    )
    norm: Norm = "frobenius" if ready[0].start.weights.ndim == 2 else "l2"
    rows = {id(case): row for row, case in enumerate(ready)}
    out = []
    for case, margins, missing in checked:
        if missing:
            out.append(vacuous(case, margins, missing))
            continue
        row = rows[id(case)]
        solutions, failure = judging.solutions(case.problem, (norm,))
        if failure == judging.NOT_SEPARABLE:
            out.append(vacuous(case, {**margins, "separable": 0.0}, "separable"))
            continue
        if failure or not orbit.settled[row]:
            reason = failure or orbit.status[row].advice
            out.append(result(case, Outcome.INCONCLUSIVE, reason, margins, informative=False))
            continue
        optimum = solutions[norm]
        margins["separable"] = 1 / optimum.upper
        margins["infimum-reached"] = least_margin(case, orbit, row)
        if not (orbit.selected[row] == case.problem.optimal).all():
            out.append(vacuous(case, margins, "infimum-reached"))
            continue
        late = probe.orbit(row, case.problem, orbit.selected[row])
        if late is None:
            reason = "the run has no late orbit"
            out.append(result(case, Outcome.VACUOUS, reason, margins, informative=False))
            continue
        # The proof needs |G(p)| >= gamma for all p: any lower bound of gamma* will do.
        found = _judge(case, late, 1 / optimum.upper, factor, settings.late_tolerance, margins)
        out.append(replace(found, optima=(optimum.record,)))
    return out


def _rises(late: LateOrbit, gamma: float, tolerance: float) -> tuple[Array, Array]:
    """(rise of gamma|W| - m~, what errors of the weights allow) for every pair of neighbours.

    A change of W by tolerance (1 + |W|), the late step's bound, moves gamma|W| by gamma times
    that and a margin by at most its row's norm times that: condition m~/|W|.
    """
    size, smooth = np.exp(late.log_size), np.exp(late.log_margin)
    error = tolerance * (1 + size) * (gamma + late.condition * smooth / size)
    return np.diff(gamma * size - smooth), error[1:] + error[:-1]


def _judge(
    case: Case,
    late: LateOrbit,
    gamma: float,
    factor: float,
    tolerance: float,
    margins: dict[str, float],
) -> CaseResult:
    rise, allowed = _rises(late, factor * gamma, tolerance)
    planted, planted_allowed = _rises(late, PLANTED * gamma, tolerance)
    worst = int(np.argmax(rise / allowed))
    because = "local error allowed per step, times gamma* and the norm of a row, at both ends"
    measured = Measurement(
        "largest rise of gamma*|W| - m~",
        max(float(rise[worst]), 0.0),
        float(allowed[worst]),
        because,
    )
    size = np.exp(late.log_size)
    return result(
        case, judged(measured), "" if measured.ratio <= 1 else measured.name, margins,
        informative=bool((planted > CLEAR * planted_allowed).any()),
        measurements=(measured,),
        curves={
            "gamma*|W| - m~": thin(late.log_size, factor * gamma * size - np.exp(late.log_margin))
        },
    )  # fmt: skip
