"""The remains of a run: nothing, a part, failures only, and files that are damaged."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checks.outcomes import Outcome
from reports import BadReport, build
from tests.report_claims import CLAIMS
from tests.report_fixture import write_run
from tests.report_page import Page, page_of, verdicts_on


def test_an_empty_directory_gives_a_clear_page(tmp_path: Path) -> None:
    page = page_of(tmp_path)
    assert "Nothing was verified." in page.text
    assert set(verdicts_on(page).values()) == {"uncovered"}
    assert "Not covered in this run" in (tmp_path / "summary.md").read_text(encoding="utf-8")


def test_a_line_cut_off_is_an_interrupted_run(tmp_path: Path) -> None:
    write_run(tmp_path)
    path = tmp_path / "verdicts.jsonl"
    path.write_text(path.read_text(encoding="utf-8")[:-40], encoding="utf-8")
    page = page_of(tmp_path)
    assert "run interrupted" in page.text
    path.write_text(path.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    with pytest.raises(BadReport, match=r"^verdicts\.jsonl line 15: not JSON"):
        build(tmp_path)


def test_all_failed(tmp_path: Path) -> None:
    page = page_of(write_run(tmp_path, outcomes={c[0]: Outcome.ERROR for c in CLAIMS}))
    assert set(verdicts_on(page).values()) == {"error"}
    assert "0 of 14 judged claims stand" in page.text
    assert "this is a bug in the suite" in page.text


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("evidence/x.json", "{"),
        ("evidence/x.json", "[]"),
        ("evidence/x.json", '{"schema": 2}'),
        ("evidence/x.json", '{"schema": 1, "claim": "x", "kind": "limit", "outcome": "fine"}'),
        ("run.json", "null"),
        ("run.json", '{"schema": 1, "claims": [{"key": 3}]}'),
        ("verdicts.jsonl", '{"schema": 1, "claim": "x"}\n'),
        ("verdicts.jsonl", "[" * 100_000 + "\n"),
    ],
)
def test_a_damaged_file_is_one_clear_line(tmp_path: Path, name: str, content: str) -> None:
    write_run(tmp_path)
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(BadReport) as caught:
        build(tmp_path)
    assert "\n" not in str(caught.value)
    assert name.split("/")[-1] in str(caught.value)


def test_a_missing_directory_and_bytes_that_are_no_text(tmp_path: Path) -> None:
    with pytest.raises(BadReport, match="no such directory"):
        build(tmp_path / "nowhere")
    write_run(tmp_path)
    (tmp_path / "verdicts.jsonl").write_bytes(b"\xff\xfe{}\n")
    with pytest.raises(BadReport, match=r"verdicts\.jsonl"):
        build(tmp_path)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 10**400) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)


@settings(deadline=None, derandomize=True, database=None, max_examples=150)
@given(st.data())
def test_any_value_in_any_field_is_read_or_refused(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as name:
        directory = write_run(Path(name), [CLAIMS[6]])
        path = directory / "evidence" / f"{CLAIMS[6][0]}.json"
        record = json.loads(path.read_text(encoding="utf-8"))
        place, key = record, data.draw(st.sampled_from(sorted(record)))
        while isinstance(place[key], (dict, list)) and place[key] and data.draw(st.booleans()):
            place = place[key]
            keys = sorted(place) if isinstance(place, dict) else range(len(place))
            key = data.draw(st.sampled_from(list(keys)))
        place[key] = data.draw(JSON)
        path.write_text(json.dumps(record), encoding="utf-8")
        refusal = ""
        try:
            build(directory)
        except BadReport as error:
            refusal = str(error)
        if refusal:
            assert "\n" not in refusal
        else:
            page = (directory / "index.html").read_text(encoding="utf-8")
            assert Page(page).unbalanced == []
