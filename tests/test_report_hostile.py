"""Hostile strings: what a file cannot do to a page."""

from __future__ import annotations

import json
import re
from pathlib import Path

from reports import build
from tests.report_claims import CLAIMS
from tests.report_fixture import edit_verdict, write_run
from tests.report_page import HOSTILE, Page, outside_references, page_of


def test_hostile_strings_stay_text(tmp_path: Path) -> None:
    quiet = build(write_run(tmp_path / "quiet")).read_text(encoding="utf-8")
    directory = write_run(tmp_path / "loud")
    for path in (directory / "evidence").glob("*.json"):
        record = json.loads(path.read_text(encoding="utf-8"))
        for key in ("title", "statement", "latex", "falsified_by", "not_shown", "profile"):
            record[key] = HOSTILE
        record["versions"] = {HOSTILE: HOSTILE}
        record["sentence_texts"] = {HOSTILE: HOSTILE}
        record["citation"] = {"source": HOSTILE, "text": f"${HOSTILE}$"}
        record["reasons"], record["must_see"] = {HOSTILE: 2}, {HOSTILE: 0}
        record["derivation"] = [{"words": HOSTILE, "latex": HOSTILE}]
        for part in ("histograms", "assumptions", "tolerances", "curves", "optima"):
            for item in record.get(part, []):
                item.update({k: HOSTILE for k, v in item.items() if isinstance(v, str)})
        for curve in record["curves"]:
            for series in curve["series"]:
                series["label"] = HOSTILE
        if record["worst"]:
            loud = {"name": HOSTILE, "command": HOSTILE, "because": HOSTILE, "file": HOSTILE}
            record["worst"] |= loud | {"data": {HOSTILE: HOSTILE}}
            record["simplest"] |= loud
            record["phase"] |= {"title": HOSTILE, "norm": HOSTILE, "axes": [HOSTILE] * 2}
            record["close_ups"][0]["curves"][0] |= {"title": HOSTILE, "y_label": HOSTILE}
            record["fidelity"]["errors"]["label"] = HOSTILE
        for grid in record.get("grids", []):
            grid["title"], grid["x"]["name"] = HOSTILE, HOSTILE
            grid["y"]["values"], grid["cells"][0][0]["note"] = [HOSTILE, HOSTILE], HOSTILE
        record["rests_on"] = [*record["rests_on"], HOSTILE]
        path.write_text(json.dumps(record), encoding="utf-8")
    for claim in CLAIMS:
        edit_verdict(directory, claim[0], reason=HOSTILE, case=HOSTILE, profile=HOSTILE)
    page = page_of(directory)
    assert len(page.all("script")) == len(Page(quiet).all("script")) == 1
    assert page.all("img") == []
    assert not any(k.startswith("on") for _, a in page.elements for k in a)
    assert "<script>alert(1)</script>" in page.text
    assert "{{ 7*7 }}" in page.text
    summary = (directory / "summary.md").read_text(encoding="utf-8")
    assert "<script" not in summary
    rows = [line for line in summary.splitlines() if line.startswith("| ")]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} <= {6, 8}


def test_hostile_keys_stay_text_and_keep_their_links(tmp_path: Path) -> None:
    keys = ["a b", "a&b", "a<b", HOSTILE]
    claims = [(key, "flow", ["S1"], [], "held", "t", "s", "x") for key in keys]
    page = page_of(write_run(tmp_path, claims))
    ids = [a["id"] for _, a in page.elements if "id" in a]
    assert len(ids) == len(set(ids))
    assert {a["href"][1:] for a in page.all("a")} <= set(ids)


def test_the_reference_finder_sees_what_it_looks_for() -> None:
    """Negative control of ``outside_references`` and of ``Page.unbalanced``."""
    for planted in (
        '<img src="https://example.org/a.png">',
        '<link href="//example.org/a.css">',
        "<style>@import 'a.css';</style>",
        "<style>b{background:url(http://example.org/a)}</style>",
        '<a href="https://example.org">x</a>',
        '<meta http-equiv="refresh" content="0">',
    ):
        assert outside_references(planted)
    assert Page("<p><b></p>").unbalanced
