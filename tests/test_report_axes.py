"""The axes of plots: values inside and in order, and their labels."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.axes import Scale
from reports.text import axis_label
from tests.plot_fixture import FINITE, QUICK

POSITIVE = st.floats(min_value=5e-324, allow_infinity=False)


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


@pytest.mark.parametrize("value", [5e-324, 1.1e-308, 3e307, 1.7e308])
def test_a_log_scale_goes_up_at_the_ends_of_float64_too(value: float) -> None:
    scale = Scale.over([value], 10, 110, log=True)
    assert 0 < scale.lo < scale.hi
    assert 10 <= scale.at(value) <= 110


@QUICK
@given(st.lists(FINITE, min_size=2, max_size=9))
def test_a_signed_scale_holds_its_values_in_order(values: list[float]) -> None:
    scale = Scale.over(values, 10, 110, snug=True, signed=True)
    at = [scale.at(v) for v in sorted(values)]
    assert all(10 <= a <= 110 for a in at)
    assert all(a <= b for a, b in pairwise(at))
    assert all(10 <= a <= 110 for a, _ in scale.ticks())


@pytest.mark.parametrize(
    ("label", "shown"), [("0.0001", "10⁻⁴"), ("45", "45"), ("d-1", "d−1"), ("query zero",) * 2]
)
def test_labels_of_an_axis(label: str, shown: str) -> None:
    assert axis_label(label) == shown
