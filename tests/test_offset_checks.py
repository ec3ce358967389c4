"""The offset of combined weights: held for gamma*, refuted for a little more, case by case."""

from __future__ import annotations

import pytest

from checks import offset_checks, rate_checks
from checks.budgets import PROFILES
from checks.context import Context
from checks.outcomes import Outcome
from tests.exact_cases import cases
from theory.catalogue import CLAIMS


def context(claim: str) -> Context:
    return Context(claim, CLAIMS[claim].assumptions, PROFILES["quick"])


@pytest.mark.parametrize("model", ["combined-diagonal", "combined"])
def test_the_offset_never_rises_and_that_of_a_larger_margin_does(model: str) -> None:
    drawn = cases(f"{model}/separable/separating", (3, 3, 4), 6)
    held = offset_checks.offset(drawn, context("rate.combined-offset"))
    wrong = offset_checks.beyond(drawn, context("control.combined-offset-beyond"))
    assert all(r.outcome is Outcome.HELD for r in held if r.informative)
    informative = [w for r, w in zip(held, wrong, strict=True) if r.informative]
    assert len(informative) >= 3
    assert {w.outcome for w in informative} == {Outcome.FALSIFIED}


def test_runs_that_settle_elsewhere_are_vacuous() -> None:
    drawn = cases("combined-diagonal/trap/trapped", (3, 3, 4), 2)
    found = offset_checks.offset(drawn, context("rate.combined-offset"))
    assert {(r.outcome, r.informative) for r in found} == {(Outcome.VACUOUS, False)}


def test_the_factored_margin_never_falls() -> None:
    drawn = cases("factored/separable/separating", (3, 3, 3), 3)
    found = rate_checks.monotone_margin(drawn, context("rate.monotone-margin-factored"))
    assert {(r.outcome, r.informative) for r in found} == {(Outcome.HELD, True)}
