"""The constraint rows of a batch, relative to one reference token a sample."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Rows:
    """Constraint rows of a batch: delta (B, N, d), query (B, N, d), N = n L, relative to a
    reference token of every sample (whose own row is zero)."""

    delta: Tensor
    query: Tensor

    @classmethod
    def of(cls, tokens: Tensor, queries: Tensor, reference: Tensor) -> Rows:
        """tokens (B, n, L, d), queries (B, n, d), reference (B, n) token indices."""
        index = reference[:, :, None, None].expand(-1, -1, 1, tokens.shape[-1])
        delta = torch.gather(tokens, 2, index) - tokens
        query = queries.unsqueeze(2).expand_as(delta)
        # Of one sample, flatten copies nothing: rows that are written to would share memory.
        return cls(delta.flatten(1, 2), query.flatten(1, 2).contiguous())

    def select(self, index: Tensor) -> Rows:
        return Rows(self.delta[index], self.query[index])

    def take(self, slots: Tensor) -> Rows:
        """Of every flow the constraint rows slots (B, K)."""
        return Rows(take(self.delta, slots), take(self.query, slots))


def take(rows: Tensor, slots: Tensor) -> Tensor:
    """(B, K, d) of (B, N, d): row by row those that slots (B, K) names."""
    return torch.gather(rows, 1, slots.unsqueeze(-1).expand(-1, -1, rows.shape[-1]))


def combine(rows: Tensor, p: Tensor) -> Tensor:
    """sum_r p_r rows_r, (B, N, D) x (B, N) -> (B, D); a product-sum keeps batches bit-equal."""
    return (rows * p.unsqueeze(-1)).sum(-2)


def finite(states: Tensor) -> Tensor:
    """(B,) is every entry of states (B, D) finite?  Three kernels: torch.isfinite alone is four."""
    return (states.abs() < torch.inf).all(-1)
