"""Flow claims about full key and query matrices, from any start."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy.integrate import LSODA

from checks import flow_checks
from checks.cases import Case
from checks.context import Context
from checks.flow.reference import Reference, stepped
from checks.limit_checks import unmet, vacuous
from checks.outcomes import CaseResult, Measurement

_RTOL = 1e-11
"""Relative tolerance of the direct integration of (K, Q): near rounding."""
_SPAN = 3.0
_STEPS = 60
"""It ends after rescaled time _SPAN, in which Z grows by about e^(|G| tau), or after so many
steps: the identity holds at any time, and stiff problems would take thousands."""

_FAR_ENOUGH = 100.0
"""ln N(W) at which an orbit ends: stretches are on trial here, not where they lead."""


def orbit(cases: Sequence[Case], context: Context) -> list[CaseResult]:
    """flow.orbit-factored: every run audited, by a quarter of the usual stretches each, since
    the independent method needs 2 d e evaluations for each of its Jacobians."""
    stretches = max(2, context.budget.stretches // 4)
    settings = context.budget.settings
    settings = replace(settings, horizon=min(settings.horizon, _FAR_ENOUGH))
    budget = replace(context.budget, stretches=stretches, settings=settings)
    return flow_checks.orbit(cases, replace(context, budget=budget))


def conservation(cases: Sequence[Case], context: Context) -> list[CaseResult]:
    """flow.factored-conservation (S6): K^T K - Q^T Q along a direct integration of K and Q."""
    out = []
    for case in cases:
        margins, missing = unmet(case, context.assumptions)
        if missing:
            out.append(vacuous(case, margins, missing))
            continue
        out.append(flow_checks.decide(case, margins, *_drift(case)))
    return out


def _drift(case: Case) -> tuple[list[Measurement], bool]:
    """The drift relative to |Z|^2, and whether W has moved at all."""
    before = np.stack([np.asarray(case.start.key), np.asarray(case.start.query)])
    reference = Reference(case.problem, "factored", before.shape[1:])
    solver = LSODA(
        lambda _, raw: reference.velocity(raw), 0.0, before.ravel(), _SPAN,
        rtol=_RTOL, atol=_RTOL * 1e-3,
    )  # fmt: skip
    steps = stepped(solver, _STEPS)
    after = solver.y.reshape(before.shape)
    size = float((after * after).sum()) or 1.0  # K = Q = 0 stays, and shows nothing
    invariant = [z[0].T @ z[0] - z[1].T @ z[1] for z in (before, after)]
    drift = float(np.linalg.norm(invariant[1] - invariant[0])) / size
    moved = float(np.linalg.norm(after[0] @ after[1].T - before[0] @ before[1].T)) / size
    # A step errs by rtol |entry| in each entry of Z, so by 2 rtol |Z|^2 in Z^T J Z; the method
    # estimates that error by less than a factor of two.
    because = f"4 x {steps} steps x rtol {_RTOL:g} of the integrator"
    return [Measurement("drift of K^T K - Q^T Q", drift, 4 * steps * _RTOL, because)], moved > 1e-3
