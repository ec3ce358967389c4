"""Many claims in a campaign: interrupted, resumed, in workers, within a time limit."""

from __future__ import annotations

import contextlib
import json
import os
import random
import resource
import select
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import reports
from checks import budgets, campaign, registry, streams, workers
from checks.budgets import Budget
from checks.campaign import Order
from checks.flow.settings import Settings
from checks.outcomes import Verdict, exit_status
from checks.parts import Measured, Part
from checks.progress import Meter
from checks.registry import Check
from checks.runner import run_part
from checks.store import NAME, Store
from checks.tally import Tally
from tests import test_runner

TINY = Budget(
    "quick", cases=60, search=2, search_batch=2, chunk=4, violators=3, audited=0.05, stretches=4,
    informative=4, problems=4, settings=Settings(gap=1e-5, early_steps=600, late_steps=100),
)  # fmt: skip
QUICK = budgets.PROFILES["quick"]  # as workers know it: before any test shrinks it
FIRST, SECOND = "symbolic.softmax-jacobian", "symbolic.kkt-l1"
STREAM = replace(
    streams.COMBINED_DIAGONAL_LIMIT,
    sources=streams.COMBINED_DIAGONAL_LIMIT.sources[:1],
    shapes=((2, 3, 3), (4, 3, 6)),
    must_see=(),
)
_CHEAP = STREAM


def _order(claims: Sequence[str], directory: Path, **changes: Any) -> Order:
    order = Order(tuple(claims), "quick", 0, str(directory), "cpu", 1, False, None, False)
    return replace(order, **changes)


def _run(order: Order) -> list[Verdict]:
    return campaign.run(order, "test", reports.build)


@pytest.fixture(autouse=True)
def _tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(budgets.PROFILES, "quick", TINY)


@pytest.fixture
def measured_by(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Put a check of test_runner in the place of a claim's own, on a stream that is cheap."""

    def put(name: str, claim: str) -> str:
        check = Check(claim, f"{test_runner.__name__}:{name}", f"{__name__}:_CHEAP")
        monkeypatch.setitem(registry.CHECKS, claim, check)
        return claim

    return put


def words(verdicts: list[Verdict]) -> dict[str, str]:
    return {v.claim: v.outcome.word for v in verdicts}


def timeless(verdicts: list[Verdict]) -> list[Verdict]:
    """Without the times; by claim."""
    return sorted((replace(v, seconds=0.0) for v in verdicts), key=lambda v: v.claim)


class Ran(list[Part]):
    """The parts that are measured, in order (and not kept from before)."""

    @property
    def claims(self) -> list[str]:
        return list(dict.fromkeys(part.unit.claim for part in self))


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> Ran:
    parts = Ran()

    def counted(part: Part) -> Measured:
        parts.append(part)
        return run_part(part)

    monkeypatch.setattr(workers, "run_part", counted)
    return parts


# --- resume, limits, surprises ---------------------------------------------------------------


def test_resume_keeps_what_is_whole(tmp_path: Path, ran: Ran) -> None:
    order = _order([FIRST, SECOND], tmp_path)
    before = _run(order)
    assert ran.claims == [FIRST, SECOND]
    whole = (tmp_path / "verdicts.jsonl").read_text()
    ran.clear()
    assert _run(replace(order, resume=True)) == before
    assert ran == []
    assert (tmp_path / "verdicts.jsonl").read_text() == whole
    _run(replace(order, resume=True, seed=1))
    assert ran.claims == [FIRST, SECOND], "verdicts of another seed are no verdicts of this one"
    ran.clear()
    _run(order)
    assert ran.claims == [FIRST, SECOND], "without --resume everything is measured again"


def test_resume_measures_only_the_parts_that_lack(
    tmp_path: Path, ran: Ran, measured_by: Any
) -> None:
    order = _order([measured_by("holds", FIRST)], tmp_path)
    whole = timeless(_run(order))
    parts = list(ran)
    assert len(parts) > 10, "a claim is cut into parts"
    ran.clear()
    with contextlib.suppress(KeyboardInterrupt):
        campaign.run(_interrupting(order, ran, 5), "test", reports.build)
    assert len(ran) == 5
    assert timeless(_run(replace(order, resume=True))) == whole
    # The one that was interrupted is measured again, and no other.
    assert ran[:5] + ran[5:] == parts[:5] + parts[4:]


def _interrupting(order: Order, ran: Ran, count: int) -> Order:
    """The order; but Ctrl-C comes while part number ``count`` is measured."""
    honest = workers.run_part

    def interrupted(part: Part) -> Measured:
        measured = honest(part)
        if len(ran) == count:
            workers.run_part = honest
            raise KeyboardInterrupt
        return measured

    workers.run_part = interrupted
    return order


def test_resume_does_not_keep_what_other_code_found(
    tmp_path: Path, ran: Ran, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = _order([FIRST], tmp_path)
    _run(order)
    real = campaign.code()
    monkeypatch.setattr(campaign, "code", lambda: {**real, "source": "edited"})
    _run(replace(order, resume=True))
    monkeypatch.setattr(campaign, "code", lambda: {**real, "numpy": "1.0"})
    _run(replace(order, resume=True))
    assert [part.unit.claim for part in ran] == [FIRST] * 3


def test_resume_measures_again_what_was_an_error(
    tmp_path: Path, ran: Ran, measured_by: Any
) -> None:
    order = _order([measured_by("raises", FIRST)], tmp_path)
    assert words(_run(order)) == {FIRST: "error"}
    before = len(ran)
    _run(replace(order, resume=True))
    assert len(ran) == 2 * before


def test_past_the_time_limit_nothing_is_begun(tmp_path: Path, ran: Ran) -> None:
    order = _order([FIRST, SECOND], tmp_path, time_limit=1e-9)
    verdicts = _run(order)
    assert ran == []
    assert words(verdicts) == {FIRST: "not_run", SECOND: "not_run"}
    assert exit_status(verdicts) == 3
    assert (tmp_path / "index.html").is_file()
    rest = _run(replace(order, time_limit=None, resume=True))
    assert words(rest) == {FIRST: "held", SECOND: "held"}


def test_claims_take_turns_within_a_time_limit(
    tmp_path: Path, ran: Ran, measured_by: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half way through, every claim has had as many parts; what they were is said, and kept."""
    claims = [measured_by("holds", FIRST), measured_by("holds", SECOND)]
    whole = timeless(_run(_order(claims, tmp_path / "whole")))
    ran.clear()
    monkeypatch.setattr(campaign, "_late", lambda order, begun: len(ran) >= 10)
    order = _order(claims, tmp_path, time_limit=3600.0)
    stopped = _run(order)
    assert [part.unit.claim for part in ran] == [FIRST, SECOND] * 5
    assert words(stopped) == {FIRST: "not_run", SECOND: "not_run"}
    assert all("5 of " in v.reason and v.tried == 20 for v in stopped), stopped
    monkeypatch.setattr(campaign, "_late", lambda order, begun: False)
    assert timeless(_run(replace(order, resume=True))) == whole


def test_a_counterexample_stands_though_the_time_ran_out(
    tmp_path: Path, ran: Ran, measured_by: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(campaign, "_late", lambda order, begun: len(ran) >= 3)
    order = _order([measured_by("breaks", FIRST)], tmp_path, time_limit=3600.0)
    (verdict,) = _run(order)
    assert verdict.outcome.word == "falsified"
    assert verdict.case is not None
    assert (tmp_path / verdict.case).is_file()


def test_a_control_that_was_not_run_is_not_falsified(tmp_path: Path, ran: Ran) -> None:
    order = _order([FIRST, "control.symbolic-sign"], tmp_path, time_limit=1e-9)
    assert exit_status(_run(order)) == 1


@pytest.mark.parametrize("name", ["breaks", "raises"])
def test_fail_fast_stops_at_the_first_surprise(
    name: str, tmp_path: Path, ran: Ran, measured_by: Any
) -> None:
    claims = [measured_by(name, FIRST), SECOND]
    fast = _run(_order(claims, tmp_path, fail_fast=True))
    assert ran.claims == [FIRST]
    assert fast[1].outcome.word == "not_run"
    ran.clear()
    slow = _run(_order(claims, tmp_path))
    assert ran.claims == [FIRST, SECOND]
    assert slow[1].outcome.word == "held"
    assert exit_status(fast) == exit_status(slow) == (1 if name == "breaks" else 3)


def test_an_expected_falsification_stops_nothing(tmp_path: Path, ran: Ran) -> None:
    order = _order(["control.symbolic-sign", SECOND], tmp_path, fail_fast=True)
    verdicts = _run(order)
    assert sorted(ran.claims) == sorted(["control.symbolic-sign", SECOND])
    assert exit_status(verdicts) == 0


def test_the_order_of_the_parts_decides_nothing(
    tmp_path: Path, measured_by: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    claims = [measured_by("breaks", FIRST), measured_by("holds", SECOND)]
    whole = timeless(_run(_order(claims, tmp_path / "in order")))

    def shuffled(left: list[Any]) -> Iterator[Part]:
        parts = [part for claim in left for part in campaign._todo(claim)]
        random.Random(3).shuffle(parts)
        return iter(parts)

    monkeypatch.setattr(campaign, "_one_by_one", shuffled)
    assert timeless(_run(_order(claims, tmp_path / "shuffled"))) == whole
    for name in (v.case for v in whole if v.case):
        files = [(tmp_path / where / name).read_bytes() for where in ("in order", "shuffled")]
        assert files[0] == files[1]


def test_the_pictures_of_a_claim_are_among_the_parts_that_progress_counts(
    tmp_path: Path, measured_by: Any, ran: Ran, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are asked for when a claim is judged, after the first total was said."""
    meters: list[Meter] = []

    class Watched(Meter):
        def __init__(self, parts: int, cases: int) -> None:
            super().__init__(parts, cases)
            meters.append(self)

    stored = Tally.from_json
    monkeypatch.setattr(campaign, "Meter", Watched)
    # as if a flow had been followed: the cheap check follows none
    monkeypatch.setattr(Tally, "from_json", lambda text: replace(stored(text), followed=True))
    _run(_order([measured_by("holds", FIRST)], tmp_path))
    assert sum(part.kind == "look" for part in ran) == 1
    assert meters[0].done == meters[0].total == len(ran)


# --- faults, at moments drawn by seed ----------------------------------------------------------


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
    whole = timeless(_run(_order(claims, tmp_path / "whole")))
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
        order = _order(claims, tmp_path / f"killed {attempt}", resume=True)
        attempt += 1
        for _ in range(200):
            held = _held(order)
            log.write_text("")
            child = _forked(lambda order=order: exit_status(_run(order)))  # type: ignore[misc]
            _wait(child, draw.uniform(0, length / 2))
            os.kill(child, signal.SIGKILL)
            _, status = os.waitpid(child, 0)
            assert held <= _held(order), "nothing that was stored is lost"
            assert not held & set(log.read_text().split()), "nothing stored is measured again"
            if os.WIFEXITED(status):
                assert os.WEXITSTATUS(status) == 1, "falsified, as planted"
                break
            kills += 1
        assert timeless(_run(order)) == whole


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
    whole = timeless(_run(_order(claims, tmp_path / "whole")))
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
        order = _order(claims, out, resume=True)
        assert held <= _held(order), "nothing that was stored is lost"
        held = _held(order)
    assert held, "the disk was full in the middle, not before"
    assert timeless(_run(_order(claims, out, resume=True))) == whole


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
        verdicts = _run(_order(claims, tmp_path, workers=2))
    found = [v.outcome.word for v in verdicts]
    assert found.count("error") == 4, "two for each worker were under way"
    assert found.count("not_run") == 1
    assert any("a worker process died" in v.reason for v in verdicts)
    assert exit_status(verdicts) == 3
    rest = _run(_order(claims[:2], tmp_path, resume=True))
    assert words(rest) == {FIRST: "held", SECOND: "held"}


# --- workers -------------------------------------------------------------------------------


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
        verdicts = _run(_order(CLAIMS, directory))
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
    _run(_order(CLAIMS, tmp_path, workers=count))
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
