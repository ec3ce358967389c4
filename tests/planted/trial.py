"""One plant, through ``marginflow verify --fail-fast`` on the small profile, in this process."""

from __future__ import annotations

import json
import tempfile
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from checks import registry
from checks.cli import main
from tests.planted import PLANTS
from tests.planted.small import TOO_SMALL, shrink

UNRECOGNISED = "were not recognised as vacuous"
"""The one ERROR that meets a plant: any other is a check that broke down, and saw nothing."""


@dataclass(frozen=True)
class Trial:
    """by, outcome, reason: the first claim that was not as expected, "" where none was.

    others: all of them, with their outcomes.  status: exit status.  tried: "hint" or "all".
    claims: how many were judged.
    """

    by: str
    outcome: str
    reason: str
    killed: bool
    status: int
    tried: str
    claims: int
    seconds: float
    others: dict[str, str] = field(default_factory=dict)


def attempt(claims: list[str], tried: str, fail_fast: bool, limit: float = 0.0) -> Trial:
    """Verify these claims; limit: seconds after which no further claim is begun (0: none)."""
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as directory:
        arguments = ["verify", *claims, "--out", directory, "--workers", "1"]
        arguments += ["--fail-fast"] if fail_fast else []
        arguments += ["--time-limit", f"{limit:g}"] if limit else []
        done = CliRunner().invoke(main, arguments)
        file = Path(directory) / "verdicts.jsonl"
        lines = file.read_text().splitlines() if file.is_file() else []
    judged = [v for v in map(json.loads, lines) if v["outcome"] != "not_run"]
    met = [v for v in judged if v["expect"] not in ("open", v["outcome"])]
    seconds = round(time.monotonic() - begun, 1)
    if not met:
        ended = "" if done.exit_code in (0, 3) else f"verify broke down: {done.exception!r}"
        return Trial("", "", ended, False, done.exit_code, tried, len(judged), seconds)
    first = met[0]
    seen = first["outcome"] != "error" or UNRECOGNISED in first["reason"]
    return Trial(
        first["claim"], first["outcome"], first["reason"], seen and done.exit_code in (1, 3),
        done.exit_code, tried, len(judged), seconds, {v["claim"]: v["outcome"] for v in met},
    )  # fmt: skip


def judges() -> list[str]:
    """The claims that the small profile leaves as expected on sound code, foundations first."""
    return [c.claim for c in registry.ordered() if c.claim not in TOO_SMALL]


def run(name: str, limit: float, hints: list[str]) -> Trial:
    """The plant ("": none) against the claims of its hint, then, for ``limit`` seconds more,
    against all others, foundations first."""
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        shrink(patch)
        if name:
            PLANTS[name](patch)
        trial = attempt(hints, "hint", bool(name))
        if trial.killed or not limit:
            return trial
        rest = [claim for claim in judges() if claim not in hints]
        more = attempt(rest, "all", True, limit)
        found = more if more.by else trial
        judged, seconds = trial.claims + more.claims, round(trial.seconds + more.seconds, 1)
        return replace(found, tried="all", claims=judged, seconds=seconds)
