"""``DIR/figures``: the plots as SVG and PDF files for a paper, drawn by matplotlib.

The page draws its own plots; these are made of the same evidence for print: one column wide,
fonts embedded, no title (a caption says that).  matplotlib is the optional extra ``figures``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from textwrap import fill
from typing import Any

from reports.axes import Scale
from reports.evidence import Evidence
from reports.fields import BadReport
from reports.figures import Curve, Grid, Histogram, Phase
from reports.run import read_run
from reports.text import slug

WIDTH, HEIGHT = 3.4, 2.3
"""Inches: one column of a two-column paper."""
ACROSS = 4
"""Histograms in a row of a two-column figure."""
_WRAP = 26
"""Characters in a line below one of them."""
_KEY = 0.15
"""Inches: one line of a curve's key."""
_STYLES = ("-", "--", ":", "-.", (0, (5, 1)), (0, (1, 1)))
_COLOURS = ("#1f5a8c", "#b4521f", "#2e7d5b", "#7d4a91", "#8a6d00", "#545b64")
_SETTINGS: dict[Any, Any] = {
    "font.size": 8, "axes.linewidth": 0.6, "lines.linewidth": 1.1, "legend.frameon": False,
    "legend.fontsize": 6.5, "pdf.fonttype": 42, "svg.fonttype": "none", "svg.hashsalt": "0",
    "axes.spines.top": False, "axes.spines.right": False,
}  # fmt: skip


def export(directory: Path) -> list[Path]:
    """Write the curves, portraits, grids and histograms of DIR's evidence; the files' paths.

    About a second each on one core: a whole run has some five hundred.

    The same evidence gives the same bytes.  Raises BadReport without matplotlib, for a bad
    directory, or where nothing can be written.
    """
    try:
        from matplotlib import rc_context
        from matplotlib.figure import Figure
    except ImportError as error:
        raise BadReport("--figures needs matplotlib: pip install 'marginflow[figures]'") from error
    run = read_run(Path(directory))
    written: list[Path] = []
    folder = Path(directory) / "figures"
    with rc_context(_SETTINGS):
        for record in run.records:
            for name, plot in _plots(record.evidence) if record.evidence else ():
                figure = Figure(layout="constrained")
                _draw(figure, plot)
                stem = folder / f"{slug(record.key)}-{slug(re.sub(r'[~]', '', name))}"
                written += _save(figure, stem)
    return written


def _save(figure: Any, stem: Path) -> list[Path]:
    paths = []
    try:
        stem.parent.mkdir(exist_ok=True)
        for suffix, date in ((".svg", "Date"), (".pdf", "CreationDate")):
            path = stem.with_name(stem.name + suffix)
            figure.savefig(path, metadata={date: None})
            paths.append(path)
    except OSError as error:
        raise BadReport(f"{stem.parent}: cannot be written ({error.strerror})") from error
    return paths


Plot = Curve | tuple[Histogram, ...] | Phase | Grid


def _plots(e: Evidence) -> Iterator[tuple[str, Plot]]:
    for curve in e.curves:
        yield curve.name, curve
    for up in e.close_ups:
        for curve in up.curves:
            yield f"{up.of_case}-{curve.name}", curve
    if e.phase is not None:
        yield "phase", e.phase
    for i, grid in enumerate(e.grids):
        yield f"grid-{i + 1}", grid
    inputs = tuple(h for h in e.histograms if h.total)
    margins = tuple(
        replace(a.margins, label=a.key) for a in e.assumptions if a.margins and a.margins.total
    )
    for name, histograms in (("cases", inputs), ("margins", margins)):
        if histograms:
            yield name, histograms


def _draw(figure: Any, plot: Plot) -> None:
    """One column wide; curves that know ln t, and many histograms, two columns."""
    if isinstance(plot, Curve):
        panels = [curve for curve in (plot, plot.over_time) if curve is not None]
        figure.set_size_inches(WIDTH * len(panels), HEIGHT)
        axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
        for one, curve in zip(axes, panels, strict=True):
            _curve(one, curve)
        handles, labels = axes[0].get_legend_handles_labels()
        if handles:  # below, where no line is
            rows = -(-len(handles) // len(panels))
            figure.set_size_inches(WIDTH * len(panels), HEIGHT + _KEY * rows)
            figure.legend(handles, labels, loc="outside lower center", ncols=len(panels))
    elif isinstance(plot, tuple):
        rows = -(-len(plot) // ACROSS)
        figure.set_size_inches(2 * WIDTH, 0.6 * HEIGHT * rows)
        axes = figure.subplots(rows, ACROSS, squeeze=False).flatten()
        for one in axes[len(plot) :]:
            one.remove()
        for one, histogram in zip(axes, plot, strict=False):
            _histogram(one, histogram)
    else:
        figure.set_size_inches(WIDTH, WIDTH if isinstance(plot, Phase) else HEIGHT)
        axes = figure.add_subplot()
        if isinstance(plot, Phase):
            _phase(axes, plot)
        else:
            _grid(axes, plot)


def _curve(axes: Any, curve: Curve) -> None:
    """ln t grows too far for an axis of matplotlib's: it has the page's scale and ticks."""
    places = [x for series in curve.series for x, _ in series.points]
    clock = curve.x_label == "ln t"
    scale = Scale.over(places or [0.0], 0, 1, snug=True, signed=True)
    for i, series in enumerate(curve.series):
        nan = float("nan")
        xs = [scale.at(x) if clock else x for x, _ in series.points]
        ys = [nan if y is None or (curve.y_log and y <= 0) else y for _, y in series.points]
        style, label = _STYLES[i % 6], _plain(series.label) or None
        axes.plot(xs, ys, color=_COLOURS[i % 6], linestyle=style, label=label)
    if curve.y_log:
        axes.set_yscale("log")
    if clock:
        axes.set_xticks(*zip(*scale.ticks(5), strict=True))
    else:
        axes.set_ylabel(_plain(curve.y_label))
    axes.set_xlabel(_plain(curve.x_label))


def _plain(words: str) -> str:
    """``words`` as they are: matplotlib sets what stands between dollars as mathematics."""
    return words.replace("$", r"\$")


def _histogram(axes: Any, h: Histogram) -> None:
    inner = [edge for edge in h.edges if edge is not None]
    gap = inner[1] - inner[0] if len(inner) > 1 else 1.0
    edges = [
        edge if edge is not None else (inner[0] - gap if i == 0 else inner[-1] + gap)
        for i, edge in enumerate(h.edges)
    ]
    axes.stairs(h.counts, edges, fill=True, color=_COLOURS[0])
    axes.set_xlabel(fill(_plain(h.label), _WRAP) or "signed margin")


def _phase(axes: Any, phase: Phase) -> None:
    from reports.portraits import projected

    for reached, points in phase.paths:
        xs, ys = zip(*(projected(p) for p in points), strict=True) if points else ((), ())
        colour = _COLOURS[0 if reached else 5]
        axes.plot(xs, ys, color=colour)
        axes.plot(xs[:1], ys[:1], "o", color=colour, fillstyle="none", markersize=3)
        axes.plot(xs[-1:], ys[-1:], "o", color=colour, markersize=3)
    face = [projected(p) for p in phase.face]
    if face:
        xs, ys = zip(*face, face[0], strict=True)
        axes.plot(xs, ys, color=_COLOURS[1], linewidth=2.4, marker="+", markersize=9)
    for i, name in enumerate(phase.axes):
        tip = projected(tuple(1.0 if i == j else 0.0 for j in range(len(phase.axes))))
        axes.plot([-tip[0], tip[0]], [-tip[1], tip[1]], color="#bbb", linewidth=0.5, zorder=0)
        axes.text(1.08 * tip[0], 1.08 * tip[1], _plain(name), ha="center", va="center")
    axes.set_aspect("equal")
    axes.set_axis_off()


def _grid(axes: Any, grid: Grid) -> None:
    nan = float("nan")
    shares = [[nan if c.share is None else c.share for c in row] for row in grid.cells]
    image = axes.imshow(shares, vmin=0, vmax=1, cmap="Blues", aspect="auto")
    axes.set_xticks(range(len(grid.x.labels)), [*map(_plain, grid.x.labels)])
    axes.set_yticks(range(len(grid.y.labels)), [*map(_plain, grid.y.labels)])
    axes.set_xlabel(_plain(grid.x.name))
    axes.set_ylabel(_plain(grid.y.name))
    axes.figure.colorbar(image, label="share")
