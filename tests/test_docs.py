"""docs/: every block of code runs, page by page, as a reader would run it; the pages build."""

from __future__ import annotations

import json
import re
import runpy
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from checks import budgets
from checks.cli import main
from tests.test_runner import TINY

DOCS = Path(__file__).resolve().parent.parent / "docs"
PAGES = sorted(DOCS.glob("*.md"))
BLOCK = re.compile(r"^```([^\s`]+)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page: Path) -> list[tuple[str, str]]:
    """(language, text) of every fenced block, in order."""
    return BLOCK.findall(page.read_text("utf-8"))


def typed(line: str) -> None:
    """One line of a shell block: every command of the documentation ends well."""
    words = shlex.split(line)
    if words[0] == "python":
        runpy.run_path(str(DOCS / "examples" / words[1]), run_name="__main__")
        return
    assert words[0] == "marginflow", line
    done = CliRunner().invoke(main, words[1:])
    assert done.exit_code == 0, f"{line}\n{done.output}"


def test_every_block_is_of_a_kind_that_is_run_or_shown() -> None:
    kinds = {kind for page in PAGES for kind, _ in blocks(page)}
    assert kinds == {"python", "sh", "text", "{toctree}", "{literalinclude}"}
    assert sum(kind == "python" for page in PAGES for kind, _ in blocks(page)) >= 10


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_code_of_a_page_runs(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one namespace and one folder, from the first block to the last.

    On a smaller profile than a reader has, with as many informative cases for its size.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(budgets.PROFILES, "quick", replace(TINY, cases=24, informative=6))
    monkeypatch.setenv("PYTHONPATH", str(DOCS.parent))
    names: dict[str, Any] = {"__name__": page.stem}
    for kind, text in blocks(page):
        if kind == "python":
            exec(compile(text, f"{page.name}", "exec"), names)
        elif kind == "sh":
            for line in text.splitlines():
                typed(line)


def test_the_pages_are_all_in_the_table_of_contents() -> None:
    listed = dict(blocks(DOCS / "index.md"))["{toctree}"].split()
    assert {f"{name}.md" for name in listed if (DOCS / f"{name}.md").is_file()} == {
        page.name for page in PAGES if page.stem != "index"
    }


def test_names_of_the_reference_exist() -> None:
    """The first column of the table: module, then attribute."""
    from importlib import import_module

    text = (DOCS / "reference.md").read_text("utf-8")
    names = re.findall(r"^\| `((?:checks|reports)[\w.]*)", text, re.MULTILINE)
    assert len(names) >= 9
    for name in names:
        parts = name.split(".")
        depth = 1 if parts[0] == "reports" else 2
        found: Any = import_module(".".join(parts[:depth]))
        for part in parts[depth:]:
            found = getattr(found, part)


def test_the_memory_told_is_the_memory_measured() -> None:
    text = (DOCS / "campaigns.md").read_text("utf-8")
    measured = json.loads((DOCS.parent / "benchmarks/results/campaign_memory.json").read_text())
    assert measured["tried"] == 100_000
    assert measured["peak_mib"] < measured["bound_mib"] == 2048
    assert f"{measured['peak_mib']} MiB at most" in text
    assert f"{measured['curve_mib'][0][1]} MiB are there before" in text


def test_sphinx_builds_the_pages(tmp_path: Path) -> None:
    """With warnings as errors; where Sphinx is installed (tox run -e docs)."""
    sphinx = pytest.importorskip("sphinx.application")
    pytest.importorskip("myst_parser")
    app = sphinx.Sphinx(DOCS, DOCS, tmp_path / "html", tmp_path / "trees", "html",
                        warningiserror=True, status=None)  # fmt: skip
    app.build()
    assert app.statuscode == 0
    page = (tmp_path / "html" / "mathematics.html").read_text("utf-8")
    assert "<math" in page
    assert '<script src="http' not in page
