"""Cases followed to their late orbit, with a certified optimum: what the rate claims share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from checks import judging
from checks.cases import Case
from checks.context import Context
from checks.flow import integrate
from checks.flow.orbit import Orbit
from checks.flow.settings import Settings
from checks.late_probe import LateOrbit, LateProbe
from checks.limit_checks import result, unmet, vacuous
from checks.outcomes import CaseResult, Measurement, Outcome
from checks.problems import Array, rows_for
from checks.rounding import Norm
from checks.svm import SvmSolution

CLEAR = 10.0
"""An inequality is refuted beyond this many times its error bound, undecided up to there."""
OWN: dict[str, tuple[Norm, Norm]] = {
    "diagonal": ("l1", "l1"), "combined": ("l2", "frobenius"), "factored": ("nuclear", "nuclear"),
}  # fmt: skip
"""Model -> the norm it is claimed to minimise, of vectors and of matrices."""


@dataclass(frozen=True)
class Late:
    """One run that reached the infimum.  margins: signed margins of the assumptions."""

    case: Case
    orbit: LateOrbit
    optimum: SvmSolution
    margins: dict[str, float]
    tolerance: float
    """Local error of a late step, in ``Geometry.distance``."""


def own_norm(case: Case) -> Norm:
    """The norm that the case's model is claimed to minimise."""
    return OWN[case.start.model][case.start.weights.ndim - 1]


def measure(
    cases: Sequence[Case],
    context: Context,
    settings: Settings,
    judge: Callable[[Late], CaseResult],
    *,
    on_orbit: bool = False,
) -> list[CaseResult]:
    """Judge the late orbit of every case whose assumptions are met and whose run reaches the
    infimum; the others say why not.  All cases are of one shape and model."""
    checked = [_prepared(case, context) for case in cases]
    ready = [found for found in checked if not isinstance(found, CaseResult)]
    probe = LateProbe(on_orbit)
    orbit = _integrated([case for case, _, _ in ready], settings, probe, context)
    out, row = [], 0
    for found in checked:
        if isinstance(found, CaseResult):
            out.append(found)
            continue
        assert orbit is not None
        out.append(_judged(found, orbit, row, probe, settings, judge))
        row += 1
    return out


_Ready = tuple[Case, dict[str, float], SvmSolution]


def _prepared(case: Case, context: Context) -> _Ready | CaseResult:
    margins, missing = unmet(case, context.assumptions)
    if missing:
        return vacuous(case, margins, missing)
    norm = own_norm(case)
    solutions, failure = judging.solutions(case.problem, (norm,))
    if failure == judging.NOT_SEPARABLE:
        return vacuous(case, {**margins, "separable": 0.0}, "separable")
    if failure:
        return result(case, Outcome.INCONCLUSIVE, failure, margins, informative=False)
    margins["separable"] = 1 / solutions[norm].upper
    return case, margins, solutions[norm]


def _integrated(
    cases: Sequence[Case], settings: Settings, probe: LateProbe, context: Context
) -> Orbit | None:
    if not cases:
        return None
    problems, starts = [c.problem for c in cases], [c.start for c in cases]
    settings = replace(settings, elsewhere=False)  # they are vacuous here
    return integrate.integrate(problems, starts, settings, [probe], context.device)


def _judged(
    ready: _Ready,
    orbit: Orbit,
    row: int,
    probe: LateProbe,
    settings: Settings,
    judge: Callable[[Late], CaseResult],
) -> CaseResult:
    case, margins, optimum = ready
    if not orbit.settled[row]:
        reason = orbit.status[row].advice
        return result(case, Outcome.INCONCLUSIVE, reason, margins, informative=False)
    margins["infimum-reached"] = least_margin(case, orbit, row)
    if not (orbit.selected[row] == case.problem.optimal).all():
        return vacuous(case, margins, "infimum-reached")
    late = probe.orbit(row, case.problem, orbit.selected[row])
    if late is None:
        reason = "the run ended in its first late step: it has no late orbit"
        return result(case, Outcome.INCONCLUSIVE, reason, margins, informative=False)
    found = judge(Late(case, late, optimum, margins, settings.late_tolerance))
    return replace(found, optima=(optimum.record,))


@dataclass(frozen=True)
class Arrival:
    """A case's run where the early phase left it.  margins: signed margins of the assumptions;
    reached: is every sample on its optimal token, None where some has not settled, for ``reason``;
    least: smallest margin of the optimal tokens there."""

    case: Case
    margins: dict[str, float]
    reached: bool | None
    reason: str
    least: float


def at_handover(
    checked: Sequence[tuple[Case, dict[str, float], str]], context: Context
) -> list[CaseResult | Arrival]:
    """Every case followed to the hand-over, which decides on what tokens it settled.

    checked: cases, the signed margins of their assumptions, and the first that is unmet, which
    makes the case VACUOUS without a run.  All cases are of one shape and model.
    """
    ready = [case for case, _, missing in checked if not missing]
    if not ready:
        return [vacuous(case, margins, missing) for case, margins, missing in checked]
    # Nothing is asked of the late phase: its first step is enough.
    settings = replace(context.budget.settings, late_steps=1)
    orbit = integrate.integrate(
        [c.problem for c in ready], [c.start for c in ready], settings, device=context.device
    )
    out: list[CaseResult | Arrival] = []
    row = 0
    for case, margins, missing in checked:
        if missing:
            out.append(vacuous(case, margins, missing))
            continue
        if orbit.settled[row]:
            reached = bool((orbit.selected[row] == case.problem.optimal).all())
            reason = "" if reached else "a sample settled on another token"
            out.append(Arrival(case, margins, reached, reason, least_margin(case, orbit, row)))
        else:
            out.append(Arrival(case, margins, None, orbit.status[row].advice, np.nan))
        row += 1
    return out


def rows_of(case: Case) -> Array:
    """(R, D) constraints of the optimal tokens, in the coordinates of the case's weights."""
    return rows_for(case.problem, case.start.weights)


def least_margin(case: Case, orbit: Orbit, row: int) -> float:
    """Smallest margin of the optimal tokens at the run's final direction."""
    return float((rows_of(case) @ orbit.direction[row].ravel()).min())


def judged(measured: Measurement) -> Outcome:
    """Held up to the bound, refuted beyond CLEAR times it, undecided between."""
    if measured.ratio <= 1:
        return Outcome.HELD
    return Outcome.FALSIFIED if measured.ratio > CLEAR else Outcome.INCONCLUSIVE


def thin(x: np.ndarray, y: np.ndarray) -> list[tuple[float, float]]:
    """At most 64 points of a curve."""
    keep = np.unique(np.linspace(0, len(x) - 1, 64).astype(int))
    return [(float(a), float(b)) for a, b in zip(x[keep], y[keep], strict=True)]
