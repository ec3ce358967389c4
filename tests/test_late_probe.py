"""What the rate claims read off a late orbit."""

from __future__ import annotations

from dataclasses import fields

import numpy as np

from checks.flow import integrate
from checks.flow.probes import View
from checks.flow.settings import Settings
from checks.late_probe import LateProbe
from tests.exact_cases import cases


class Views:
    """Keeps every view."""

    def init(self, rows: int) -> None:
        self.seen: list[View] = []

    def update(self, view: View) -> None:
        self.seen.append(view)


def test_a_row_that_came_back_to_the_early_phase_keeps_its_last_late_phase_alone() -> None:
    (case,) = cases("diagonal/separable/separating", (3, 3, 4), 1)
    views = Views()
    orbit = integrate.integrate([case.problem], [case.start], Settings(horizon=8.0), [views])
    early = [view for view in views.seen if not view.late]
    late = [view for view in views.seen if view.late]
    assert early
    assert len(late) > 4
    found = []
    for shown in (late, [*late[:3], early[-1], *late]):
        probe = LateProbe()
        probe.init(1)
        for view in shown:
            probe.update(view)
        found.append(probe.orbit(0, case.problem, orbit.selected[0]))
    once, again = found
    assert once is not None
    assert again is not None
    for field in fields(once):
        np.testing.assert_array_equal(getattr(once, field.name), getattr(again, field.name))
