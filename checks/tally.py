"""Case results reduced: what a verdict and its evidence need, mergeable, and small.

A campaign keeps no result.  Each is folded into counts, columns of numbers (one float a
quantity a case) and the few cases that are shown whole, so that a hundred thousand runs take
some tens of megabytes.  Merging the parts of a claim in their order gives, bit for bit, the
tally of all their results at once.
"""

from __future__ import annotations

import json
import math
from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from checks.grids import place_of
from checks.outcomes import CaseResult, Measurement, Optimum, Outcome

CURVES_SHOWN = 4
"""Cases whose curves are kept: those nearest to, or furthest beyond, their tolerance."""


@dataclass(frozen=True)
class Violation:
    """The side stream of one assumption: cases that break it, and how many came out VACUOUS."""

    assumption: str
    tried: int
    vacuous: int


@dataclass(frozen=True)
class Shown:
    """A measurement by its name and value."""

    name: str
    value: float


@dataclass(frozen=True)
class Dropped:
    """A claim on ``tried`` cases that break one assumption, judged without asking for it.

    falsified (by certificate) + held + inconclusive + uninformative = tried; worst: the largest
    of what shows the falsified ones wrong.  reasons: of all but the held ones, counted.
    """

    assumption: str
    tried: int
    falsified: int
    held: int
    inconclusive: int
    uninformative: int
    worst: Shown | None
    reasons: dict[str, int]


@dataclass(frozen=True, slots=True)
class Decided:
    """A HELD or FALSIFIED case, as far as counting goes.  ratio: of its worst measurement."""

    problem: str
    held: bool
    informative: bool
    ratio: float


@dataclass
class Known:
    """How the optima of one norm are known: counts by proof, uniqueness and solver."""

    proof: Counter[str] = field(default_factory=Counter)
    unique: Counter[str] = field(default_factory=Counter)
    solver: Counter[str] = field(default_factory=Counter)
    widest: float = 0.0

    def add(self, other: Known) -> None:
        self.proof += other.proof
        self.unique += other.unique
        self.solver += other.solver
        self.widest = max(self.widest, other.widest)


@dataclass
class Tally:
    """The reduced results of (a part of) one claim, its side streams apart.

    outcomes, reasons (of those not HELD), regions, families, vacuous_families: counts.
    pinned: outcomes of the cases found before, which are counted above as well.
    places: of atlases, what was found at which place (``grids.place_of``): counts.
    columns: "input NAME", "ratio NAME", "margin ASSUMPTION", "fidelity NAME" -> one float a
    case, in order.
    widest: measurement name -> the one of largest tolerance among informative cases.
    worst, falsified: the case that is replayed; error: the first failure's reason.
    simplest: the informative case of the fewest numbers; among equals, of the smallest id.
    followed: were cases judged by where a flow went, so that there is a path to be shown?
    curved: the ``CURVES_SHOWN`` cases whose curves are drawn.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    undecided: Counter[str] = field(default_factory=Counter)
    regions: Counter[str] = field(default_factory=Counter)
    places: Counter[str] = field(default_factory=Counter)
    families: Counter[str] = field(default_factory=Counter)
    vacuous_families: Counter[str] = field(default_factory=Counter)
    pinned: Counter[str] = field(default_factory=Counter)
    decided: list[Decided] = field(default_factory=list)
    columns: dict[str, array[float]] = field(default_factory=dict)
    widest: dict[str, Measurement] = field(default_factory=dict)
    optima: dict[str, Known] = field(default_factory=dict)
    worst: CaseResult | None = None
    falsified: CaseResult | None = None
    error: str | None = None
    curved: list[CaseResult] = field(default_factory=list)
    violations: list[Violation] = field(default_factory=list)
    dropped: list[Dropped] = field(default_factory=list)
    simplest: CaseResult | None = None
    followed: bool = False
    derivation: list[tuple[str, str]] = field(default_factory=list)
    """(words, LaTeX) of each step, of a symbolic claim."""

    @classmethod
    def of(cls, results: Iterable[CaseResult], violations: Iterable[Violation] = ()) -> Tally:
        """The tally of these results, in this order."""
        tally = cls(violations=list(violations))
        for result in results:
            tally._count(result)
        tally.curved = _most_telling(tally.curved)
        return tally

    @classmethod
    def merged(cls, parts: Iterable[Tally]) -> Tally:
        """One tally of all parts, in this order."""
        tally = cls()
        for part in parts:
            tally.add(part)
        return tally

    @property
    def tried(self) -> int:
        return self.outcomes.total()

    def count(self, outcome: Outcome) -> int:
        return self.outcomes[outcome.word]

    @property
    def informative(self) -> int:
        """Decided cases that could have come out either way."""
        return sum(case.informative for case in self.decided)

    @property
    def problems(self) -> int:
        """Distinct datasets among the informative cases."""
        return len({case.problem for case in self.decided if case.informative})

    def within(self, scale: float) -> tuple[int, int, int]:
        """(HELD, informative HELD, their distinct problems) if every tolerance were times scale."""
        held = [case for case in self.decided if case.held and case.ratio <= scale]
        problems = [case.problem for case in held if case.informative]
        return len(held), len(problems), len(set(problems))

    def column(self, name: str) -> Sequence[float]:
        return self.columns.get(name, ())

    def _count(self, result: CaseResult) -> None:
        word, worst = result.outcome.word, result.worst
        self.outcomes[word] += 1
        if result.outcome is not Outcome.HELD:
            self.reasons[result.reason] += 1
        if result.outcome is Outcome.INCONCLUSIVE:
            self.undecided[result.reason] += 1
        self.regions.update(result.regions)
        if place := place_of(result.regions):
            self.places[place] += 1
        family = str(result.spec.get("family"))
        self.families[family] += 1
        if result.outcome is Outcome.VACUOUS:
            self.vacuous_families[family] += 1
        if result.outcome is Outcome.ERROR and self.error is None:
            self.error = result.reason
        if result.outcome is Outcome.FALSIFIED and self.falsified is None:
            self.falsified = result
        for kind, values in (("input", result.inputs), ("margin", result.assumptions)):
            for name, value in values.items():
                self._append(f"{kind} {name}", value)
        for m in result.measurements:
            self._append(f"ratio {m.name}", m.ratio)
        for name, value in result.fidelity.items():
            self._append(f"fidelity {name}", value)
        for optimum in result.optima:
            self._know(optimum)
        self.followed |= bool(result.optima) and result.outcome is not Outcome.VACUOUS
        if result.outcome in (Outcome.HELD, Outcome.FALSIFIED):
            held = result.outcome is Outcome.HELD
            # Without a measurement no tolerance was near: it holds at every scale.
            ratio = worst.ratio if worst is not None else -1.0
            self.decided.append(Decided(result.problem_id, held, result.informative, ratio))
            if result.informative:
                self._weigh(result)
        if result.curves and result.outcome is not Outcome.VACUOUS:
            self.curved.append(result)
            if len(self.curved) > 8 * CURVES_SHOWN:
                self.curved = _most_telling(self.curved)

    def _append(self, name: str, value: float) -> None:
        self.columns.setdefault(name, array("d")).append(value)

    def _know(self, optimum: Optimum) -> None:
        known = self.optima.setdefault(optimum.norm, Known())
        known.proof[optimum.proof] += 1
        known.unique[optimum.unique] += 1
        known.solver[optimum.solver] += 1
        known.widest = max(known.widest, optimum.width)

    def _weigh(self, result: CaseResult) -> None:
        """Is this informative case the worst so far, or one of the widest tolerance?"""
        if _ratio(result) > _ratio(self.worst):
            self.worst = result
        if "blob" in result.spec and _size(result) < _size(self.simplest):
            self.simplest = result
        for m in result.measurements:
            if m.name not in self.widest or m.tolerance > self.widest[m.name].tolerance:
                self.widest[m.name] = m

    def add(self, other: Tally) -> None:
        """Count what ``other`` counted after what this one did."""
        for name in _COUNTERS:
            getattr(self, name).update(getattr(other, name))
        self.decided += other.decided
        for name, values in other.columns.items():
            self.columns.setdefault(name, array("d")).extend(values)
        for name, m in other.widest.items():
            if name not in self.widest or m.tolerance > self.widest[name].tolerance:
                self.widest[name] = m
        for norm, known in other.optima.items():
            self.optima.setdefault(norm, Known()).add(known)
        if _ratio(other.worst) > _ratio(self.worst):
            self.worst = other.worst
        if _size(other.simplest) < _size(self.simplest):
            self.simplest = other.simplest
        self.followed |= other.followed
        self.falsified = self.falsified or other.falsified
        self.error = other.error if self.error is None else self.error
        self.curved = _most_telling([*self.curved, *other.curved])
        self.violations += other.violations
        self.dropped += other.dropped
        self.derivation += other.derivation

    def to_json(self) -> str:
        """The tally as text; floats, infinities among them, survive to the last bit."""
        record = {
            **{name: getattr(self, name) for name in _PLAIN},
            "decided": [(c.problem, c.held, c.informative, c.ratio) for c in self.decided],
            "columns": {name: list(values) for name, values in self.columns.items()},
            "widest": {name: asdict(m) for name, m in self.widest.items()},
            # Not asdict: it takes a Counter for a dict of pairs, and counts the pairs.
            "optima": {norm: vars(known) for norm, known in self.optima.items()},
            "worst": _result_record(self.worst),
            "falsified": _result_record(self.falsified),
            "simplest": _result_record(self.simplest),
            "curved": [_result_record(r) for r in self.curved],
            "violations": [asdict(v) for v in self.violations],
            "dropped": [asdict(d) for d in self.dropped],
        }
        return json.dumps(record)

    @classmethod
    def from_json(cls, text: str) -> Tally:
        """The inverse of :meth:`to_json`."""
        record = json.loads(text)
        counters = {name: Counter(record[name]) for name in _COUNTERS}
        curved = [_result_of(r) for r in record["curved"]]
        return cls(
            **counters,
            decided=[Decided(*case) for case in record["decided"]],
            columns={name: array("d", values) for name, values in record["columns"].items()},
            widest={name: Measurement(**m) for name, m in record["widest"].items()},
            optima={norm: _known_of(known) for norm, known in record["optima"].items()},
            worst=_result_of(record["worst"]),
            falsified=_result_of(record["falsified"]),
            error=record["error"],
            simplest=_result_of(record["simplest"]),
            followed=record["followed"],
            curved=[r for r in curved if r is not None],
            violations=[Violation(**v) for v in record["violations"]],
            dropped=[_dropped_of(d) for d in record["dropped"]],
            derivation=[(words, latex) for words, latex in record["derivation"]],
        )


_COUNTERS = (
    "outcomes", "reasons", "undecided", "regions", "places", "families", "vacuous_families",
    "pinned",
)  # fmt: skip
_PLAIN = (*_COUNTERS, "error", "followed", "derivation")


def _ratio(result: CaseResult | None) -> float:
    """Of the worst measurement; below every ratio where there is none."""
    worst = result.worst if result is not None else None
    return worst.ratio if worst is not None else -1.0


def _size(result: CaseResult | None) -> tuple[float, str]:
    """How large a problem is, for the simplest one; none is larger than any."""
    if result is None:
        return math.inf, ""
    return math.prod(result.spec.get("shape", ())), result.problem_id


def _most_telling(curved: list[CaseResult]) -> list[CaseResult]:
    """The first few by how near they came to their tolerance; in case of a tie the earlier."""
    return sorted(curved, key=lambda r: -max(_ratio(r), 0.0))[:CURVES_SHOWN]


def _known_of(record: dict[str, Any]) -> Known:
    counts = {name: Counter(record[name]) for name in ("proof", "unique", "solver")}
    return Known(**counts, widest=record["widest"])


def _dropped_of(record: dict[str, Any]) -> Dropped:
    return Dropped(**{**record, "worst": record["worst"] and Shown(**record["worst"])})


def _result_record(result: CaseResult | None) -> dict[str, Any] | None:
    return None if result is None else {**asdict(result), "outcome": result.outcome.word}


def _result_of(record: dict[str, Any] | None) -> CaseResult | None:
    if record is None:
        return None
    return CaseResult(
        **{
            **record,
            "outcome": Outcome.of(record["outcome"]),
            "measurements": tuple(Measurement(**m) for m in record["measurements"]),
            "regions": tuple(record["regions"]),
            "curves": {
                name: [tuple(point) for point in points]
                for name, points in record["curves"].items()
            },
            "optima": tuple(Optimum(**o) for o in record["optima"]),
        }
    )
