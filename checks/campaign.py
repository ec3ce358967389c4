"""Many claims: cut into parts, measured anywhere, put away as they come, judged when whole."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain, zip_longest
from pathlib import Path

from checks import registry
from checks.outcomes import SCHEMA, Outcome, Verdict, dumps
from checks.parts import Measured, Part, Unit, plan
from checks.problems import BadInput
from checks.progress import Meter
from checks.store import Store
from checks.tally import Tally
from checks.verdicts import Closing, close, conclude
from checks.versions import code, source
from checks.workers import Alone, Cluster, Processes, Team
from theory.catalogue import CLAIMS, SENTENCES

STOPPED = "the run was stopped before this claim"


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
    cluster: str | None = None
    """Address of a dask scheduler, in the place of worker processes."""
    data: str | None = None
    """A folder of problem files to judge the claims on, in the place of their own cases."""


@dataclass
class _Claim:
    """One claim on its way: its parts, the keys they are stored under, what is still open."""

    unit: Unit
    parts: list[Part]
    keys: list[str]
    open: set[str]
    failed: dict[str, Measured] = field(default_factory=dict)
    begun: bool = False
    finished: bool = False
    closing: Closing | None = None
    """All parts are measured, the pictures are not."""


def run(order: Order, command: str, build: Callable[[Path], object]) -> list[Verdict]:
    """Run the claims, foundations first; write verdicts, evidence and the report.

    Every part is in the store before the next one is waited for, so that an interruption
    loses only what was under way; ``build`` makes the report from what there is even then.
    Raises BadInput, StoreDamaged, StoreFailed, ClusterFailed, OSError.
    """
    # First what may be refused: nothing that is there is touched before.
    keys = _keys(order)
    team = _team(order)
    directory = Path(order.directory)
    directory.mkdir(parents=True, exist_ok=True)
    store = Store(directory, fresh=not order.resume)
    try:
        if not order.resume:
            for stale in (*directory.glob("evidence/*.json"), *directory.glob("cases/*.json")):
                stale.unlink()
        _manifest(directory, command)
        lines = directory / "verdicts.jsonl"
        lines.write_text("")
        verdicts: list[Verdict] = []
        try:
            for verdict in _results(keys, order, store, team):
                with lines.open("a") as stream:
                    stream.write(verdict.to_json() + "\n")
                verdicts.append(verdict)
        except BaseException:
            with suppress(Exception):  # what ended the run is told, not what it led to
                build(directory)
            raise
        build(directory)
    finally:
        store.close()
    return verdicts


def _team(order: Order) -> Team:
    if order.cluster is not None:
        return Cluster(order.cluster)
    return Alone() if order.workers == 1 else Processes(order.workers)


def _results(keys: list[str], order: Order, store: Store, team: Team) -> Iterator[Verdict]:
    """Verdicts as claims get whole; then those that the limit, or a failure, left over."""
    begun = time.monotonic()
    now = code()
    held = store.held()
    claims = {key: _claim(key, order, now, held) for key in keys}
    left = [claim for claim in claims.values() if claim.open]
    rest = _in_turn(left) if order.time_limit else _one_by_one(left)
    waiting = list(_one_by_one(left))
    looks: deque[Part] = deque()
    stop = False

    def take() -> Part | None:
        """The next part; None where there is none for now.  Pictures first: few and short."""
        if looks:
            return looks.popleft()
        part = None if stop or _late(order, begun) else next(rest, None)
        if part is not None and not claims[part.unit.claim].begun:
            claims[part.unit.claim].begun = True
            meter.begin(part.unit.claim)
        return part

    def whole(claim: _Claim, word: str = "") -> Iterator[Verdict]:
        """The verdict of a claim whose parts are all measured, if its pictures are made."""
        if claim.closing is None:
            closing = close(claim.unit, (claim.failed.get(k) or store.get(k) for k in claim.keys))
            if isinstance(closing, Closing):
                claim.closing = closing
        if claim.closing is not None:
            key = claim.closing.look.key(now)
            if key not in claim.failed and key not in store.held():
                looks.append(claim.closing.look)
                meter.expect(claim.closing.look.cases)
                return
            closing = claim.closing.finish(claim.failed.get(key) or store.get(key))
        claim.finished, claim.closing = True, None
        assert isinstance(closing, Verdict)
        yield closing
        _say(meter, closing, word)  # once it is on disk

    with Meter(len(waiting), sum(part.cases for part in waiting)) as meter:
        for claim in claims.values():
            if not claim.open:
                yield from whole(claim, "kept")
        measuring = team.measure(take)
        try:
            for part, measured in measuring:
                claim = claims[part.unit.claim]
                look = part.kind == "look"
                key = part.key(now) if look else claim.keys[claim.parts.index(part)]
                store.put(key, part, measured, source())
                meter.advance(part.cases)
                claim.open.discard(key)
                if measured.tally is None:
                    claim.failed[key] = measured
                if not claim.open:
                    for verdict in whole(claim):
                        yield verdict
                        stop = stop or (order.fail_fast and not verdict.as_expected)
        finally:
            measuring.close()
        for claim in claims.values():
            if not claim.finished:
                verdict = _unfinished(claim, store)
                yield verdict
                _say(meter, verdict)


def _keys(order: Order) -> list[str]:
    """The claims to be judged, foundations first.  Raises BadInput for a bad data folder."""
    keys = [check.claim for check in registry.ordered(order.claims or None)]
    if order.data is None:
        return keys
    from checks import own_cases

    applicable = [key for key in keys if own_cases.applies(key, order.data)]
    missing = sorted(set(order.claims) - set(applicable))
    if missing or not applicable:
        what = ", ".join(missing) or "none of the claims"
        raise BadInput(f"{order.data}: {what} cannot be judged on these problem files")
    return applicable


def _claim(key: str, order: Order, now: dict[str, str], held: set[str]) -> _Claim:
    unit = Unit(key, order.profile, order.seed, order.directory, order.device, order.data)
    parts = plan(unit)
    keys = [part.key(now) for part in parts]
    return _Claim(unit, parts, keys, set(keys) - held)


def _todo(claim: _Claim) -> list[Part]:
    return [part for part, key in zip(claim.parts, claim.keys, strict=True) if key in claim.open]


def _one_by_one(claims: list[_Claim]) -> Iterator[Part]:
    """One claim after the other: verdicts come early."""
    return chain.from_iterable(map(_todo, claims))


def _in_turn(claims: list[_Claim]) -> Iterator[Part]:
    """A part of every claim, then another of every claim: time that runs out is shared."""
    rounds = zip_longest(*map(_todo, claims))
    return (part for each in rounds for part in each if part is not None)


def _late(order: Order, begun: float) -> bool:
    return order.time_limit is not None and time.monotonic() - begun > order.time_limit


def _unfinished(claim: _Claim, store: Store) -> Verdict:
    """A claim whose parts were not all measured.

    A counterexample among those that were is one for good.  Nothing else follows from a part
    of what HELD asks for; the counts say how far it came.
    """
    if claim.failed:
        first = next(iter(claim.failed.values()))
        stopped = (Outcome.of(first.outcome), first.reason)
        return conclude(claim.unit, Tally(), first.seconds, stopped)
    tally, seconds = Tally(), 0.0
    done = [key for key in claim.keys if key not in claim.open]
    for measured in map(store.get, done):
        assert measured.tally is not None
        tally.add(Tally.from_json(measured.tally))
        seconds += measured.seconds
    if tally.falsified is not None and not tally.error:
        return conclude(claim.unit, tally, seconds)
    reason = f"{STOPPED}: {len(done)} of {len(claim.keys)} parts were run" if done else STOPPED
    return conclude(claim.unit, tally, seconds, (Outcome.NOT_RUN, reason))


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


def _say(meter: Meter, verdict: Verdict, word: str = "") -> None:
    """One line of result on stdout."""
    mark = "ok  " if verdict.as_expected and verdict.expect != "open" else "open"
    if not verdict.as_expected:
        mark = "FAIL"
    counts = f"{verdict.informative} informative of {verdict.tried}, {verdict.problems} problems"
    tail = f"  {verdict.reason}" if verdict.reason else ""
    line = f"{mark} {verdict.claim:34} {verdict.outcome.word:12} {counts}{tail} {word}"
    meter.say(line.rstrip())
