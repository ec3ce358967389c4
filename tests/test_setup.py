"""Set-up: run.py's arguments and errors (no network), the pins, the workflow, the versions."""

from __future__ import annotations

import ast
import importlib.metadata
import importlib.util
import os
import re
import stat
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from configparser import ConfigParser
from pathlib import Path
from types import ModuleType

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def load_run(root: Path) -> ModuleType:
    """run.py as a module that believes it lies in ``root``."""
    spec = importlib.util.spec_from_file_location("run_under_test", ROOT / "run.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.ROOT = root
    module.VENV = root / ".venv-tox"
    module.CONSTRAINTS = root / "constraints.txt"
    return module


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


# --- the pins -----------------------------------------------------------------------------------


def pins() -> dict[str, str]:
    """Canonical name -> exact version, of constraints.txt; every line is such a pin."""
    found: dict[str, str] = {}
    for line in (ROOT / "constraints.txt").read_text("utf-8").splitlines():
        if line and not line.startswith("#"):
            name, version = re.fullmatch(r"([\w.-]+)==([\w.]+)", line).groups()  # type: ignore[union-attr]
            assert canonicalize_name(name) not in found, f"{name} is pinned twice"
            found[canonicalize_name(name)] = version
    return found


def declared() -> dict[str, Requirement]:
    """Everything pyproject.toml asks for: dependencies, extras, groups, the build's own."""
    groups = [*PROJECT["dependency-groups"].values()]
    groups += PROJECT["project"]["optional-dependencies"].values()
    lines = [*PROJECT["project"]["dependencies"], *PROJECT["build-system"]["requires"]]
    lines += [line for group in groups for line in group]
    return {canonicalize_name(r.name): r for r in map(Requirement, lines)}


def closure(roots: Iterable[str]) -> set[str]:
    """All distributions these need on this machine, as far as they are installed here."""
    seen: set[str] = set()
    waiting = list(roots)
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        try:
            needs = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue  # tox is not in its own environments
        wanted = [
            r for r in map(Requirement, needs) if not r.marker or r.marker.evaluate({"extra": ""})
        ]
        waiting += [canonicalize_name(r.name) for r in wanted]
    return seen


# Installed beside the suite, in .venv-tox, where a test cannot look: tox and what it needs.
TOX_TREE = {
    "tox", "cachetools", "colorama", "distlib", "filelock", "packaging", "platformdirs", "pluggy",
    "pyproject-api", "python-discovery", "tomli-w", "typing-extensions", "virtualenv",
}  # fmt: skip


def test_every_dependency_is_pinned_within_its_bounds() -> None:
    pinned = pins()
    for name, requirement in declared().items():
        assert requirement.specifier.contains(Version(pinned[name])), name
    minimum = re.search(r"min_version = (\S+)", (ROOT / "tox.ini").read_text("utf-8"))
    assert minimum is not None
    assert Version(pinned["tox"]) >= Version(minimum[1])


def test_the_whole_tree_is_pinned_and_nothing_else() -> None:
    # CUDA's libraries are pinned by torch itself, exactly, and differ from build to build.
    needed = {
        name
        for name in closure(declared()) | TOX_TREE
        if not re.match(r"nvidia-|cuda-|triton$", name)
    }
    pinned = set(pins())
    assert needed - pinned == set(), "not pinned: another version tomorrow"
    assert pinned - needed == set(), "pinned without need"


def test_what_runs_is_what_is_pinned() -> None:
    """Skipped outside tox's environments, where other versions may be tried on purpose."""
    if ".tox" not in Path(sys.prefix).parts:
        pytest.skip("not in an environment made by tox")
    for name in closure(declared()) & set(pins()):
        assert importlib.metadata.version(name).partition("+")[0] == pins()[name], name


# --- tox, CI, versions --------------------------------------------------------------------------


def test_tox_keeps_to_one_thread_and_the_pins() -> None:
    tox = ConfigParser(interpolation=None)
    tox.read(ROOT / "tox.ini")
    base = tox["testenv"]
    assert base["constraints"] == "constraints.txt"
    assert base.getboolean("constrain_package_deps")
    assert base["extras"] == "examples", "else the claims on real data are not run"
    settings = dict(line.split(" = ") for line in base["set_env"].splitlines() if " = " in line)
    assert settings["OMP_NUM_THREADS"] == settings["MKL_NUM_THREADS"] == "1"
    assert settings["MKL_CBWR"] == "AVX2,STRICT"
    assert settings["PYTHONHASHSEED"] == "0"
    commands = load_run(ROOT).COMMANDS
    assert all(tox.has_section(f"testenv:{name}") for name in commands)
    assert "{posargs}" in tox["testenv:verify"]["commands"]
    assert "{[testenv:lint]commands}" in tox["testenv:test"]["commands"]


def test_ci_calls_the_one_command() -> None:
    script = ROOT / ".ci" / "run"
    assert script.stat().st_mode & stat.S_IXUSR or os.name == "nt"
    assert "python3 run.py test" in script.read_text("utf-8")
    checked = subprocess.run(["bash", "-n", str(script)], capture_output=True, check=False)
    assert checked.returncode == 0, checked.stderr


WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.y*ml"))


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.name)
def test_workflows_parse_ask_for_little_and_pin_what_they_use(file: Path) -> None:
    workflow = yaml.safe_load(file.read_text("utf-8"))
    assert workflow["permissions"] == {"contents": "read"}
    for job in workflow["jobs"].values():
        assert "timeout-minutes" in job
        assert "permissions" not in job
        for step in job["steps"]:
            uses = step.get("uses")
            assert uses is None or re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", uses), uses
            # An expression in a script is pasted in unquoted: values go through the environment.
            assert "${{" not in step.get("run", "")


def test_the_workflow_tests_verifies_and_publishes() -> None:
    workflow = yaml.safe_load((ROOT / ".github/workflows/verify.yml").read_text("utf-8"))
    triggers = workflow[True]  # YAML 1.1 reads the key `on` as true
    assert set(triggers) == {"push", "pull_request", "schedule", "workflow_dispatch"}
    steps = workflow["jobs"]["verify"]["steps"]
    runs = [step["run"] for step in steps if "run" in step]
    assert runs[0].startswith("python3 run.py test")
    assert runs[1] == ".venv-tox/bin/python -m tox run -e docs", "the tests have made that tox"
    assert runs[2].startswith("python3 run.py verify")
    assert "GITHUB_STEP_SUMMARY" in runs[3]
    assert sum("upload-artifact" in step.get("uses", "") for step in steps) == 2


def test_versions_agree() -> None:
    version = PROJECT["project"]["version"]
    changelog = (ROOT / "CHANGELOG.md").read_text("utf-8")
    newest = re.search(r"^## (\d+\.\d+\.\d+)", changelog, re.MULTILINE)
    assert newest is not None
    assert newest[1] == version
    assert PROJECT["project"]["requires-python"] == ">=3.11"
    assert "Apache License" in (ROOT / "LICENSE").read_text("utf-8")[:200]
    assert PROJECT["tool"]["ruff"]["target-version"] == "py311"
    assert PROJECT["tool"]["mypy"]["python_version"] == "3.11"
