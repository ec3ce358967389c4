"""``marginflow check``: the theorem judged on one problem file of a user's own."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from checks import assumptions, judging, own_page, recognise, runs, svm, tolerances
from checks.budgets import PROFILES
from checks.certificates import OracleFailure
from checks.flow.orbit import Status
from checks.judging import Judged, Rival
from checks.outcomes import SCHEMA, Outcome
from checks.problem_files import read_problem, select_model
from checks.problems import AttentionProblem, BadInput, Constraints, Model, Start
from checks.problems import constraints_of as constraints_of_tokens
from checks.recognise import Frames, aligned_frames
from checks.rounding import Norm
from checks.runs import Run
from checks.separability import separability
from checks.svm import SvmSolution

DEFAULT_STARTS = 8
LARGEST = {"dim": 64, "constraints": 200}
"""Sizes the engine and the oracles are built for (THEORY.md 6.5); larger ones are refused."""


@dataclass(frozen=True)
class _Subject:
    """The problem under its model: constraints, norm, and the certified optimum if any."""

    problem: AttentionProblem
    model: Model
    norm: Norm
    constraints: Constraints
    answer: str
    solution: SvmSolution | None
    failure: str


def check(
    path: Path,
    model: str | None = None,
    starts: int | None = None,
    seed: int = 0,
    pictures: bool = False,
) -> dict[str, Any]:
    """The object of ``check --json`` (DESIGN.md); with ``pictures`` also what only its page
    shows, under ``page``: a few runs are made again for it.

    Raises BadInput, one line, for a file or an option that nothing can be judged on.
    """
    file = read_problem(path)
    chosen = select_model(file, cast("Model | None", model))
    drawn = starts if starts is not None else (0 if file.start else DEFAULT_STARTS)
    given = [file.start] if file.start is not None else []
    if not given and drawn == 0:
        raise BadInput(f"{path}: no start in the file and --starts 0: nothing to run")
    problem = file.problem
    refuse_size(problem, path)
    full = chosen == "factored" or (
        chosen == "combined" and (file.start is None or file.start.weights.ndim == 2)
    )
    subject = _subject(problem, chosen, full)
    columns = problem.dim if file.start is None else _columns(file.start)
    everything = [*given, *draw_starts(problem, chosen, full, columns, drawn, seed)]
    begun = time.monotonic()
    followed = runs.follow([problem] * len(everything), everything, PROFILES["quick"].settings,
                           audited=1.0)  # fmt: skip
    seconds = (time.monotonic() - begun) / len(everything)
    records = [_run(subject, run, seconds) for run in followed]
    extra: dict[str, Any] = {}
    if pictures:
        extra["page"] = own_page.pictures(
            problem, everything, followed, subject.solution, PROFILES["quick"].settings
        )
    return {
        "schema": SCHEMA,
        "file": str(path),
        "model": chosen,
        "problem": {
            "samples": problem.samples,
            "tokens": problem.length,
            "dim": problem.dim,
            "constraints": len(subject.constraints),
            "separability": subject.answer,
            "optimal_unique": problem.optimal_lead > 0,
        },
        "svm": _svm(subject),
        "runs": records,
        "outcome": _outcome([record["outcome"] for record in records]),
        "ignored": list(file.ignored),
        "assumptions": own_page.audit(problem, everything, subject.solution, subject.answer),
        **extra,
    }


def refuse_size(problem: AttentionProblem, path: Path) -> None:
    """Raises BadInput for a problem larger than what the engine and the oracles are made for."""
    rows = problem.samples * (problem.length - 1)
    for name, size in (("dim", problem.dim), ("constraints", rows)):
        if size > LARGEST[name]:
            raise BadInput(f"{path}: {size} {name}; at most {LARGEST[name]} can be checked")


def _columns(start: Start) -> int:
    return start.key.shape[1] if start.key is not None and start.key.ndim == 2 else 0


def draw_starts(
    problem: AttentionProblem, model: Model, full: bool, columns: int, count: int, seed: int
) -> list[Start]:
    """Random starts of scale 0.3, from Philox keyed by problem and seed.

    Diagonal ones have c_j = |k_j^2 - q_j^2|/2 > 0 by construction: |k_j| >= |q_j| + 0.05.
    """
    key = hashlib.sha256(f"{problem.id}\0{model}\0{seed}".encode()).digest()[:16]
    rng = np.random.Generator(np.random.Philox(key=np.frombuffer(key, "<u8")))
    d = problem.dim
    out = []
    for _ in range(count):
        if model == "diagonal":
            query = 0.3 * rng.standard_normal(d)
            size = np.abs(query) + 0.05 + 0.3 * np.abs(rng.standard_normal(d))
            out.append(Start.diagonal(size * rng.choice([-1.0, 1.0], d), query, d))
        elif model == "combined":
            shape = (d, d) if full else (d,)
            out.append(Start.combined(0.3 * rng.standard_normal(shape), d))
        else:
            left, right = 0.3 * rng.standard_normal((2, d, columns or d))
            out.append(Start.factored(left, right, d))
    return out


def _subject(problem: AttentionProblem, model: Model, full: bool) -> _Subject:
    norms: dict[Model, Norm] = {
        "diagonal": "l1", "factored": "nuclear", "combined": "frobenius" if full else "l2",
    }  # fmt: skip
    norm = norms[model]
    constraints = constraints_of_tokens(problem)
    answer = separability(constraints, full).answer
    solution, failure = None, ""
    if answer == "separable" and len(constraints):
        try:
            solution = svm.solve_svm(constraints, norm)
        except OracleFailure as error:
            failure = f"oracle: {error}"
    return _Subject(problem, model, norm, constraints, answer, solution, failure)


def _svm(subject: _Subject) -> dict[str, Any] | None:
    s = subject.solution
    if s is None:
        return None
    return {
        "norm": s.norm,
        "optimum": s.optimum,
        "lower": s.lower,
        "upper": s.upper,
        "proof": s.proof,
        "unique": s.unique,
        "width": s.width,
        "status": s.status,
        "solver": s.solver,
        "exact": _exact(s),
        "solution": s.solution.tolist(),
    }


LONGEST = 2000
"""Digits of a numerator or denominator beyond which an exact value is left out: a page long."""


def _exact(solution: SvmSolution) -> dict[str, str] | None:
    """The optimum (l1), or its square, as a fraction in decimal digits; None where not known."""
    value = solution.value
    # Ten bits make three digits and a little.
    if value is None or max(value.numerator, value.denominator).bit_length() > LONGEST // 3 * 10:
        return None
    return {"of": "optimum" if solution.norm == "l1" else "square", "value": str(value)}


def _outcome(words: list[str]) -> str:
    """falsified if any is, else inconclusive if any, else held if any held, else vacuous."""
    return next((w for w in ("falsified", "inconclusive", "held") if w in words), "vacuous")


def _frames(subject: _Subject, start: Start) -> Frames | None:
    """The frames of an aligned start of key and query matrices; None for any other."""
    return aligned_frames(subject.problem, start) if subject.model == "factored" else None


def _assumed(subject: _Subject, start: Start) -> str:
    """The first assumption on problem or start that is unmet; empty where all are met."""
    keys = ["optimal-unique", "realisable"]
    if subject.model == "diagonal":
        keys.append("nonzero-invariant")
    margins = {key: assumptions.BEFORE[key](subject.problem, start) for key in keys}
    frames = _frames(subject, start)
    if frames is not None:  # the same assumption, in the frames of an aligned start
        margins["nonzero-invariant"] = frames.invariant(subject.problem) - recognise.ALIGNED
    missing = next((key for key, margin in margins.items() if not margin > 0), "")
    return missing or ("separable" if subject.answer == "non-separable" else "")


def _run(subject: _Subject, run: Run, seconds: float) -> dict[str, Any]:
    judged = _judge(subject, run)
    selected, selected_outcome = _selected(subject, run)
    finite = run.settled and run.dual_weights.sum() > 0
    margin_gap = None
    if subject.solution is not None and finite:
        margin_gap = judging.gap_of_direction(run, subject.solution)
    selected_gap = dual_gap = None
    if selected is not None and finite:
        lower, upper = judging.from_raw(run, subject.norm)
        selected_gap, dual_gap = 1 - selected.optimum * lower, selected.optimum * upper - 1
    return {
        "outcome": judged.outcome.word,
        "reason": _reason(subject, run, judged),
        "reached_infimum": run.reached,
        "selected_tokens": run.selected.tolist(),
        "margin_gap": margin_gap,
        "selected_margin_gap": selected_gap,
        "selected_outcome": selected_outcome,
        "dual_gap": dual_gap,
        "direction": run.direction.tolist(),
        "log_norm": run.log_norm,
        "log_time": run.log_time,
        "conservation_drift": run.fidelity.drift,
        "fidelity": {
            "ok": run.fidelity.ok,
            "local_error": run.fidelity.worst_error,
            "audited": run.fidelity.audited,
            "deviation": run.fidelity.deviation,
            "fault": run.fidelity.own or run.fidelity.fault,
        },
        "attention": own_page.attention(run),
        "steps": run.steps,
        "seconds": seconds,
    }


def _judge(subject: _Subject, run: Run) -> Judged:
    """S2 on this run: vacuous where an assumption is unmet, the infimum's among them."""
    missing = _assumed(subject, run.start)
    if missing:
        return Judged(Outcome.VACUOUS, f"{missing} is unmet")
    if subject.failure or subject.answer == "undecided":
        return Judged(Outcome.INCONCLUSIVE, subject.failure or "separability is undecided")
    assert subject.solution is not None
    others = []
    try:
        rival = svm.solve_svm(subject.constraints, judging.RIVAL[subject.norm])
        others.append(Rival(f"the {rival.norm} problem", rival))
    except OracleFailure:
        pass  # without a rival nothing can be falsified by it; the rest stands
    tolerance = tolerances.margin_gap(PROFILES["quick"].settings)
    return judging.judge(run, subject.solution, others, tolerance)


def _reason(subject: _Subject, run: Run, judged: Judged) -> str:
    parts = [judged.reason] if judged.reason else []
    if subject.model == "factored":
        frames = _frames(subject, run.start)
        parts.append(
            "unaligned factored weights: a frontier claim, no theorem (THEORY.md 4)"
            if frames is None
            else f"aligned start, off-diagonal part {frames.misalignment:.1g}: S6 is judged"
        )
    if subject.solution is not None:
        gap = judging.start_gap(run.problem, run.start, subject.solution)
        if gap < judging.INFORMATIVE_GAP:
            parts.append(f"not informative: the start's own gap is {gap:.3g}")
        else:
            parts.append(f"the start's own gap is {gap:.3g}")
    return "; ".join(parts)


def _selected(subject: _Subject, run: Run) -> tuple[SvmSolution | None, str | None]:
    """The problem of the tokens the run selected, and the outcome of the selection claim."""
    constraints = constraints_of_tokens(run.problem, run.selected)
    if not run.settled or len(constraints) == 0:
        return None, None
    try:
        solution = svm.solve_svm(constraints, subject.norm)
    except OracleFailure:
        return None, Outcome.INCONCLUSIVE.word
    if not run.dual_weights.sum() > 0:  # saturated from the start: nothing pushes, or is bounded
        return solution, Outcome.INCONCLUSIVE.word
    lower, _ = judging.from_raw(run, subject.norm)
    gap = 1 - solution.lower * lower
    tolerance = tolerances.margin_gap(PROFILES["quick"].settings).value
    unfinished = run.status is Status.RESURGENT or not run.fidelity.ok
    held = -tolerance <= gap <= tolerance and not unfinished and judging.stays(run, solution)
    return solution, (Outcome.HELD if held else Outcome.INCONCLUSIVE).word


def summary(result: dict[str, Any]) -> str:
    """The result in a few lines for a terminal."""
    p, s = result["problem"], result["svm"]
    lines = [
        f"{result['file']}: {result['outcome']}",
        f"  model {result['model']}; {p['samples']} samples, {p['tokens']} tokens, dimension "
        f"{p['dim']}, {p['constraints']} constraints",
        f"  {p['separability']}; optimal tokens {'' if p['optimal_unique'] else 'NOT '}unique",
    ]
    if s is not None:
        lines += [
            f"  {s['norm']} SVM: smallest norm at margin 1 is {s['optimum']:.12g}, in "
            f"[{s['lower']:.17g}, {s['upper']:.17g}]",
            f"  proof: {s['proof']}, relative width {s['width']:.1e} ({s['status']}), proposed by "
            f"{s['solver']}; solution unique: {s['unique']}",
        ]
    for index, run in enumerate(result["runs"]):
        gap = "-" if run["margin_gap"] is None else f"{run['margin_gap']:.2e}"
        lines.append(
            f"  run {index}: {run['outcome']:12} tokens {run['selected_tokens']} margin gap {gap} "
            f"ln norm {run['log_norm']:.1f}; selection {run['selected_outcome']}; {run['reason']}"
        )
    if result["ignored"]:
        lines.append(f"  ignored arrays: {', '.join(result['ignored'])}")
    return "\n".join(lines)
