"""What the error estimate of an early step cannot see at large norms.

Late in a run whose samples still change tokens, margins of 1e4 make p a switch: exponentials
of margins pick one constraint, or hold several in a balance.  Four things go wrong there while
a step and its embedded twin agree to all digits, each found by an audit:

- A balance may turn unstable.  Gradient flow leaves it at a rate of the size of the norm; an
  L-stable step damps growing modes as it damps decaying ones, and stays (``grows``, asked at
  both ends).
- A constraint may come and go within a step, while no stage looks (``passed_over``).
- p may fall by orders within a step that is long for it: the stages then say how fast it began to
  fall, and not when it was gone (seen: an error of 8e-4, estimated at 9e-6).
- A token may wake and take its share within one step: its moment is known to the stages' spacing,
  and embedded errors agree by chance (one in 10^5 steps: an error of 1.7e-4, estimated at 1e-5).

The answer to all is a shorter step.  And where pulls cancel, step upon step grows until their
rounding moves the weights: there is no answer to that (``drowned``).
"""

from __future__ import annotations

import torch
from torch import Tensor

from checks.flow.geometries import Geometry
from checks.flow.weights import Law

GROWTH = 2.0
"""Growth rate times step up to which the stability function R(z) of the method still grows
with z like e^z (R(2) = 7.58, e^2 = 7.39); its pole, beyond which it damps, is at z = 4."""
FAR = 4.0
"""Nats: where no margin moves further, none moves by more than twice that against another, and
nothing asleep can have woken within: e^8 ASLEEP < AWAKE."""
ASLEEP, AWAKE = 1e-6, 1e-2
"""Share of p below which a token does not push (a tenth of the local error allowed), and above
which it certainly does."""
_SURE, _FOLD = 0.1, 0.02
"""Share of p that a token may not come to from less than a fiftieth of it (four nats)."""
_MOMENTS = 8
_INSTANT = 2.0**-14
"""Of a step: a difference quotient of p over it is its derivative, to 1e-2 on a balance of norm
e^11 and rounding of 1e-7."""
_CALM = 0.05
"""Change of p over the step that its rate at an end may promise, beyond twice what came of it."""
_NOTHING = 1e-30
_LONG = 1e6
"""Rescaled time below which no step is drowned, whatever the data of ordinary size."""
_TOGETHER = 256
"""Rows looked at in one go: few are slow to start, many do not fit the caches."""
_BIT = 1e-6
"""Time over which the velocity of one constraint is measured; it need not be exact."""


def grows(jacobian: Tensor, h: Tensor) -> Tensor:
    """(B,) does a mode of y' = jacobian y (B, D, D) grow by more than e^GROWTH within h (B,)?"""
    # No eigenvalue is larger than the largest row sum; most steps are not stiff.
    size = jacobian.abs().sum(-1).amax(-1)
    at = torch.nonzero((size * h > GROWTH) & (size < torch.inf)).squeeze(-1)
    found = torch.zeros_like(h, dtype=torch.bool)
    if len(at):
        at = at[~_damped(jacobian[at], GROWTH / h[at])]
    if len(at):
        scaled = jacobian[at] / size[at, None, None]
        # LAPACK fails on entries of 1e-266; of sizes below 1, this moves none by 1e-15.
        scaled = torch.where(scaled.abs() > _NOTHING, scaled, 0.0)
        found[at] = torch.linalg.eigvals(scaled).real.amax(-1) * size[at] * h[at] > GROWTH
    return found


def _damped(matrix: Tensor, rate: Tensor) -> Tensor:
    """(B,) is it certain that no mode grows faster than at this rate (B,)?

    A similarity keeps eigenvalues, and their real parts are at most the largest eigenvalue of the
    symmetric part.  The one of gradient flow is symmetric in the flow's own metric: the diagonal
    similarity that evens out rows and columns comes near that (seen: 998 of 1,000 stiff steps of
    diagonal runs are settled), and a Cholesky factor is a tenth of the cost of eigenvalues.
    """
    size = matrix.abs()
    # A coordinate that nothing moves, or that moves nothing, is set apart.
    scale = torch.sqrt(size.sum(-2) / size.sum(-1)).nan_to_num(1.0)
    scale = scale.clamp(_NOTHING, 1 / _NOTHING)
    matrix = matrix * (scale.unsqueeze(-1) / scale.unsqueeze(-2)) * -0.5
    matrix = matrix + matrix.mT
    matrix.diagonal(dim1=-2, dim2=-1).add_(rate.unsqueeze(-1))
    return torch.linalg.cholesky_ex(matrix)[1] == 0


def drowned(geometry: Geometry, y: Tensor, h: Tensor, tolerance: Tensor) -> Tensor:
    """(B,) is a step h (B,) so long that rounding of the pulls may move the weights by a tenth of
    the local error allowed?  A single constraint moves them by O(1) in O(1) of rescaled time, so
    what is left to follow there is how exactly the pulls of several cancel."""
    found = torch.zeros_like(h, dtype=torch.bool)
    at = torch.nonzero(h > _LONG).squeeze(-1)
    if len(at) == 0:
        return found
    near, state = geometry.select(at), y[at]
    count = near.margins(state).shape[-1]
    fastest = torch.zeros_like(h[at])
    for one in torch.eye(count, dtype=h.dtype, device=h.device):
        pushed = state + _BIT * near.velocity(state, one.expand(len(at), -1))
        fastest = torch.maximum(fastest, near.distance(pushed, state) / _BIT)
    # p is a sum over tokens and the velocity one over constraints: their count in ulps.
    rounding = count * torch.finfo(h.dtype).eps * h[at] * fastest
    found[at] = rounding > 0.1 * tolerance[at]
    return found


def passed_over(
    geometry: Geometry,
    law: Law,
    ends: tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]],
    h: Tensor,
    p: Tensor,
    asked: Tensor,
) -> Tensor:
    """(B,) does a token push within a step that pushes at neither of its ends, does p begin or end
    it faster than the step can follow, does a token come to a share of it from far below, or has
    the balance that it ends in turned unstable?

    ends: (state (B, D), margins) before and after a step of length h; p: before; asked (B,): of
    which steps.  The first visitor to come does so while p is still that of the start, the last to
    go while it is that of the end: so these two moves are looked along.  A visit shorter than
    the gap between two looks is told by the sample's most attended token being another one
    after it.  False alarms make a shorter step.
    """
    (y, margins), (new, after) = ((state, m.flatten(1)) for state, m in ends)
    at = torch.nonzero(asked & ((after - margins).abs().amax(-1) > FAR)).squeeze(-1)
    found = torch.zeros_like(h, dtype=torch.bool)
    if len(at) == 0:
        return found
    law, near, first = law.select(at), geometry.select(at), p[at].flatten(1)
    if law.signed:
        weights, slope = law.linear(after[at])
        last = weights.p.flatten(1)
        seen = grows(near.velocity_jacobian(new[at], last, slope), h[at])
    else:
        last, seen = law.push(after[at]), found[at]
    asleep = (first.abs() <= ASLEEP) & (last.abs() <= ASLEEP)
    shares = torch.arange(_MOMENTS + 1, device=h.device, dtype=h.dtype) / _MOMENTS
    shares[0] = _INSTANT
    side = torch.arange(2, device=h.device).repeat_interleave(len(shares))
    times = torch.cat((shares, -shares)).unsqueeze(-1) * h[at]
    states, pushes = torch.stack((y[at], new[at])), torch.stack((first, last))
    tops, moved = [], []
    awake = torch.zeros_like(seen)
    for some in torch.arange(len(side), device=h.device).split(max(1, _TOGETHER // len(at))):
        rows = torch.arange(len(at), device=h.device).repeat(len(some))
        there, own = (near, law) if len(some) == 1 else (near.select(rows), law.select(rows))
        from_p = pushes[side[some]]
        there_margins = there.margins(
            there.advance(
                states[side[some]].flatten(0, 1), from_p.flatten(0, 1), times[some].flatten()
            )
        )
        push = own.push(there_margins).view_as(from_p)
        awake |= ((push.abs() > AWAKE) & asleep).any(-1).any(0)
        tops.append(law.grouped(there_margins).argmin(-1).unflatten(0, (len(some), -1)))
        moved.append((push - from_p).abs().amax(-1))
    firsts = law.grouped(torch.stack((margins[at], after[at]))).argmin(-1)
    leaders = torch.cat((firsts.unsqueeze(1), torch.cat(tops).unflatten(0, (2, -1))), dim=1)
    quiet = law.grouped(asleep).all(-1)
    turned = ((leaders[:, 1:] != leaders[:, :-1]).flatten(0, 1) & quiet).any(-1).any(0)
    # h dp/d tau at either end, against what p came to in the step.
    rate = torch.cat(moved)[:: len(shares)].amax(0) / _INSTANT
    hasty = rate > _CALM + 2 * (last - first).abs().amax(-1)
    woken = ((last.abs() > _SURE) & (first.abs() < _FOLD * last.abs())).any(-1)
    found[at] = seen | awake | turned | hasty | woken
    return found
