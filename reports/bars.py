"""Histograms as SVG text: one outline each, its range and median written below it."""

from __future__ import annotations

from itertools import pairwise

from markupsafe import Markup

from reports.figures import Histogram
from reports.text import number

_WIDTH, _HEIGHT, _LEAST, _BINS = 240, 44, 2, 12
"""Pixels, as in style.css, and the number of bins that it takes for granted.
_LEAST: height at which a lone case is still seen."""


def histogram(h: Histogram, *, signed: bool = False) -> Markup:
    """The outline of ``h``; SVG of 240 x 44 pixels, or "" without data.  One unit is a bin wide
    and a pixel high, upwards; style.css stretches twelve of them, as the suite records.

    With ``signed`` the bins below zero (assumption unmet) have their own colour, a bin
    that straddles zero is hollow, and zero is marked.  Bins are drawn equally wide, as they are
    in what the suite records; where they are not, ``uneven`` says so: never densities.
    Hidden from screen readers, which read ``ends`` and ``median`` below it.
    """
    if not h.total:
        return Markup("")
    edges, tallest = closed(h.edges), max(h.counts)
    kinds = [_sign(edges[i], edges[i + 1]) if signed and n else "" for i, n in enumerate(h.counts)]
    heights = [_height(n, tallest) for n in h.counts]
    wide = "" if len(kinds) == _BINS else f' style="--bin:{_WIDTH / len(kinds):.4g}"'
    out = [f'<svg role="none"{wide}>']
    for kind in dict.fromkeys(kinds):
        mine = [t if k == kind else 0 for t, k in zip(heights, kinds, strict=True)]
        if any(mine):
            named = f' class="{kind}"' if kind else ""
            out.append(f'<path{named} d="{_outline(mine)}"/>')
    if signed and edges[0] < 0 < edges[-1]:
        out.append(f'<path class="zero" d="M{_bins_below(0.0, edges):.2f} 0v{_HEIGHT}"/>')
    return Markup("".join(out) + "</svg>")


def _height(n: int, tallest: int) -> int:
    """Of the bar of ``n`` cases; that of a lone case is still seen."""
    return max(round(_HEIGHT * n / tallest), _LEAST) if n else 0


def _outline(heights: list[int]) -> str:
    """Path data of bars side by side, from base to base; bars of one height are one step."""
    path, now, since = "", 0, 0
    for i, height in enumerate([*heights, 0]):
        if height != now:
            path = f"{path}h{i - since}V{height}" if path else f"M{i} 0V{height}"
            now, since = height, i
    return path


def ends(h: Histogram) -> tuple[str, str]:
    """Where its values begin and end; of an open bin, what they lie beyond."""
    filled = [i for i, n in enumerate(h.counts) if n]
    return _end(h, filled[0], 0), _end(h, filled[-1], 1)


def median(h: Histogram) -> str:
    """The median of ``h``, values taken as evenly spread within their bin."""
    seen = 0
    for i, n in enumerate(h.counts):
        if n and 2 * (seen + n) >= h.total:
            lower, upper = h.edges[i], h.edges[i + 1]
            if lower is None or upper is None:
                return _end(h, i, 0)
            share = (h.total / 2 - seen) / n
            return number(lower + (upper - lower) * share, 2)
        seen += n
    return "–"


def uneven(h: Histogram) -> bool:
    """Are its bins of unequal width (to one percent, the eye's limit)?"""
    steps = [b - a for a, b in pairwise(closed(h.edges))]
    return max(steps) > 1.01 * min(steps)


def below_zero(h: Histogram) -> int:
    """How many values lie in bins that end at or below zero."""
    edges = closed(h.edges)
    return sum(n for n, upper in zip(h.counts, edges[1:], strict=True) if upper <= 0)


def closed(edges: tuple[float | None, ...]) -> list[float]:
    """Edges with an open end closed one bin's width further out."""
    inner = [e for e in edges if e is not None]
    gap = inner[1] - inner[0] if len(inner) > 1 else 1.0
    first = [] if edges[0] is not None else [(inner[0] if inner else 0.0) - gap]
    gap = inner[-1] - inner[-2] if len(inner) > 1 else 1.0
    last = [] if edges[-1] is not None else [(inner[-1] if inner else 0.0) + gap]
    return [*first, *inner, *last]


def _end(h: Histogram, i: int, side: int) -> str:
    """The lower (0) or upper (1) end of a bin; of an open one, what it lies beyond."""
    lower, upper = h.edges[i], h.edges[i + 1]
    if lower is None:
        return f"below {number(upper, 2)}"
    if upper is None:
        return f"above {number(lower, 2)}"
    return number((lower, upper)[side], 2)


def _sign(lower: float, upper: float) -> str:
    """The bar style of a bin of signed margins."""
    if upper <= 0:
        return "unmet"
    return "mixed" if lower < 0 else ""


def _bins_below(value: float, edges: list[float]) -> float:
    """How many bins lie below ``value``, that in which it lies by its share."""
    i = next(i for i, upper in enumerate(edges[1:]) if value <= upper)
    return i + (value - edges[i]) / (edges[i + 1] - edges[i])
