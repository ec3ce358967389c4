"""Plots as SVG text, drawn at build time: they need no script and print as they look."""

from __future__ import annotations

import math
from itertools import pairwise

from markupsafe import Markup, escape

from reports.axes import Scale
from reports.figures import Curve, Histogram, Series
from reports.text import count, number, plural

STYLES = 6  # line styles in style.css (s0 to s5); further series repeat them
_FLAT = 0.3
"""SVG units by which a drawn line may miss a point of the data: less than a pixel shows."""


def line_plot(curve: Curve, timed: Series | None = None) -> Markup:
    """The curve's series over one pair of axes; SVG of 300 x 196 units, or "" without data.

    timed: the one whose ln t is written along the top, where all series are of one run.

    On a logarithmic axis values <= 0 have no place: they are left out and counted in the
    text twin, like values that were not finite.
    """
    drawn = [_segments(series, log=curve.y_log) for series in curve.series]
    points = [p for segments in drawn for segment in segments for p in segment]
    if not points:
        return Markup("")
    width, height, left, right, bottom = 300, 196, 40, 8, 38
    top = 20 if timed is None else 32
    base = height - bottom
    x = Scale.over([p[0] for p in points], left, width - right, snug=True, signed=True)
    ends = [v for v in curve.y_range if v > 0 or not curve.y_log]
    y = Scale.over([*(p[1] for p in points), *ends], base, top, log=curve.y_log)
    out = [_open(width, height, _curve_words(curve))]
    across, marks = y.ticks(5), x.ticks(5)
    lines = "".join(f"M{left} {at:.1f}H{width - right}" for at, _ in across)
    out.append(f'<path class="grid" d="{lines}"/>')
    out.append('<g class="tick">')
    out += [_text(left - 5, at + 4, label) for at, label in across]
    ticks = "".join(f"M{at:.1f} {base}v4" for at, _ in marks)
    out.append(f'</g><path class="axis" d="M{left} {base}H{width - right}{ticks}"/><g class="mid">')
    for at, label in _apart(marks, 8):
        out.append(_text(at, base + 16, label, "end" if at > width - 16 else ""))
    out.append(_text((left + width - right) / 2, height - 5, curve.x_label, "name"))
    if timed is not None:
        above = [(x.at(value), label) for value, label in _moments(timed)]
        out += [_text(at, top - 6, label) for at, label in _apart(above, 7)]
        out.append(_text(width - right + 1, top - 6, "ln t", "name end"))
    out.append(f'</g><text class="name" x="2" y="9">{escape(curve.y_label)}</text>')
    for i, segments in enumerate(drawn):
        style = f"line s{i % STYLES}"
        for segment in segments:
            places = _simplified([(x.at(a), y.at(b)) for a, b in segment])
            if len(places) == 1:
                a, b = places[0]
                out.append(f'<circle class="{style}" cx="{a:.1f}" cy="{b:.1f}" r="2"/>')
            else:
                steps = "L".join(f"{a:.1f} {b:.1f}" for a, b in places).replace(".0", "")
                out.append(f'<path class="{style}" d="M{steps}"/>')
    out.append("</svg>")
    return Markup("".join(out))


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


def _apart(marks: list[tuple[float, str]], unit: float) -> list[tuple[float, str]]:
    """The marks whose labels, ``unit`` wide a character, leave room for each other."""
    kept: list[tuple[float, str]] = []
    for at, label in marks:
        if not kept or at - kept[-1][0] >= unit * (len(label) + len(kept[-1][1])) / 2:
            kept.append((at, label))
    return kept


def _simplified(places: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """The polyline without the points that lie within ``_FLAT`` of it (Douglas, Peucker)."""
    if len(places) < 3:
        return places
    (x0, y0), (x1, y1) = places[0], places[-1]
    dx, dy = x1 - x0, y1 - y0
    square = dx * dx + dy * dy

    def off(p: tuple[float, float]) -> float:
        along = ((p[0] - x0) * dx + (p[1] - y0) * dy) / square if square else 0.0
        along = min(max(along, 0.0), 1.0)
        return math.hypot(p[0] - x0 - along * dx, p[1] - y0 - along * dy)

    far = max(range(1, len(places) - 1), key=lambda i: off(places[i]))
    if off(places[far]) <= _FLAT:
        return [places[0], places[-1]]
    return [*_simplified(places[: far + 1])[:-1], *_simplified(places[far:])]


def histogram(h: Histogram, *, signed: bool = False) -> Markup:
    """Bars of ``h``; SVG of 300 x 118 units, or "" without data.

    With ``signed`` the bins below zero (assumption unmet) have their own colour, a bin
    that straddles zero is hollow, and zero is marked.  Bins of unequal width are drawn
    in log scale where they are a geometric grid, else equally wide with their edges
    written: never as densities.
    """
    if not h.total:
        return Markup("")
    width, height, left, right, top, bottom = 300, 100, 4, 4, 13, 18
    edges = _closed(h.edges)
    places, labels = _edge_places(edges, h, left, width - right)
    tallest = max(h.counts)
    base = height - bottom
    bars: dict[str, list[str]] = {"": [], " unmet": [], " mixed": []}
    for i, n in enumerate(h.counts):
        if n:
            rise = max(1.5, (base - top) * n / tallest)  # 1.5 units: a lone case stays visible
            a, wide = round(places[i]), max(round(places[i + 1]) - round(places[i]) - 1, 1)
            kind = _sign(edges[i], edges[i + 1]) if signed else ""
            bars[kind].append(f"M{a} {base}v-{rise:.2g}h{wide}V{base}")
    out = [_open(width, height, _histogram_words(h, signed=signed))]
    for kind, paths in bars.items():
        if paths:
            out.append(f'<path class="bar{kind}" d="{"".join(paths)}"/>')
    ticks = "".join(f"M{at:.0f} {base}v3" for at, _ in labels)
    out.append(f'<path class="axis" d="M{left} {base}H{width - right}{ticks}"/><g class="mid">')
    for at, label in _apart(labels, 7):
        anchor = "start" if at < left + 12 else "end" if at > width - right - 12 else ""
        out.append(_text(at, height - 3, label, anchor))
    out.append("</g>")
    if signed and edges[0] < 0 < edges[-1]:
        zero = _between(0.0, edges, places)
        out.append(f'<path class="zero" d="M{zero:.1f} {base}V{top - 6}"/>')
    out.append(f'<text x="{left}" y="9">{count(tallest)}</text></svg>')
    return Markup("".join(out))


def swatch(index: int) -> Markup:
    """The line style of series ``index``, for a legend."""
    return Markup(f'<svg class="swatch" aria-hidden="true"><use href="#k{index % STYLES}"/></svg>')


def _open(width: int, height: int, words: str) -> str:
    return (
        f'<svg class="plot" viewBox="0 0 {width} {height}" role="img" aria-label="{escape(words)}">'
    )


def _text(x: float, y: float, label: str, style: str = "") -> str:
    named = f' class="{style}"' if style else ""
    return f'<text{named} x="{x:.4g}" y="{y:.4g}">{escape(label)}</text>'


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


def _curve_words(curve: Curve) -> str:
    words = [f"{curve.y_label} against {curve.x_label}."]
    for series in curve.series:
        finite = [(a, b) for a, b in series.points if b is not None]
        if finite:
            (a0, b0), (a1, b1) = finite[0], finite[-1]
            words.append(
                f"{series.label}: from {number(b0, 2)} at {number(a0, 2)} to {number(b1, 2)} at "
                f"{number(a1, 2)}."
            )
    return " ".join(words)


def _histogram_words(h: Histogram, *, signed: bool) -> str:
    """Range and median bin: what a glance at the bars gives."""
    filled = [i for i, n in enumerate(h.counts) if n]
    seen, middle = 0, filled[0]
    for i in filled:
        seen += h.counts[i]
        if 2 * seen >= h.total:
            middle = i
            break
    lowest, highest = _end(h, filled[0], 0), _end(h, filled[-1], 1)
    words = [f"{plural(h.total, 'value')} from {lowest} to {highest}"]
    if signed:
        words.append(f"{count(below_zero(h))} below zero")
    words.append(f"median in {_bin_words(h, middle)}")
    return "; ".join(words) + "."


def _end(h: Histogram, i: int, side: int) -> str:
    """The lower (0) or upper (1) end of a bin; of an open one, what it lies beyond."""
    edge = h.edges[i + side]
    return _bin_words(h, i) if edge is None else number(edge, 2)


def _bin_words(h: Histogram, i: int) -> str:
    lower, upper = h.edges[i], h.edges[i + 1]
    if lower is None or upper is None:
        return f"below {number(upper, 2)}" if lower is None else f"above {number(lower, 2)}"
    return f"{number(lower, 2)} to {number(upper, 2)}"


def below_zero(h: Histogram) -> int:
    """How many values lie in bins that end at or below zero."""
    edges = _closed(h.edges)
    return sum(n for n, upper in zip(h.counts, edges[1:], strict=True) if upper <= 0)


def ratio_strip(ratio: float | None) -> Markup:
    """Where value/tolerance lies between 1e-6 and 1e2, in log scale; a mark stands at 1.

    Decoration beside the number, so hidden from screen readers; "" without a ratio.
    """
    if ratio is None:
        return Markup("")
    scale = Scale(1e-6, 1e2, 2, 72, log=True)
    return Markup(
        f'<svg class="strip" viewBox="0 0 74 10" aria-hidden="true"><path d="M2 5H72'
        f'M{scale.at(1.0):.3g} 1V9"/><circle cx="{scale.at(ratio):.3g}" cy="5" r="2.8"/></svg>'
    )


def _sign(lower: float, upper: float) -> str:
    """The bar style of a bin of signed margins."""
    if upper <= 0:
        return " unmet"
    return " mixed" if lower < 0 else ""


def _closed(edges: tuple[float | None, ...]) -> list[float]:
    """Edges with an open end closed one bin's width further out."""
    inner = [e for e in edges if e is not None]
    gap = inner[1] - inner[0] if len(inner) > 1 else 1.0
    first = [] if edges[0] is not None else [(inner[0] if inner else 0.0) - gap]
    gap = inner[-1] - inner[-2] if len(inner) > 1 else 1.0
    last = [] if edges[-1] is not None else [(inner[-1] if inner else 0.0) + gap]
    return [*first, *inner, *last]


def _edge_places(
    edges: list[float], h: Histogram, start: float, end: float
) -> tuple[list[float], list[tuple[float, str]]]:
    """Positions of the edges and (position, label) of the ticks."""
    steps = [b - a for a, b in pairwise(edges)]
    if max(steps) <= 1.01 * min(steps):  # equal to one percent, the eye's limit
        linear = Scale(edges[0], edges[-1], start, end)
        return [linear.at(e) for e in edges], linear.ticks(4)
    if edges[0] > 0:
        ratios = [b / a for a, b in pairwise(edges)]
        if max(ratios) <= 1.01 * min(ratios):
            log = Scale(edges[0], edges[-1], start, end, log=True)
            return [log.at(e) for e in edges], _ends(edges, log.at(edges[0]), log.at(edges[-1]), h)
    places = [start + (end - start) * i / (len(edges) - 1) for i in range(len(edges))]
    every = max(1, round((len(edges) - 1) / 4))
    chosen = range(0, len(edges), every)
    return places, [(places[i], _edge_label(h, i)) for i in chosen]


def _ends(edges: list[float], a: float, b: float, h: Histogram) -> list[tuple[float, str]]:
    middle = (edges[0] * edges[-1]) ** 0.5
    last = len(edges) - 1
    return [(a, _edge_label(h, 0)), ((a + b) / 2, number(middle, 2)), (b, _edge_label(h, last))]


def _edge_label(h: Histogram, i: int) -> str:
    edge = h.edges[i]
    return "…" if edge is None else number(edge, 2)


def _between(value: float, edges: list[float], places: list[float]) -> float:
    """The position of ``value`` among ``places``, linear within its bin."""
    for i in range(len(edges) - 1):
        if edges[i] <= value <= edges[i + 1]:
            share = (value - edges[i]) / (edges[i + 1] - edges[i])
            return places[i] + share * (places[i + 1] - places[i])
    return places[-1]
