"""From measured parts to a verdict, with its evidence and case files on disk."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from checks import closeup, evidence
from checks.aggregate import Requirements, decide
from checks.budgets import Budget
from checks.cases import Case, case_record
from checks.given import Given
from checks.outcomes import CaseResult, Outcome, Verdict, dumps
from checks.parts import Cases, Measured, Part, Unit
from checks.streams import Stream
from checks.tally import Tally
from checks.versions import versions
from theory.claims import Claim


@dataclass(frozen=True)
class Closing:
    """A claim that is measured to its end, but for the pictures in its evidence."""

    unit: Unit
    tally: Tally
    seconds: float
    look: Part

    def finish(self, looked: Measured) -> Verdict:
        seconds = self.seconds + looked.seconds
        if looked.tally is None:
            stopped = (Outcome.of(looked.outcome), looked.reason)
            return conclude(self.unit, Tally(), seconds, stopped)
        return conclude(self.unit, self.tally, seconds, shown=json.loads(looked.tally))


def close(unit: Unit, parts: Iterable[Measured]) -> Verdict | Closing:
    """The verdict of a claim whose parts, in their order, came out like this.

    Where a flow was followed there are pictures to be made first: a part of their own, since
    they take time.
    """
    tally, seconds = Tally(), 0.0
    for measured in parts:
        seconds += measured.seconds
        if measured.tally is None:
            stopped = (Outcome.of(measured.outcome), measured.reason)
            return conclude(unit, Tally(), seconds, stopped)
        tally.add(Tally.from_json(measured.tally))
    if not tally.followed or tally.worst is None:
        return conclude(unit, tally, seconds)
    seen = Tally(worst=tally.worst, simplest=tally.simplest, followed=True)
    return Closing(unit, tally, seconds, Part(unit, "look", seen.to_json()))


def conclude(
    unit: Unit,
    tally: Tally,
    seconds: float,
    stopped: tuple[Outcome, str] | None = None,
    shown: dict[str, Any] | None = None,
) -> Verdict:
    """Write evidence and case files of one claim; its verdict.

    stopped: the outcome and reason of a claim that was not measured to its end.  shown:
    pictures for its evidence.
    """
    claim, stream = unit.subject, None
    if stopped is None or tally.tried:
        stream = unit.cases()
    need = requirements(claim, stream, unit.budget)
    outcome, reason = stopped or decide(tally, need)
    directory = Path(unit.directory)
    replay = write_case(directory, stream, tally, unit)
    shown = dict(shown or {})
    if stream is not None and tally.worst is not None:
        shown |= _cases_shown(directory, stream, tally, unit)
    worst = tally.worst.worst if tally.worst is not None else None
    verdict = Verdict(
        claim=claim.key,
        sentences=claim.sentences,
        kind=claim.kind,
        expect=claim.expect,
        outcome=outcome,
        reason=reason,
        tried=tally.tried,
        informative=tally.informative,
        vacuous=tally.count(Outcome.VACUOUS),
        inconclusive=tally.count(Outcome.INCONCLUSIVE),
        problems=tally.problems,
        worst=worst.ratio if worst else None,
        case=replay,
        profile=unit.profile,
        seed=unit.seed,
        versions=versions(),
        seconds=round(seconds, 3),
    )
    written = evidence.record(claim, verdict, tally, need, replay, shown)
    _write(directory / "evidence" / f"{claim.key}.json", written)
    return verdict


def requirements(claim: Claim, stream: Cases, budget: Budget) -> Requirements:
    """What HELD takes of this claim under this budget."""
    control = claim.expect == "falsified"
    if stream is None:
        return Requirements(1, 1, control=control)
    if isinstance(stream, Given):
        return Requirements(stream.informative, 1, control=control)
    informative = budget.informative if claim.kind == "limit" else budget.problems
    return Requirements(
        informative,
        budget.problems,
        {source.family: source.vacuous for source in stream.sources},
        stream.must_see,
        control,
    )


def write_case(directory: Path, stream: Cases, tally: Tally, unit: Unit) -> str | None:
    """The replay file of the case that matters most: a counterexample, else the worst one.

    Path relative to the directory; None for symbolic claims and where nothing was decided.
    """
    chosen = tally.falsified or tally.worst
    if stream is None or chosen is None or "blob" not in chosen.spec:
        return None
    return _write_one(directory, closeup.decoded(stream, chosen), chosen, unit)


def _write_one(directory: Path, case: Case, chosen: CaseResult, unit: Unit, word: str = "") -> str:
    name = f"cases/{unit.claim}-{word or chosen.outcome.word}-{chosen.problem_id}.json"
    _write(directory / name, case_file(case, chosen, unit))
    return name


def _cases_shown(
    directory: Path, stream: Stream | Given, tally: Tally, unit: Unit
) -> dict[str, Any]:
    """The data of the worst case, and the simplest one with its own replay file."""
    worst, plain = tally.worst, tally.simplest
    shown: dict[str, Any] = {}
    if worst is not None and "blob" in worst.spec:
        shown["data"] = closeup.data_of(closeup.decoded(stream, worst))
    if plain is not None and plain.worst is not None:
        case = closeup.decoded(stream, plain)
        name = _write_one(directory, case, plain, unit, "simplest")
        shown["simplest"] = {**evidence.case_shown(plain, name), "data": closeup.data_of(case)}
    return shown


def case_file(case: Case, result: CaseResult, unit: Unit) -> dict[str, Any]:
    """A counterexample that travels: arrays as hex floats, how to run it, how it came out."""
    worst = result.worst
    return {
        **case_record(case),
        "claim": unit.claim,
        "profile": unit.profile,
        "seed": unit.seed,
        "outcome": result.outcome.word,
        "reason": result.reason,
        "measurement": worst and {"name": worst.name, "value": worst.value,
                                  "tolerance": worst.tolerance},
        "certificate": result.certificate,
        "versions": versions(),
    }  # fmt: skip


def _write(path: Path, content: dict[str, Any]) -> None:
    """Write whole or not at all: an interrupted run leaves no half file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    try:
        part.write_text(dumps(content))
        part.replace(path)
    except OSError:
        part.unlink(missing_ok=True)
        raise
