"""The plots: places, gaps and words, and the numbers written beside them."""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from reports.axes import Scale
from reports.figures import Curve, Histogram, Phase, Series
from reports.mathml import formula, prose
from reports.plots import (
    _FLAT,
    _simplified,
    below_zero,
    histogram,
    line_plot,
    missing_points,
    ratio_strip,
)
from reports.portraits import phase_portrait
from reports.text import number

QUICK = settings(deadline=None, derandomize=True, database=None, max_examples=200)
FINITE = st.floats(-1e300, 1e300)
POSITIVE = st.floats(1e-300, 1e300)


def curve(points: list[tuple[float, float | None]], *, y_log: bool = False) -> Curve:
    return Curve("c", "A curve", "ln norm", "gap", y_log, (Series("one", tuple(points)),))


def places(svg: str) -> list[list[tuple[float, float]]]:
    """The points of each drawn line."""
    paths = re.findall(r'class="line s0" d="M([^"]*)"', svg)
    return [
        [(float(a), float(b)) for a, b in (p.split() for p in path.split("L"))] for path in paths
    ]


@QUICK
@given(st.lists(FINITE, min_size=1, max_size=9), st.booleans())
def test_a_linear_scale_holds_its_values_in_order(values: list[float], snug: bool) -> None:
    scale = Scale.over(values, 10, 110, snug=snug)
    at = [scale.at(v) for v in sorted(values)]
    assert all(10 <= a <= 110 for a in at)
    assert all(a <= b for a, b in pairwise(at))
    assert all(10 <= a <= 110 for a, _ in scale.ticks())


@QUICK
@given(st.lists(POSITIVE, min_size=1, max_size=9))
def test_a_log_scale_holds_its_values_in_order(values: list[float]) -> None:
    scale = Scale.over(values, 110, 10, log=True)
    at = [scale.at(v) for v in sorted(values)]
    assert all(10 <= a <= 110 for a in at)
    assert all(a >= b for a, b in pairwise(at))
    assert 2 <= len(scale.ticks()) <= 8


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
        assert all(0 <= x <= 300 and 0 <= y <= 196 for x, y in line)


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


COORDINATES = st.floats(0, 300).map(lambda v: round(v, 1))


@QUICK
@given(st.lists(st.tuples(COORDINATES, COORDINATES), min_size=1, max_size=20))
def test_a_simplified_line_misses_no_point_by_more_than_a_pixel_shows(
    line: list[tuple[float, float]],
) -> None:
    kept = _simplified(line)
    assert kept[0] == line[0]
    assert kept[-1] == line[-1]
    rest = iter(line)
    assert all(point in rest for point in kept)  # a subsequence
    for x, y in line:
        near = [_distance((x, y), a, b) for a, b in pairwise(kept)] or [math.dist((x, y), kept[0])]
        assert min(near) <= _FLAT + 1e-9


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


@QUICK
@given(st.lists(FINITE, min_size=2, max_size=9))
def test_a_signed_scale_holds_its_values_in_order(values: list[float]) -> None:
    scale = Scale.over(values, 10, 110, snug=True, signed=True)
    at = [scale.at(v) for v in sorted(values)]
    assert all(10 <= a <= 110 for a in at)
    assert all(a <= b for a, b in pairwise(at))
    assert all(10 <= a <= 110 for a, _ in scale.ticks())


@QUICK
@given(st.lists(st.sampled_from([2, 3, 5]), min_size=1, max_size=30))
def test_few_whole_numbers_are_read_off_their_bins(values: list[int]) -> None:
    """From the bins that checks.evidence makes: twelve, or one if all values are equal."""
    counts, edges = np.histogram(values, bins=12 if min(values) < max(values) else 1)
    h = Histogram("h", "samples", tuple(edges.tolist()), tuple(counts.tolist()))
    assert dict(h.few) == Counter(values)


@QUICK
@given(st.lists(st.floats(0, 30), min_size=6, max_size=30, unique=True))
def test_other_numbers_are_not_taken_for_whole_ones(values: list[float]) -> None:
    counts, edges = np.histogram(values, bins=12)
    h = Histogram("h", "margin", tuple(edges.tolist()), tuple(counts.tolist()))
    filled = sum(n > 0 for n in counts)
    if h.few:
        assert len(h.few) == filled <= 3
        assert all(any(abs(v - whole) < 1 for v in values) for whole, _ in h.few)


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
    numbers = [float(v) for v in re.findall(r"[-\d.]+", re.findall(r'way s0" d="([^"]*)"', svg)[0])]
    assert all(0 <= v <= 320 for v in numbers)
    assert "1 path, 1 to the infimum" in svg


EDGES = st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=8, unique=True).map(sorted)


@QUICK
@given(EDGES, st.data(), st.booleans())
def test_any_histogram_draws_every_filled_bin(
    edges: list[float], data: st.DataObject, signed: bool
) -> None:
    counts = data.draw(
        st.lists(st.integers(0, 50), min_size=len(edges) - 1, max_size=len(edges) - 1)
    )
    assume(any(counts))
    h = Histogram("h", "margin", tuple(edges), tuple(counts))
    svg = str(histogram(h, signed=signed))
    ElementTree.fromstring(svg)
    bars = re.findall(r'class="bar([^"]*)" d="([^"]*)"', svg)
    drawn = {kind.strip(): path.count("M") for kind, path in bars}
    assert sum(drawn.values()) == sum(n > 0 for n in counts)
    if signed:
        unmet = sum(n > 0 for n, upper in zip(counts, edges[1:], strict=True) if upper <= 0)
        assert drawn.get("unmet", 0) == unmet
        assert f"{below_zero(h)} below zero" in svg


def test_a_histogram_without_values_is_nothing() -> None:
    assert histogram(Histogram("h", "margin", (), ())) == ""
    assert histogram(Histogram("h", "margin", (0.0, 1.0), (0,))) == ""


def test_an_open_bin_says_so() -> None:
    svg = str(histogram(Histogram("h", "slack", (None, 0.0, 1.0, None), (1, 4, 2)), signed=True))
    assert "from below 0 to above 1" in svg
    assert "1 below zero" in svg


def test_the_strip_marks_the_tolerance() -> None:
    dot = [
        float(re.findall(r'cx="([\d.]+)"', str(ratio_strip(r)))[0]) for r in (0.5, 1.0, 2.0, 1e9)
    ]
    assert dot == sorted(dot)
    mark = float(re.findall(r"M([\d.]+) 1V9", str(ratio_strip(1.0)))[0])
    assert dot[0] < mark == dot[1] < dot[2]
    assert ratio_strip(None) == ""


@QUICK
@given(FINITE)
def test_a_number_reads_back_to_three_figures(value: float) -> None:
    shown = number(value).replace("−", "-").replace(",", "")
    plain = shown.translate(str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789"))
    mantissa, times, power = plain.partition("×10")
    if not times and plain.startswith("10") and shown != plain:
        mantissa, power = "1", plain[2:]
    if not times and plain.startswith("-10") and shown != plain:
        mantissa, power = "-1", plain[3:]
    read = float(f"{mantissa}e{power or 0}")
    assert abs(read - value) <= 0.0051 * abs(value)  # half a unit of the third figure


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.31, "0.31"), (1e-7, "10⁻⁷"), (5.94e-8, "5.94×10⁻⁸"), (29_000.0, "29,000"),
        (-2.5, "−2.5"), (None, "–"), (0.0, "0"), (100.0, "100"), (999.9999, "1,000"),
    ],
)  # fmt: skip
def test_numbers(value: float | None, shown: str) -> None:
    assert number(value) == shown


@pytest.mark.parametrize(
    "latex",
    [
        r"\min_r\,\langle G_r, W\rangle / \|W\|_* \to \gamma^*",
        r"\begin{aligned} a &= b \\ c &= d \end{aligned}",
        r"\left\|A^\top p\right\|_\infty \le \frac{1}{2}",
        r"\sum_{\substack{i \\ j}} x_{ij}",
        r"\operatorname{sign}(\beta) \in \{-1, 0, 1\}",
    ],
)
def test_formulas_convert(latex: str) -> None:
    for display in (False, True):
        assert formula(latex, display=display).startswith("<math")


def test_what_a_formula_may_not_hold() -> None:
    """A reference or an unknown element never reaches the page, whatever converts it."""
    for latex in (r"\href{javascript:alert(1)}{x}", r"\url{http://a}", "a_{", "\ud800"):
        assert formula(latex).startswith("<code")
    assert "<script" not in formula(r"\text{<script>alert(1)</script>}")


def test_prose_sets_only_what_stands_between_dollars() -> None:
    assert str(prose("of $x_1$ & y")).startswith("of <math")
    assert str(prose("5 $ & 6")) == "5 $ &amp; 6"
