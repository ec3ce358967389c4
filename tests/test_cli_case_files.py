"""``marginflow replay`` and ``audit``: case files that stand, that do not, and damaged ones."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from checks import budgets, campaign
from checks.outcomes import Outcome
from checks.parts import Unit
from checks.verdicts import case_file
from tests.cli_fixture import call, drawn, refused


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
