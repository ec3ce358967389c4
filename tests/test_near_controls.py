"""Controls that are wrong by little are wrong as said, and by as much."""

from __future__ import annotations

import numpy as np
import pytest

from checks import control_checks, flow_checks, judging, svm
from checks.cases import Case, campaign_specs, decode
from checks.context import Context
from checks.flow.integrate import integrate
from checks.flow.settings import Settings
from checks.outcomes import Outcome
from checks.problems import constraints_of
from tests.planted.small import TINY
from theory.catalogue import CLAIMS


def cases(count: int, model: str = "combined-diagonal") -> list[Case]:
    family = f"{model}/separable/separating"
    return [decode(s) for s in campaign_specs("near", family, (3, 3, 4), 0, range(count))]


def context(claim: str) -> Context:
    return Context(claim, CLAIMS[claim].assumptions, TINY, "cpu")


def test_a_recalled_token_has_a_margin_below_one_at_the_optimum_and_leads_at_the_start() -> None:
    for case in cases(12):
        problem, start = control_checks.recall(case.problem, case.start)
        assert problem.realisable
        length = case.problem.length
        assert (problem.optimal >= length).all()
        assert (problem.scores[:, length:] > case.problem.scores.max(1, keepdims=True)).all()
        own = case.problem.optimal
        optimum = svm.solve_svm(constraints_of(problem, own), "l2")
        before = svm.solve_svm(constraints_of(case.problem), "l2")
        assert optimum.optimum == pytest.approx(before.optimum, rel=1e-8)
        # Margins at the optimum and at the start, from the definition.
        kept = np.take_along_axis(problem.tokens, own[:, None, None], axis=1)
        for weights, low, high in (
            (optimum.solution, 1 - 2**-24, 1 - 2**-25),
            (start.weights, 2**10, np.inf),
        ):
            moved = problem.queries * np.asarray(weights)
            margins = ((kept - problem.tokens) * moved[:, None, :]).sum(-1)
            assert low - 1e-9 <= margins[:, length:].min() <= high


def test_recalled_tokens_do_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same construction, to come back at norms where the early phase can follow it."""
    monkeypatch.setattr(control_checks, "_LAG", 2.0**-3)
    monkeypatch.setattr(control_checks, "_LEAD", 2.0**7)
    made = cases(6)
    problems, starts = zip(*(control_checks.recall(c.problem, c.start) for c in made), strict=True)
    orbit = integrate(list(problems), list(starts), Settings(gap=1e-300, horizon=60.0))
    left = [(orbit.selected[i] != case.problem.optimal).any() for i, case in enumerate(made)]
    assert all(left)


def test_a_run_with_a_recalled_token_has_closed_on_the_tokens_it_will_leave() -> None:
    found = control_checks.recalled(cases(8), context("control.selection-recalled"))
    assert all(r.outcome is Outcome.FALSIFIED and r.informative for r in found)
    # Negative control: without the higher tokens the selection is kept.
    runs = control_checks.follow(cases(8), context("limit.combined-l2"))
    for run in runs:
        solved = svm.solve_svm(constraints_of(run.problem, run.selected), "l2")
        assert judging.stays(run, solved)


def test_a_fast_orbit_is_off_by_a_third_of_the_step_over_the_bound() -> None:
    """Where the bound is a share of the step's own change: (1 - 2/3)/(2/3 x 2 %) = 25 times."""
    found = control_checks.fast_orbit(cases(6, "diagonal"), context("control.orbit-slightly-fast"))
    ratios = [r.measurements[0].value for r in found]
    assert all(r.outcome is Outcome.FALSIFIED for r in found)
    assert min(ratios) > 12.5


def test_the_gradient_off_by_1e_8_is_far_beyond_rounding_in_every_case() -> None:
    name = "control.gradient-slightly-off"
    for model in ("combined-diagonal", "combined", "factored"):
        family = f"{model}/separable/small"
        drawn = [decode(s) for s in campaign_specs(name, family, (3, 3, 4), 0, range(20))]
        for case, found in zip(
            drawn, control_checks.near_gradient(drawn, context(name)), strict=True
        ):
            assert found.outcome is Outcome.FALSIFIED
            size = max(np.abs(g).max() for g in flow_checks.autograd(case.problem, case.start))
            assert found.measurements[0].value == pytest.approx(1e-8 * size, rel=1e-5)
