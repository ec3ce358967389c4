"""Late phase: steps implicit in p, for every geometry alike (THEORY.md 6.2).

Once every sample sits on its selected token, p = softmax(kappa - m) up to e^{-m_min}.
Margins of size e^rho cannot be exponentiated, so p is an unknown beside the state: a step
of length Delta solves, with the *advanced* margins m = e^rho m^,

    m^_r + eps (ln p_r - kappa_r) = mu   for all r,    sum p = 1,    eps = e^-rho,

by Newton's method on p, from the p of the step before.

A long step of this kind is a proximal-point step of the SVM itself: it would reach the
SVM's optimum whatever gradient flow did.  What makes its output evidence about gradient
flow is the control of the local error by step doubling (``double_step``), here for every
step, and the audits of ``fidelity``.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from checks.flow import visitors
from checks.flow.geometries import Geometry
from checks.flow.methods import LateStep, Method
from checks.flow.settings import Settings
from checks.flow.visitors import SMALL

_TINY = 1e-300
_LAST_CHANGE = 1e-5
"""Largest relative change in the last Newton iteration: what it leaves is of its square (2e-8
at most, seen, on nearly dependent margins), far below the local error allowed (2e-4 a step)."""
UNFELT = 1e-13
"""Margins that balance to this, relative to their size, are balanced: p is what it may be.
Their rounding, amplified by the condition of the active ones, moves p by more than that.  (At
1e-11 an audit found p off by 5e-4 where constraints are told apart by small weights.)"""
_CALM, _LEAP = 1e-2, 1e-4
"""Where p hardly answers to a smaller entropy weight, go down by four decades, not by one."""
_LARGE_EPS = 1e-10
"""Entropy weight that a solve from a cold p starts at."""
NEWTON_LIMIT = 10
"""More go to active sets that keep changing, in steps that error control rejects anyway: a batch
waits for its slowest row, and a shorter step has p warm."""
PATIENCE = 0.01
"""Growth of the log size up to which a solve is tried again from a cold p: of a step so short, a
shorter one has p no warmer."""
_DEEPEST = -7.0
"""Largest fall of ln p in one update."""
LEFT = 0.1
"""A weight that falls to less than this share of itself within half a step leaves in it."""
EPS_FLOOR = 1e-18
"""Entropy weight below which rounding of m^ (1e-16 relative) hides it: 700 eps = 7e-16."""


@dataclass(frozen=True)
class Solve:
    """Result of one implicit step of a batch: p (B, N), the new state, and which converged."""

    p: Tensor
    state: Tensor
    converged: Tensor

    def select(self, index: Tensor) -> Solve:
        return Solve(self.p[index], self.state[index], self.converged[index])


def implicit_step(
    geometry: Geometry, y: Tensor, p: Tensor, step: Tensor, kappa: Tensor, mask: Tensor
) -> Solve:
    """One implicit step from y, warm-started at p.

    kappa (B, N) and mask (B, N) (True: a constraint) belong to the selected tokens; p is 0
    off the mask and on it a point of the simplex.
    """
    inside = mask.to(p.dtype)
    p = p.clamp_min(_TINY) * inside
    p = p / p.sum(-1, keepdim=True)
    # Scale by the size the step is expected to end at: the solve then works on O(1) numbers.
    rho = geometry.log_size(geometry.advance(y, p, step))
    eps = torch.exp(-rho).clamp_min(EPS_FLOOR)
    system = _System(geometry, y, step, rho, eps, kappa, inside, 1 - inside)
    final, converged = _solve(system, p, eps)
    short = rho - geometry.log_size(y) <= PATIENCE
    lost = torch.nonzero(~converged & short).squeeze(-1)
    if len(lost):  # p was not warm enough: come from a larger entropy
        start = eps[lost].clamp_min(_LARGE_EPS)
        final[lost], converged[lost] = _solve(system.select(lost), p[lost], start)
    return Solve(final, geometry.advance(y, final, step), converged)


def _solve(system: _System, p: Tensor, eps: Tensor) -> tuple[Tensor, Tensor]:
    """Newton's method on p while the entropy weight falls from eps to the system's own; which rows
    converged."""
    final = p.clone()
    converged = torch.zeros(len(p), dtype=torch.bool, device=p.device)
    live = torch.arange(len(p), device=p.device)
    for _ in range(NEWTON_LIMIT):
        small = p <= SMALL
        large = (~small).to(p.dtype)
        update = system.newton(p, eps.unsqueeze(-1), large)
        change = (update.ratio * large).abs().amax(-1)
        # In a short step, and between nearly dependent constraints, margins hardly answer to
        # p: it is determined up to their rounding.
        solved = (update.residual * large).abs().amax(-1) < UNFELT * update.size
        settled = (change < _LAST_CHANGE) | solved
        # A weight too small to move the state has its fixed point in closed form: take it,
        # or let Newton's method have it where it is no longer small.
        returning = small & (update.fixed > SMALL)
        done = (eps <= system.eps) & settled & ~returning.any(-1)
        # Where all is solved already, a further increment is noise, and not a small one.
        factor = _log_factor(update.ratio, update.entropic) * (~solved).to(p.dtype)[:, None]
        p = torch.where(small, update.fixed.clamp(_TINY, 2 * SMALL), p * torch.exp(factor))
        p.mul_(system.inside)
        p.div_(p.sum(-1, keepdim=True))
        fall = torch.where(change < _CALM, _LEAP, 0.1)
        eps = torch.where((change < 0.5) | solved, torch.maximum(eps * fall, system.eps), eps)
        leaving = done | ~(change < torch.inf)
        if leaving.any():
            final[live[leaving]] = p[leaving]
            converged[live[done]] = True
            stay = torch.nonzero(~leaving).squeeze(-1)
            if len(stay) == 0:
                break
            system = system.select(stay)
            live, p, eps = live[stay], p[stay], eps[stay]
    return final, converged


@dataclass(frozen=True)
class _System:
    """The equations of one implicit step, for a batch of rows.  eps (B,): weight of the
    entropy; inside, outside (B, N): the mask as 1 and 0, and as 0 and 1."""

    geometry: Geometry
    y: Tensor
    step: Tensor
    rho: Tensor
    eps: Tensor
    kappa: Tensor
    inside: Tensor
    outside: Tensor

    def select(self, index: Tensor) -> _System:
        return _System(
            self.geometry.select(index),
            *(
                t[index]
                for t in (
                    self.y, self.step, self.rho, self.eps, self.kappa, self.inside, self.outside
                )
            ),
        )  # fmt: skip

    def newton(self, p: Tensor, e: Tensor, large: Tensor) -> _Update:
        """What Newton's method makes of p at entropy weight e (B, 1); nothing where p is 0.

        large (B, N), 0 or 1: the others stay as they are, since the method would have more
        taken from a small weight than there is, and given to the large ones.
        """
        scaled, hessian = self.geometry.linearise(self.y, p, self.step, self.rho)
        positive = p + self.outside  # 1 off the mask, where nothing may be divided by 0
        log_p = torch.log(positive)
        force = torch.addcmul(scaled, e, log_p - self.kappa)
        residual = (force - (p * force).sum(-1, keepdim=True)) * self.inside
        # Row r of diag(p) H + eps I, divided by p + eps, keeps the elimination balanced.
        total = p + e
        weight = p / total * large
        stiffness = p * hessian.diagonal(dim1=-2, dim2=-1).abs()
        matrix = hessian.mul_(weight.unsqueeze(-1))
        matrix.diagonal(dim1=-2, dim2=-1).add_(e / total)
        right = torch.stack((-weight * residual, weight), dim=-1)
        lu, pivots, _ = torch.linalg.lu_factor_ex(matrix, check_errors=False)
        first, second = torch.linalg.lu_solve(lu, pivots, right).unbind(-1)
        shift = (1 - p.sum(-1) - first.sum(-1)) / second.sum(-1)
        return _Update(
            ratio=torch.addcmul(first, second, shift.unsqueeze(-1)) / positive,
            fixed=torch.exp(log_p - residual / e) * self.inside,
            entropic=e / (e + stiffness),
            residual=residual,
            size=scaled.abs().amax(-1),
        )


@dataclass(frozen=True)
class _Update:
    """One Newton iteration, (B, N) each.  ratio: relative increment of p.  fixed: where p
    balances its margin by entropy alone.  entropic: share of the entropy in the slope of its
    own equation.  residual: F - mu of that equation; size (B,): of the margins in it."""

    ratio: Tensor
    fixed: Tensor
    entropic: Tensor
    residual: Tensor
    size: Tensor


def _log_factor(x: Tensor, t: Tensor) -> Tensor:
    """ln g with t ln g + (1 - t)(g - 1) = x, nearly: by what factor g a weight changes.

    x: its relative Newton increment; t: ``_Update.entropic``.  This is Newton's method in the
    variable eps ln p + H_rr p (derived): a weight by itself finds its root in one iteration
    from whatever size; in p itself an entering one crawls up by factors.  t s + (1-t)(e^s-1) - x
    is convex and rising in s = ln g: one scalar step from a bound above, exact to x^3 at 0.
    """
    linear = 1 - t
    s = torch.minimum(x, torch.log1p(x.clamp_min(0.0) / linear.clamp_min(_TINY)))
    grown = linear * torch.exp(s)
    return (s - (t * s + grown - linear - x) / (t + grown)).clamp_min(_DEEPEST)


def double_step(
    geometry: Geometry, y: Tensor, p: Tensor, step: Tensor, kappa: Tensor, mask: Tensor
) -> LateStep:
    """Step doubling: error control for every step of the late phase.

    Where moves commute and the active set is constant, the implicit step is exact up to the
    entropy, that is up to e^-rho (derived): margins that are equal at both ends of a step
    determine the integral of p over it, and nothing else of p enters the end.  So full and
    half steps differ by the entropy, and by what constraints that leave have still pushed:
    a constraint that leaves in the first half is seen by neither, and they agree on a wrong p
    (a factored step with local error 5e-3 was seen where they agreed to 4e-6).  Its share of
    the start, at most p_r for half the step, is therefore charged to the error.  One that
    leaves late is still balanced at the end, by a p that continued, straight, passes through
    0 before it: what lies below 0 is charged too, twice, since p bends as it falls.

    One that another ousts, which enters in the second half, is still balanced at the end by what
    it pushed before, and gone a moment later: its push is charged (``_ousted``).

    A constraint that enters and leaves within a half step is seen at no end of it (audits found
    one: 1e-3 off, where full and half steps agreed to 1e-5): ``visitors`` looks for it.

    Moves that do not commute add (h^2/2) [M(p), M(p')]: there the error is measured against
    the trapezoid rule, which remembers p at the start of the step: h |change of p|/4.
    """
    # The full and the first half step start alike: one batch, half as many small kernels.
    rows = torch.arange(len(y), device=y.device)
    twice = torch.cat((rows, rows))
    both = implicit_step(
        geometry.select(twice), y[twice], p[twice], torch.cat((step, step / 2)),
        kappa[twice], mask[twice],
    )  # fmt: skip
    full, first = both.select(rows), both.select(rows + len(y))
    second = implicit_step(geometry, first.state, first.p, step / 2, kappa, mask)
    mean_p = (first.p + second.p) / 2
    if geometry.commutes:
        lost = torch.where(first.p < LEFT * p, p - first.p, 0.0)
        below = (0.5 * first.p - 1.5 * second.p).clamp_min(0.0)
        past = below * below / (first.p - second.p).clamp_min(_TINY)
        ousted = _ousted(geometry, p, (first, second), step, kappa, mask)
        remembered = geometry.advance(y, first.p + lost + past + ousted, step / 2)
        forgotten = geometry.distance(remembered, first.state)
    else:
        remembered = geometry.advance(y, (p + second.p) / 2, step)
        forgotten = geometry.distance(remembered, geometry.advance(y, mean_p, step))
    starts, ends = (
        ((y, p), (first.state, first.p)),
        ((first.state, first.p), (second.state, second.p)),
    )
    visited = visitors.visits(geometry, starts, ends, step / 2, kappa, mask)
    return LateStep(
        state=geometry.extrapolate(full.state, second.state),
        fine=second.state,
        p=second.p,
        mean_p=mean_p,
        error=torch.stack((geometry.distance(full.state, second.state), forgotten, visited)).amax(
            0
        ),
        converged=full.converged & first.converged & second.converged,
    )


_MOMENT = 1 / 16
"""Of a step, after which ``_ousted`` asks who is still there: p follows within e^-rho."""
_FALLEN = 2 / 3
"""Share of its mean over the first half below which a weight has been falling: straight, it
would then be at a half or less at the end."""


def _ousted(
    geometry: Geometry,
    p: Tensor,
    halves: tuple[Solve, Solve],
    step: Tensor,
    kappa: Tensor,
    mask: Tensor,
) -> Tensor:
    """(B, N) what may be wrong of p in the second half of a step, where a constraint entered.

    Audits found two such steps, on which full and half steps agreed to 2e-4 and 1e-6, 6e-2 off
    in a log weight: one constraint was ousted by the one that entered, and gone a moment later;
    another had already left, and was back when the step ended.  p of that one had been falling.
    """
    first, end = halves
    gone = torch.zeros_like(p)
    at = torch.nonzero(((p <= SMALL) & (end.p > SMALL) & mask).any(-1)).squeeze(-1)
    if len(at):
        later = implicit_step(
            geometry.select(at), end.state[at], end.p[at], _MOMENT * step[at], kappa[at], mask[at]
        )  # fmt: skip
        last = end.p[at]
        lost = torch.where(later.p < LEFT * last, last - later.p, 0.0)
        gone[at] = torch.where(last < _FALLEN * first.p[at], last, lost)
    return gone


def method(settings: Settings) -> Method:
    """Double steps, from whatever size on."""
    return Method(double_step, 2, settings.late_tolerance, implicit=True)
