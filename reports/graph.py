"""The claim graph: what rests on what, in layers from left (rests on nothing) to right."""

from __future__ import annotations

from markupsafe import Markup, escape

from reports.run import Run
from reports.standing import Standing, standings_of
from reports.text import slug

# SVG units: width of a character, height of a box, gaps within and between layers;
# characters of the longest label
_CHARACTER, _HEIGHT, _GAP, _BETWEEN, _LONGEST = 6.5, 24, 14, 34, 34
_TALLEST = 15
"""Boxes above each other: a longer layer takes several columns."""


def layers_of(rests_on: dict[str, tuple[str, ...]]) -> list[list[str]]:
    """Keys by layer: one further right than the rightmost key each rests on.

    Within a layer by the mean height of what they rest on, which keeps lines short; keys
    on a cycle come last, in a layer of their own.
    """
    depth: dict[str, int] = {}
    waiting = dict(rests_on)
    while waiting:
        ready = [
            key
            for key, needed in waiting.items()
            if all(n in depth or n not in rests_on for n in needed)
        ]
        if not ready:
            ready = list(waiting)
        level = {
            key: 1 + max((depth[n] for n in rests_on[key] if n in depth), default=-1)
            for key in ready
        }
        depth.update(level)
        for key in ready:
            del waiting[key]
    layers: list[list[str]] = [[] for _ in range(1 + max(depth.values(), default=-1))]
    for key, level_of in depth.items():
        layers[level_of].append(key)
    place: dict[str, float] = {}
    for layer in layers:
        for i, key in enumerate(layer):
            near = [place[n] for n in rests_on[key] if n in place]
            place[key] = sum(near) / len(near) if near else i / len(layer)
        layer.sort(key=lambda key: place[key])
        for i, key in enumerate(layer):
            place[key] = (i + 0.5) / len(layer)
    return layers


def claim_graph(run: Run) -> Markup:
    """SVG of the graph; every node links to its claim.  "" for a run without claims."""
    standings = standings_of(run)
    rests_on = {r.key: r.rests_on for r in run.records}
    layers = [part for layer in layers_of(rests_on) for part in _columns(layer)]
    if not layers:
        return Markup("")
    tallest = max(len(layer) for layer in layers)
    height = tallest * (_HEIGHT + _GAP) + 8
    boxes: dict[str, tuple[float, float, float]] = {}
    x = 2.0
    for layer in layers:
        width = max(len(_short(key)) for key in layer) * _CHARACTER + 34
        pitch = height / len(layer) if len(layer) > tallest / 2 else (_HEIGHT + _GAP) * 1.6
        top = (height - pitch * len(layer)) / 2
        for i, key in enumerate(layer):
            boxes[key] = (x, top + pitch * (i + 0.5) - _HEIGHT / 2, width)
        x += width + _BETWEEN
    total = x - _BETWEEN + 2
    lines: list[str] = []
    broken: list[str] = []
    for key in rests_on:
        for other in direct(rests_on, key):
            if other in boxes and other != key:
                sound = standings[other].key in ("held", "caught")
                (lines if sound else broken).append(_line(boxes[other], boxes[key]))
    nodes = [_node(run, key, boxes[key], standings[key]) for key in boxes]
    return Markup(
        f'<svg class="graph" viewBox="0 0 {total:.0f} {height:.0f}" width="{total:.0f}" '
        f'height="{height:.0f}" role="group" aria-label="Claim graph; the list below it says '
        f'the same in words"><path class="edge" d="{"".join(lines)}"/>'
        f'<path class="edge broken" d="{"".join(broken)}"/>{"".join(nodes)}</svg>'
    )


def _columns(layer: list[str]) -> list[list[str]]:
    """A layer as columns of at most ``_TALLEST`` boxes, about equally tall."""
    count = -(-len(layer) // _TALLEST)
    size = -(-len(layer) // count)
    return [layer[i : i + size] for i in range(0, len(layer), size)]


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


def _short(key: str) -> str:
    """The label of a box: the key without its leading kind, which title and link spell out."""
    label = key.partition(".")[2] or key
    return label if len(label) <= _LONGEST else label[: _LONGEST - 1] + "…"


def _line(start: tuple[float, float, float], end: tuple[float, float, float]) -> str:
    x0, y0 = start[0] + start[2], start[1] + _HEIGHT / 2
    x1, y1 = end[0], end[1] + _HEIGHT / 2
    bend = max(18.0, (x1 - x0) / 2)
    return f"M{x0:.0f} {y0:.0f}C{x0 + bend:.0f} {y0:.0f} {x1 - bend:.0f} {y1:.0f} {x1:.0f} {y1:.0f}"


def _node(run: Run, key: str, box: tuple[float, float, float], standing: Standing) -> str:
    x, y, width = box
    return (
        f'<a href="#{anchor(run, key)}" class="node is-{standing.key}">'
        f"<title>{escape(key)}: {escape(standing.label)}</title>"
        f'<rect x="{x:.0f}" y="{y:.0f}" width="{width:.0f}" height="{_HEIGHT}" rx="3"/>'
        f'<use href="#i-{standing.key}" x="{x + 6:.0f}" y="{y + 5:.0f}" width="14" height="14"/>'
        f'<text x="{x + 26:.0f}" y="{y + 16:.0f}">{escape(_short(key))}</text></a>'
    )


def anchor(run: Run, key: str) -> str:
    """The id of a claim's section: its key, made unique where cleaning merged two keys."""
    mine = slug(key)
    same = [r.key for r in run.records if slug(r.key) == mine]
    at = same.index(key) if key in same else 0
    return f"claim-{mine}" if at == 0 else f"claim-{mine}:{at}"
