"""K = Q kept by one stored matrix, on data closed under transposition (THEORY.md 4, controls).

There W = K K^T stays positive semidefinite for ever: lambda is the same for a sample and its
transposed partner, G(lambda) is symmetric, and K' = G K, Q' = G K.  Two stored matrices would
drift apart by rounding, and a run may leave the cone by that alone (seen: one in four).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from checks.flow.factored import FactoredGeometry, normalised
from checks.problems import Array, AttentionProblem, Start


def keeps_key_as_query(problem: AttentionProblem, start: Start) -> bool:
    """Is K(0) = Q(0), bit by bit, and does gradient flow keep it so on these data?

    Decided for two tokens a sample: (delta, z, scores) -> (z, delta, scores) permutes samples.
    """
    if start.model != "factored" or problem.length != 2:
        return False
    if not np.array_equal(np.asarray(start.key), np.asarray(start.query)):
        return False
    x, scores = problem.tokens, problem.scores
    best = problem.optimal
    rows = np.arange(problem.samples)
    delta, z = x[rows, best] - x[rows, 1 - best], problem.queries
    levels = np.stack([scores[rows, best], scores[rows, 1 - best]], axis=1)
    here = np.hstack([delta, z, levels]) + 0.0  # -0.0 becomes 0.0
    there = np.hstack([z, delta, levels]) + 0.0
    return np.array_equal(_sorted(here), _sorted(there))


def _sorted(rows: Array) -> Array:
    return np.asarray(rows[np.lexsort(rows.T[::-1])])


@dataclass(frozen=True)
class MirroredGeometry(FactoredGeometry):
    """FactoredGeometry in which the rows ``tied`` (B,) have K alone for state.

    The other half of the state repeats K: nothing is read from it but its share of |Z|.
    """

    tied: Tensor

    def select(self, index: Tensor) -> MirroredGeometry:
        return MirroredGeometry(
            self.rows.select(index), self.key[index], self.query[index], self.tied[index]
        )

    def _where(self, tied: Tensor, free: Tensor) -> Tensor:
        return torch.where(self.tied[:, None, None], tied, free)

    def _split(self, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        key, query, rho = super()._split(y)
        return key, self._where(key, query), rho

    def _adjoint(self, p: Tensor) -> Tensor:
        g = super()._adjoint(p)
        return self._where((g + g.mT) / 2, g)

    def advance(self, y: Tensor, p: Tensor, step: Tensor) -> Tensor:
        key, query, rho = FactoredGeometry._split(self, super().advance(y, p, step))
        return normalised(key, self._where(key, query), rho)

    def dual_norm(self, p: Tensor) -> Tensor:
        # The bound of the problem such a flow can solve: W >= 0, so <G, W> <= lambda_max tr W.
        g = self._adjoint(p)
        finite = torch.isfinite(g).flatten(1).all(-1)
        clean = torch.where(finite[:, None, None], g, 0.0)
        largest = torch.linalg.eigvalsh((clean + clean.mT) / 2)[:, -1].clamp_min(0.0)
        largest = torch.where(finite, largest, torch.nan)
        return torch.where(self.tied, largest, super().dual_norm(p))

    @classmethod
    def of(cls, plain: FactoredGeometry, tied: Any) -> FactoredGeometry:
        """``plain`` itself where no row is tied."""
        mask = torch.tensor(tied, dtype=torch.bool, device=plain.key.device)
        return cls(plain.rows, plain.key, plain.query, mask) if mask.any() else plain
