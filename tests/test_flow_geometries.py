"""What every geometry promises: its state stands for weights, and moves do or do not commute."""

from __future__ import annotations

import pytest
import torch

from checks.flow.geometries import Geometry
from checks.flow.integrate import Batch
from tests.flow_fixture import GEOMETRIES, drawn


@pytest.mark.parametrize("model", GEOMETRIES)
def test_weights_and_their_scale_are_those_of_the_start(model: str) -> None:
    """W = weights e^scale, and the weights are of size 1: what the scale is for."""
    problems, starts = drawn(model, 3)
    batch = Batch.of(problems, starts)
    weights, scale = batch.geometry.weights(batch.geometry.initial())
    assert (
        weights.flatten(1).abs().amax(-1).clamp(0.01, 10).equal(weights.flatten(1).abs().amax(-1))
    )
    for row, start in enumerate(starts):
        whole = (weights[row] * scale[row].exp()).numpy()
        assert whole.ravel() == pytest.approx(start.weights.ravel(), rel=1e-12, abs=1e-15)


def begun(model: str) -> tuple[Geometry, torch.Tensor, int]:
    """Three flows at their starts: the geometry, the state (3, D) and the number of margins."""
    geometry = Batch.of(*drawn(model, 3)).geometry
    y = geometry.initial()
    return geometry, y, geometry.margins(y).shape[-1]


@pytest.mark.parametrize("model", GEOMETRIES)
def test_moves_commute_where_a_geometry_says_so(model: str) -> None:
    geometry, y, count = begun(model)
    one = torch.softmax(torch.linspace(0.0, 3.0, count, dtype=y.dtype), 0).expand(len(y), -1)
    two, step = one.flip(-1), torch.full((len(y),), 0.7, dtype=y.dtype)
    there = geometry.advance(geometry.advance(y, one, step), two, step)
    back = geometry.advance(geometry.advance(y, two, step), one, step)
    assert bool((geometry.distance(there, back) < 1e-9).all()) is geometry.commutes


@pytest.mark.parametrize("model", GEOMETRIES)
def test_the_growth_of_margins_is_that_along_the_move(model: str) -> None:
    """d(p^T m)/dtau e^-rho at constant p, by a central difference."""
    geometry, y, count = begun(model)
    p = torch.softmax(torch.linspace(0.0, 2.0, count, dtype=y.dtype), 0).expand(len(y), -1)
    rho, step = geometry.log_size(y), torch.full((len(y),), 1e-4, dtype=y.dtype)
    on, back = (geometry.advance(y, p, sign * step) for sign in (1, -1))
    gained = (p * (geometry.scaled_margins(on, rho) - geometry.scaled_margins(back, rho))).sum(-1)
    # Above p = 2 beta bends sharply near 0: the difference itself is off by 2e-4 there.
    assert (gained / (2 * step)).tolist() == pytest.approx(
        geometry.margin_growth(y, p, rho).tolist(), rel=1e-3 if model == "mirror-3" else 1e-5
    )


@pytest.mark.parametrize("model", GEOMETRIES)
def test_sizes_grow_exponentially_where_a_geometry_says_so(model: str) -> None:
    """From tau to 2 tau: by a rate times tau of ln N, or by a power of two."""
    geometry, y, count = begun(model)
    p = torch.full((len(y), count), 1 / count, dtype=y.dtype)
    once, twice = (
        geometry.log_size(geometry.advance(y, p, torch.full((len(y),), t, dtype=y.dtype)))
        for t in (40.0, 80.0)
    )
    assert bool((twice - once > 5.0).all()) is geometry.grows_exponentially
