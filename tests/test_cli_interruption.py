"""``marginflow verify`` interrupted: what is finished is kept, and ``--resume`` does the rest."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.child import line_with
from tests.cli_fixture import SYMBOLIC

ROOT = Path(__file__).resolve().parent.parent


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
