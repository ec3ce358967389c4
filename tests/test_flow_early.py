"""The early stepper: its Jacobians, its stability function, its order, stiff states."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from checks.flow import rodas
from checks.flow.geometries import Geometry
from checks.flow.integrate import integrate
from checks.flow.probes import Recorder
from checks.flow.reference import lsoda
from checks.flow.settings import Settings
from checks.flow.weights import Pairs, weights_jacobian
from tests.flow_fixture import MODELS, drawn, geometry_of

EPS = float(np.finfo(np.float64).eps)


def state_of(geometry: Geometry, size: float, seed: int) -> Tensor:
    rng = np.random.default_rng(seed)
    state = torch.tensor(size * rng.normal(size=geometry.initial().shape))
    if geometry.norm == "nuclear":
        state[:, -1] = 0.0  # the log scale of what stands before it
    return state


def one_step(geometry: Geometry, scores: Tensor, y: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
    """The new state after a step of length h, and its estimated error."""
    margins = geometry.margins(y).view(scores.shape)
    return rodas.step(geometry, Pairs.of(scores), y, h, margins)[:2]


def field_of_row(geometry: Geometry, scores: Tensor, row: int, y: np.ndarray) -> np.ndarray:
    """dy/d tau of one row of a batch."""
    state = torch.tensor(y)[None]
    at = torch.tensor([row])
    return rodas.field(geometry.select(at), Pairs.of(scores[at]), state)[0].numpy()


@pytest.mark.parametrize("model", MODELS)
@given(seed=st.integers(0, 2**32 - 1), size=st.sampled_from([0.1, 1.0, 3.0]))
def test_jacobian_of_the_velocity_is_that_of_autograd(model: str, seed: int, size: float) -> None:
    geometry, scores = geometry_of(*drawn(model, 3, first=seed % 97))
    y = state_of(geometry, size, seed)
    margins = geometry.margins(y).view(scores.shape)
    weights, slope = weights_jacobian(margins, scores)
    got = geometry.velocity_jacobian(y, weights.p.flatten(1), slope)
    whole = torch.autograd.functional.jacobian(
        lambda u: rodas.field(geometry, Pairs.of(scores), u), y
    )
    expected = torch.einsum("bibj->bij", whole)
    # Both form sums of n L products of rows, slopes and e^u; autograd goes through e^(log p)
    # and subtracts terms as large as the whole: a few hundred roundings of the largest entry.
    weight = 1.0 + float(torch.exp(y.abs().amax()))
    bound = 4096 * EPS * weight * float(expected.abs().max() + 1.0)
    assert float((got - expected).abs().max()) <= bound


@pytest.mark.parametrize("model", MODELS)
def test_the_comparison_sees_a_wrong_jacobian(model: str) -> None:
    """Negative control: without the clock's own slope the Jacobian is off by more than 1 %."""
    geometry, scores = geometry_of(*drawn(model, 3))
    y = state_of(geometry, 1.0, 0)
    weights, slope = weights_jacobian(geometry.margins(y).view(scores.shape), scores)
    p = weights.p.flatten(1)
    # slope = d lambda/Lambda - p d ln Lambda: leave a hundredth of the second part out.
    wrong = replace(slope, clock=0.99 * slope.clock)
    right = geometry.velocity_jacobian(y, p, slope)
    assert float((geometry.velocity_jacobian(y, p, wrong) - right).abs().max()) > 1e-4


class _Linear:
    """A geometry whose velocity is y' = M y, for the stability function of the method."""

    def __init__(self, matrix: Tensor) -> None:
        self.matrix = matrix

    def margins(self, y: Tensor) -> Tensor:
        return torch.zeros((len(y), 2), dtype=torch.float64)

    def caution(self, error: Tensor) -> Tensor:
        return error

    def velocity(self, y: Tensor, p: Tensor) -> Tensor:
        return (self.matrix @ y.unsqueeze(-1)).squeeze(-1)

    def velocity_jacobian(self, y: Tensor, p: Tensor, slope: Tensor) -> Tensor:
        return self.matrix

    def distance(self, y: Tensor, other: Tensor) -> Tensor:
        return (y - other).abs().amax(-1)


def stability(z: np.ndarray) -> np.ndarray:
    """R(z) for complex z, and |R - embedded| beside it: one step of length 1 of y' = z y."""
    real, imag = torch.tensor(z.real), torch.tensor(z.imag)
    matrix = torch.stack((real, -imag, imag, real), -1).view(-1, 2, 2)
    y = torch.tensor([1.0, 0.0], dtype=torch.float64).expand(len(z), 2)
    scores = torch.tensor([[[0.0, 1.0]]], dtype=torch.float64).expand(len(z), 1, 2)
    new, _ = one_step(_Linear(matrix), scores, y, torch.ones(len(z), dtype=torch.float64))  # type: ignore[arg-type]
    return new[:, 0].numpy() + 1j * new[:, 1].numpy()


def test_stability_function_is_l_stable() -> None:
    axis = 1j * np.logspace(-3, 8, 400)
    # A-stable on the imaginary axis, up to the rounding of six solves.
    assert np.abs(stability(axis)).max() <= 1 + 64 * EPS
    far = -np.logspace(3, 12, 40) * np.exp(1j * np.linspace(-1.5, 1.5, 40))
    # L-stable: R(z) = O(1/z), with a constant of 25 or less for this method.
    assert (np.abs(stability(far)) * np.abs(far)).max() <= 25 + 1e4 * EPS * np.abs(far).max()


def test_stability_function_is_the_exponential_to_order_4() -> None:
    z = np.array([0.2, 0.1, 0.05], dtype=complex) * np.exp(0.7j)
    error = np.abs(stability(z) - np.exp(z))
    order = np.log2(error[:-1] / error[1:]) - 1
    assert ((order > 3.8) & (order < 4.2)).all()


STEPS = {"diagonal": 16, "combined": 16, "factored": 128, "mirror-1.5": 16, "mirror-3": 4}
"""Where the order shows: past the first, irregular steps, and before the reference's 1e-11."""


def measured_order(model: str, first: int) -> np.ndarray:
    """log2 of the ratio of global errors at some and at twice the steps, over one unit of
    rescaled time."""
    problems, starts = drawn(model, 6, first=first)
    geometry, scores = geometry_of(problems, starts)
    y0 = state_of(geometry, 0.5, first)
    if model.startswith("mirror-"):
        # beta is smooth in theta away from 0 alone: no coordinate gets there.
        y0 = torch.sign(y0) * (2 + y0.abs())
    errors = []
    fields = [partial(field_of_row, geometry, scores, row) for row in range(6)]
    exact = np.stack([lsoda(f, y0[row].numpy(), 1.0) for row, f in enumerate(fields)])
    for steps in (STEPS[model], 2 * STEPS[model]):
        y, h = y0, torch.full((6,), 1.0 / steps, dtype=torch.float64)
        for _ in range(steps):
            y, _ = one_step(geometry, scores, y, h)
        errors.append(geometry.distance(y, torch.tensor(exact)).numpy())
    return np.asarray(np.log2(errors[0] / errors[1]))


@pytest.mark.parametrize("model", STEPS)
def test_measured_order_is_4(model: str) -> None:
    order = measured_order(model, 5)
    # 4 in the limit; at these steps medians from 4.1 to 4.3 (seen), single problems vary.

    assert 3.8 < np.median(order) < 4.5


def test_a_wrong_coefficient_costs_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: a digit mistyped in the fourth decimal is seen."""
    wrong = list(rodas._A)
    wrong[3] = (3.3148, 2.8971, 0.9986419139977817)
    monkeypatch.setattr(rodas, "_A", tuple(wrong))
    assert np.median(measured_order("diagonal", 5)) < 2.5


def test_stiff_states_late_in_the_orbit() -> None:
    """On the orbit at norm 400 a step of 60 times the fast time scale is accurate and stable."""
    problems, starts = drawn("diagonal", 12, first=5)
    recorder = Recorder(range(12))
    # Followed closely, so that the states lie on the orbit and not a transient beside it.
    close = Settings(early_tolerance=1e-7, late_tolerance=1e-6, horizon=8.0, early_steps=900)
    orbit = integrate(problems, starts, close, [recorder])
    geometry, scores = geometry_of(problems, starts)
    h = torch.full((2,), 0.05, dtype=torch.float64)
    stiffness = []
    for row in range(12):
        late = [s.after for s in recorder.stretches[row] if s.log_norm > 6]
        if not late or not np.array_equal(orbit.selected[row], problems[row].optimal):
            continue
        at = torch.tensor([row, row])
        y = torch.tensor(np.stack([late[0], late[0]]))
        new, error = one_step(geometry.select(at), scores[at], y, h)
        field = partial(field_of_row, geometry, scores, row)
        exact = lsoda(field, late[0], 0.05)
        weights, slope = weights_jacobian(geometry.select(at).margins(y).view(2, 3, 3), scores[at])
        jacobian = geometry.select(at).velocity_jacobian(y, weights.p.flatten(1), slope)
        stiffness.append(-0.05 * float(torch.linalg.eigvals(jacobian[0]).real.min()))
        off = float(np.abs(new[0].numpy() - exact).max())
        # Accurate: 1e-5 of a step of 0.05; and the estimate covers the error tenfold, less
        # what rounding of margins of 400 leaves open in p (400 eps x stiffness 60 < 1e-9).
        assert off <= 1e-5
        assert off <= 10 * float(error[0]) + 1e-9
    assert len(stiffness) >= 5
    assert max(stiffness) > 50
