"""The early phase: exact signed weights, until every sample has settled on a token."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from checks.flow import phases, rodas
from checks.flow.geometries import Geometry
from checks.flow.ledger import Ledger, LiveRows
from checks.flow.orbit import Status
from checks.flow.probes import View
from checks.flow.settings import Settings
from checks.flow.weights import Weights, attention_weights

_FIRST_STEP = 1e-2
SMALLEST_STEP = 1e-13
"""Rescaled time moves p at rate O(1): a step this short means that rounding rules."""


@dataclass
class _Early(LiveRows):
    geometry: Geometry
    scores: Tensor
    y: Tensor
    h: Tensor
    log_clock: Tensor
    tries: Tensor
    tolerance: Tensor


def _weights(geometry: Geometry, scores: Tensor, y: Tensor) -> Weights:
    return attention_weights(geometry.margins(y).view(scores.shape), scores)


def run(ledger: Ledger, scores: Tensor, settings: Settings) -> None:
    """Integrate every row until it is settled, flat, stalled or out of steps."""
    y = ledger.y
    state = _Early(
        live=torch.arange(len(y), device=y.device),
        geometry=ledger.geometry,
        scores=scores,
        y=y,
        h=torch.full_like(ledger.tau, _FIRST_STEP),
        log_clock=_weights(ledger.geometry, scores, y).log_clock,
        tries=torch.zeros_like(ledger.early_steps),
        tolerance=settings.early_tolerance * ledger.tightness,
    )
    while True:
        staying = _leave(ledger, state, settings)
        if len(staying) == 0:
            return
        if len(staying) < len(state.live):
            state = state.keep(staying)
        _step(ledger, state)


def _leave(ledger: Ledger, state: _Early, settings: Settings) -> Tensor:
    """Write down the rows that are done; indices of those that go on."""
    margins = state.geometry.margins(state.y).view(state.scores.shape)
    ok, selection, flat = phases.settled(margins, state.scores, settings.handover)
    stalled = ~torch.isfinite(state.y).all(-1) | (state.h < SMALLEST_STEP)
    done = (
        ok | flat | stalled | (state.tries >= settings.early_steps / ledger.tightness[state.live])
    )
    rows = state.live[done]
    ledger.y[rows] = state.y[done]
    ledger.selected[rows] = selection.selected[done]
    ledger.settled[rows] = (ok & ~stalled)[done]
    for row in state.live[flat].tolist():
        ledger.status[row] = Status.FLAT
    for row in state.live[stalled].tolist():
        ledger.status[row] = Status.STALLED
    return torch.nonzero(~done).squeeze(-1)


def _step(ledger: Ledger, state: _Early) -> None:
    """One Rosenbrock step of every live row; accepted where its local error is in bounds."""
    new, error = rodas.step(state.geometry, state.scores, state.y, state.h)
    weights = _weights(state.geometry, state.scores, new)
    ratio = error / state.tolerance
    ratio = torch.where(torch.isfinite(ratio) & torch.isfinite(new).all(-1), ratio, 1e9)
    accepted = ratio <= 1
    which = torch.nonzero(accepted).squeeze(-1)
    rows, h = state.live[which], state.h[which]
    ledger.accept(rows, h, error[which], state.tolerance[which])
    ledger.early_steps[rows] += 1
    ledger.rejected[state.live[~accepted]] += 1
    passed = _log_integral(-state.log_clock[which], -weights.log_clock[which], h)
    ledger.log_time[rows] = torch.logaddexp(ledger.log_time[rows], passed)
    before = state.y
    state.y = torch.where(accepted.unsqueeze(-1), new, state.y)
    state.log_clock = torch.where(accepted, weights.log_clock, state.log_clock)
    state.tries = state.tries + 1
    state.h = state.h * (0.9 * ratio.clamp_min(1e-9) ** (-1 / rodas.ORDER)).clamp(0.2, 5.0)
    if len(which) and ledger.probes:
        geometry, y, p = state.geometry.select(which), new[which], weights.p.flatten(1)[which]
        unknown = torch.full_like(h, torch.nan)
        ledger.tell(
            View(
                late=False, index=rows, geometry=geometry, state=y, before=before[which],
                orbit_state=y, p=p, mean_p=p, step=h, tau=ledger.tau[rows],
                log_norm=geometry.log_norm(y), log_time=ledger.log_time[rows],
                primal=unknown, dual=unknown,
            )
        )  # fmt: skip


def _log_integral(left: Tensor, right: Tensor, h: Tensor) -> Tensor:
    """ln of the integral over a step of e^f, f linear between its end values."""
    low, span = torch.minimum(left, right), (right - left).abs()
    # ln((e^x - 1)/x) = x + ln(1 - e^-x) - ln x, and x/2 where x is below rounding.
    safe = span.clamp_min(1e-8)
    growth = torch.where(
        span > 1e-8, safe + torch.log(-torch.expm1(-safe)) - torch.log(safe), span / 2
    )
    return torch.log(h) + low + growth
