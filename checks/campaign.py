"""Many claims: in processes, resumable, within a time limit; verdicts as they come."""

from __future__ import annotations

import json
import multiprocessing
import signal
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from checks import registry
from checks.outcomes import SCHEMA, Outcome, Verdict, dumps
from checks.runner import Unit, run_unit
from checks.versions import versions
from theory.catalogue import CLAIMS, SENTENCES


@dataclass(frozen=True)
class Order:
    """What ``marginflow verify`` was asked for.  claims: () means all."""

    claims: tuple[str, ...]
    profile: str
    seed: int
    directory: str
    device: str
    workers: int
    resume: bool
    time_limit: float | None
    fail_fast: bool


def run(order: Order, command: str, build: Callable[[Path], object]) -> list[Verdict]:
    """Run the claims, foundations first; write verdicts, evidence and the report.

    Every verdict is on disk before the next claim's is waited for, so that an interruption
    loses only what was under way; ``build`` makes the report from what there is even then.
    """
    directory = Path(order.directory)
    directory.mkdir(parents=True, exist_ok=True)
    keys = [check.claim for check in registry.ordered(order.claims or None)]
    lines = directory / "verdicts.jsonl"
    done = _recorded(lines, order) if order.resume else {}
    if not order.resume:
        for stale in (*directory.glob("evidence/*.json"), *directory.glob("cases/*.json")):
            stale.unlink()
    _manifest(directory, command)
    kept = [done[key] for key in keys if key in done]
    lines.write_text("".join(verdict.to_json() + "\n" for verdict in kept))
    for verdict in kept:
        _say(verdict, "kept")
    verdicts = list(kept)
    try:
        for verdict in _results([key for key in keys if key not in done], order):
            with lines.open("a") as stream:
                stream.write(verdict.to_json() + "\n")
            verdicts.append(verdict)
            _say(verdict)
    finally:
        build(directory)
    return verdicts


def _results(keys: list[str], order: Order) -> Iterator[Verdict]:
    """Verdicts as claims finish; NOT_RUN for those the limit, or a failure, left over."""
    begun = time.monotonic()
    waiting = [Unit(k, order.profile, order.seed, order.directory, order.device) for k in keys]
    stop = False
    if order.workers == 1:
        while waiting and not stop:
            unit = waiting.pop(0)
            _note(f"running {unit.claim}")
            verdict = run_unit(unit)
            yield verdict
            stop = _stops(verdict, order, begun)
    else:
        # Spawned, not forked: torch's threads do not survive a fork.
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(
            order.workers, mp_context=context, initializer=_end_silently
        ) as pool:
            try:
                running: dict[Future[Verdict], Unit] = {}
                while running or (waiting and not stop):
                    while waiting and not stop and len(running) < order.workers:
                        unit = waiting.pop(0)
                        running[pool.submit(run_unit, unit)] = unit
                        _note(f"running {unit.claim}")
                    finished, _ = wait(running, return_when=FIRST_COMPLETED)
                    for future in finished:
                        verdict = _result(future, running.pop(future))
                        yield verdict
                        stop = stop or _stops(verdict, order, begun)
                        stop = stop or isinstance(future.exception(), BrokenProcessPool)
            except (KeyboardInterrupt, GeneratorExit):
                # Leaving the pool waits for its workers; what they are at is lost anyway.
                for child in multiprocessing.active_children():
                    child.terminate()
                raise
    for unit in waiting:
        yield _not_run(unit)


def _stops(verdict: Verdict, order: Order, begun: float) -> bool:
    late = order.time_limit is not None and time.monotonic() - begun > order.time_limit
    return late or (order.fail_fast and not verdict.as_expected)


def _end_silently() -> None:
    """A terminal sends Ctrl-C to the workers too: they end by it, without a traceback each."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _result(future: Future[Verdict], unit: Unit) -> Verdict:
    """What a worker found; ERROR where the worker itself is gone."""
    try:
        return future.result()
    except BrokenProcessPool:
        return _unmeasured(unit, Outcome.ERROR, "a worker process died: killed, or out of memory")


def _not_run(unit: Unit) -> Verdict:
    return _unmeasured(unit, Outcome.NOT_RUN, "the run was stopped before this claim")


def _unmeasured(unit: Unit, outcome: Outcome, reason: str) -> Verdict:
    claim = CLAIMS[unit.claim]
    return Verdict(
        claim=claim.key, sentences=claim.sentences, kind=claim.kind, expect=claim.expect,
        outcome=outcome, reason=reason, tried=0,
        informative=0, vacuous=0, inconclusive=0, problems=0, worst=None, case=None,
        profile=unit.profile, seed=unit.seed, versions=versions(), seconds=0.0,
    )  # fmt: skip


def _manifest(directory: Path, command: str) -> None:
    """run.json: the whole catalogue, so that a claim without a verdict is missed."""
    planned = [
        {
            "key": claim.key,
            "kind": claim.kind,
            "title": claim.title,
            "sentences": claim.sentences,
            "expect": claim.expect,
            "rests_on": claim.rests_on,
        }
        for claim in CLAIMS.values()
    ]
    record = {
        "schema": SCHEMA,
        "claims": planned,
        "sentence_texts": dict(SENTENCES),
        "command": command,
    }
    (directory / "run.json").write_text(dumps(record))


def _recorded(path: Path, order: Order) -> dict[str, Verdict]:
    """Verdicts of the same profile, seed and versions; errors and a cut last line are dropped."""
    if not path.is_file():
        return {}
    now = versions()
    kept: dict[str, Verdict] = {}
    for line in path.read_text().splitlines():
        try:
            record: dict[str, Any] = json.loads(line)
        except ValueError:
            continue  # what an interrupted writer leaves: that claim is run again
        same = (record["profile"], record["seed"]) == (order.profile, order.seed)
        # A claim that met an error has no verdict: what failed may have been the machine.
        decided = record["outcome"] not in ("not_run", "error")
        if same and record["versions"] == now and decided:
            record["sentences"] = tuple(record["sentences"])
            record["outcome"] = Outcome.of(record["outcome"])
            del record["schema"]
            kept[record["claim"]] = Verdict(**record)
    return kept


def _say(verdict: Verdict, word: str = "") -> None:
    """One line of result on stdout."""
    mark = "ok  " if verdict.as_expected and verdict.expect != "open" else "open"
    if not verdict.as_expected:
        mark = "FAIL"
    counts = f"{verdict.informative} informative of {verdict.tried}, {verdict.problems} problems"
    tail = f"  {verdict.reason}" if verdict.reason else ""
    line = f"{mark} {verdict.claim:34} {verdict.outcome.word:12} {counts}{tail} {word}"
    print(line.rstrip(), flush=True)


def _note(text: str) -> None:
    """Progress on stderr."""
    print(text, file=sys.stderr, flush=True)
