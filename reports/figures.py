"""What a plot shows, read from an evidence file: histograms, curves, portraits, grids."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from reports.fields import Fields


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

    @property
    def single(self) -> float | None:
        """The one value of all cases, told by numpy's bin for them: a half to either side."""
        if len(self.counts) != 1 or None in self.edges:
            return None
        lower, upper = (edge for edge in self.edges if edge is not None)
        return (lower + upper) / 2 if upper - lower == 1.0 else None

    def among(self, others: Sequence[Histogram | None]) -> bool:
        """Is it the picture of one of ``others``, whatever that is called?"""
        return any(
            other is not None and (other.edges, other.counts) == (self.edges, self.counts)
            for other in others
        )

    @property
    def few(self) -> list[tuple[int, int]]:
        """(whole number, how often) for at most three whole numbers; [] for anything else.

        Read off the bins: each filled one is narrow, and holds exactly one whole number.
        """
        found: list[tuple[int, int]] = []
        for i, n in enumerate(self.counts):
            lower, upper = self.edges[i], self.edges[i + 1]
            if not n:
                continue
            if lower is None or upper is None or len(found) == 3:
                return []
            first, last = math.ceil(lower), math.floor(upper)
            if first != last or (upper - lower > 0.5 and len(self.counts) > 1):
                return []
            found.append((first, n))
        return found


@dataclass(frozen=True)
class Series:
    """points (x, y), a y of None breaks the line; times: ln t of each point, or ()."""

    label: str
    points: tuple[tuple[float, float | None], ...]
    times: tuple[float | None, ...] = ()

    @classmethod
    def of(cls, fields: Fields) -> Series:
        points, times = fields.points("points"), fields.numbers("times")
        # points without an x are dropped when read, and then no time can be told its point
        fits = len(times) == len(points)
        return cls(fields.text("label"), points, tuple(times) if fits else ())

    @property
    def over_time(self) -> Series | None:
        """The same values against ln t; None where fewer than two times are known."""
        known = [
            (t, y) for t, (_, y) in zip(self.times, self.points, strict=True) if t is not None
        ] if self.times else []  # fmt: skip
        return Series(self.label, tuple(known)) if len(known) > 1 else None


@dataclass(frozen=True)
class Curve:
    """One plot; a y of None is a value that was not finite and breaks the line.

    y_range: what the y axis shows at least, for a quantity whose ends mean something; or ().
    """

    name: str
    title: str
    x_label: str
    y_label: str
    y_log: bool
    series: tuple[Series, ...]
    y_range: tuple[float, ...] = ()

    @classmethod
    def of(cls, fields: Fields) -> Curve:
        return cls(
            fields.text("name"),
            fields.text("title") or fields.text("name"),
            fields.text("x_label"),
            fields.text("y_label"),
            bool(fields.flag("y_log")),
            fields.each("series", Series.of),
            tuple(v for v in fields.numbers("y_range") if v is not None),
        )

    @property
    def over_time(self) -> Curve | None:
        """The same curve against ln t; None where no series knows its times."""
        known = tuple(s for one in self.series if (s := one.over_time) is not None)
        if not known:
            return None
        return replace(self, x_label="ln t", series=known)


@dataclass(frozen=True)
class CloseUp:
    """The curves of one case; ``of``: "worst" or "simplest"."""

    of_case: str
    curves: tuple[Curve, ...]

    @classmethod
    def of(cls, fields: Fields) -> CloseUp:
        return cls(fields.text("of"), fields.each("curves", Curve.of))

    @property
    def distinct(self) -> tuple[Curve, ...]:
        """Without the curves whose every line is among those of another, under any name."""
        lines = [{(s.points, s.times) for s in curve.series} for curve in self.curves]
        return tuple(
            curve
            for curve, mine in zip(self.curves, lines, strict=True)
            if not any(mine < others for others in lines)
        )


Point = tuple[float, ...]


@dataclass(frozen=True)
class Phase:
    """Paths of W/N(W) in two or three coordinates, and the vertices of the optimal face.

    paths: (did the run reach the infimum, its points).
    """

    title: str
    norm: str
    axes: tuple[str, ...]
    face: tuple[Point, ...]
    paths: tuple[tuple[bool, tuple[Point, ...]], ...]

    @classmethod
    def of(cls, fields: Fields) -> Phase:
        axes = fields.texts("axes")
        if len(axes) not in (2, 3):
            raise fields.bad("axes", "two or three names")
        size = len(axes)
        return cls(
            fields.text("title"),
            fields.text("norm"),
            axes,
            tuple(fields.vectors("face", size)),
            fields.each(
                "paths", lambda f: (bool(f.flag("reached")), tuple(f.vectors("points", size)))
            ),
        )

    @property
    def strays(self) -> bool:
        return not all(reached for reached, _ in self.paths)


@dataclass(frozen=True)
class Axis:
    """One axis of a grid: its name, and a label for each column or row."""

    name: str
    labels: tuple[str, ...]

    @classmethod
    def of(cls, fields: Fields) -> Axis:
        return cls(fields.text("name"), fields.labels("values"))


@dataclass(frozen=True)
class Cell:
    """share: the part of n cases that came out as the grid's title says; None: no case."""

    share: float | None
    n: int
    note: str

    @property
    def makeup(self) -> dict[str, int]:
        """What its cases came to and how many did, where the note says it as "3 this; 4 that":
        not as "34 of 36", which is the share itself."""
        found = [
            re.fullmatch(r"(\d{1,9}) (?!of \d)(.+)", part.strip()) for part in self.note.split(";")
        ]
        if not self.note or not all(found):
            return {}
        return {part[2]: int(part[1]) for part in found if part is not None}

    @classmethod
    def of(cls, fields: Fields) -> Cell:
        share = fields.number("share")
        if share is not None and not 0 <= share <= 1:
            raise fields.bad("share", "between 0 and 1")
        return cls(share, fields.count("n"), fields.text("note"))


@dataclass(frozen=True)
class Grid:
    """A heat map: cells[i][j] belongs to y.labels[i] and x.labels[j]."""

    title: str
    x: Axis
    y: Axis
    cells: tuple[tuple[Cell, ...], ...]

    @property
    def kinds(self) -> tuple[str, ...]:
        """All that any of its cells is made up of, the most common first."""
        total: Counter[str] = Counter()
        for cell in (cell for row in self.cells for cell in row):
            total.update(cell.makeup)
        return tuple(kind for kind, _ in total.most_common())

    def count_of(self, kind: str) -> int:
        return sum(cell.makeup.get(kind, 0) for row in self.cells for cell in row)

    @classmethod
    def of(cls, fields: Fields) -> Grid:
        x, y = (Axis.of(fields.inner(name) or Fields({}, fields.where)) for name in ("x", "y"))
        cells = fields.rows("cells", Cell.of)
        if len(cells) != len(y.labels) or any(len(row) != len(x.labels) for row in cells):
            raise fields.bad("cells", "one row for each value of y, one cell for each of x")
        return cls(fields.text("title"), x, y, cells)
