"""The form of the page: quick, accessible, legible, printable, and whole without script."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from reports import build, problem_page
from reports import page as page_module
from reports.run import read_run
from tests.browser import NEEDS_CHROMIUM, browser
from tests.report_claims import CLAIMS, many_claims
from tests.report_fixture import edit_evidence, edit_verdict, write_run
from tests.report_records import problem_result
from theory.catalogue import CLAIMS as CATALOGUE

pytestmark = NEEDS_CHROMIUM
chromium = pytest.fixture(scope="module")(browser)

WIDTHS = {"phone": 390, "laptop": 1280, "wide": 1800}
LARGEST = 1_000_000
"""Bytes of a page."""
USABLE_MS = 500
"""Until the page is laid out and its filter has answered, with 10,000 results behind it."""


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(write_run(tmp_path_factory.mktemp("run")))


@pytest.fixture(scope="module")
def problem_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return problem_page(problem_result(), tmp_path_factory.mktemp("problem") / "problem.html")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory, problem_file: Path) -> dict[str, Path]:
    """The problem page, and a report with one claim of each sort: every part of the template."""
    chosen = [CLAIMS[0], CLAIMS[4], CLAIMS[6], CLAIMS[10], CLAIMS[-1]]
    directory = write_run(tmp_path_factory.mktemp("short"), chosen)
    return {"report": build(directory), "problem": problem_file}


@pytest.fixture
def opened(chromium: Browser) -> Iterator[Page]:
    # Axe itself is a script that the page's policy refuses; another test holds the policy.
    context = chromium.new_context(bypass_csp=True)
    page = context.new_page()
    yield page
    context.close()


def walk(page: Page) -> None:
    """Open what is closed and scroll to the end, as a reader does."""
    page.evaluate(
        """async () => {
            document.querySelectorAll('details').forEach(d => d.open = true);
            for (let y = 0; y < document.body.scrollHeight; y += 500) {
                scrollTo(0, y);
                await new Promise(done => requestAnimationFrame(() => setTimeout(done)));
            }
        }"""
    )


def open_at(page: Page, file: Path, width: int, scheme: str = "light") -> None:
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    page.goto(file.as_uri())


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("which", ["report", "problem"])
def test_no_accessibility_violation(
    opened: Page, files: dict[str, Path], which: str, scheme: str
) -> None:
    for width in (WIDTHS["phone"], WIDTHS["wide"]):
        open_at(opened, files[which], width, scheme)
        walk(opened)
        found = Axe().run(opened)
        assert found.violations_count == 0, found.generate_report()


def test_axe_sees_what_it_looks_for(opened: Page) -> None:
    """Negative control: an image without words, and text too pale to read."""
    opened.set_content(
        "<!doctype html><html lang=en><title>x</title><main><h1>x</h1><img src='data:,'>"
        "<p style='color:#eee;background:#fff'>pale</p></main>"
    )
    seen = {violation["id"] for violation in Axe().run(opened).response["violations"]}
    assert {"image-alt", "color-contrast"} <= seen


@pytest.mark.parametrize("width", list(WIDTHS.values()), ids=list(WIDTHS))
@pytest.mark.parametrize("which", ["report", "problem"])
def test_nothing_is_wider_than_the_window(
    opened: Page, files: dict[str, Path], which: str, width: int
) -> None:
    """Wide things scroll by themselves; the page does not."""
    open_at(opened, files[which], width)
    walk(opened)
    assert opened.evaluate("document.documentElement.scrollWidth") <= width


def test_what_scrolls_can_be_reached_by_keyboard(opened: Page, files: dict[str, Path]) -> None:
    for file in files.values():
        open_at(opened, file, WIDTHS["phone"])
        walk(opened)
        stuck = opened.evaluate(
            """() => [...document.querySelectorAll('.scroll')].filter(e =>
                e.scrollWidth > e.clientWidth + 1 && e.tabIndex < 0 &&
                !e.querySelector('a, button')).map(e => e.textContent.trim().slice(0, 60))"""
        )
        assert stuck == []


def test_the_keyboard_reaches_skip_link_filters_and_claims(opened: Page, page_file: Path) -> None:
    open_at(opened, page_file, WIDTHS["laptop"])
    opened.keyboard.press("Tab")
    assert opened.evaluate("document.activeElement.textContent") == "Skip to the verdicts"
    opened.keyboard.press("Enter")
    assert opened.url.endswith("#sentences")
    opened.focus("#find")
    opened.keyboard.type("nuclear")
    assert opened.locator(".claims tbody tr:visible").count() == 1
    assert opened.inner_text("#shown") == f"1 of {len(CLAIMS)}"
    opened.keyboard.press("Tab")
    assert opened.evaluate("document.activeElement.id") == "pick"


def test_without_script_everything_is_there(chromium: Browser, page_file: Path) -> None:
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(page_file.as_uri())
    assert page.locator("article").count() == len(CLAIMS)
    assert page.locator(".claims tbody tr:visible").count() == len(CLAIMS)
    assert page.locator("form.filters:visible").count() == 0
    page.locator("summary").first.click()
    assert page.locator(".twin li").first.is_visible()
    context.close()


@pytest.fixture
def ten_thousand(tmp_path: Path) -> Path:
    """A page of as many claims as the catalogue has, most of them sampled, of 10,000 cases."""
    claims = many_claims(len(CATALOGUE))
    directory = write_run(tmp_path, claims)
    for claim in claims:
        if claim[1] != "symbolic":
            edit_verdict(directory, claim[0], tried=400)
            edit_evidence(directory, claim[0], counts={})
    lines = (directory / "verdicts.jsonl").read_text(encoding="utf-8").splitlines()
    assert sum(json.loads(line)["tried"] for line in lines) >= 10_000
    return build(directory)


def test_ten_thousand_results_are_a_small_page(ten_thousand: Path) -> None:
    assert ten_thousand.stat().st_size <= LARGEST == page_module.LARGEST
    assert "leaves to the evidence files" not in ten_thousand.read_text(encoding="utf-8")


@pytest.mark.nightly  # a clock: the page's own computing time, on a machine that may be busy
def test_ten_thousand_results_are_usable_at_once(chromium: Browser, ten_thousand: Path) -> None:
    page = chromium.new_page(viewport={"width": 1280, "height": 900})
    assert _usable(page, ten_thousand) < USABLE_MS
    page.close()


def _usable(page: Page, file: Path) -> float:
    """Milliseconds of the page's own thread from nothing to a laid-out page and an answer of
    its filter: its computing time, which does not depend on what else this machine does."""
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})
    page.goto(file.as_uri())
    page.fill("#find", "nuclear")
    page.evaluate("new Promise(done => requestAnimationFrame(() => setTimeout(done)))")
    found = session.send("Performance.getMetrics")["metrics"]
    return 1000 * next(float(m["value"]) for m in found if m["name"] == "TaskDuration")


def test_what_is_left_out_of_the_markup_a_browser_puts_back(
    opened: Page, page_file: Path, problem_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The compact page and the one with every tag and quote are one document."""
    monkeypatch.setattr(page_module, "compact", lambda html: html)
    whole = page_file.with_name("whole.html")
    whole.write_text(page_module.page_within(read_run(page_file.parent)), encoding="utf-8")
    problem = problem_page(problem_result(), problem_file.with_name("whole.html"))
    for short, long in ((page_file, whole), (problem_file, problem)):
        assert short.stat().st_size < long.stat().st_size
        documents = []
        for file in (short, long):
            opened.goto(file.as_uri())
            documents.append(opened.evaluate(_OUTLINE))
        assert len(documents[0]) > 1_000
        assert documents[0] == documents[1]


_OUTLINE = r"""() => {
    // Every element with its attributes; every text without its space; then, with the space
    // that is seen, the text as it is laid out.
    document.querySelectorAll('details').forEach(d => d.open = true);
    document.querySelectorAll('section, .claim')
        .forEach(c => c.style.contentVisibility = 'visible');
    const out = [];
    const walk = (node) => {
        if (node.nodeType == 3) {
            const text = node.data.replace(/[ \n]+/g, '');
            if (text) out.push(text);
        } else if (node.nodeType == 1) {
            const said = [...node.attributes]
                .filter(a => a.value || a.name != 'class')  // no class is an empty one
                .map(a => `${a.name}=${a.value}`).sort();
            out.push(`<${node.tagName} ${said.join(' ')}>`);
            node.childNodes.forEach(walk);
            out.push('</>');
        }
    };
    walk(document.body);
    return [...out, ...document.body.innerText.split(/\s+/)];
}"""


def test_it_asks_for_nothing_and_says_so_to_the_browser(
    chromium: Browser, files: dict[str, Path]
) -> None:
    for file in files.values():
        page = chromium.new_page()
        asked: list[str] = []
        refused: list[str] = []
        page.on("request", lambda request, asked=asked: asked.append(request.url))
        page.on("console", lambda message, refused=refused: refused.append(message.text))
        page.goto(file.as_uri())
        outside = [url for url in asked if not url.startswith("data:") and url != file.as_uri()]
        assert outside == []
        assert refused == []  # nothing of its own that the policy had to stop
        assert page.evaluate("document.fonts.size") == 3
        page.evaluate("document.fonts.ready.then(() => null)")  # a font is read after the page
        used = page.evaluate("[...document.fonts].filter(f => f.status == 'loaded').length")
        assert used == 3
        page.close()


@pytest.mark.skipif(shutil.which("pdftotext") is None, reason="no pdftotext (poppler-utils)")
def test_it_prints_whole(chromium: Browser, page_file: Path, tmp_path: Path) -> None:
    """Closed details too, from dark mode too; the filter is not printed."""
    page = chromium.new_page(color_scheme="dark")
    page.goto(page_file.as_uri())
    # Text is drawn with no other face meanwhile: the page asks for all of them when it opens.
    loaded = "document.fonts.ready.then(() => [...document.fonts].every(f => f.status == 'loaded'))"
    assert page.evaluate(loaded)
    page.pdf(path=tmp_path / "page.pdf", prefer_css_page_size=True, print_background=True)
    page.close()
    done = subprocess.run(
        ["pdftotext", "-layout", tmp_path / "page.pdf", "-"], capture_output=True, check=True
    )
    text = " ".join(done.stdout.decode("utf-8").split())
    for title in (claim[5] for claim in CLAIMS):
        assert title.split(":")[-1].strip()[:24] in text
    assert "The softmax is its own derivative" in text  # inside a derivation, closed on screen
    assert "rests on no other claim" in text  # the graph's text twin, closed on screen
    assert "Late steps need watching" in text
    assert "Find" not in text
