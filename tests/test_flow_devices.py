"""One code path on every device: each test runs on those present, and says which are not."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from checks.flow.integrate import integrate
from checks.flow.probes import Curve, Recorder
from checks.flow.settings import Settings
from tests.flow_fixture import GEOMETRIES, drawn

DEVICES = [
    "cpu",
    pytest.param(
        "cuda",
        marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here"),
    ),
]
SHORT = Settings(horizon=60.0, early_steps=500, late_steps=60)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("model", GEOMETRIES)
def test_every_device_follows_the_same_flow(model: str, device: str) -> None:
    """The same tokens, and brackets of one optimum, as on the CPU."""
    problems, starts = drawn(model, 4, first=5)
    curve, recorder = Curve(), Recorder([0])
    there = integrate(problems, starts, SHORT, [curve, recorder], device=device)
    here = integrate(problems, starts, SHORT)
    assert all(isinstance(a, np.ndarray) for a in (there.direction, there.dual, there.weights_p))
    assert len(curve.row(0)) > 0
    assert len(recorder.stretches[0]) > 0
    both = here.settled & there.settled
    assert np.array_equal(here.settled, there.settled)
    assert both.sum() >= 2
    assert np.array_equal(here.selected[both], there.selected[both])
    # Rounding differs between devices, so the brackets do; they hold one optimum (1e-9: SVD).
    assert (here.primal[both] <= there.dual[both] * (1 + 1e-9)).all()
    assert (there.primal[both] <= here.dual[both] * (1 + 1e-9)).all()
    if device == "cpu":
        assert here.direction.tobytes() == there.direction.tobytes()


@pytest.mark.parametrize("model", GEOMETRIES)
def test_nothing_is_made_on_another_device(model: str) -> None:
    """Where there is no second device: tensors made without a device land on ``meta``, which
    has no data, and mixing them with those of the run raises."""
    problems, starts = drawn(model, 3, first=5)
    plain = integrate(problems, starts, SHORT)
    with torch.device("meta"):
        other = integrate(problems, starts, SHORT, [Curve(), Recorder([0])], device="cpu")
    assert plain.direction.tobytes() == other.direction.tobytes()


def test_the_trap_catches_a_tensor_made_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: one factory call that forgot its device."""
    from checks.flow import late

    honest = late._begin

    def careless(*args: object) -> object:
        state = honest(*args)  # type: ignore[arg-type]
        state.h = state.h + torch.zeros(len(state.h), dtype=torch.float64)
        return state

    monkeypatch.setattr(late, "_begin", careless)
    problems, starts = drawn("diagonal", 3, first=5)
    integrate(problems, starts, SHORT)
    with torch.device("meta"), pytest.raises(RuntimeError):
        integrate(problems, starts, SHORT, device="cpu")
