"""The loss's barrier: starts just below it reach the infimum, those above need not."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from checks import assumptions, barrier_checks
from checks.barriers import loss_barrier, loss_excess
from checks.budgets import PROFILES
from checks.context import Context
from checks.families import VIOLATORS
from checks.outcomes import Outcome
from tests.exact_cases import cases
from theory.catalogue import CLAIMS

MODELS = ("diagonal", "combined-diagonal", "combined")


def context(claim: str) -> Context:
    return Context(claim, CLAIMS[claim].assumptions, PROFILES["quick"])


def claim_of(model: str) -> str:
    return "limit.loss-barrier" + ("" if model == "diagonal" else "-combined")


@pytest.mark.parametrize("model", MODELS)
def test_the_excess_is_the_losss_own(model: str) -> None:
    for case in cases(f"{model}/separable/random", (3, 3, 4), 3):
        problem, weights = case.problem, torch.tensor(case.start.weights)
        z = torch.tensor(problem.queries)
        moved = z @ weights.T if weights.dim() == 2 else z * weights
        paid = torch.softmax((torch.tensor(problem.tokens) * moved[:, None, :]).sum(-1), 1)
        scores = torch.tensor(problem.scores)
        loss = torch.exp(-(paid * scores).sum(1)).mean()
        least = torch.exp(-scores.amax(1)).mean()
        assert loss_excess(problem, case.start.weights) == pytest.approx(float(loss - least))


def test_an_output_at_its_second_best_score_costs_the_barrier() -> None:
    (case,) = cases("diagonal/separable/random", (1, 3, 4), 1)
    best, second, _ = sorted(case.problem.scores[0], reverse=True)
    expected = np.exp(-second) - np.exp(-best)
    assert loss_barrier(case.problem) == pytest.approx(expected)


@pytest.mark.parametrize("model", MODELS)
def test_threshold_starts_are_just_below_their_barrier(model: str) -> None:
    near = []
    for case in cases(f"{model}/separable/threshold", (3, 3, 4), 40):
        share = loss_excess(case.problem, case.start.weights) / loss_barrier(case.problem)
        assert share < 1
        near.append(share)
    assert sum(share > 0.9 for share in near) >= 15


def test_trapped_starts_are_above_it() -> None:
    for family in VIOLATORS["loss-below-barrier"]:
        for case in cases(family, (4, 3, 3), 10):
            assert assumptions.loss_below_barrier(case.problem, case.start) < 0


@pytest.mark.parametrize("model", MODELS)
def test_starts_below_the_barrier_reach_the_infimum(model: str) -> None:
    drawn = cases(f"{model}/separable/threshold", (3, 3, 4), 8)
    found = barrier_checks.below_barrier(drawn, context(claim_of(model)))
    assert {r.outcome for r in found} == {Outcome.HELD}
    assert sum(r.informative for r in found) >= 6


@pytest.mark.parametrize("model", MODELS)
def test_starts_above_it_are_vacuous_or_refute_a_larger_barrier(
    monkeypatch: pytest.MonkeyPatch, model: str
) -> None:
    drawn = cases(f"{model}/trap/trapped", (4, 3, 3), 4)
    found = barrier_checks.below_barrier(drawn, context(claim_of(model)))
    assert {r.reason for r in found} == {"loss-below-barrier is unmet"}
    wrong = barrier_checks.below_sum(drawn, context("control.loss-barrier-sum"))
    assert {r.outcome for r in wrong} == {Outcome.FALSIFIED}
    # Planted: a barrier a hundred times as high lets the same starts through, and they refute it.
    monkeypatch.setattr(assumptions, "loss_barrier", lambda problem: 100 * loss_barrier(problem))
    monkeypatch.setattr(barrier_checks, "loss_barrier", lambda problem: 100 * loss_barrier(problem))
    planted = barrier_checks.below_barrier(drawn, context(claim_of(model)))
    assert Outcome.FALSIFIED in {r.outcome for r in planted}
