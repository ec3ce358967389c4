"""The offset gamma*|W| - m~ of combined weights: it never rises, so the gap is O(1/|W|)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from checks import late_runs
from checks.cases import Case
from checks.context import Context
from checks.late_probe import LateOrbit
from checks.late_runs import CLEAR, Late, judged, thin
from checks.limit_checks import result
from checks.outcomes import CaseResult, Measurement
from checks.problems import Array

PLANTED = 1.05
"""Factor on gamma* of control.combined-offset-beyond.  A case that could not refute it is
uninformative about the true claim too."""
TOLERANCE = 1e-5
"""Late tolerance of these runs.  The offset is of order 1 to 1e3 and the weights are known to
tolerance * |W|: up to the horizon that is about 1e-2."""
HORIZON = 8.0
"""ln |W| at which they stop: beyond, the error of the weights hides a change of the offset."""
NEVER = -1.0
"""Gap at which their certificate counts as closed: the offset is of interest after that too."""


def offset(cases: Sequence[Case], context: Context) -> list[CaseResult]:
    """rate.combined-offset (derived): gamma*|W| - m~ never rises between two late states."""
    return _measure(cases, context, 1.0)


def beyond(cases: Sequence[Case], context: Context) -> list[CaseResult]:
    """control.combined-offset-beyond: the same of 1.05 gamma*; wrong."""
    return _measure(cases, context, PLANTED)


def _measure(cases: Sequence[Case], context: Context, factor: float) -> list[CaseResult]:
    settings = replace(
        context.budget.settings,
        late_tolerance=min(TOLERANCE, context.budget.settings.late_tolerance),
        horizon=HORIZON,
        gap=NEVER,
    )
    return late_runs.measure(cases, context, settings, lambda run: _judge(run, factor))


def _rises(late: LateOrbit, gamma: float, tolerance: float) -> tuple[Array, Array]:
    """(rise of gamma|W| - m~, what errors of the weights allow) for every pair of neighbours.

    A change of W by tolerance (1 + |W|), the late step's bound, moves gamma|W| by gamma times
    that and a margin by at most its row's norm times that: condition m~/|W|.
    """
    size, smooth = np.exp(late.log_size), np.exp(late.log_margin)
    error = tolerance * (1 + size) * (gamma + late.condition * smooth / size)
    return np.diff(gamma * size - smooth), error[1:] + error[:-1]


def _judge(run: Late, factor: float) -> CaseResult:
    # The proof needs |G(p)| >= gamma for all p: any lower bound of gamma* will do.
    late, gamma, tolerance = run.orbit, 1 / run.optimum.upper, run.tolerance
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
        run.case, judged(measured), "" if measured.ratio <= 1 else measured.name, run.margins,
        informative=bool((planted > CLEAR * planted_allowed).any()),
        measurements=(measured,),
        curves={
            "gamma*|W| - m~": thin(late.log_size, factor * gamma * size - np.exp(late.log_margin))
        },
    )  # fmt: skip
