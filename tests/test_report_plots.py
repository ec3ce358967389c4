"""The plots: places, gaps and words, and the numbers written beside them."""

from __future__ import annotations

import re
from itertools import pairwise
from xml.etree import ElementTree

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from reports.axes import Scale
from reports.evidence import Curve, Histogram, Series
from reports.mathml import formula, prose
from reports.plots import below_zero, histogram, line_plot, missing_points, ratio_strip
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
        assert all(0 <= x <= 460 and 0 <= y <= 262 for x, y in line)


def test_a_gap_in_the_data_is_a_gap_in_the_line() -> None:
    whole = [(float(i), 1.0 + i) for i in range(6)]
    assert len(places(str(line_plot(curve(whole))))) == 1
    broken: list[tuple[float, float | None]] = [*whole[:3], (2.5, None), *whole[3:]]
    assert [len(line) for line in places(str(line_plot(curve(broken))))] == [3, 3]
    assert missing_points(curve(broken)) == 1
    assert missing_points(curve([(0.0, 0.0), (1.0, 1.0)], y_log=True)) == 1


def test_a_power_law_is_a_straight_line_in_log_scale() -> None:
    (line,) = places(str(line_plot(curve([(i, 10.0**-i) for i in range(9)], y_log=True))))
    steps = [b[1] - a[1] for a, b in pairwise(line)]
    assert max(steps) - min(steps) <= 0.21  # places are rounded to a tenth of a unit
    assert min(steps) > 0  # decays downwards: the y axis of SVG points down


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
    assert "lowest in below 0" in svg
    assert "highest in above 1" in svg
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
