"""What a check is given beside its cases."""

from __future__ import annotations

from dataclasses import dataclass

from checks.budgets import Budget


@dataclass(frozen=True)
class Context:
    """claim: its key; assumptions: the keys it rests on; device: "cpu" or "cuda".

    dropped: the assumption that is not asked for, though the claim makes it ("": none).
    """

    claim: str
    assumptions: tuple[str, ...]
    budget: Budget
    device: str = "cpu"
    dropped: str = ""
