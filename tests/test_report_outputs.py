"""What lies beside the page: schemas, JUnit, LaTeX, figures, the comparison of two runs."""

from __future__ import annotations

import copy
import json
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from jsonschema import Draft202012Validator, ValidationError

from checks import budgets
from checks.budgets import Budget
from checks.flow.settings import Settings
from checks.outcomes import Outcome, dumps
from checks.runner import Unit, run_unit
from reports import BadReport, build, compare, export
from reports.latex import escape
from tests.report_claims import CLAIMS
from tests.report_fixture import edit_evidence, edit_verdict, write_run
from tests.report_page import HOSTILE, page_of
from tests.report_records import problem_result

SCHEMAS = Path(__file__).parent.parent / "reports" / "schemas"


def schema(name: str) -> Draft202012Validator:
    found = json.loads((SCHEMAS / f"{name}.schema.json").read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(found)
    return Draft202012Validator(found)


def records(directory: Path) -> Iterator[tuple[str, Any]]:
    """(schema name, object) of every JSON object that a run's directory holds."""
    for line in (directory / "verdicts.jsonl").read_text(encoding="utf-8").splitlines():
        yield "verdict", json.loads(line)
    for path in (directory / "evidence").glob("*.json"):
        yield "evidence", json.loads(path.read_text(encoding="utf-8"))
    if (directory / "run.json").is_file():
        yield "run", json.loads((directory / "run.json").read_text(encoding="utf-8"))


# ---- schemas ---------------------------------------------------------------------------


def test_the_fixture_is_what_the_schemas_say(tmp_path: Path) -> None:
    """All other tests of the report stand on the fixture, so it must look like a real run."""
    seen = set()
    for name, record in records(write_run(tmp_path)):
        schema(name).validate(record)
        seen.add(name)
    assert seen == {"verdict", "evidence", "run"}
    result = json.loads(dumps(problem_result()))
    del result["page"]
    schema("check").validate(result)


def test_a_real_run_is_what_the_schemas_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny = Budget(
        "quick", cases=8, search=1, search_batch=2, chunk=64, violators=3, audited=0.05,
        stretches=4, informative=2, problems=2,
        settings=Settings(gap=1e-4, early_steps=600, late_steps=100), shapes=1,
    )  # fmt: skip
    monkeypatch.setitem(budgets.PROFILES, "quick", tiny)
    for key in ("symbolic.mirror-form", "limit.combined-l2"):
        verdict = run_unit(Unit(key, "quick", 0, str(tmp_path)))
        schema("verdict").validate(json.loads(verdict.to_json()))
        path = tmp_path / "evidence" / f"{key}.json"
        record = json.loads(path.read_text(encoding="utf-8"))
        schema("evidence").validate(record)
    assert record["close_ups"][0]["of"] == "worst"
    assert record["phase"]["axes"] == ["β₁", "β₂"]
    assert record["fidelity"]["runs"] > 0
    assert record["worst"]["data"]["tokens"]
    assert (tmp_path / record["simplest"]["file"]).is_file()
    page = page_of(tmp_path)
    assert "Phase portrait" in page.text
    assert "Attention on the optimal token" in page.text


def test_the_schemas_refuse_what_a_reader_would_stumble_over(tmp_path: Path) -> None:
    found = dict(records(write_run(tmp_path)))
    broken = [
        ("verdict", {"outcome": "HELD"}), ("verdict", {"informative": -1}),
        ("verdict", {"worst": "big"}), ("evidence", {"curves": [{"name": "x"}]}),
        ("evidence", {"phase": {"axes": ["a"]}}), ("evidence", {"schema": 2}),
        ("run", {"claims": [{"key": "x"}]}),
    ]  # fmt: skip
    for name, change in broken:
        with pytest.raises(ValidationError):
            schema(name).validate(copy.deepcopy(found[name]) | change)
        schema(name).validate(found[name] | {"new field": 1})  # additive changes are allowed


# ---- JUnit -----------------------------------------------------------------------------


def test_junit_counts_what_is_not_as_expected(tmp_path: Path) -> None:
    outcomes = {
        "softmax-jacobian": Outcome.ERROR,
        "mirror-identity": Outcome.FALSIFIED,
        "control-l1-is-l2": Outcome.HELD,
        "limit-direction-l2": Outcome.INCONCLUSIVE,
        "frontier-unaligned": Outcome.FALSIFIED,
    }
    build(write_run(tmp_path, outcomes=outcomes, only={c[0] for c in CLAIMS[1:]}))
    root = ElementTree.fromstring((tmp_path / "junit.xml").read_text(encoding="utf-8"))
    cases = {case.get("name"): case for case in root.iter("testcase")}
    assert cases.keys() == {c[0] for c in CLAIMS}
    marked = {
        word: {name for name, case in cases.items() if case.find(word) is not None}
        for word in ("failure", "error", "skipped")
    }
    assert marked["failure"] == {"mirror-identity", "control-l1-is-l2", "limit-direction-l2"}
    assert marked["error"] == {"softmax-jacobian"}
    assert marked["skipped"] == {CLAIMS[0][0]}
    for word, plural in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
        assert sum(int(s.get(plural, "")) for s in root) == len(marked[word])
    assert sum(int(s.get("tests", "")) for s in root) == len(CLAIMS)
    said = cases["mirror-identity"].find("failure")
    assert said is not None
    assert said.get("message", "").startswith("falsified, expected held")


# ---- LaTeX -----------------------------------------------------------------------------


def test_the_latex_table_has_a_row_a_claim(tmp_path: Path) -> None:
    build(write_run(tmp_path, outcomes={"limit-direction-l2": Outcome.INCONCLUSIVE}))
    tex = (tmp_path / "verdicts.tex").read_text(encoding="utf-8")
    rows = [line for line in tex.splitlines() if line.count(" & ") == 5 and "Verdict" not in line]
    assert len(rows) == len(CLAIMS)
    assert all(row.endswith(r" \\") for row in rows)
    assert r"S4 & inconclusive & Combined weights reach the best Frobenius margin & 148" in tex
    assert (
        r"S2, S3 & caught, as expected & False: separate weights reach the best $\ell_{2}$" in tex
    )
    assert r"$2.9\cdot 10^{4}$" in tex
    assert r"\usepackage{array,booktabs,longtable}" in tex.splitlines()[0]
    assert tex.count(r"\begin{longtable}") == tex.count(r"\end{longtable}") == 1
    assert tex.endswith("\\end{longtable}}\n")  # and the group of its settings
    assert "profile quick; seed 20240313" in tex


def test_latex_escapes_everything() -> None:
    special = '\\&%$#_{}~^<>|"'
    out = escape(special + "\nx")
    for command in re.findall(r"\\[a-z]+\{\}|\\[&%$#_{}]", out):
        out = out.replace(command, "", 1)
    assert out == " x"


def test_latex_sets_mathematics_as_the_page_does(tmp_path: Path) -> None:
    title = "lambda <= 1e-9, the l1.5 SVM -> l2, full-l2"
    write_run(tmp_path, [("key", "flow", ["S1"], [], "held", title, "s", "x")])
    build(tmp_path)
    said = r"$\lambda$ $\le$ 10$^{-}$$^{9}$, the $\ell_{1.5}$ SVM $\to$ $\ell_{2}$, full-l2"
    assert said in (tmp_path / "verdicts.tex").read_text(encoding="utf-8")


# ---- comparison ------------------------------------------------------------------------


def test_a_run_compared_with_itself(tmp_path: Path) -> None:
    write_run(tmp_path / "a")
    assert compare(tmp_path / "a", tmp_path / "a") == "nothing changed"
    source = build(tmp_path / "a", tmp_path / "a").read_text(encoding="utf-8")
    assert "no count or worst ratio moved by a factor of two" in source
    assert 'id="changes"' not in build(tmp_path / "a").read_text(encoding="utf-8")


def test_what_changed_is_told_verdicts_first(tmp_path: Path) -> None:
    old = write_run(tmp_path / "old", CLAIMS[:-1])
    new = write_run(
        tmp_path / "new", CLAIMS[1:], outcomes={"limit-direction-l2": Outcome.INCONCLUSIVE}
    )
    edit_verdict(new, "aligned-nuclear", informative=40, worst=0.95, seed=7)
    edit_evidence(new, "aligned-nuclear", seed=7, counts={})
    lines = compare(new, old).splitlines()
    assert "limit-direction-l2: outcome: held -> inconclusive" in lines
    assert "S4: sentence: Held -> Inconclusive" in lines
    assert "frontier-unaligned: claim: absent -> held" in lines
    assert "gradient-margin-form: claim: held -> absent" in lines
    assert "aligned-nuclear: informative: 148 -> 40" in lines
    assert "aligned-nuclear: worst / tolerance: 0.31 -> 0.95" in lines
    assert "aligned-nuclear: profile and seed: quick, seed 20240313 -> quick, seed 7" in lines
    graver = [": outcome: " in x or ": verdict: " in x or ": claim: " in x for x in lines]
    assert graver.index(False) > 0 or ": sentence: " in lines[0]
    page = build(new, old).read_text(encoding="utf-8")
    assert "What changed" in page
    with pytest.raises(BadReport, match="no such directory"):
        build(new, tmp_path / "nowhere")


# ---- figures ---------------------------------------------------------------------------


def test_figures_are_written_for_every_plot_and_reproducibly(tmp_path: Path) -> None:
    key, opened = CLAIMS[6][0], CLAIMS[-1][0]
    directory = write_run(tmp_path, [CLAIMS[6], CLAIMS[-1]])
    edit_evidence(directory, opened, curves=[], close_ups=[], phase=None, histograms=[])
    paths = export(directory)
    assert {path.name for path in paths} == {
        f"{stem}.{kind}"
        for stem in (
            *(f"{key}-{name}" for name in ("gap", "attention", "worst-kkt", "phase", "cases")),
            *(f"{key}-margins", f"{opened}-grid-1", f"{opened}-margins"),
        )
        for kind in ("svg", "pdf")
    }
    for path in paths:
        data = path.read_bytes()
        assert data.startswith(b"%PDF-" if path.suffix == ".pdf" else b"<?xml")
        if path.suffix == ".svg":
            ElementTree.fromstring(data)
    for path in (directory / "evidence").glob("*.json"):  # once more, for fewer of them
        edit_evidence(directory, path.stem, curves=[], histograms=[], assumptions=[], grids=[])
    first = {path.name: path.read_bytes() for path in paths}
    again = {path.name: path.read_bytes() for path in export(directory)}
    assert len(again) == 4
    assert again.items() <= first.items()


def test_without_matplotlib_figures_say_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(BadReport, match=r"pip install 'marginflow\[figures\]'"):
        export(write_run(tmp_path, [CLAIMS[6]]))
    assert not (tmp_path / "figures").exists()


# ---- planted errors, hostile text ------------------------------------------------------


def test_the_table_of_planted_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "planted.json"
    monkeypatch.setattr("reports.planted.FILE", file)
    write_run(tmp_path / "run")
    assert "ships no table of planted errors" in page_of(tmp_path / "run").text
    row = {"name": "sign", "what": "the gradient's sign flipped", "by": "flow.gradient",
           "outcome": "falsified", "reason": "gradient difference", "killed": True}  # fmt: skip
    file.write_text(json.dumps({"rows": [row, row | {"killed": False, "what": HOSTILE}]}))
    page = page_of(tmp_path / "run")
    assert "1 of 2 were killed" in page.text
    fates = page.text[page.text.index("1 of 2 were killed") :]
    assert "the gradient's sign flipped sign Killed flow.gradient falsified" in fates
    assert fates.index("Survived") < fates.index("Killed")  # what was missed comes first
    assert len(page.all("script")) == 1
    file.write_text(json.dumps({"rows": [{"name": 3}]}))
    with pytest.raises(BadReport, match=r"planted\.json"):
        build(tmp_path / "run")


def test_the_files_beside_the_page_survive_hostile_text(tmp_path: Path) -> None:
    claims = [(HOSTILE, "flow", ["S1"], [], "held", HOSTILE, "s", "x"), CLAIMS[6]]
    directory = write_run(tmp_path, claims, outcomes={HOSTILE: Outcome.ERROR})
    edit_verdict(directory, HOSTILE, reason=HOSTILE + "\x00\x1b", case=HOSTILE)
    build(directory)
    root = ElementTree.fromstring((directory / "junit.xml").read_bytes())
    assert len(list(root.iter("testcase"))) == 2
    tex = (directory / "verdicts.tex").read_text(encoding="utf-8")
    assert r"\textless{}script\textgreater{}" in tex
    for path in (directory / "evidence").glob("*.json"):
        few = {"histograms": [], "assumptions": [], "curves": [], "close_ups": []}
        path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | few))
    assert len(export(directory)) == 4  # two portraits
    assert {p.parent for p in (directory / "figures").iterdir()} == {directory / "figures"}


def test_an_empty_run_has_all_its_files(tmp_path: Path) -> None:
    build(tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == {
        "index.html", "summary.md", "junit.xml", "verdicts.tex",
    }  # fmt: skip
    assert export(tmp_path) == []
    assert compare(tmp_path, tmp_path) == "nothing changed"


def test_no_file_of_another_run_is_needed(tmp_path: Path) -> None:
    """A directory that was copied elsewhere gives the same page."""
    write_run(tmp_path / "a")
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    assert build(tmp_path / "a").read_bytes() == build(tmp_path / "b").read_bytes()
