"""The picture in README.md: the first screen of a real report, taken by Debian's chromium.

    python -m tests.screenshot [reports/out/index.html]

writes reports/static/screenshot.png.  Run it after ``marginflow verify``.
"""

from __future__ import annotations

import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

from tests.browser import CHROMIUM, FLAGS

PICTURE = Path(__file__).parent.parent / "reports" / "static" / "screenshot.png"
SIZE = (1280, 860)


def take(page: Path, picture: Path = PICTURE) -> Path:
    """Write the first screen of ``page``, light, to ``picture``."""
    width, height = SIZE
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=[*FLAGS])
        tab = browser.new_page(viewport={"width": width, "height": height}, color_scheme="light")
        tab.goto(page.resolve().as_uri())
        tab.evaluate("document.fonts.ready")
        tab.screenshot(path=picture)
        browser.close()
    return picture


if __name__ == "__main__":
    if CHROMIUM is None:
        sys.exit("no chromium on this machine (Debian: apt-get install chromium)")
    print(take(Path(sys.argv[1] if len(sys.argv) > 1 else "reports/out/index.html")))
