"""The histograms: every filled bin, open and unequal ones, and the words for few values."""

from __future__ import annotations

import re
from collections import Counter
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from reports.bars import below_zero, ends, histogram, median, uneven
from reports.figures import Histogram
from tests.plot_fixture import QUICK


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
