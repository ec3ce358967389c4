"""Small campaigns of cheap claims, shared by the tests of campaigns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import reports
from checks import budgets, campaign, registry, streams
from checks.budgets import Budget
from checks.campaign import Order
from checks.flow.settings import Settings
from checks.outcomes import Verdict
from checks.registry import Check
from tests import test_runner

TINY = Budget(
    "quick", cases=60, search=2, search_batch=2, chunk=4, violators=3, audited=0.05, stretches=4,
    informative=4, problems=4, settings=Settings(gap=1e-5, early_steps=600, late_steps=100),
)  # fmt: skip
QUICK = budgets.PROFILES["quick"]  # as workers know it: before any test shrinks it
FIRST, SECOND = "symbolic.softmax-jacobian", "symbolic.kkt-l1"
STREAM = replace(
    streams.COMBINED_DIAGONAL_LIMIT,
    sources=streams.COMBINED_DIAGONAL_LIMIT.sources[:1],
    shapes=((2, 3, 3), (4, 3, 6)),
    must_see=(),
)
_CHEAP = STREAM


def order_of(claims: Sequence[str], directory: Path, **changes: Any) -> Order:
    order = Order(tuple(claims), "quick", 0, str(directory), "cpu", 1, False, None, False)
    return replace(order, **changes)


def run(order: Order) -> list[Verdict]:
    return campaign.run(order, "test", reports.build)


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(budgets.PROFILES, "quick", TINY)


@pytest.fixture
def measured_by(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Put a check of test_runner in the place of a claim's own, on a stream that is cheap."""

    def put(name: str, claim: str) -> str:
        check = Check(claim, f"{test_runner.__name__}:{name}", f"{__name__}:_CHEAP")
        monkeypatch.setitem(registry.CHECKS, claim, check)
        return claim

    return put


def words(verdicts: list[Verdict]) -> dict[str, str]:
    return {v.claim: v.outcome.word for v in verdicts}


def timeless(verdicts: list[Verdict]) -> list[Verdict]:
    """Without the times; by claim."""
    return sorted((replace(v, seconds=0.0) for v in verdicts), key=lambda v: v.claim)
