"""A realistic run directory, made through JSON as the runner makes it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from checks.outcomes import Outcome, dumps
from tests.report_claims import CLAIMS, SENTENCE_TEXTS
from tests.report_records import evidence_of, verdict_of


def planned_of(claim: tuple[Any, ...]) -> dict[str, Any]:
    key, kind, sentences, rests_on, expect, title, *_ = claim
    return {
        "key": key, "kind": kind, "title": title, "sentences": sentences, "expect": expect,
        "rests_on": rests_on,
    }  # fmt: skip


def write_run(
    directory: Path,
    claims: list[tuple[Any, ...]] = CLAIMS,
    *,
    outcomes: dict[str, Outcome] | None = None,
    only: set[str] | None = None,
    manifest: bool = True,
) -> Path:
    """A run directory: every claim in ``only`` (default all) has verdict and evidence."""
    (directory / "evidence").mkdir(parents=True, exist_ok=True)
    (directory / "cases").mkdir(exist_ok=True)
    lines = []
    for claim in claims:
        if only is not None and claim[0] not in only:
            continue
        verdict = verdict_of(claim, (outcomes or {}).get(claim[0]))
        lines.append(verdict.to_json() + "\n")
        text = dumps(evidence_of(claim, verdict), indent=1)
        name = re.sub(r"\W", "_", claim[0]) if "/" in claim[0] else claim[0]
        (directory / "evidence" / f"{name}.json").write_text(text, encoding="utf-8")
    (directory / "verdicts.jsonl").write_text("".join(lines), encoding="utf-8")
    if manifest:
        record = {
            "schema": 1, "claims": [planned_of(c) for c in claims],
            "sentence_texts": SENTENCE_TEXTS,
            "command": "marginflow verify --profile quick --seed 20240313",
        }  # fmt: skip
        (directory / "run.json").write_text(dumps(record, indent=1), encoding="utf-8")
    return directory


def edit_evidence(directory: Path, key: str, **changes: Any) -> None:
    """Overwrite fields of one evidence file."""
    path = directory / "evidence" / f"{key}.json"
    record = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(record | changes), encoding="utf-8")


def edit_verdict(directory: Path, key: str, **changes: Any) -> None:
    """Overwrite fields of one line of verdicts.jsonl."""
    path = directory / "verdicts.jsonl"
    records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    for record in records:
        if record["claim"] == key:
            record.update(changes)
    path.write_text("".join(json.dumps(r) + "\n" for r in records), encoding="utf-8")
