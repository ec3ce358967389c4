"""A run's directory, read: verdicts.jsonl, evidence/*.json, run.json.

``run.json`` is ``{"schema": 1, "claims": [{"key", "kind", "title", "sentences", "expect",
"rests_on"}, ...], "sentence_texts": {"S1": ...}, "command": ...}`` and names every claim
of the catalogue, run or not: without it nobody can tell a complete run from the remains
of one, so no sentence is shown as held.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from checks.outcomes import Outcome, Verdict
from reports.evidence import (
    EXPECTATIONS,
    KINDS,
    Evidence,
    outcome_of,
    require_schema,
    word_of,
)
from reports.fields import BadReport, Fields, read_text


@dataclass(frozen=True)
class Planned:
    """One claim of the catalogue as ``run.json`` lists it."""

    key: str
    kind: str
    title: str
    sentences: tuple[str, ...]
    expect: str
    rests_on: tuple[str, ...]

    @classmethod
    def of(cls, fields: Fields) -> Planned:
        return cls(
            fields.text("key", required=True),
            word_of(fields, "kind", KINDS),
            fields.text("title") or fields.text("key"),
            fields.texts("sentences"),
            word_of(fields, "expect", EXPECTATIONS),
            fields.texts("rests_on"),
        )


@dataclass(frozen=True)
class Record:
    """All that is known of one claim; at least one of the three sources is there."""

    key: str
    verdict: Verdict | None
    evidence: Evidence | None
    planned: Planned | None

    @property
    def about(self) -> Evidence | Verdict | Planned:
        """The source for kind and expect: the catalogue before the verdict before its evidence.

        In this order, since a control that its evidence calls "open" is still a control.
        """
        found = self.planned or self.verdict or self.evidence
        assert found is not None
        return found

    @property
    def title(self) -> str:
        source = self.evidence or self.planned
        return self.key if source is None else source.title

    @property
    def rests_on(self) -> tuple[str, ...]:
        """Union over the sources: a dependency named anywhere counts."""
        named = [s.rests_on for s in (self.evidence, self.planned) if s is not None]
        return tuple(dict.fromkeys(key for keys in named for key in keys))

    @property
    def sentences(self) -> tuple[str, ...]:
        named = [s.sentences for s in (self.evidence, self.verdict, self.planned) if s is not None]
        return tuple(sorted({key for keys in named for key in keys}))

    @property
    def conflict(self) -> str:
        """Why the sources cannot be of the same run; "" if they can."""
        v, e = self.verdict, self.evidence
        expected = {s.expect for s in (v, e, self.planned) if s is not None}
        if len(expected) > 1:
            return "verdict, evidence file and run.json expect different outcomes"
        if v is None or e is None:
            return ""
        if v.outcome is not e.outcome:
            return f"the verdict says {v.outcome.word}, its evidence file {e.outcome.word}"
        if (v.profile, v.seed) != (e.profile, e.seed):
            return "verdict and evidence file are of different runs (profile or seed)"
        counted = ("tried", "informative", "vacuous", "inconclusive", "problems")
        if any(e.counts.get(name, getattr(v, name)) != getattr(v, name) for name in counted):
            return "verdict and evidence file count different cases"
        if v.outcome is Outcome.HELD and v.informative == 0:
            return "held without a single informative case"
        return ""

    @property
    def outcome(self) -> Outcome:
        """The verdict's; ERROR where its evidence contradicts it; NOT_RUN without one."""
        if self.conflict:
            return Outcome.ERROR
        return Outcome.NOT_RUN if self.verdict is None else self.verdict.outcome

    @property
    def reason(self) -> str:
        if self.conflict:
            return self.conflict
        if self.verdict is not None:
            return self.verdict.reason
        if self.evidence is not None:
            return "an evidence file but no verdict line: the run was interrupted"
        return "not part of this run"

    @property
    def advice(self) -> str:
        return self.outcome.advice


@dataclass(frozen=True)
class Run:
    """A directory, read.  ``complete``: every claim of the catalogue is accounted for."""

    records: tuple[Record, ...]
    sentence_texts: dict[str, str]
    command: str
    complete: bool
    notes: tuple[str, ...]

    def __getitem__(self, key: str) -> Record:
        return next(r for r in self.records if r.key == key)

    @property
    def verdicts(self) -> list[Verdict]:
        return [r.verdict for r in self.records if r.verdict is not None]


def read_run(directory: Path) -> Run:
    """Read DIR.  An empty or interrupted directory is a Run with notes.

    Raises BadReport for a directory that is not there, or a damaged file; a last line of
    verdicts.jsonl cut off in the middle is what an interrupted run leaves, and only noted.
    """
    if not directory.is_dir():
        raise BadReport(f"{directory}: no such directory; run marginflow verify --out {directory}")
    verdicts, notes = _read_verdicts(directory / "verdicts.jsonl")
    evidence = _read_evidence(directory / "evidence")
    planned: dict[str, Planned] = {}
    texts: dict[str, str] = {}
    command = ""
    manifest = directory / "run.json"
    if manifest.is_file():
        fields = Fields.read(manifest)
        require_schema(fields)
        planned = {p.key: p for p in fields.each("claims", Planned.of)}
        texts, command = fields.strings("sentence_texts"), fields.text("command")
    else:
        notes.append(
            "There is no run.json here, so claims may be missing without a trace: "
            "no sentence is shown as held. Run marginflow verify again."
        )
    keys = dict.fromkeys([*planned, *verdicts, *evidence])
    records = tuple(Record(k, verdicts.get(k), evidence.get(k), planned.get(k)) for k in keys)
    for item in evidence.values():
        texts = {**item.sentence_texts, **texts}
    if records and not verdicts:
        notes.append("No claim has a verdict yet: the run was interrupted before its first one.")
    missing = [r.key for r in records if r.verdict is None]
    if verdicts and missing:
        notes.append(f"{len(missing)} of {len(records)} claims have no verdict in this directory.")
    if not records:
        notes.append("This directory holds no verdicts and no evidence: nothing was verified.")
    return Run(records, texts, command, bool(planned), tuple(notes))


def _read_verdicts(path: Path) -> tuple[dict[str, Verdict], list[str]]:
    if not path.is_file():
        return {}, []
    lines = read_text(path).split("\n")
    found: dict[str, Verdict] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        where = f"{path.name} line {number}"
        try:
            fields = Fields.parse(line, where)
        except BadReport:
            if number == len(lines):  # no newline after it: the writer was stopped here
                return found, ["The last line of verdicts.jsonl is cut off: run interrupted."]
            raise
        verdict = _verdict(fields)
        found[verdict.claim] = verdict  # a resumed run appends: the later line counts
    return found, []


def _verdict(fields: Fields) -> Verdict:
    require_schema(fields)
    seed = fields.integer("seed")
    return Verdict(
        claim=fields.text("claim", required=True),
        sentences=fields.texts("sentences"),
        kind=word_of(fields, "kind", KINDS),
        expect=word_of(fields, "expect", EXPECTATIONS),
        outcome=outcome_of(fields),
        reason=fields.text("reason"),
        tried=fields.count("tried"),
        informative=fields.count("informative"),
        vacuous=fields.count("vacuous"),
        inconclusive=fields.count("inconclusive"),
        problems=fields.count("problems"),
        worst=fields.number("worst"),
        case=fields.text("case") or None,
        profile=fields.text("profile"),
        seed=0 if seed is None else seed,
        versions=fields.strings("versions"),
        seconds=fields.number("seconds") or 0.0,
    )


def _read_evidence(directory: Path) -> dict[str, Evidence]:
    found: dict[str, Evidence] = {}
    for path in sorted(directory.glob("*.json")):
        item = Evidence.of(Fields.read(path))
        if item.key in found:
            raise BadReport(f"evidence/{path.name}: a second file for the claim {item.key!r}")
        found[item.key] = item
    return found
