"""The ``marginflow`` command as a call, what it refuses, and cases to give it."""

from __future__ import annotations

from click.testing import CliRunner, Result

from checks.cases import Case, campaign_specs, decode
from checks.cli import main

SYMBOLIC = "symbolic.softmax-jacobian"


def call(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(a) for a in arguments])


def refused(result: Result) -> str:
    """The one line on stderr of a run that ended with exit status 2."""
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("marginflow: ")
    assert "Traceback" not in lines[0]
    return lines[0]


def drawn(family: str, index: int = 0, shape: tuple[int, int, int] = (3, 3, 4)) -> Case:
    # The claim's name is a seed: another one draws other cases.
    return decode(campaign_specs("tests.test_cli", family, shape, 0, [index])[0])
