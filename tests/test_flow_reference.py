"""Direct integration of raw weights: where it ends, and what it says when it cannot go on."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import LSODA

from checks.flow.reference import stepped


def rotating(velocity: float = 1.0) -> LSODA:
    return LSODA(
        lambda t, y: velocity * np.array([-y[1], y[0]]),
        0.0,
        np.array([1.0, 0.0]),
        3.0,
        rtol=1e-9,
        atol=1e-12,
    )


def test_steps_are_counted_to_the_end_or_to_their_bound() -> None:
    whole = rotating()
    steps = stepped(whole, 1_000)
    assert (whole.status, whole.t) == ("finished", 3.0)
    assert 10 < steps < 1_000
    short = rotating()
    assert stepped(short, 7) == 7
    assert (short.status, short.t < 3.0) == ("running", True)
    # What the flow conserves is conserved wherever it ended.
    for solver in (whole, short):
        assert np.linalg.norm(solver.y) == pytest.approx(1, abs=1e-6)


def unfollowable() -> LSODA:
    """A velocity that no step length follows."""
    generator = np.random.default_rng(0)
    return LSODA(
        lambda t, y: 1e8 * generator.normal(size=1), 0.0, np.ones(1), 3.0, rtol=1e-11, atol=1e-14
    )


def test_a_failure_ends_where_the_last_step_did_without_a_warning() -> None:
    """Warnings are errors here; LSODA's own would be one."""
    with pytest.warns(UserWarning, match="lsoda"):
        unfollowable().step()
    solver = unfollowable()
    assert stepped(solver, 1_000) == 1
    assert (solver.status, solver.t, solver.y.tolist()) == ("failed", 0.0, [1.0])
