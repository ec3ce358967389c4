"""tox, CI and the workflows: they keep to the pins and ask for little; versions agree."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import tomllib
from configparser import ConfigParser
from pathlib import Path

import pytest
import yaml

from tests.run_fixture import load_run

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


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
