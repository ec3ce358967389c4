"""Curves as SVG text, drawn at build time: they need no script and print as they look."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import pairwise

from markupsafe import Markup, escape

from reports.axes import Scale
from reports.figures import Curve, Series
from reports.text import number

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _BOTTOM = 600, 392, 80, 16, 76
"""SVG units: half-pixels of a figure 300 pixels wide, so that whole numbers are fine enough."""
_FLAT = 1.25
"""SVG units by which a drawn line may miss a point of the data, the rounding of its own
corners (0.71 at most) included: 0.8 pixels in a figure of 375 pixels, style.css's widest, in which
a line is 2 wide."""


@dataclass
class Frames:
    """Axes that several plots of a page share: drawn once, then referred to by their id."""

    _known: dict[str, str] = field(default_factory=dict)

    def __call__(self, drawn: str) -> str:
        """``drawn`` itself, named, the first time; afterwards a reference to it."""
        known = self._known.get(drawn)
        if known is not None:
            return f'<use href="#{known}"/>'
        self._known[drawn] = name = f"f{len(self._known)}"
        return f'<g id="{name}">{drawn}</g>'


def line_plot(curve: Curve, timed: Series | None = None, frames: Frames | None = None) -> Markup:
    """The curve's series over one pair of axes; SVG, or "" without data.

    timed: the one whose ln t is written along the top, where all series are of one run.
    frames: of the page that the plot is for.  Hidden from screen readers, which read the key.

    On a logarithmic axis values <= 0 have no place: they are left out and counted beside it,
    like values that were not finite.
    """
    drawn = [_segments(series, log=curve.y_log) for series in curve.series]
    points = [p for segments in drawn for segment in segments for p in segment]
    if not points:
        return Markup("")
    shared = frames or Frames()
    top, base = 40 if timed is None else 64, _HEIGHT - _BOTTOM
    x = Scale.over([p[0] for p in points], _LEFT, _WIDTH - _RIGHT, snug=True, signed=True)
    ends = [v for v in curve.y_range if v > 0 or not curve.y_log]
    y = Scale.over([*(p[1] for p in points), *ends], base, top, log=curve.y_log)
    out = [
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" aria-hidden="true">',
        shared(_upright(y, curve.y_label)),
        shared(_level(x, base, curve.x_label) + ("" if timed is None else _clock(x, timed))),
    ]
    for segments in drawn:  # the n-th path has the n-th style, as its place in the key
        corners = [simplified([(x.at(a), y.at(b)) for a, b in segment]) for segment in segments]
        out.append(f'<path d="{"".join(map(path_of, corners))}"/>')
    out.append("</svg>")
    return Markup("".join(out))


def _upright(y: Scale, name: str) -> str:
    marks = [(round(at), label) for at, label in y.ticks(4)]
    across = "".join(f"M{_LEFT} {at}H{_WIDTH - _RIGHT}" for at, _ in marks)
    labels = "".join(f'<text y="{at + 8}">{escape(label)}</text>' for at, label in marks)
    return f'<path class="grid" d="{across}"/><g class="tick">{labels}</g>{_name(name)}'


def _level(x: Scale, base: int, name: str) -> str:
    marks = [(round(at), label) for at, label in x.ticks(5)]
    steps = pairwise([_LEFT, *(at for at, _ in marks)])
    ticks = "".join(f"m{b - a}{'-8' if i else ' 0'}v8" for i, (a, b) in enumerate(steps))
    out = [f'<path class="axis" d="M{_WIDTH - _RIGHT} {base}H{_LEFT}{ticks}"/><g class="under">']
    for at, label in apart(marks, 16):
        out.append(_text(at, label, "end" if at > _WIDTH - 32 else ""))
    return "".join([*out, _name(name), "</g>"])


def _clock(x: Scale, timed: Series) -> str:
    above = [(round(x.at(value)), label) for value, label in _moments(timed)]
    room = _WIDTH - _RIGHT - 56  # left of its name
    free = [(at, label) for at, label in above if at + 7 * len(label) <= room]
    labels = "".join(_text(at, label) for at, label in apart(free, 14))
    return f'<g class="over">{labels}{_name("ln t")}</g>'


def _moments(series: Series) -> list[tuple[float, str]]:
    """(x, label) at round values of ln t, x interpolated along the run; away from the corner."""
    known = [(t, x) for t, (x, _) in zip(series.times, series.points, strict=True) if t is not None]
    if len(known) < 2:
        return []
    scale = Scale.over([t for t, _ in known], 0, 1, snug=True, signed=True)
    out = []
    for share, label in scale.ticks(5):
        if share > 0.9:
            continue
        for (t0, x0), (t1, x1) in pairwise(known):
            a, b = scale.at(t0), scale.at(t1)
            if a <= share <= b and a < b:
                out.append((x0 + (x1 - x0) * (share - a) / (b - a), label))
                break
    return sorted(out)


def apart(marks: list[tuple[int, str]], unit: float) -> list[tuple[int, str]]:
    """The marks whose labels, ``unit`` wide a character, leave room for each other."""
    kept: list[tuple[int, str]] = []
    for at, label in marks:
        if not kept or at - kept[-1][0] >= unit * (len(label) + len(kept[-1][1])) / 2:
            kept.append((at, label))
    return kept


def simplified(places: list[tuple[float, float]], flat: float = _FLAT) -> list[tuple[int, int]]:
    """Corners in whole units of a line that misses no place by more than ``flat``, which is
    at least 0.71 (Douglas, Peucker; distances are to the line as it is drawn, after rounding)."""
    corners = [(round(a), round(b)) for a, b in (places[0], places[-1])]
    if len(places) < 3:
        return corners[: len(places)]
    (x0, y0), (x1, y1) = corners
    dx, dy = x1 - x0, y1 - y0
    square = dx * dx + dy * dy

    def off(p: tuple[float, float]) -> float:
        along = ((p[0] - x0) * dx + (p[1] - y0) * dy) / square if square else 0.0
        along = min(max(along, 0.0), 1.0)
        return math.hypot(p[0] - x0 - along * dx, p[1] - y0 - along * dy)

    far = max(range(1, len(places) - 1), key=lambda i: off(places[i]))
    if off(places[far]) <= flat:
        return corners
    return [*simplified(places[: far + 1], flat)[:-1], *simplified(places[far:], flat)]


def path_of(corners: list[tuple[int, int]]) -> str:
    """SVG path data: the first corner, then steps, which are shorter to write than places.

    A single corner is a step of no length: a dot, by the round ends of lines.
    """
    written, last = f"M{corners[0][0]} {corners[0][1]}", ""
    for (x0, y0), (x1, y1) in pairwise(corners if len(corners) > 1 else corners * 2):
        dx, dy = x1 - x0, y1 - y0
        letter, step = (
            ("h", f"{dx}") if not dy else ("v", f"{dy}") if not dx else ("l", f"{dx} {dy}")
        )
        written += (" " if letter == last else letter) + step
        last = letter
    return written.replace(" -", "-")


def _text(x: int, label: str, style: str = "") -> str:
    """A label of the level axis or of the clock, whose height style.css gives."""
    named = f' class="{style}"' if style else ""
    return f'<text{named} x="{x}">{escape(label)}</text>'


def _name(words: str) -> str:
    """What an axis shows; where it stands style.css says, which knows it by its place."""
    return f"<text>{escape(words)}</text>"


def _segments(series: Series, *, log: bool) -> list[list[tuple[float, float]]]:
    """The runs of drawable points: a gap in the data is a gap in the line."""
    segments: list[list[tuple[float, float]]] = [[]]
    for a, b in series.points:
        if b is None or (log and b <= 0):
            segments.append([])
        else:
            segments[-1].append((a, b))
    return [segment for segment in segments if segment]


def missing_points(curve: Curve) -> int:
    """How many points of ``curve`` cannot be drawn."""
    return sum(
        b is None or (curve.y_log and b <= 0) for series in curve.series for _, b in series.points
    )


def span(series: Series) -> str:
    """First and last value that was finite, for the key: what the picture says, in words."""
    finite = [b for _, b in series.points if b is not None]
    if not finite:
        return "–"
    first, last = number(finite[0], 2), number(finite[-1], 2)
    return first if first == last else f"{first} → {last}"


def ratio_place(ratio: float | None) -> str:
    """Where value/tolerance lies between 1e-6 and 1e2, in log scale, as a share of the way;
    1 lies at three quarters, where style.css draws its mark.  "" without a ratio."""
    if ratio is None:
        return ""
    return f"{Scale(1e-6, 1e2, 0, 100, log=True).at(ratio):.0f}%"
