"""Which token each sample is on, and whether it is there for good (THEORY.md 5)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Selection:
    """selected (B, n): token of largest attention.  lower, higher, tied (B, n, L): tokens of
    lower, higher, equal score than it (itself in none)."""

    selected: Tensor
    lower: Tensor
    higher: Tensor
    tied: Tensor

    @classmethod
    def of(cls, selected: Tensor, scores: Tensor) -> Selection:
        own = torch.gather(scores, 2, selected.unsqueeze(-1))
        tied = (scores == own).scatter(2, selected.unsqueeze(-1), False)
        return cls(selected, scores < own, scores > own, tied)


def flat(scores: Tensor) -> Tensor:
    """(B,) does no score of a sample differ from another, in any sample?"""
    return (scores.amax(-1) == scores.amin(-1)).all(-1)


def settled(margins: Tensor, scores: Tensor, handover: float) -> tuple[Tensor, Selection]:
    """(B,) settled now?; the selection.

    margins (B, n, L) relative to any token.  Settled: the smallest margin M over tokens of
    lower score is so large that the late form of p holds to e^-handover relative, tokens of
    higher score lag it by as much, tied ones have margin >= handover (their pull is
    e^{-m_l} relative).  Near-tied scores raise the bound by ln(range/gap), the factor in
    front of e^{-M} in the error of the late form.
    """
    selection = Selection.of(margins.argmin(-1), scores)
    relative = margins - margins.amin(-1, keepdim=True)
    infinity = torch.inf
    lowest = torch.where(selection.lower, relative, infinity).flatten(1).amin(-1)
    own = torch.gather(scores, 2, selection.selected.unsqueeze(-1))
    spread = (scores.amax(-1) - scores.amin(-1)).amax(-1)
    smallest = torch.where(selection.lower, own - scores, infinity).flatten(1).amin(-1)
    bound = handover + torch.log(spread / smallest).clamp_min(0.0)
    higher = torch.where(selection.higher, relative, infinity).flatten(1).amin(-1)
    tied = torch.where(selection.tied, relative, infinity).flatten(1).amin(-1)
    constrained = torch.isfinite(lowest)
    ok = constrained & (lowest >= bound) & (higher >= lowest + bound) & (tied >= bound)
    return ok, selection
