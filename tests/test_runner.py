"""One claim from cases to a verdict: what is written and replayed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from checks import budgets, campaign, registry, runner, streams
from checks.audit import audit_case
from checks.budgets import Budget
from checks.campaign import Order
from checks.cases import Case, CaseSpec, blob_length
from checks.context import Context
from checks.flow.settings import Settings
from checks.limit_checks import result, unmet, vacuous
from checks.outcomes import CaseResult, Measurement, Outcome, Verdict, exit_status
from checks.parts import Part, Unit
from checks.registry import Check
from checks.runner import run_unit

TINY = Budget(
    "quick", cases=12, search=2, search_batch=2, chunk=64, violators=3, audited=0.05, stretches=4,
    informative=4, problems=4, settings=Settings(gap=1e-5, early_steps=600, late_steps=100),
)  # fmt: skip
CLAIM = "limit.combined-l2"
SHAPES = ((2, 3, 3), (4, 3, 6))
STREAM = replace(streams.COMBINED_DIAGONAL_LIMIT, shapes=SHAPES, share=1.0, must_see=())


def _order(claims: Sequence[str], directory: Path, **changes: Any) -> Order:
    order = Order(tuple(claims), "quick", 0, str(directory), "cpu", 1, False, None, False)
    return replace(order, **changes)


@pytest.fixture(scope="module", autouse=True)
def _tiny() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(budgets.PROFILES, "quick", TINY)
        patch.setitem(budgets.PROFILES, "full", replace(TINY, name="full", search=40))
        patch.setattr(streams, "COMBINED_DIAGONAL_LIMIT", STREAM)
        yield


# --- checks made for these tests: the registry finds them by name --------------------------


def holds(cases: Sequence[Case], context: Context) -> list[CaseResult]:
    """HELD wherever the assumptions on problem and start are met."""
    out = []
    for case in cases:
        margins, missing = unmet(case, context.assumptions)
        measured = (Measurement("planted", 0.5, 1.0, "chosen for the test"),)
        out.append(
            vacuous(case, margins, missing)
            if missing
            else result(case, Outcome.HELD, "", margins, measurements=measured)
        )
    return out


def breaks(cases: Sequence[Case], context: Context) -> list[CaseResult]:
    """FALSIFIED where the first byte is 100 or more: what a search can find and shrink."""
    measured = (Measurement("planted", 2.0, 1.0, "chosen for the test"),)
    return [
        replace(r, outcome=Outcome.FALSIFIED, reason="planted", measurements=measured)
        if r.outcome is Outcome.HELD and case.spec.blob[0] >= 100
        else r
        for case, r in zip(cases, holds(cases, context), strict=True)
    ]


def raises(cases: Sequence[Case], context: Context) -> list[CaseResult]:
    raise ZeroDivisionError("a bug in the check\nwith a second line")


def ignores(cases: Sequence[Case], context: Context) -> list[CaseResult]:
    """Judges no assumption."""
    return [result(case, Outcome.HELD, "", {}) for case in cases]


_CHEAP = replace(STREAM, sources=STREAM.sources[:1])


@pytest.fixture
def measured_by(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Put one of the checks above in the place of a claim's own; S2's infimum is not theirs."""

    def put(name: str, claim: str = "limit.trajectory-certificate") -> str:
        check = Check(claim, f"{__name__}:{name}", f"{__name__}:_CHEAP")
        monkeypatch.setitem(registry.CHECKS, claim, check)
        return claim

    return put


# --- one claim ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Verdict]:
    """A limit claim measured for good, on a small budget."""
    directory = tmp_path_factory.mktemp("limit")
    return directory, run_unit(Unit(CLAIM, "quick", 0, str(directory)))


def test_the_evidence_agrees_with_the_verdict(done: tuple[Path, Verdict]) -> None:
    directory, verdict = done
    assert verdict.outcome is Outcome.HELD, verdict.reason
    evidence = json.loads((directory / "evidence" / f"{CLAIM}.json").read_text())
    line = json.loads(verdict.to_json())
    for name in ("claim", "outcome", "reason", "expect", "kind", "profile", "seed", "versions"):
        assert evidence[name] == line[name], name
    counts = evidence["counts"]
    for name in ("tried", "informative", "vacuous", "inconclusive", "problems"):
        assert counts[name] == line[name], name
    decided = ("held", "falsified", "vacuous", "inconclusive", "error")
    assert sum(counts[word] for word in decided) == counts["tried"]
    assert sum(evidence["reasons"].values()) == counts["tried"] - counts["held"]
    assert evidence["worst"]["ratio"] == line["worst"]
    assert evidence["worst"]["file"] == line["case"]
    violators = {a["key"]: a["violators"] for a in evidence["assumptions"]}
    assert set(violators) == {"optimal-unique", "separable", "realisable", "infimum-reached"}
    assert all(v["tried"] == v["vacuous"] >= TINY.violators for v in violators.values())


def test_the_case_file_stands_up_to_the_audit(done: tuple[Path, Verdict]) -> None:
    directory, verdict = done
    assert verdict.case is not None
    record = json.loads((directory / verdict.case).read_text())
    stands, why = audit_case(record)
    assert stands, why
    # The same certificate about another dataset: the audit must object.
    record["problem"]["tokens"][0][0][0] = (3.5).hex()
    assert not audit_case(record)[0]


def test_a_replay_gives_the_recorded_outcome_and_numbers(done: tuple[Path, Verdict]) -> None:
    """From the arrays in the file alone, the blob being spoilt."""
    directory, verdict = done
    assert verdict.case is not None
    record = json.loads((directory / verdict.case).read_text())
    record["spec"]["blob"] = "00"
    again = runner.replay(record)
    assert again.outcome.word == record["outcome"] == "held"
    worst = again.worst
    assert worst is not None
    assert worst.name == record["measurement"]["name"]
    # A batch of other rows takes other steps in the last bits: the same gap, far below it.
    assert worst.value == pytest.approx(record["measurement"]["value"], abs=1e-9)


def test_the_same_seed_gives_the_same_line_and_another_seed_another(tmp_path: Path) -> None:
    def line(seed: int, name: str) -> dict[str, Any]:
        unit = Unit("flow.gradient", "quick", seed, str(tmp_path / name))
        return {**json.loads(run_unit(unit).to_json()), "seconds": 0}

    first = line(0, "a")
    assert first["outcome"] == "held"
    assert first == line(0, "b")
    assert first["worst"] != line(1, "c")["worst"]


def test_a_check_that_raises_is_an_error_of_its_claim(tmp_path: Path, measured_by: Any) -> None:
    verdict = run_unit(Unit(measured_by("raises"), "quick", 0, str(tmp_path)))
    assert (verdict.outcome, verdict.reason) == (
        Outcome.ERROR,
        "ZeroDivisionError: a bug in the check",
    )
    assert verdict.case is None
    evidence = json.loads((tmp_path / "evidence" / f"{verdict.claim}.json").read_text())
    assert evidence["outcome"] == "error"
    assert exit_status([verdict]) == 3


def test_violators_that_pass_unnoticed_are_an_error(tmp_path: Path, measured_by: Any) -> None:
    verdict = run_unit(Unit(measured_by("ignores"), "quick", 0, str(tmp_path)))
    assert verdict.outcome is Outcome.ERROR
    assert "3 of 3 cases that violate optimal-unique" in verdict.reason


# --- the search ----------------------------------------------------------------------------


@pytest.fixture
def _no_campaign(monkeypatch: pytest.MonkeyPatch, measured_by: Any) -> None:
    monkeypatch.setattr(runner, "plan", lambda unit: [Part(unit, "search")])
    measured_by("breaks")


@pytest.mark.usefixtures("_no_campaign")
def test_the_search_finds_a_counterexample_and_shrinks_it(tmp_path: Path) -> None:
    """Beyond the quick profile: the simplest bytes that still break, in the simplest shape."""
    unit = Unit("limit.trajectory-certificate", "full", 0, str(tmp_path))
    verdict = run_unit(unit)
    assert (verdict.outcome, verdict.reason) == (Outcome.FALSIFIED, "planted")
    assert verdict.case is not None
    record = json.loads((tmp_path / verdict.case).read_text())
    family, shape = _CHEAP.sources[0].family, SHAPES[0]
    simplest = bytes([100]) + bytes(blob_length(family, shape) - 1)
    assert record["spec"] == CaseSpec(family, shape, simplest).to_json()
    assert runner.replay(record).outcome is Outcome.FALSIFIED
    assert exit_status([verdict]) == 1


@pytest.mark.usefixtures("_no_campaign")
def test_the_quick_profile_finds_it_and_does_not_shrink(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(budgets.PROFILES, "quick", replace(TINY, search=20))
    verdict = run_unit(Unit("limit.trajectory-certificate", "quick", 0, str(tmp_path)))
    assert verdict.outcome is Outcome.FALSIFIED
    assert verdict.tried <= 20 * TINY.search_batch


@pytest.mark.usefixtures("_no_campaign")
def test_the_search_has_a_stream_for_every_claim_and_seed() -> None:
    """One function serves every claim: unseeded, each would get the same cases."""
    claim = campaign.CLAIMS["limit.trajectory-certificate"]
    other = campaign.CLAIMS["limit.kkt-complementarity"]

    def drawn(about: Any, seed: int) -> list[str]:
        seen: list[str] = []

        def results_of(specs: Any) -> list[CaseResult]:
            seen.extend(spec.blob.hex() for spec in specs)
            return []

        runner.search(about, _CHEAP, replace(TINY, search=8), seed, results_of)
        return seen

    assert drawn(claim, 0) == drawn(claim, 0)
    assert drawn(claim, 0) != drawn(claim, 1)
    assert drawn(claim, 0) != drawn(other, 0)
