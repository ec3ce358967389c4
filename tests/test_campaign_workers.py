"""Workers of a campaign: they find what one process finds, and one of another kind is refused."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from checks import budgets, campaign, workers
from checks.runner import run_part
from tests import campaign_fixture
from tests.campaign_fixture import FIRST, QUICK, order_of, run

_tiny = campaign_fixture.tiny


def _files(directory: Path) -> dict[str, bytes]:
    """Everything a run says, less the times."""
    out = {}
    for path in (*directory.glob("cases/*"), *directory.glob("evidence/*")):
        record = {**json.loads(path.read_text()), "seconds": 0}
        out[path.name] = json.dumps(record).encode()
    return out


CLAIMS = ["flow.gradient", FIRST, "control.unscaled-gradient"]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What this process finds by itself, on the quick profile that workers have."""
    directory = tmp_path_factory.mktemp("alone")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(budgets.PROFILES, "quick", QUICK)
        verdicts = run(order_of(CLAIMS, directory))
    assert {v.outcome.word for v in verdicts} == {"held", "falsified"}
    return directory


def _lines(directory: Path) -> list[str]:
    lines = (directory / "verdicts.jsonl").read_text().splitlines()
    return sorted(json.dumps({**json.loads(line), "seconds": 0}) for line in lines)


@pytest.mark.slow
@pytest.mark.parametrize("count", [2, 3])
def test_workers_find_what_one_process_finds(
    count: int, alone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bit for bit; the workers are other processes, so this is the quick profile itself."""
    monkeypatch.setitem(budgets.PROFILES, "quick", QUICK)
    run(order_of(CLAIMS, tmp_path, workers=count))
    assert _lines(tmp_path) == _lines(alone)
    assert _files(tmp_path) == _files(alone)


def test_a_worker_of_another_kind_is_refused(tmp_path: Path) -> None:
    """Another library, another edit, another code path: other bits."""
    part = campaign.plan(campaign.Unit(FIRST, "quick", 0, str(tmp_path)))[0]
    measured = run_part(part, {**campaign.code(), "numpy": "1.0", "MKL_CBWR": "COMPATIBLE"})
    assert measured.tally is None
    assert measured.outcome == "error"
    assert "not 1.0" in measured.reason
    assert "MKL_CBWR" in measured.reason


def test_only_the_pools_own_stumble_is_kept_from_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[type[BaseException]] = []
    monkeypatch.setattr(threading, "excepthook", lambda failure: shown.append(failure.exc_type))

    def fail(kind: type[Exception]) -> None:
        raise kind(4)

    with workers._without_manager_errors():
        for name, kind in (
            ("ExecutorManagerThread", KeyError), ("ExecutorManagerThread", ValueError),
            ("another", KeyError),
        ):  # fmt: skip
            thread = threading.Thread(target=fail, args=(kind,), name=name)
            thread.start()
            thread.join()
    assert shown == [ValueError, KeyError]
