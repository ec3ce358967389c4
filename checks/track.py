"""The path of a few runs: weights, multipliers and angle at no more than 64 moments a row."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from checks.flow.probes import SNAPSHOTS, View
from checks.problems import Array


@dataclass(frozen=True)
class Path:
    """k <= 64 moments of one row, in order.

    log_norm, log_time (k,): natural logarithms of N(W) and t.  weights (k, D): W/N(W),
    flattened.  p (k, N): lambda/sum |lambda|, N = n L, relative to the tokens of largest score
    (early) or to the selected ones (late).  angle (k,): 1 - cos of the angle between the
    trained weights (the stack of K and Q, or W) and their velocity.
    """

    log_norm: Array
    log_time: Array
    weights: Array
    p: Array
    angle: Array


class Track:
    """A probe for a few rows.  Keeps every step at first, then every second, every fourth, ...

    Even in steps, not in time or norm: the integrator's own steps are short where something
    happens.  The last step is always kept.
    """

    def init(self, rows: int) -> None:
        self._kept: list[list[Array]] = [[] for _ in range(rows)]
        self._last: list[Array | None] = [None] * rows
        self._seen = [0] * rows
        self._stride = [1] * rows

    def update(self, view: View) -> None:
        geometry = view.geometry
        weights, _ = geometry.weights(view.state)
        weights = weights / geometry.norm_of(weights).unsqueeze(-1)
        rho = geometry.log_size(view.state)
        pull = (view.p * geometry.scaled_margins(view.state, rho)).sum(-1)
        if geometry.grows_exponentially:  # cos^2 = 2 (p^T m)^2/(S |Z'|^2), see late_probe
            cosine = pull * (2 / geometry.margin_growth(view.state, view.p, rho)).sqrt()
        else:
            cosine = pull / geometry.dual_norm(view.p)
        numbers = [view.log_norm, view.log_time, 1 - cosine]
        flat = np.concatenate(
            [
                np.stack([t.cpu().numpy() for t in numbers], axis=1),
                view.p.cpu().numpy(),
                weights.cpu().numpy(),
            ],
            axis=1,
        )
        for moment, row in zip(flat, view.index.tolist(), strict=True):
            self._last[row] = moment
            if self._seen[row] % self._stride[row] == 0:
                self._kept[row].append(moment)
                if len(self._kept[row]) == SNAPSHOTS:
                    self._kept[row] = self._kept[row][::2]
                    self._stride[row] *= 2
            self._seen[row] += 1

    def path(self, row: int, constraints: int) -> Path | None:
        """The path of one row of n L = ``constraints`` multipliers; None without a step."""
        last = self._last[row]
        if last is None:
            return None
        kept = self._kept[row]
        moments = np.stack(kept if kept and kept[-1] is last else [*kept, last])
        return Path(
            moments[:, 0],
            moments[:, 1],
            moments[:, 3 + constraints :],
            moments[:, 3 : 3 + constraints],
            moments[:, 2],
        )
