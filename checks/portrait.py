"""A case looked at closely: its curves along the flow, and phase portraits in few dimensions.

Runs made again for the eye: nothing here enters a verdict.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from scipy.interpolate import PchipInterpolator

from checks import svm
from checks.cases import Case
from checks.certificates import OracleFailure
from checks.faces import Plane, plane_of
from checks.flow import integrate
from checks.flow.settings import Settings
from checks.judging import norm_of
from checks.problems import Array, AttentionProblem, Start, constraints_of
from checks.rounding import Norm
from checks.svm import SvmSolution
from checks.track import Path, Track

TIGHT = 0.1
"""Tolerance of the second run of each row, relative to the first: their distance is drawn."""
SHOWN = 6
"""Lines of one quantity in a plot: samples, coordinates or singular values."""
FIGURES = 7
"""Significant figures kept of what is only drawn."""


@dataclass(frozen=True)
class Portrait:
    """One run and, where there is one, its twin at a tenth of the tolerance.

    solution: the margin problem of the tokens that the run selected, in its own norm; None
    where they constrain nothing, do not separate, or the oracle failed.
    """

    problem: AttentionProblem
    start: Start
    norm: Norm
    selected: Array
    settled: bool
    path: Path | None
    twin: Path | None
    solution: SvmSolution | None

    @property
    def reached(self) -> bool:
        """Did every sample settle on its optimal token?"""
        return self.settled and bool((self.selected == self.problem.optimal).all())


def subject(case: Case) -> tuple[AttentionProblem, Start]:
    """What is integrated for a case: copies of aligned data in their aligned coordinates."""
    form = case.alignment
    if form is not None and form.copies > 1 and form.start is not None:
        return form.problem, form.start
    return case.problem, case.start


def portraits(
    problems: Sequence[AttentionProblem],
    starts: Sequence[Start],
    settings: Settings,
    device: str = "cpu",
    *,
    twins: bool = False,
) -> list[Portrait]:
    """Run a few starts of one shape and model again, in one batch.

    twins: each once more at a tenth of the tolerance, which takes about three times as long.
    """
    count, track = len(problems), Track()
    if count == 0:
        return []
    times = 2 if twins else 1
    orbit = integrate.integrate(
        [*problems] * times, [*starts] * times, settings, [track], device,
        [1.0] * count + [TIGHT] * count * (times - 1),
    )  # fmt: skip
    rows = [p.samples * p.length for p in problems]
    return [
        Portrait(
            problems[i], starts[i], cast("Norm", orbit.norm), orbit.selected[i],
            bool(orbit.settled[i]), track.path(i, rows[i]),
            track.path(count + i, rows[i]) if twins else None,
            _solution(problems[i], orbit.selected[i], cast("Norm", orbit.norm)),
        )
        for i in range(count)
    ]  # fmt: skip


def _solution(problem: AttentionProblem, selected: Array, norm: Norm) -> SvmSolution | None:
    try:
        return svm.solve_svm(constraints_of(problem, selected), norm)
    except (OracleFailure, svm.NotSeparable):
        return None


def curves(portrait: Portrait) -> list[dict[str, Any]]:
    """Plots of one run against ln N(W) and ln t, as evidence: certificate, KKT residuals,
    attention, singular values or coordinates, distance to the twin."""
    if portrait.path is None:
        return []
    path, out = _from_start(portrait.path, portrait), []
    if portrait.solution is not None:
        out += _gaps(path, portrait, portrait.solution)
    out.append(_attention(path, portrait))
    out.append(_spectrum(path, portrait))
    if portrait.twin is not None:
        out.append(_fidelity(path, portrait.twin))
    return [curve for curve in out if curve["series"]]


def _from_start(path: Path, portrait: Portrait) -> Path:
    """The path with the start before it, at t = 0, whose multipliers nobody asked for."""
    weights = portrait.start.weights
    norm = norm_of(weights, portrait.norm)
    if norm == 0:
        return path
    unknown = np.full((1, path.p.shape[1]), np.nan)
    return Path(
        np.append(np.log(norm), path.log_norm),
        np.append(-np.inf, path.log_time),
        np.vstack([weights.reshape(1, -1) / norm, path.weights]),
        np.vstack([unknown, path.p]),
        np.append(np.nan, path.angle),
    )


def _figure(
    name: str, title: str, y_label: str, path: Path, lines: dict[str, Array], *, log: bool
) -> dict[str, Any]:
    """One plot; a line without a single number to draw is left out."""
    series = []
    for label, values in lines.items():
        if (np.isfinite(values) & ((values > 0) | (not log))).any():
            rows = zip(path.log_norm, values, path.log_time, strict=True)
            points = [(_short(x), _short(y), _short(t)) for x, y, t in rows if np.isfinite(x)]
            series.append(
                {"label": label, "points": [p[:2] for p in points],
                 "times": [p[2] for p in points]}
            )  # fmt: skip
    return {"name": name, "title": title, "x_label": "ln N(W)", "y_label": y_label,
            "y_log": log, "series": series}  # fmt: skip


def _short(value: float) -> float:
    return float(f"{value:.{FIGURES}g}")


def _gaps(path: Path, portrait: Portrait, solution: SvmSolution) -> list[dict[str, Any]]:
    """The certificate from both sides, and the KKT residuals of the selected tokens' problem."""
    c = constraints_of(portrait.problem, portrait.selected)
    full = portrait.start.weights.ndim == 2
    rows = c.matrices if full else c.rows
    margins = path.weights @ rows.T
    least = margins.min(axis=1)
    length = portrait.problem.length
    p = np.maximum(path.p[:, c.sample * length + c.token], 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        p = p / p.sum(axis=1, keepdims=True)
        bound = _dual_norm(p @ rows, portrait.norm) * solution.optimum
        slack = np.where(least > 0, (p * (margins / least[:, None] - 1)).sum(axis=1), np.nan)
    floor = np.finfo(np.float64).eps  # what rounding leaves of a difference from 1
    gap, excess = 1 - solution.optimum * least, bound - 1
    return [
        _figure(
            "certificate", "Certificate from both sides", "gap to the best margin, relative", path,
            {"margin of W below it": np.maximum(gap, floor),
             "dual bound of p above it": np.maximum(excess, floor)}, log=True,
        ),
        _figure(
            "kkt", "Certificate and KKT residuals", "residual, relative", path,
            {"stationarity, 1 − cos": np.maximum(path.angle, floor),
             "complementarity": np.maximum(slack, floor),
             "dual: bound of p above the best margin": np.maximum(excess, floor),
             "primal: margin of W below it": np.maximum(gap, floor)}, log=True,
        ),
    ]  # fmt: skip


def _dual_norm(pulls: Array, norm: str) -> Array:
    """N°(G) of flattened rows (k, D); NaN where a row is."""
    if norm == "l1":
        return np.asarray(np.abs(pulls).max(axis=1))
    if norm == "nuclear":
        known = np.isfinite(pulls).all(axis=1)  # LAPACK refuses NaN
        top = np.linalg.norm(_matrices(np.where(known[:, None], pulls, 0)), ord=2, axis=(1, 2))
        return np.where(known, top, np.nan)
    return np.linalg.norm(pulls, axis=1)


def _matrices(rows: Array) -> Array:
    side = round(rows.shape[1] ** 0.5)
    return rows.reshape(-1, side, side)


def attention_paid(problem: AttentionProblem, weights: Array, log_norm: float) -> Array:
    """(n,) softmax attention on each sample's optimal token at W = weights * e^log_norm."""
    delta = np.take_along_axis(problem.tokens, problem.optimal[:, None, None], 1) - problem.tokens
    z = problem.queries
    moved = z * weights if weights.ndim == 1 else z @ weights.T
    margins = (delta * moved[:, None, :]).sum(-1)
    with np.errstate(over="ignore", invalid="ignore"):
        # e^800 overflows to infinity, which is what it is to an exponential; 0 stays 0
        away = np.exp(-np.where(margins == 0, 0.0, margins * np.exp(min(log_norm, 800.0))))
    return np.asarray(1 / away.sum(axis=1))


def _attention(path: Path, portrait: Portrait) -> dict[str, Any]:
    problem, shape = portrait.problem, portrait.start.weights.shape
    paid = np.array(
        [
            attention_paid(problem, w.reshape(shape), ln)
            for w, ln in zip(path.weights, path.log_norm, strict=True)
        ]
    )
    lines = {f"sample {i + 1}": paid[:, i] for i in range(problem.samples)}
    if problem.samples > SHOWN:
        lines = {"least": paid.min(axis=1), "median": np.median(paid, axis=1),
                 "largest": paid.max(axis=1)}  # fmt: skip
    figure = _figure(
        "attention", "Attention on the optimal token", "softmax attention", path, lines, log=False
    )
    return {**figure, "y_range": [0.0, 1.0]}


def _spectrum(path: Path, portrait: Portrait) -> dict[str, Any]:
    if portrait.start.weights.ndim == 2:
        sizes = np.linalg.svd(_matrices(path.weights), compute_uv=False)
        title, label = "Singular values of W", "σ/N(W)"
        names = [f"σ{_subscript(j + 1)}" for j in range(sizes.shape[1])]
    else:
        sizes = np.abs(path.weights)
        title, label = "Coordinates of β", "|β|/N(β)"
        names = [f"|β{_subscript(j + 1)}|" for j in range(sizes.shape[1])]
    order = np.argsort(-sizes[-1], kind="stable")[:SHOWN]
    lines = {names[j]: np.where(sizes[:, j] > 1e-16, sizes[:, j], np.nan) for j in sorted(order)}
    return _figure("spectrum", title, label, path, lines, log=True)


def _subscript(number: int) -> str:
    return str(number).translate(str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉"))


_SAME = 1e-12
"""Relative difference of two log norms that counts as none: 1e4 roundings."""


def _fidelity(path: Path, twin: Path) -> dict[str, Any]:
    """Largest difference of W/N(W) between a run and its twin, at the same norm.

    The twin's moments are others: it is interpolated between them (monotone cubic), so what is
    drawn bounds nothing; the audits behind the verdicts compare step by step.
    """
    # By more than rounding: the slopes between two states that are one overflow.
    highest = np.maximum.accumulate(twin.log_norm)
    growing = np.append(True, np.diff(highest) > _SAME * (1 + np.abs(highest[1:])))
    known, values = twin.log_norm[growing], twin.weights[growing]
    if len(known) < 2:
        return _figure("fidelity", "", "", path, {}, log=True)
    inside = (path.log_norm >= known[0]) & (path.log_norm <= known[-1])
    with np.errstate(over="ignore"):  # it inverts slopes: 1/1e-309 is inf, whose inverse 0 is right
        between = PchipInterpolator(known, values, axis=0)
    at = between(np.clip(path.log_norm, known[0], known[-1]))
    apart = np.where(inside, np.abs(at - path.weights).max(axis=1), np.nan)
    return _figure(
        "fidelity", "Distance to the run at a tenth of the tolerance",
        "largest difference of W/N(W)", path, {"": np.maximum(apart, np.finfo(np.float64).eps)},
        log=True,
    )  # fmt: skip


def phase(
    problem: AttentionProblem, starts: Sequence[Start], settings: Settings, device: str = "cpu"
) -> dict[str, Any] | None:
    """The paths of W/N(W) of vector weights in two or three dimensions, with the optimal face.

    Coordinates that no constraint sees (scores are carried by such a one) are left out.  None
    where more than three, or fewer than two, are seen, or where there is no optimum.
    """
    rows = constraints_of(problem).rows
    seen = np.flatnonzero(np.abs(rows).max(axis=0, initial=0.0) > 0)
    if not 2 <= len(seen) <= 3 or any(start.weights.ndim != 1 for start in starts):
        return None
    drawn = portraits([problem] * len(starts), starts, settings, device)
    solution = next((p.solution for p in drawn if p.reached), None)
    if solution is None:
        return None
    plane = plane_of(rows[:, seen], solution.optimum, solution.norm)
    return _phase_record(plane, seen, drawn)


def _phase_record(plane: Plane, seen: Array, drawn: Sequence[Portrait]) -> dict[str, Any]:
    paths = []
    for portrait in drawn:
        if portrait.path is None:
            continue
        first = portrait.start.weights
        points = np.vstack([first[None], portrait.path.weights])[:, seen]
        points = plane.normalised(points)
        paths.append(
            {"reached": portrait.reached,
             "points": [[_short(v) for v in point] for point in points]}
        )  # fmt: skip
    return {
        "norm": plane.norm,
        "axes": [f"β{_subscript(int(j) + 1)}" for j in seen],
        "face": [[_short(v) for v in vertex] for vertex in plane.face],
        "paths": paths,
    }
