"""Faults in a campaign, at moments drawn by seed: nothing stored is lost or measured again."""

from __future__ import annotations

import os
import random
import resource
import select
import signal
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from checks import campaign, workers
from checks.campaign import Order
from checks.outcomes import exit_status
from checks.parts import Measured, Part
from checks.runner import run_part
from checks.store import NAME, Store
from tests import campaign_fixture
from tests.campaign_fixture import FIRST, SECOND, order_of, run, timeless, words

_tiny, measured_by = campaign_fixture.tiny, campaign_fixture.measured_by


def _forked(work: Callable[[], int]) -> int:
    """Start ``work`` in a copy of this process, which has everything loaded; its process id."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Python 3.12 warns of threads; none of them is needed
        child = os.fork()
    if child:
        return child
    status = 99
    try:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.dup2(null, 2)
        status = work()
    finally:
        os._exit(status)


def _wait(child: int, seconds: float) -> None:
    """Until the child ends, or its time is up: the moment itself is what is drawn."""
    ended = os.pidfd_open(child)
    try:
        select.select([ended], [], [], seconds)
    finally:
        os.close(ended)


def _kills(request: pytest.FixtureRequest) -> int:
    return 50 if request.config.getoption("--nightly") else 5


def test_kill_9_at_any_moment_loses_and_repeats_nothing(
    tmp_path: Path, measured_by: Any, monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:  # fmt: skip
    """The main process is killed at moments drawn by seed, and resumed, until all is done."""
    claims = [measured_by("holds", FIRST), measured_by("breaks", SECOND)]
    begun = time.monotonic()
    whole = timeless(run(order_of(claims, tmp_path / "whole")))
    length = time.monotonic() - begun
    log = tmp_path / "log"

    def logged(part: Part) -> Measured:
        measured = run_part(part)
        with log.open("a") as stream:
            stream.write(part.key(campaign.code()) + "\n")
        return measured

    monkeypatch.setattr(workers, "run_part", logged)
    draw, kills, attempt = random.Random(9), 0, 0
    while kills < _kills(request):
        order = order_of(claims, tmp_path / f"killed {attempt}", resume=True)
        attempt += 1
        for _ in range(200):
            held = _held(order)
            log.write_text("")
            child = _forked(lambda order=order: exit_status(run(order)))  # type: ignore[misc]
            _wait(child, draw.uniform(0, length / 2))
            os.kill(child, signal.SIGKILL)
            _, status = os.waitpid(child, 0)
            assert held <= _held(order), "nothing that was stored is lost"
            assert not held & set(log.read_text().split()), "nothing stored is measured again"
            if os.WIFEXITED(status):
                assert os.WEXITSTATUS(status) == 1, "falsified, as planted"
                break
            kills += 1
        assert timeless(run(order)) == whole


def _held(order: Order) -> set[str]:
    if not (Path(order.directory) / NAME).is_file():
        return set()
    store = Store(Path(order.directory), fresh=False)
    try:
        return store.held()
    finally:
        store.close()


def test_a_full_disk_is_one_line_and_resume_goes_on(
    tmp_path: Path, measured_by: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The largest file there may be is drawn by seed: the disk is full in the middle of it."""
    from click.testing import CliRunner

    from checks.cli import main

    claims = [measured_by("holds", FIRST), measured_by("breaks", SECOND)]
    whole = timeless(run(order_of(claims, tmp_path / "whole")))
    draw = random.Random(10)
    size = (tmp_path / "whole" / NAME).stat().st_size
    out, said = tmp_path / "full", tmp_path / "said"

    def full(limit: int) -> int:
        arguments = ["verify", *claims, "--workers", "1", "--resume", "--out", str(out)]
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        result = CliRunner().invoke(main, arguments)
        said.write_text(result.stderr.splitlines()[-1] + f"\n{result.exception!r}")
        return result.exit_code

    held: set[str] = set()
    for limit in (1_000, *sorted(draw.randrange(8_192, size) for _ in range(4))):
        child = _forked(lambda limit=limit: full(limit))  # type: ignore[misc]
        _, status = os.waitpid(child, 0)
        assert os.WIFEXITED(status)
        assert os.WEXITSTATUS(status) == 2, said.read_text()
        line, raised = said.read_text().splitlines()
        assert line.startswith("marginflow: "), line
        assert "cannot" in line
        assert raised == "SystemExit(2)"
        order = order_of(claims, out, resume=True)
        assert held <= _held(order), "nothing that was stored is lost"
        held = _held(order)
    assert held, "the disk was full in the middle, not before"
    assert timeless(run(order_of(claims, out, resume=True))) == whole


def _killed(part: Part, expected: dict[str, str]) -> Measured:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("still alive")


def test_a_worker_that_is_gone_is_an_error_and_resume_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed for its memory, say: no traceback, what was under way has failed, the rest waits."""
    third = "symbolic.kkt-l2"
    claims = [FIRST, SECOND, third, "symbolic.loss-infimum", "symbolic.mirror-form"]
    with monkeypatch.context() as patch:
        patch.setattr(workers, "run_part", _killed)
        verdicts = run(order_of(claims, tmp_path, workers=2))
    found = [v.outcome.word for v in verdicts]
    assert found.count("error") == 4, "two for each worker were under way"
    assert found.count("not_run") == 1
    assert any("a worker process died" in v.reason for v in verdicts)
    assert exit_status(verdicts) == 3
    rest = run(order_of(claims[:2], tmp_path, resume=True))
    assert words(rest) == {FIRST: "held", SECOND: "held"}
