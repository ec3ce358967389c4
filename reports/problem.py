"""The page of one problem: what ``marginflow check --html`` writes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from checks.outcomes import Outcome, finite
from reports.evidence import Curve, outcome_of, require_schema
from reports.fields import Fields
from reports.page import render, write
from reports.standing import STANDINGS

_NUMBERS = (
    "margin_gap",
    "selected_margin_gap",
    "dual_gap",
    "log_norm",
    "log_time",
    "conservation_drift",
)


@dataclass(frozen=True)
class ProblemRun:
    """One run of the flow; numbers are None where they were not finite or do not apply."""

    outcome: Outcome
    selected_outcome: str
    reason: str
    reached_infimum: bool | None
    selected_tokens: tuple[str, ...]
    numbers: dict[str, float | None]
    steps: int | None
    seconds: float | None
    fidelity: str

    @classmethod
    def of(cls, fields: Fields) -> ProblemRun:
        tokens = fields.data.get("selected_tokens")
        return cls(
            outcome=outcome_of(fields),
            selected_outcome=fields.text("selected_outcome"),
            reason=fields.text("reason"),
            reached_infimum=fields.flag("reached_infimum"),
            selected_tokens=() if not isinstance(tokens, list) else tuple(map(str, tokens)),
            numbers={name: fields.number(name) for name in _NUMBERS},
            steps=fields.integer("steps"),
            seconds=fields.number("seconds"),
            fidelity=_words(fields.data.get("fidelity")),
        )


def problem_page(result: dict[str, Any], destination: Path) -> Path:
    """Write the page of one ``check --json`` object (DESIGN.md) to ``destination``.

    ``result`` may carry ``curves`` beside the documented fields, as in an evidence file.
    Raises BadReport (a ValueError, one line) if a field is not of the documented type.
    """
    fields = Fields.of(finite(result), "the result of check")
    require_schema(fields)
    problem, svm = fields.inner("problem"), fields.inner("svm")
    outcome = outcome_of(fields)
    page = render(
        "problem.html.j2",
        file=fields.text("file"),
        model=fields.text("model"),
        outcome=outcome,
        standing=STANDINGS[outcome.word],
        standing_of=STANDINGS.get,
        problem=None if problem is None else _problem(problem),
        svm=None if svm is None else _svm(svm),
        runs=fields.each("runs", ProblemRun.of),
        curves=fields.each("curves", Curve.of),
    )
    return write(Path(destination), page)


def _problem(fields: Fields) -> dict[str, Any]:
    sizes = {name: fields.integer(name) for name in ("samples", "tokens", "dim", "constraints")}
    return {
        **sizes,
        "separability": fields.text("separability"),
        "optimal_unique": fields.flag("optimal_unique"),
    }


def _svm(fields: Fields) -> dict[str, Any]:
    return {
        **{name: fields.text(name) for name in ("norm", "proof", "unique", "status", "solver")},
        **{name: fields.number(name) for name in ("optimum", "lower", "upper", "width")},
        "solution": _words(fields.data.get("solution")),
    }


def _words(value: object) -> str:
    """A nested value as short text: numbers to four figures, at most 400 characters."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list):
        said = "(" + ", ".join(_words(v) or "–" for v in value) + ")"
    elif isinstance(value, dict):
        said = ", ".join(f"{k}: {_words(v) or '–'}" for k, v in value.items())
    else:
        said = str(value)
    return said if len(said) <= 400 else said[:399] + "…"
