"""What changed between two runs: outcomes, sentences, counts, the worst ratio."""

from __future__ import annotations

from dataclasses import dataclass

from reports.run import Record, Run
from reports.standing import sentence_verdicts, standings_of
from reports.text import count, number

_TELLING = 2.0
"""Factor by which a worst ratio or a number of cases must change to be told."""


@dataclass(frozen=True)
class Change:
    """``what`` of ``key``: before and after, in words.  graver: it concerns a verdict."""

    key: str
    what: str
    before: str
    after: str
    graver: bool


def changes_of(new: Run, old: Run) -> tuple[Change, ...]:
    """The changes from ``old`` to ``new``, verdicts first."""
    found: list[Change] = []
    before = {s.key: s.standing.label for s in sentence_verdicts(old)}
    for s in sentence_verdicts(new):
        _add(found, s.key, "sentence", before.get(s.key, "absent"), s.standing.label, graver=True)
    records = {r.key: r for r in old.records}
    standings, earlier = standings_of(new), standings_of(old)
    for record in new.records:
        was = records.pop(record.key, None)
        if was is None:
            found.append(Change(record.key, "claim", "absent", record.outcome.word, True))
            continue
        here, there = standings[record.key].label, earlier[record.key].label
        _add(found, record.key, "verdict", there, here, graver=True)
        _add(found, record.key, "outcome", was.outcome.word, record.outcome.word, graver=True)
        found += _measured(record, was)
    found += [Change(key, "claim", r.outcome.word, "absent", True) for key, r in records.items()]
    return tuple(sorted(found, key=lambda change: not change.graver))


def _add(
    found: list[Change], key: str, what: str, before: str, after: str, *, graver: bool
) -> None:
    if before != after:
        found.append(Change(key, what, before, after, graver))


def _measured(record: Record, was: Record) -> list[Change]:
    v, w = record.verdict, was.verdict
    if v is None or w is None:
        return []
    found: list[Change] = []
    for name in ("informative", "problems", "vacuous", "inconclusive"):
        here, there = getattr(v, name), getattr(w, name)
        if max(here, there) > _TELLING * min(here, there):
            found.append(Change(record.key, name, count(there), count(here), False))
    here, there = v.worst, w.worst
    if (here is None) != (there is None) or (
        here is not None and there is not None and max(here, there) > _TELLING * min(here, there)
    ):
        what = "worst / tolerance"
        found.append(Change(record.key, what, number(there), number(here), False))
    if (v.profile, v.seed) != (w.profile, w.seed):
        before, after = f"{w.profile}, seed {w.seed}", f"{v.profile}, seed {v.seed}"
        found.append(Change(record.key, "profile and seed", before, after, False))
    changed = sorted(
        name for name in {*v.versions, *w.versions} if v.versions.get(name) != w.versions.get(name)
    )
    if changed:
        before = ", ".join(f"{n} {w.versions.get(n, '–')}" for n in changed)
        after = ", ".join(f"{n} {v.versions.get(n, '–')}" for n in changed)
        found.append(Change(record.key, "versions", before, after, False))
    return found


def told(changes: tuple[Change, ...]) -> str:
    """The changes for a terminal, one a line."""
    if not changes:
        return "nothing changed"
    return "\n".join(f"{c.key}: {c.what}: {c.before} -> {c.after}" for c in changes)
