"""The ``marginflow`` command: exit statuses, one line for bad input, JSON, interruption."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result

from checks import budgets, campaign
from checks.cases import Case, campaign_specs, decode
from checks.cli import main
from checks.flow.settings import Settings
from checks.outcomes import Outcome
from checks.parts import Unit
from checks.problem_files import write_problem
from checks.tally import Tally
from checks.verdicts import case_file, conclude
from tests.child import line_with
from tests.planted import classic

ROOT = Path(__file__).resolve().parent.parent
SYMBOLIC = "symbolic.softmax-jacobian"


def call(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(a) for a in arguments])


def refused(result: Result) -> str:
    """The one line on stderr of a run that ended with exit status 2."""
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("marginflow: ")
    assert "Traceback" not in lines[0]
    return lines[0]


def drawn(family: str, index: int = 0, shape: tuple[int, int, int] = (3, 3, 4)) -> Case:
    return decode(campaign_specs("tests.test_cli", family, shape, 0, [index])[0])


# --- verify -------------------------------------------------------------------------------


def test_status_0_where_all_is_as_expected(tmp_path: Path) -> None:
    done = call("verify", SYMBOLIC, "control.symbolic-sign", "--out", tmp_path, "--workers", 1)
    assert done.exit_code == 0, done.output
    assert done.stdout.count("\nok ") + done.stdout.startswith("ok ") == 2
    assert done.stdout.splitlines()[-1] == f"report: {tmp_path / 'index.html'}"
    assert "running" in done.stderr
    assert "running" not in done.stdout
    for name in ("index.html", "verdicts.jsonl", "summary.md", "run.json"):
        assert (tmp_path / name).is_file()
    assert (tmp_path / "evidence" / f"{SYMBOLIC}.json").is_file()


@pytest.mark.parametrize(
    ("expect", "outcome", "status"),
    [
        ("held", Outcome.HELD, 0),
        ("held", Outcome.FALSIFIED, 1),
        ("held", Outcome.VACUOUS, 3),
        ("held", Outcome.INCONCLUSIVE, 3),
        ("held", Outcome.ERROR, 3),
        ("held", Outcome.NOT_RUN, 3),
        ("falsified", Outcome.FALSIFIED, 0),
        ("falsified", Outcome.HELD, 1),
        ("falsified", Outcome.INCONCLUSIVE, 1),
        ("falsified", Outcome.ERROR, 1),
        ("open", Outcome.FALSIFIED, 0),
        ("open", Outcome.ERROR, 0),
    ],
)
def test_the_exit_status_is_that_of_the_verdicts(
    expect: str, outcome: Outcome, status: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unit = Unit(SYMBOLIC, "quick", 0, str(tmp_path))
    verdict = replace(conclude(unit, Tally(), 0.0, (outcome, "")), expect=expect)
    monkeypatch.setattr(campaign, "close", lambda unit, parts: verdict)
    done = call("verify", SYMBOLIC, "--out", tmp_path, "--workers", 1)
    assert done.exit_code == status, done.output


def test_an_unknown_claim(tmp_path: Path) -> None:
    line = refused(call("verify", "limit.diagonal-l3", "--out", tmp_path / "new"))
    assert "did you mean limit.diagonal-l1?" in line
    assert not (tmp_path / "new").exists()
    assert "did you mean" not in refused(call("explain", "qqqq"))


def test_out_that_is_a_file(tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.write_text("mine")
    assert "is a file" in refused(call("verify", SYMBOLIC, "--out", taken))
    assert taken.read_text() == "mine"
    assert "cannot write" in refused(call("verify", SYMBOLIC, "--out", taken / "below"))
    line = refused(call("verify", SYMBOLIC, "--out", tmp_path / ("y" * 300)))
    assert "File name too long" in line


def test_out_with_a_file_where_a_folder_belongs(tmp_path: Path) -> None:
    evidence = tmp_path / "evidence"
    evidence.write_text("mine")
    done = call("verify", SYMBOLIC, "--out", tmp_path, "--workers", 1)
    assert done.exit_code == 2, done.output
    assert done.stderr.splitlines()[-1] == f"marginflow: cannot write to {evidence}: File exists"
    assert evidence.read_text() == "mine"


@pytest.mark.parametrize("limit", ["soon", "-5s", "0", "nan", "inf", "1e999h", ""])
def test_a_time_limit_that_is_no_time(limit: str, tmp_path: Path) -> None:
    assert "is no time" in refused(call("verify", "--time-limit", limit, "--out", tmp_path))


@pytest.mark.parametrize(
    "options",
    [
        ["--profile", "huge"], ["--seed", "-1"], ["--seed", "x"], ["--workers", "0"],
        ["--device", "tpu"], ["--frobnicate"], ["--cluster", "tcp://h:1", "--workers", "2"],
    ],
)  # fmt: skip
def test_options_that_cannot_be(options: list[str], tmp_path: Path) -> None:
    line = refused(call("verify", SYMBOLIC, "--out", tmp_path / "out", *options))
    assert options[0].lstrip("-") in line
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="here it is a good request")
def test_cuda_without_cuda(tmp_path: Path) -> None:
    line = refused(call("verify", SYMBOLIC, "--device", "cuda", "--out", tmp_path / "out"))
    assert "no CUDA device" in line


def test_no_such_command() -> None:
    assert "No such command 'verifi" in refused(call("verifi"))


def test_without_a_command_the_help_is_shown() -> None:
    done = call()
    assert done.exit_code == 2
    assert done.stderr.startswith("Usage:")
    assert call("--help").exit_code == 0


# --- list, explain, report ----------------------------------------------------------------


def test_list_and_explain() -> None:
    listed = call("list")
    assert listed.exit_code == 0
    keys = [line.split()[0] for line in listed.stdout.splitlines()]
    assert keys == list(campaign.CLAIMS)
    told = call("explain", "limit.diagonal-l1")
    assert told.exit_code == 0
    for word in ("S2", "nonzero-invariant", "infimum-reached", "Falsified by"):
        assert word in told.stdout
    assert "Derivation" in call("explain", SYMBOLIC).stdout


def test_report_of_a_directory_without_a_run(tmp_path: Path) -> None:
    refused(call("report", tmp_path / "nowhere"))
    assert not (tmp_path / "nowhere").exists()


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


# --- case files ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def record() -> dict[str, Any]:
    """The case file of one held run of limit.diagonal-l1."""
    from checks.context import Context
    from checks.limit_checks import diagonal_l1

    claim = campaign.CLAIMS["limit.diagonal-l1"]
    context = Context(claim.key, claim.assumptions, budgets.PROFILES["quick"])
    case = drawn("diagonal/separable/separating")
    (result,) = diagonal_l1([case], context)
    assert result.outcome is Outcome.HELD, result.reason
    return case_file(case, result, Unit(claim.key, "quick", 0, "unused"))


def _written(path: Path, record: object) -> Path:
    path.write_text(json.dumps(record))
    return path


def test_a_case_file_replays_and_stands(record: dict[str, Any], tmp_path: Path) -> None:
    file = _written(tmp_path / "case.json", record)
    replayed = call("replay", file)
    assert replayed.exit_code == 0, replayed.output
    assert "recorded held, now held" in replayed.stdout
    audited = call("audit", file)
    assert audited.exit_code == 0, audited.output
    assert audited.stdout.startswith("stands")


def test_a_case_file_that_says_otherwise_is_status_1(
    record: dict[str, Any], tmp_path: Path
) -> None:
    other = _written(tmp_path / "other.json", {**record, "outcome": "falsified"})
    assert call("replay", other).exit_code == 1
    narrow = {**record["certificate"], "gap": (1e-300).hex()}
    claimed = call("audit", _written(tmp_path / "gap.json", {**record, "certificate": narrow}))
    assert claimed.exit_code == 1
    assert "does NOT stand" in claimed.stdout


def _without(key: str) -> Callable[[dict[str, Any]], object]:
    return lambda record: {k: v for k, v in record.items() if k != key}


DAMAGES: dict[str, Callable[[dict[str, Any]], object]] = {
    "no claim": _without("claim"),
    "no problem": _without("problem"),
    "a list": lambda record: [record],
    "an unknown schema": lambda record: {**record, "schema": 99},
    "a problem of text": lambda record: {**record, "problem": "none"},
    "tokens of NaN": lambda record: {
        **record, "problem": {**record["problem"], "tokens": [[["nan"]]]},
    },
    "ragged tokens": lambda record: {
        **record, "problem": {**record["problem"], "tokens": [[["0x1p0"], []]]},
    },
}  # fmt: skip


@pytest.mark.parametrize("command", ["replay", "audit"])
@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_case_files(
    command: str, damage: str, record: dict[str, Any], tmp_path: Path
) -> None:
    file = _written(tmp_path / "case.json", DAMAGES[damage](record))
    assert "case.json" in refused(call(command, file))


@pytest.mark.parametrize(
    "changes",
    [{"claim": "limit.none"}, {"claim": 7}, {"profile": "huge"}, {"outcome": None}, {"spec": {}},
     {"model": "factored"}],
)  # fmt: skip
def test_case_files_that_no_claim_can_be_asked_about(
    changes: dict[str, Any], record: dict[str, Any], tmp_path: Path
) -> None:
    file = _written(tmp_path / "case.json", {**record, **changes})
    assert "case.json" in refused(call("replay", file))


@pytest.mark.parametrize("command", ["replay", "audit"])
@pytest.mark.parametrize("text", ["", "{", "\x00\x01", "[" * 100_000, '{"claim"'])
def test_files_that_are_no_json(command: str, text: str, tmp_path: Path) -> None:
    file = tmp_path / "case.json"
    file.write_text(text)
    assert "case.json" in refused(call(command, file))
    assert "nowhere.json" in refused(call(command, tmp_path / "nowhere.json"))


def test_a_case_without_a_certificate_cannot_be_audited(
    record: dict[str, Any], tmp_path: Path
) -> None:
    file = _written(tmp_path / "case.json", {**record, "certificate": None})
    assert "no certificate" in refused(call("audit", file))


# --- interruption -------------------------------------------------------------------------


def _command(out: Path, workers: int, *more: str) -> list[str]:
    # The second takes long enough to be under way when the first one's verdict is seen.
    claims = [SYMBOLIC, "flow.conservation"]
    return [sys.executable, "-m", "checks.cli", "verify", *claims, "--out", str(out),
            "--workers", str(workers), *more]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_ctrl_c_leaves_a_directory_that_resume_completes(workers: int, tmp_path: Path) -> None:
    """SIGINT to the whole group, as a terminal sends it, once the first verdict is said."""
    run = subprocess.Popen(
        _command(tmp_path, workers), cwd=ROOT, text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    line_with(SYMBOLIC, run, run.stdout)
    lines = tmp_path / "verdicts.jsonl"
    os.killpg(run.pid, signal.SIGINT)
    _, stderr = run.communicate(timeout=60)
    assert run.returncode == 130, stderr
    assert stderr.splitlines()[-1] == "marginflow: interrupted; nothing that was finished is lost"
    assert "Traceback" not in stderr
    kept = lines.read_text()
    assert [json.loads(line)["claim"] for line in kept.splitlines()] == [SYMBOLIC]
    assert (tmp_path / "index.html").is_file()
    assert not list(tmp_path.rglob("*.part"))
    again = subprocess.run(
        _command(tmp_path, workers, "--resume"), cwd=ROOT, text=True, capture_output=True,
        timeout=120, check=False,
    )  # fmt: skip
    assert again.returncode == 0, again.stderr
    assert f"running {SYMBOLIC}" not in again.stderr
    assert lines.read_text().startswith(kept)
    assert len(lines.read_text().splitlines()) == 2
