"""The page in a real browser: it opens, and asks nobody for anything."""

from __future__ import annotations

import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from reports import build
from tests.report_claims import CLAIMS
from tests.report_fixture import write_run

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")
# A page opens in about a second; this is when to call a browser stuck.
PATIENCE_SECONDS = 60


class Listener:
    """Serves one page and keeps the path of every request that reaches it."""

    def __init__(self) -> None:
        self.page = b""
        self.asked: list[str] = []
        listener = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                listener.asked.append(f"{self.headers.get('Host', '')}{self.path}")
                self.send_response(200)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.send_header("Content-Length", str(len(listener.page)))
                self.end_headers()
                self.wfile.write(listener.page)

            def log_message(self, format: str, *args: object) -> None:
                """Silent: the requests are kept in ``asked``."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def open(self, page: bytes, profile: Path) -> str:
        """The DOM after loading, as HTML; every host name leads to this listener."""
        self.page, self.asked = page, []
        assert CHROMIUM is not None
        done = subprocess.run(
            [
                CHROMIUM,
                *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic"),
                *("--no-first-run", "--disable-background-networking", "--disable-sync"),
                *("--disable-component-update", f"--user-data-dir={profile}"),
                # google.com: the browser itself asks it for the time, whatever the page
                "--host-resolver-rules=MAP *.google.com ~NOTFOUND, "
                f"MAP * 127.0.0.1:{self.port}, EXCLUDE 127.0.0.1",
                "--dump-dom",
                f"http://127.0.0.1:{self.port}/index.html",
            ],
            capture_output=True,
            check=True,
            timeout=PATIENCE_SECONDS,
        )
        return done.stdout.decode("utf-8")

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def listener() -> Iterator[Listener]:
    try:
        made = Listener()
    except (OSError, socket.gaierror) as error:
        pytest.skip(f"cannot listen on this machine: {error}")
    yield made
    made.close()


def test_the_page_opens_runs_its_filter_and_requests_nothing(
    tmp_path: Path, listener: Listener
) -> None:
    page = build(write_run(tmp_path / "run")).read_bytes()
    dom = listener.open(page, tmp_path / "profile")
    assert listener.asked == [f"127.0.0.1:{listener.port}/index.html"]
    assert dom.count("<article") == len(CLAIMS)
    # the script has run under the policy: the filters, hidden without it, are shown
    assert '<form class="filters">' in dom
    assert dom.count("<mfrac>") == page.decode("utf-8").count("<mfrac>") > 0


def test_requests_are_seen_and_a_planted_script_is_refused(
    tmp_path: Path, listener: Listener
) -> None:
    """Negative controls: the listener hears a request, and the policy stops one."""
    asking = b"<!doctype html><title>x</title><img src='http://elsewhere.example/a.png'>"
    listener.open(asking, tmp_path / "first")
    assert any("elsewhere.example" in path for path in listener.asked)

    page = build(write_run(tmp_path / "run")).read_bytes()
    planted = (
        b"<script>document.title='planted'</script>"
        b"<img src='http://elsewhere.example/a.png' onerror=\"document.title='planted'\">"
    )
    dom = listener.open(page.replace(b"</main>", planted + b"</main>"), tmp_path / "second")
    assert planted[:20].decode() in dom
    assert "<title>planted" not in dom
    assert not any("elsewhere" in path for path in listener.asked)
