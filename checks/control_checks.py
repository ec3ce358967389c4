"""Statements that are wrong by little: could a tolerance that is too wide be seen?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from checks import flow_checks, judging, runs, selection_checks, tolerances
from checks.cases import Case
from checks.context import Context
from checks.flow import integrate
from checks.flow.fidelity import Auditor
from checks.flow.probes import Recorder
from checks.judging import Judged
from checks.limit_checks import Prepared, Target, follow, measure, result, unmet, vacuous
from checks.outcomes import CaseResult, Measurement, Outcome
from checks.problems import AttentionProblem, Start
from checks.runs import Run

EXCESS = 5e-5
"""By how much the planted margin exceeds the best one.  Fixed in the claim, not computed from
the tolerance it is there to test: fifty times the tolerance of the quick and full profiles,
and a twentieth of one that is a thousand times too wide."""


def beyond_optimum(cases: Sequence[Case], context: Context) -> list[CaseResult]:
    """control.margin-beyond-optimum (S2): a margin (1 + EXCESS) times the best is attained."""
    return measure(cases, Target("l1", "l2"), context, _beyond)


def _beyond(run: Run, prepared: Prepared, context: Context) -> Judged:
    """HELD if the planted margin is met within tolerance; FALSIFIED where the run's own dual
    bound, from raw tokens, proves the margin of these weights to fall short by more."""
    stopped = judging.unresolved(run)
    if stopped is not None:
        return Judged(*stopped)
    lower, upper = judging.from_raw(run, prepared.claimed.norm)
    tolerance = tolerances.margin_gap(context.budget.settings)
    gap = 1 - prepared.claimed.lower * lower / (1 + EXCESS)
    proved = 1 - prepared.claimed.upper * upper / (1 + EXCESS)
    measured = (Measurement("margin gap", gap, tolerance.value, tolerance.because),)
    outcome, reason = Outcome.INCONCLUSIVE, "the run's dual bound is open"
    if gap <= tolerance.value:
        outcome, reason = Outcome.HELD, ""
    elif proved > tolerance.value:
        outcome = Outcome.FALSIFIED
        reason = "the run's dual bound excludes the planted margin by more than the tolerance"
    return Judged(outcome, reason, measured, lower, upper)


FACTOR = 1 + 1e-8
"""What the planted gradient is times the true one.  Fixed in the claim, like EXCESS: the rounding
bound was 4e-13 to 6e-10 of the gradient in 3,600 of these cases, so the planted error is beyond
``flow_checks.CLEAR`` times any of them, and within half of those a thousand times too wide."""


def near_gradient(cases: Sequence[Case], context: Context) -> list[CaseResult]:
    """control.gradient-slightly-off (S1): the margin form times FACTOR is the gradient."""
    return flow_checks.compare_gradients(cases, context, lambda _: FACTOR)


SHARE_OF_TIME = 2 / 3
"""How much of the time that a step took the planted statement gives it.  A third of the step's
change is then wrong, 25 times what ``fidelity.SHARE_BOUND`` lets pass of the change within
the shorter time, and less than a bound a thousand times as wide."""


def fast_orbit(cases: Sequence[Case], context: Context) -> list[CaseResult]:
    """control.orbit-slightly-fast (derived): gradient flow goes as far in SHARE_OF_TIME."""
    checked = [(case, *unmet(case, context.assumptions)) for case in cases]
    ready = [case for case, _, missing in checked if not missing]
    recorder = Recorder(range(len(ready)))
    recorder.init(0)
    if ready:
        problems, starts = [c.problem for c in ready], [c.start for c in ready]
        settings = context.budget.settings
        orbit = integrate.integrate(problems, starts, settings, [recorder], context.device)
    rows = {id(case): row for row, case in enumerate(ready)}
    out = []
    for case, margins, missing in checked:
        if missing:
            out.append(vacuous(case, margins, missing))
            continue
        row = rows[id(case)]
        stored = [replace(s, step=SHARE_OF_TIME * s.step) for s in recorder.stretches[row]]
        auditor = Auditor(case.problem, case.start, orbit.selected[row])
        rng = np.random.Generator(np.random.Philox(key=runs.seed_of(case.problem, case.start)))
        # Every step is wrong: a few will do.
        late, early = runs.audits(auditor, stored, rng, min(context.budget.stretches, 4))
        deviation = runs.worst_deviation([*late, *early])
        because = f"{SHARE_OF_TIME:.2f} of every step's time, by the bounds of flow.orbit"
        measured = Measurement("deviation of a stretch over its bound", deviation, 1.0, because)
        out.append(flow_checks.decide(case, margins, [measured], bool(late or early)))
    return out


_LAG = 2.0**-24
_LEAD = 2.0**10
"""A recalled token's margin is (1 - _LAG) times another's, and _LEAD ahead for ever: it comes
back where margins are _LEAD/_LAG = 2e10, when a run of combined weights has long closed."""


def recall(problem: AttentionProblem, start: Start) -> tuple[AttentionProblem, Start]:
    """Every sample gets tokens of higher score that will come back; combined diagonal weights.

    For each token l, one at x_o - (1 - _LAG) (x_o - x_l) - _LEAD e: its margin is (1 - _LAG)
    times that of l, plus _LEAD w, where w = 1 is the weight of a new coordinate in which all
    other tokens are 0 (so that it stays, and the optimum has none of it).  At the optimum of
    the problem of the tokens o, that margin is 1 - _LAG where l is active: THEORY.md 5 asks
    for more than 1.
    """
    n, length, d = problem.tokens.shape
    best = problem.optimal[:, None]
    others = np.nonzero(np.arange(length) != best)[1].reshape(n, length - 1)
    own = np.take_along_axis(problem.tokens, best[:, :, None], axis=1)
    delta = own - np.take_along_axis(problem.tokens, others[:, :, None], axis=1)
    tokens = np.zeros((n, 2 * length - 1, d + 1))
    tokens[:, :length, :d], tokens[:, length:, :d] = problem.tokens, own - (1 - _LAG) * delta
    tokens[:, length:, d] = -_LEAD
    top = np.take_along_axis(problem.scores, best, axis=1)
    scores = np.concatenate((problem.scores, top + 0.5 + np.arange(length - 1) / 8), axis=1)
    # The scores' own coordinate (queries are 0 there) is the one before the new one.
    tokens[:, :, d - 1] = problem.labels[:, None] * scores
    queries = np.concatenate((problem.queries, np.ones((n, 1))), axis=1)
    changed = AttentionProblem.of(
        tokens, queries, problem.labels, np.append(problem.head, 0.0), scores
    )
    return changed, Start.combined(np.append(start.weights, 1.0), d + 1)


def recalled(cases: Sequence[Case], context: Context) -> list[CaseResult]:
    """control.selection-recalled (derived): a run whose certificate closed stays as it is."""
    checked = [(case, *unmet(case, context.assumptions)) for case in cases]
    ready = []
    for case, _, missing in checked:
        if not missing:
            problem, start = recall(case.problem, case.start)
            ready.append(replace(case, problem=problem, start=start))
    followed = iter(follow(ready, context))
    out = []
    for case, margins, missing in checked:
        if missing:
            out.append(vacuous(case, margins, missing))
            continue
        judged, _ = selection_checks.judge_selected(next(followed), "l2", context)
        if judged.reason == selection_checks.NOT_KEPT:
            reason = "at the optimum the run tends to, a token of higher score comes back"
            judged = replace(judged, outcome=Outcome.FALSIFIED, reason=reason)
        informative = judged.outcome is not Outcome.VACUOUS
        out.append(
            result(
                case, judged.outcome, judged.reason, margins, informative=informative,
                measurements=judged.measurements,
            )
        )  # fmt: skip
    return out
