"""Mirror flow with the potential |beta|_p^p/p on diagonal weights (arXiv 2410.14581): the l_p norm.

(grad psi(beta))' = A^T lambda: the state is theta = grad psi(beta) = sign(beta) |beta|^(p-1), in
which a step under constant p is a straight line; beta = sign(theta) |theta|^(q-1), 1/p + 1/q = 1.
p = 2 is gradient flow of combined weights.  (Here p is the exponent; the simplex weights keep
their name p in the methods, the exponents are called ``exponent`` and ``conjugate``.)
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from checks.flow.geometries import Geometry
from checks.flow.rows import Rows, combine, take
from checks.flow.weights import Response

NAMES = {1.5: "l1.5", 2.0: "l2", 3.0: "l3"}
"""Exponent -> the norm by its name."""
_FLAT = 1e-14
"""Below this share of the largest |theta_j| the slope d beta_j/d theta_j, infinite at 0 for
exponents above 2, is that at the share itself: theta_j is not known better than its rounding."""


def _power(base: Tensor, exponent: Tensor) -> Tensor:
    """base^exponent, base >= 0, exponent > 0.  Not torch.pow: its last bit depends on where in
    the batch a row is (research/determinism.md)."""
    return torch.exp(exponent * torch.log(base))


@dataclass(frozen=True)
class MirrorGeometry(Geometry):
    """rows (B, N, d) = a_r; theta (B, d) at t = 0; exponent (B, 1): p of each row.

    One batch, one norm: all rows have the same exponent.  The log size is ln |beta|_p.
    """

    rows: Tensor
    theta: Tensor
    exponent: Tensor
    grows_exponentially = False

    @property
    def norm(self) -> str:
        return NAMES[float(self.exponent[0, 0])]

    @property
    def conjugate(self) -> Tensor:
        """(B, 1) q = p/(p-1)."""
        return self.exponent / (self.exponent - 1)

    @classmethod
    def of(cls, rows: Rows, theta: Tensor, exponent: Tensor) -> MirrorGeometry:
        """theta (B, d), exponent (B, 1), all equal.  ValueError where they are not."""
        if len(exponent.unique()) != 1 or float(exponent[0, 0]) not in NAMES:
            raise ValueError(f"exponents of one batch are equal, of {', '.join(NAMES.values())}")
        return cls(rows.delta * rows.query, theta, exponent)

    def select(self, index: Tensor) -> MirrorGeometry:
        return MirrorGeometry(self.rows[index], self.theta[index], self.exponent[index])

    def rebase(self, rows: Rows, y: Tensor) -> tuple[MirrorGeometry, Tensor]:
        return replace(self, rows=rows.delta * rows.query), y

    def narrow(self, slots: Tensor, y: Tensor) -> tuple[MirrorGeometry, Tensor]:
        return replace(self, rows=take(self.rows, slots)), y

    def initial(self) -> Tensor:
        return self.theta

    def _dual_size(self, theta: Tensor) -> Tensor:
        """(B, 1) |theta|_q, free of overflow; 1e-300 for 0."""
        top = theta.abs().amax(-1, keepdim=True).clamp_min(1e-300)
        powers = _power(theta.abs() / top, self.conjugate)
        return top * _power(powers.sum(-1, keepdim=True), 1 / self.conjugate)

    def _beta(self, theta: Tensor) -> Tensor:
        return torch.sign(theta) * _power(theta.abs(), self.conjugate - 1)

    def _slope(self, y: Tensor, rho: Tensor) -> Tensor:
        """(B, d) e^-rho d beta/d theta."""
        size = y.abs()
        size = torch.maximum(size, _FLAT * size.amax(-1, keepdim=True).clamp_min(1e-300))
        log_slope = (self.conjugate - 2) * torch.log(size) - rho.unsqueeze(-1)
        return (self.conjugate - 1) * torch.exp(log_slope)

    def log_size(self, y: Tensor) -> Tensor:
        # |beta|_p^p = |theta|_q^q, and q/p = q - 1.
        return ((self.conjugate - 1) * torch.log(self._dual_size(y))).squeeze(-1)

    def scaled_margins(self, y: Tensor, rho: Tensor) -> Tensor:
        unit = torch.exp(rho.unsqueeze(-1) / (self.conjugate - 1))
        return (self.rows * self._beta(y / unit).unsqueeze(-2)).sum(-1)

    def advance(self, y: Tensor, p: Tensor, step: Tensor) -> Tensor:
        return y + step.unsqueeze(-1) * combine(self.rows, p)

    def curvature(self, y: Tensor, step: Tensor, rho: Tensor) -> Tensor:
        slope = step.unsqueeze(-1) * self._slope(y, rho)
        return (self.rows * slope.unsqueeze(-2)) @ self.rows.mT

    def velocity(self, y: Tensor, p: Tensor) -> Tensor:
        return combine(self.rows, p)

    def velocity_jacobian(self, y: Tensor, p: Tensor, slope: Response) -> Tensor:
        own = self._slope(y, torch.zeros_like(y[:, 0]))
        return slope.between(self.rows, self.rows) * own.unsqueeze(-2)

    def distance(self, y: Tensor, other: Tensor) -> Tensor:
        """sqrt(<beta - beta', theta - theta'>/max(1, <beta, theta>)): the symmetrised Bregman
        divergence, in which mirror flows of a convex loss contract (derived); at p = 2 the
        relative change of beta.  Below size 1 it is absolute: margins enter the softmax."""
        unit = self._dual_size(y).clamp_min(1.0)
        one, two = y / unit, other / unit
        product = (self._beta(one) - self._beta(two)) * (one - two)
        return product.clamp_min(0.0).sum(-1).sqrt()

    def caution(self, error: Tensor) -> Tensor:
        # Above p = 2, beta = |theta|^(q-1) has no slope at 0 (q - 1 < 1): where a coordinate of
        # theta changes sign, audits saw the embedded error 4.4 times too small.
        return torch.where(self.exponent.squeeze(-1) > 2, 5.0, 1.0) * error

    def raw(self, y: Tensor) -> Tensor:
        return y

    def weights(self, y: Tensor) -> tuple[Tensor, Tensor]:
        return self._beta(y / self._dual_size(y)), self.log_size(y)

    def norm_of(self, weights: Tensor) -> Tensor:
        powers = _power(weights.abs(), self.exponent).sum(-1, keepdim=True)
        return _power(powers, 1 / self.exponent).squeeze(-1)

    def dual_norm(self, p: Tensor) -> Tensor:
        return self._dual_size(combine(self.rows, p)).squeeze(-1)

    def margin_growth(self, y: Tensor, p: Tensor, rho: Tensor) -> Tensor:
        return (self._slope(y, rho) * combine(self.rows, p) ** 2).sum(-1)
