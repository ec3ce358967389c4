"""KKT residuals of a run, and its certificate against the solver's: each its own claim (S5)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from checks import judging, tolerances
from checks.cases import Case
from checks.context import Context
from checks.judging import Judged
from checks.limit_checks import Prepared, Target, direction, measure
from checks.outcomes import CaseResult, Measurement, Outcome
from checks.problems import Array, constraints_of
from checks.runs import Run


def kkt_primal_feasibility(cases: Sequence[Case], context: Context) -> list[CaseResult]:
    """limit.kkt-primal-feasibility (S5): weights of the optimal norm violate no constraint."""
    return measure(cases, Target("l1", "l2"), context, _primal_feasibility)


def _primal_feasibility(run: Run, prepared: Prepared, context: Context) -> Judged:
    judged = direction(run, prepared, context)
    if judged.outcome is not Outcome.HELD:
        return judged
    late = run.curve[np.isfinite(run.curve[:, 2])]
    # beta/(gamma* |beta|_1) has the optimum's norm 1/gamma*; its least constraint misses 1 by
    # 1 - m_min/(gamma* |beta|_1), from above where the optimum is taken from below.
    violation = 1 - prepared.claimed.lower * late[:, 2]
    bound = 1 - late[:, 2] / late[:, 3]
    # Margins and A^T p are sums of d products in float64, relative to the largest of which
    # they are small by the margin's own condition; the solver's interval has its width.
    constraints = constraints_of(run.problem)
    beta = run.direction.ravel()
    sizes = float((np.abs(constraints.rows) @ np.abs(beta)).max())
    least = float((constraints.rows @ beta).min())
    rounding = tolerances.rounding(run.problem.dim, 1 + sizes / least, "margin and pull")
    width = 1 - prepared.claimed.lower / prepared.claimed.upper
    over = max(float((violation - bound).max()), 0.0)
    tolerance = tolerances.margin_gap(context.budget.settings)
    measured = (
        Measurement("primal violation beyond its bound", over, rounding.value + width,
                    f"weak duality at every late state; {rounding.because}"),
        Measurement("primal violation at the end", max(float(violation[-1]), 0.0),
                    tolerance.value, tolerance.because),
    )  # fmt: skip
    if over > judging.MISS * measured[0].tolerance:
        reason = "a late state violates the optimum's constraints by more than its own bound"
        return replace(judged, outcome=Outcome.FALSIFIED, reason=reason, measurements=measured)
    return _within(judged, measured, "the primal residual is open")


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
