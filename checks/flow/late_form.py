"""The form that p takes once every sample has settled: p = softmax(kappa - m) (THEORY.md 3).

Exact up to e^{-m_min}: no sign, no pairs of scores, and one exponential for each constraint.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from checks.flow.weights import Weights


@dataclass(frozen=True)
class LateForm:
    """kappa (B, K): ln of what a constraint pushes at margin 0, -inf where there is none."""

    kappa: Tensor
    signed = False

    @classmethod
    def of(cls, kappa: Tensor, mask: Tensor) -> LateForm:
        """mask (B, K): which are constraints."""
        return cls(torch.where(mask, kappa, -torch.inf))

    def select(self, index: Tensor) -> LateForm:
        return LateForm(self.kappa[index])

    def push(self, margins: Tensor) -> Tensor:
        return torch.softmax(self.kappa - margins, -1)

    def linear(self, margins: Tensor) -> tuple[Weights, LateSlope]:
        logits = self.kappa - margins
        p = torch.softmax(logits, -1)
        return Weights(p, torch.logsumexp(logits, -1)), LateSlope(p)

    def grouped(self, values: Tensor) -> Tensor:
        return values.unsqueeze(-2)


@dataclass(frozen=True)
class LateSlope:
    """dp/dm = p p^T - diag(p), p (B, K): minus the covariance of whatever it acts on."""

    p: Tensor

    def __matmul__(self, rows: Tensor) -> Tensor:
        mean = (self.p.unsqueeze(-1) * rows).sum(-2, keepdim=True)
        return self.p.unsqueeze(-1) * (mean - rows)

    def between(self, left: Tensor, right: Tensor) -> Tensor:
        pushed = self.p.unsqueeze(-1) * left
        # Centred first: constraints of nearly equal rows would cancel to rounding.
        mean = (self.p.unsqueeze(-1) * right).sum(-2, keepdim=True)
        return pushed.mT @ (mean - right)
