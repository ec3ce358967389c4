"""``check`` on many files, and ``verify --data``: every claim that applies, and no other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from checks import own_cases, own_data, registry
from checks.cases import Case, campaign_specs, decode
from checks.cli import main
from checks.parts import Unit, plan
from checks.problem_files import write_problem
from checks.problems import Start


def drawn(family: str, shape: tuple[int, int, int] = (3, 3, 4)) -> Case:
    return decode(campaign_specs("own", family, shape, 0, [0])[0])


def call(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(a) for a in arguments])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A diagonal start that holds, one that is vacuous, and combined weights."""
    data = tmp_path / "data"
    data.mkdir()
    for name, family in (
        ("good", "diagonal/separable/separating"),
        ("trapped", "diagonal/trap/trapped"),
        ("w", "combined/separable/separating"),
    ):
        case = drawn(family, (4, 3, 6))
        write_problem(data / f"{name}.npz", case.problem, case.start)
    return data


def applicable(directory: Path) -> set[str]:
    return {key for key in registry.CHECKS if own_cases.applies(key, str(directory))}


def test_claims_apply_by_model(folder: Path) -> None:
    both = applicable(folder)
    assert {"limit.diagonal-l1", "limit.combined-frobenius", "selection.selected-svm"} <= both
    assert "limit.combined-l2" not in both, "no file holds combined diagonal weights"
    assert "limit.one-sample" not in both
    assert not {key for key in both if key.startswith(("control.", "symbolic.", "data."))}
    assert not {key for key in both if "aligned" in key and "unaligned" not in key}
    (folder / "w.npz").unlink()
    assert "limit.combined-frobenius" not in applicable(folder)
    case = drawn("diagonal/one-sample/separating", (1, 4, 4))
    write_problem(folder / "one.npz", case.problem, case.start)
    assert "limit.one-sample" in applicable(folder)


def test_a_file_without_a_start_is_judged_under_every_model(folder: Path) -> None:
    for file in folder.iterdir():
        file.unlink()
    write_problem(folder / "p.npz", drawn("diagonal/separable/random").problem)
    assert {"limit.diagonal-l1", "limit.combined-l2", "limit.combined-frobenius"} <= applicable(
        folder
    )
    unit = Unit("limit.combined-l2", "quick", 0, "out", data=str(folder))
    given: Any = unit.cases()
    cases = [given.decode(spec) for spec in given.specs(0)]
    assert len(cases) == 8
    assert {case.start.weights.ndim for case in cases} == {1}
    assert len({case.start.weights.tobytes() for case in cases}) == 8
    again = [given.decode(spec).start.weights for spec in given.specs(0)]
    assert all(np.array_equal(a, c.start.weights) for a, c in zip(again, cases, strict=True))


def test_what_is_stored_belongs_to_the_files_bytes(folder: Path) -> None:
    unit = Unit("limit.diagonal-l1", "quick", 0, "out", data=str(folder))
    (before,) = plan(unit)
    assert plan(unit) == [before]
    case = drawn("diagonal/separable/small")
    write_problem(folder / "good.npz", case.problem, case.start)
    (after,) = plan(unit)
    assert after.key({}) != before.key({})


def test_the_users_files_are_judged_and_decide_no_exit_status(folder: Path, tmp_path: Path) -> None:
    done = call("verify", "limit.diagonal-l1", "flow.gradient", "--data", folder,
                "--out", tmp_path / "out", "--workers", 1)  # fmt: skip
    assert done.exit_code == 0, done.output
    lines = (tmp_path / "out" / "verdicts.jsonl").read_text().splitlines()
    found = {line["claim"]: line for line in map(json.loads, lines)}
    limit, gradient = found["limit.diagonal-l1"], found["flow.gradient"]
    assert (limit["expect"], limit["outcome"], limit["tried"]) == ("open", "held", 2)
    assert (limit["informative"], limit["vacuous"]) == (1, 1)
    assert (gradient["outcome"], gradient["tried"]) == ("held", 3)
    evidence = json.loads((tmp_path / "out" / "evidence" / "limit.diagonal-l1.json").read_text())
    assert evidence["reasons"] == {"infimum-reached is unmet: a sample settled on another token": 1}


@pytest.mark.parametrize(
    ("claims", "words"),
    [(["control.frozen-sign"], "cannot be judged"), (["limit.combined-l2"], "cannot be judged")],
)
def test_a_claim_that_does_not_apply_is_refused(
    claims: list[str], words: str, folder: Path, tmp_path: Path
) -> None:
    done = call("verify", *claims, "--data", folder, "--out", tmp_path / "out")
    assert done.exit_code == 2
    assert words in done.stderr
    assert claims[0] in done.stderr
    assert not (tmp_path / "out").exists()


def test_bad_folders(folder: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    for directory, words in ((tmp_path / "none", "not a directory"), (empty, "no problem file")):
        done = call("verify", "--data", directory, "--out", tmp_path / "out")
        assert (done.exit_code, len(done.stderr.splitlines())) == (2, 1)
        assert words in done.stderr
    (folder / "a.npz").write_bytes(b"PK")
    done = call("verify", "--data", folder, "--out", tmp_path / "out")
    assert done.exit_code == 2
    assert "a.npz" in done.stderr


def _outcome_by_name(path: Path, *_: Any, **__: Any) -> dict[str, Any]:
    """The file is read for good; its name is its outcome, in the place of a flow."""
    own_data.read_problem(path)
    return {"file": str(path), "outcome": path.stem}


def test_many_files_are_checked_and_the_most_serious_status_counts(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(own_data, "check", _outcome_by_name)
    for name, to in (("good", "held"), ("trapped", "vacuous"), ("w", "falsified")):
        (folder / f"{name}.npz").rename(folder / f"{to}.npz")
    words = ("held", "vacuous", "falsified", "bad")
    good, trapped, wrong, bad = (folder / f"{word}.npz" for word in words)
    both = call("check", good, trapped, "--json")
    assert both.exit_code == 3, both.output
    said = [json.loads(line) for line in both.stdout.splitlines()]
    assert [one["outcome"] for one in said] == ["held", "vacuous"]
    bad.write_bytes(b"none")
    some = call("check", bad, good, "--json")
    assert some.exit_code == 2
    assert json.loads(some.stdout)["outcome"] == "held", "the others are judged all the same"
    assert "bad.npz" in some.stderr
    assert call("check", bad, good, trapped, wrong, "--json").exit_code == 1
    assert call("check", good, good, "--json").exit_code == 0
    assert call("check", good, good, "--html", folder / "page.html").exit_code == 2
    assert call("check").exit_code == 2


def test_starts_of_every_model_read_back_as_their_own(tmp_path: Path) -> None:
    problem = drawn("diagonal/separable/random").problem
    d = problem.dim
    starts = {
        "diagonal": Start.diagonal(np.ones(d), np.ones(d) / 2, d),
        "combined-diagonal": Start.combined(np.ones(d), d),
        "combined": Start.combined(np.eye(d), d),
        "factored": Start.factored(np.ones((d, 2)), np.ones((d, 2)), d),
    }
    for model, start in starts.items():
        assert own_cases._held(start) == model
