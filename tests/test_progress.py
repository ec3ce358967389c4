"""Progress: a line now and then in a log, a bar on a terminal; results on stdout only."""

from __future__ import annotations

import re

import pytest

from checks import progress
from checks.progress import Meter, _span


def test_a_log_gets_lines_with_rate_and_time_left(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "EVERY", 0.0)
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    with Meter(4, 400) as meter:
        meter.begin("limit.diagonal-l1")
        meter.advance(100)
        meter.say("ok   limit.diagonal-l1")
    out, err = capsys.readouterr()
    assert out == "ok   limit.diagonal-l1\n"
    begun, line = err.splitlines()
    assert begun == "running limit.diagonal-l1"
    said = r"1 of 4 parts, 100 cases, \d+ a second, about [\d.]+ (s|min|h) left"
    assert re.fullmatch(said, line), line


def test_a_part_that_was_not_known_of_is_counted(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "EVERY", 0.0)
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    with Meter(1, 100) as meter:
        meter.advance(100)
        meter.expect(1)
        meter.advance(1)
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("1 of 1 parts, 100 cases")
    assert second.startswith("2 of 2 parts, 101 cases")


def test_a_log_is_not_flooded(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    with Meter(1000, 1000) as meter:
        for _ in range(1000):
            meter.advance(1)
    assert capsys.readouterr().err.count("\n") <= 1


def test_a_terminal_gets_a_bar_and_the_results_above_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")
    with Meter(4, 400) as meter:
        meter.begin("limit.diagonal-l1")
        meter.advance(100)
        meter.say("FAIL limit.diagonal-l1 [not markup]")
    out, err = capsys.readouterr()
    assert "1 of 4 parts" in err
    assert "FAIL limit.diagonal-l1 [not markup]" in out + err
    assert "running" not in err


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "0 s"), (89, "89 s"), (600, "10 min"), (7200, "2.0 h")]
)
def test_a_span_is_said_in_its_own_unit(seconds: float, text: str) -> None:
    assert _span(seconds) == text
