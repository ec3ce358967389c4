"""The report as a whole: every section and twin, the same bytes, its size, no engine."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

from checks.outcomes import Outcome
from reports import build
from reports.page import LARGEST, SPARED, page_within
from reports.page import page_of as page_of_run
from reports.run import read_run
from reports.standing import STANDINGS
from tests.report_claims import CLAIMS, many_claims
from tests.report_fixture import edit_evidence, write_run
from tests.report_page import Page, page_of, verdicts_on
from theory.catalogue import CLAIMS as CATALOGUE


def test_a_whole_run_gives_every_section(tmp_path: Path) -> None:
    page = page_of(write_run(tmp_path))
    ids = [a["id"] for _, a in page.elements if "id" in a]
    assert len(ids) == len(set(ids))
    assert {"sentences", "graph", "claims", "planted", "atlas", "assumptions"} <= set(ids)
    assert {"limitations", "provenance"} <= set(ids)
    assert {f"c-{c[0]}" for c in CLAIMS} <= set(ids)
    assert verdicts_on(page) == dict.fromkeys(("S1", "S2", "S3", "S4", "S5"), "held") | {
        "S6": "partial"  # the fixture has no control for it
    }
    targets = {a["href"][1:] for tag in ("a", "use") for a in page.all(tag)}
    assert targets <= set(ids)
    for words in (
        "10 held, 4 negative controls caught",
        "Caught, as expected",
        "Open question: held",
        "marginflow replay reports/out/cases/limit-direction-l1.json",
        "inconclusive (moves)",
        "All 24 violators came out vacuous.",
        "Margins are compared, not minimisers",
        "simplex: 163, integer simplex: 2",
        "proved: 161, disproved: 4",
        "would have seen a margin gap above 1.9×10⁻⁷",
        "margin gap 5.9×10⁻⁸",
        "148 runs, 8 audited in 64 stretches",
        "Simplest informative case",
        '"queries": [[1,1e-300]]',
        "hold the numbers of cases too large to be printed here",
        "Phase portrait",
        "Share of starts that reach the infimum",
        "Late steps need watching",
        "20240313",
        "torch 2.13.0",
    ):
        assert words in page.text


def test_formulas_are_mathml_and_each_is_derived_once(tmp_path: Path) -> None:
    page = page_of(write_run(tmp_path))
    assert len(page.all("math")) >= len(CLAIMS)
    assert page.with_class("latex") == []
    steps = [{"words": "Here.", "latex": "x = y"}, {"words": "There.", "latex": "x = y"}]
    edit_evidence(tmp_path, "softmax-jacobian", derivation=steps)
    assert "There. The formula of step 1." in page_of(tmp_path).text


def test_a_formula_that_does_not_convert_is_shown_as_its_source(tmp_path: Path) -> None:
    write_run(tmp_path)
    edit_evidence(tmp_path, "softmax-jacobian", latex=r"\nosuchcommand{x} < 1")
    page = page_of(tmp_path)
    assert len(page.with_class("latex")) == 1
    assert r"\nosuchcommand{x} < 1" in page.text


def test_every_plot_has_a_text_twin(tmp_path: Path) -> None:
    """Named itself, or hidden from screen readers and told in words beside it."""
    page = page_of(write_run(tmp_path))
    plots = [a for a in page.all("svg") if "viewbox" in a and a.get("class") != "graph"]
    bars = [a for a in page.all("svg") if a.get("role") == "none"]
    assert len(plots) + len(bars) > len(CLAIMS)
    named = [a for a in plots if "aria-label" in a]
    assert all(len(a["aria-label"]) > 20 and a["role"] == "img" for a in named)
    assert all(a["aria-hidden"] == "true" for a in plots if "aria-label" not in a)
    assert len(plots) + len(bars) + 1 == len(page.all("svg"))  # and the graph
    assert "stationarity, 1 − cos 1 → 10⁻¹¹" in page.text


def test_standings_have_one_colour_and_those_in_use_one_icon_each(tmp_path: Path) -> None:
    outcomes = {"aligned-nuclear": Outcome.VACUOUS, "limit-direction-l1": Outcome.ERROR}
    for directory, said in ((tmp_path / "a", {}), (tmp_path / "b", outcomes)):
        source = build(write_run(directory, outcomes=said)).read_text(encoding="utf-8")
        used = {
            name.removeprefix("is-")
            for _, attrs in Page(source).elements
            for name in attrs.get("class", "").split()
            if name.startswith("is-")
        }
        assert {"held", "caught", "open"} <= used
        assert {"vacuous", "error"} <= used or not said
        for key in STANDINGS:
            icons = source.count(f'.is-{key}{{--icon:url("data:image/svg+xml,')
            assert icons == (key in used)
            assert f".is-{key}{{--tone:var(--{key})}}" in source
        # light, dark and print each define every colour
        assert all(len(re.findall(rf"[{{;]--{key}:#", source)) == 3 for key in STANDINGS)


def test_the_same_files_give_the_same_bytes(tmp_path: Path) -> None:
    write_run(tmp_path)
    assert build(tmp_path).read_bytes() == build(tmp_path).read_bytes()


def test_as_many_claims_as_the_catalogue_has_stay_below_one_megabyte(tmp_path: Path) -> None:
    """And leave nothing to the files beside the page."""
    path = build(write_run(tmp_path, many_claims(len(CATALOGUE))))
    assert path.stat().st_size <= LARGEST == 1_000_000
    source = path.read_text(encoding="utf-8")
    assert "leaves to the evidence files" not in source
    assert source == page_of_run(read_run(tmp_path))


def test_a_page_of_too_many_claims_leaves_out_what_it_names(tmp_path: Path) -> None:
    run = read_run(write_run(tmp_path))
    whole = page_within(run)
    assert "leaves to the evidence files" not in whole
    shorter = page_within(run, largest=len(whole.encode()) - 1)
    assert len(shorter.encode()) < len(whole.encode())
    said = Page(shorter).text
    assert f"leaves to the evidence files: {SPARED[0]}." in said
    assert "Its data as JSON" in Page(whole).text
    assert "Its data as JSON" in said
    assert "Its data as JSON" not in Page(page_of_run(run, spared=SPARED[:2])).text
    sizes = [len(page_of_run(run, spared=SPARED[:n]).encode()) for n in range(len(SPARED) + 1)]
    assert sizes == sorted(sizes, reverse=True)
    everything = Page(page_within(run, largest=1)).text
    assert "; ".join(SPARED) in everything
    assert verdicts_on(Page(page_within(run, largest=1))) == verdicts_on(Page(whole))


def test_summary_has_a_row_a_sentence_and_a_claim(tmp_path: Path) -> None:
    build(write_run(tmp_path, outcomes={"mirror-identity": Outcome.FALSIFIED}))
    summary = (tmp_path / "summary.md").read_text(encoding="utf-8")
    assert "| S1 | ✓ Held | 148 | ≥ 71 | 0.31 |" in summary
    assert "| S5 | ✕ Falsified: because of mirror-identity |" in summary
    assert "| control-l2-is-l1 | control | ◎ Caught, as expected |" in summary
    assert summary.count("\n| ") >= len(CLAIMS) + 6


def test_no_engine_is_loaded(tmp_path: Path) -> None:
    write_run(tmp_path)
    code = (
        "import sys, pathlib, reports; reports.build(pathlib.Path(sys.argv[1]));"
        "print(sorted({m.split('.')[0] for m in sys.modules}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True
    )
    loaded = set(json.loads(done.stdout.replace("'", '"')))
    assert loaded.isdisjoint({"torch", "cvxpy", "sympy", "numpy", "scipy", "theory"})
    assert {"reports", "checks", "jinja2"} <= loaded
