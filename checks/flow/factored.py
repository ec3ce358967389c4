"""Key and query trained separately, K, Q (d, e) with any e (S1, S2, S6): the nuclear norm.

Z = [K; Q] moves by Z' = M(p) Z, M(p) = [[0, G], [G^T, 0]], G = sum_r p_r delta_r z_r^T.  Its
state y is [K e^-(rho/2), Q e^-(rho/2), rho] flattened, so that norms beyond 1e308 work.
While p is constant the step is exact: with G = U diag(sigma) V^T the two halves
(U^T K + V^T Q)/sqrt 2 and (U^T K - V^T Q)/sqrt 2 grow like e^(sigma tau) and e^(-sigma tau).
It conserves K^T K - Q^T Q (THEORY.md 4).  The decaying half is kept to 1e-16 of |Z| only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from checks.flow.geometries import Geometry
from checks.flow.rows import Rows
from checks.flow.weights import Response

_SQRT2 = math.sqrt(2.0)
_TINY = 1e-300
_FLOOR = 1e-6
"""Directions of Z this small against its largest carry rounding of 1e-16/1e-6 = 1e-10: well
below every tolerance of the profiles (1e-9 for a run at a tenth of deep's, the least)."""


@dataclass(frozen=True)
class FactoredGeometry(Geometry):
    """W = K Q^T with K, Q (B, d, e) at t = 0.  G_r = delta_r z_r^T stays two vectors.

    Sign convention: margins m_r = delta_r^T K Q^T z_r grow, K' = +G Q (THEORY.md 1).
    ``advance`` and ``extrapolate`` return |Z|^2/2 = 1 at scale e^rho, so that rho = ln S;
    the early phase keeps rho where it is (0 at the start) and lets Z grow.
    """

    rows: Rows
    key: Tensor
    query: Tensor
    grows_exponentially = True
    commutes = False

    @property
    def norm(self) -> str:
        return "nuclear"

    def select(self, index: Tensor) -> FactoredGeometry:
        return FactoredGeometry(self.rows.select(index), self.key[index], self.query[index])

    def rebase(self, rows: Rows, y: Tensor) -> tuple[FactoredGeometry, Tensor]:
        return replace(self, rows=rows), y

    def narrow(self, slots: Tensor, y: Tensor) -> tuple[FactoredGeometry, Tensor]:
        return replace(self, rows=self.rows.take(slots)), y

    def initial(self) -> Tensor:
        zero = torch.zeros_like(self.key[:, 0, :1])
        return torch.cat((self.key.flatten(1), self.query.flatten(1), zero), dim=-1)

    def _split(self, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """K e^-(rho/2), Q e^-(rho/2) (B, d, e) and rho (B,)."""
        shape = (-1, *self.key.shape[1:])
        key, query = y[:, :-1].chunk(2, dim=-1)
        return key.reshape(shape), query.reshape(shape), y[:, -1]

    def _adjoint(self, p: Tensor) -> Tensor:
        """G(p) (B, d, d)."""
        return (self.rows.delta * p.unsqueeze(-1)).mT @ self.rows.query

    def _arms(self, key: Tensor, query: Tensor) -> tuple[Tensor, Tensor]:
        """K^T delta_r and Q^T z_r (B, N, e): their product is the margin."""
        return self.rows.delta @ key, self.rows.query @ query

    def log_size(self, y: Tensor) -> Tensor:
        size = torch.linalg.vector_norm(y[:, :-1], dim=-1)
        return 2 * torch.log(size) - math.log(2.0) + y[:, -1]

    def scaled_margins(self, y: Tensor, rho: Tensor) -> Tensor:
        key, query, own = self._split(y)
        left, right = self._arms(key, query)
        return torch.exp(own - rho).unsqueeze(-1) * (left * right).sum(-1)

    def advance(self, y: Tensor, p: Tensor, step: Tensor) -> Tensor:
        key, query, rho = self._split(y)
        modes = _Modes.of(self._adjoint(p), key, query, step)
        return normalised(modes.key, modes.query, rho + modes.log_growth)

    def linearise(self, y: Tensor, p: Tensor, step: Tensor, rho: Tensor) -> tuple[Tensor, Tensor]:
        """The exact derivative of the exact step (derived).

        m_r = tr(M_r E P E)/2, P = Z Z^T, E = exp(step M(p)); in the eigenbasis of M(p) dE/dp_s
        is step Phi o M_s, Phi_ij the divided differences of exp.  Not symmetric in r, s,
        unless the G_r commute in the sense of an aligned start; then it is ``curvature``.
        """
        key, query, own = self._split(y)
        modes = _Modes.of(self._adjoint(p), key, query, step)
        factor = torch.exp(own + modes.log_growth - rho)
        left, right = self._arms(modes.key, modes.query)
        delta, z = modes.left_coordinates(self.rows.delta), modes.right_coordinates(self.rows.query)
        # M_s and M_r E P in the eigenbasis, both of rank two.
        push = _outer(delta, z) + _outer(z, delta)
        pull = _outer(delta, right @ modes.start.mT) + _outer(z, left @ modes.start.mT)
        pull = pull * modes.divided_differences().unsqueeze(-3)
        slope = pull.flatten(-2) @ push.flatten(-2).mT
        margins = factor.unsqueeze(-1) * (left * right).sum(-1)
        return margins, (step * factor)[:, None, None] * slope

    def curvature(self, y: Tensor, step: Tensor, rho: Tensor) -> Tensor:
        key, query, own = self._split(y)
        left, right = self._arms(key, query)
        delta, z = self.rows.delta, self.rows.query
        gram = (delta @ delta.mT) * (right @ right.mT) + (left @ left.mT) * (z @ z.mT)
        return (step * torch.exp(own - rho))[:, None, None] * gram

    def velocity(self, y: Tensor, p: Tensor) -> Tensor:
        key, query, rho = self._split(y)
        g = self._adjoint(p)
        still = torch.zeros_like(rho).unsqueeze(-1)
        return torch.cat(((g @ query).flatten(1), (g.mT @ key).flatten(1), still), dim=-1)

    def velocity_jacobian(self, y: Tensor, p: Tensor, slope: Response) -> Tensor:
        key, query, rho = self._split(y)
        left, right = self._arms(key, query)
        # d velocity/dp_r, and e^-rho dm_r/dZ: the same vector [delta_r (Q^T z_r)^T; z_r (..)^T].
        arms = _outer(self.rows.delta, right), _outer(self.rows.query, left)
        still = torch.zeros_like(left[:, :, :1])
        gradient = torch.cat((arms[0].flatten(-2), arms[1].flatten(-2), still), dim=-1)
        size = torch.exp(rho)[:, None, None]
        slopes = size * gradient  # dm_r/dy, less its last entry, dm_r/drho = m_r
        slopes[:, :, -1:] = size * (left * right).sum(-1, keepdim=True)
        jacobian = slope.between(gradient, slopes)
        d, e = key.shape[1:]
        eye = torch.eye(e, dtype=y.dtype, device=y.device)
        across = (self._adjoint(p)[:, :, None, :, None] * eye[:, None, :]).reshape(-1, d * e, d * e)
        jacobian[:, : d * e, d * e : -1] += across
        jacobian[:, d * e : -1, : d * e] += across.mT
        return jacobian

    def distance(self, y: Tensor, other: Tensor) -> Tensor:
        """|T - 1| of the T with Z(y) = T Z(other): Frobenius norm, over the directions in
        which Z(other) is at least _FLOOR of its largest (derived).

        Every column of Z moves by one matrix, so T - 1 is what step errors of p amount to;
        a direction much smaller than |Z| now may be the one that counts later.
        """
        ratio = torch.exp(0.5 * (y[:, -1] - other[:, -1]))[:, None, None]
        shape = (-1, 2 * self.key.shape[1], self.key.shape[2])
        z = other[:, :-1].reshape(shape)
        change = y[:, :-1].reshape(shape) * ratio - z
        _, sizes, axes = singular_decomposition(z)
        sizes = torch.maximum(sizes, _FLOOR * sizes[:, :1]).clamp_min(_TINY)
        moved = change @ axes.mT / sizes.unsqueeze(-2)
        return torch.linalg.vector_norm(moved.flatten(1), dim=-1)

    def extrapolate(self, coarse: Tensor, fine: Tensor) -> Tensor:
        # (4 fine - coarse)/3, for a method of order two: once the margins balance within a
        # step, its p is the multiplier that balances them at the end, that is the mean of p
        # over the step, and exp of the mean misses only commutators, O(h^3) (derived).
        ratio = torch.exp(0.5 * (coarse[:, -1] - fine[:, -1])).unsqueeze(-1)
        z = torch.cat(((4 * fine[:, :-1] - ratio * coarse[:, :-1]) / 3, fine[:, -1:]), dim=-1)
        return normalised(*self._split(z))

    def raw(self, y: Tensor) -> Tensor:
        return y

    def weights(self, y: Tensor) -> tuple[Tensor, Tensor]:
        rho = self.log_size(y)
        key, query, own = self._split(y)
        return (torch.exp(own - rho)[:, None, None] * (key @ query.mT)).flatten(1), rho

    def norm_of(self, weights: Tensor) -> Tensor:
        d = self.key.shape[1]
        return singular_values(weights.reshape(-1, d, d)).sum(-1)

    def dual_norm(self, p: Tensor) -> Tensor:
        return singular_values(self._adjoint(p)).amax(-1)

    def margin_growth(self, y: Tensor, p: Tensor, rho: Tensor) -> Tensor:
        rate = torch.linalg.vector_norm(self.velocity(y, p), dim=-1)
        return torch.exp(y[:, -1] - rho) * rate**2


def _outer(left: Tensor, right: Tensor) -> Tensor:
    """(.., a) x (.., b) -> (.., a, b)."""
    return left.unsqueeze(-1) * right.unsqueeze(-2)


def normalised(key: Tensor, query: Tensor, rho: Tensor) -> Tensor:
    """The state of [key; query] e^(rho/2), scaled so that |Z|^2/2 = 1."""
    z = torch.cat((key.flatten(1), query.flatten(1)), dim=-1)
    size = torch.linalg.vector_norm(z, dim=-1).clamp_min(_TINY) / _SQRT2
    rho = rho + 2 * torch.log(size)
    return torch.cat((z / size.unsqueeze(-1), rho.unsqueeze(-1)), dim=-1)


@dataclass(frozen=True)
class _Modes:
    """One exact step in the eigenbasis of M(p): eigenvalues (sigma, -sigma), eigenvectors
    [u; v]/sqrt 2, [u; -v]/sqrt 2.

    start (B, 2d, e): Z in that basis before the step; key, query (B, d, e): Z after it,
    times e^-(log_growth/2); exponent (B, 2d) = step (eigenvalue - sigma_max) <= 0.
    """

    u: Tensor
    v: Tensor
    exponent: Tensor
    start: Tensor
    key: Tensor
    query: Tensor
    log_growth: Tensor

    @classmethod
    def of(cls, g: Tensor, key: Tensor, query: Tensor, step: Tensor) -> _Modes:
        u, sigma, vh = singular_decomposition(g)
        v = vh.mT
        growth = step.unsqueeze(-1) * sigma
        top = growth[:, :1]
        exponent = torch.cat((growth - top, -growth - top), dim=-1)
        k, q = vh @ query, u.mT @ key
        start = torch.cat((q + k, q - k), dim=-2) / _SQRT2
        plus, minus = (torch.exp(exponent).unsqueeze(-1) * start).chunk(2, dim=-2)
        return cls(
            u, v, exponent, start, u @ (plus + minus) / _SQRT2, v @ (plus - minus) / _SQRT2,
            2 * top.squeeze(-1),
        )  # fmt: skip

    def left_coordinates(self, delta: Tensor) -> Tensor:
        """[delta; 0] (B, N, 2d) in the eigenbasis."""
        part = delta @ self.u / _SQRT2
        return torch.cat((part, part), dim=-1)

    def right_coordinates(self, query: Tensor) -> Tensor:
        """[0; z] (B, N, 2d) in the eigenbasis."""
        part = query @ self.v / _SQRT2
        return torch.cat((part, -part), dim=-1)

    def divided_differences(self) -> Tensor:
        """(B, 2d, 2d): (e^x - e^y)/(x - y) over the exponents, e^x on the diagonal."""
        x, y = self.exponent.unsqueeze(-1), self.exponent.unsqueeze(-2)
        gap = (x - y).abs()
        # (1 - e^-g)/g = 1 - g/2 + g^2/6 - ...: the series where its third term is below rounding.
        safe = gap.clamp_min(1e-8)
        mean = torch.where(gap > 1e-8, -torch.expm1(-safe) / safe, 1 - gap / 2)
        return torch.exp(torch.maximum(x, y)) * mean


def singular_decomposition(matrices: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """U, sigma, V^T (thin) of a batch; NaN sigma in the rows without a decomposition.

    torch raises for a whole batch if one matrix is not finite or does not converge: here
    such a row gets NaN singular values, which the step control rejects, and no other row
    notices.
    """
    finite = torch.isfinite(matrices).flatten(1).all(-1)
    clean = torch.where(finite[:, None, None], matrices, 0.0)
    try:
        u, sigma, vh = torch.linalg.svd(clean, full_matrices=False)
    except torch.linalg.LinAlgError:
        if len(clean) == 1:
            u, sigma, vh = torch.linalg.svd(torch.zeros_like(clean), full_matrices=False)
            return u, torch.full_like(sigma, torch.nan), vh
        parts = [singular_decomposition(row[None]) for row in clean]
        u, sigma, vh = (torch.cat(part) for part in zip(*parts, strict=True))
    return u, torch.where(finite.unsqueeze(-1), sigma, torch.nan), vh


def singular_values(matrices: Tensor) -> Tensor:
    """(B, d), largest first; NaN in the rows without a decomposition."""
    finite = torch.isfinite(matrices).flatten(1).all(-1)
    clean = torch.where(finite[:, None, None], matrices, 0.0)
    try:
        sigma = torch.linalg.svdvals(clean)
    except torch.linalg.LinAlgError:
        sigma = singular_decomposition(clean)[1]
    return torch.where(finite.unsqueeze(-1), sigma, torch.nan)
