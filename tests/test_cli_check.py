"""``marginflow check``: bad problem files in one line, each outcome with its status and JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from checks import budgets
from checks.cases import Case
from checks.flow.settings import Settings
from checks.problem_files import write_problem
from tests.cli_fixture import call, drawn, refused
from tests.planted import classic

# --- bad problem files --------------------------------------------------------------------


def _npz(path: Path, **changes: object) -> Path:
    case = drawn("diagonal/separable/separating")
    names = ("tokens", "queries", "labels", "head")
    arrays: dict[str, Any] = {name: np.array(getattr(case.problem, name)) for name in names}
    np.savez(path, allow_pickle=True, **{**arrays, **changes})
    return path


def _nan(path: Path) -> Path:
    return _npz(path, head=np.full(5, np.nan))


def _label(path: Path) -> Path:
    return _npz(path, labels=np.array([1, 0, 1]))


def _objects(path: Path) -> Path:
    return _npz(path, labels=np.array([1, "a", None], dtype=object))


def _shape(path: Path) -> Path:
    return _npz(path, queries=np.ones((2, 5)))


def _text(path: Path) -> Path:
    path.write_text("tokens: none")
    return path


def _truncated(path: Path) -> Path:
    whole = _npz(path).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    return path


def _missing(path: Path) -> Path:
    return path


def _folder(path: Path) -> Path:
    path.mkdir()
    return path


@pytest.mark.parametrize(
    "make", [_nan, _label, _objects, _shape, _text, _truncated, _missing, _folder]
)
def test_bad_problem_files(make: Callable[[Path], Path], tmp_path: Path) -> None:
    file = make(tmp_path / "bad.npz")
    assert "bad.npz" in refused(call("check", file))
    assert "bad.npz" in refused(call("check", file, "--json"))


def test_a_model_that_contradicts_the_start(tmp_path: Path) -> None:
    case = drawn("diagonal/separable/separating")
    write_problem(tmp_path / "p.npz", case.problem, case.start)
    line = refused(call("check", tmp_path / "p.npz", "--model", "combined"))
    assert "diagonal" in line
    write_problem(tmp_path / "q.npz", case.problem)
    assert "nothing to run" in refused(call("check", tmp_path / "q.npz", "--starts", 0))


# --- check: the outcomes ------------------------------------------------------------------


def checked(case: Case, folder: Path, *options: object) -> tuple[int, dict[str, Any]]:
    file = folder / "problem.npz"
    write_problem(file, case.problem, case.start)
    done = call("check", file, "--json", *options)
    assert done.exit_code in (0, 1, 3), done.output
    return done.exit_code, json.loads(done.stdout)


_TOP = {"schema", "file", "model", "problem", "svm", "runs", "outcome"}
_PROBLEM = {"samples", "tokens", "dim", "constraints", "separability", "optimal_unique"}
_SVM = {"norm", "optimum", "lower", "upper", "proof", "unique", "solution"}
_SVM |= {"width", "status", "solver", "exact"}  # how the optimum was proven
_RUN = {
    "outcome", "reason", "reached_infimum", "selected_tokens", "margin_gap",
    "selected_margin_gap", "selected_outcome", "dual_gap", "direction", "log_norm", "log_time",
    "conservation_drift", "fidelity", "steps", "seconds",
}  # fmt: skip


def test_a_separating_start_holds_and_the_json_says_all(tmp_path: Path) -> None:
    case = drawn("diagonal/separable/separating")
    status, said = checked(case, tmp_path, "--html", tmp_path / "page.html")
    assert (status, said["outcome"], said["schema"], said["model"]) == (0, "held", 1, "diagonal")
    assert set(said) >= _TOP
    assert set(said["problem"]) == _PROBLEM
    assert set(said["svm"]) == _SVM
    assert said["problem"] == {
        "samples": 3, "tokens": 3, "dim": 5, "constraints": 6, "separability": "separable",
        "optimal_unique": True,
    }  # fmt: skip
    svm = said["svm"]
    assert svm["norm"] == "l1"
    assert svm["lower"] <= svm["optimum"] <= svm["upper"]
    assert (svm["proof"], svm["status"], svm["exact"]["of"]) == ("exact", "optimal", "optimum")
    assert svm["lower"] <= Fraction(svm["exact"]["value"]) <= svm["upper"]
    (run,) = said["runs"]
    assert set(run) >= _RUN
    assert run["reached_infimum"] is True
    assert run["selected_tokens"] == case.problem.optimal.tolist()
    assert abs(run["margin_gap"]) <= 1e-6  # twice the gap of the quick profile
    assert run["selected_margin_gap"] == pytest.approx(run["margin_gap"], abs=1e-9)
    assert run["dual_gap"] >= -1e-9  # weak duality, less the rounding of the product
    assert run["selected_outcome"] == "held"
    assert np.abs(run["direction"]).sum() == pytest.approx(1, rel=1e-12)
    assert run["conservation_drift"] < 1e-9
    assert run["fidelity"]["ok"] is True
    assert run["fidelity"]["audited"] > 0
    page = (tmp_path / "page.html").read_text()
    assert page.lower().startswith("<!doctype html>")
    assert "problem.npz" in page


@pytest.mark.parametrize(
    ("family", "word"),
    [
        ("diagonal/tied/separating", "optimal-unique"),
        ("diagonal/nonseparable/random", "separable"),
        ("diagonal/separable/degenerate", "nonzero-invariant"),
        ("diagonal/unrealisable/separating", "realisable"),
        ("diagonal/trap/trapped", "infimum-reached"),
    ],
)
def test_an_unmet_assumption_is_named_and_is_status_3(
    family: str, word: str, tmp_path: Path
) -> None:
    status, said = checked(drawn(family), tmp_path)
    assert (status, said["outcome"]) == (3, "vacuous")
    (run,) = said["runs"]
    assert run["outcome"] == "vacuous"
    assert run["reason"].startswith(f"{word} is unmet")
    assert (said["svm"] is None) == (said["problem"]["separability"] == "non-separable")
    assert said["problem"]["optimal_unique"] == (word != "optimal-unique")


def test_a_run_that_is_cut_short_is_inconclusive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = replace(budgets.PROFILES["quick"], settings=Settings(late_steps=3))
    monkeypatch.setitem(budgets.PROFILES, "quick", short)
    status, said = checked(drawn("diagonal/separable/separating"), tmp_path)
    assert (status, said["outcome"]) == (3, "inconclusive")
    assert "late steps" in said["runs"][0]["reason"]


def test_a_claim_that_fails_is_falsified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With an oracle that solves the l2 problem for the l1 one, the flow contradicts the claim."""
    classic.oracle_norm(monkeypatch)
    status, said = checked(drawn("diagonal/separable/separating", 2, (4, 3, 6)), tmp_path)
    assert (status, said["outcome"]) == (1, "falsified")


def test_drawn_starts_are_the_same_for_the_same_seed(tmp_path: Path) -> None:
    file = tmp_path / "p.npz"
    write_problem(file, drawn("diagonal/separable/separating").problem)

    def directions(seed: int) -> list[Any]:
        done = call("check", file, "--json", "--starts", 2, "--seed", seed)
        return [run["direction"] for run in json.loads(done.stdout)["runs"]]

    first = directions(0)
    assert len(first) == 2
    assert first == directions(0)
    assert first != directions(1)


def test_the_text_names_outcome_and_tokens(tmp_path: Path) -> None:
    case = drawn("diagonal/separable/separating")
    write_problem(tmp_path / "p.npz", case.problem, case.start)
    done = call("check", tmp_path / "p.npz")
    assert done.exit_code == 0
    assert "p.npz: held" in done.stdout
    assert str(case.problem.optimal.tolist()) in done.stdout
