"""The report in Debian's chromium, through playwright; skipped, saying so, where there is none."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
NEEDS_CHROMIUM = pytest.mark.skipif(
    CHROMIUM is None, reason="no chromium on this machine (Debian: apt-get install chromium)"
)
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip


def browser() -> Iterator[Browser]:
    """One browser for a module's tests; a fresh profile each time."""
    with sync_playwright() as started:
        launched = started.chromium.launch(executable_path=CHROMIUM, args=[*FLAGS])
        yield launched
        launched.close()
