"""From a run to an outcome: what a limit claim says, decided by certificates alone.

HELD: the margin, recomputed from raw tokens in rationals, is within tolerance of the
certified optimum.  FALSIFIED: the run closes on a *named other* problem whose whole
eps-optimal set misses the claimed margin, by an interval.  Anything else is not decided.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from checks import audit, rivals, svm
from checks.certificates import OracleFailure, certify
from checks.flow.orbit import Status
from checks.frames import Alignment
from checks.outcomes import Measurement, Optimum, Outcome
from checks.problems import Array, AttentionProblem, Constraints, Start, constraints_of
from checks.rounding import Norm
from checks.runs import Run
from checks.solutions import WIDEST, grade
from checks.svm import SvmSolution
from checks.tolerances import EPS, Tolerance

MISS = 10.0
"""A rival's eps-optimal set must miss the claimed margin by more than this many eps."""
RIVAL: dict[Norm, Norm] = {
    "l1": "l2", "l2": "l1", "nuclear": "frobenius", "frobenius": "nuclear",
}  # fmt: skip
"""The norm that a claim about a norm must be told from."""
INFORMATIVE_GAP = 0.1
"""The start's own gap in the claimed norm, at least: no start that is already the answer."""
INFORMATIVE_RIVAL = 0.05
"""By how much the rival norm's optimum must miss the claimed margin."""


@dataclass(frozen=True)
class Rival:
    """Another problem that the run might solve instead; name it in words."""

    name: str
    solution: SvmSolution


@dataclass(frozen=True)
class Judged:
    """Outcome of one run under one limit claim, with the certificate that decides it."""

    outcome: Outcome
    reason: str
    measurements: tuple[Measurement, ...] = ()
    lower: float = np.nan
    upper: float = np.nan
    """min margin/claimed norm from below, N°(G(p)) from above: from raw tokens."""
    optima: tuple[Optimum, ...] = ()
    """Those it was judged by, where the caller does not know them."""


def dual_triples(problem: AttentionProblem, p: Array) -> list[tuple[int, int, float]]:
    """(sample, token, weight) of the positive entries of p (n, L)."""
    return [(int(i), int(t), float(p[i, t])) for i, t in zip(*np.nonzero(p > 0), strict=True)]


def from_raw(run: Run, norm: Norm, weights: Array | None = None) -> tuple[float, float]:
    """(lower, upper) on gamma* of the selected tokens, recomputed by ``audit`` (rationals)."""
    p = run.dual_weights
    return audit.gap_from_raw(
        run.problem.tokens.tolist(),
        run.problem.queries.tolist(),
        run.problem.scores.tolist(),
        run.selected.tolist(),
        (run.direction if weights is None else weights).tolist(),
        dual_triples(run.problem, p),
        norm,
    )


def certificate(run: Run, norm: Norm, gap: float) -> dict[str, Any]:
    """The record that ``marginflow audit`` re-verifies, floats as hex."""
    return {
        "norm": norm,
        "selected": run.selected.tolist(),
        "primal": [_hex(row) for row in run.direction],
        "dual": [
            {"sample": i, "token": token, "weight": w.hex()}
            for i, token, w in dual_triples(run.problem, run.dual_weights)
        ],
        "gap": float(gap).hex(),
    }


def _hex(value: Any) -> Any:
    return float(value).hex() if np.ndim(value) == 0 else [_hex(v) for v in value]


def unresolved(run: Run) -> tuple[Outcome, str] | None:
    """Why a run decides nothing about its limit: fidelity, or an unfinished selection."""
    if not run.fidelity.ok:
        return Outcome.INCONCLUSIVE, f"fidelity: {run.fidelity.fault}"
    unsettled = (Status.UNSETTLED, Status.RESURGENT, Status.FLAT)
    if not run.settled or run.status in unsettled:
        return Outcome.INCONCLUSIVE, f"{run.status.word}: {run.status.advice}"
    if not run.reached:
        return Outcome.VACUOUS, "infimum-reached is unmet: a sample settled on another token"
    return None


def judge(run: Run, claimed: SvmSolution, others: Sequence[Rival], tolerance: Tolerance) -> Judged:
    """Does the run's direction attain the optimal margin of ``claimed``?"""
    stopped = unresolved(run)
    if stopped is not None:
        return Judged(*stopped)
    return compare(run, claimed, others, tolerance, constraints_of(run.problem))


def compare(
    run: Run,
    claimed: SvmSolution,
    others: Sequence[Rival],
    tolerance: Tolerance,
    constraints: Constraints,
) -> Judged:
    """The run's direction against an optimum of ``constraints``, those of its own tokens."""
    lower, upper = from_raw(run, claimed.norm)
    gap = 1 - claimed.lower * lower  # optimum >= claimed.lower: the gap from above
    measured = Measurement("margin gap", gap, tolerance.value, tolerance.because)
    if gap < -tolerance.value:
        # Two certificates that exclude each other: limit.trajectory-certificate is the claim
        # that this falsifies; a margin beyond the optimum is no evidence for the optimum.
        reason = "the run's margin exceeds the solver's certified optimum"
        return Judged(Outcome.INCONCLUSIVE, reason, (measured,), lower, upper)
    if upper * claimed.upper < 1 - EPS:  # both rigorous; the product is rounded
        reason = "the run's dual bound is below the solver's certified optimum"
        return Judged(Outcome.INCONCLUSIVE, reason, (measured,), lower, upper)
    if gap <= tolerance.value:
        return Judged(Outcome.HELD, "", (measured,), lower, upper)
    for rival in others:
        refuted = _refutation(run, claimed, rival, constraints, tolerance.value)
        if refuted:
            return Judged(Outcome.FALSIFIED, refuted, (measured,), lower, upper)
    reason = f"{run.status.word}: {run.status.advice}"
    return Judged(
        Outcome.INCONCLUSIVE, f"the margin gap is open ({reason})", (measured,), lower, upper
    )


def _refutation(
    run: Run, claimed: SvmSolution, rival: Rival, constraints: Constraints, eps: float
) -> str:
    """The sentence that refutes the claim by this rival; empty where it does not."""
    reached, _ = from_raw(run, rival.solution.norm)
    closes = rivals.eps_reached(rival.solution, reached)
    if closes > eps:
        return ""
    if reached * rival.solution.lower > 1 + eps:
        return ""  # beyond the best of that problem: not one of its weights, wherever it goes
    needed = claimed.upper * (1 + MISS * eps)
    try:
        floor = rivals.eps_optimal_floor(
            constraints, rival.solution, closes, claimed.norm, enough=np.nextafter(needed, np.inf)
        )
    except OracleFailure:
        return ""
    if floor <= needed:
        return ""
    return f"the run closes on {rival.name} instead, whose optimum misses the claimed margin"


def solutions(
    problem: AttentionProblem, norms: Sequence[Norm], alignment: Alignment | None = None
) -> tuple[dict[str, SvmSolution], str]:
    """SVM solutions by norm; or why there are none: "not separable" or the oracle's words."""
    constraints = constraints_of(problem)
    found: dict[str, SvmSolution] = {}
    for norm in norms:
        try:
            found[norm] = solution(constraints, norm, alignment, problem.optimal)
        except svm.NotSeparable:
            return {}, NOT_SEPARABLE
        except OracleFailure as failure:
            return found, f"oracle: {failure}"
    return found, ""


def solution(
    constraints: Constraints, norm: Norm, alignment: Alignment | None, selected: Array
) -> SvmSolution:
    """The SVM solution of these constraints, which are those of the ``selected`` tokens.

    alignment: of an aligned case.  Its nuclear and Frobenius optima are those of the diagonal
    form, l1 and l2, carried back and certified on the full problem's own constraints: ten times
    quicker than the direct oracle, which would do as well.
    Raises OracleFailure, NotSeparable among them.
    """
    if alignment is None:
        return svm.solve_svm(constraints, norm)
    return _carried(constraints, norm, alignment, selected[:: alignment.copies])


_DIAGONAL_FORM: dict[Norm, Norm] = {"nuclear": "l1", "frobenius": "l2"}


def _carried(
    constraints: Constraints, norm: Norm, alignment: Alignment, selected: Array
) -> SvmSolution:
    """The optimum of the diagonal form as a proven interval of the full problem.

    selected: tokens of the diagonal form's samples.  A Farkas vector of the diagonal form,
    shared among the copies, is one of the full problem: sum_r y_r G_r is diagonal in the
    frames, and that diagonal is A^T y.
    """
    short = constraints_of(alignment.problem, selected)
    form = svm.solve_svm(short, _DIAGONAL_FORM[norm])
    weights = alignment.lift(form.solution)
    multipliers = alignment.spread(form.multipliers, short, constraints)
    interval = certify(constraints, norm, weights, multipliers)
    if interval.width > WIDEST:
        raise OracleFailure(f"{norm}: interval too wide ({interval.width:.1e})")
    return replace(
        form,
        norm=norm,
        solution=weights,
        multipliers=multipliers,
        lower=interval.lower,
        upper=interval.upper,
        optimum=(interval.lower + interval.upper) / 2,
        proof="rigorous",
        unique="proved" if norm == "frobenius" else "undetermined",
        active=alignment.spread(form.active.astype(float), short, constraints) > 0,
        status=grade(interval),
        fraction=None,
    )


NOT_SEPARABLE = "not separable"


def frozen_orthant(start: Start) -> Array | None:
    """(d,) sign of every beta_j that c_j = 0 freezes, 0 where free, nan where dead; else None."""
    if start.key is None or start.query is None or start.key.ndim != 1:
        return None
    plus, minus = start.key + start.query, start.key - start.query
    sign = np.where(minus == 0, 1.0, np.where(plus == 0, -1.0, 0.0))
    sign = np.where((plus == 0) & (minus == 0), np.nan, sign)
    return sign if (np.isnan(sign) | (sign != 0)).any() else None


def start_gap(
    problem: AttentionProblem,
    start: Start,
    claimed: SvmSolution,
    selected: Array | None = None,
) -> float:
    """1 - margin/gamma* of the start's own direction in the claimed norm (1 for W = 0).

    selected (n,): tokens whose problem ``claimed`` solves; default: the optimal ones.
    """
    weights = start.weights
    constraints = constraints_of(problem, selected)
    full = weights.ndim == 2
    margins = (constraints.matrices if full else constraints.rows) @ weights.ravel()
    norm = norm_of(weights, claimed.norm)
    return float(1 - claimed.optimum * margins.min() / norm) if norm > 0 else 1.0


def gap_of_direction(run: Run, claimed: SvmSolution) -> float:
    """1 - optimum * margin/N of the final direction, for the optimal tokens (float64)."""
    return start_gap(run.problem, Start.combined(run.direction, run.problem.dim), claimed)


def norm_of(weights: Array, norm: str) -> float:
    """N(W) in float64."""
    if norm == "l1":
        return float(np.abs(weights).sum())
    if norm in ("l1.5", "l3"):
        return float(np.linalg.norm(weights, float(norm[1:])))
    if norm == "nuclear":
        return float(np.linalg.svd(weights, compute_uv=False).sum())
    return float(np.sqrt((weights * weights).sum()))


def stays(run: Run, solution: SvmSolution) -> bool:
    """Is the selection settled for good (THEORY.md 5)?  At the selected problem's solution,
    tokens of higher score have margin > 1 strictly, tied ones > 0."""
    problem = run.problem
    x, z, scores = problem.tokens, problem.queries, problem.scores
    own = np.take_along_axis(scores, run.selected[:, None], axis=1)
    delta = np.take_along_axis(x, run.selected[:, None, None], axis=1) - x
    w: Array = solution.solution
    moved = z * w if w.ndim == 1 else z @ w.T
    margins = (delta * moved[:, None, :]).sum(-1)
    slack = 1e-9 * (1 + np.abs(delta).sum(-1) * np.abs(moved).sum(-1, keepdims=True))
    tied = scores == own
    np.put_along_axis(tied, run.selected[:, None], False, axis=1)
    higher_ok = (margins > 1 + slack) | (scores <= own)
    return bool(higher_ok.all() and (margins > slack)[tied].all())


def discriminates(constraints: Constraints, claimed: SvmSolution, rival: SvmSolution) -> bool:
    """Does the rival's whole optimal set miss the claimed margin by >= 5 %, proved?"""
    needed = claimed.upper / (1 - INFORMATIVE_RIVAL)
    if norm_of(rival.solution, claimed.norm) < needed:  # a member, but for rounding: no proof
        return False
    try:
        floor = rivals.eps_optimal_floor(constraints, rival, 1e-9, claimed.norm, enough=needed)
    except OracleFailure:
        return False
    return floor >= needed
