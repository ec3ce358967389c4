"""Separable rows at weights of any size, and solves that begin where they like."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from checks.flow import implicit
from checks.flow.combined import VectorGeometry
from checks.flow.geometries import DiagonalGeometry, Geometry
from checks.flow.mirror import MirrorGeometry
from checks.flow.rows import Rows


@pytest.fixture(autouse=True)
def cold_solves(monkeypatch: pytest.MonkeyPatch) -> None:
    """Solves here begin at a uniform p, whatever the step: runs would take a shorter one."""
    monkeypatch.setattr(implicit, "PATIENCE", np.inf)
    monkeypatch.setattr(implicit, "NEWTON_LIMIT", 14)


def problem(
    seed: int, rows: int, d: int, log_norm: float, model: str = "diagonal", batch: int = 3
) -> tuple[Geometry, Tensor, Tensor, Tensor]:
    """Geometry, state, kappa and mask of separable rows at weights of size e^log_norm.

    Rows have a component of at least 0.3 along a random direction w; the weights are along w,
    so that all margins are positive and of the size of the weights.
    """
    rng = np.random.default_rng([seed, rows, d])
    w = rng.normal(size=(batch, 1, d))
    a = rng.normal(size=(batch, rows, d))
    along = (a * w).sum(-1, keepdims=True) / np.linalg.norm(w, axis=-1, keepdims=True)
    a += (np.abs(along) - along + 0.3) * w / np.linalg.norm(w, axis=-1, keepdims=True)
    delta, query = torch.tensor(a), torch.ones((batch, rows, d), dtype=torch.float64)
    kappa = torch.tensor(rng.normal(size=(batch, rows)))
    mask = torch.ones((batch, rows), dtype=torch.bool)
    data = Rows(delta, query)
    weights = torch.tensor(w[:, 0])
    if model == "diagonal":
        invariant = torch.tensor(rng.uniform(0.05, 1.0, size=(batch, d)))
        geometry = DiagonalGeometry.of(data, 1 + invariant, 1 - invariant)
        # beta_j = (a^2 e^u - b^2 e^-u)/2 = w_j e^log_norm up to the decaying half.
        lead = torch.log(weights.abs()) + log_norm + np.log(2)
        sign = torch.sign(weights)
        other = torch.where(sign > 0, geometry.log_plus, geometry.log_minus)
        return geometry, sign * (lead - other), kappa, mask
    if model.startswith("mirror-"):
        exponent = torch.full((batch, 1), float(model.removeprefix("mirror-")))
        theta = torch.sign(weights) * (weights.abs() * np.exp(log_norm)) ** (exponent - 1)
        mirror = MirrorGeometry.of(data, theta, exponent.double())
        return mirror, mirror.initial(), kappa, mask
    base = weights * np.exp(log_norm)
    combined = VectorGeometry.of(data, base)
    return combined, combined.initial(), kappa, mask


def uniform(mask: Tensor) -> Tensor:
    return mask.double() / mask.sum(-1, keepdim=True)
