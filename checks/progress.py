"""How far a campaign is, on stderr: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

EVERY = 10.0
"""Seconds between two plain lines, so that a log stays readable."""


class Meter:
    """Counts parts and cases; says rate and time left.  Used as a context manager."""

    def __init__(self, parts: int, cases: int) -> None:
        self._parts, self._cases = parts, cases
        self._done_parts = self._done_cases = 0
        self._begun = self._said = time.monotonic()
        console = Console(stderr=True)
        self._bar: Progress | None = None
        self._task = TaskID(0)
        if console.is_terminal:
            columns = (BarColumn(), TextColumn("{task.description}"))
            self._bar = Progress(*columns, console=console, transient=True)
            self._task = self._bar.add_task(self._text(), total=max(cases, 1))

    def __enter__(self) -> Meter:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    @property
    def done(self) -> int:
        """Parts that are measured."""
        return self._done_parts

    @property
    def total(self) -> int:
        """Parts known of, measured or not."""
        return self._parts

    def begin(self, claim: str) -> None:
        """A claim's first part is about to be measured."""
        if self._bar is None:
            print(f"running {claim}", file=sys.stderr, flush=True)

    def expect(self, cases: int) -> None:
        """One more part than was known of: a claim's pictures, asked for when it is judged."""
        self._parts += 1
        self._cases += cases
        if self._bar is not None:
            self._bar.update(self._task, total=max(self._cases, 1), description=self._text())

    def advance(self, cases: int) -> None:
        """One more part is measured; it had about so many cases."""
        self._done_parts += 1
        self._done_cases += cases
        now = time.monotonic()
        if self._bar is not None:
            self._bar.update(self._task, completed=self._done_cases, description=self._text())
        elif now - self._said >= EVERY:
            self._said = now
            print(self._text(), file=sys.stderr, flush=True)

    def say(self, line: str) -> None:
        """A result, on stdout; above the bar where there is one."""
        if self._bar is not None and Console().is_terminal:
            self._bar.console.print(line, markup=False, highlight=False, soft_wrap=True)
        else:
            print(line, flush=True)

    def _text(self) -> str:
        elapsed = time.monotonic() - self._begun
        rate = self._done_cases / elapsed if elapsed > 0 else 0.0
        text = f"{self._done_parts} of {self._parts} parts, {self._done_cases} cases"
        if not rate:
            return text
        left = max(self._cases - self._done_cases, 0) / rate
        return f"{text}, {rate:.0f} a second, about {_span(left)} left"


def _span(seconds: float) -> str:
    """A time in the unit one would say it in."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
