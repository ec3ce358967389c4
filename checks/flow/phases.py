"""The rows of a batch that are under way: how they start, step together, part and meet again.

A step of few rows costs as much as one of many.  So rows in the same phase step together, whatever
lies behind them; none notices which others are there (research/determinism.md).
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, Self, TypeVar, runtime_checkable

import torch
from torch import Tensor

COMPANY = 64
"""Rows from which a step costs by the row and not by the call (seen, early: 2.5 ms a call and
0.025 ms a row).  Fewer wait for others, as long as another phase has so many."""


@runtime_checkable
class Joining(Protocol):
    """A batch that has its rows along other than the first axis."""

    def join(self, other: Self) -> Self:
        """The rows of both."""


def joined(one: Any, other: Any) -> Any:
    """The rows of two batches as one: tensors, dataclasses of such, or what has ``join``."""
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        return torch.cat((one, other))
    if isinstance(one, Joining):
        return one.join(other)
    return type(one)(**{name: joined(mine, getattr(other, name)) for name, mine in _fields(one)})


def put(whole: object, at: Tensor, part: object) -> None:
    """Write the batch ``part`` over the rows ``at`` of the batch ``whole``."""
    if isinstance(whole, Tensor) and isinstance(part, Tensor):
        whole[at] = part
        return
    for name, mine in _fields(whole):
        put(mine, at, getattr(part, name))


def _fields(batch: Any) -> list[tuple[str, Any]]:
    return [(field.name, getattr(batch, field.name)) for field in dataclasses.fields(batch)]


@dataclass
class LiveRows:
    """Base of a phase's state: tensors, and batches with ``select``, one row a flow."""

    live: Tensor
    """(b,) row numbers in the whole batch."""

    def keep(self, rows: Tensor) -> Self:
        """The state of the given rows alone (indices into the live ones)."""
        return type(self)(
            **{
                name: value[rows] if isinstance(value, Tensor) else value.select(rows)
                for name, value in _fields(self)
            }
        )


State = TypeVar("State", bound=LiveRows)


class Phase(ABC, Generic[State]):
    """A kind of step, and the rows that take it.  Row numbers are those of the whole batch.

    last: does no phase follow?  Then few rows wait here for those that have to go back once more.
    """

    def __init__(self, last: bool = False) -> None:
        self._last = last
        self._state: State | None = None
        self._new: list[Tensor] = []

    def __len__(self) -> int:
        live = 0 if self._state is None else len(self._state.live)
        return live + sum(map(len, self._new))

    def admit(self, rows: Tensor) -> None:
        """Row numbers that take such steps from now on."""
        if len(rows):
            self._new.append(rows)

    @abstractmethod
    def begin(self, rows: Tensor) -> State:
        """The state of rows that are new to the phase."""

    @abstractmethod
    def step(self, state: State) -> tuple[State, Tensor, Tensor]:
        """One step of every live row: the state of those that stay, and the row numbers of those
        that go on to another phase, and of those that go back to an earlier one."""

    def run(self) -> tuple[Tensor, Tensor]:
        """Many rows step until fewer than COMPANY are left; few until none is or, in the last
        phase, until one goes back.  Row numbers of those that went on, and back."""
        state, onward, back = self._gathered(), [], []
        many = len(state.live) >= COMPANY
        while True:
            state, gone, returned = self.step(state)
            onward.append(gone)
            back.append(returned)
            least = COMPANY if many or (self._last and len(returned)) else 1
            if len(state.live) < least:
                break
        self._state = state if len(state.live) else None
        return torch.cat(onward), torch.cat(back)

    def _gathered(self) -> State:
        """The state of all rows, the new ones among them."""
        state = self._state
        if self._new:
            begun = self.begin(torch.cat(self._new))
            state = begun if state is None else joined(state, begun)
            self._new = []
        assert state is not None, "no rows"
        return state


def next_phase(phases: Sequence[Phase[Any]]) -> Phase[Any] | None:
    """The first with many rows; where all have few, the first with any; none: all are done.

    So stragglers of the first phase wait for rows that a token comes back in.
    """
    some = [phase for phase in phases if len(phase)]
    return next((phase for phase in some if len(phase) >= COMPANY), some[0] if some else None)
