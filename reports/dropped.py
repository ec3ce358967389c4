"""The table of dropped assumptions: of which claims each was needed, in what was tried."""

from __future__ import annotations

from dataclasses import dataclass

from reports.evidence import Dropped
from reports.run import Run

NEEDED, SPARE, OPEN = "needed", "spare", "open"


@dataclass(frozen=True)
class Cell:
    """One assumption of one claim.  kind: needed (some case is falsified, by certificate), spare
    (none is, and some held that could have failed) or open (nothing was decided)."""

    kind: str
    found: Dropped

    @classmethod
    def of(cls, found: Dropped) -> Cell:
        kind = NEEDED if found.falsified else SPARE if found.held else OPEN
        return cls(kind, found)


@dataclass(frozen=True)
class Row:
    """One claim; cells in the order of the table's columns, None where it does not assume that."""

    key: str
    cells: tuple[Cell | None, ...]


@dataclass(frozen=True)
class DroppedTable:
    """columns: assumption keys, in the order of the claims; controls: those that drop one."""

    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    controls: dict[str, str]


def dropped_table(run: Run) -> DroppedTable | None:
    """The table of a run; None where no assumption was dropped."""
    found = {
        record.key: {a.key: a.dropped for a in record.evidence.assumptions if a.dropped}
        for record in run.records
        if record.evidence is not None
    }
    found = {key: cells for key, cells in found.items() if cells}
    columns = tuple(dict.fromkeys(name for cells in found.values() for name in cells))
    rows = tuple(
        Row(key, tuple(Cell.of(cells[name]) if name in cells else None for name in columns))
        for key, cells in found.items()
    )
    controls = {
        name: one.control for cells in found.values() for name, one in cells.items() if one.control
    }
    return DroppedTable(columns, rows, controls) if rows else None
