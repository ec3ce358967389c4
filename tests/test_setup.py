"""Set-up: run.py's arguments, what it installs, and its errors; no network."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.run_fixture import load_run

ROOT = Path(__file__).resolve().parent.parent


class Machine:
    """run.py on a machine where every command it starts is recorded, and answered from a script."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = root
        self.run = load_run(root)
        self.calls: list[list[str]] = []
        self.status: dict[str, int] = {}  # a word of the command -> its exit status
        self.output = ""
        (root / "constraints.txt").write_text("tox==4.0\n")
        monkeypatch.setattr(self.run.subprocess, "run", self._run)
        monkeypatch.setattr(self.run.subprocess, "Popen", self._popen)

    def _answer(self, command: list[str]) -> int:
        self.calls.append(command)
        if "venv" in command:
            python = self.run.VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
            python.parent.mkdir(parents=True, exist_ok=True)
            python.write_text("")
        return next((s for word, s in self.status.items() if word in command), 0)

    def _run(self, command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, self._answer(command), self.output, None)

    def _popen(self, command: list[str], **_: object) -> FakeProcess:
        return FakeProcess(self._answer(command))

    def tox(self) -> list[list[str]]:
        """What tox was called with, from ``run`` on."""
        return [call[call.index("run") :] for call in self.calls if "run" in call]


class FakeProcess:
    def __init__(self, status: int) -> None:
        self.status = status
        self.interrupts = 0

    def __enter__(self) -> FakeProcess:
        return self

    def __exit__(self, *_: object) -> None: ...

    def wait(self) -> int:
        if self.interrupts:
            self.interrupts -= 1
            raise KeyboardInterrupt
        return self.status


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(tmp_path, monkeypatch)


def line_of(capsys: pytest.CaptureFixture[str]) -> str:
    """The last line on stderr; fails if there is a traceback beside it."""
    err = capsys.readouterr().err
    assert "Traceback" not in err
    return err.splitlines()[-1]


# --- run.py: arguments ------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["verify", "test"])
@pytest.mark.parametrize("lead", [[], ["--"]])
def test_arguments_go_through_untouched(machine: Machine, command: str, lead: list[str]) -> None:
    rest = ["--profile", "quick", "--help", "a b", "--", "-k", "x or y"]
    assert machine.run.main([command, *lead, *rest]) == 0
    ini = str(machine.root / "tox.ini")
    assert machine.tox() == [
        ["run", "-c", ini, "-e", command, "--notest"],
        ["run", "-c", ini, "-e", command, "--skip-pkg-install", "--", *rest],
    ]


@pytest.mark.parametrize("arguments", [[], ["fly"], ["--profile", "quick"], ["Verify"]])
def test_a_wrong_command_is_one_line_and_no_setup(
    machine: Machine, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    assert machine.run.main(arguments) == 2
    assert line_of(capsys).startswith("run.py: the command is verify or test")
    assert machine.calls == []


def test_help_needs_no_setup(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    assert machine.run.main(["--help"]) == 0
    assert "python3 run.py verify" in capsys.readouterr().out
    assert machine.calls == []


@pytest.mark.parametrize("status", [0, 1, 2, 3, 5])
def test_the_exit_status_is_the_command_s_own(machine: Machine, status: int) -> None:
    machine.status = {"--skip-pkg-install": status}
    assert machine.run.main(["verify"]) == status


@pytest.mark.skipif(os.name == "nt", reason="signals are POSIX")
def test_a_signal_is_told_as_a_shell_tells_it(machine: Machine) -> None:
    machine.status = {"--skip-pkg-install": -15}
    assert machine.run.main(["verify"]) == 128 + 15


def test_ctrl_c_waits_for_the_child_to_end(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = FakeProcess(3)
    process.interrupts = 2
    monkeypatch.setattr(machine.run.subprocess, "Popen", lambda *_, **__: process)
    assert machine.run._run(["anything"]) == 3
    assert process.interrupts == 0


# --- run.py: set-up and its errors ------------------------------------------------------------


def test_a_failed_setup_is_not_a_verdict(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    machine.status = {"--notest": 1}  # 1 would mean falsified
    assert machine.run.main(["verify"]) == 4
    assert "nothing was verified" in line_of(capsys)
    assert len(machine.tox()) == 1, "the command itself was not started"


def test_the_environment_is_reused_until_it_is_out_of_date(machine: Machine) -> None:
    def made() -> bool:
        machine.calls.clear()
        assert machine.run.main(["verify"]) == 0
        return any("venv" in call for call in machine.calls)

    assert made()
    assert not made()
    machine.run.CONSTRAINTS.write_text("tox==4.1\n")
    assert made(), "other pins"
    assert not made()
    (machine.run.VENV / "made-from.txt").unlink()
    assert made(), "cut short before the stamp was written"
    next(machine.run.VENV.glob("*/python*")).unlink()
    assert made(), "its Python is gone"


def test_tox_is_installed_under_the_pins(machine: Machine) -> None:
    machine.run.main(["test"])
    (pip,) = [call for call in machine.calls if "pip" in call]
    assert pip[-3:] == ["-c", str(machine.run.CONSTRAINTS), "tox"]
    assert pip[0].startswith(str(machine.run.VENV))


def test_no_ensurepip(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(machine.run.importlib.util, "find_spec", lambda name: None)
    assert machine.run.main(["verify"]) == 4
    assert "apt install python3-venv" in line_of(capsys)
    assert machine.calls == []


@pytest.mark.parametrize(
    ("word", "said"), [("venv", "could not be made"), ("pip", "pip could not")]
)
def test_venv_or_pip_failing(
    machine: Machine, capsys: pytest.CaptureFixture[str], word: str, said: str
) -> None:
    machine.status = {word: 1}
    machine.output = "Collecting tox\nERROR: No matching distribution found for tox\n\nsee below\n"
    assert machine.run.main(["verify"]) == 4
    line = line_of(capsys)
    assert said in line
    assert "ERROR: No matching distribution found for tox" in line
    assert machine.tox() == []
    machine.status = {}
    assert machine.run.main(["verify"]) == 0, "the next run begins afresh"


def test_a_failure_without_output_names_its_status(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    machine.status = {"pip": 7}
    assert machine.run.main(["verify"]) == 4
    assert "exit status 7" in line_of(capsys)


def test_files_that_cannot_be_used(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    machine.run.CONSTRAINTS.unlink()
    assert machine.run.main(["verify"]) == 4
    assert "constraints.txt" in line_of(capsys)


def test_pip_settings_of_the_user_do_not_reach_the_environment(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_USER", "1")
    monkeypatch.setenv("PIP_INDEX_URL", "kept")
    environment = machine.run._environment()
    assert environment["PIP_USER"] == "0"
    assert environment["PIP_INDEX_URL"] == "kept"


def test_an_old_python_gets_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source = (ROOT / "run.py").read_text("utf-8")
    ast.parse(source, feature_version=(3, 7))  # else it would die of a syntax error instead
    monkeypatch.setattr(sys, "version_info", (3, 10, 4))
    with pytest.raises(SystemExit) as caught:
        exec(compile(source, "run.py", "exec"), {"__name__": "__main__", "__file__": "run.py"})
    assert caught.value.code == 4
    assert "3.10" in line_of(capsys)


def test_run_py_uses_the_standard_library_only() -> None:
    tree = ast.parse((ROOT / "run.py").read_text("utf-8"))
    names = {alias.name for n in ast.walk(tree) if isinstance(n, ast.Import) for alias in n.names}
    names |= {n.module or "" for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
    assert {name.partition(".")[0] for name in names} <= sys.stdlib_module_names
