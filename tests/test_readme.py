"""What the README says is what the code does: the example, the tables, the commands, the links."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from checks.outcomes import Outcome
from checks.problem_files import read_problem, select_model
from theory.catalogue import CLAIMS

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text("utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
MARGINFLOW = {
    *("verify", "check", "list", "explain", "replay", "audit", "report", "example", "extract"),
}


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def commands() -> list[list[str]]:
    """Every line of every shell block, split as a shell would."""
    lines = [
        line
        for text in (README, CONTRIBUTING)
        for b in blocks(text, "sh")
        for line in b.splitlines()
    ]
    return [shlex.split(line) for line in lines if line]


def test_the_example_writes_a_problem_that_reads(tmp_path: Path) -> None:
    (snippet,) = blocks(README, "python")
    subprocess.run([sys.executable, "-W", "error", "-c", snippet], cwd=tmp_path, check=True)
    file = read_problem(tmp_path / "my.npz")
    assert (file.problem.samples, file.problem.length, file.problem.dim) == (4, 3, 6)
    assert select_model(file) == "diagonal"
    assert file.ignored == ()
    assert ["marginflow", "check", "my.npz"] in commands(), "the name in the text"


def test_the_outcomes_are_all_told() -> None:
    table = README[README.index("| outcome |") :]
    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == [o.word for o in Outcome]


def test_the_exit_statuses_are_all_told() -> None:
    table = README[README.index("| exit status |") :]
    assert re.findall(r"^\| (\d) \|", table, re.MULTILINE) == list("01234")


def test_commands_name_what_exists() -> None:
    seen = set()
    for words in commands():
        if words[0].startswith("PIP_"):
            words = words[1:]
        seen.add(words[0])
        match words:
            case ["python3", "run.py", command, *_]:
                assert command in ("verify", "test")
            case ["marginflow", command, *_]:
                assert command in MARGINFLOW
            case ["source", script]:
                assert script in (".tox/verify/bin/activate", ".tox/test/bin/activate")
            case ["pytest", *files]:
                assert all((ROOT / file).is_file() for file in files)
            case _:
                assert words[0] == "ruff", words
    assert {"python3", "marginflow", "source", "pytest"} <= seen, "the search itself works"
    for command in re.findall(r"`marginflow (\w+)", README + CONTRIBUTING):
        assert command in MARGINFLOW


@pytest.mark.parametrize("text", [README, CONTRIBUTING], ids=["README", "CONTRIBUTING"])
def test_links_and_named_files_exist(text: str) -> None:
    links = [link for link in re.findall(r"\]\(([^)]+)\)", text) if not link.startswith("https://")]
    files = re.findall(r"`((?:theory|checks|tests)/[\w/]+\.py)`", text)
    for name in links + files:
        assert (ROOT / name).exists(), name


def test_the_expectations_told_are_those_claims_have() -> None:
    assert {claim.expect for claim in CLAIMS.values()} <= {"held", "falsified", "open"}
    for word in ("held", "falsified", "open"):
        assert f"`{word}`" in README
