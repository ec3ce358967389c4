"""What a run does instead where an assumption is not met: named other problems, certified.

A claim with one assumption dropped is FALSIFIED of a run that closes on one of these, whose whole
eps-optimal set misses the claimed margin (DESIGN.md, "FALSIFIED by certificate only"); where
dropping cannot matter (a frozen sign that is already right) the case is VACUOUS, and says so.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from checks import judging, rivals, svm
from checks.cases import Case
from checks.certificates import OracleFailure
from checks.judging import MISS, Judged, Rival
from checks.linear_floors import linear_floor
from checks.outcomes import Measurement, Outcome
from checks.problems import constraints_of
from checks.rounding import down, up
from checks.runs import Run
from checks.svm import SvmSolution
from checks.tolerances import Tolerance

PROVED = "margin gap that is proved"
_PROVED = "ten times the tolerance of the claim: weak duality over the whole near-optimal set"
ELSEWHERE = "the run closes on the problem of the tokens it selected, which misses the margin"
ORTHANT = "the l1 problem of the frozen orthant"
RIGHT = "the frozen sign is already right"


def judge(
    run: Run,
    case: Case,
    claimed: SvmSolution,
    others: Sequence[Rival],
    tolerance: Tolerance,
    dropped: str,
) -> Judged:
    """A limit claim without its assumption ``dropped``, by a run from a case that breaks it."""
    stopped = judging.unresolved(run)
    if stopped is not None and stopped[0] is not Outcome.VACUOUS:
        return Judged(*stopped)
    if dropped == "infimum-reached" and run.reached:
        return Judged(Outcome.VACUOUS, "the infimum is reached after all")
    if stopped is not None:
        if dropped == "infimum-reached" or (dropped == "optimal-unique" and on_a_best(run)):
            return elsewhere(run, case, claimed, tolerance)
        return Judged(*stopped)
    if dropped == "nonzero-invariant":
        return frozen(run, case, claimed, tolerance)
    return judging.judge(run, claimed, others, tolerance)


def on_a_best(run: Run) -> bool:
    """Has every selected token the best score of its sample, be it the first such or not?"""
    own = np.take_along_axis(run.problem.scores, run.selected[:, None], axis=1)
    return bool((own[:, 0] == run.problem.scores.max(axis=1)).all())


def elsewhere(run: Run, case: Case, claimed: SvmSolution, tolerance: Tolerance) -> Judged:
    """The run against the problem of its own tokens, which are not the optimal ones.

    FALSIFIED where it closes on that problem, which keeps the selection for good, and some
    constraint of the claimed problem is proved to be small on its whole eps-optimal set.
    """
    norm = claimed.norm
    own = constraints_of(run.problem, run.selected)
    if len(own) == 0:
        return Judged(Outcome.VACUOUS, "the selected tokens constrain nothing")
    try:
        solution = judging.solution(own, norm, case.alignment, run.selected)
    except OracleFailure as failure:
        return Judged(Outcome.INCONCLUSIVE, f"oracle: {failure}")
    lower, _ = judging.from_raw(run, norm)
    closes = rivals.eps_reached(solution, lower)
    if closes > tolerance.value or lower * solution.lower > 1 + tolerance.value:
        return Judged(Outcome.INCONCLUSIVE, "the run is not closed on its own tokens' problem")
    if not judging.stays(run, solution):
        return Judged(Outcome.VACUOUS, "the selected problem does not keep the selection")
    claims = constraints_of(run.problem)
    rows = claims.matrices if claimed.solution.ndim == 2 else claims.rows
    margins = rows @ solution.solution.ravel()
    moved = np.flatnonzero((run.selected != run.problem.optimal)[claims.sample])
    worst = int(moved[np.argmin(margins[moved])])
    ceiling = up(up((1.0 + closes) * solution.upper) * (1.0 + 4 * np.finfo(float).eps))
    try:
        most = -linear_floor(
            own, norm, ceiling, -claims.delta[worst], claims.query[worst], -claims.low[worst]
        )
    except OracleFailure as failure:
        return Judged(Outcome.INCONCLUSIVE, f"oracle: {failure}")
    # Of that set every member has norm >= solution.lower and the claimed margin <= most.
    gap = down(1.0 - up(up(max(most, 0.0) * claimed.upper) / solution.lower))
    measured = (Measurement(PROVED, gap, MISS * tolerance.value, _PROVED),)
    if gap > MISS * tolerance.value:
        return Judged(Outcome.FALSIFIED, ELSEWHERE, measured)
    reason = "the tokens it selected are not proved to miss the margin"
    return Judged(Outcome.INCONCLUSIVE, reason, measured)


def orthant_of(run: Run, case: Case) -> SvmSolution | Judged:
    """The l1 problem of the orthant that c_j = 0 keeps the run in, or why there is none.

    Of an aligned case in its diagonal form, whose l1 norm is the nuclear norm of the full weights.
    """
    form = case.alignment
    start = run.start if form is None else form.start
    sign = None if start is None else judging.frozen_orthant(start)
    if sign is None:
        return Judged(Outcome.VACUOUS, "no sign is frozen")
    own = constraints_of(run.problem)
    if form is not None:
        own = constraints_of(form.problem, run.problem.optimal[:: form.copies])
    try:
        return svm.solve_signed_l1(own, sign)
    except svm.NotSeparable:
        return Judged(Outcome.VACUOUS, "the frozen orthant does not separate the data")
    except OracleFailure as failure:
        return Judged(Outcome.INCONCLUSIVE, f"oracle: {failure}")


def frozen(run: Run, case: Case, claimed: SvmSolution, tolerance: Tolerance) -> Judged:
    """The run against the l1 problem of the orthant that c_j = 0 keeps it in (THEORY.md 3).

    The run of an aligned case must have been made in its diagonal form: rounding of K and Q would
    mend a frozen sign.
    """
    orthant = orthant_of(run, case)
    if isinstance(orthant, Judged):
        return orthant
    eps = MISS * tolerance.value
    if orthant.lower <= claimed.upper * (1 + eps):
        return Judged(Outcome.VACUOUS, RIGHT)
    if case.alignment is None:
        judged = judging.judge(run, claimed, [Rival(ORTHANT, orthant)], tolerance)
    else:
        lower, upper = judging.from_raw(run, claimed.norm)
        closed = rivals.eps_reached(orthant, lower) <= tolerance.value
        outcome = Outcome.FALSIFIED if closed else Outcome.INCONCLUSIVE
        reason = f"the run closes on {ORTHANT} instead" if closed else "the run is not closed"
        judged = Judged(outcome, reason, (), lower, upper)
    if judged.outcome is not Outcome.FALSIFIED:
        return judged
    gap = down(1.0 - up(claimed.upper / orthant.lower))
    proved = Measurement(PROVED, gap, eps, _PROVED)
    return Judged(
        judged.outcome, judged.reason, (*judged.measurements, proved), judged.lower, judged.upper
    )
