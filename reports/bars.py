"""Histograms as SVG text: one outline each, its range and median written below it."""

from __future__ import annotations

from itertools import pairwise

from markupsafe import Markup

from reports.figures import Histogram
from reports.text import number

_WIDTH, _HEIGHT, _LEAST = 240, 44, 2
"""Pixels, as in style.css.  _LEAST: height at which a lone case is still seen."""


def histogram(h: Histogram, *, signed: bool = False) -> Markup:
    """The outline of ``h``; SVG of 240 x 44 pixels, or "" without data.

    With ``signed`` the bins below zero (assumption unmet) have their own colour, a bin
    that straddles zero is hollow, and zero is marked.  Bins are drawn equally wide, as they are
    in what the suite records; where they are not, ``uneven`` says so: never densities.
    Hidden from screen readers, which read ``ends`` and ``median`` below it.
    """
    if not h.total:
        return Markup("")
    edges, tallest = closed(h.edges), max(h.counts)
    places = [round(_WIDTH * i / len(h.counts)) for i in range(len(edges))]
    kinds = [_sign(edges[i], edges[i + 1]) if signed and n else "" for i, n in enumerate(h.counts)]
    tops = [_top(n, tallest) for n in h.counts]
    out = ['<svg aria-hidden="true">']
    for kind in dict.fromkeys(kinds):
        mine = [t if k == kind else _HEIGHT for t, k in zip(tops, kinds, strict=True)]
        if min(mine) < _HEIGHT:
            named = f' class="{kind}"' if kind else ""
            out.append(f'<path{named} d="{_outline(mine, places)}"/>')
    if signed and edges[0] < 0 < edges[-1]:
        zero = _between(0.0, edges, places)
        out.append(f'<path class="zero" d="M{zero:.0f} 0V{_HEIGHT}"/>')
    return Markup("".join(out) + "</svg>")


def _top(n: int, tallest: int) -> int:
    """Where the bar of ``n`` cases ends: the tallest at 0, a lone case where it is still seen."""
    return min(round(_HEIGHT * (1 - n / tallest)), _HEIGHT - _LEAST) if n else _HEIGHT


def _outline(tops: list[int], places: list[int]) -> str:
    """Path data of bars side by side, from base to base; bars of one height are one step."""
    path, height = "", _HEIGHT
    for i, top in enumerate([*tops, _HEIGHT]):
        if top != height:
            if not path:
                path = f"M{places[i]} {_HEIGHT}"
            elif not path.endswith(f"H{places[i]}"):
                path += f"H{places[i]}"
            path += f"V{top}"
            height = top
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


def _between(value: float, edges: list[float], places: list[int]) -> float:
    """The position of ``value`` among ``places``, linear within its bin."""
    for i in range(len(edges) - 1):
        if edges[i] <= value <= edges[i + 1]:
            share = (value - edges[i]) / (edges[i + 1] - edges[i])
            return places[i] + share * (places[i + 1] - places[i])
    return places[-1]
