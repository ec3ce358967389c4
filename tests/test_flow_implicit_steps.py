"""Implicit steps, single and double: their order, extreme sizes, rows that fail."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor

from checks.flow import implicit
from checks.flow.geometries import DiagonalGeometry, Geometry
from checks.flow.reference import lsoda
from tests import implicit_fixture
from tests.flow_fixture import best_margin
from tests.implicit_fixture import problem, uniform

cold_solves = implicit_fixture.cold_solves


def late_field(
    geometry: Geometry, kappa: Tensor, mask: Tensor, row: int, y: np.ndarray
) -> np.ndarray:
    """The late vector field with p by its closed form, for an explicit reference."""
    at = torch.tensor([row])
    state, one = torch.tensor(y)[None], geometry.select(at)
    logits = torch.where(mask[at], kappa[at] - one.margins(state), -torch.inf)
    return one.velocity(state, torch.softmax(logits, -1))[0].numpy()


@pytest.mark.parametrize("model", ["diagonal", "combined", "mirror-1.5", "mirror-3"])
def test_measured_orders_are_1_and_2(model: str) -> None:
    """At norm e^2 .. e^3, where p still has a closed form, against the reference."""
    geometry, y0, kappa, mask = problem(11, 5, 4, 2.0, model, batch=6)
    span = 0.5
    fields = [partial(late_field, geometry, kappa, mask, row) for row in range(6)]
    exact = [lsoda(field, y0[row].numpy(), span) for row, field in enumerate(fields)]
    truth = torch.tensor(np.stack(exact))
    p0 = torch.softmax(torch.where(mask, kappa - geometry.margins(y0), -torch.inf), -1)
    simple, extrapolated = [], []
    for steps in (32, 64, 128):
        h = torch.full((6,), span / steps, dtype=torch.float64)
        y, p, z, q = y0, p0, y0, p0
        for _ in range(steps):
            single = implicit.implicit_step(geometry, y, p, h, kappa, mask)
            double = implicit.double_step(geometry, z, q, h, kappa, mask)
            assert (single.converged & double.converged).all()
            y, p, z, q = single.state, single.p, double.state, double.p
        simple.append(geometry.distance(y, truth).numpy())
        extrapolated.append(geometry.distance(z, truth).numpy())
    first = np.log2(np.array(simple)[:-1] / np.array(simple)[1:])
    second = np.log2(np.array(extrapolated)[:-1] / np.array(extrapolated)[1:])
    assert ((np.median(first, axis=1) > 0.9) & (np.median(first, axis=1) < 1.1)).all()
    # Order 2 in the limit; the stiff start-up costs single rows a part of it.
    assert ((np.median(second, axis=1) > 1.7) & (np.median(second, axis=1) < 2.3)).all()


@pytest.mark.parametrize("log_norm", [700.0, 1000.0, 3000.0])
def test_sizes_beyond_float64(log_norm: float) -> None:
    """Margins of e^1000: the entropy weight at its floor, no NaN, an honest certificate.

    Leaps of 30 e-folds are proximal steps of the SVM itself: p comes to its dual optimum,
    known from scipy's linear programme.  A leap that asks for more Newton steps than there are
    is flagged, and tried again shorter, as the late phase does.
    """
    geometry, y, kappa, mask = problem(2, 8, 5, log_norm)
    assert isinstance(geometry, DiagonalGeometry)
    p = uniform(mask)
    leap = torch.full((3,), 15.0, dtype=torch.float64)
    gone = torch.zeros(3, dtype=torch.float64)
    for _ in range(140):
        solve = implicit.implicit_step(geometry, y, p, leap / geometry.dual_norm(p), kappa, mask)
        ok = solve.converged
        assert torch.isfinite(solve.state[ok]).all()
        assert torch.isfinite(solve.p[ok]).all()
        y = torch.where(ok.unsqueeze(-1), solve.state, y)
        p = torch.where(ok.unsqueeze(-1), solve.p, p)
        gone += torch.where(ok, leap, 0.0)
        leap = torch.where(ok, (leap * 4).clamp(max=15.0), leap / 4)
    assert (gone >= 1500).all()
    bound = geometry.dual_norm(p)
    for row in range(3):
        gamma = best_margin(geometry.rows[row].numpy(), "l1")
        assert gamma <= float(bound[row]) * (1 + 1e-9)  # HiGHS answers to 1e-9
        if log_norm <= 1000:
            # 3,000 e-folds of growth leave a start of 1,000 less than a third to say (it began
            # at 2.7 gamma).
            assert float(bound[row]) <= 1.3 * gamma


@pytest.mark.parametrize("poison", [float("nan"), float("inf"), 1e300])
def test_rows_that_fail_are_flagged_and_leave_their_neighbours_alone(poison: float) -> None:
    geometry, y, kappa, mask = problem(4, 6, 4, 12.0, batch=5)
    assert isinstance(geometry, DiagonalGeometry)
    h = torch.full((5,), 0.1, dtype=torch.float64)
    clean = implicit.double_step(geometry, y, uniform(mask), h, kappa, mask)
    rows = geometry.rows.clone()
    rows[2] = rows[2] * poison
    dirty = implicit.double_step(replace(geometry, rows=rows), y, uniform(mask), h, kappa, mask)
    assert clean.converged.all()
    assert not dirty.converged[2]
    others = torch.tensor([0, 1, 3, 4])
    for name in ("state", "fine", "p", "mean_p", "error", "converged"):
        assert torch.equal(getattr(dirty, name)[others], getattr(clean, name)[others]), name
