"""What the phases write down while they run: one entry a row of the whole batch."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from checks.flow.geometries import Geometry
from checks.flow.orbit import Status
from checks.flow.probes import Probe, View


class Ledger:
    """Mutable record of one integration; ``count`` rows are real, the rest padding.

    tightness (B,): factor on both tolerances, row by row (its inverse root on the early
    budget), so that a run and its check at tolerance/10 share a batch.
    """

    def __init__(
        self,
        geometry: Geometry,
        scores: Tensor,
        probes: Sequence[Probe],
        count: int,
        tightness: Sequence[float],
    ) -> None:
        rows, n, length = scores.shape
        zeros, device = scores.new_zeros(rows), scores.device
        self.probes, self.count = probes, count
        self.tightness = scores.new_tensor(tightness)
        self.y = geometry.initial().clone()
        self.geometry = geometry
        self.log_time = torch.full_like(zeros, -torch.inf)
        self.tau = zeros.clone()
        self.status = [Status.UNSETTLED] * rows
        self.selected = torch.zeros((rows, n), dtype=torch.long, device=device)
        self.settled = torch.zeros(rows, dtype=torch.bool, device=device)
        self.not_before = zeros.clone()
        """Rescaled time before which a row may not leave the early phase."""
        self.returns = torch.zeros(rows, dtype=torch.long, device=device)
        """How often a row went back from the late to the early phase."""
        self.primal = torch.full_like(zeros, torch.nan)
        self.dual = torch.full_like(zeros, torch.inf)
        self.dual_weights = scores.new_zeros((rows, n * length))
        self.p = scores.new_zeros((rows, n * length))
        self.direction, _ = geometry.weights(self.y)
        self.log_norm = geometry.log_norm(self.y)
        self.worst_error, self.error_sum = zeros.clone(), zeros.clone()
        self.early_steps = torch.zeros(rows, dtype=torch.long, device=device)
        self.late_steps, self.rejected = self.early_steps.clone(), self.early_steps.clone()
        for probe in probes:
            probe.init(count)

    def accept(self, rows: Tensor, step: Tensor, error: Tensor, tolerance: Tensor) -> None:
        """Book an accepted step: its length, its local error and the bound it met."""
        self.tau[rows] += step
        self.error_sum[rows] += error
        self.worst_error[rows] = torch.maximum(self.worst_error[rows], error / tolerance)

    def tell(self, view: View) -> None:
        """Feed the probes, less the padding row of a batch of one."""
        real = view.index < self.count
        if not real.all():
            view = view.keep(torch.nonzero(real).squeeze(-1))
        if len(view.index):
            for probe in self.probes:
                probe.update(view)
