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
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Weights:
    """p (B, n, L): lambda / Lambda, signed, exact zeros at ties; log_clock (B,): ln Lambda."""

    p: Tensor
    log_clock: Tensor


@dataclass(frozen=True)
class Pairs:
    """Scores (B, n, L) and what does not change while margins do: signs of the differences
    gamma_l' - gamma_l and logs of their sizes, (B, n, L, L') each."""

    scores: Tensor
    sign: Tensor
    log_size: Tensor

    @classmethod
    def of(cls, scores: Tensor) -> Pairs:
        difference = scores.unsqueeze(-2) - scores.unsqueeze(-1)
        return cls(scores, torch.sign(difference), torch.log(difference.abs()))


@dataclass(frozen=True)
class _Sums:
    """Sums over the pairs of each token, (B, n, L): sum_l' s_l' (gamma_l' - gamma_l) is
    signed * e^top, the same of absolute values total * e^top.  base = ln(e^-gbar s_l/n) + top
    - log_clock."""

    log_s: Tensor
    signed: Tensor
    total: Tensor
    top: Tensor
    base: Tensor
    log_clock: Tensor

    @classmethod
    def of(cls, margins: Tensor, pairs: Pairs) -> _Sums:
        log_s = torch.log_softmax(-margins, dim=-1)
        gbar = (torch.exp(log_s) * pairs.scores).sum(-1, keepdim=True)
        terms = log_s.unsqueeze(-2) + pairs.log_size
        top = terms.amax(-1).clamp_min(-1e300)  # a sample with all scores equal has only -inf
        scaled = torch.exp(terms - top.unsqueeze(-1))
        signed, total = (pairs.sign * scaled).sum(-1), scaled.sum(-1)
        base = log_s + top - gbar - math.log(margins.shape[-2])
        log_clock = torch.logsumexp((base + torch.log(total)).flatten(-2), dim=-1) - _LN2
        return cls(log_s, signed, total, top, base - log_clock[:, None, None], log_clock)

    def weights(self) -> Weights:
        return Weights(torch.exp(self.base) * self.signed, self.log_clock)


def attention_weights(margins: Tensor, scores: Tensor | Pairs) -> Weights:
    """Weights at margins (B, n, L) relative to any reference token (s_il ~ e^{-m_il}).

    scores (B, n, L) are the gamma_il, or their ``Pairs`` where they are used many times.  The
    reference token's own entry is included: its constraint row is zero, so it moves nothing.
    """
    return _Sums.of(margins, scores if isinstance(scores, Pairs) else Pairs.of(scores)).weights()


def weights_jacobian(margins: Tensor, scores: Tensor | Pairs) -> tuple[Weights, Tensor]:
    """Weights and d p / d m, (B, N, N) with N = n L, in closed form (derived).

    With g_b = d gbar/d m_b = s_b (gbar - gamma_b) and B_i the sample's share of Lambda:
    d lambda_a/d m_b = lambda_a (s_b - g_b - [a=b]) + s_a lambda_b      (same sample)
    d Lambda/d m_b   = B_i (2 s_b - g_b) - 2 b_b,  halved, since Lambda counts pairs once.
    """
    pairs = scores if isinstance(scores, Pairs) else Pairs.of(scores)
    sums = _Sums.of(margins, pairs)
    weights = sums.weights()
    p = weights.p
    batch, n, length = p.shape
    s = torch.exp(sums.log_s)
    g = s * sums.signed * torch.exp(sums.top)
    b = torch.exp(sums.base) * sums.total  # b_a / Lambda
    share = b.sum(-1, keepdim=True)
    d_clock = 0.5 * (share * (2 * s - g) - 2 * b)  # d ln Lambda / d m_b
    eye = torch.eye(length, dtype=p.dtype, device=p.device)
    block = p.unsqueeze(-1) * ((s - g).unsqueeze(-2) - eye) + s.unsqueeze(-1) * p.unsqueeze(-2)
    jacobian = -p.reshape(batch, -1, 1) * d_clock.reshape(batch, 1, -1)
    jacobian = jacobian.view(batch, n, length, n, length)
    index = torch.arange(n, device=p.device)
    jacobian[:, index, :, index, :] += block.transpose(0, 1)
    return weights, jacobian.reshape(batch, n * length, n * length)


_LN2 = 0.6931471805599453
