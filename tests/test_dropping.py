"""Assumptions dropped in turn: what is needed is shown by certificate, what is not is not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from checks import dropping, instead, judging, registry, tolerances
from checks.budgets import PROFILES
from checks.cases import campaign_specs, decode
from checks.context import Context
from checks.flow.settings import Settings
from checks.limit_checks import follow
from checks.linear_floors import linear_floor
from checks.outcomes import CaseResult, Measurement, Outcome
from checks.parts import Unit, plan
from checks.problems import constraints_of
from checks.runner import run_part
from checks.svm import solve_svm
from checks.tally import Dropped, Tally
from reports.dropped import NEEDED, OPEN, SPARE, Cell
from reports.evidence import Dropped as Shown
from reports.fields import Fields
from theory.catalogue import ASSUMPTIONS, CLAIMS

BUDGET = PROFILES["quick"]


def _drop(claim: str, assumption: str, family: str, count: int = 4, shape=(4, 3, 6)) -> Dropped:
    specs = campaign_specs("dropping", family, shape, 0, range(count))
    context = Context(claim, CLAIMS[claim].assumptions, BUDGET)
    return dropping.drop(claim, assumption, specs, context)


def _kind(found: Dropped) -> str:
    record = {**found.__dict__, "worst": None, "control": ""}
    return Cell.of(Shown.of(Fields.of(record, "a test"))).kind


def _result(outcome: Outcome, informative: bool = True) -> CaseResult:
    measured = (Measurement("planted", 3.0, 1.0, "chosen for the test"),)
    return CaseResult(outcome, "planted", "p", {}, informative, measured)


@pytest.mark.parametrize(
    ("claim", "assumption", "family"),
    [
        ("limit.combined-l2", "infimum-reached", "combined-diagonal/trap/trapped"),
        ("limit.combined-l2", "optimal-unique", "combined-diagonal/tied/separating"),
        ("limit.diagonal-l1", "nonzero-invariant", "diagonal/contrary/frozen"),
        ("limit.full-stack", "full-stack-rank", "factored/low-rank/rank-one"),
    ],
)
def test_what_is_needed_is_falsified_with_its_gap(claim: str, assumption: str, family: str) -> None:
    found = _drop(claim, assumption, family, 6, (3, 3, 3) if "low-rank" in family else (4, 3, 6))
    assert found.falsified
    assert _kind(found) == NEEDED
    assert found.falsified + found.held + found.inconclusive + found.uninformative == found.tried
    eps = judging.MISS * tolerances.margin_gap(BUDGET.settings).value
    assert found.worst is not None
    assert found.worst.value > eps


def test_what_cannot_matter_is_not_needed() -> None:
    """The limit of a flow knows nothing of the head that its scores come from."""
    found = _drop("limit.combined-l2", "realisable", "combined-diagonal/unrealisable/separating")
    assert found.falsified == 0
    assert found.held > 0
    assert _kind(found) == SPARE


def test_an_assumption_that_is_vacuous_by_construction_is_not_needed() -> None:
    """Equal scores, asked for by a claim that has no use for them."""
    specs = campaign_specs("d", "combined-diagonal/separable/separating", (4, 3, 6), 0, range(4))
    asked = (*CLAIMS["limit.combined-l2"].assumptions, "equal-scores")
    context = Context("limit.combined-l2", asked, BUDGET)
    plain = registry.CHECKS["limit.combined-l2"].load()([decode(s) for s in specs], context)
    assert {r.reason for r in plain} == {"equal-scores is unmet"}
    found = dropping.drop("limit.combined-l2", "equal-scores", specs, context)
    assert found.falsified == 0
    assert found.held > 0
    assert _kind(found) == SPARE


def test_a_frozen_sign_that_is_right_says_nothing() -> None:
    found = _drop("limit.diagonal-l1", "nonzero-invariant", "diagonal/separable/frozen", 12)
    assert found.reasons.get(instead.RIGHT, 0) > 0
    assert found.held == 0


def test_a_statement_that_needs_the_assumption_to_be_put_says_nothing() -> None:
    found = _drop(
        "flow.alignment-preserved", "aligned", "factored/aligned-single/random", 2, (3, 3, 3)
    )
    assert found.uninformative == 2
    assert found.reasons == {dropping.NO_STATEMENT: 2}


def test_without_separable_data_the_infimum_is_proved_to_be_missed() -> None:
    found = _drop(
        "limit.aligned-infimum", "separable",
        "factored/symmetrised-nonseparable/aligned-random", 2, (16, 3, 3),
    )  # fmt: skip
    assert found.falsified == 2


def test_only_a_certificate_counts_as_falsified() -> None:
    wrong = [_result(Outcome.FALSIFIED), _result(Outcome.HELD)]
    found = dropping.count("separable", "checks.kkt_checks:kkt_dual_feasibility", wrong)
    assert (found.falsified, found.inconclusive, found.held) == (0, 1, 1)
    found = dropping.count("separable", "checks.limit_checks:diagonal_l1", wrong)
    assert (found.falsified, found.held) == (1, 1)


def test_only_a_case_that_could_have_failed_counts_as_held() -> None:
    found = dropping.count(
        "separable", "checks.limit_checks:diagonal_l1", [_result(Outcome.HELD, False)]
    )
    assert found.held == 0
    assert found.uninformative == 1
    assert _kind(found) == OPEN


def test_a_run_that_is_not_closed_is_not_elsewhere() -> None:
    """The same trapped runs, left early: what they will solve is not known, so nothing is said."""
    specs = campaign_specs("dropping", "combined-diagonal/trap/trapped", (4, 3, 6), 0, range(3))
    cases = [decode(s) for s in specs]
    settings = replace(Settings(), late_steps=3)
    early = replace(BUDGET, settings=settings, audited=0.0)
    for case, run in zip(cases, follow(cases, Context("", (), early)), strict=True):
        claimed = solve_svm(constraints_of(case.problem), "l2")
        tolerance = tolerances.margin_gap(settings)
        judged = instead.judge(run, case, claimed, [], tolerance, "infimum-reached")
        assert judged.outcome is Outcome.INCONCLUSIVE


@pytest.mark.parametrize("norm", ["l1", "l2", "frobenius", "nuclear"])
def test_a_linear_floor_is_one(norm: str) -> None:
    """Below <Y, W> at the optimum, which is in the set; and no lower than the set allows."""
    full = norm in ("frobenius", "nuclear")
    family = "combined/separable/separating" if full else "diagonal/separable/separating"
    for spec in campaign_specs("floors", family, (3, 3, 3), 0, range(6)):
        constraints = constraints_of(decode(spec).problem)
        found = solve_svm(constraints, norm)
        delta, query = constraints.delta[0], constraints.query[0]
        low = np.zeros_like(delta)
        weights = found.solution
        value = float(delta @ weights @ query if full else delta @ (weights * query))
        floor = linear_floor(constraints, norm, found.upper * (1 + 1e-8), delta, query, low)
        # Y is a constraint of the problem itself: at least 1 on the whole set.
        assert 1 - 1e-4 <= floor <= value + 1e-6
        wide = linear_floor(constraints, norm, found.upper * 2, -delta, query, low)
        assert wide <= -2 * value + 1e-6  # twice the optimum is in that set


def test_the_parts_are_planned_and_put_away() -> None:
    unit = Unit("flow.gradient", "quick", 0, "")
    parts = [part for part in plan(unit) if part.kind == "dropped"]
    assert [part.of for part in parts] == ["optimal-unique", "realisable"]
    measured = run_part(parts[1])
    assert measured.tally is not None
    (found,) = Tally.from_json(measured.tally).dropped
    assert found.tried == BUDGET.dropped
    assert found.falsified > 0
    assert Tally.from_json(Tally(dropped=[found]).to_json()).dropped == [found]


def test_controls_are_not_dropped_again_and_the_others_all_are() -> None:
    full = PROFILES["full"]
    assert not full.drops(CLAIMS["control.frozen-sign"])
    assert full.drops(CLAIMS["flow.orbit"])


def test_the_controls_that_assumptions_name_exist() -> None:
    named = [a.control for a in ASSUMPTIONS.values() if a.control]
    assert named
    assert all(CLAIMS[key].kind == "control" for key in named)
