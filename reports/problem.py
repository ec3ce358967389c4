"""The page of one problem: what ``marginflow check --html`` writes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from checks.outcomes import Outcome, finite
from reports.evidence import outcome_of, require_schema
from reports.fields import Fields
from reports.figures import CloseUp, Curve, Phase
from reports.page import render, write
from reports.standing import STANDINGS
from reports.text import number, plural

_NUMBERS = (
    "margin_gap",
    "selected_margin_gap",
    "dual_gap",
    "log_norm",
    "log_time",
    "conservation_drift",
)


@dataclass(frozen=True)
class Audited:
    """One assumption with its signed margins: one of the problem, or one a start.

    met: None where undecided.
    """

    key: str
    statement: str
    latex: str
    scope: str
    margins: tuple[float | None, ...]
    met: bool | None

    @classmethod
    def of(cls, fields: Fields) -> Audited:
        return cls(
            fields.text("key"),
            fields.text("statement"),
            fields.text("latex"),
            fields.text("scope"),
            tuple(fields.numbers("margins")),
            fields.flag("met"),
        )

    @property
    def least(self) -> float | None:
        return min((m for m in self.margins if m is not None), default=None)


@dataclass(frozen=True)
class Attention:
    """Attention on each sample's optimal token before and after a run."""

    optimal: tuple[str, ...]
    before: tuple[float | None, ...]
    after: tuple[float | None, ...]

    @classmethod
    def of(cls, fields: Fields) -> Attention:
        optimal, before, after = (
            fields.labels("optimal"), fields.numbers("before"), fields.numbers("after"),
        )  # fmt: skip
        if not len(optimal) == len(before) == len(after):
            raise fields.bad("after", "as long as 'optimal' and 'before'")
        return cls(optimal, tuple(before), tuple(after))


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
    attention: Attention | None

    @classmethod
    def of(cls, fields: Fields) -> ProblemRun:
        tokens, attention = fields.data.get("selected_tokens"), fields.inner("attention")
        return cls(
            outcome=outcome_of(fields),
            selected_outcome=fields.text("selected_outcome"),
            reason=fields.text("reason"),
            reached_infimum=fields.flag("reached_infimum"),
            selected_tokens=() if not isinstance(tokens, list) else tuple(map(str, tokens)),
            numbers={name: fields.number(name) for name in _NUMBERS},
            steps=fields.integer("steps"),
            seconds=fields.number("seconds"),
            fidelity=_fidelity(fields.data.get("fidelity")),
            attention=None if attention is None else Attention.of(attention),
        )


def problem_page(result: dict[str, Any], destination: Path) -> Path:
    """Write the page of one ``check --json`` object (DESIGN.md) to ``destination``.

    ``result`` may carry ``page`` beside the documented fields: ``curves``, ``close_ups`` and
    ``phase`` as in an evidence file.
    Raises BadReport (a ValueError, one line) if a field is not of the documented type.
    """
    fields = Fields.of(finite(result), "the result of check")
    require_schema(fields)
    problem, svm = fields.inner("problem"), fields.inner("svm")
    outcome = outcome_of(fields)
    drawn = fields.inner("page") or Fields({}, fields.where)
    phase = drawn.inner("phase")
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
        audited=fields.each("assumptions", Audited.of),
        curves=drawn.each("curves", Curve.of),
        close_ups=drawn.each("close_ups", CloseUp.of),
        phase=None if phase is None else Phase.of(phase),
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


def _fidelity(value: object) -> str:
    """A run's fidelity record in a sentence; whatever else it is, in short."""
    if not isinstance(value, dict) or not value.keys() >= {"ok", "local_error", "audited"}:
        return _words(value)
    fields = Fields(value, "fidelity")
    said = [
        "met" if value["ok"] is True else "not met",
        f"largest local error {number(fields.number('local_error'), 2)} of its bound",
        f"{plural(fields.count('audited'), 'stretch', 'stretches')} audited",
    ]
    if fields.number("deviation") is not None:
        said.append(f"largest deviation {number(fields.number('deviation'), 2)} of its bound")
    if fields.text("fault"):
        said.append(fields.text("fault"))
    return "; ".join(said)


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
