"""How physical time passes: the loss gap against t, by direct integration of the raw gradient.

Nothing of the engine is used.  In s = ln t the flow is not stiff enough to hurt: margins grow
like s, and t sum_r lambda_r stays of order one.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.integrate import solve_ivp
from scipy.special import log_softmax, logsumexp, softmax

from checks import judging, late_runs
from checks.cases import Case
from checks.context import Context
from checks.late_runs import thin
from checks.limit_checks import result, unmet, vacuous
from checks.outcomes import CaseResult, Measurement, Outcome
from checks.problems import Array, AttentionProblem, constraints_of
from checks.svm import SvmSolution

FROM, UNTIL = -8.0, 300.0
"""ln t.  Before the first nothing moves by more than e^-8 of the gradient."""
WINDOW = 12.0
"""Of ln t before the end, in which what the bound is made of is looked at: e^-12 is lost."""
NODES = 61
RELATIVE = 1e-6
"""Tolerance of the integration, relative to the weights; absolute a hundredth of it."""
LONGEST = 1.0
"""Step in ln t.  Where margins are large at the start nothing moves for a long time; longer steps
leap over the moment at which it does, and samples come out on other tokens (seen: 5 of 400)."""
HANDED = 40.0
"""Smallest margin at which lambda is e^{kappa - m} to rounding."""
SHARP = 0.45
"""A bound wider than this does not tell ln 2 gamma* from ln gamma*: uninformative."""


def time_scale(cases: Sequence[Case], context: Context) -> list[CaseResult]:
    """rate.time-scale-diagonal, -combined (derived): t (L - L*) -> 1/(2 gamma* m~), 1/gamma*^2."""
    return [_measured(case, context, 0.0) for case in cases]


def halved(cases: Sequence[Case], context: Context) -> list[CaseResult]:
    """control.time-scale: half of the combined rate; wrong."""
    return [_measured(case, context, -float(np.log(2))) for case in cases]


@dataclass(frozen=True)
class _Moment:
    """One state: ln t, m~, p (R,) and margins (R,), late form; ln(L - L*), from the loss; push
    A^T p (d,); mass (d,): k^2 + q^2, or 0 for combined weights."""

    log_time: float
    smooth: float
    p: Array
    margins: Array
    log_loss: float
    push: Array
    mass: Array


class _Flow:
    """The raw flow of one problem and start with vector weights."""

    def __init__(self, case: Case) -> None:
        self.problem: AttentionProblem = case.problem
        self.scores = case.problem.scores
        # gamma_l' - gamma_l, by sample, each computed once: ties are exact.
        self.lead = self.scores[:, None, :] - self.scores[:, :, None]
        self.features = case.problem.tokens * case.problem.queries[:, None, :]
        start = case.start
        self.separate = start.model == "diagonal"
        if self.separate:
            assert start.key is not None and start.query is not None
            self.first = np.concatenate((start.key, start.query))
        else:
            self.first = start.weights

    def weights(self, state: Array) -> Array:
        if not self.separate:
            return state
        key, query = np.split(state, 2)
        return np.asarray(key * query)

    def gradient(self, log_time: float, state: Array) -> Array:
        """d state/d ln t = -t grad L, lambda (n, L) scaled by t before it is summed."""
        levels = self.features @ self.weights(state)
        log_s = log_softmax(levels, axis=1)
        s = np.exp(log_s)
        # gamma-bar - gamma_l = sum_l' s_l' (gamma_l' - gamma_l); -grad is +sum lambda (x_o - x_l)
        # = - sum lambda x_l since the lambda of one sample sum to zero.
        ahead = (self.lead * s[:, None, :]).sum(-1)
        value = (s * self.scores).sum(1)
        weight = np.exp(log_s + log_time - value[:, None]) * ahead / len(self.scores)
        pull = -(weight[:, :, None] * self.features).sum((0, 1))
        if not self.separate:
            return np.asarray(pull)
        key, query = np.split(state, 2)
        return np.concatenate((query * pull, key * pull))

    def moments(self) -> list[_Moment] | str:
        """States over the last window, or why there are none."""
        at = np.linspace(UNTIL - WINDOW, UNTIL, NODES)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # its status says the same
            found = solve_ivp(
                self.gradient, (FROM, UNTIL), self.first, method="LSODA", t_eval=at,
                rtol=RELATIVE, atol=RELATIVE / 100, max_step=LONGEST,
            )  # fmt: skip
        if found.status != 0:
            return "the direct integration stopped: " + found.message.splitlines()[0]
        return [self.moment(t, state) for t, state in zip(at, found.y.T, strict=True)]

    def moment(self, log_time: float, state: Array) -> _Moment:
        constraints = constraints_of(self.problem)
        rows = constraints.rows
        margins = rows @ self.weights(state)
        exponent = constraints.kappa - margins
        p = softmax(exponent)
        levels = self.features @ self.weights(state)
        own = np.take_along_axis(self.scores, self.problem.optimal[:, None], axis=1)
        with np.errstate(divide="ignore"):
            missed = log_softmax(levels, axis=1) + np.log(own - self.scores)
        # e^x - 1 = x to rounding where x, what a sample's output misses, is below e^-37.
        log_missed = logsumexp(missed, axis=1) - own[:, 0]
        mass = np.zeros(rows.shape[1])
        if self.separate:
            key, query = np.split(state, 2)
            mass = key * key + query * query
        return _Moment(
            log_time, float(-logsumexp(exponent)), p, margins,
            float(logsumexp(log_missed) - np.log(len(own))), rows.T @ p, mass,
        )  # fmt: skip


def _measured(case: Case, context: Context, offset: float) -> CaseResult:
    margins, missing = unmet(case, context.assumptions)
    if missing:
        return vacuous(case, margins, missing)
    norm = late_runs.own_norm(case)
    found, failure = judging.solutions(case.problem, (norm,))
    if failure == judging.NOT_SEPARABLE:
        return vacuous(case, {**margins, "separable": 0.0}, "separable")
    if failure:
        return result(case, Outcome.INCONCLUSIVE, failure, margins, informative=False)
    margins["separable"] = 1 / found[norm].upper
    moments = _Flow(case).moments()
    if isinstance(moments, str):
        return result(case, Outcome.INCONCLUSIVE, moments, margins, informative=False)
    margins["infimum-reached"] = float(moments[-1].margins.min())
    if margins["infimum-reached"] <= -HANDED:
        return vacuous(case, margins, "infimum-reached")
    if moments[0].margins.min() < HANDED:
        reason = "the margins are too small at the end for the late form"
        return result(case, Outcome.INCONCLUSIVE, reason, margins, informative=False)
    return _judged(case, moments, found[norm], margins, offset)


def _judged(
    case: Case, moments: list[_Moment], optimum: SvmSolution, margins: dict[str, float],
    offset: float,
) -> CaseResult:  # fmt: skip
    """ln of the mean of d e^m~/dt over time, from t and the loss, against its limit."""
    gamma, separate = 1 / optimum.optimum, case.start.model == "diagonal"
    limit = np.log(2 * gamma) if separate else 2 * np.log(gamma)
    low, high = _bounds(moments, separate)
    allowed = max(abs(low - limit), abs(high - limit)) + _error(case, moments[-1])
    values = [_value(m, -m.log_loss, separate) for m in moments]
    measured = (
        Measurement(
            "time scale by the loss", abs(values[-1] - limit - offset), allowed,
            "the extremes of d e^m~/dt over the last stretch of ln t, from p and the weights "
            "(derived), plus the integration's error",
        ),
        Measurement(
            "time scale by the margins",
            abs(_value(moments[-1], moments[-1].smooth, separate) - limit - offset), allowed,
            "as above",
        ),
    )  # fmt: skip
    worst = max(m.value for m in measured)
    outcome, reason = Outcome.HELD, ""
    if worst > allowed:
        # The bound is itself proved, up to what lies between two nodes: half of it again.
        outcome = Outcome.FALSIFIED if worst > 1.5 * allowed else Outcome.INCONCLUSIVE
        reason = "the time scale misses its limit by more than its bound"
    log_times = np.array([m.log_time for m in moments])
    return result(
        case, outcome, reason, margins,
        informative=outcome is Outcome.FALSIFIED or bool(allowed <= SHARP), measurements=measured,
        curves={"time scale, less its limit": thin(log_times, np.array(values) - limit)},
        optima=(optimum.record,),
    )  # fmt: skip


def _value(moment: _Moment, smooth: float, separate: bool) -> float:
    """m~ - ln t - ln m~, or m~ - ln t for combined weights."""
    return smooth - moment.log_time - (float(np.log(smooth)) if separate else 0.0)


def _bounds(moments: list[_Moment], separate: bool) -> tuple[float, float]:
    """What the mean of d e^m~/dt is between over the window, by ln m~ less for separate weights.

    Combined: |G(p)|^2, which never rises, and tends to gamma*^2.  Separate: sum (k^2 + q^2)
    (A^T p)^2 is between 2 (p^T m)^2/S (Cauchy-Schwarz) and 2 S |A^T p|_inf^2.
    """
    last = moments[-1]
    # The time before the window is e^-WINDOW of all, and so is what grew in it.
    lost = float(np.log1p(-np.exp(moments[0].log_time - last.log_time)))
    if not separate:
        speeds = [float(m.push @ m.push) for m in moments]
        return float(np.log(min(speeds))) + lost, float(np.log(max(speeds))) - lost
    sizes = [float(m.mass.sum()) / 2 for m in moments]
    # Most of the time is the window's last: d e^m~/dt at its e-folds, weighted by their length.
    share = np.diff(np.exp([m.log_time - last.log_time for m in moments]))
    under = np.array(
        [2 * float(m.p @ m.margins) ** 2 / s for m, s in zip(moments, sizes, strict=True)]
    )
    over = np.array(
        [2 * s * float(np.abs(m.push).max()) ** 2 for m, s in zip(moments, sizes, strict=True)]
    )
    left = float(share @ np.minimum(under[1:], under[:-1]))
    right = float(share @ np.maximum(over[1:], over[:-1])) + over.max() * np.exp(-WINDOW)
    return float(np.log(left / last.smooth)), float(np.log(right / last.smooth))


def _error(case: Case, last: _Moment) -> float:
    """Of m~, from an error of the weights of ten steps' tolerance, times the margins' size."""
    sizes = np.abs(constraints_of(case.problem).rows).max()
    return 10 * RELATIVE * float(sizes * (1 + last.margins.max()))
