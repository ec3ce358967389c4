"""The time scale: the raw gradient, integrated in ln t, has the derived constants and no others."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from checks import clock_checks
from checks.budgets import PROFILES
from checks.cases import campaign_specs, decode
from checks.context import Context
from checks.outcomes import Outcome
from tests.exact_cases import cases
from theory.catalogue import CLAIMS


def context(claim: str) -> Context:
    return Context(claim, CLAIMS[claim].assumptions, PROFILES["quick"])


@pytest.mark.parametrize("model", ["diagonal", "combined-diagonal"])
def test_the_velocity_is_the_gradient_of_the_loss(model: str) -> None:
    (case,) = cases(f"{model}/separable/random", (2, 3, 3), 1)
    flow = clock_checks._Flow(case)
    problem = case.problem
    state = torch.tensor(flow.first, requires_grad=True)
    weights = state if model != "diagonal" else state[: problem.dim] * state[problem.dim :]
    tokens, queries = torch.tensor(problem.tokens), torch.tensor(problem.queries)
    paid = torch.softmax((tokens * (queries * weights)[:, None, :]).sum(-1), 1)
    loss = torch.exp(-(paid * torch.tensor(problem.scores)).sum(1)).mean()
    loss.backward()  # type: ignore[no-untyped-call]
    assert state.grad is not None
    np.testing.assert_allclose(
        flow.gradient(0.0, flow.first), -state.grad.numpy(), rtol=1e-12, atol=1e-14
    )


@pytest.mark.parametrize(
    ("model", "claim"),
    [("diagonal", "rate.time-scale-diagonal"), ("combined-diagonal", "rate.time-scale-combined")],
)
def test_the_constants_are_the_derived_ones(model: str, claim: str) -> None:
    drawn = cases(f"{model}/separable/separating", (2, 3, 3), 5)
    held = clock_checks.time_scale(drawn, context(claim))
    wrong = clock_checks.halved(drawn, context(claim))
    assert {r.outcome for r in held if r.informative} == {Outcome.HELD}
    assert sum(r.informative for r in held) >= 3
    told = [w.outcome for h, w in zip(held, wrong, strict=True) if h.informative]
    assert Outcome.HELD not in told
    assert Outcome.FALSIFIED in told


@pytest.mark.parametrize("model", ["diagonal", "combined-diagonal"])
def test_a_gradient_twice_too_large_is_refuted(monkeypatch: pytest.MonkeyPatch, model: str) -> None:
    gradient = clock_checks._Flow.gradient
    monkeypatch.setattr(
        clock_checks._Flow, "gradient", lambda flow, t, state: 2 * gradient(flow, t, state)
    )
    drawn = cases(f"{model}/separable/separating", (2, 3, 3), 5)
    claim = "rate.time-scale-diagonal" if model == "diagonal" else "rate.time-scale-combined"
    assert Outcome.FALSIFIED in {r.outcome for r in clock_checks.time_scale(drawn, context(claim))}


def test_runs_that_settle_elsewhere_are_vacuous() -> None:
    drawn = cases("combined-diagonal/trap/trapped", (3, 3, 4), 2)
    found = clock_checks.time_scale(drawn, context("rate.time-scale-combined"))
    assert {r.outcome for r in found} == {Outcome.VACUOUS}


def test_a_long_wait_is_not_leapt_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """A start of large margins, where nothing moves until ln t = 30 or so: it reaches the infimum,
    and longer steps bring it to other tokens (the full profile's finding)."""
    key = "rate.time-scale-combined"
    spec = campaign_specs(
        key, "combined-diagonal/separable/separating", (2, 3, 3), 0, range(89, 90)
    )
    case = decode(next(iter(spec)))
    (found,) = clock_checks.time_scale([case], context(key))
    assert found.outcome is Outcome.HELD
    monkeypatch.setattr(clock_checks, "LONGEST", np.inf)
    (leapt,) = clock_checks.time_scale([case], context(key))
    assert leapt.outcome is Outcome.VACUOUS
