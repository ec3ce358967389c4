"""``verify --cluster``: a real dask scheduler and real workers, on loopback only."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from checks import budgets
from checks.cli import main
from checks.workers import Cluster, ClusterFailed

distributed = pytest.importorskip("distributed")
pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parent.parent
CLAIMS = ["symbolic.softmax-jacobian", "control.unscaled-gradient"]


def verify(out: Path, *options: str) -> Result:
    return CliRunner().invoke(main, ["verify", *CLAIMS, "--out", str(out), *options])


def lines(out: Path) -> list[dict[str, object]]:
    found = [json.loads(line) for line in (out / "verdicts.jsonl").read_text().splitlines()]
    return sorted(({**line, "seconds": 0} for line in found), key=lambda line: str(line["claim"]))


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("alone")
    assert budgets.PROFILES["quick"].cases > 100, "the profile that workers have"
    done = verify(out, "--workers", "1")
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
    assert lines(tmp_path) == lines(alone)


def started(tmp_path: Path, *arguments: str) -> subprocess.Popen[bytes]:
    with (tmp_path / "log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "distributed.cli.dask_" + arguments[0], *arguments[1:]],
            cwd=ROOT, stdout=log, stderr=log, start_new_session=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """A scheduler and two workers, each a process of its own, as a user starts them."""
    file = tmp_path / "scheduler.json"
    running = [
        started(tmp_path, "scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard",
                "--scheduler-file", str(file)),
    ]  # fmt: skip
    try:
        give_up = time.monotonic() + 60
        while not file.is_file():
            assert time.monotonic() < give_up, (tmp_path / "log").read_text()
            time.sleep(0.05)
        where = json.loads(file.read_text())["address"]
        for _ in range(2):
            running.append(
                started(tmp_path, "worker", where, "--host", "127.0.0.1", "--nthreads", "1",
                        "--no-nanny", "--no-dashboard", "--local-directory", str(tmp_path))
            )  # fmt: skip
        with distributed.Client(where, timeout=60, set_as_default=False) as client:
            client.wait_for_workers(2, timeout=60)
        yield where
    finally:
        for process in running:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.mark.filterwarnings("default")  # dask's own
def test_a_scheduler_with_two_worker_processes(address: str, alone: Path, tmp_path: Path) -> None:
    done = verify(tmp_path / "out", "--cluster", address)
    assert done.exit_code == 0, done.output
    assert lines(tmp_path / "out") == lines(alone)
    again = verify(tmp_path / "out", "--cluster", address, "--resume")
    assert again.stdout.count("kept") == len(CLAIMS)


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
