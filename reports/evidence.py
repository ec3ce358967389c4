"""One evidence file: schema 1 (additive changes only) is what :class:`Evidence` holds."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

from checks.outcomes import SCHEMA, Outcome
from reports.fields import BadReport, Fields

KINDS = ("symbolic", "flow", "limit", "rate", "selection", "contrast", "control")
EXPECTATIONS = ("held", "falsified", "open")


@dataclass(frozen=True)
class Histogram:
    """counts[i] values lie in [edges[i], edges[i+1]); a first or last edge of None is open."""

    name: str
    label: str
    edges: tuple[float | None, ...]
    counts: tuple[int, ...]

    @classmethod
    def of(cls, fields: Fields) -> Histogram:
        edges, counts = fields.numbers("edges"), fields.numbers("counts")
        inner = [e for e in edges if e is not None]
        if len(edges) != len(counts) + 1 and (edges or counts):
            raise fields.bad("edges", "one longer than 'counts'")
        if None in edges[1:-1] or any(b <= a for a, b in pairwise(inner)):
            raise fields.bad("edges", "increasing numbers")
        if any(c is None or c < 0 or c != int(c) for c in counts):
            raise fields.bad("counts", "whole numbers >= 0")
        name = fields.text("name")
        whole = tuple(int(c) for c in counts if c is not None)
        return cls(name, fields.text("label") or name, tuple(edges), whole)

    @property
    def total(self) -> int:
        return sum(self.counts)


@dataclass(frozen=True)
class Series:
    label: str
    points: tuple[tuple[float, float | None], ...]


@dataclass(frozen=True)
class Curve:
    """One plot; a y of None is a value that was not finite and breaks the line."""

    name: str
    title: str
    x_label: str
    y_label: str
    y_log: bool
    series: tuple[Series, ...]

    @classmethod
    def of(cls, fields: Fields) -> Curve:
        return cls(
            fields.text("name"),
            fields.text("title") or fields.text("name"),
            fields.text("x_label"),
            fields.text("y_label"),
            bool(fields.flag("y_log")),
            fields.each("series", lambda f: Series(f.text("label"), f.points("points"))),
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

    @classmethod
    def of(cls, fields: Fields) -> Assumption:
        margins, side = fields.inner("margins"), fields.inner("violators")
        return cls(
            fields.text("key", required=True),
            fields.text("statement"),
            fields.text("latex"),
            fields.text("scope"),
            None if margins is None else Histogram.of(margins),
            None if side is None else (side.count("tried"), side.count("vacuous")),
        )


@dataclass(frozen=True)
class ToleranceUsed:
    """One tolerance and the claim's outcome had it been half or double ("" if unknown)."""

    name: str
    value: float | None
    because: str
    at_half: str
    at_double: str

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
class Worst:
    """The measurement nearest to, or furthest beyond, its tolerance.  ratio None: infinite."""

    name: str
    value: float | None
    tolerance: float | None
    ratio: float | None
    because: str
    file: str
    command: str

    @classmethod
    def of(cls, fields: Fields) -> Worst:
        return cls(
            fields.text("name"),
            fields.number("value"),
            fields.number("tolerance"),
            fields.number("ratio"),
            fields.text("because"),
            fields.text("file"),
            fields.text("command"),
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
    worst: Worst | None = None
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
            worst=None if worst is None else Worst.of(worst),
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
