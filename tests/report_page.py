"""A page of the report, parsed: its elements, its words, and what it would ask of others."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urlsplit

from reports import build

VOID = frozenset(["br", "col", "hr", "img", "input", "link", "meta"])
# What ends an element whose end tag the standard lets go, besides the end of its parent.
_BLOCKS = "p ul ol dl div pre table h1 h2 h3 h4 h5 h6 details figure"
ENDED_BY = {
    "p": set(_BLOCKS.split()),
    "li": {"li"}, "td": {"td", "th", "tr"}, "th": {"td", "th", "tr"}, "tr": {"tr"},
    "dt": {"dt", "dd"}, "dd": {"dt", "dd"},
}  # fmt: skip
HOSTILE = (
    "</style></script><script>alert(1)</script><img src=x onerror=alert(1)>"
    "\"' {{ 7*7 }} | \u202e\ud800"
)


class Page(HTMLParser):
    """A parsed page: elements with attributes, ids, text, and whether tags balance."""

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.open: list[str] = []
        self.unbalanced: list[str] = []
        self.words: list[str] = []
        self.feed(source)
        self.close()
        self.unbalanced += self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {k: v or "" for k, v in attrs}))
        while self.open and tag in ENDED_BY.get(self.open[-1], ()):
            self.open.pop()
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {k: v or "" for k, v in attrs}))

    def handle_endtag(self, tag: str) -> None:
        while self.open and self.open[-1] != tag and self.open[-1] in ENDED_BY:
            self.open.pop()
        if self.open and self.open[-1] == tag:
            self.open.pop()
        else:
            self.unbalanced.append(tag)

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] not in ("style", "script"):
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attrs for name, attrs in self.elements if name == tag]

    def with_class(self, name: str) -> list[dict[str, str]]:
        return [a for _, a in self.elements if name in a.get("class", "").split()]


def outside_references(source: str) -> list[str]:
    """Every way the page could ask for something that is not itself."""
    found = []
    for tag, attrs in Page(source).elements:
        for name in ("src", "href", "xlink:href", "srcset", "action", "data", "poster", "ping"):
            value = attrs.get(name, "")
            if value and not value.startswith("#") and value != "data:,":
                found.append(f"{tag} {name}={value}")
        if "http-equiv" in attrs and attrs["http-equiv"].lower() == "refresh":
            found.append("meta refresh")
    for url in re.findall(r"url\(\s*[\"']?([^\"')]+)", source):
        if urlsplit(url).scheme != "data":
            found.append(f"css {url}")
    return found + re.findall(r"@import[^;]*", source)


def page_of(directory: Path) -> Page:
    source = build(directory).read_text(encoding="utf-8")
    page = Page(source)
    assert page.unbalanced == []
    assert outside_references(source) == []
    return page


def verdicts_on(page: Page) -> dict[str, str]:
    """Sentence -> standing key, as the first table shows them."""
    rows = [a["class"].split() for a in page.with_class("row")]
    return {
        f"S{i}": next(c[3:] for c in classes if c.startswith("is-"))
        for i, classes in enumerate(rows, 1)
    }
