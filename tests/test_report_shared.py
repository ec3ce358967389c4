"""What a page says once and links to: lasting ids, limits and reasons of many claims, controls."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reports import build
from reports.anchors import lasting, short
from reports.page import SPARED
from reports.page import page_of as whole_page
from reports.run import Run, read_run
from reports.shared import MANY, shared_limits, shared_reasons
from reports.text import opening
from tests.report_claims import CLAIMS
from tests.report_fixture import edit_evidence, write_run
from tests.report_page import HOSTILE, Page, page_of

KEYS = [claim[0] for claim in CLAIMS]
SAMPLED = [claim[0] for claim in CLAIMS if claim[1] != "symbolic"]
CONTROL = next(claim[0] for claim in CLAIMS if claim[4] == "falsified")
LIMIT = "Nothing about starts with c_j = 0, and nothing about the speed."
REASON = "Regret bound at the horizon plus the solver's interval."


def articles(directory: Path, spared: int = 0) -> dict[str, str]:
    """Key -> the HTML of its claim, of a page that leaves out the first ``spared`` of SPARED."""
    run = read_run(directory)
    found = re.findall(
        r"<article .*?</article>", whole_page(run, spared=SPARED[:spared]), re.DOTALL
    )
    return dict(zip([r.key for r in run.records], found, strict=True))


def ids(page: Page) -> list[str]:
    return [attrs["id"] for _, attrs in page.elements if "id" in attrs]


# ---- addresses -------------------------------------------------------------------------


@settings(deadline=None, derandomize=True, database=None, max_examples=200)
@given(st.lists(st.text(max_size=6) | st.sampled_from(["a b", "a-b", "a:1", HOSTILE])))
def test_no_two_keys_share_an_id(keys: list[str]) -> None:
    for ids_of in (short("c", keys), lasting("c", keys)):
        assert ids_of.keys() == set(keys)
        assert len(set(ids_of.values())) == len(set(keys))
        assert all(re.fullmatch(r"c[\w.:-]*", name, re.ASCII) for name in ids_of.values())


def test_every_link_of_a_page_leads_somewhere(tmp_path: Path) -> None:
    page = page_of(write_run(tmp_path))
    known = ids(page)
    assert len(known) == len(set(known))
    links = [a["href"] for tag in ("a", "use") for a in page.all(tag)]
    assert {link[1:] for link in links} <= set(known)
    short_ones = {f"#c{i}" for i in range(len(CLAIMS))}
    assert short_ones <= set(links)  # each claim is linked to, by its short id
    assert not [link for link in links if link.startswith(("#c-", "#a-"))]


def test_lasting_ids_are_the_same_in_another_run(tmp_path: Path) -> None:
    """Short ones are not, which is what the lasting ones are for."""
    whole = page_of(write_run(tmp_path / "whole"))
    part = page_of(write_run(tmp_path / "part", CLAIMS[4:]))
    for page, keys in ((whole, KEYS), (part, KEYS[4:])):
        codes = [a["id"] for a in page.all("code") if "id" in a]
        assert {f"c-{key}" for key in keys} <= set(codes)
        assert {"a-separable", "a-infimum-reached"} <= set(codes)
        assert {f"s-S{i}" for i in range(1, 7)} <= set(ids(page))
    assert articles(tmp_path / "whole")[KEYS[4]].startswith("<article class=is-held id=c4>")
    assert articles(tmp_path / "part")[KEYS[4]].startswith("<article class=is-unsupported id=c0>")


# ---- said once -------------------------------------------------------------------------


def listed(page: str, title: str) -> str:
    """The list of Limitations under ``title``."""
    after = page.partition(f"<h3>{title}</h3>")[2]
    return after.partition("</ol>")[0]


@pytest.mark.parametrize(
    ("title", "words", "letter"),
    [
        ("What limits many claims", LIMIT, "l"),
        ("Why many tolerances are what they are", REASON, "r"),
    ],
)
def test_what_many_claims_say_is_listed_once_and_each_links_to_it(
    tmp_path: Path, title: str, words: str, letter: str
) -> None:
    write_run(tmp_path)
    own = "Nothing about the third moment."
    edit_evidence(tmp_path, SAMPLED[0], not_shown=f"{own} {LIMIT}")
    html = listed(build(tmp_path).read_text(encoding="utf-8"), title)
    said = Page(html).text
    start = words[:20]
    (name,) = re.findall(rf"<li id=({letter}\d+)>{start}", html)
    assert said.count(start) == 1
    several = len(CLAIMS) if letter == "l" else len(SAMPLED)
    assert f"said of {several} claims" in said
    assert own not in said
    for key, article in articles(tmp_path).items():
        says = letter == "l" or key in SAMPLED
        assert (f"<a href=#{name}>{start}" in article) == says
        assert Page(article).text.count(words[-20:]) == 0  # its end is read in the list only
    assert own in articles(tmp_path)[SAMPLED[0]]


def test_what_few_claims_say_each_says_itself(tmp_path: Path) -> None:
    write_run(tmp_path)
    for i, key in enumerate(KEYS):
        common = "Few agree." if i < MANY - 1 else "Many agree." if i < 2 * MANY - 1 else ""
        edit_evidence(tmp_path, key, not_shown=f"Only number {i} differs. {common}")
    run = read_run(tmp_path)
    assert shared_limits(run) == {"Many agree.": MANY}
    shown = articles(tmp_path)
    assert all(f"Only number {i} differs." in shown[key] for i, key in enumerate(KEYS))
    assert all("<p>Only number" in shown[key] for key in KEYS)
    assert all("Few agree." in shown[key] for key in KEYS[: MANY - 1])


def test_reasons_of_symbolic_claims_are_not_listed(tmp_path: Path) -> None:
    """The page shows none of their tolerances, so nothing would link to it."""
    write_run(tmp_path)
    used = {"name": "x", "value": 1.0, "because": "Because.", "at_half": "held"}
    for key in set(KEYS) - set(SAMPLED):
        edit_evidence(tmp_path, key, tolerances=[used | {"at_double": "held"}])
    reasons = shared_reasons(read_run(tmp_path))
    assert list(reasons.values()) == [len(SAMPLED)] * 2
    assert "Because." not in reasons


def test_nothing_shared_gives_no_list(tmp_path: Path) -> None:
    source = build(write_run(tmp_path, CLAIMS[: MANY - 1])).read_text(encoding="utf-8")
    assert "many claims" not in source
    assert LIMIT[:20] in source


def test_what_many_claims_say_survives_hostile_text(tmp_path: Path) -> None:
    write_run(tmp_path)
    for key in KEYS:
        edit_evidence(tmp_path, key, not_shown=HOSTILE)
    for key in SAMPLED:
        used = {"name": "x", "value": 1.0, "at_half": "held", "at_double": "held"}
        edit_evidence(tmp_path, key, tolerances=[used | {"because": HOSTILE}])
    page = page_of(tmp_path)
    assert len(page.all("script")) == 1
    assert page.all("img") == []


@pytest.mark.parametrize(
    ("words", "start"),
    [
        ("", ""),
        ("Short enough.", "Short enough."),
        ("One word after another word.", "One word after…"),
        ("Antidisestablishmentarianism is long.", "Antidisestablishmentarianism is long."),
        ("Since $x y z > 0$ and more of it", "Since $x y z > 0$ and more of it"),
    ],
)
def test_the_opening_of_a_sentence(words: str, start: str) -> None:
    assert opening(words, 17) == start


# ---- negative controls -----------------------------------------------------------------


def test_where_room_is_scarce_a_control_shows_what_convicts_it_and_numbers(tmp_path: Path) -> None:
    directory = write_run(tmp_path)
    path = directory / "evidence" / f"{CONTROL}.json"
    record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    (kkt,) = record["close_ups"][0]["curves"]
    series = [{"label": "sample 1", "points": [[i, 0.5 + i / 9] for i in range(4)]}]
    other = kkt | {"name": "attention", "title": "Attention", "series": series}
    edit_evidence(directory, CONTROL, close_ups=[{"of": "worst", "curves": [kkt, other]}])
    edit_evidence(directory, SAMPLED[0], close_ups=[{"of": "worst", "curves": [kkt, other]}])
    whole, shown = articles(directory), articles(directory, spared=1)
    assert "sample 1 <b>" in whole[CONTROL]
    assert whole[CONTROL].count("<svg role=none") > 3
    assert whole[SAMPLED[0]] == shown[SAMPLED[0]]
    assert "sample 1 <b>" in shown[SAMPLED[0]]
    assert shown[SAMPLED[0]].count("<svg role=none") > 3
    control = shown[CONTROL]
    assert "KKT residuals" in control
    assert "sample 1 <b>" not in control
    assert "role=none" not in control  # no histogram, but what each would have shown:
    words = Page(control).text
    assert "separable −0.85 · 0.42 · 1.7" in words  # least, median and greatest of its bins
    assert "infimum-reached 0 · 6.5 · above 10" in words
    assert "log₁₀ of local error over its bound −3 · " in words
    assert "best normalised margin γ* 10⁻⁴ · 0.021 · 1 " in words
    assert "All 24 violators came out vacuous." in words


def test_a_control_warns_of_violators_that_were_missed(tmp_path: Path) -> None:
    directory = write_run(tmp_path)
    path = directory / "evidence" / f"{CONTROL}.json"
    first, second = json.loads(path.read_text(encoding="utf-8"))["assumptions"]
    missed = first | {"violators": {"tried": 12, "vacuous": 11}}
    edit_evidence(directory, CONTROL, assumptions=[missed, second | {"violators": None}])
    control = articles(directory, spared=1)[CONTROL]
    assert "<b class=bad>11 of 12 violators found vacuous</b>" in control
    assert "<b class=bad>no violators tried</b>" in control
    assert "came out vacuous" not in Page(control).text.replace("found vacuous", "")


def test_a_control_without_margins_says_so(tmp_path: Path) -> None:
    directory = write_run(tmp_path)
    path = directory / "evidence" / f"{CONTROL}.json"
    first, _ = json.loads(path.read_text(encoding="utf-8"))["assumptions"]
    empty: dict[str, list[int]] = {"edges": [], "counts": []}
    edit_evidence(directory, CONTROL, assumptions=[first | {"margins": empty}], histograms=[])
    control = articles(directory, spared=1)[CONTROL]
    assert "separable</a> –" in control
    assert "<ul class=few></ul>" not in control


def test_what_is_shared_is_looked_for_once_a_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not once a claim, which would make pages of many claims slow."""
    run = read_run(write_run(tmp_path))
    calls = []

    def counted(of: Callable[[Run], dict[str, int]]) -> Callable[[Run], dict[str, int]]:
        def call(run: Run) -> dict[str, int]:
            calls.append(of)
            return of(run)

        return call

    monkeypatch.setattr("reports.page.shared_limits", counted(shared_limits))
    monkeypatch.setattr("reports.page.shared_reasons", counted(shared_reasons))
    whole_page(run)
    assert calls == [shared_limits, shared_reasons]
