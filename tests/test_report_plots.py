"""The plots: lines, gaps and portraits inside their boxes, and what is drawn only once."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from itertools import pairwise
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from reports.figures import Axis, Cell, CloseUp, Curve, Grid, Phase, Series
from reports.plots import _FLAT, Frames, line_plot, missing_points, path_of, ratio_place, simplified
from reports.portraits import phase_portrait
from tests.plot_fixture import FINITE, QUICK


def curve(points: list[tuple[float, float | None]], *, y_log: bool = False) -> Curve:
    return Curve("c", "A curve", "ln norm", "gap", y_log, (Series("one", tuple(points)),))


def places(svg: str) -> list[list[tuple[float, float]]]:
    """The corners of each piece of the first line drawn."""
    (path,) = re.findall(r'</g><path d="([^"]*)"', svg)
    return [corners_of(piece) for piece in path.split("M")[1:]]


def corners_of(piece: str) -> list[tuple[float, float]]:
    """Corners of "x yl dx dy h dx v dy ...": what a browser makes of path data."""
    start, *commands = re.findall(r"[hlv]?[^hlv]+", piece)
    x, y = (float(v) for v in start.split())
    corners = [(x, y)]
    for command in commands:
        numbers = [float(v) for v in re.findall(r"-?[\d.]+", command)]
        along = numbers[::2] if command[0] == "l" else numbers if command[0] == "h" else None
        up = numbers[1::2] if command[0] == "l" else numbers
        for dx, dy in zip(along or [0.0] * len(up), up if command[0] != "h" else [0.0] * len(up),
                          strict=True):  # fmt: skip
            x, y = x + dx, y + dy
            corners.append((x, y))
    return corners


@QUICK
@given(st.lists(st.tuples(FINITE, st.none() | FINITE), max_size=12), st.booleans())
def test_any_curve_is_drawn_inside_its_box_or_not_at_all(
    points: list[tuple[float, float | None]], y_log: bool
) -> None:
    drawn = curve(points, y_log=y_log)
    svg = str(line_plot(drawn))
    if missing_points(drawn) == len(points):
        assert svg == ""
        return
    ElementTree.fromstring(svg)
    for line in places(svg):
        assert all(0 <= x <= 600 and 0 <= y <= 392 for x, y in line)


def test_a_gap_in_the_data_is_a_gap_in_the_line() -> None:
    whole = [(float(i), 1.0 + i * i) for i in range(6)]
    assert len(places(str(line_plot(curve(whole))))) == 1
    broken: list[tuple[float, float | None]] = [*whole[:3], (2.5, None), *whole[3:]]
    assert [len(line) for line in places(str(line_plot(curve(broken))))] == [3, 3]
    assert missing_points(curve(broken)) == 1
    assert missing_points(curve([(0.0, 0.0), (1.0, 1.0)], y_log=True)) == 1


def test_a_power_law_is_a_straight_line_in_log_scale() -> None:
    (line,) = places(str(line_plot(curve([(i, 10.0**-i) for i in range(9)], y_log=True))))
    (_, top), (_, bottom) = line  # two ends: what lies on the line between them is not drawn
    assert bottom > top  # decays downwards: the y axis of SVG points down


COORDINATES = st.floats(0, 600)


@QUICK
@given(st.lists(st.tuples(COORDINATES, COORDINATES), min_size=1, max_size=20))
def test_a_line_as_it_is_drawn_misses_no_point_by_more_than_it_may(
    line: list[tuple[float, float]],
) -> None:
    """Read back from the path data, so that rounding counts: units are half-pixels."""
    kept = corners_of(path_of(simplified(line)).removeprefix("M"))
    assert math.dist(kept[0], line[0]) <= math.sqrt(0.5)
    assert math.dist(kept[-1], line[-1]) <= math.sqrt(0.5)
    assert len(kept) <= max(len(line), 2)
    for x, y in line:
        near = [_distance((x, y), a, b) for a, b in pairwise(kept)]
        assert min(near) <= _FLAT + 1e-9


def test_a_line_through_what_a_pixel_hides_has_two_corners() -> None:
    assert len(simplified([(float(i), 100 + 0.3 * (i % 2)) for i in range(50)])) == 2
    assert len(simplified([(0.0, 0.0), (50.0, 2.0), (100.0, 0.0)])) == 3  # a pixel shows


def test_what_plots_share_is_drawn_once() -> None:
    frames = Frames()
    points: list[tuple[float, float | None]] = [(0.0, 1.0), (1.0, 2.0)]
    first, second = (str(line_plot(curve(points), None, frames)) for _ in range(2))
    named = set(re.findall(r'id="(f\d+)"', first))
    assert named
    assert set(re.findall(r'href="#(f\d+)"', second)) == named
    assert "ln norm" in first
    assert "ln norm" not in second
    assert "ln norm" in str(line_plot(curve(points)))  # without a page nothing is shared


def _distance(p: tuple[float, float], a: tuple[float, float], b: tuple[float, float]) -> float:
    """From p to the segment a b."""
    dx, dy = b[0] - a[0], b[1] - a[1]
    square = dx * dx + dy * dy
    share = ((p[0] - a[0]) * dx + (p[1] - a[1]) * dy) / square if square else 0.0
    share = min(max(share, 0.0), 1.0)
    return math.dist(p, (a[0] + share * dx, a[1] + share * dy))


def test_a_curve_that_knows_its_times_is_drawn_against_them_too() -> None:
    points = tuple((float(i), 10.0**-i) for i in range(5))
    timed = Series("one", points, (None, -3.0, 2.0, 1e3, 1e30))
    both = replace(curve(list(points), y_log=True), series=(timed,))
    over = both.over_time
    assert over is not None
    assert over.x_label == "ln t"
    assert [x for x, _ in over.series[0].points] == [-3.0, 2.0, 1e3, 1e30]
    assert "10²⁰" in str(line_plot(over))
    assert curve(list(points)).over_time is None


OCTANT = st.tuples(*[st.floats(-1, 1)] * 3)


@QUICK
@given(st.lists(OCTANT, min_size=1, max_size=6), st.sampled_from(["l1", "l2"]), st.booleans())
def test_any_portrait_stays_inside_its_box(
    points: list[tuple[float, float, float]], norm: str, flat: bool
) -> None:
    size = 2 if flat else 3
    shown = tuple(p[:size] for p in points if sum(map(abs, p[:size])) > 0)
    unit = tuple(tuple(v / sum(map(abs, p)) for v in p) for p in shown)
    phase = Phase("", norm, ("β₁", "β₂", "β₃")[:size], unit[:1], ((True, unit),))
    svg = str(phase_portrait(phase))
    if not unit:
        assert svg == ""
        return
    ElementTree.fromstring(svg)
    (path,) = re.findall(r'class="s0"><path class="way" d="M([^"]*)"', svg)
    numbers = [v for corner in corners_of(path) for v in corner]
    assert all(0 <= v <= 640 for v in numbers)
    assert "1 path, 1 to the infimum" in svg


def test_the_dot_stands_where_the_ratio_is_and_one_at_three_quarters() -> None:
    places = [float(ratio_place(r).removesuffix("%")) for r in (1e-9, 0.5, 1.0, 2.0, 1e9)]
    assert places == sorted(places)
    assert places[2] == 75
    assert ratio_place(None) == ""


def test_a_cell_s_note_is_read_as_what_its_cases_came_to() -> None:
    assert Cell(0.5, 4, "2 optimum; 3 not reached").makeup == {"optimum": 2, "not reached": 3}
    assert Cell(0.5, 4, "2 optimum; and more").makeup == {}
    assert Cell(0.5, 4, "").makeup == {}
    assert Cell(0.5, 4, "2 of 4, 95 % interval 0.15 to 0.85").makeup == {}
    axis = Axis("x", ("1", "2"))
    cells = (Cell(1.0, 1, "1 optimum"), Cell(None, 0, "4 not reached; 1 optimum"))
    grid = Grid("t", axis, Axis("y", ("a",)), (cells,))
    assert grid.kinds == ("not reached", "optimum")
    assert grid.count_of("optimum") == 2


def test_a_plot_whose_lines_are_all_in_another_is_not_drawn_again() -> None:
    one = Series("gap", ((0.0, 1.0), (1.0, 0.5)))
    other = Series("cosine", ((0.0, 1.0), (1.0, 0.1)))
    few = replace(curve([]), series=(replace(one, label="margin"),))
    many = replace(curve([]), series=(one, other))
    apart = replace(curve([]), series=(Series("x", ((0.0, 2.0),)),))
    assert CloseUp("worst", (few, many, apart)).distinct == (many, apart)
    assert CloseUp("worst", (few, few)).distinct == (few, few)  # nothing hides both
