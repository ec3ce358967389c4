"""The table of planted errors: which were killed, and by which claim.

``static/planted.json`` is written by ``python -m tests.planted`` and is part of the source, not of
a run: it says what the suite catches, at the version it came with.  Its schema (1)::

    {"schema": 1, "rows": [{
        "name": the plant's name, unique,
        "what": the error in one sentence,
        "by": the claim that met it, or "" where none did,
        "outcome": that claim's outcome, as in verdicts.jsonl,
        "reason": that claim's reason,
        "killed": true where outcome and reason are those that show the error for what it is,
        "seconds": how long it took to meet it, or null}, ...]}

Further fields are ignored; a missing one is empty.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from reports.fields import Fields

FILE = Path(__file__).parent / "static" / "planted.json"


@dataclass(frozen=True)
class Plant:
    """One error planted in the source; fields as in the file."""

    name: str
    what: str
    by: str
    outcome: str
    reason: str
    killed: bool
    seconds: float | None

    @classmethod
    def of(cls, fields: Fields) -> Plant:
        return cls(
            fields.text("name", required=True),
            fields.text("what"),
            fields.text("by"),
            fields.text("outcome"),
            fields.text("reason"),
            bool(fields.flag("killed")),
            fields.number("seconds"),
        )


def read_planted(path: Path | None = None) -> tuple[Plant, ...] | None:
    """The rows of the table, survivors first; None where there is no such file.

    Raises BadReport for a damaged one.
    """
    file = path or FILE
    if not file.is_file():
        return None
    return tuple(sorted(Fields.read(file).each("rows", Plant.of), key=lambda plant: plant.killed))
