"""The late phase: implicit steps under error control until the certificate closes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from checks.flow.geometries import Geometry
from checks.flow.late_form import LateForm
from checks.flow.ledger import Ledger
from checks.flow.methods import LateStep, Method
from checks.flow.orbit import Status
from checks.flow.phases import LiveRows, Phase, put
from checks.flow.probes import View
from checks.flow.rows import Rows
from checks.flow.selection import Selection
from checks.flow.settings import Settings

_FIRST_STEP = 0.05
_SMALLEST_STEP = 1e-13
_LONGEST_LEAP = 30.0
"""Largest growth of the log size asked of one implicit step: its Newton iterates pass
through e^(2 x this) and stay far from overflow."""
_MOMENT = 0.2
"""Growth of the log size within which the return of a token is left to the early phase."""
_LARGEST_RETURN = 12.0
"""Log norm up to which the early phase takes a row back.  Attention swings from one token to
another while two margins cross: at e^15 runs were seen to creep there, in steps of 1e-5."""
_RETURNS = 4
"""A row that goes to and fro more often is given up as undecided; none was seen to."""


@dataclass
class _Late(LiveRows):
    """geometry and y know the constraint rows alone: K of all N = n L, those in ``slots``."""

    geometry: Geometry
    y: Tensor
    p: Tensor
    kappa: Tensor
    mask: Tensor
    slots: Tensor
    whole: Geometry
    """The same flows with all rows: what probes see, and the margins of ``higher``, ``tied``."""
    higher: Tensor
    tied: Tensor
    watched: Tensor
    """(b,) is there any token of higher or equal score?"""
    h: Tensor
    passed: Tensor
    """(b,) rescaled time since the hand-over."""
    integral: Tensor
    """(b, K) of p over it: integral/passed is in the simplex, whatever the step errors."""
    mark: Tensor
    mark_at: Tensor
    """Value and time of the integral when half of today's time had passed, roughly."""
    next_mark: Tensor
    next_at: Tensor
    tries: Tensor
    tolerance: Tensor

    def spread(self, values: Tensor, which: Tensor) -> Tensor:
        """(., K) values of the rows ``which`` at their places among all N, 0 elsewhere."""
        wide = values.new_zeros(len(which), self.higher.shape[1])
        return wide.scatter(1, self.slots[which], values)

    def state(self, y: Tensor, which: Tensor) -> Tensor:
        """States of the rows ``which`` in the chart of ``whole``."""
        return self.geometry.widen(y, self.slots[which], self.higher.shape[1])


def hand_over(
    ledger: Ledger, tokens: Tensor, queries: Tensor, scores: Tensor, rows: Tensor, s: Settings
) -> Tensor:
    """Rows that are through the early phase, relative to the tokens selected from now on: those
    that are settled, for the late phase to follow."""
    if len(rows) == 0:
        return rows
    selected = ledger.selected[rows]
    chosen = Rows.of(tokens[rows], queries[rows], selected)
    rebased, y = ledger.geometry.select(rows).rebase(chosen, ledger.y[rows])
    put(ledger.geometry, rows, rebased)
    ledger.y[rows] = y
    ledger.direction[rows] = rebased.weights(y)[0]
    ledger.log_norm[rows] = rebased.log_norm(y)
    going = ledger.settled[rows]
    if not s.elsewhere:
        going = going & (selected == scores[rows].argmax(-1)).all(-1)
    rows = rows[going]
    ledger.dual[rows], ledger.dual_weights[rows] = torch.inf, 0.0
    return rows


class Late(Phase[_Late]):
    """Rows that have settled, and take the steps of one method: each until it is done, has
    outgrown the method, or a token comes back in it.  Then it is at the state before that step,
    for the early phase to follow what happens."""

    def __init__(self, ledger: Ledger, scores: Tensor, settings: Settings, method: Method) -> None:
        super().__init__(last=method.limit == math.inf)
        self._ledger, self._scores, self._settings = ledger, scores, settings
        self.method = method

    def begin(self, rows: Tensor) -> _Late:
        state = _begin(self._ledger, self._scores, rows, self._settings, self.method)
        if math.isfinite(self._settings.longest):
            state.h = _limited(state, self._settings)
        return state

    def step(self, state: _Late) -> tuple[_Late, Tensor, Tensor]:
        staying, outgrown, back = _step(self._ledger, state, self._settings, self.method)
        if len(staying) < len(state.live):
            state = state.keep(staying)
        return state, outgrown, back


def _begin(ledger: Ledger, scores: Tensor, rows: Tensor, s: Settings, method: Method) -> _Late:
    scores, whole, y = scores[rows], ledger.geometry.select(rows), ledger.y[rows]
    selection = Selection.of(ledger.selected[rows], scores)
    own = torch.gather(scores, 2, selection.selected.unsqueeze(-1))
    gain = torch.where(selection.lower, own - scores, 1.0)
    kappa = torch.log(gain) - own - math.log(scores.shape[1])
    lower = selection.lower.flatten(1)
    # The constraints first; a row with fewer than n (L - 1) is filled up, and masked there.  As
    # many slots in every batch: sums over more zeros round otherwise, and a row would notice
    # its neighbours (seen: 1e-11).
    most = scores.shape[1] * (scores.shape[2] - 1)
    slots = torch.argsort(lower.long(), dim=-1, descending=True, stable=True)[:, :most]
    mask = torch.gather(lower, 1, slots)
    kappa = torch.where(mask, torch.gather(kappa.flatten(1), 1, slots), 0.0)
    geometry, y = whole.narrow(slots, y)
    p = LateForm.of(kappa, mask).push(geometry.margins(y))
    zero, zeros = torch.zeros_like(ledger.tau[rows]), torch.zeros_like(kappa)
    higher, tied = selection.higher.flatten(1), selection.tied.flatten(1)
    return _Late(
        live=rows, geometry=geometry, y=y, p=p, kappa=kappa, mask=mask,
        slots=slots, whole=whole, higher=higher, tied=tied, watched=(higher | tied).any(-1),
        h=torch.full_like(zero, _FIRST_STEP), passed=zero, integral=zeros, mark=zeros,
        mark_at=zero, next_mark=zeros, next_at=zero,
        tries=torch.zeros_like(ledger.late_steps[rows]),
        tolerance=method.tolerance * ledger.tightness[rows],
    )  # fmt: skip


def _step(
    ledger: Ledger, state: _Late, s: Settings, method: Method
) -> tuple[Tensor, Tensor, Tensor]:
    """One step of every live row; indices of the rows that go on, and the row numbers of those
    that have outgrown the method and of those that the early phase has to take back."""
    result = method.step(state.geometry, state.y, state.p, state.h, state.kappa, state.mask)
    ratio = result.error / state.tolerance
    # Weights trained as one are stored at their size: a norm that overflows has no logarithm.
    size = ends = state.geometry.log_size(result.fine)
    if result.state is not result.fine:
        ends = torch.maximum(size, state.geometry.log_size(result.state))
    usable = result.converged & (ratio < torch.inf) & (ends < torch.inf)
    accepted = usable & (ratio <= 1)
    resurgent = _resurgent(state, result, torch.nonzero(accepted & state.watched).squeeze(-1), s)
    accepted = accepted & ~resurgent
    # Within a long step the moment is unknown: come nearer first.
    growth = size - state.geometry.log_size(state.y)
    sudden = resurgent & (growth <= _MOMENT)
    which = torch.nonzero(accepted).squeeze(-1)
    done = (
        _book(ledger, state, result, which, s, method) if len(which) else torch.zeros_like(accepted)
    )
    ledger.rejected[state.live] += (~accepted & ~sudden).long()
    returned = _hand_back(ledger, state, torch.nonzero(sudden).squeeze(-1))
    state.tries = state.tries + 1
    # exp and log, not a power: that rounds otherwise in a batch's last rows (determinism.md).
    factor = (0.9 * torch.exp(torch.log(ratio.clamp_min(1e-9)) / -method.order)).clamp(0.2, 4.0)
    state.h = state.h * torch.where(usable & ~resurgent, factor, 0.25)
    state.h = _limited(state, s)
    stalled = state.h < _SMALLEST_STEP
    out = state.tries >= s.late_steps
    for flag, status in ((stalled, Status.STALLED), (out, Status.LATE_STEPS)):
        for row in state.live[flag & ~done & ~sudden].tolist():
            ledger.status[row] = status
    going = ~(done | sudden | stalled | out)
    grown = going & (state.geometry.log_size(state.y) > method.limit)
    outgrown = torch.nonzero(grown).squeeze(-1)
    ledger.y[state.live[outgrown]] = state.state(state.y[outgrown], outgrown)
    going = torch.nonzero(going & ~grown).squeeze(-1)
    return going, state.live[outgrown], returned


def _limited(state: _Late, s: Settings) -> Tensor:
    """(b,) the steps to try next, none longer than the growth it may bring."""
    # d ln S/d tau = 2 p^T m/S <= 2 N°(G(p)), and N°(G(p)) has closed on the best margin.
    # Combined: d ln |W|/d tau <= N°(G(p))/|W|.
    rate, longest = state.geometry.dual_norm(state.p), s.longest
    if state.geometry.grows_exponentially:
        rate, longest = 2 * rate, min(longest, _LONGEST_LEAP)
    elif not math.isfinite(longest):
        return state.h
    else:
        rate = rate * torch.exp(-state.geometry.log_size(state.y))
    return torch.minimum(state.h, longest / rate)


def _resurgent(state: _Late, result: LateStep, at: Tensor, s: Settings) -> Tensor:
    """(b,) does a token of higher or equal score come back within the step?  at: where to look.

    Higher ones have to lag behind the smallest margin, tied ones behind the selected token,
    by the margin that the hand-over asked for.
    """
    found = torch.zeros_like(state.watched)
    if len(at) == 0:
        return found
    whole, y = state.whole.select(at), state.state(result.fine[at], at)
    scale = whole.log_size(y)
    scaled = whole.scaled_margins(y, scale)
    needed = s.handover * torch.exp(-scale)
    lower = torch.zeros_like(state.higher[at]).scatter(1, state.slots[at], state.mask[at])
    smallest = torch.where(lower, scaled, torch.inf).amin(-1)
    higher = torch.where(state.higher[at], scaled, torch.inf).amin(-1)
    tied = torch.where(state.tied[at], scaled, torch.inf).amin(-1)
    found[at] = (higher < smallest + needed) | (tied < needed)
    return found


def _hand_back(ledger: Ledger, state: _Late, at: Tensor) -> Tensor:
    """Rows that the early phase takes back at the start of the step; the others are given up."""
    rows = state.live[at]
    ledger.y[rows] = state.state(state.y[at], at)
    ledger.not_before[rows] = ledger.tau[rows] + state.h[at]
    ledger.returns[rows] += 1
    small = state.whole.select(at).log_norm(ledger.y[rows]) <= _LARGEST_RETURN
    again = small & (ledger.returns[rows] <= _RETURNS)
    ledger.settled[rows[again]] = False
    for row, goes in zip(rows.tolist(), again.tolist(), strict=True):
        ledger.status[row] = Status.UNSETTLED if goes else Status.RESURGENT
    return rows[again]


def _book(
    ledger: Ledger, state: _Late, result: LateStep, which: Tensor, s: Settings, method: Method
) -> Tensor:
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
    primal = torch.where(mask, scaled, torch.inf).amin(-1) / norm
    _improve_dual(ledger, state, geometry, p, which)
    ledger.p[rows] = state.spread(p, which)
    ledger.primal[rows] = primal
    ledger.direction[rows] = weights
    log_norm = torch.log(norm) + scale
    ledger.log_norm[rows] = log_norm
    ledger.log_time[rows] = _log_time(geometry, y, p, scaled, scale, state.kappa[which], mask)
    closed = 1 - primal / ledger.dual[rows] <= s.gap
    far = log_norm >= s.horizon
    done = torch.zeros_like(state.h, dtype=torch.bool)
    done[which] = closed | far
    for flag, status in ((far, Status.HORIZON), (closed, Status.CLOSED)):
        for row in rows[flag].tolist():
            ledger.status[row] = status
    if ledger.probes:
        ledger.tell(
            View(
                late=True, implicit=method.implicit, index=rows, geometry=state.whole.select(which),
                state=state.state(y, which), before=state.state(before, which),
                orbit_state=state.state(result.state[which], which),
                p=ledger.p[rows], mean_p=state.spread(result.mean_p[which], which), step=h,
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
        ledger.dual_weights[rows[better]] = state.spread(candidate, which)[better]
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
