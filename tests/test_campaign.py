"""Many claims in a campaign: resumed, within a time limit, past a surprise, in any order."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import reports
from checks import campaign, workers
from checks.campaign import Order
from checks.outcomes import exit_status
from checks.parts import Measured, Part
from checks.progress import Meter
from checks.runner import run_part
from checks.tally import Tally
from tests import campaign_fixture
from tests.campaign_fixture import FIRST, SECOND, order_of, run, timeless, words

_tiny, measured_by = campaign_fixture.tiny, campaign_fixture.measured_by


class Ran(list[Part]):
    """The parts that are measured, in order (and not kept from before)."""

    @property
    def claims(self) -> list[str]:
        return list(dict.fromkeys(part.unit.claim for part in self))


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> Ran:
    parts = Ran()

    def counted(part: Part) -> Measured:
        parts.append(part)
        return run_part(part)

    monkeypatch.setattr(workers, "run_part", counted)
    return parts


def test_resume_keeps_what_is_whole(tmp_path: Path, ran: Ran) -> None:
    order = order_of([FIRST, SECOND], tmp_path)
    before = run(order)
    assert ran.claims == [FIRST, SECOND]
    whole = (tmp_path / "verdicts.jsonl").read_text()
    ran.clear()
    assert run(replace(order, resume=True)) == before
    assert ran == []
    assert (tmp_path / "verdicts.jsonl").read_text() == whole
    run(replace(order, resume=True, seed=1))
    assert ran.claims == [FIRST, SECOND], "verdicts of another seed are no verdicts of this one"
    ran.clear()
    run(order)
    assert ran.claims == [FIRST, SECOND], "without --resume everything is measured again"


def test_resume_measures_only_the_parts_that_lack(
    tmp_path: Path, ran: Ran, measured_by: Any
) -> None:
    order = order_of([measured_by("holds", FIRST)], tmp_path)
    whole = timeless(run(order))
    parts = list(ran)
    assert len(parts) > 10, "a claim is cut into parts"
    ran.clear()
    with contextlib.suppress(KeyboardInterrupt):
        campaign.run(_interrupting(order, ran, 5), "test", reports.build)
    assert len(ran) == 5
    assert timeless(run(replace(order, resume=True))) == whole
    # The one that was interrupted is measured again, and no other.
    assert ran[:5] + ran[5:] == parts[:5] + parts[4:]


def _interrupting(order: Order, ran: Ran, count: int) -> Order:
    """The order; but Ctrl-C comes while part number ``count`` is measured."""
    honest = workers.run_part

    def interrupted(part: Part) -> Measured:
        measured = honest(part)
        if len(ran) == count:
            workers.run_part = honest
            raise KeyboardInterrupt
        return measured

    workers.run_part = interrupted
    return order


def test_resume_does_not_keep_what_other_code_found(
    tmp_path: Path, ran: Ran, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = order_of([FIRST], tmp_path)
    run(order)
    real = campaign.code()
    monkeypatch.setattr(campaign, "code", lambda: {**real, "source": "edited"})
    run(replace(order, resume=True))
    monkeypatch.setattr(campaign, "code", lambda: {**real, "numpy": "1.0"})
    run(replace(order, resume=True))
    assert [part.unit.claim for part in ran] == [FIRST] * 3


def test_resume_measures_again_what_was_an_error(
    tmp_path: Path, ran: Ran, measured_by: Any
) -> None:
    order = order_of([measured_by("raises", FIRST)], tmp_path)
    assert words(run(order)) == {FIRST: "error"}
    before = len(ran)
    run(replace(order, resume=True))
    assert len(ran) == 2 * before


def test_past_the_time_limit_nothing_is_begun(tmp_path: Path, ran: Ran) -> None:
    order = order_of([FIRST, SECOND], tmp_path, time_limit=1e-9)
    verdicts = run(order)
    assert ran == []
    assert words(verdicts) == {FIRST: "not_run", SECOND: "not_run"}
    assert exit_status(verdicts) == 3
    assert (tmp_path / "index.html").is_file()
    rest = run(replace(order, time_limit=None, resume=True))
    assert words(rest) == {FIRST: "held", SECOND: "held"}


def test_claims_take_turns_within_a_time_limit(
    tmp_path: Path, ran: Ran, measured_by: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half way through, every claim has had as many parts; what they were is said, and kept."""
    claims = [measured_by("holds", FIRST), measured_by("holds", SECOND)]
    whole = timeless(run(order_of(claims, tmp_path / "whole")))
    ran.clear()
    monkeypatch.setattr(campaign, "_late", lambda order, begun: len(ran) >= 10)
    order = order_of(claims, tmp_path, time_limit=3600.0)
    stopped = run(order)
    assert [part.unit.claim for part in ran] == [FIRST, SECOND] * 5
    assert words(stopped) == {FIRST: "not_run", SECOND: "not_run"}
    assert all("5 of " in v.reason and v.tried == 20 for v in stopped), stopped
    monkeypatch.setattr(campaign, "_late", lambda order, begun: False)
    assert timeless(run(replace(order, resume=True))) == whole


def test_a_counterexample_stands_though_the_time_ran_out(
    tmp_path: Path, ran: Ran, measured_by: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(campaign, "_late", lambda order, begun: len(ran) >= 3)
    order = order_of([measured_by("breaks", FIRST)], tmp_path, time_limit=3600.0)
    (verdict,) = run(order)
    assert verdict.outcome.word == "falsified"
    assert verdict.case is not None
    assert (tmp_path / verdict.case).is_file()


def test_a_control_that_was_not_run_is_not_falsified(tmp_path: Path, ran: Ran) -> None:
    order = order_of([FIRST, "control.symbolic-sign"], tmp_path, time_limit=1e-9)
    assert exit_status(run(order)) == 1


@pytest.mark.parametrize("name", ["breaks", "raises"])
def test_fail_fast_stops_at_the_first_surprise(
    name: str, tmp_path: Path, ran: Ran, measured_by: Any
) -> None:
    claims = [measured_by(name, FIRST), SECOND]
    fast = run(order_of(claims, tmp_path, fail_fast=True))
    assert ran.claims == [FIRST]
    assert fast[1].outcome.word == "not_run"
    ran.clear()
    slow = run(order_of(claims, tmp_path))
    assert ran.claims == [FIRST, SECOND]
    assert slow[1].outcome.word == "held"
    assert exit_status(fast) == exit_status(slow) == (1 if name == "breaks" else 3)


def test_an_expected_falsification_stops_nothing(tmp_path: Path, ran: Ran) -> None:
    order = order_of(["control.symbolic-sign", SECOND], tmp_path, fail_fast=True)
    verdicts = run(order)
    assert sorted(ran.claims) == sorted(["control.symbolic-sign", SECOND])
    assert exit_status(verdicts) == 0


def test_the_order_of_the_parts_decides_nothing(
    tmp_path: Path, measured_by: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    claims = [measured_by("breaks", FIRST), measured_by("holds", SECOND)]
    whole = timeless(run(order_of(claims, tmp_path / "in order")))

    def shuffled(left: list[Any]) -> Iterator[Part]:
        parts = [part for claim in left for part in campaign._todo(claim)]
        random.Random(3).shuffle(parts)
        return iter(parts)

    monkeypatch.setattr(campaign, "_one_by_one", shuffled)
    assert timeless(run(order_of(claims, tmp_path / "shuffled"))) == whole
    for name in (v.case for v in whole if v.case):
        files = [(tmp_path / where / name).read_bytes() for where in ("in order", "shuffled")]
        assert files[0] == files[1]


def test_the_pictures_of_a_claim_are_among_the_parts_that_progress_counts(
    tmp_path: Path, measured_by: Any, ran: Ran, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are asked for when a claim is judged, after the first total was said."""
    meters: list[Meter] = []

    class Watched(Meter):
        def __init__(self, parts: int, cases: int) -> None:
            super().__init__(parts, cases)
            meters.append(self)

    stored = Tally.from_json
    monkeypatch.setattr(campaign, "Meter", Watched)
    # as if a flow had been followed: the cheap check follows none
    monkeypatch.setattr(Tally, "from_json", lambda text: replace(stored(text), followed=True))
    run(order_of([measured_by("holds", FIRST)], tmp_path))
    assert sum(part.kind == "look" for part in ran) == 1
    assert meters[0].done == meters[0].total == len(ran)
