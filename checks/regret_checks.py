"""Regret bounds of the diagonal and the combined flow, and the window of the dual bound."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from checks import judging, late_runs
from checks.cases import Case
from checks.context import Context
from checks.late_runs import CLEAR, Late, rows_of, thin
from checks.limit_checks import result
from checks.outcomes import CaseResult, Measurement, Outcome
from checks.problems import Array, constraints_of

TOLERANCE = {"diagonal": 1e-4, "combined": 2e-6}
"""Late tolerance.  A diagonal step is off by this much in log weights, a combined one by this
much of |W|: at the horizon the sum of them is some percent of what is bounded."""
HORIZON = {"diagonal": 20.0, "combined": 8.5}
"""ln N(W): by then the gap of all but slow coordinates is closed, and the bound is tested."""
LONGEST = {"diagonal": 0.1, "combined": 0.03}
"""Largest growth of ln N in one step: so near the integral are the sums with the value at the
left end of each step that they show the bound, whose own slack may be a few percent."""
FAR = 100.0
"""ln N(W) to which the window goes: its bounds close in on gamma* like one over its length."""
NEVER = -1.0
"""Gap at which the certificate counts as closed: the bound is of interest after that too."""
BEYOND = 1.25
"""Factor on gamma* of the controls' wrong bounds.  A case that could not refute it is
uninformative about the true claim too."""


@dataclass(frozen=True)
class Bound:
    """left <= right is claimed.  left, right: from above and from below, so that where they
    meet it holds for sure; surely_left, surely_right: the other ends, which refute it where
    they fail beyond error, what the local errors of the steps add up to."""

    left: float
    right: float
    surely_left: float
    surely_right: float
    error: float

    @property
    def holds(self) -> bool:
        return self.left <= self.right + self.error

    @property
    def fails(self) -> bool:
        return self.surely_left > self.surely_right + CLEAR * self.error


def regret(cases: Sequence[Case], context: Context) -> list[CaseResult]:
    """rate.regret-diagonal, -combined (derived): the summed gap stays below its constants."""
    return _measure(cases, context, _regret)


def regret_beyond(cases: Sequence[Case], context: Context) -> list[CaseResult]:
    """control.regret-diagonal, -combined: the same of 1.25 gamma*; wrong."""
    return _measure(cases, context, lambda run: _regret(run, BEYOND))


def window(cases: Sequence[Case], context: Context) -> list[CaseResult]:
    """rate.dual-window (derived): |r(tau) - r(tau0)|_inf/(2(tau - tau0)) and its two bounds."""
    return _measure(cases, context, _window, whole=True)


def window_beyond(cases: Sequence[Case], context: Context) -> list[CaseResult]:
    """control.dual-window: no window falls below 1.25 gamma*; wrong."""
    return _measure(cases, context, lambda run: _window(run, BEYOND), whole=True)


def _measure(
    cases: Sequence[Case],
    context: Context,
    judge: Callable[[Late], CaseResult],
    whole: bool = False,
) -> list[CaseResult]:
    if not cases:
        return []
    model = cases[0].start.model

    def guarded(run: Late) -> CaseResult:
        return undefined(run) or judge(run)

    settings = context.budget.settings
    settings = replace(
        settings,
        late_tolerance=min(TOLERANCE[model], settings.late_tolerance),
        horizon=FAR if whole else HORIZON[model],
        gap=NEVER,
        longest=np.inf if whole else LONGEST[model],
    )
    return late_runs.measure(cases, context, settings, guarded, on_orbit=True)


def undefined(run: Late) -> CaseResult | None:
    """What is said where c_j = 0 and the constants are infinite (asked without the assumption)."""
    start, problem = run.case.start, run.case.problem
    if start.key is None or start.query is None or start.key.ndim != 1:
        return None
    used = (constraints_of(problem).rows != 0).any(axis=0)
    if (np.abs(start.key) != np.abs(start.query))[used].all():
        return None
    reason = "the bound has no constants where c_j = 0"
    return result(run.case, Outcome.INCONCLUSIVE, reason, run.margins, informative=False)


@dataclass(frozen=True)
class Sums:
    """What both bounds are made of.  steps (k-1,): of tau; inverse: the integral of 1/N from
    below and from above (N grows); spread: C = ln R + max kappa - min kappa."""

    steps: Array
    inverse: tuple[float, float]
    spread: float

    @classmethod
    def of(cls, run: Late) -> Sums:
        steps, inverse = np.diff(run.orbit.tau), np.exp(-run.orbit.log_size)
        constraints = constraints_of(run.case.problem)
        return cls(
            steps,
            (float(steps @ inverse[1:]), float(steps @ inverse[:-1])),
            float(np.log(len(constraints)) + np.ptp(constraints.kappa)),
        )


def _gap(run: Late, gamma: float) -> Array:
    """gamma - m~/N at every state of the orbit: it never rises."""
    return np.asarray(gamma - np.exp(run.orbit.log_margin - run.orbit.log_size))


def regret_bound(run: Late, factor: float = 1.0) -> Bound:
    """The integral of gamma - m~/N over tau against its constants, N = S or |W|.

    gamma is the least margin of a direction of norm 1: the solver's, whatever it is worth.
    m~/N never falls, so that sums with the value at the left end of each step bound the
    integral from above, those at the right end from below.
    """
    sums, late = Sums.of(run), run.orbit
    direction = run.optimum.solution.ravel() / judging.norm_of(
        run.optimum.solution, run.optimum.norm
    )
    rows = rows_of(run.case)
    gap = _gap(run, factor * float((rows @ direction).min()))
    if run.case.start.model == "diagonal":
        constant, drift = _entropy(run, direction), len(late.tau) * run.tolerance
    else:
        constant = float(np.exp(late.log_size[0]) - direction @ late.raw[0])
        # Each step is off by tolerance (1 + |W|): so is |W|, and <U, W>.
        drift = 2 * run.tolerance * float((1 + np.exp(late.log_size)).sum())
    # The right end of a step is known to its local error too.
    blur = run.tolerance * (2 + late.condition[1:]) * np.exp(late.log_margin - late.log_size)[1:]
    return Bound(
        left=float(sums.steps @ gap[:-1]),
        right=constant + sums.spread * sums.inverse[0],
        surely_left=float(sums.steps @ (gap[1:] - blur)),
        surely_right=constant + sums.spread * sums.inverse[1],
        error=drift,
    )


def mirror_of(run: Late) -> tuple[Array, Array]:
    """(ln c_j (d,), r_j (k, d)) of the coordinates that enter a constraint."""
    start = run.case.start
    assert start.key is not None and start.query is not None
    used = (constraints_of(run.case.problem).rows != 0).any(axis=0)
    plus = np.log(np.abs(start.key + start.query)[used])
    minus = np.log(np.abs(start.key - start.query)[used])
    return plus + minus - np.log(2), plus - minus + run.orbit.raw[:, used]


def _entropy(run: Late, direction: Array) -> float:
    """Half of ln S - <u, r> - sum |u_j| ln(c_j/2|u_j|) at the first state.

    The start's own constants are used, with r(tau) read off the orbit (u of ``Geometry.raw``).
    """
    log_c, r = mirror_of(run)
    used = (constraints_of(run.case.problem).rows != 0).any(axis=0)
    u = direction[used]
    kept = u != 0
    size = np.abs(u[kept])
    gibbs = float((size * (log_c[kept] - np.log(2 * size))).sum())
    return (float(run.orbit.log_size[0]) - float(u @ r[0]) - gibbs) / 2


def _regret(run: Late, factor: float = 1.0) -> CaseResult:
    bound = regret_bound(run, factor)
    wrong = regret_bound(run, BEYOND)
    measured = Measurement(
        "summed gap of m~/N, left ends", bound.left, bound.right + bound.error,
        "the constants of the first state and C times the integral of 1/N from below, plus the "
        "local errors of all steps (derived)",
    )  # fmt: skip
    gap = _gap(run, 1 / run.optimum.upper)
    return _decided(
        run, bound, measured.name, measured, informative=wrong.fails,
        curves={"gamma* - m~/N": thin(run.orbit.log_size, gap)},
        slack=1 - bound.left / (bound.right + bound.error),
    )  # fmt: skip


def _window_bounds(run: Late, factor: float) -> tuple[Bound, Bound]:
    """(gamma* <= window, window <= gamma* + its excess), full window from the first state."""
    sums, late = Sums.of(run), run.orbit
    log_c, r = mirror_of(run)
    length = float(late.tau[-1] - late.tau[0])
    value = float(np.abs(r[-1] - r[0]).max()) / (2 * length)
    # Every step's end is off by its local error in r.
    error = len(late.tau) * run.tolerance / (2 * length)
    above, below = 1 / run.optimum.lower, factor / run.optimum.upper
    start = float(late.log_size[0] + np.log(2) - log_c.min() + np.abs(r[0]).max())
    excess = [(start + 2 * sums.spread * x) / (2 * length) for x in sums.inverse]
    low = Bound(below, value, below, value, error)
    high = Bound(value, 1 / run.optimum.upper + excess[0], value, above + excess[1], error)
    return low, high


def _window(run: Late, factor: float = 1.0) -> CaseResult:
    low, high = _window_bounds(run, factor)
    wrong, _ = _window_bounds(run, BEYOND)
    first = Measurement(
        "gamma* beyond the window", max(low.left - low.right, 0.0), low.error,
        "local errors of r, all steps, over the window: weak duality for the mean of p",
    )  # fmt: skip
    second = Measurement(
        "window", high.left, high.right + high.error,
        "gamma* + [ln(2S/min c) + |r|_inf at the first state + 2C times the integral of 1/S]"
        "/(2 window), from below, plus local errors (derived)",
    )  # fmt: skip
    failing, name = (high, second.name) if low.holds else (low, first.name)
    return _decided(
        run, failing, name, first, second, informative=wrong.fails,
        curves={}, slack=1 - high.left / (high.right + high.error),
    )  # fmt: skip


def _decided(
    run: Late,
    bound: Bound,
    name: str,
    *measured: Measurement,
    informative: bool,
    curves: dict[str, list[tuple[float, float]]],
    slack: float,
) -> CaseResult:
    outcome, reason = Outcome.HELD, ""
    if not bound.holds:
        outcome = Outcome.FALSIFIED if bound.fails else Outcome.INCONCLUSIVE
        reason = f"{name} exceeds its bound" + ("" if bound.fails else " within error")
    return result(
        run.case, outcome, reason, run.margins,
        informative=informative or outcome is Outcome.FALSIFIED,
        measurements=measured, curves=curves, inputs={**run.case.inputs(), "slack": slack},
    )  # fmt: skip
