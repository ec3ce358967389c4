"""Regret bounds and the dual window: held as derived, refuted with one constant or clock wrong."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from checks import gap_checks, late_runs, rate_checks, regret_checks
from checks.budgets import PROFILES
from checks.cases import Case
from checks.context import Context
from checks.late_probe import LateOrbit
from checks.late_runs import Late
from checks.outcomes import CaseResult, Outcome
from tests.exact_cases import cases
from theory.catalogue import CLAIMS

REGRETS = (
    ("diagonal/separable/separating", "regret-diagonal"),
    ("combined-diagonal/separable/separating", "regret-combined"),
    ("combined/separable/separating", "regret-combined"),
)


def context(claim: str) -> Context:
    return Context(claim, CLAIMS[claim].assumptions, PROFILES["quick"])


def outcomes(results: Sequence[CaseResult]) -> set[Outcome]:
    return {r.outcome for r in results if r.informative}


@pytest.mark.parametrize(("family", "key"), REGRETS)
def test_the_summed_gap_is_bounded_and_that_of_a_larger_margin_is_not(
    family: str, key: str
) -> None:
    drawn = cases(family, (3, 3, 4), 4)
    held = regret_checks.regret(drawn, context(f"rate.{key}"))
    wrong = regret_checks.regret_beyond(drawn, context(f"control.{key}"))
    assert outcomes(held) == {Outcome.HELD}
    assert outcomes(wrong) == {Outcome.FALSIFIED}
    assert sum(r.informative for r in held) >= 3


def test_the_dual_window_lies_within_its_bounds_and_not_above_a_larger_margin() -> None:
    drawn = cases("diagonal/separable/separating", (3, 3, 4), 4)
    held = regret_checks.window(drawn, context("rate.dual-window"))
    wrong = regret_checks.window_beyond(drawn, context("control.dual-window"))
    assert outcomes(held) == {Outcome.HELD}
    assert outcomes(wrong) == {Outcome.FALSIFIED}
    assert sum(r.informative for r in held) >= 3


def spoilt(
    monkeypatch: pytest.MonkeyPatch, change: Callable[[LateOrbit], LateOrbit]
) -> Callable[[str, Sequence[Case]], Sequence[CaseResult]]:
    """Checks by claim whose late orbits are changed before they are judged."""
    measure = late_runs.measure

    def measured(drawn, context, settings, judge, **more):  # type: ignore[no-untyped-def]
        def changed(run: Late) -> CaseResult:
            return judge(replace(run, orbit=change(run.orbit)))

        return measure(drawn, context, settings, changed, **more)

    monkeypatch.setattr(late_runs, "measure", measured)
    functions = {
        "rate.regret-diagonal": regret_checks.regret,
        "rate.regret-combined": regret_checks.regret,
        "rate.dual-window": regret_checks.window,
        "rate.cosine-factored": rate_checks.kkt_stationarity,
    }
    return lambda claim, drawn: functions[claim](drawn, context(claim))


@pytest.mark.parametrize(("family", "key"), REGRETS)
def test_a_flow_that_closes_its_gap_late_is_refuted(
    monkeypatch: pytest.MonkeyPatch, family: str, key: str
) -> None:
    """Margins a fifth too small for ever: what a stepper that is stuck would give."""
    check = spoilt(monkeypatch, lambda late: replace(late, log_margin=late.log_margin - 0.22))
    assert outcomes(check(f"rate.{key}", cases(family, (3, 3, 4), 3))) == {Outcome.FALSIFIED}


@pytest.mark.parametrize("factor", [0.25, 2.0])
def test_a_wrong_clock_puts_the_window_outside_its_bounds(
    monkeypatch: pytest.MonkeyPatch, factor: float
) -> None:
    check = spoilt(monkeypatch, lambda late: replace(late, tau=late.tau * factor))
    drawn = cases("diagonal/separable/separating", (3, 3, 4), 4)
    assert Outcome.FALSIFIED in outcomes(check("rate.dual-window", drawn))


def test_the_angles_of_matrices_sum_to_less_than_the_margin_has_to_gain(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drawn = cases("factored/separable/separating", (3, 3, 3), 4)
    held = rate_checks.kkt_stationarity(drawn, context("rate.cosine-factored"))
    assert outcomes(held) == {Outcome.HELD}
    check = spoilt(monkeypatch, lambda late: replace(late, angle=late.angle + 1.0))
    assert Outcome.FALSIFIED in outcomes(check("rate.cosine-factored", drawn))


@pytest.mark.parametrize("check", [regret_checks.regret, regret_checks.window, gap_checks.mean_gap])
def test_without_its_assumption_a_bound_has_no_constants_and_says_so(
    check: Callable[[Sequence[Case], Context], list[CaseResult]],
) -> None:
    """As the full profile asks, dropping c_j > 0: logarithms of 0 warned, and NaN was compared."""
    asked = context("rate.regret-diagonal")
    kept = tuple(key for key in asked.assumptions if key != "nonzero-invariant")
    found = check(
        cases("diagonal/separable/frozen", (3, 3, 4), 6), replace(asked, assumptions=kept)
    )
    assert {r.outcome for r in found} <= {Outcome.INCONCLUSIVE, Outcome.VACUOUS}
    assert "the bound has no constants where c_j = 0" in {r.reason for r in found}


@pytest.mark.parametrize("model", ["diagonal", "combined-diagonal"])
def test_runs_that_settle_elsewhere_are_vacuous(model: str) -> None:
    key = "rate.regret-diagonal" if model == "diagonal" else "rate.regret-combined"
    drawn = cases(f"{model}/trap/trapped", (3, 3, 4), 2)
    found = regret_checks.regret(drawn, context(key))
    assert {(r.outcome, r.reason) for r in found} == {(Outcome.VACUOUS, "infimum-reached is unmet")}
