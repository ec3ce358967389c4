"""How weights trained as one move (S4): a vector beta, or a matrix W.

VectorGeometry    y = beta, beta' = A^T p.
CombinedGeometry  y = alpha, alpha' = p: W = base + sum_r alpha_r G_r.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from checks.flow.geometries import Geometry
from checks.flow.rows import Rows, combine, take
from checks.flow.weights import Response


@dataclass(frozen=True)
class VectorGeometry(Geometry):
    """beta trained directly (S4): beta' = A^T p.  rows (B, N, d) = a_r; start (B, d) beta(0)."""

    rows: Tensor
    start: Tensor
    grows_exponentially = False

    @property
    def norm(self) -> str:
        return "l2"

    @classmethod
    def of(cls, rows: Rows, start: Tensor) -> VectorGeometry:
        return cls(rows.delta * rows.query, start)

    def select(self, index: Tensor) -> VectorGeometry:
        return VectorGeometry(self.rows[index], self.start[index])

    def rebase(self, rows: Rows, y: Tensor) -> tuple[VectorGeometry, Tensor]:
        return replace(self, rows=rows.delta * rows.query), y

    def narrow(self, slots: Tensor, y: Tensor) -> tuple[VectorGeometry, Tensor]:
        return replace(self, rows=take(self.rows, slots)), y

    def initial(self) -> Tensor:
        return self.start

    def log_size(self, y: Tensor) -> Tensor:
        return torch.log(torch.linalg.vector_norm(y, dim=-1))

    def scaled_margins(self, y: Tensor, rho: Tensor) -> Tensor:
        return (self.rows * (y * torch.exp(-rho).unsqueeze(-1)).unsqueeze(-2)).sum(-1)

    def margins(self, y: Tensor) -> Tensor:
        return (self.rows * y.unsqueeze(-2)).sum(-1)

    def advance(self, y: Tensor, p: Tensor, step: Tensor) -> Tensor:
        return y + step.unsqueeze(-1) * combine(self.rows, p)

    def curvature(self, y: Tensor, step: Tensor, rho: Tensor) -> Tensor:
        return (step * torch.exp(-rho))[:, None, None] * (self.rows @ self.rows.mT)

    def velocity(self, y: Tensor, p: Tensor) -> Tensor:
        return combine(self.rows, p)

    def velocity_jacobian(self, y: Tensor, p: Tensor, slope: Response) -> Tensor:
        return slope.between(self.rows, self.rows)

    def distance(self, y: Tensor, other: Tensor) -> Tensor:
        # Margins, not directions, enter the softmax: below size 1 the error is absolute.
        change = torch.linalg.vector_norm(y - other, dim=-1)
        return change / (1 + torch.linalg.vector_norm(y, dim=-1))

    def raw(self, y: Tensor) -> Tensor:
        return y

    def weights(self, y: Tensor) -> tuple[Tensor, Tensor]:
        rho = self.log_size(y)
        return y * torch.exp(-rho).unsqueeze(-1), rho

    def norm_of(self, weights: Tensor) -> Tensor:
        return torch.linalg.vector_norm(weights, dim=-1)

    def dual_norm(self, p: Tensor) -> Tensor:
        return torch.linalg.vector_norm(combine(self.rows, p), dim=-1)

    def margin_growth(self, y: Tensor, p: Tensor, rho: Tensor) -> Tensor:
        return torch.exp(-rho) * self.dual_norm(p) ** 2


@dataclass(frozen=True)
class CombinedGeometry(Geometry):
    """A matrix W trained directly (S4): W = base + sum_r alpha_r G_r, alpha' = p.

    The chart alpha keeps the linear algebra in N dimensions, not d^2; G_r = delta_r z_r^T stays
    two vectors.  base (B, d, d).
    """

    rows: Rows
    base: Tensor
    grows_exponentially = False

    @property
    def norm(self) -> str:
        return "frobenius"

    def select(self, index: Tensor) -> CombinedGeometry:
        return CombinedGeometry(self.rows.select(index), self.base[index])

    def rebase(self, rows: Rows, y: Tensor) -> tuple[CombinedGeometry, Tensor]:
        # alpha counts rows relative to the old reference: start a new chart at today's W.
        base = self.base + self._adjoint(y)
        return CombinedGeometry(rows, base), torch.zeros_like(y)

    def narrow(self, slots: Tensor, y: Tensor) -> tuple[CombinedGeometry, Tensor]:
        return replace(self, rows=self.rows.take(slots)), torch.gather(y, 1, slots)

    def widen(self, y: Tensor, slots: Tensor, count: int) -> Tensor:
        return y.new_zeros(len(y), count).scatter(1, slots, y)

    def initial(self) -> Tensor:
        return torch.zeros_like(self.rows.delta[:, :, 0])

    def _adjoint(self, p: Tensor) -> Tensor:
        """(B, d, d) sum_r p_r G_r."""
        return (self.rows.delta * p.unsqueeze(-1)).mT @ self.rows.query

    def _gram(self) -> Tensor:
        """(B, N, N) <G_r, G_s>."""
        delta, query = self.rows.delta, self.rows.query
        return (delta @ delta.mT) * (query @ query.mT)

    def _full(self, y: Tensor) -> Tensor:
        return self.base + self._adjoint(y)

    def log_size(self, y: Tensor) -> Tensor:
        return torch.log(torch.linalg.vector_norm(self._full(y).flatten(1), dim=-1))

    def scaled_margins(self, y: Tensor, rho: Tensor) -> Tensor:
        w = self._full(y) * torch.exp(-rho)[:, None, None]
        return (self.rows.delta * (self.rows.query @ w.mT)).sum(-1)

    def advance(self, y: Tensor, p: Tensor, step: Tensor) -> Tensor:
        return y + step.unsqueeze(-1) * p

    def curvature(self, y: Tensor, step: Tensor, rho: Tensor) -> Tensor:
        return (step * torch.exp(-rho))[:, None, None] * self._gram()

    def velocity(self, y: Tensor, p: Tensor) -> Tensor:
        return p

    def velocity_jacobian(self, y: Tensor, p: Tensor, slope: Response) -> Tensor:
        return slope @ self._gram()

    def distance(self, y: Tensor, other: Tensor) -> Tensor:
        change = torch.linalg.vector_norm(self._adjoint(y - other).flatten(1), dim=-1)
        # Margins, not directions, enter the softmax: below size 1 the error is absolute.
        return change / (1 + torch.exp(self.log_size(y)))

    def raw(self, y: Tensor) -> Tensor:
        return self._full(y).flatten(1)

    def weights(self, y: Tensor) -> tuple[Tensor, Tensor]:
        w = self._full(y).flatten(1)
        rho = self.log_size(y)
        return w * torch.exp(-rho).unsqueeze(-1), rho

    def norm_of(self, weights: Tensor) -> Tensor:
        return torch.linalg.vector_norm(weights, dim=-1)

    def dual_norm(self, p: Tensor) -> Tensor:
        return torch.linalg.vector_norm(self._adjoint(p).flatten(1), dim=-1)

    def margin_growth(self, y: Tensor, p: Tensor, rho: Tensor) -> Tensor:
        return torch.exp(-rho) * self.dual_norm(p) ** 2
