"""Child processes that a test waits for by what they say, never by a clock."""

from __future__ import annotations

import subprocess
import threading
from typing import IO

PATIENCE = 180.0
"""Seconds after which a silent child is killed, so that a test fails and does not hang."""


def line_with(word: str, child: subprocess.Popen[str], stream: IO[str] | None) -> str:
    """The next line of the child's output that holds ``word``; what came before is dropped.

    Raises AssertionError, with all that was said, where the stream ends without it.
    """
    assert stream is not None
    guard = threading.Timer(PATIENCE, child.kill)
    guard.start()
    said: list[str] = []
    try:
        for line in stream:
            said.append(line)
            if word in line:
                return line
    finally:
        guard.cancel()
    raise AssertionError(f"{word!r} was never said, but:\n{''.join(said)}")
