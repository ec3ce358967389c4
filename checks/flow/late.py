"""The late phase: implicit steps under error control until the certificate closes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from checks.flow import implicit, phases
from checks.flow.geometries import Geometry, Rows
from checks.flow.implicit import DoubleStep
from checks.flow.ledger import Ledger, LiveRows
from checks.flow.orbit import Status
from checks.flow.probes import View
from checks.flow.settings import Settings

_FIRST_STEP = 0.05
_SMALLEST_STEP = 1e-13
_LONGEST_LEAP = 30.0
"""Largest growth of the log size asked of one implicit step: its Newton iterates pass
through e^(2 x this) and stay far from overflow."""


@dataclass
class _Late(LiveRows):
    geometry: Geometry
    y: Tensor
    p: Tensor
    kappa: Tensor
    mask: Tensor
    higher: Tensor
    tied: Tensor
    h: Tensor
    passed: Tensor
    """(b,) rescaled time since the hand-over."""
    integral: Tensor
    """(b, N) of p over it: integral/passed is in the simplex, whatever the step errors."""
    mark: Tensor
    mark_at: Tensor
    """Value and time of the integral when half of today's time had passed, roughly."""
    next_mark: Tensor
    next_at: Tensor
    tries: Tensor
    tolerance: Tensor


def run(ledger: Ledger, tokens: Tensor, queries: Tensor, scores: Tensor, s: Settings) -> None:
    """Go on from every settled row; rows relative to the tokens it selected."""
    rows = torch.nonzero(ledger.settled).squeeze(-1)
    rebased, ledger.y = ledger.geometry.rebase(Rows.of(tokens, queries, ledger.selected), ledger.y)
    ledger.geometry = rebased
    ledger.direction, _ = rebased.weights(ledger.y)
    ledger.log_norm = rebased.log_norm(ledger.y)
    if len(rows) == 0:
        return
    state = _begin(ledger, scores, s).keep(rows)
    while True:
        going = _step(ledger, state, s)
        if len(going) == 0:
            return
        if len(going) < len(state.live):
            state = state.keep(going)


def _begin(ledger: Ledger, scores: Tensor, s: Settings) -> _Late:
    selection = phases.Selection.of(ledger.selected, scores)
    own = torch.gather(scores, 2, ledger.selected.unsqueeze(-1))
    gain = torch.where(selection.lower, own - scores, 1.0)
    kappa = torch.log(gain) - own - math.log(scores.shape[1])
    kappa = torch.where(selection.lower, kappa, 0.0).flatten(1)
    mask = selection.lower.flatten(1)
    # The late form of p at the hand-over; rows that did not settle are dropped unused.
    logits = torch.where(mask, kappa - ledger.geometry.margins(ledger.y), -torch.inf)
    zero, zeros = torch.zeros_like(ledger.tau), torch.zeros_like(kappa)
    return _Late(
        live=torch.arange(len(zero), device=zero.device),
        geometry=ledger.geometry, y=ledger.y, p=torch.softmax(logits, -1), kappa=kappa,
        mask=mask, higher=selection.higher.flatten(1), tied=selection.tied.flatten(1),
        h=torch.full_like(zero, _FIRST_STEP), passed=zero, integral=zeros, mark=zeros,
        mark_at=zero, next_mark=zeros, next_at=zero, tries=torch.zeros_like(ledger.late_steps),
        tolerance=s.late_tolerance * ledger.tightness,
    )  # fmt: skip


def _step(ledger: Ledger, state: _Late, s: Settings) -> Tensor:
    """One double step of every live row; indices of the rows that go on."""
    result = implicit.double_step(
        state.geometry, state.y, state.p, state.h, state.kappa, state.mask
    )
    ratio = result.error / state.tolerance
    usable = result.converged & torch.isfinite(ratio)
    accepted = usable & (ratio <= 1)
    which = torch.nonzero(accepted).squeeze(-1)
    done = _book(ledger, state, result, which, s) if len(which) else torch.zeros_like(accepted)
    ledger.rejected[state.live[~accepted]] += 1
    state.tries = state.tries + 1
    factor = (0.9 * ratio.clamp_min(1e-6) ** -0.5).clamp(0.2, 4.0)
    state.h = state.h * torch.where(usable, factor, 0.25)
    # d ln S/d tau = 2 p^T m/S <= 2 N°(G(p)), and N°(G(p)) has closed on the best margin.
    rate = 2 * state.geometry.dual_norm(state.p)
    if state.geometry.grows_exponentially:
        state.h = torch.minimum(state.h, _LONGEST_LEAP / rate)
    stalled = state.h < _SMALLEST_STEP
    out = state.tries >= s.late_steps
    for flag, status in ((stalled, Status.STALLED), (out, Status.LATE_STEPS)):
        for row in state.live[flag & ~done].tolist():
            ledger.status[row] = status
    return torch.nonzero(~(done | stalled | out)).squeeze(-1)


def _book(ledger: Ledger, state: _Late, result: DoubleStep, which: Tensor, s: Settings) -> Tensor:
    """Take over the accepted steps; (b,) flags of rows that are done."""
    rows, h = state.live[which], state.h[which]
    ledger.accept(rows, h, result.error[which], state.tolerance[which])
    ledger.late_steps[rows] += 1
    geometry = state.geometry.select(which)
    before, y, p = state.y[which], result.fine[which], result.p[which]
    state.y = state.y.index_copy(0, which, result.state[which])
    state.p = state.p.index_copy(0, which, p)
    state.passed = state.passed.index_add(0, which, h)
    state.integral = state.integral.index_add(0, which, h.unsqueeze(-1) * result.mean_p[which])
    weights, scale = geometry.weights(y)
    norm = geometry.norm_of(weights)
    mask = state.mask[which]
    scaled = geometry.scaled_margins(y, scale)
    smallest = torch.where(mask, scaled, torch.inf).amin(-1)
    primal = smallest / norm
    _improve_dual(ledger, state, geometry, p, which)
    ledger.y[rows] = y
    ledger.p[rows] = p
    ledger.primal[rows] = primal
    ledger.direction[rows] = weights
    log_norm = torch.log(norm) + scale
    ledger.log_norm[rows] = log_norm
    ledger.log_time[rows] = _log_time(geometry, y, p, scaled, scale, state.kappa[which], mask)
    needed = s.handover * torch.exp(-scale)
    higher = torch.where(state.higher[which], scaled, torch.inf).amin(-1)
    tied = torch.where(state.tied[which], scaled, torch.inf).amin(-1)
    resurgent = (higher < smallest + needed) | (tied < needed)
    closed = 1 - primal / ledger.dual[rows] <= s.gap
    far = log_norm >= s.horizon
    done = torch.zeros_like(state.h, dtype=torch.bool)
    done[which] = resurgent | closed | far
    for flag, status in (
        (far, Status.HORIZON),
        (closed, Status.CLOSED),
        (resurgent, Status.RESURGENT),
    ):
        for row in rows[flag].tolist():
            ledger.status[row] = status
    if ledger.probes:
        ledger.tell(
            View(
                late=True, index=rows, geometry=geometry, state=y, before=before,
                orbit_state=result.state[which], p=p, mean_p=result.mean_p[which], step=h,
                tau=ledger.tau[rows], log_norm=log_norm, log_time=ledger.log_time[rows],
                primal=primal, dual=ledger.dual[rows],
            )
        )  # fmt: skip
    return done


def _improve_dual(
    ledger: Ledger, state: _Late, geometry: Geometry, p: Tensor, which: Tensor
) -> None:
    """Keep the best of three certificates: p now, its mean over all, and over the last half."""
    rows = state.live[which]
    passed, integral = state.passed[which], state.integral[which]
    half = (integral - state.mark[which]) / (passed - state.mark_at[which]).unsqueeze(-1)
    half = half.clamp_min(0.0)  # a difference of sums: rounding must not leave the simplex
    for candidate in (p, integral / passed.unsqueeze(-1), half / half.sum(-1, keepdim=True)):
        bound = geometry.dual_norm(candidate)
        better = bound < ledger.dual[rows]
        ledger.dual[rows] = torch.where(better, bound, ledger.dual[rows])
        ledger.dual_weights[rows] = torch.where(
            better.unsqueeze(-1), candidate, ledger.dual_weights[rows]
        )
    turn = state.passed >= 2 * state.next_at
    column = turn.unsqueeze(-1)
    state.mark = torch.where(column, state.next_mark, state.mark)
    state.mark_at = torch.where(turn, state.next_at, state.mark_at)
    state.next_mark = torch.where(column, state.integral, state.next_mark)
    state.next_at = torch.where(turn, state.passed, state.next_at)


def _log_time(
    geometry: Geometry,
    y: Tensor,
    p: Tensor,
    scaled: Tensor,
    scale: Tensor,
    kappa: Tensor,
    mask: Tensor,
) -> Tensor:
    """ln t = m~ - ln(d m~/d tau) + o(1) (THEORY.md 3): inf where e^rho overflows."""
    eps = torch.exp(-scale)
    smallest = torch.where(mask, scaled, torch.inf).amin(-1, keepdim=True)
    size = torch.exp(scale)
    excess = torch.where(mask, (scaled - smallest) * size.unsqueeze(-1), torch.inf)
    smooth = smallest.squeeze(-1) * size - torch.logsumexp(
        torch.where(mask, kappa - excess, -torch.inf), -1
    )
    growth = geometry.margin_growth(y, p, scale)
    return smooth - torch.log(growth) + torch.log(eps)
