"""``verify --cluster``: a real dask scheduler and real workers, on loopback only."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from checks import budgets
from checks.cli import main
from checks.workers import LOST, Cluster, ClusterFailed
from tests.child import PATIENCE, line_with

distributed = pytest.importorskip("distributed")
pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parent.parent
CLAIMS = ["symbolic.softmax-jacobian", "control.unscaled-gradient"]
LONGER = ["symbolic.softmax-jacobian", "flow.conservation"]
"""The second has several parts of some seconds: under way when the first one's verdict comes."""
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}


def verify(out: Path, *options: str, claims: list[str] = CLAIMS) -> Result:
    return CliRunner().invoke(main, ["verify", *claims, "--out", str(out), *options])


def lines(out: Path, claims: list[str]) -> list[dict[str, object]]:
    """The verdicts of ``claims``, less the times."""
    found = [json.loads(line) for line in (out / "verdicts.jsonl").read_text().splitlines()]
    found = [line for line in found if line["claim"] in claims]
    return sorted(({**line, "seconds": 0} for line in found), key=lambda line: str(line["claim"]))


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("alone")
    assert budgets.PROFILES["quick"].cases > 100, "the profile that workers have"
    done = verify(out, "--workers", "1", claims=sorted({*CLAIMS, *LONGER}))
    assert done.exit_code == 0, done.output
    return out


@pytest.mark.filterwarnings("default")  # dask's own
def test_a_local_cluster_finds_what_one_process_finds(alone: Path, tmp_path: Path) -> None:
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address=None, protocol="tcp"
    ) as cluster:
        assert cluster.scheduler_address.startswith("tcp://127.0.0.1:")
        done = verify(tmp_path, "--cluster", cluster.scheduler_address)
    assert done.exit_code == 0, done.output
    assert lines(tmp_path, CLAIMS) == lines(alone, CLAIMS)


@dataclass
class Running:
    """A scheduler and its workers, each a process of its own, as a user starts them."""

    address: str
    scheduler: subprocess.Popen[str]
    workers: list[subprocess.Popen[str]]


def started(kind: str, folder: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", f"distributed.cli.dask_{kind}", *arguments]
    return subprocess.Popen(
        [*command, "--host", "127.0.0.1", "--no-dashboard"], cwd=folder, text=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=ENVIRONMENT,
    )  # fmt: skip


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    scheduler = started("scheduler", tmp_path, "--port", "0")
    workers: list[subprocess.Popen[str]] = []
    try:
        said = line_with("Scheduler at:", scheduler, scheduler.stderr)
        address = said.split()[-1]
        assert address.startswith("tcp://127.0.0.1:"), said
        for _ in range(2):
            options = ("--nthreads", "1", "--no-nanny", "--local-directory", str(tmp_path))
            workers.append(started("worker", tmp_path, address, *options))
        with distributed.Client(address, timeout=60, set_as_default=False) as client:
            client.wait_for_workers(2, timeout=60)
        yield Running(address, scheduler, workers)
    finally:
        for process in (*workers, scheduler):
            process.kill()
            process.communicate()


@pytest.mark.filterwarnings("default")  # dask's own
def test_a_scheduler_with_two_worker_processes(
    running: Running, alone: Path, tmp_path: Path
) -> None:
    done = verify(tmp_path / "out", "--cluster", running.address)
    assert done.exit_code == 0, done.output
    assert lines(tmp_path / "out", CLAIMS) == lines(alone, CLAIMS)
    again = verify(tmp_path / "out", "--cluster", running.address, "--resume")
    assert again.stdout.count("kept") == len(CLAIMS)


def begun(running: Running, out: Path) -> subprocess.Popen[str]:
    """A run of its own that has said its first verdict: the rest is with the workers."""
    command = [sys.executable, "-m", "checks.cli", "verify", *LONGER, "--out", str(out),
               "--cluster", running.address]  # fmt: skip
    run = subprocess.Popen(
        command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env=ENVIRONMENT,
    )  # fmt: skip
    line_with(LONGER[0], run, run.stdout)
    return run


def test_a_worker_that_is_killed_changes_no_verdict(
    running: Running, alone: Path, tmp_path: Path
) -> None:
    """SIGKILL to one of two while both measure: dask gives its parts to the other."""
    run = begun(running, tmp_path / "out")
    running.workers[0].kill()
    _, stderr = run.communicate(timeout=PATIENCE)
    assert run.returncode == 0, stderr
    assert "Traceback" not in stderr
    assert running.workers[0].wait() == -signal.SIGKILL
    assert lines(tmp_path / "out", LONGER) == lines(alone, LONGER)


def test_a_scheduler_that_is_killed_is_one_line_and_resume_goes_on(
    running: Running, alone: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    run = begun(running, out)
    running.scheduler.kill()
    stdout, stderr = run.communicate(timeout=PATIENCE)
    assert run.returncode == 2, stdout + stderr
    told = [line for line in stderr.splitlines() if not line.startswith("running ")
            and " parts, " not in line]  # fmt: skip
    assert told == [f"marginflow: --cluster {running.address}: {LOST}"]
    assert "FAIL" not in stdout, "what was not measured is no error of the claim"
    assert (out / "index.html").is_file(), "the page of what there is"
    kept = lines(out, LONGER)
    assert [line["claim"] for line in kept] == LONGER[:1]
    again = verify(out, "--workers", "1", "--resume", claims=LONGER)
    assert again.exit_code == 0, again.output
    assert again.stdout.splitlines()[0].endswith("kept")
    assert lines(out, LONGER) == lines(alone, LONGER)


def test_no_scheduler_is_one_line(tmp_path: Path) -> None:
    done = verify(tmp_path / "out", "--cluster", "tcp://127.0.0.1:9")
    assert done.exit_code == 2, done.output
    assert done.stderr.count("\n") == 1
    assert "no scheduler answers at tcp://127.0.0.1:9" in done.stderr
    assert not (tmp_path / "out" / "verdicts.jsonl").exists()


@pytest.mark.parametrize("address", ["", "nonsense", "http://127.0.0.1:1", "tcp://"])
def test_an_address_that_is_none(address: str) -> None:
    with pytest.raises(ClusterFailed):
        Cluster(address, timeout=1.0)


def test_without_dask_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    done = verify(tmp_path / "out", "--cluster", "tcp://127.0.0.1:9")
    assert done.exit_code == 2
    assert "marginflow[cluster]" in done.stderr
