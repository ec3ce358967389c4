"""Plants in the vector field: the weights p, and how each parametrisation moves under them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from checks import flow_checks
from checks.flow import rows as row_module
from checks.flow import weights
from checks.flow.combined import CombinedGeometry
from checks.flow.factored import FactoredGeometry, _Modes
from checks.flow.geometries import DiagonalGeometry
from checks.flow.integrate import Batch
from checks.flow.mirror import MirrorGeometry
from checks.flow.reference import Reference
from checks.problems import Array, AttentionProblem, Start
from tests.planted.patching import everywhere


def query_for_key(patch: pytest.MonkeyPatch) -> None:
    """Q' = G^T Q in place of G^T K, in the velocity of key and query alone."""

    def velocity(self: FactoredGeometry, y: Tensor, p: Tensor) -> Tensor:
        _, query, rho = self._split(y)
        g = self._adjoint(p)
        still = torch.zeros_like(rho).unsqueeze(-1)
        return torch.cat(((g @ query).flatten(1), (g.mT @ query).flatten(1), still), dim=-1)

    patch.setattr(FactoredGeometry, "velocity", velocity)


def query_for_key_in_steps(patch: pytest.MonkeyPatch) -> None:
    """The exact step of key and query starts from [Q; Q]: Q for K in one place, late steps only."""
    honest = _Modes.of

    def of(cls: type[_Modes], g: Tensor, key: Tensor, query: Tensor, step: Tensor) -> _Modes:
        return honest(g, query, query, step)

    patch.setattr(_Modes, "of", classmethod(of))


def transposed_adjoint(patch: pytest.MonkeyPatch) -> None:
    """G(p) of key and query transposed: z delta^T."""
    honest = FactoredGeometry._adjoint

    def adjoint(self: FactoredGeometry, p: Tensor) -> Tensor:
        return honest(self, p).mT

    patch.setattr(FactoredGeometry, "_adjoint", adjoint)


def transposed_adjoint_in_steps(patch: pytest.MonkeyPatch) -> None:
    """G(p) transposed in the exact step of key and query alone: late steps go elsewhere."""
    honest = _Modes.of

    def of(cls: type[_Modes], g: Tensor, key: Tensor, query: Tensor, step: Tensor) -> _Modes:
        return honest(g.mT, key, query, step)

    patch.setattr(_Modes, "of", classmethod(of))


def transposed_combined(patch: pytest.MonkeyPatch) -> None:
    """W of the combined flow transposed: sum alpha_r z_r delta_r^T is added to W(0)."""
    honest = CombinedGeometry._adjoint

    def adjoint(self: CombinedGeometry, p: Tensor) -> Tensor:
        return honest(self, p).mT

    patch.setattr(CombinedGeometry, "_adjoint", adjoint)


def swapped_starts(patch: pytest.MonkeyPatch) -> None:
    """Key and query change places where a batch is built."""
    honest = Batch.of

    def of(
        cls: type[Batch],
        problems: Sequence[AttentionProblem],
        starts: Sequence[Start],
        device: str = "cpu",
    ) -> Batch:
        swapped = [replace(s, key=s.query, query=s.key) for s in starts]
        return honest(problems, swapped, device)

    patch.setattr(Batch, "of", classmethod(of))


def frozen_query(patch: pytest.MonkeyPatch) -> None:
    """The query matrix is not trained before the hand-over: its gradient is left out."""
    honest = FactoredGeometry.velocity

    def velocity(self: FactoredGeometry, y: Tensor, p: Tensor) -> Tensor:
        moved = honest(self, y, p).clone()
        half = (moved.shape[1] - 1) // 2
        moved[:, half:] = 0.0
        return moved

    patch.setattr(FactoredGeometry, "velocity", velocity)


def half_speed(patch: pytest.MonkeyPatch) -> None:
    """u' = A^T p in place of 2 A^T p: the 2 of two trained factors forgotten in the steps."""
    honest = DiagonalGeometry.advance

    def advance(self: DiagonalGeometry, y: Tensor, p: Tensor, step: Tensor) -> Tensor:
        return honest(self, y, p, step / 2)

    patch.setattr(DiagonalGeometry, "advance", advance)


def wrong_dual_exponent(patch: pytest.MonkeyPatch) -> None:
    """Mirror flow maps theta back by the exponent p in place of its conjugate q."""

    def beta(self: MirrorGeometry, theta: Tensor) -> Tensor:
        return torch.sign(theta) * theta.abs() ** (self.exponent - 1)

    patch.setattr(MirrorGeometry, "_beta", beta)


def _patched_weights(patch: pytest.MonkeyPatch, change: Any) -> None:
    honest = weights._Sums.weights
    patch.setattr(weights._Sums, "weights", lambda self: change(honest(self)))


def float32_weights(patch: pytest.MonkeyPatch) -> None:
    """The weights p pass through float32."""
    _patched_weights(patch, lambda w: replace(w, p=w.p.float().double()))


def float32_rows(patch: pytest.MonkeyPatch) -> None:
    """The diagonal engine adds up A^T p in float32."""
    honest = row_module.combine

    def single(rows: Tensor, p: Tensor) -> Tensor:
        return honest(rows.float(), p.float()).double()

    everywhere(patch, honest, single)


def temperature(patch: pytest.MonkeyPatch) -> None:
    """Attention of margins/sqrt(2): the softmax scaled, as practice has it and the model not."""
    honest = weights._Sums.of

    def scaled(cls: type[weights._Sums], margins: Tensor, pairs: weights.Pairs) -> weights._Sums:
        return honest(margins / math.sqrt(2.0), pairs)

    patch.setattr(weights._Sums, "of", classmethod(scaled))


def score_difference(patch: pytest.MonkeyPatch) -> None:
    """lambda with gamma_io - gamma_il in place of gbar_i - gamma_il."""
    honest = weights._Sums.of

    def wrong(cls: type[weights._Sums], margins: Tensor, pairs: weights.Pairs) -> weights._Sums:
        found = honest(margins, pairs)
        scores = pairs.first
        gbar = (found.pulls.s * scores).sum(0, keepdim=True)
        best = scores.amax(0, keepdim=True)
        # signed * e^log_unit = s (gbar - gamma): the wrong difference in the same unit.
        signed = found.pulls.signed + found.pulls.s * (best - gbar) * torch.exp(
            -found.pulls.log_unit
        )
        return replace(found, pulls=replace(found.pulls, signed=signed))

    patch.setattr(weights._Sums, "of", classmethod(wrong))


def missing_loss_factor(patch: pytest.MonkeyPatch) -> None:
    """lambda without e^{-gbar_i}: the samples weigh alike."""
    honest = weights._Sums.of

    def wrong(cls: type[weights._Sums], margins: Tensor, pairs: weights.Pairs) -> weights._Sums:
        found = honest(margins, pairs)
        gbar = (found.pulls.s * pairs.first).sum(0, keepdim=True)
        return replace(found, weight=found.weight * torch.exp(gbar - gbar.amax(1, keepdim=True)))

    patch.setattr(weights._Sums, "of", classmethod(wrong))


def stale_pairs(patch: pytest.MonkeyPatch) -> None:
    """Score differences are cached by shape: the first batch's serve all that look like it."""
    honest, kept = weights.Pairs.of, dict[tuple[int, ...], weights.Pairs]()

    def cached(cls: type[weights.Pairs], scores: Tensor) -> weights.Pairs:
        return kept.setdefault(tuple(scores.shape), honest(scores))

    patch.setattr(weights.Pairs, "of", classmethod(cached))


def label_dropped(patch: pytest.MonkeyPatch) -> None:
    """The loss that autograd differentiates leaves out the label y_i."""
    honest = flow_checks.loss

    def unlabelled(problem: AttentionProblem, w: Tensor) -> Tensor:
        return honest(replace(problem, labels=np.ones_like(problem.labels)), w)

    everywhere(patch, honest, unlabelled)


def reference_mean(patch: pytest.MonkeyPatch) -> None:
    """The reference integrator's clock counts every pair of tokens twice."""
    honest = Reference.ascent

    def ascent(self: Reference, w: Array) -> tuple[Array, float]:
        push, log_clock = honest(self, w)
        return push / 2, log_clock + math.log(2.0)

    patch.setattr(Reference, "ascent", ascent)
