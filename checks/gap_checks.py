"""How fast the gap falls: exponents fitted along late orbits, against their derived limits.

Each claim says that ln y + e x stays within a band along the orbit, e the claimed exponent, x
the logarithm of what y is a power of.  The least-squares line through points of a band of width
w, evenly spaced over a length l of x, has a slope of at most 1.5 w/l: that is the tolerance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

from checks import late_runs
from checks.cases import Case
from checks.context import Context
from checks.late_runs import Late, rows_of, thin
from checks.limit_checks import result
from checks.outcomes import CaseResult, Measurement, Outcome
from checks.problems import Array, constraints_of
from checks.regret_checks import NEVER, Sums, mirror_of, regret_bound, undefined
from checks.tolerances import EPS

HORIZON = {"diagonal": 3000.0, "combined": 13.0}
"""ln N(W) at which runs of a mean gap end: the band of separate weights is over ln ln N."""
LATE_TOLERANCE = {"diagonal": 1e-4, "combined": 5e-7}
"""As for the regret bounds: what is bounded stays above what the steps' errors add up to."""
LONGEST = {"diagonal": np.inf, "combined": 0.3}
STEPS = 2500
"""Late steps a run may take: of combined weights about a thousand are needed."""
NEAR = 0.25
"""The window of a slack begins where other costs are below this share of the slack coordinate's."""
POINTS = 65
STEEPEST = 1.5
"""Slope of a line fitted to points of a band of width 1 over a length of 1: half sum |u|/sum u^2 of
evenly spaced u, at most 3/2 however many."""
RESOLVED = 1e-2
"""Largest error of a gap, relative to it, with which a fit goes on."""
ROUNDED = 4 * EPS
"""Error of a share, relative to it and per unit of r, of which it is the exponential."""
UNSETTLED = 0.05
"""Largest part of the gap that may come of p, which is not p* yet, where a fit begins."""
UNSEEN = {
    (MEAN := "exponent of the mean gap"): "the mean gap is gamma* or more",
    (GAP := "exponent of the gap"): "other costs hide the slack coordinate's, or rounding does",
}
"""What is fitted -> why there may be no state from which to fit it."""
BEYOND = 1.5
"""Times the tolerance, an exponent is refuted.  The tolerance is proved; half of it again is for
what lies between two states of the orbit."""


@dataclass(frozen=True)
class Fit:
    """y of the orbit against x, both in logarithms, and the band that is derived.

    x, y (k,).  exponent: of e^x in e^y, claimed.  width: of the band that y - exponent x is
    proved to keep to.
    """

    x: Array
    y: Array
    exponent: float
    width: float

    @property
    def slope(self) -> float:
        at = np.linspace(self.x[0], self.x[-1], POINTS)
        return float(np.polyfit(at - at.mean(), np.interp(at, self.x, self.y), 1)[0])

    @property
    def allowed(self) -> float:
        return STEEPEST * self.width / float(self.x[-1] - self.x[0])


def mean_gap(cases: Sequence[Case], context: Context) -> list[CaseResult]:
    """rate.mean-gap-diagonal, -combined (derived): one over ln S, one over |W|."""
    return _mean_gaps(cases, context, wrong=False)


def mean_gap_of_the_other(cases: Sequence[Case], context: Context) -> list[CaseResult]:
    """control.mean-gap-diagonal, -combined: each flow at the other's rate; wrong."""
    return _mean_gaps(cases, context, wrong=True)


def slack(cases: Sequence[Case], context: Context) -> list[CaseResult]:
    """rate.slack-attained (derived): the gap of m~/S falls like S^-delta."""
    return _slacks(cases, context, wrong=False)


def slack_forgotten(cases: Sequence[Case], context: Context) -> list[CaseResult]:
    """control.slack-forgotten: it falls like 1/S; wrong."""
    return _slacks(cases, context, wrong=True)


def _mean_gaps(cases: Sequence[Case], context: Context, wrong: bool) -> list[CaseResult]:
    if not cases:
        return []
    model = cases[0].start.model
    settings = replace(
        context.budget.settings,
        late_tolerance=min(LATE_TOLERANCE[model], context.budget.settings.late_tolerance),
        late_steps=STEPS,
        horizon=HORIZON[model],
        gap=NEVER,
        longest=LONGEST[model],
    )

    def judge(run: Late) -> CaseResult:
        return undefined(run) or _judged(run, mean_gap_fits(run), MEAN, wrong)

    return late_runs.measure(cases, context, settings, judge, on_orbit=True)


def mean_gap_fits(run: Late) -> tuple[Fit, Fit] | None:
    """(the claimed fit, the same orbit by the other flow's rate); None: no window to fit in.

    M(tau) = I/(tau - tau0), I the integral of gamma* - m~/N, N = S or |W|: I never falls, and
    stays below the constants of the regret bound.  What the norm has grown by (S: its logarithm)
    is tau times gamma* (S: 2 gamma*), up to a factor between 1 - M/gamma* and 1 + C/gamma* times
    the mean of 1/N, because p^T m is between m~ and m~ + C.
    """
    sums, late = Sums.of(run), run.orbit
    separate = run.case.start.model == "diagonal"
    gamma = 1 / run.optimum.upper
    gap = np.asarray(gamma - np.exp(late.log_margin - late.log_size))
    # m~/N never falls: the integral is between the sums with either end's value.
    above, below = np.cumsum(sums.steps * gap[:-1]), np.cumsum(sums.steps * gap[1:])
    tau = np.cumsum(sums.steps)
    norm = late.log_size if separate else np.exp(late.log_size)
    grown = norm[1:] - norm[0]
    inverse = np.cumsum(sums.steps * np.exp(-late.log_size[:-1])) / tau
    bound = regret_bound(run)
    usable = (above < gamma * tau) & (below > 0) & (grown > 0) & (grown < grown[-1])
    if not usable.any():
        return None
    # The band is proved for a window from any state on: the one that says most is looked at.
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = (1 + sums.spread * inverse / gamma) / (1 - above / (gamma * tau))
        width = np.log((bound.surely_right + bound.error) / below * ratio)
        says = np.where(usable, width / np.log(grown[-1] / grown), np.inf)
    first = int(np.argmin(says))
    y = np.log((above + below)[first:] / (2 * tau[first:]))
    size = late.log_size[1 + first :]
    other = size - np.log(size) if separate else np.log(size)
    return Fit(np.log(grown[first:]), y, -1.0, width[first]), Fit(other, y, -1.0, width[first])


def _slacks(cases: Sequence[Case], context: Context, wrong: bool) -> list[CaseResult]:
    def judge(run: Late) -> CaseResult:
        if common_pull(rows_of(run.case)) is None:
            reason = "no coordinate has the same entry in every constraint, beside one of its own"
            return result(run.case, Outcome.VACUOUS, reason, run.margins, informative=False)
        return undefined(run) or _judged(run, slack_fits(run), GAP, wrong)

    return late_runs.measure(cases, context, context.budget.settings, judge)


def common_pull(rows: Array) -> Array | None:
    """(d,) the entry that all constraints (R, d) share at a coordinate, 0 at those of their own.

    None unless each constraint has one coordinate of its own, and all others are shared.
    """
    shared = (rows == rows[0]).all(axis=0)
    own = rows[:, ~shared] != 0
    alone = own.shape[1] == len(rows) and (own.sum(axis=0) == 1).all() and own.any(axis=1).all()
    if len(rows) == 1:
        # Its own coordinate is that of its largest entry, the one that the optimum uses.
        shared, alone = np.arange(rows.shape[1]) != int(np.abs(rows[0]).argmax()), True
    pull = np.where(shared, rows[0], 0.0)
    return pull if alone and pull.any() else None


def slack_fits(run: Late) -> tuple[Fit, Fit] | None:
    """(ln gap against ln S, exponent -delta; the same, exponent -1); None: no window.

    The slack coordinate moves by 2 v tau, v = (1 - delta) gamma*, whatever p is: its share h of
    S, which costs delta gamma* h of margin, is S^-delta up to a band: of 2 gamma* tau - ln S,
    twice the integral of gamma* - p^T m/S, between 0 and the regret bound, and of its sinh.
    All else that costs margin falls faster: other coordinates (less pull), S - |beta|_1 (at most
    the first state's) and p*^T m - m~ = sum p*_r (kappa_r - ln p_r) over S.
    """
    rows, gamma = rows_of(run.case), 1 / run.optimum.optimum
    pull = common_pull(rows)
    assert pull is not None
    at = int(np.abs(pull).argmax())
    delta = 1 - float(abs(pull[at])) / gamma
    late = run.orbit
    used = np.flatnonzero((rows != 0).any(axis=0))
    log_c, r = mirror_of(run)
    log_c, r = log_c[used == at], r[:, used == at][:, 0] * np.sign(pull[at])
    gap = gamma - np.exp(late.log_margin - late.log_size)
    error = 1 / run.optimum.lower - 1 / run.optimum.upper + ROUNDED * gamma * np.abs(r)
    with np.errstate(divide="ignore", invalid="ignore"):
        log_share = log_c + np.log(np.sinh(np.minimum(r, 300.0))) + np.maximum(r - 300.0, 0.0)
        cost = delta * gamma * np.exp(log_share - late.log_size)
        rest = gap / cost - 1
        # kappa - ln p <= max kappa - min kappa + ln(2/p*_least), while p is within twice of p*.
        kappa = constraints_of(run.case.problem).kappa
        least = gamma / np.abs(rows[:, pull == 0]).max()
        entropy = np.ptp(kappa) + np.log(2 / least)
        unsettled = entropy / (cost * np.exp(late.log_size))
    kept = (r > 1) & (rest < NEAR) & (unsettled < UNSETTLED) & (error < RESOLVED * gap)
    if kept.sum() < 2:
        return None
    first, end = int(np.argmax(kept)), len(kept) - int(np.argmax(kept[::-1]))
    cut = replace(late, **{f.name: getattr(late, f.name)[first:end] for f in fields(late)})
    then = replace(run, orbit=cut)
    bound, sums = regret_bound(then), Sums.of(then)
    lag = 2 * (1 - delta) * (bound.surely_right + sums.spread * sums.inverse[1])
    width = float(
        lag - np.log1p(-np.exp(-2 * r[first])) + np.log1p(rest[first] + UNSETTLED)
        + 2 * RESOLVED + 2 * bound.error
    )  # fmt: skip
    y = np.log(gap[first:end])
    return Fit(cut.log_size, y, -delta, width), Fit(cut.log_size, y, -1.0, width)


def _judged(run: Late, fits: tuple[Fit, Fit] | None, name: str, wrong: bool) -> CaseResult:
    if fits is None:
        reason = f"nothing to fit: until the run ends, {UNSEEN[name]}"
        return result(run.case, Outcome.VACUOUS, reason, run.margins, informative=False)
    rival = fits[1]
    fit = rival if wrong else fits[0]
    measured = Measurement(
        name, abs(fit.slope - fit.exponent), float(fit.allowed),
        "1.5 times the width of the band that is derived, over its length (see the module)",
    )  # fmt: skip
    outcome, reason = Outcome.HELD, ""
    if measured.ratio > 1:
        outcome = Outcome.FALSIFIED if measured.ratio > BEYOND else Outcome.INCONCLUSIVE
        reason = f"the {name} is {fit.slope:.3g}, not {fit.exponent:.3g}"
    refuted = bool(abs(rival.slope - rival.exponent) > BEYOND * rival.allowed)
    return result(
        run.case, outcome, reason, run.margins,
        informative=refuted or outcome is Outcome.FALSIFIED,
        measurements=(measured,),
        curves={"ln of the gap": thin(fit.x, fit.y)},
        inputs={**run.case.inputs(), "exponent": fit.slope},
    )  # fmt: skip
