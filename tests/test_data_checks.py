"""The claims about real data: given cases, judged like drawn ones, never counted against anyone."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from checks import audit, data_checks, examples, limit_checks, own_data, registry, runner, verdicts
from checks.budgets import PROFILES
from checks.cases import Case, CaseSpec, case_from_record
from checks.context import Context
from checks.given import Given
from checks.outcomes import Outcome, exit_status
from checks.runner import Unit
from theory.catalogue import CLAIMS

ON_ALL = {
    "data.combined-l2": "limit.combined-l2",
    "data.combined-frobenius": "limit.combined-frobenius",
    "data.selection": "selection.selected-svm",
    "data.contrast": "contrast.diagonal",
}
"""Claims about all data sets at once, and the claims about drawn problems that they repeat."""
KEYS = [key for key in CLAIMS if key.startswith("data.") and key not in ON_ALL]


def given(key: str) -> Given:
    stream = registry.resolve(registry.CHECKS[key].stream)
    assert isinstance(stream, Given)
    return stream


def cases(key: str, count: int, seed: int = 0) -> list[Case]:
    return [given(key).decode(spec) for spec in given(key).specs(seed)[:count]]


def context(key: str) -> Context:
    return Context(key, CLAIMS[key].assumptions, PROFILES["quick"])


def test_every_real_example_has_an_open_claim() -> None:
    assert {key.removeprefix("data.") for key in KEYS} == {*examples.NAMES} - {"random"}
    for key in KEYS:
        assert CLAIMS[key].expect == "open"
        assert CLAIMS[key].sentences == ("S2",)
        assert CLAIMS[key].assumptions == CLAIMS["limit.diagonal-l1"].assumptions
        assert registry.CHECKS[key].measure == registry.CHECKS["limit.diagonal-l1"].measure


@pytest.mark.parametrize(("key", "of"), ON_ALL.items())
def test_claims_about_all_data_sets_repeat_those_about_drawn_ones(key: str, of: str) -> None:
    assert CLAIMS[key].expect == "open"
    assert (CLAIMS[key].kind, CLAIMS[key].assumptions) == (CLAIMS[of].kind, CLAIMS[of].assumptions)
    assert registry.CHECKS[key].measure == registry.CHECKS[of].measure
    made = [given(key).decode(spec) for spec in given(key).specs(0)]
    assert len({case.problem.id for case in made}) == len(KEYS)
    shapes = {case.start.weights.ndim for case in made}
    assert shapes == ({2} if key.endswith("frobenius") else {1})
    assert {case.start.model for case in made} == {"combined" if "combined" in key else "diagonal"}


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("seed", [0, 2**40])
def test_the_cases_are_those_that_check_would_draw(key: str, seed: int) -> None:
    problem = examples.example(key.removeprefix("data.")).problem
    drawn = own_data.draw_starts(problem, "diagonal", False, 0, own_data.DEFAULT_STARTS, seed)
    made = cases(key, data_checks.STARTS, seed)
    assert len(made) == data_checks.STARTS >= given(key).informative > data_checks.STARTS / 2
    for case, start in zip(made, drawn, strict=False):
        assert case.problem.id == problem.id
        assert np.array_equal(case.start.key, start.key)
        assert np.array_equal(case.start.query, start.query)
        again = given(key).decode(CaseSpec.from_json(case.spec.to_json()))
        assert np.array_equal(again.start.key, start.key), "a spec survives JSON"
    assert len({case.start.weights.tobytes() for case in made}) == len(made)


def test_another_seed_draws_other_starts() -> None:
    first, second = (cases("data.iris", 1, seed)[0] for seed in (0, 1))
    assert not np.array_equal(first.start.key, second.start.key)


def test_a_whole_unit(tmp_path: Path) -> None:
    """Verdict, evidence and a replay file that stands on its own."""
    verdict = runner.run_unit(Unit("data.digits", "quick", 0, str(tmp_path)))
    assert verdict.outcome is Outcome.HELD, verdict.reason
    assert (verdict.tried, verdict.problems) == (data_checks.STARTS, 1)
    assert verdict.informative >= given("data.digits").informative
    assert verdict.case is not None
    record = json.loads((tmp_path / verdict.case).read_text())
    problem = examples.example("digits").problem
    assert case_from_record(record).problem.id == problem.id
    assert record["outcome"] == "held"
    assert audit.audit_case(record)[0]
    evidence = json.loads((tmp_path / "evidence" / "data.digits.json").read_text())
    assert evidence["counts"]["held"] == data_checks.STARTS
    assert evidence["curves"], "the report has something to draw"
    known = {each["norm"]: each for each in evidence["optima"]}
    assert list(known) == ["l1", "l2"], "the claimed optimum first"
    assert known["l1"]["proof"] == known["l2"]["proof"] == {"exact": data_checks.STARTS}
    assert known["l2"]["unique"] == {"proved": data_checks.STARTS}
    assert max(each["widest"] for each in known.values()) <= 2.0**-51  # two ulps


def test_the_wrong_norm_is_falsified_on_real_data() -> None:
    """Negative control: the same runs, claimed to attain the l2 margin."""
    results = limit_checks.diagonal_l2(cases("data.digits", 2), context("data.digits"))
    assert [result.outcome for result in results] == [Outcome.FALSIFIED] * 2


def test_a_tampered_problem_is_not_held() -> None:
    """Planted: scores that the tokens do not give, and a start with c_j = 0."""
    case = cases("data.iris", 1)[0]
    scores = case.problem.scores[:, ::-1]
    swapped = replace(case, problem=replace(case.problem, scores=scores))
    frozen = replace(case, start=replace(case.start, query=case.start.key))
    results = limit_checks.diagonal_l1([swapped, frozen], context("data.iris"))
    assert [result.outcome for result in results] == [Outcome.VACUOUS] * 2
    assert [result.reason for result in results] == [
        "realisable is unmet",
        "nonzero-invariant is unmet",
    ]


@pytest.mark.parametrize("key", KEYS)
def test_without_scikit_learn_the_claim_is_not_run(
    key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "sklearn", None)
    monkeypatch.setattr(examples, "example", examples.example.__wrapped__)
    verdict = runner.run_unit(Unit(key, "quick", 0, str(tmp_path)))
    assert verdict.outcome is Outcome.NOT_RUN
    assert verdict.reason == examples.MISSING
    assert (verdict.tried, verdict.case) == (0, None)
    assert exit_status([verdict]) == 0, "an open claim never counts"
    assert exit_status([replace(verdict, expect="held")]) == 3, "any other would"


def test_another_failure_is_an_error_and_not_called_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(name: str) -> examples.Example:
        raise RuntimeError("the table is damaged")

    monkeypatch.setattr(examples, "example", broken)
    verdict = runner.run_unit(Unit("data.wine", "quick", 0, str(tmp_path)))
    assert verdict.outcome is Outcome.ERROR
    assert verdict.reason == "RuntimeError: the table is damaged"


def test_no_given_case_falls_short_in_silence() -> None:
    """Two informative runs where three are needed are not HELD."""
    from checks.aggregate import decide
    from checks.outcomes import CaseResult
    from checks.tally import Tally

    held = CaseResult(Outcome.HELD, "", "p", {"family": "data/iris"})
    claim = CLAIMS["data.iris"]
    need = verdicts.requirements(claim, given("data.iris"), PROFILES["quick"])
    few, enough = (Tally.of((held,) * count) for count in (need.informative - 1, need.informative))
    assert decide(few, need)[0] is Outcome.VACUOUS
    assert decide(enough, need)[0] is Outcome.HELD
    idle = Tally.of((replace(held, informative=False),) * data_checks.STARTS)
    assert decide(idle, need)[0] is Outcome.VACUOUS
