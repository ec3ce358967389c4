"""Phase portraits as SVG: paths of W/N(W) on the norm's unit sphere, and the optimal face."""

from __future__ import annotations

import math

from markupsafe import Markup, escape

from reports.figures import Phase, Point
from reports.text import plural

_SIZE, _MIDDLE, _UNIT = 320, 160, 124
"""SVG units: side of the picture, its middle, length of a unit vector."""
_TURN = (math.cos(math.radians(28)), math.sin(math.radians(28)), 0.36)
"""The view of a three-dimensional portrait: turned about the third axis, then tilted."""
Place = tuple[float, float]


def phase_portrait(phase: Phase) -> Markup:
    """The portrait; SVG of 320 x 320 units, or "" without a path."""
    if not any(points for _, points in phase.paths):
        return Markup("")
    out = [
        f'<svg class="plot phase" viewBox="0 0 {_SIZE} {_SIZE}" role="img" '
        f'aria-label="{escape(_words(phase))}">',
        _sphere(phase),
        *_axes(phase),
    ]
    for reached, points in sorted(phase.paths, key=lambda path: path[0]):
        places = [_place(p) for p in points]
        style = "s0" if reached else "s5"
        first, last = places[0], places[-1]
        line = "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
        out.append(f'<path class="line way {style}" d="M{line}"/>')
        out.append(f'<circle class="from {style}" cx="{first[0]:.1f}" cy="{first[1]:.1f}" r="3"/>')
        out.append(f'<circle class="to {style}" cx="{last[0]:.1f}" cy="{last[1]:.1f}" r="3.4"/>')
    out += [_face(phase), "</svg>"]
    return Markup("".join(out))


def projected(point: Point) -> Place:
    """A point of the unit sphere in the plane: itself, or seen from above and aside in three
    dimensions (orthogonal projection; the second number points up)."""
    if len(point) == 2:
        return point[0], point[1]
    cosine, sine, tilt = _TURN
    nearer = sine * point[0] + cosine * point[1]
    rise = math.sqrt(1 - tilt * tilt) * point[2] - tilt * nearer
    return cosine * point[0] - sine * point[1], rise


def _place(point: Point) -> Place:
    """Its place in the picture."""
    x, rise = projected(point)
    return _MIDDLE + _UNIT * x, _MIDDLE - _UNIT * rise


def _sphere(phase: Phase) -> str:
    """The unit sphere of the norm: a diamond, an octahedron's edges, or a circle."""
    size = len(phase.axes)
    if phase.norm != "l1":
        return f'<circle class="ball" cx="{_MIDDLE}" cy="{_MIDDLE}" r="{_UNIT}"/>'
    corners = [
        tuple(sign if i == j else 0.0 for j in range(size)) for i in range(size) for sign in (1, -1)
    ]
    edges = [
        (a, b) for i, a in enumerate(corners) for b in corners[i + 1 :]
        if any(x + y for x, y in zip(a, b, strict=True))
    ]  # fmt: skip
    path = "".join(_line([_place(a), _place(b)]) for a, b in edges)
    return f'<path class="ball" d="{path}"/>'


def _axes(phase: Phase) -> list[str]:
    size = len(phase.axes)
    out = []
    for i, name in enumerate(phase.axes):
        tip = tuple(1.0 if i == j else 0.0 for j in range(size))
        x, y = _place(tip)
        back = _place(tuple(-v for v in tip))
        out.append(f'<path class="axis" d="{_line([back, (x, y)])}"/>')
        along = math.hypot(x - _MIDDLE, y - _MIDDLE) or 1.0
        dx, dy = 16 * (x - _MIDDLE) / along, 16 * (y - _MIDDLE) / along
        out.append(f'<text class="mid" x="{x + dx:.1f}" y="{y + dy + 4:.1f}">{escape(name)}</text>')
    return out


def _face(phase: Phase) -> str:
    places = [_place(p) for p in phase.face]
    if len(places) == 1:
        x, y = places[0]
        return f'<path class="face" d="M{x - 7:.1f} {y:.1f}h14M{x:.1f} {y - 7:.1f}v14"/>'
    return f'<path class="face" d="{_line(places)}{"Z" if len(places) > 2 else ""}"/>'


def _line(places: list[Place]) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in places) if places else ""


def _words(phase: Phase) -> str:
    reached = sum(there for there, _ in phase.paths)
    kind = {1: "a point", 2: "a segment"}.get(len(phase.face), "a polygon")
    return (
        f"Phase portrait in {', '.join(phase.axes)}, on the unit sphere of the {phase.norm} norm. "
        f"{plural(len(phase.paths), 'path')}, {reached} to the infimum of the loss; the optimal "
        f"set is {kind}."
    )
