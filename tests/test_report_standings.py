"""The standings: what may be green, and what keeps a sentence from it."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checks.outcomes import Outcome
from reports.run import read_run
from reports.standing import sentence_verdicts, standings_of
from tests.report_claims import CLAIMS
from tests.report_fixture import edit_evidence, edit_verdict, write_run
from tests.report_page import page_of, verdicts_on


def test_green_only_if_what_it_rests_on_is_green(tmp_path: Path) -> None:
    write_run(tmp_path, outcomes={"gradient-margin-form": Outcome.INCONCLUSIVE})
    run = read_run(tmp_path)
    standings = {key: s.key for key, s in standings_of(run).items()}
    assert standings["gradient-margin-form"] == "inconclusive"
    assert standings["limit-direction-l1"] == "unsupported"  # three steps away
    assert standings["control-l1-is-l2"] == "unsupported"
    assert standings["svm-duality-l1"] == "held"
    shown = verdicts_on(page_of(tmp_path))
    assert "held" not in shown.values()
    assert shown["S1"] == "inconclusive"
    assert shown["S2"] == "unsupported"


@pytest.mark.parametrize("outcome", [o for o in Outcome if o is not Outcome.FALSIFIED])
def test_no_sentence_is_green_with_a_control_not_caught(tmp_path: Path, outcome: Outcome) -> None:
    write_run(tmp_path, outcomes={"control-l1-is-l2": outcome})
    shown = verdicts_on(page_of(tmp_path))
    assert shown["S2"] == ("missed" if outcome is Outcome.HELD else outcome.word)
    assert shown["S4"] == "held"


@pytest.mark.parametrize("outcome", [o for o in Outcome if o is not Outcome.HELD])
def test_no_sentence_is_green_with_a_claim_not_held(tmp_path: Path, outcome: Outcome) -> None:
    write_run(tmp_path, outcomes={"aligned-nuclear": outcome})
    shown = verdicts_on(page_of(tmp_path))
    assert shown["S6"] == outcome.word
    assert shown["S2"] == "held"


def test_an_open_claim_decides_nothing_but_supports_nothing(tmp_path: Path) -> None:
    write_run(tmp_path, outcomes={"frontier-unaligned": Outcome.FALSIFIED})
    assert verdicts_on(page_of(tmp_path))["S6"] == "partial"
    edit_evidence(tmp_path, "aligned-nuclear", rests_on=["frontier-unaligned"])
    assert verdicts_on(page_of(tmp_path))["S6"] == "unsupported"


def test_a_cycle_is_never_green(tmp_path: Path) -> None:
    write_run(tmp_path)
    edit_evidence(tmp_path, "softmax-jacobian", rests_on=["softmax-jacobian"])
    edit_evidence(tmp_path, "svm-duality-l1", rests_on=["kkt-dual-feasibility"])
    shown = verdicts_on(page_of(tmp_path))
    assert shown["S1"] == shown["S3"] == "unsupported"


def test_without_run_json_nothing_is_green(tmp_path: Path) -> None:
    """The remains of a run that was killed look like a small complete one."""
    write_run(tmp_path, only={"gradient-margin-form", "loss-decreases"}, manifest=False)
    page = page_of(tmp_path)
    assert "held" not in verdicts_on(page).values()
    assert "no run.json" in page.text


def test_a_claim_that_did_not_run_keeps_its_sentence_from_green(tmp_path: Path) -> None:
    write_run(tmp_path, only={c[0] for c in CLAIMS} - {"kkt-dual-feasibility"})
    page = page_of(tmp_path)
    assert verdicts_on(page)["S5"] == "not_run"
    assert verdicts_on(page)["S2"] == "held"
    assert "1 of 15 claims have no verdict" in page.text


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"outcome": "inconclusive"}, "its evidence file inconclusive"),
        ({"seed": 7}, "different runs"),
        ({"profile": "deep"}, "different runs"),
        ({"expect": "open"}, "expect different outcomes"),
        ({"counts": {"informative": 3}}, "count different cases"),
    ],
)
def test_evidence_of_another_run_is_an_error(
    tmp_path: Path, changes: dict[str, object], said: str
) -> None:
    write_run(tmp_path)
    edit_evidence(tmp_path, "limit-direction-l1", **changes)
    page = page_of(tmp_path)
    assert verdicts_on(page)["S2"] == "error"
    assert said in page.text


def test_held_without_an_informative_case_is_an_error(tmp_path: Path) -> None:
    write_run(tmp_path)
    edit_verdict(tmp_path, "limit-direction-l1", informative=0)
    edit_evidence(tmp_path, "limit-direction-l1", counts={})
    assert verdicts_on(page_of(tmp_path))["S2"] == "error"


def test_a_verdict_without_evidence_is_not_green(tmp_path: Path) -> None:
    write_run(tmp_path)
    (tmp_path / "evidence" / "limit-direction-l1.json").unlink()
    assert verdicts_on(page_of(tmp_path))["S2"] == "unsupported"


@settings(deadline=None, derandomize=True, database=None, max_examples=60)
@given(st.lists(st.sampled_from(list(Outcome)), min_size=len(CLAIMS), max_size=len(CLAIMS)))
def test_green_means_all_expected_below(outcomes: list[Outcome]) -> None:
    """Against a second, recursive reading of the rule, for arbitrary outcomes."""
    said = {c[0]: o for c, o in zip(CLAIMS, outcomes, strict=True)}
    # mostly as expected, so that green occurs
    said = {k: o for i, (k, o) in enumerate(said.items()) if i % 3 == 0 or o is Outcome.ERROR}
    with tempfile.TemporaryDirectory() as name:
        run = read_run(write_run(Path(name), outcomes=said))
    rows = {c[0]: c for c in CLAIMS}

    def sound(key: str) -> bool:
        verdict = run[key].verdict
        assert verdict is not None
        expected = rows[key][4] == verdict.outcome.word
        return expected and all(sound(k) for k in rows[key][3])

    standings = standings_of(run)
    for key in rows:
        assert (standings[key].key in ("held", "caught")) == sound(key)
    for s in sentence_verdicts(run):
        whole = all(sound(r.key) for r in (*s.claims, *s.controls)) and bool(s.controls)
        assert (s.standing.key == "held") == whole


def test_a_sentence_of_identities_alone_is_not_held(tmp_path: Path) -> None:
    identities = [c for c in CLAIMS if c[1] == "symbolic"]
    assert verdicts_on(page_of(write_run(tmp_path, identities))) == {
        "S1": "partial", "S2": "uncovered", "S3": "partial", "S4": "uncovered",
        "S5": "partial", "S6": "uncovered",
    }  # fmt: skip
