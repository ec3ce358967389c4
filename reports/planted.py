"""The table of planted errors: which were killed, and by which claim.

``static/planted.json`` is written by the tests that plant them (tests/test_planted.py) and is
part of the source, not of a run: it says what the suite catches, at the version it came with.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from reports.fields import Fields

FILE = Path(__file__).parent / "static" / "planted.json"


@dataclass(frozen=True)
class Plant:
    """One error planted in the source.  by: the claim that met it, with what outcome."""

    name: str
    what: str
    by: str
    outcome: str
    reason: str
    killed: bool

    @classmethod
    def of(cls, fields: Fields) -> Plant:
        return cls(
            fields.text("name", required=True),
            fields.text("what"),
            fields.text("by"),
            fields.text("outcome"),
            fields.text("reason"),
            bool(fields.flag("killed")),
        )


def read_planted(path: Path | None = None) -> tuple[Plant, ...] | None:
    """The rows of the table; None where there is no such file.  BadReport if it is damaged."""
    file = path or FILE
    if not file.is_file():
        return None
    return Fields.read(file).each("rows", Plant.of)
