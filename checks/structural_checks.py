"""Controls of factored starts that cannot reach the nuclear optimum, kept so by their structure.

THEORY.md 4: rounding mends such starts, so what fails them is stored, not computed: the rank by
the e columns of K and Q, the semidefinite cone by one matrix for both (``flow.mirrored``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from checks import judging, low_rank, semidefinite, tolerances
from checks.cases import Case
from checks.certificates import OracleFailure
from checks.context import Context
from checks.flow.mirrored import keeps_key_as_query
from checks.judging import Judged, Rival
from checks.limit_checks import Prepared, Target, measure
from checks.outcomes import CaseResult, Measurement, Outcome
from checks.problems import constraints_of
from checks.runs import Run
from checks.svm import NotSeparable, SvmSolution
from checks.tolerances import Tolerance

_NUCLEAR = Target("nuclear", "frobenius", discriminates=False)
"""What these cases are told from is their own other problem, not the Frobenius one."""

_FAR_ENOUGH = 60.0
"""ln N(W) at which a run of low rank ends, whose nuclear certificate never closes: its own
problems are then solved to 1e-12 (seen), so more steps would show nothing."""


def low_rank_start(cases: Sequence[Case], context: Context) -> list[CaseResult]:
    """control.low-rank-start (S2, S6): the nuclear margin from e < rank W* columns."""
    settings = context.budget.settings
    settings = replace(settings, horizon=min(settings.horizon, _FAR_ENOUGH))
    budget = replace(context.budget, settings=settings)
    return measure(cases, _NUCLEAR, replace(context, budget=budget), _low_rank)


def _low_rank(run: Run, prepared: Prepared, context: Context) -> Judged:
    stopped = judging.unresolved(run)
    if stopped is not None:
        return Judged(*stopped)
    tolerance = tolerances.margin_gap(context.budget.settings)
    constraints = constraints_of(run.problem)
    columns = columns_of(run)
    eps = judging.MISS * tolerance.value
    if not low_rank.exceeds_rank(constraints, prepared.claimed, columns, eps):
        return Judged(Outcome.VACUOUS, f"the optimum is not proved to have rank above {columns}")
    judged = judging.compare(run, prepared.claimed, (), tolerance, constraints)
    return judged if judged.outcome is Outcome.HELD else arrived(run, judged, tolerance)


def columns_of(run: Run) -> int:
    """e, the columns of K and Q."""
    assert run.start.key is not None
    return int(run.start.key.shape[1])


def arrived(run: Run, judged: Judged, tolerance: Tolerance) -> Judged:
    """The judgement of a run whose rank is proved to be too low: FALSIFIED where it is
    stationary among weights of its rank, which says where it has arrived."""
    if columns_of(run) != 1:
        return replace(judged, reason="stationarity is judged for weights of rank one only")
    try:
        gap = factor_gap(run, low_rank.blocks(constraints_of(run.problem), run.direction))
    except (OracleFailure, NotSeparable) as failure:
        return replace(judged, reason=f"oracle: {failure}")
    because = "the l2 problems of a and of b in W = a b^T, to the tolerance of the claim itself"
    name = "gap of one factor with the other held"
    measured = (*judged.measurements, Measurement(name, gap, tolerance.value, because))
    if gap > tolerance.value:
        reason = "the run is not yet stationary among weights of its rank"
        return replace(judged, reason=reason, measurements=measured)
    reason = "the run closes on the rank-one problem, and no weights of rank one come near"
    return replace(judged, outcome=Outcome.FALSIFIED, reason=reason, measurements=measured)


def factor_gap(run: Run, held: tuple[SvmSolution, SvmSolution]) -> float:
    """The larger gap of W = a b^T in the two problems of one factor with the other held.

    |a| = |b| = 1 there, so either optimum is met where its margins are 1/optimum.
    """
    lower = judging.from_raw(run, "nuclear")[0]
    return max(1 - lower * solution.lower for solution in held)


def semidefinite_start(cases: Sequence[Case], context: Context) -> list[CaseResult]:
    """control.semidefinite-start (S2, S6): the nuclear margin from K = Q, W >= 0 for ever."""
    return measure(cases, _NUCLEAR, context, _semidefinite)


def _semidefinite(run: Run, prepared: Prepared, context: Context) -> Judged:
    stopped = judging.unresolved(run)
    if stopped is not None:
        return Judged(*stopped)
    if not keeps_key_as_query(run.problem, run.start):
        return Judged(Outcome.VACUOUS, "key is not query, or the data do not keep it so")
    tolerance = tolerances.margin_gap(context.budget.settings)
    try:
        cone = semidefinite.solve_semidefinite(constraints_of(run.problem))
    except OracleFailure as failure:
        return Judged(Outcome.INCONCLUSIVE, f"oracle: {failure}")
    if cone.lower <= prepared.claimed.upper * (1 + judging.MISS * tolerance.value):
        return Judged(Outcome.VACUOUS, "the optimum is semidefinite already")
    return judging.judge(run, prepared.claimed, [Rival(CONE, cone)], tolerance)


CONE = "the problem of semidefinite weights"
