"""Phase portraits as SVG: paths of W/N(W) on the norm's unit sphere, and the optimal face."""

from __future__ import annotations

import math

from markupsafe import Markup, escape

from reports.figures import Phase, Point
from reports.plots import Frames, path_of, simplified
from reports.text import plural

_SIZE, _MIDDLE, _UNIT = 640, 320, 248
"""SVG units (half-pixels): side of the picture, its middle, length of a unit vector."""
_TURN = (math.cos(math.radians(28)), math.sin(math.radians(28)), 0.36)
"""The view of a three-dimensional portrait: turned about the third axis, then tilted."""
Place = tuple[float, float]


def phase_portrait(phase: Phase, frames: Frames | None = None) -> Markup:
    """The portrait; SVG of 640 x 640 units, or "" without a path.

    frames: of the page that it is for, on which several claims may have the same one.
    """
    if not any(points for _, points in phase.paths):
        return Markup("")
    out = [_sphere(phase), *_axes(phase)]
    for reached, points in sorted(phase.paths, key=lambda path: path[0]):
        places = simplified([_place(p) for p in points])
        style = "s0" if reached else "s5"
        (x0, y0), (x1, y1) = places[0], places[-1]
        out.append(
            f'<g class="{style}"><path class="way" d="{path_of(places)}"/>'
            f'<circle class="from" cx="{x0}" cy="{y0}"/><circle cx="{x1}" cy="{y1}"/></g>'
        )
    drawn = (frames or Frames())("".join([*out, _face(phase)]))
    return Markup(
        f'<svg class="phase" viewBox="0 0 {_SIZE} {_SIZE}" role="img" '
        f'aria-label="{escape(_words(phase))}">{drawn}</svg>'
    )


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
        dx, dy = 32 * (x - _MIDDLE) / along, 32 * (y - _MIDDLE) / along
        out.append(f'<text class="mid" x="{x + dx:.0f}" y="{y + dy + 8:.0f}">{escape(name)}</text>')
    return out


def _face(phase: Phase) -> str:
    places = [_place(p) for p in phase.face]
    if len(places) == 1:
        x, y = places[0]
        return f'<path class="face" d="M{x - 14:.0f} {y:.0f}h28M{x:.0f} {y - 14:.0f}v28"/>'
    return f'<path class="face" d="{_line(places)}{"Z" if len(places) > 2 else ""}"/>'


def _line(places: list[Place]) -> str:
    return "M" + "L".join(f"{x:.0f} {y:.0f}" for x, y in places) if places else ""


def _words(phase: Phase) -> str:
    reached = sum(there for there, _ in phase.paths)
    kind = {1: "a point", 2: "a segment"}.get(len(phase.face), "a polygon")
    return (
        f"Phase portrait in {', '.join(phase.axes)}, on the unit sphere of the {phase.norm} norm. "
        f"{plural(len(phase.paths), 'path')}, {reached} to the infimum of the loss; the optimal "
        f"set is {kind}."
    )
