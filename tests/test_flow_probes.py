"""Probes: curves are thinned and keep their ends, recorders store whole steps."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from checks.flow.integrate import integrate
from checks.flow.probes import SNAPSHOTS, Curve, Recorder, thin
from checks.flow.settings import Settings
from tests.flow_fixture import drawn


@given(st.integers(1, 300), st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.5, 3.0]))
def test_thin_keeps_the_ends_and_the_order(count: int, seed: int, noise: float) -> None:
    """Log norms may fall for a while, early: they need not be sorted, nor end at the top."""
    rng = np.random.default_rng(seed)
    x = np.linspace(0, 1, count) + noise * rng.normal(size=count)
    points = np.stack((x, np.arange(len(x), dtype=np.float64)), axis=1)
    kept = thin(points)
    assert len(kept) <= SNAPSHOTS
    assert np.array_equal(kept[0], points[0])
    assert np.array_equal(kept[-1], points[-1])
    order = kept[:, 1].astype(int)
    assert (np.diff(order) > 0).all()
    assert np.array_equal(points[order], kept)
    if len(points) <= SNAPSHOTS:
        assert np.array_equal(kept, points)


def test_thin_is_even_in_the_first_column() -> None:
    x = np.linspace(0, 1, 5000) ** 3
    gaps = np.diff(thin(np.stack((x, x), axis=1))[:, 0])
    # A grid of 64 on 5,000 points: off by one point of spacing 6e-4 at most.
    assert np.abs(gaps - 1 / (SNAPSHOTS - 1)).max() <= 2 * 6.1e-4


def test_curves_and_recorders_see_only_their_rows() -> None:
    problems, starts = drawn("combined-diagonal", 3, first=5)
    curve, recorder = Curve(), Recorder([2])
    orbit = integrate(problems, starts, Settings(early_steps=400), [curve, recorder])
    assert set(recorder.stretches) == {2}
    steps = recorder.stretches[2]
    assert len(steps) == orbit.early_steps[2] + orbit.late_steps[2]
    assert abs(sum(s.step for s in steps) - orbit.tau[2]) <= 1e-12 * orbit.tau[2]
    for row in range(3):
        points = curve.row(row)
        assert 2 <= len(points) <= SNAPSHOTS
        assert points[-1, 0] == orbit.log_norm[row]
        late = points[~np.isnan(points[:, 2])]
        assert (np.diff(late[:, 3]) <= 0).all()  # the dual bound is the best so far
        assert (late[:, 2] <= late[:, 3]).all()
    assert curve.row(7).shape == (0, 4)


def test_a_batch_of_one_is_told_once() -> None:
    """The padding row of a batch of one reaches no probe."""
    problems, starts = drawn("combined-diagonal", 1, first=5)
    curve, recorder = Curve(), Recorder([0, 1])
    orbit = integrate(problems, starts, Settings(early_steps=400), [curve, recorder])
    assert len(orbit) == 1
    assert recorder.stretches[1] == []
    assert len(recorder.stretches[0]) == orbit.early_steps[0] + orbit.late_steps[0]
    assert len(curve.row(1)) == 0
