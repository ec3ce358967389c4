"""A tenth of both tolerances changes no outcome: a thousand runs nightly, a tenth of them daily."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from checks import limit_checks, runs
from checks.budgets import PROFILES
from checks.cases import Case
from checks.context import Context
from checks.limit_checks import Target
from checks.outcomes import Outcome
from checks.runs import Run
from tests.exact_cases import cases
from theory.catalogue import CLAIMS

CLAIM = {
    "diagonal/separable/random": ("limit.diagonal-l1", Target("l1", "l2")),
    "combined-diagonal/separable/random": ("limit.combined-l2", Target("l2", "l1")),
    "combined/separable/random": (
        "limit.combined-frobenius", Target("frobenius", "nuclear")
    ),
    "factored/separable/random": (
        "frontier.unaligned-nuclear", Target("nuclear", "frobenius")
    ),
}  # fmt: skip


def outcomes(family: str, count: int) -> list[tuple[str, Outcome, Outcome]]:
    """(case, as it is, at a tenth of the tolerances): judged alike, by the same tolerance."""
    claim, target = CLAIM[family]
    assumptions = tuple(a for a in CLAIMS[claim].assumptions)
    context = Context(claim, assumptions, PROFILES["quick"])
    usual = context.budget.settings
    # Order 4 early and 1 to 2 late: as many steps as a tenth may need.
    tight = replace(
        usual, early_tolerance=usual.early_tolerance / 10, late_tolerance=usual.late_tolerance / 10,
        early_steps=2 * usual.early_steps, late_steps=4 * usual.late_steps,
    )  # fmt: skip

    def closely(chosen: Sequence[Case], _: Context) -> list[Run]:
        own = [case.problem for case in chosen], [case.start for case in chosen]
        return runs.follow(*own, tight, audited=0.0, stretches=2)

    drawn = cases(family, (3, 3, 4), count)
    one = limit_checks.measure(drawn, target, context, limit_checks.direction)
    two = limit_checks.measure(drawn, target, context, limit_checks.direction, closely)
    return [(a.problem_id, a.outcome, b.outcome) for a, b in zip(one, two, strict=True)]


def agree(family: str, count: int) -> None:
    found = outcomes(family, count)
    assert [each for each in found if each[1] is not each[2]] == []
    # Not all of them are about nothing.
    assert sum(before is Outcome.HELD for _, before, _ in found) >= count // 10
    assert len({problem for problem, _, _ in found}) >= count // 2


@pytest.mark.parametrize("family", CLAIM)
def test_a_tenth_of_the_tolerance_changes_no_outcome(family: str) -> None:
    agree(family, 25)


@pytest.mark.nightly
@pytest.mark.parametrize("family", CLAIM)
def test_a_tenth_of_the_tolerance_changes_no_outcome_of_many(family: str) -> None:
    agree(family, 250)
