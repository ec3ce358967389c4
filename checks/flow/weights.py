"""The signed simplex weights p = lambda / Lambda that drive the flow, in the log domain.

lambda_il = (1/n) e^{-gbar_i} s_il (gbar_i - gamma_il) (THEORY.md 1) underflows long before
the orbit is interesting, and formed from gbar it loses exact ties to rounding (THEORY.md
6.4).  So everything is built from the pairwise score differences gamma_il' - gamma_il and
log attention, and only the ratio to the clock

    Lambda = (1/2n) sum_i e^{-gbar_i} sum_{l,l'} s_il s_il' |gamma_il - gamma_il'|

is ever exponentiated.  Lambda >= sum_r |lambda_r| is smooth where lambda changes sign, and
equals sum_r lambda_r up to e^{-m_min} once every sample is on its optimal token, so that
d tau = Lambda dt is THEORY.md's rescaled time late and a smooth clock early (derived).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Protocol, Self

import torch
from torch import Tensor


@dataclass(frozen=True)
class Weights:
    """p (B, n, L): lambda / Lambda, signed, exact zeros at ties; log_clock (B,): ln Lambda."""

    p: Tensor
    log_clock: Tensor


class Response(Protocol):
    """dp/dm of a batch, (B, N, N)."""

    def __matmul__(self, rows: Tensor) -> Tensor:
        """(B, N, D) response @ rows, rows (B, N, D)."""

    def between(self, left: Tensor, right: Tensor) -> Tensor:
        """(B, D, E) left^T response right, left (B, N, D), right (B, N, E)."""


class Law(Protocol):
    """How p follows from margins (B, N): exactly (``Pairs``), or in the form that it takes once
    every sample has settled (``late_form``)."""

    @property
    def signed(self) -> bool:
        """May p be negative?  Then a balance of samples may turn unstable (``unseen.grows``)."""

    def select(self, index: Tensor) -> Self:
        """The law of the given rows."""

    def push(self, margins: Tensor) -> Tensor:
        """(B, N) p."""

    def linear(self, margins: Tensor) -> tuple[Weights, Response]:
        """p, the clock, and the derivative of p."""

    def grouped(self, values: Tensor) -> Tensor:
        """(., N) values of tokens as (., n, L), sample by sample, or as one group."""


@dataclass(frozen=True)
class Pairs:
    """Scores (B, n, L); in the layout of ``_turned``, since they do not change while margins
    do, the scores (L, n, B) and the rises gamma_l' - gamma_l (L', L, n, B)."""

    scores: Tensor
    first: Tensor
    rises: Tensor
    signed = True

    @classmethod
    def of(cls, scores: Tensor) -> Pairs:
        first = _turned(scores)
        return cls(scores, first, first.unsqueeze(1) - first.unsqueeze(0))

    def select(self, index: Tensor) -> Pairs:
        """The pairs of the given rows."""
        return Pairs(self.scores[index], self.first[..., index], self.rises[..., index])

    def join(self, other: Pairs) -> Pairs:
        """The pairs of both batches."""
        return Pairs.of(torch.cat((self.scores, other.scores)))

    def push(self, margins: Tensor) -> Tensor:
        return _Sums.of(margins.view(self.scores.shape), self).p().flatten(1)

    def linear(self, margins: Tensor) -> tuple[Weights, Slope]:
        return weights_jacobian(margins.view(self.scores.shape), self)

    def grouped(self, values: Tensor) -> Tensor:
        return values.unflatten(-1, self.scores.shape[1:])


def _turned(t: Tensor) -> Tensor:
    """(B, n, L) -> (L, n, B), and back: sums over few tokens are then sums of long vectors,
    several times as quick as over a short last axis."""
    return t.permute(2, 1, 0).contiguous()


def _total(t: Tensor) -> Tensor:
    """The sum over the first axis, which is kept: halves added until four are left.

    Tensor.sum over an axis that is not the last has an order of summation that depends on
    where in the batch a row is, from five terms on (seen): up to four it is first to last.
    """
    while len(t) > 4:
        half = len(t) // 2
        both = t[:half] + t[half : 2 * half]
        t = both if len(t) == 2 * half else torch.cat((both, t[2 * half :]))
    return t.sum(0, keepdim=True)


_NEAR = -600.0
"""ln of the smallest attention, relative to the largest, down to which sums are formed as written:
e^-600 times a score difference of 1e-17 is no denormal number.  Where tied tokens share the largest
attention, a product of two small ones may be denormal (``_Pulls``)."""


@dataclass(frozen=True)
class _Pulls:
    """s_l sum_l' s_l' (gamma_l' - gamma_l), a sample's pull on each of its tokens, as
    signed * e^log_unit; total the same of absolute differences; s attention; (L, n, B) each,
    log_unit (1, n, B).

    With g_l = gamma_l - gamma_a, a the best attended token, the sum is sum_l' s_l' g_l' - g_l:
    no score is subtracted twice, and tied tokens have the same g.  Tokens tied with a (``head``)
    have g = 0: what pulls them comes from the others (``tail``) alone and would underflow in any
    fixed unit, so the unit is the attention paid to the first of those.  An entry that still
    underflows is below 1e-30 of its sample's largest (derived: what pulls b, tied with a, is s_b of
    what pulls a; e^-600 s_b 1e-17 is a normal number from s_b = 1e-30 on).
    """

    s: Tensor
    signed: Tensor
    total: Tensor
    log_unit: Tensor

    @classmethod
    def of(cls, margins: Tensor, pairs: Pairs) -> _Pulls:
        x = margins.amin(0, keepdim=True) - margins
        if x.amin() > _NEAR:
            return cls._near(x, pairs)
        at = torch.nonzero(~(x.amin((0, 1)) > _NEAR)).squeeze(-1)
        if len(at) == x.shape[-1]:
            return cls._far(x, pairs)
        pulls, part = cls._near(x, pairs), cls._far(x[..., at], pairs.select(at))
        for field in fields(cls):
            getattr(pulls, field.name)[..., at] = getattr(part, field.name)
        return pulls

    @classmethod
    def _near(cls, x: Tensor, pairs: Pairs) -> _Pulls:
        """Where no product of two attentions underflows that counts: as the sums are written."""
        e = torch.exp(x)
        pull = pairs.rises * e.unsqueeze(1)
        size, signed = _total(e), e * _total(pull)[0]
        return cls(
            s=e / size, signed=signed, total=e * _total(pull.abs_())[0],
            log_unit=-2 * torch.log(size),
        )  # fmt: skip

    @classmethod
    def _far(cls, x: Tensor, pairs: Pairs) -> _Pulls:
        # Factors of 0 and 1 in place of torch.where, which takes eight times as long; x <= 0.
        g = pairs.first - (pairs.first + 1e300 * x.sign()).amax(0, keepdim=True)
        other = g.abs().sign()
        head = 1 - other
        top = (x - 1e300 * head).amax(0, keepdim=True)
        e = torch.exp(x)
        size = _total(e)
        tail = torch.exp((x - top).clamp_max(0.0)) * other
        lead, unit = _total(tail * g), torch.exp(top)
        inner = head * e
        # The sizes are symmetric in l and l'; both sums at once, (1, 2, L, n, B).
        parts = torch.stack((inner, tail), dim=1).unsqueeze(2)
        by_inner, by_tail = _total(pairs.rises.abs().unsqueeze(1) * parts)[0]
        return cls(
            s=e / size,
            signed=inner * lead + tail * (unit * lead - size * g),
            total=inner * by_tail + tail * (by_inner + unit * by_tail),
            log_unit=top - 2 * torch.log(size),
        )


@dataclass(frozen=True)
class _Sums:
    """The pulls in units of the clock: p = signed * weight, weight (1, n, B).  The clock
    Lambda is e^top clock / n, clock (B,)."""

    pulls: _Pulls
    weight: Tensor
    clock: Tensor
    top: Tensor

    @classmethod
    def of(cls, margins: Tensor, pairs: Pairs) -> _Sums:
        pulls = _Pulls.of(_turned(margins), pairs)
        gbar = _total(pulls.s * pairs.first)
        share = _total(pulls.total)
        # A sample whose scores are all equal pulls nothing: it must not set the scale either.
        log_weight = torch.where(share > 0, pulls.log_unit - gbar, -torch.inf)
        top = log_weight.amax(1, keepdim=True).clamp_min(-1e300)
        weight = torch.exp(log_weight - top)
        clock = 0.5 * (weight * share)[0].mT.contiguous().sum(-1)
        return cls(pulls, weight / clock, clock, top)

    def p(self) -> Tensor:
        return _turned(self.weight * self.pulls.signed)

    def weights(self) -> Weights:
        samples = self.weight.shape[1]
        return Weights(self.p(), self.top[0, 0] + torch.log(self.clock) - math.log(samples))


def attention_weights(margins: Tensor, scores: Tensor | Pairs) -> Weights:
    """Weights at margins (B, n, L) relative to any reference token (s_il ~ e^{-m_il}).

    scores (B, n, L) are the gamma_il, or their ``Pairs`` where they are used many times.  The
    reference token's own entry is included: its constraint row is zero, so it moves nothing.
    """
    return _Sums.of(margins, _pairs(scores)).weights()


def _pairs(scores: Tensor | Pairs) -> Pairs:
    return scores if isinstance(scores, Pairs) else Pairs.of(scores)


@dataclass(frozen=True)
class Slope:
    """d p / d m of a batch, (B, N, N) with N = n L, in closed form (derived); never dense.

    With g_b = d gbar/d m_b = s_b (gbar - gamma_b) and B_i the sample's share of Lambda:
    d lambda_a/d m_b = lambda_a (s_b - g_b - [a=b]) + s_a lambda_b      (same sample)
    d Lambda/d m_b   = B_i (2 s_b - g_b) - 2 b_b,  halved, since Lambda counts pairs once.
    p, s, sum, clock (B, n, L): the weights, attention, s - g, and d ln Lambda/d m.
    """

    p: Tensor
    s: Tensor
    sum: Tensor
    clock: Tensor

    def __matmul__(self, rows: Tensor) -> Tensor:
        """(B, N, D) slope @ rows, rows (B, N, D)."""
        batch, count, width = rows.shape
        x = rows.view(*self.p.shape, width)
        p, s = self.p.unsqueeze(-1), self.s.unsqueeze(-1)
        pushed = p * x
        inside = (self.sum.unsqueeze(-1) * x).sum(-2, keepdim=True)
        overall = (self.clock.unsqueeze(-1) * x).sum((-2, -3), keepdim=True)
        out = p * (inside - overall) - pushed + s * pushed.sum(-2, keepdim=True)
        return out.view(batch, count, width)

    def between(self, left: Tensor, right: Tensor) -> Tensor:
        """(B, D, E) left^T slope right, left (B, N, D), right (B, N, E), sample by sample."""
        shape = (*self.p.shape, -1)
        x, y = left.view(shape), right.view(shape)
        pushed = self.p.unsqueeze(-1) * x
        mine = pushed.sum(2)
        theirs = mine if left is right else (self.p.unsqueeze(-1) * y).sum(2)
        attended = (self.s.unsqueeze(-1) * x).sum(2)
        inside = (self.sum.unsqueeze(-1) * y).sum(2)
        overall = (self.clock.unsqueeze(-1) * y).sum(2).sum(1, keepdim=True)
        first = torch.cat((mine, attended, -mine.sum(1, keepdim=True)), dim=1)
        second = torch.cat((inside, theirs, overall), dim=1)
        return first.mT @ second - pushed.flatten(1, 2).mT @ right

    def dense(self) -> Tensor:
        """(B, N, N)."""
        batch, n, length = self.p.shape
        eye = torch.eye(n * length, dtype=self.p.dtype, device=self.p.device)
        return self @ eye.expand(batch, -1, -1)


def weights_jacobian(margins: Tensor, scores: Tensor | Pairs) -> tuple[Weights, Slope]:
    """Weights as of ``attention_weights``, and their derivative."""
    sums = _Sums.of(margins, _pairs(scores))
    weights = sums.weights()
    s = sums.pulls.s
    g = sums.pulls.signed * torch.exp(sums.pulls.log_unit)
    b = sums.weight * sums.pulls.total  # b_a / Lambda
    clock = 0.5 * (_total(b) * (2 * s - g) - 2 * b)
    return weights, Slope(weights.p, *map(_turned, (s, s - g, clock)))
