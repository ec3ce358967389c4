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
from reports.bars import below_zero, ends, histogram, median, uneven
from reports.figures import Axis, Cell, CloseUp, Curve, Grid, Histogram, Phase, Series
from reports.mathml import formula, prose
from reports.plots import _FLAT, Frames, line_plot, missing_points, path_of, ratio_place, simplified
from reports.portraits import phase_portrait
from reports.text import axis_label, number
from reports.typeset import typeset

QUICK = settings(deadline=None, derandomize=True, database=None, max_examples=200)
FINITE = st.floats(-1e300, 1e300)
POSITIVE = st.floats(1e-300, 1e300)


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
    (path,) = re.findall(r'class="s0"><path class="way" d="M([^"]*)"', svg)
    numbers = [v for corner in corners_of(path) for v in corner]
    assert all(0 <= v <= 640 for v in numbers)
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
    wide = re.search(r'--bin:([\d.e+]+)"', svg)
    assert (float(wide[1]) if wide else 20) * len(counts) == pytest.approx(240, rel=1e-3)
    drawn = {"": [0.0] * len(counts), "unmet": [0.0] * len(counts), "mixed": [0.0] * len(counts)}
    for kind, path in re.findall(r'<path(?: class="(unmet|mixed)")? d="([^"]*)"', svg):
        drawn[kind] = _heights(path, len(counts))
    for i, n in enumerate(counts):
        met = "" if not signed or edges[i] >= 0 else "unmet" if edges[i + 1] <= 0 else "mixed"
        for kind, heights in drawn.items():
            expected = max(44 * n / max(counts), 2.0) if n and kind == met else 0.0
            assert abs(heights[i] - expected) <= 0.5  # half a pixel
    if signed:
        unmet = sum(n for n, upper in zip(counts, edges[1:], strict=True) if upper <= 0)
        assert below_zero(h) == unmet


def _heights(path: str, bins: int) -> list[float]:
    """The height of each bin, read off an outline "Mx 0VyhnVy...": where the pen goes right."""
    start, _, rest = path.removeprefix("M").partition(" 0")
    at, height, heights = int(start), 0, [0.0] * bins
    for letter, value in re.findall(r"([Vh])(\d+)", rest):
        if letter == "V":
            height = int(value)
            continue
        heights[at : at + int(value)] = [float(height)] * int(value)
        at += int(value)
    assert height == 0  # back on the base line
    assert len(heights) == bins
    return heights


def test_a_histogram_without_values_is_nothing() -> None:
    assert histogram(Histogram("h", "margin", (), ())) == ""
    assert histogram(Histogram("h", "margin", (0.0, 1.0), (0,))) == ""


def test_an_open_bin_says_so() -> None:
    h = Histogram("h", "slack", (None, 0.0, 1.0, None), (1, 4, 2))
    assert ends(h) == ("below 0", "above 1")
    assert below_zero(h) == 1
    assert median(h) == "0.62"  # two and a half of the four in (0, 1)
    assert median(Histogram("h", "slack", (None, 0.0, 1.0), (4, 1))) == "below 0"


@QUICK
@given(st.lists(st.floats(-100, 100), min_size=1, max_size=60))
def test_the_median_lies_in_the_median_s_bin(values: list[float]) -> None:
    counts, edges = np.histogram(values, bins=12)
    h = Histogram("h", "margin", tuple(edges.tolist()), tuple(counts.tolist()))
    shown = float(median(h).replace("−", "-").translate(_ASCII).replace("×10", "e"))
    wide = edges[1] - edges[0]
    middle = float(np.median(values))
    lower = float(np.sort(values)[(len(values) - 1) // 2])
    assert min(lower, middle) - wide - 0.06 * abs(shown) <= shown
    assert shown <= middle + wide + 0.06 * abs(shown) + 1e-12


_ASCII = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")


def test_cases_that_are_all_alike_are_told_not_drawn() -> None:
    """numpy's bin for one value is one wide, a half to either side of it."""
    counts, edges = np.histogram([0.41] * 7, bins=1)
    h = Histogram("h", "margin", tuple(edges.tolist()), tuple(counts.tolist()))
    assert h.single == pytest.approx(0.41)
    assert Histogram("h", "margin", (0.0, 2.0), (7,)).single is None
    assert Histogram("h", "margin", (0.0, 1.0, 2.0), (7, 1)).single is None


def test_bins_of_unequal_width_are_seen() -> None:
    assert uneven(Histogram("h", "d", (0.5, 1.5, 2.5, 4.5), (1, 2, 3)))
    assert not uneven(Histogram("h", "d", (0.5, 1.5, 2.5), (1, 2)))


def test_the_dot_stands_where_the_ratio_is_and_one_at_three_quarters() -> None:
    places = [float(ratio_place(r).removesuffix("%")) for r in (1e-9, 0.5, 1.0, 2.0, 1e9)]
    assert places == sorted(places)
    assert places[2] == 75
    assert ratio_place(None) == ""


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


@pytest.mark.parametrize(
    ("ascii_", "set_"),
    [
        ("d ln m~/d ln S = p^T m", "d ln m\u0303/d ln S = p<sup>⊤</sup> m"),
        ("cos^2 - 1, kappa >= 0", "cos² − 1, κ ≥ 0"),
        (
            "S^-delta, d e^m~/dt; e^-m_r",
            "S<sup>−δ</sup>, d e<sup>m\u0303</sup>/dt; e^-m<sub>r</sub>",
        ),
        ("lambda_r of lambdas", "λ<sub>r</sub> of lambdas"),
        ("the l1 SVM, l1.5 and l2", "the ℓ₁ SVM, ℓ<sub>1.5</sub> and ℓ₂"),
        ("half of 5e-07", "half of 5×10⁻⁷"),
        ("limit.diagonal-l1 of 1b8509, 3e4567", "limit.diagonal-l1 of 1b8509, 3e4567"),
        ("x_<b> & a_name", "x_&lt;b&gt; &amp; a_name"),
    ],
)
def test_ascii_mathematics_is_set_as_print_would(ascii_: str, set_: str) -> None:
    assert str(typeset(ascii_)) == set_


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


@pytest.mark.parametrize(
    ("label", "shown"), [("0.0001", "10⁻⁴"), ("45", "45"), ("d-1", "d−1"), ("query zero",) * 2]
)
def test_labels_of_an_axis(label: str, shown: str) -> None:
    assert axis_label(label) == shown


def test_a_plot_whose_lines_are_all_in_another_is_not_drawn_again() -> None:
    one = Series("gap", ((0.0, 1.0), (1.0, 0.5)))
    other = Series("cosine", ((0.0, 1.0), (1.0, 0.1)))
    few = replace(curve([]), series=(replace(one, label="margin"),))
    many = replace(curve([]), series=(one, other))
    apart = replace(curve([]), series=(Series("x", ((0.0, 2.0),)),))
    assert CloseUp("worst", (few, many, apart)).distinct == (many, apart)
    assert CloseUp("worst", (few, few)).distinct == (few, few)  # nothing hides both
