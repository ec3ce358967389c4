"""Constraints that push within a late step and at neither end of it.

Full and half steps agree about such a step, and are wrong: an implicit step knows the weights p of
its end alone.  So it is looked, at some moments of each half, who would come were p to stay as it
is at either end.  The first visitor to enter does so while p is still that of the start; the last
to leave has margins that grow away from the others' under the p of the end.  A false alarm makes a
shorter step.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from checks.flow.geometries import Geometry

SMALL = 1e-12
"""Weights up to this move no state: 1e-12 of a step is below the local error allowed."""
_MOMENTS = (0.5, 1.0)
"""Shares of a step at which all rows are looked at."""
_OFTEN = (0.25, 0.5, 0.75, 1.0)
"""Shares at which those are where a visitor may push without falling below the others."""
_SLIGHT = 0.1
"""Share of the largest weight up to which one that is gone at the end of a step may have grown
before: an audit found one that began at 3e-6 and moved a log weight by 6e-3."""
_FAINT = 1e-3
"""The same for one that stays above the others: its own push at the start is charged elsewhere."""
_DEEP = 14.0
"""ln of the size from which only who falls below counts: who stays above is, after ten nats of a
push, out of reach, and ten nats of a margin of 0.1 e^14 are 8e-5 of it."""
_LARGEST = 300.0
"""ln of a size whose exponential is finite; who is near at it no longer matters."""

Point = tuple[Tensor, Tensor]
"""A state (B, D), and the weights p (B, N) there."""


def visits(
    geometry: Geometry,
    starts: tuple[Point, ...],
    ends: tuple[Point, ...],
    step: Tensor,
    kappa: Tensor,
    mask: Tensor,
) -> Tensor:
    """(B,) by how much what comes and goes within some steps, each ``step`` (B,) long, moves the
    weights: the share of the smallest margin by which it falls below those that push, and where
    it stays above them, the distance that its share of p makes.

    starts, ends: of each of the steps.
    """
    found = _looked(geometry, _looks(starts, ends, step, mask, _SLIGHT), _MOMENTS, mask)[0]
    size = geometry.log_size(starts[0][0])
    faint = [p <= _FAINT * p.amax(-1, keepdim=True) for _, p in starts]
    idle = [few & (last <= SMALL) for few, (_, last) in zip(faint, ends, strict=True)]
    at = torch.nonzero((size < _DEEP) & (torch.stack(idle) & mask).any(0).any(-1)).squeeze(-1)
    if len(at):
        near, inside = geometry.select(at), mask[at]
        firsts, lasts = (
            tuple((state[at], p[at]) for state, p in points) for points in (starts, ends)
        )
        looks = _looks(firsts, lasts, step[at], inside, _FAINT)
        below, pushed = _looked(near, looks, _OFTEN, inside, kappa[at])
        found[at] = torch.stack((found[at], below, pushed)).amax(0)
    return found


@dataclass(frozen=True)
class _Look:
    """From a state on, under p, for a time: who is idle, and who pushes (B, N)."""

    state: Tensor
    p: Tensor
    time: Tensor
    idle: Tensor
    pushing: Tensor


def _looks(
    starts: tuple[Point, ...], ends: tuple[Point, ...], step: Tensor, mask: Tensor, slight: float
) -> list[_Look]:
    """From the start of each step on, and from its end back.  slight: share of the largest weight
    up to which one that is gone at the end counts as idle at the start."""
    looks = []
    for (state, p), (end, last) in zip(starts, ends, strict=True):
        gone = mask & (last <= SMALL)
        few = p <= slight * p.amax(-1, keepdim=True)
        looks.append(_Look(state, p, step, gone & few, mask & ~few))
        looks.append(_Look(end, last, -step, gone & (p <= SMALL), mask & (last > SMALL)))
    return looks


def _looked(
    geometry: Geometry,
    looks: list[_Look],
    moments: tuple[float, ...],
    mask: Tensor,
    kappa: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """(B,) the largest share of a margin that an idle one falls below those that push, and, given
    kappa, the largest distance that those make which stay above: their mean share of p."""
    # One batch of all of them: small kernels cost more than the numbers in them.
    rows = torch.arange(len(mask), device=mask.device).repeat(len(looks))
    there = geometry.select(rows)
    state, p = torch.cat([look.state for look in looks]), torch.cat([look.p for look in looks])
    time = torch.cat([look.time for look in looks])
    idle = torch.cat([look.idle for look in looks])
    pushing = torch.cat([look.pushing for look in looks])
    again = torch.arange(len(rows), device=mask.device).repeat(len(moments))
    parts = torch.tensor(moments, dtype=time.dtype, device=time.device).repeat_interleave(len(rows))
    everywhere = there.select(again)
    moved = everywhere.advance(state[again], p[again], parts * time[again])
    size = everywhere.log_size(moved)
    margins = everywhere.scaled_margins(moved, size)
    least = torch.where(pushing[again], margins, torch.inf).amin(-1)
    below = 1 - torch.where(idle[again], margins, torch.inf).amin(-1) / least
    # No idle constraint: -inf.  Nothing to compare with: nan.
    fallen = torch.where((least > 0) & (below > 0), below, 0.0).view(-1, len(mask)).amax(0)
    if kappa is None:
        return fallen, torch.zeros_like(fallen)
    logits = kappa[rows][again] - margins * size.clamp_max(_LARGEST).exp().unsqueeze(-1)
    others = torch.logsumexp(torch.where(pushing[again], logits, -torch.inf), -1, keepdim=True)
    ahead = torch.where(idle[again] & torch.isfinite(others), logits - others, -torch.inf)
    ahead = ahead.view(len(moments), len(rows), -1)
    # One that falls below is judged by that: what it has to push then is what keeps it level.
    # Moments last: a sum over another axis rounds by where in the batch a row is.
    shares = ahead.clamp_max(0.0).exp().movedim(0, -1).contiguous()
    share = torch.where(ahead.amax(0) > 0, 0.0, shares.sum(-1) / len(moments))
    apart = there.distance(there.advance(state, p + share, time), there.advance(state, p, time))
    return fallen, apart.view(len(looks), -1).amax(0)
