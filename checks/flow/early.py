"""The early phase: exact signed weights, until every sample has settled on a token."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from checks.flow import rodas, unseen
from checks.flow.geometries import Geometry
from checks.flow.ledger import Ledger
from checks.flow.orbit import Status
from checks.flow.phases import LiveRows, Phase
from checks.flow.probes import View
from checks.flow.rows import finite
from checks.flow.selection import flat, settled
from checks.flow.settings import Settings
from checks.flow.weights import Pairs, Weights, attention_weights

_FIRST_STEP = 1e-2
SMALLEST_STEP = 1e-13
"""Rescaled time moves p at rate O(1): a step this short means that rounding rules."""
_FASTEST = 5.0
"""Largest growth from one step to the next, where all is well."""
_HALF, _WARY = 0.5, 1.5
"""A step in which something was unfelt is tried again at half its length; the next may be half
as long again, and half again as much each.  Its error estimate has nothing to say of that, and
steps grown by five at once were seen to be cut by five for hundreds of steps."""


@dataclass
class _Early(LiveRows):
    """y, margins (b, n, L) there, and the step that led there, still to be booked where
    ``pending``: its state before, its length and its error."""

    geometry: Geometry
    pairs: Pairs
    y: Tensor
    margins: Tensor
    h: Tensor
    tries: Tensor
    tolerance: Tensor
    pending: Tensor
    before: Tensor
    length: Tensor
    error: Tensor
    log_clock: Tensor
    """ln Lambda at ``before``."""
    flat: Tensor
    most: Tensor
    """Largest growth of the next step."""


def _margins(geometry: Geometry, scores: Tensor, y: Tensor) -> Tensor:
    return geometry.margins(y).view(scores.shape)


class Early(Phase[_Early]):
    """Rows that have not settled: each until it has, is flat, stalled or out of steps."""

    def __init__(self, ledger: Ledger, scores: Tensor, settings: Settings) -> None:
        super().__init__()
        self._ledger, self._scores, self._settings = ledger, scores, settings

    def begin(self, rows: Tensor) -> _Early:
        ledger, scores = self._ledger, self._scores[rows]
        geometry, y = ledger.geometry.select(rows), ledger.y[rows]
        zero = torch.zeros_like(ledger.tau[rows])
        return _Early(
            live=rows, geometry=geometry, pairs=Pairs.of(scores), y=y,
            margins=_margins(geometry, scores, y), h=torch.full_like(zero, _FIRST_STEP),
            tries=torch.zeros_like(ledger.early_steps[rows]),
            tolerance=self._settings.early_tolerance * ledger.tightness[rows],
            pending=torch.zeros_like(rows, dtype=torch.bool), before=y, length=zero, error=zero,
            log_clock=zero, flat=flat(scores), most=torch.full_like(zero, _FASTEST),
        )  # fmt: skip

    def step(self, state: _Early) -> tuple[_Early, Tensor, Tensor]:
        staying, gone = _leave(self._ledger, state, self._settings)
        if len(gone):
            state = state.keep(staying)
        if len(staying):
            _step(self._ledger, state)
        return state, gone, gone[:0]


def _leave(ledger: Ledger, state: _Early, settings: Settings) -> tuple[Tensor, Tensor]:
    """Write down the rows that are done: indices of those that stay, row numbers of the others."""
    stalled = ~finite(state.y) | (state.h < SMALLEST_STEP)
    stalled = stalled | unseen.drowned(state.geometry, state.y, state.h, state.tolerance)
    # Of order 4, a tenth of the tolerance takes 1.8 times the steps.
    budget = settings.early_steps * ledger.tightness[state.live] ** -0.5
    done = state.flat | stalled | (state.tries >= budget)
    # Nobody has settled whose margins are all within the one that a hand-over asks for.
    margins = state.margins.flatten(1)
    apart = margins.amax(-1) - margins.amin(-1) >= settings.handover
    at = torch.nonzero(done | apart).squeeze(-1)
    if len(at):
        ok, found = settled(state.margins[at], state.pairs.scores[at], settings.handover)
        # A row that a token came back in has to be followed past that moment, settled or not.
        passed = ledger.tau[state.live] + torch.where(state.pending, state.length, 0.0)
        ok = ok & (passed >= ledger.not_before[state.live])[at]
        done[at] |= ok
        gone = done[at]
        at, selected, ok = at[gone], found.selected[gone], ok[gone]
    if len(at):
        _book(ledger, state, at, attention_weights(state.margins[at], state.pairs.select(at)))
        rows = state.live[at]
        ledger.y[rows] = state.y[at]
        ledger.selected[rows] = selected
        ledger.settled[rows] = ok & ~stalled[at]
        for flag, status in ((state.flat, Status.FLAT), (stalled, Status.STALLED)):
            for row in state.live[flag].tolist():
                ledger.status[row] = status
    return torch.nonzero(~done).squeeze(-1), state.live[at]


def _step(ledger: Ledger, state: _Early) -> None:
    """One Rosenbrock step of every live row; accepted where its local error is in bounds."""
    new, error, weights = rodas.step(state.geometry, state.pairs, state.y, state.h, state.margins)
    _book(ledger, state, torch.arange(len(state.live), device=new.device), weights)
    margins = _margins(state.geometry, state.pairs.scores, new)
    ends = (state.y, state.margins), (new, margins)
    ratio = error / state.tolerance
    fine = finite(new)
    unfelt = unseen.passed_over(
        state.geometry, state.pairs, ends, state.h, weights.p, fine & (ratio <= 1)
    )
    ratio = torch.where((ratio < torch.inf) & fine & ~unfelt, ratio, 1e9)
    accepted = ratio <= 1
    ledger.rejected[state.live] += (~accepted).long()
    state.tries = state.tries + 1
    state.pending, state.before, state.length, state.error = accepted, state.y, state.h, error
    state.log_clock = weights.log_clock
    state.y = torch.where(accepted.unsqueeze(-1), new, state.y)
    state.margins = torch.where(accepted[:, None, None], margins, state.margins)
    # exp and log, not a power: that rounds otherwise in a batch's last rows (determinism.md).
    growth = torch.exp(torch.log(ratio.clamp_min(1e-9)) / -rodas.ORDER)
    factor = torch.minimum((0.9 * growth).clamp_min(0.2), state.most)
    state.h = state.h * torch.where(unfelt, _HALF, factor)
    state.most = torch.where(unfelt, _WARY, (state.most * _WARY).clamp_max(_FASTEST))


def _book(ledger: Ledger, state: _Early, at: Tensor, weights: Weights) -> None:
    """Book the pending steps of the rows ``at``; weights: those at their states, row by row.

    A step is booked only when the weights at its end are known, which the next step needs
    anyway: one evaluation less for each.
    """
    pending = state.pending[at]
    if not pending.any():
        return
    which = at[pending]
    rows, h, error = state.live[which], state.length[which], state.error[which]
    ledger.accept(rows, h, error, state.tolerance[which])
    ledger.early_steps[rows] += 1
    log_clock = weights.log_clock[pending]
    passed = _log_integral(-state.log_clock[which], -log_clock, h)
    ledger.log_time[rows] = torch.logaddexp(ledger.log_time[rows], passed)
    if not ledger.probes:
        return
    geometry, y, p = state.geometry.select(which), state.y[which], weights.p.flatten(1)[pending]
    unknown = torch.full_like(h, torch.nan)
    ledger.tell(
        View(
            late=False, implicit=False, index=rows, geometry=geometry, state=y,
            before=state.before[which], orbit_state=y, p=p, mean_p=p, step=h, tau=ledger.tau[rows],
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
