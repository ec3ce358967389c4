"""Late steps of bounded growth, and rows that are left where they settled elsewhere."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from checks.flow import integrate
from checks.flow.settings import Settings
from checks.late_probe import LateProbe
from tests.exact_cases import cases

SHORT = Settings(gap=-1.0, horizon=7.0)


@pytest.mark.parametrize("model", ["diagonal", "combined-diagonal", "combined"])
def test_no_late_step_grows_the_weights_by_more_than_is_asked(model: str) -> None:
    drawn = cases(f"{model}/separable/separating", (3, 3, 4), 4)
    problems, starts = [c.problem for c in drawn], [c.start for c in drawn]
    largest = {}
    for longest in (0.05, np.inf):
        probe = LateProbe(on_orbit=True)
        orbit = integrate.integrate(problems, starts, replace(SHORT, longest=longest), [probe])
        seen = [
            probe.orbit(row, problem, orbit.selected[row]) for row, problem in enumerate(problems)
        ]
        growth = [float(np.diff(late.log_size).max()) for late in seen if late is not None]
        assert growth
        largest[longest] = max(growth)
    # d ln N/d tau is at most N°(G(p)) of the state before, up to how p moves within a step.
    assert largest[0.05] <= 0.06
    assert largest[np.inf] > 0.1


def test_rows_that_settle_elsewhere_take_no_late_step_where_they_are_not_asked_for() -> None:
    drawn = [
        *cases("diagonal/trap/trapped", (3, 3, 4), 2),
        *cases("diagonal/separable/separating", (3, 3, 4), 2),
    ]
    problems, starts = [c.problem for c in drawn], [c.start for c in drawn]
    every = integrate.integrate(problems, starts, SHORT)
    some = integrate.integrate(problems, starts, replace(SHORT, elsewhere=False))
    assert (every.late_steps > 0).all()
    assert (some.late_steps > 0).tolist() == [False, False, True, True]
    assert some.settled.all()
    np.testing.assert_array_equal(every.direction[2:], some.direction[2:])
    np.testing.assert_array_equal(every.selected, some.selected)
