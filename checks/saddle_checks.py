"""Saddles of the factored flow: made by too few columns, left as soon as there is one more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from checks import runs, saddles
from checks.cases import Case
from checks.context import Context
from checks.flow_checks import decide
from checks.limit_checks import Prepared, Target, prepare, result
from checks.outcomes import CaseResult, Measurement, Outcome
from checks.problems import Array, AttentionProblem, Start, constraints_of
from checks.runs import Run
from checks.saddles import Memory

_FAR_ENOUGH = 60.0
"""ln N(W) at which a run of one column is left: stationary to 1e-8 (seen)."""
_LEAVING = 120.0
"""ln N(W) up to which a saddle may be left: Delta ln S = 2 ln(_LINEAR/_SEED)/_EXCESS = 69."""
_MARGIN = 1e4
"""Least margin at the saddle from which the second run starts: what a finite norm changes in p
is of the order ln(1/p)/margin."""
_SEED = 1e-5
"""|y^T Z|/|Z| of the added column, and the share up to which its growth is exponential: the
neglected terms are of its square."""
_LINEAR = 1e-2
_EXCESS = 0.2
"""Least |G|_op/gamma - 1 of a saddle that is timed: below it, it is not told from an optimum."""
_CLOSE = 1e-6
"""Largest residual of a KKT point that is timed."""


@dataclass(frozen=True)
class Saddle:
    """A rank-one KKT point.  stack (2d, 1): Z/|Z|; pair (2d,): y; excess: |G|_op/gamma - 1; p
    (n, L): its multipliers; gamma: their own rate."""

    stack: Array
    pair: Array
    excess: float
    p: Array
    gamma: float


def saddle_of(run: Run) -> Saddle | str:
    """The saddle at which a run of one column ended; or why it is none."""
    g = saddles.push(run.problem, run.selected, run.p)
    found = saddles.stationarity(g, run.direction)
    if found.residual > _CLOSE:
        return "the run of one column is not yet stationary"
    if found.excess < _EXCESS:
        return "the KKT point is global, or nearly so"
    u, _, vt = np.linalg.svd(run.direction)
    left, _, right = np.linalg.svd(g)
    stack = np.concatenate((u[:, 0], vt[0]))[:, None] / np.sqrt(2)
    pair = np.concatenate((left[:, 0], right[0])) / np.sqrt(2)
    gamma = float(np.linalg.norm(g, 2)) / (1 + found.excess)
    return Saddle(stack, pair, found.excess, run.p, gamma)


def escape(cases: Sequence[Case], context: Context) -> list[CaseResult]:
    """rate.saddle-escape (derived, THEORY.md 4): strict saddles, and the clock of leaving them."""
    target = Target("nuclear", "frobenius", discriminates=False)
    prepared = [prepare(case, target, context) for case in cases]
    batch = [p for p in prepared if isinstance(p, Prepared)]
    stuck = _follow(
        [p.case.problem for p in batch], [p.case.start for p in batch], context, _FAR_ENOUGH
    )
    reached = [run.reached and run.fidelity.ok for run in stuck]
    found = [saddle_of(run) if ok else "" for run, ok in zip(stuck, reached, strict=True)]
    timed = [k for k, saddle in enumerate(found) if isinstance(saddle, Saddle)]
    memory = Memory()
    starts = [_start(batch[k].case.problem, s) for k in timed if isinstance(s := found[k], Saddle)]
    again = _follow([batch[k].case.problem for k in timed], starts, context, _LEAVING, memory)
    row = {k: place for place, k in enumerate(timed)}
    done = {}
    for k, p in enumerate(batch):
        saddle = found[k]
        if isinstance(saddle, Saddle):
            done[id(p)] = _timed(p, saddle, again[row[k]], memory.steps(row[k]))
        elif not reached[k]:
            done[id(p)] = result(p.case, *_stopped(stuck[k]), p.margins, informative=False)
        else:
            done[id(p)] = result(p.case, Outcome.VACUOUS, saddle, p.margins, informative=False)
    return [p if isinstance(p, CaseResult) else done[id(p)] for p in prepared]


def _stopped(run: Run) -> tuple[Outcome, str]:
    if not run.fidelity.ok:
        return Outcome.INCONCLUSIVE, f"fidelity: {run.fidelity.fault}"
    if run.settled:
        return Outcome.VACUOUS, "infimum-reached is unmet: a sample settled on another token"
    return Outcome.INCONCLUSIVE, f"{run.status.word}: {run.status.advice}"


def _follow(
    problems: list[AttentionProblem],
    starts: list[Start],
    context: Context,
    horizon: float,
    *probes: Memory,
) -> list[Run]:
    budget = context.budget
    settings = replace(budget.settings, horizon=min(budget.settings.horizon, horizon))
    return runs.follow(
        problems, starts, settings, budget.audited, budget.stretches, context.device, probes
    )


def _start(problem: AttentionProblem, saddle: Saddle) -> Start:
    """[Z, seed y] at the norm where the least margin is ``_MARGIN``: the saddle with one more
    column, and that column in the direction that leaves it."""
    d = problem.dim
    both = np.concatenate((saddle.stack, _SEED * saddle.pair[:, None]), axis=1)
    margins = constraints_of(problem).matrices @ (both[:d] @ both[d:].T).ravel()
    both = both * np.sqrt(_MARGIN / margins.min())
    return Start.factored(both[:d], both[d:], d)


def curvature(problem: AttentionProblem, saddle: Saddle) -> float:
    """Second derivative of |Z|^2/2 - sum_r (p_r/gamma) m_r along the added column y c^T, from
    margins themselves: 1 - |G|_op/gamma, by a quotient that is exact for a quadratic."""
    d, h = problem.dim, 0.5
    rows = constraints_of(problem)
    weight = saddle.p[rows.sample, rows.token]
    weight = weight / weight.sum()

    def value(step: float) -> float:
        both = np.concatenate((saddle.stack, step * saddle.pair[:, None]), axis=1)
        m = rows.matrices @ (both[:d] @ both[d:].T).ravel()
        return float((both**2).sum() / 2 - weight @ m / saddle.gamma)

    return (value(h) + value(-h) - 2 * value(0.0)) / h**2


def _timed(p: Prepared, saddle: Saddle, run: Run, steps: list[tuple[Array, Array]]) -> CaseResult:
    """Growth of ln(|y^T Z|/|Z|) per ln S while it is small, against (|G|_op/gamma - 1)/2.

    Read off the added column: the other one settles at its own finite norm meanwhile.
    """
    shares, sizes = [], []
    for flat, _ in steps:
        stack = flat[:-1].reshape(2 * p.case.problem.dim, -1)
        norm = float(np.linalg.norm(stack))
        shares.append(float(abs(saddle.pair @ stack[:, -1])) / norm)
        sizes.append(2 * np.log(norm) + float(flat[-1]))
    share, size = np.array(shares), np.array(sizes)
    linear = np.flatnonzero(share > _LINEAR)
    end = int(linear[0]) if len(linear) else len(share)
    if not run.fidelity.ok:
        reason = f"fidelity: {run.fidelity.fault}"
        return result(p.case, Outcome.INCONCLUSIVE, reason, p.margins, informative=False)
    if end < 3 or len(linear) == 0:
        reason = "the run did not leave the saddle within its steps"
        return result(p.case, Outcome.INCONCLUSIVE, reason, p.margins, informative=False)
    slope = float(np.log(share[end - 1] / share[0]) / (size[end - 1] - size[0]))
    error = abs(2 * slope / saddle.excess - 1)
    bend = abs(curvature(p.case.problem, saddle) + saddle.excess) / (1 + saddle.excess)
    measured = [
        Measurement("rate of leaving the saddle, relative error", error, RATE_TOLERANCE, _RATE),
        Measurement("curvature along the added column, relative error", bend, 1e-10, _BEND),
    ]
    return decide(p.case, p.margins, measured, True)


RATE_TOLERANCE = 5e-3
_RATE = (
    f"neglected: terms of the square of the share, {_LINEAR**2:g} at the end, and what a finite "
    f"norm changes in p, ln(1/p)/margin, 30/{_MARGIN:g} for the smallest p at the start"
)
_BEND = "rounding of a second difference at step 1/2 of numbers of order 1"
