"""What became of the mutants: results.json, name -> operator, outcome, by, seconds."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from tests.mutation.operators import Mutant, sample
from tests.mutation.targets import TARGETS

FILE = Path(__file__).with_name("results.json")
COUNT, SEED = 400, 20261126


@cache
def drawn() -> list[Mutant]:
    """The mutants of this version, in the order in which they are tried."""
    return sample(list(TARGETS), COUNT, SEED)


def read() -> dict[str, dict[str, Any]]:
    """The records of those mutants of this version that were tried."""
    found = json.loads(FILE.read_text("utf-8")) if FILE.is_file() else {}
    return {mutant.name: found[mutant.name] for mutant in drawn() if mutant.name in found}


def survivors(results: dict[str, dict[str, Any]]) -> list[str]:
    return [name for name, record in results.items() if record["outcome"] == "survived"]


def score(results: dict[str, dict[str, Any]]) -> str:
    """In words: how many of those tried were killed."""
    killed = len(results) - len(survivors(results))
    return f"{killed} of {len(results)} mutants killed ({COUNT} drawn at seed {SEED})"
