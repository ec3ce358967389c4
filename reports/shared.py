"""What many claims say in the same words: a page says it once, and each of them links to it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from reports.run import Run
from reports.text import sentences_of

MANY = 4
"""Claims that have to say the same before the page says it once."""


def shared_limits(run: Run) -> dict[str, int]:
    """Sentences of what is not shown that at least ``MANY`` claims say -> how many do."""
    return _said_by_many(
        set(sentences_of(record.evidence.not_shown))
        for record in run.records
        if record.evidence is not None
    )


def shared_reasons(run: Run) -> dict[str, int]:
    """Reasons of tolerances that at least ``MANY`` claims give -> how many do; of symbolic
    claims, whose tolerances the page does not show, none."""
    return _said_by_many(
        {t.because for t in record.evidence.tolerances if t.because}
        for record in run.records
        if record.evidence is not None and record.about.kind != "symbolic"
    )


def _said_by_many(said: Iterable[set[str]]) -> dict[str, int]:
    """What at least ``MANY`` of the sets hold, most often said first, ties in alphabetic order."""
    counts = Counter(words for each in said for words in each)
    many = [(words, n) for words, n in counts.items() if n >= MANY]
    return dict(sorted(many, key=lambda found: (-found[1], found[0])))
