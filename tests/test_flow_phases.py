"""Rows part and meet again in their phases: the same bits, whatever company they have."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

from checks.flow import phases
from checks.flow.integrate import integrate
from checks.flow.orbit import Orbit
from checks.flow.phases import LiveRows, Phase, joined, next_phase, put
from checks.flow.probes import Recorder
from checks.flow.rows import Rows
from checks.flow.settings import Settings
from checks.flow.weights import Pairs
from checks.problems import Start
from tests.flow_fixture import drawn, same_bits, three_tokens

COUNT = 14


def followed(monkeypatch: pytest.MonkeyPatch, company: int) -> tuple[Orbit, Recorder]:
    """12 diagonal runs that go straight through, and two in which a token comes back."""
    problems, starts = drawn("diagonal", COUNT - 2, (1, 3, 2))
    back = three_tokens((1.0, 0.0), (0.5, 1.0))
    slow, quick = (Start.diagonal([20.0, k], [2.0, 10.0], 2) for k in (30.0, 31.0))
    recorder = Recorder(range(COUNT))
    monkeypatch.setattr(phases, "COMPANY", company)
    orbit = integrate([*problems, back, back], [*starts, slow, quick], Settings(), [recorder])
    assert all(False in late[late.index(True) :] for late in phases_of(recorder)[-2:])
    return orbit, recorder


def phases_of(recorder: Recorder) -> list[list[bool]]:
    return [[s.late for s in recorder.stretches[row]] for row in range(COUNT)]


def differences(one: tuple[Orbit, Recorder], other: tuple[Orbit, Recorder]) -> list[str]:
    """In which fields of the orbits, and for which rows' steps."""
    names = same_bits(one[0], range(COUNT), other[0], range(COUNT))
    for row in range(COUNT):
        steps = [
            [(s.late, s.implicit, s.before.tobytes(), s.after.tobytes(), s.step) for s in stretches]
            for stretches in (one[1].stretches[row], other[1].stretches[row])
        ]
        if steps[0] != steps[1]:
            names.append(f"steps of {row}")
    return names


@pytest.fixture
def meetings(monkeypatch: pytest.MonkeyPatch) -> list[type]:
    """The kinds of state whose rows met others."""
    seen: list[type] = []

    def noted(one: Any, other: Any) -> Any:
        if isinstance(one, LiveRows):
            seen.append(type(one))
        return joined(one, other)

    monkeypatch.setattr(phases, "joined", noted)
    return seen


def test_the_company_of_a_row_does_not_matter(
    monkeypatch: pytest.MonkeyPatch, meetings: list[type]
) -> None:
    plain = followed(monkeypatch, 1)  # nobody waits but for rows that come back
    alone = len(meetings)
    for company in (3, 6, COUNT + 1):
        assert differences(plain, followed(monkeypatch, company)) == []
    assert {kind.__name__ for kind in meetings[alone:]} == {"_Early", "_Late"}


@pytest.mark.parametrize(
    "change", [lambda h: h.roll(1), lambda h: torch.nextafter(h, 2 * h)], ids=["mixed", "one bit"]
)
def test_rows_that_meet_wrongly_are_noticed(
    change: Callable[[Tensor], Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Negative control: steps that change places, or their last bit, where rows meet."""
    plain = followed(monkeypatch, 1)

    def wrong(one: Any, other: Any) -> Any:
        both = joined(one, other)
        if isinstance(both, LiveRows):
            both.h = change(both.h)  # type: ignore[attr-defined]
        return both

    monkeypatch.setattr(phases, "joined", wrong)
    assert differences(plain, followed(monkeypatch, 6)) != []


def test_batches_meet_and_part_again() -> None:
    """joined and select are inverse, field by field, of batches that nest or lie otherwise."""
    generator = torch.Generator().manual_seed(0)
    scores = torch.rand(5, 2, 3, generator=generator, dtype=torch.float64)
    nested = Rows(scores.flatten(1), scores[:, 0])
    first, last = torch.arange(2), torch.arange(2, 5)
    for batch in (Pairs.of(scores), nested):
        again = joined(batch.select(first), batch.select(last))
        assert all(torch.equal(getattr(again, n), v) for n, v in vars(batch).items())

    put(nested, first, nested.select(last[:2]))
    for tensor in (nested.delta, nested.query):
        assert torch.equal(tensor[:2], tensor[2:4])
        assert not torch.equal(tensor[:2], tensor[3:])


@dataclass
class _Count(LiveRows):
    left: Tensor


class Countdown(Phase[_Count]):
    """A row goes on after as many steps as its number; row 5 goes back at its second."""

    def __init__(self, last: bool = False) -> None:
        super().__init__(last)
        self.calls: list[list[int]] = []

    def begin(self, rows: Tensor) -> _Count:
        return _Count(rows, rows.clone())

    def step(self, state: _Count) -> tuple[_Count, Tensor, Tensor]:
        self.calls.append(state.live.tolist())
        state.left = state.left - 1
        back = (state.live == 5) & (state.left == 3)
        done = (state.left <= 0) & ~back
        stay = torch.nonzero(~(done | back)).squeeze(-1)
        return state.keep(stay), state.live[done], state.live[back]


def test_few_rows_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(phases, "COMPANY", 3)
    first, end = Countdown(), Countdown(last=True)
    assert next_phase((first, end)) is None
    first.admit(torch.tensor([1, 2, 3, 5]))
    assert next_phase((first, end)) is first
    onward, back = first.run()
    # Two steps: then two rows are left, and wait.
    assert (onward.tolist(), back.tolist(), len(first)) == ([1, 2], [5], 1)
    end.admit(torch.tensor([4, 8, 9]))
    assert next_phase((first, end)) is end  # three there, one here
    onward, _ = end.run()
    assert (onward.tolist(), len(end)) == ([4], 2)
    assert next_phase((first, end)) is first  # few everywhere: the first that has any
    assert first.run()[0].tolist() == [3]
    # Few of the last phase wait for one that goes back; of another they do not.
    for phase in (first, end):
        phase.admit(torch.tensor([5]))
        phase.run()
    assert (len(first), len(end)) == (0, 2)
    assert end.run()[0].tolist() == [8, 9]
    assert len(end.calls) == 9  # they went on where they were
