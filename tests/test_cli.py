"""The ``marginflow`` command: verify, list, explain, report; exit statuses, one line if refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from checks import campaign
from checks.outcomes import Outcome
from checks.parts import Unit
from checks.tally import Tally
from checks.verdicts import conclude
from tests.cli_fixture import SYMBOLIC, call, refused

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
