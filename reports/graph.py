"""The claim graph: what rests on what, from left (rests on nothing) to right.

Claims that rest on exactly the same others stand in one frame, and lines lead to the frame: a
third of the lines say the same.
"""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup, escape

from reports.icons import symbol
from reports.run import Run
from reports.standing import Standing, standings_of

# SVG units: width of a character, height of a row, gaps between frames, layers and columns;
# characters of the longest label, rows of the longest column of a frame
_CHARACTER, _ROW, _GAP, _BETWEEN, _INNER, _LONGEST, _TALLEST = 6.1, 20, 12, 30, 6, 30, 12
_SWEEPS = 12
"""Times the frames of all layers are put in order of what they are tied to."""


def layers_of(rests_on: dict[str, tuple[str, ...]]) -> list[list[str]]:
    """Keys by layer: right of all they rest on, and no further left than what needs them asks.

    The second keeps lines short.  Keys on a cycle come last, in a layer of their own.
    """
    depth: dict[str, int] = {}
    waiting = dict(rests_on)
    while waiting:
        ready = [
            key
            for key, needed in waiting.items()
            if all(n in depth or n not in rests_on for n in needed)
        ] or list(waiting)
        depth.update({key: _after(rests_on[key], depth) for key in ready})
        for key in ready:
            del waiting[key]
    needing = {key: [k for k, needed in rests_on.items() if key in needed] for key in rests_on}
    carrying = {key for key in rests_on if needing[key]}
    for key in sorted(rests_on, key=lambda key: -depth[key]):  # right to left
        ahead = [depth[k] for k in needing[key] if k in carrying]
        if ahead:
            depth[key] = max(depth[key], min(ahead) - 1)
    for key in rests_on:
        if key not in carrying:  # nothing rests on it: as far left as what it rests on lets it
            depth[key] = _after(rests_on[key], depth)
    layers: list[list[str]] = [[] for _ in range(1 + max(depth.values(), default=-1))]
    for key, level in depth.items():
        layers[level].append(key)
    return [layer for layer in layers if layer]


def _after(needed: tuple[str, ...], depth: dict[str, int]) -> int:
    return 1 + max((depth[n] for n in needed if n in depth), default=-1)


def direct(rests_on: dict[str, tuple[str, ...]], key: str) -> list[str]:
    """What ``key`` rests on and does not also reach through something else it rests on.

    Only these lines are drawn; the others would say nothing new and hide these.
    """
    reached: set[str] = set()
    stack = [n for other in rests_on[key] for n in rests_on.get(other, ()) if other != key]
    while stack:
        node = stack.pop()
        if node not in reached and node != key:
            reached.add(node)
            stack.extend(rests_on.get(node, ()))
    return [other for other in rests_on[key] if other not in reached]


@dataclass
class _Frame:
    """Claims that rest on the same others (``needs``), in columns of ``tall`` rows."""

    keys: list[str]
    needs: tuple[str, ...]
    x: int = 0
    y: float = 0.0

    @property
    def columns(self) -> int:
        return -(-len(self.keys) // _TALLEST)

    @property
    def tall(self) -> int:
        return -(-len(self.keys) // self.columns)

    @property
    def height(self) -> int:
        return self.tall * _ROW

    def place(self, key: str, column: int) -> tuple[float, float]:
        """Upper left corner of the row of ``key``, columns being ``column`` wide."""
        i = self.keys.index(key)
        return self.x + i // self.tall * (column + _INNER), self.y + i % self.tall * _ROW


def _frames(layers: list[list[str]], rests_on: dict[str, tuple[str, ...]]) -> list[list[_Frame]]:
    """The frames of each layer; what rests on nothing stands alone."""
    out = []
    for layer in layers:
        found: dict[tuple[str, ...], _Frame] = {}
        for key in layer:
            needs = tuple(sorted(direct(rests_on, key)))
            frame = found.setdefault(needs or (key,), _Frame([], needs))
            frame.keys.append(key)
        out.append(list(found.values()))
    return out


def _arrange(layers: list[list[_Frame]]) -> float:
    """Put frames above each other, each near the middle of what it is tied to; the height."""
    home = {key: frame for layer in layers for frame in layer for key in frame.keys}
    ties: dict[int, list[_Frame]] = {id(frame): [] for layer in layers for frame in layer}
    for layer in layers:
        for frame in layer:
            for other in {id(home[n]): home[n] for n in frame.needs if n in home}.values():
                ties[id(frame)].append(other)
                ties[id(other)].append(frame)
    tallest = max(_stacked(layer) for layer in layers)
    for layer in layers:
        _stack(layer, {id(frame): 0.0 for frame in layer}, tallest)
    for sweep in range(_SWEEPS):
        for layer in layers if sweep % 2 == 0 else layers[::-1]:
            wanted = {}
            for frame in layer:
                near = [other.y + other.height / 2 for other in ties[id(frame)]]
                middle = sum(near) / len(near) if near else frame.y + frame.height / 2
                wanted[id(frame)] = middle - frame.height / 2
            layer.sort(key=lambda frame: wanted[id(frame)] + frame.height / 2)
            _stack(layer, wanted, tallest)
    return tallest


def _stacked(layer: list[_Frame]) -> float:
    return sum(frame.height + _GAP for frame in layer) - _GAP


def _stack(layer: list[_Frame], wanted: dict[int, float], height: float) -> None:
    """Give each frame of a layer its place: where it is wanted, pushed down, then up again."""
    at = 0.0
    for frame in layer:
        frame.y = max(at, wanted[id(frame)])
        at = frame.y + frame.height + _GAP
    at = height
    for frame in reversed(layer):
        frame.y = min(frame.y, at - frame.height)
        at = frame.y - _GAP


def claim_graph(run: Run, anchor: dict[str, str]) -> Markup:
    """SVG of the graph; "" for a run without claims.  anchor: key -> id that its node links to."""
    standings = standings_of(run)
    rests_on = {r.key: r.rests_on for r in run.records}
    layers = _frames(layers_of(rests_on), rests_on)
    if not layers:
        return Markup("")
    height = _arrange(layers)
    x = 1
    nodes: list[str] = []
    ends: dict[str, tuple[float, float]] = {}
    for layer in layers:
        column = round(
            max(len(_short(key)) for frame in layer for key in frame.keys) * _CHARACTER + 28
        )
        nodes.append(f'<g style="--wide:{column}px">')
        for frame in layer:
            frame.x = x
            for key in frame.keys:
                left, top = frame.place(key, column)
                ends[key] = left + column, top + _ROW / 2
                nodes.append(_node(key, anchor[key], (left, top + 1), standings[key]))
        nodes.append("</g>")
        x += max(frame.columns for frame in layer) * (column + _INNER) - _INNER + _BETWEEN
    lines: list[str] = []
    broken: list[str] = []
    for frame in (frame for layer in layers for frame in layer):
        for other in frame.needs:
            if other in ends and other not in frame.keys:
                sound = standings[other].key in ("held", "caught")
                middle = frame.x, frame.y + frame.height / 2
                (lines if sound else broken).append(_line(ends[other], middle))
    total = x - _BETWEEN + 1
    shown = dict.fromkeys(standing.key for standing in standings.values())
    return Markup(
        f'<svg class="graph" viewBox="0 0 {total} {height + 2:.0f}" width="{total}" '
        f'height="{height + 2:.0f}" role="group" aria-label="Claim graph; the list below it says '
        f'the same in words"><defs>{"".join(map(symbol, shown))}</defs>'
        f'<path class="edge" d="{"".join(lines)}"/>'
        f'<path class="edge broken" d="{"".join(broken)}"/>{"".join(nodes)}</svg>'
    )


def _short(key: str) -> str:
    """The label of a box: the key without its leading kind, which title and link spell out."""
    label = key.partition(".")[2] or key
    return label if len(label) <= _LONGEST else label[: _LONGEST - 1] + "…"


def _line(start: tuple[float, float], end: tuple[float, float]) -> str:
    (x0, y0), (x1, y1) = start, end
    dx, dy = round(x1) - round(x0), round(y1) - round(y0)
    bend = round(max(18.0, dx / 2))
    return f"M{x0:.0f} {y0:.0f}c{bend} 0 {dx - bend} {dy} {dx} {dy}".replace(" -", "-")


def _node(key: str, anchor: str, corner: tuple[float, float], standing: Standing) -> str:
    """A box, as wide as its layer says, whose upper left corner is ``corner``."""
    x, y = corner
    return (
        f'<a href="#{anchor}" class="is-{standing.key}" '
        f'transform="translate({x:.0f} {y:.0f})">'
        f"<title>{escape(key)}: {escape(standing.label)}</title>"
        f'<rect/><use href="#i-{standing.key}"/>'
        f"<text>{escape(_short(key))}</text></a>"
    )
