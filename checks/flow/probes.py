"""Probes look at a run while it runs: init, update at every accepted step, finish.

A probe sees views of the live rows and keeps what it needs, so that memory does not grow
with the number of steps; only a replay stores everything.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Protocol

import numpy as np
from torch import Tensor

from checks.flow.geometries import Geometry

SNAPSHOTS = 64


@dataclass(frozen=True)
class View:
    """The rows that just accepted a step.  index (b,): their row numbers in the batch.

    state is where certificates are read; the orbit itself went from ``before`` to
    ``orbit_state`` (early: the same as state) in step (b,), the rescaled time just passed;
    p (b, N) and mean_p belong to the
    end and the middle of it.  late: p in the simplex, rows relative to the selected tokens;
    implicit: late, and by a step that solves for p.
    log_norm, primal, dual, log_time (b,) as in Orbit; primal, dual are NaN while early.
    """

    late: bool
    implicit: bool
    index: Tensor
    geometry: Geometry
    state: Tensor
    before: Tensor
    orbit_state: Tensor
    p: Tensor
    mean_p: Tensor
    step: Tensor
    tau: Tensor
    log_norm: Tensor
    log_time: Tensor
    primal: Tensor
    dual: Tensor

    def keep(self, rows: Tensor) -> View:
        """The view of the given rows alone (indices into the ones shown)."""
        values = {
            field.name: getattr(self, field.name)[rows]
            for field in fields(self)
            if field.name not in ("late", "implicit", "geometry")
        }
        return View(
            late=self.late, implicit=self.implicit, geometry=self.geometry.select(rows), **values
        )


class Probe(Protocol):
    """Fed during a run."""

    def init(self, rows: int) -> None: ...
    def update(self, view: View) -> None: ...


class Curve:
    """At most 64 snapshots a row of named quantities, thinned evenly in the log norm.

    Keeps (log_norm, log_time, primal, dual, late) at every accepted step and thins at the
    end: some 10 numbers a step and row.  primal, dual are those of the last late phase alone.
    """

    def __init__(self) -> None:
        self._columns: list[tuple[np.ndarray, np.ndarray]] = []

    def init(self, rows: int) -> None:
        self._columns = []

    def update(self, view: View) -> None:
        data = np.stack(
            [t.cpu().numpy() for t in (view.log_norm, view.log_time, view.primal, view.dual)]
        )
        self._columns.append((view.index.cpu().numpy(), data))

    def row(self, index: int) -> np.ndarray:
        """(k, 4) array of log_norm, log_time, primal, dual of one row, k <= 64."""
        points = [data[:, where == index][:, 0] for where, data in self._columns if index in where]
        if not points:
            return np.empty((0, 4))
        whole = np.stack(points)
        # Certificates of a late phase that a token came back in are those of other tokens.
        early = np.flatnonzero(np.isnan(whole[:, 2]))
        whole[: early.max(initial=0), 2:] = np.nan
        return thin(whole)


def thin(points: np.ndarray) -> np.ndarray:
    """At most SNAPSHOTS rows of points, evenly spaced in the order of column 0; ends kept."""
    if len(points) <= SNAPSHOTS:
        return points
    # ln of a norm that is still 0 is -inf: such points come before all others.
    finite = np.isfinite(points[:, 0])
    floor = points[finite, 0].min() if finite.any() else 0.0
    x = np.maximum.accumulate(np.where(finite, points[:, 0], floor))
    wanted = np.linspace(x[0], x[-1], SNAPSHOTS)
    keep = np.searchsorted(x, wanted)
    keep[-1] = len(x) - 1  # not where the largest norm was first met
    return points[np.unique(keep)]


@dataclass(frozen=True)
class Stretch:
    """One accepted step of one row, stored whole for the audit.

    before, after: the state in raw coordinates (``Geometry.raw``: u, or W flattened).  late,
    implicit: as in ``View``.
    """

    late: bool
    implicit: bool
    before: np.ndarray
    after: np.ndarray
    p: np.ndarray
    mean_p: np.ndarray
    step: float
    log_norm: float


class Recorder:
    """Stores every accepted step of the chosen rows: what ``fidelity`` audits."""

    def __init__(self, rows: Iterable[int]) -> None:
        self.rows = frozenset(rows)
        self.stretches: dict[int, list[Stretch]] = {}

    def init(self, rows: int) -> None:
        self.stretches = {row: [] for row in self.rows}

    def update(self, view: View) -> None:
        chosen = [(at, row) for at, row in enumerate(view.index.tolist()) if row in self.rows]
        if not chosen:
            return
        before = view.geometry.raw(view.before).cpu().numpy()
        after = view.geometry.raw(view.orbit_state).cpu().numpy()
        for at, row in chosen:
            self.stretches[row].append(
                Stretch(
                    late=view.late,
                    implicit=view.implicit,
                    before=before[at].copy(),
                    after=after[at].copy(),
                    p=view.p[at].cpu().numpy().copy(),
                    mean_p=view.mean_p[at].cpu().numpy().copy(),
                    step=float(view.step[at]),
                    log_norm=float(view.log_norm[at]),
                )
            )
