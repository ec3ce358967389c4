"""How the weights move under given simplex weights p: the interface, and diagonal weights.

A geometry knows nothing of scores, softmax or step control.  It keeps a flat state y
(B, D) a row, moves it exactly while p is constant, and tells margins, sizes and slopes.
``rescaled time'' tau below is THEORY.md 3: d tau = (sum_r |lambda_r|) dt.

DiagonalGeometry  y = u, u' = 2 A^T p:  beta = (a^2 e^u - b^2 e^-u)/2, a, b = w+(0), w-(0).
Elsewhere: weights trained as one (``combined``), key and query matrices (``factored``,
``mirrored``), mirror flow (``mirror``).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from checks.flow.rows import Rows, combine, take
from checks.flow.weights import Response


class Geometry(ABC):
    """A batch of flows in one parametrisation.  All tensors float64, row b one flow."""

    @property
    @abstractmethod
    def norm(self) -> str:
        """The norm that the flow is claimed to minimise: l1, l2, frobenius, nuclear."""

    commutes = True
    """Do moves under different p commute?  Then a move under the mean of p is exact."""
    grows_exponentially: bool
    """Does the size grow like e^(rate tau) (separate weights) or like tau (combined)?"""

    def caution(self, error: Tensor) -> Tensor:
        """(B,) the embedded error of an early step, times what it was seen too small by."""
        return error

    @abstractmethod
    def select(self, index: Tensor) -> Self:
        """The sub-batch of the given rows."""

    @abstractmethod
    def rebase(self, rows: Rows, y: Tensor) -> tuple[Self, Tensor]:
        """The same flows at the same weights, with margins relative to other tokens."""

    @abstractmethod
    def narrow(self, slots: Tensor, y: Tensor) -> tuple[Self, Tensor]:
        """The same flows with the constraint rows slots (B, K) alone, which must be all that
        may still push: y has to be that of ``rebase``."""

    def widen(self, y: Tensor, slots: Tensor, count: int) -> Tensor:
        """A state of the geometry that ``narrow`` gave, in the chart of all ``count`` rows."""
        return y

    @abstractmethod
    def initial(self) -> Tensor:
        """(B, D) state at t = 0."""

    @abstractmethod
    def log_size(self, y: Tensor) -> Tensor:
        """(B,) rho: ln S = ln (|K|^2+|Q|^2)/2 for separate weights, ln |W| for combined."""

    @abstractmethod
    def scaled_margins(self, y: Tensor, rho: Tensor) -> Tensor:
        """(B, N) margins times e^-rho."""

    @abstractmethod
    def advance(self, y: Tensor, p: Tensor, step: Tensor) -> Tensor:
        """State after rescaled time ``step`` (B,) under constant p (B, N); exact."""

    @abstractmethod
    def curvature(self, y: Tensor, step: Tensor, rho: Tensor) -> Tensor:
        """(B, N, N) e^-rho d(margins)/dp at the advanced state y, for a step of this length."""

    def linearise(self, y: Tensor, p: Tensor, step: Tensor, rho: Tensor) -> tuple[Tensor, Tensor]:
        """Scaled margins (B, N) after a step from y under p, and their derivative in p."""
        advanced = self.advance(y, p, step)
        return self.scaled_margins(advanced, rho), self.curvature(advanced, step, rho)

    @abstractmethod
    def velocity(self, y: Tensor, p: Tensor) -> Tensor:
        """(B, D) dy/d tau."""

    @abstractmethod
    def velocity_jacobian(self, y: Tensor, p: Tensor, slope: Response) -> Tensor:
        """(B, D, D) of the velocity, with slope = dp/dm (B, N, N)."""

    @abstractmethod
    def distance(self, y: Tensor, other: Tensor) -> Tensor:
        """(B,) how far two states are apart, in relative change of the weights."""

    def extrapolate(self, coarse: Tensor, fine: Tensor) -> Tensor:
        """Richardson: from one full step and two half steps of a first-order method."""
        return 2 * fine - coarse

    @abstractmethod
    def raw(self, y: Tensor) -> Tensor:
        """(B, .) the state in coordinates that no change of chart touches: u, or W itself."""

    @abstractmethod
    def weights(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """W e^-scale, flattened (B, .), and scale (B,): direction and log size apart."""

    @abstractmethod
    def norm_of(self, weights: Tensor) -> Tensor:
        """(B,) the claimed norm of flattened weights."""

    @abstractmethod
    def dual_norm(self, p: Tensor) -> Tensor:
        """(B,) N°(G(p)): an upper bound on the best margin for every p in the simplex."""

    @abstractmethod
    def margin_growth(self, y: Tensor, p: Tensor, rho: Tensor) -> Tensor:
        """(B,) e^-rho d m~/d tau: 2 sum w (A^T p)^2, or |G(p)|^2 (THEORY.md 3, time scale)."""

    def log_norm(self, y: Tensor) -> Tensor:
        """(B,) ln N(W)."""
        w, scale = self.weights(y)
        return torch.log(self.norm_of(w)) + scale

    def margins(self, y: Tensor) -> Tensor:
        """(B, N) margins at their true size (early phase only: they overflow late)."""
        return self.scaled_margins(y, torch.zeros_like(y[:, 0]))


@dataclass(frozen=True)
class DiagonalGeometry(Geometry):
    """K = diag(k), Q = diag(q) trained separately (S5): u' = 2 A^T p.

    rows (B, N, d) = a_r; log_plus, log_minus (B, d) = ln w+(0)^2, ln w-(0)^2 with
    w+- = (k +- q)/sqrt 2, -inf where a half is zero: c_j = 0, the sign of beta_j is frozen,
    structurally, for ever (THEORY.md 3, assumption on the start).
    """

    rows: Tensor
    log_plus: Tensor
    log_minus: Tensor
    grows_exponentially = True

    @property
    def norm(self) -> str:
        return "l1"

    @classmethod
    def of(cls, rows: Rows, key: Tensor, query: Tensor) -> DiagonalGeometry:
        """key, query (B, d)."""
        plus, minus = (key + query).abs(), (key - query).abs()
        a = rows.delta * rows.query
        return cls(a, 2 * torch.log(plus) - _LN2, 2 * torch.log(minus) - _LN2)

    def select(self, index: Tensor) -> DiagonalGeometry:
        return DiagonalGeometry(self.rows[index], self.log_plus[index], self.log_minus[index])

    def rebase(self, rows: Rows, y: Tensor) -> tuple[DiagonalGeometry, Tensor]:
        return replace(self, rows=rows.delta * rows.query), y

    def narrow(self, slots: Tensor, y: Tensor) -> tuple[DiagonalGeometry, Tensor]:
        return replace(self, rows=take(self.rows, slots)), y

    def initial(self) -> Tensor:
        return torch.zeros_like(self.log_plus)

    def _halves(self, y: Tensor, rho: Tensor) -> tuple[Tensor, Tensor]:
        """w+^2/2 and w-^2/2, times e^-rho."""
        r = rho.unsqueeze(-1)
        return (
            0.5 * torch.exp(self.log_plus + y - r),
            0.5 * torch.exp(self.log_minus - y - r),
        )

    def log_size(self, y: Tensor) -> Tensor:
        both = torch.cat((self.log_plus + y, self.log_minus - y), dim=-1)
        return torch.logsumexp(both, dim=-1) - _LN2

    def scaled_margins(self, y: Tensor, rho: Tensor) -> Tensor:
        plus, minus = self._halves(y, rho)
        return (self.rows * (plus - minus).unsqueeze(-2)).sum(-1)

    def margins(self, y: Tensor) -> Tensor:
        # As in the base class, at scale 1.
        beta = 0.5 * (torch.exp(self.log_plus + y) - torch.exp(self.log_minus - y))
        return (self.rows * beta.unsqueeze(-2)).sum(-1)

    def linearise(self, y: Tensor, p: Tensor, step: Tensor, rho: Tensor) -> tuple[Tensor, Tensor]:
        # As in the base class, with the exponentials taken once.
        plus, minus = self._halves(self.advance(y, p, step), rho)
        slope = 2 * step.unsqueeze(-1) * (plus + minus)
        margins = (self.rows * (plus - minus).unsqueeze(-2)).sum(-1)
        return margins, (self.rows * slope.unsqueeze(-2)) @ self.rows.mT

    def advance(self, y: Tensor, p: Tensor, step: Tensor) -> Tensor:
        return y + 2 * step.unsqueeze(-1) * combine(self.rows, p)

    def curvature(self, y: Tensor, step: Tensor, rho: Tensor) -> Tensor:
        plus, minus = self._halves(y, rho)
        slope = 2 * step.unsqueeze(-1) * (plus + minus)
        return (self.rows * slope.unsqueeze(-2)) @ self.rows.mT

    def velocity(self, y: Tensor, p: Tensor) -> Tensor:
        return 2 * combine(self.rows, p)

    def velocity_jacobian(self, y: Tensor, p: Tensor, slope: Response) -> Tensor:
        plus, minus = self._halves(y, torch.zeros_like(y[:, 0]))
        return slope.between(self.rows, self.rows) * (2 * (plus + minus)).unsqueeze(-2)

    def distance(self, y: Tensor, other: Tensor) -> Tensor:
        # u is a log weight, so its absolute error is the relative error of beta_j.
        return (y - other).abs().amax(-1)

    def raw(self, y: Tensor) -> Tensor:
        return y

    def weights(self, y: Tensor) -> tuple[Tensor, Tensor]:
        rho = self.log_size(y)
        plus, minus = self._halves(y, rho)
        return plus - minus, rho

    def norm_of(self, weights: Tensor) -> Tensor:
        return weights.abs().sum(-1)

    def dual_norm(self, p: Tensor) -> Tensor:
        # A half that is zero freezes the sign of beta_j: the bound is then that of the
        # frozen orthant, the problem such a flow can solve (c_j > 0: the l1 problem itself).
        pull = combine(self.rows, p)
        up = torch.where(torch.isneginf(self.log_plus), 0.0, pull)
        down = torch.where(torch.isneginf(self.log_minus), 0.0, -pull)
        return torch.maximum(up, down).amax(-1).clamp_min(0.0)

    def margin_growth(self, y: Tensor, p: Tensor, rho: Tensor) -> Tensor:
        plus, minus = self._halves(y, rho)
        return 2 * ((plus + minus) * combine(self.rows, p) ** 2).sum(-1)


_LN2 = 0.6931471805599453
