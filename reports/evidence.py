"""One evidence file: schema 1 (additive changes only) is what :class:`Evidence` holds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from checks.outcomes import SCHEMA, Outcome
from reports.fields import BadReport, Fields
from reports.figures import CloseUp, Curve, Grid, Histogram, Phase

KINDS = ("symbolic", "flow", "limit", "rate", "selection", "contrast", "control")
EXPECTATIONS = ("held", "falsified", "open")


@dataclass(frozen=True)
class Dropped:
    """Violators judged without the assumption; worst: what shows the falsified ones wrong."""

    tried: int
    falsified: int
    held: int
    inconclusive: int
    uninformative: int
    worst: float | None
    worst_name: str
    control: str

    @classmethod
    def of(cls, fields: Fields) -> Dropped:
        worst = fields.inner("worst")
        return cls(
            fields.count("tried"),
            fields.count("falsified"),
            fields.count("held"),
            fields.count("inconclusive"),
            fields.count("uninformative"),
            None if worst is None else worst.number("value"),
            "" if worst is None else worst.text("name"),
            fields.text("control"),
        )


@dataclass(frozen=True)
class Assumption:
    """``margins``: signed, positive where met.  ``violators``: (tried, found vacuous)."""

    key: str
    statement: str
    latex: str
    scope: str
    margins: Histogram | None
    violators: tuple[int, int] | None
    dropped: Dropped | None = None

    @classmethod
    def of(cls, fields: Fields) -> Assumption:
        margins, side = fields.inner("margins"), fields.inner("violators")
        dropped = fields.inner("dropped")
        return cls(
            fields.text("key", required=True),
            fields.text("statement"),
            fields.text("latex"),
            fields.text("scope"),
            None if margins is None else Histogram.of(margins),
            None if side is None else (side.count("tried"), side.count("vacuous")),
            None if dropped is None else Dropped.of(dropped),
        )


@dataclass(frozen=True)
class ToleranceUsed:
    """One tolerance and the claim's outcome had it been half or double ("" if unknown)."""

    name: str
    value: float | None
    because: str
    at_half: str
    at_double: str

    @property
    def halved_and_doubled(self) -> tuple[str, str]:
        return self.at_half, self.at_double

    @classmethod
    def of(cls, fields: Fields) -> ToleranceUsed:
        return cls(
            fields.text("name"),
            fields.number("value"),
            fields.text("because"),
            fields.text("at_half"),
            fields.text("at_double"),
        )


@dataclass(frozen=True)
class ShownCase:
    """A case by its worst measurement.  ratio None: infinite.  data: its arrays, or None."""

    name: str
    value: float | None
    tolerance: float | None
    ratio: float | None
    because: str
    file: str
    command: str
    data: dict[str, Any] | None

    @classmethod
    def of(cls, fields: Fields) -> ShownCase:
        data = fields.inner("data")
        return cls(
            fields.text("name"),
            fields.number("value"),
            fields.number("tolerance"),
            fields.number("ratio"),
            fields.text("because"),
            fields.text("file"),
            fields.text("command"),
            None if data is None else data.data,
        )


@dataclass(frozen=True)
class Fidelity:
    """How far the runs may be trusted: local errors over their bound, and what was audited."""

    runs: int
    audited: int
    stretches: int
    local_error: float | None
    deviation: float | None
    errors: Histogram | None

    @classmethod
    def of(cls, fields: Fields) -> Fidelity:
        errors = fields.inner("errors")
        return cls(
            fields.count("runs"),
            fields.count("audited"),
            fields.count("stretches"),
            fields.number("local_error"),
            fields.number("deviation"),
            None if errors is None else Histogram.of(errors),
        )


@dataclass(frozen=True)
class Optima:
    """How the optima of one norm are known: counts of proofs, uniqueness and solvers."""

    norm: str
    proof: dict[str, int]
    unique: dict[str, int]
    solver: dict[str, int]
    widest: float | None

    @classmethod
    def of(cls, fields: Fields) -> Optima:
        return cls(
            fields.text("norm"),
            fields.counts("proof"),
            fields.counts("unique"),
            fields.counts("solver"),
            fields.number("widest"),
        )


@dataclass(frozen=True)
class Step:
    words: str
    latex: str


@dataclass(frozen=True)
class Evidence:
    """What one evidence file says; field names as in the file (``key`` is its ``claim``)."""

    key: str
    kind: str
    title: str
    outcome: Outcome
    expect: str
    statement: str = ""
    latex: str = ""
    sentences: tuple[str, ...] = ()
    sentence_texts: dict[str, str] = field(default_factory=dict)
    source: str = ""
    citation: str = ""
    assumptions: tuple[Assumption, ...] = ()
    rests_on: tuple[str, ...] = ()
    falsified_by: str = ""
    not_shown: str = ""
    reason: str = ""
    advice: str = ""
    counts: dict[str, int] = field(default_factory=dict)
    reasons: dict[str, int] = field(default_factory=dict)
    must_see: dict[str, int] = field(default_factory=dict)
    tolerances: tuple[ToleranceUsed, ...] = ()
    worst: ShownCase | None = None
    simplest: ShownCase | None = None
    close_ups: tuple[CloseUp, ...] = ()
    phase: Phase | None = None
    fidelity: Fidelity | None = None
    grids: tuple[Grid, ...] = ()
    optima: tuple[Optima, ...] = ()
    histograms: tuple[Histogram, ...] = ()
    curves: tuple[Curve, ...] = ()
    derivation: tuple[Step, ...] = ()
    profile: str = ""
    seed: int | None = None
    versions: dict[str, str] = field(default_factory=dict)
    seconds: float | None = None

    @classmethod
    def of(cls, fields: Fields) -> Evidence:
        require_schema(fields)
        citation, worst = fields.inner("citation"), fields.inner("worst")
        simplest, phase = fields.inner("simplest"), fields.inner("phase")
        fidelity = fields.inner("fidelity")
        return cls(
            key=fields.text("claim", required=True),
            kind=word_of(fields, "kind", KINDS),
            title=fields.text("title") or fields.text("claim"),
            outcome=outcome_of(fields),
            expect=word_of(fields, "expect", EXPECTATIONS),
            statement=fields.text("statement"),
            latex=fields.text("latex"),
            sentences=fields.texts("sentences"),
            sentence_texts=fields.strings("sentence_texts"),
            source="" if citation is None else citation.text("source"),
            citation="" if citation is None else citation.text("text"),
            assumptions=fields.each("assumptions", Assumption.of),
            rests_on=fields.texts("rests_on"),
            falsified_by=fields.text("falsified_by"),
            not_shown=fields.text("not_shown"),
            reason=fields.text("reason"),
            advice=fields.text("advice"),
            counts=fields.counts("counts"),
            reasons=fields.counts("reasons"),
            must_see=fields.counts("must_see"),
            tolerances=fields.each("tolerances", ToleranceUsed.of),
            worst=None if worst is None else ShownCase.of(worst),
            simplest=None if simplest is None else ShownCase.of(simplest),
            close_ups=fields.each("close_ups", CloseUp.of),
            phase=None if phase is None else Phase.of(phase),
            fidelity=None if fidelity is None else Fidelity.of(fidelity),
            grids=fields.each("grids", Grid.of),
            optima=fields.each("optima", Optima.of),
            histograms=fields.each("histograms", Histogram.of),
            curves=fields.each("curves", Curve.of),
            derivation=fields.each("derivation", lambda f: Step(f.text("words"), f.text("latex"))),
            profile=fields.text("profile"),
            seed=fields.integer("seed"),
            versions=fields.strings("versions"),
            seconds=fields.number("seconds"),
        )


def require_schema(fields: Fields) -> None:
    """BadReport unless the object is of the schema this reader knows."""
    schema = fields.data.get("schema")
    if schema != SCHEMA:
        raise BadReport(f"{fields.where}: schema {schema!r}; this reader knows {SCHEMA}")


def word_of(fields: Fields, key: str, words: tuple[str, ...]) -> str:
    """The string ``key``, which must be one of ``words``."""
    word = fields.text(key, required=True)
    if word not in words:
        raise fields.bad(key, "one of " + ", ".join(words))
    return word


def outcome_of(fields: Fields) -> Outcome:
    """The outcome spelt in the field ``outcome``."""
    try:
        return Outcome.of(fields.text("outcome", required=True))
    except ValueError as error:
        raise fields.bad("outcome", "an outcome of checks.outcomes") from error
