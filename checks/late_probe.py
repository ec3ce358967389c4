"""What the rate claims read off a late orbit: size, smooth margin, and the angle to Z'."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from checks.flow.probes import View
from checks.problems import Array, AttentionProblem


@dataclass(frozen=True)
class LateOrbit:
    """Per accepted late step: log_size ln S (k,), log_margin ln m~ (k,), angle 1/cos^2 - 1
    (k,), condition (k,): sum of |margin terms| over the smallest margin, tau (k,): rescaled
    time, and raw (k, D): the state (``Geometry.raw``), where steps commute; else (k, 0)."""

    log_size: Array
    log_margin: Array
    angle: Array
    condition: Array
    tau: Array
    raw: Array


@dataclass(frozen=True)
class _Step:
    """log_size ln S; margins and growth |Z'|^2, norm: in units of S; p, tau, raw as above."""

    log_size: float
    margins: Array
    p: Array
    growth: float
    norm: float
    tau: float
    raw: Array


class LateProbe:
    """Stores scaled margins, weights p and sizes of every step of a row's last late phase.

    on_orbit: read where the orbit goes on, not where certificates are read (``View``); the
    angle, which belongs to p, is then off by the step's error.
    """

    def __init__(self, on_orbit: bool = False) -> None:
        self._on_orbit = on_orbit

    def init(self, rows: int) -> None:
        self._seen: dict[int, list[_Step]] = defaultdict(list)

    def update(self, view: View) -> None:
        if not view.late:
            # A token came back: the late orbit is that of the last late phase alone.
            for row in view.index.tolist():
                self._seen.pop(row, None)
            return
        geometry = view.geometry
        y = view.orbit_state if self._on_orbit else view.state
        rho = geometry.log_size(y)
        margins = geometry.scaled_margins(y, rho).cpu().numpy()
        growth = geometry.margin_growth(y, view.p, rho).cpu().numpy()
        weights, scale = geometry.weights(y)
        norm = (geometry.norm_of(weights).log() + scale - rho).exp().cpu().numpy()
        p, tau = view.p.cpu().numpy(), view.tau.cpu().numpy()
        raw = geometry.raw(y).cpu().numpy() if geometry.commutes else np.empty((len(p), 0))
        for at, row in enumerate(view.index.tolist()):
            size = float(norm[at])
            self._seen[row].append(
                _Step(
                    float(rho[at]),
                    margins[at],
                    p[at],
                    float(growth[at]),
                    size,
                    float(tau[at]),
                    raw[at],
                )
            )

    def orbit(self, row: int, problem: AttentionProblem, selected: Array) -> LateOrbit | None:
        """The late orbit of one row; None where it has fewer than two steps with m~ > 0.

        m~ = -ln sum_r e^{kappa_r - m_r}, kappa shifted so that its least entry is 0; cos^2 =
        2 (p^T m^)^2/growth with the margins m^ = m/S and growth = |Z'|^2/S (derived).
        """
        own = np.take_along_axis(problem.scores, selected[:, None], axis=1)
        mask = (problem.scores < own).ravel()
        with np.errstate(invalid="ignore", divide="ignore"):
            kappa = (np.log(own - problem.scores) - own).ravel()[mask]
        kappa = kappa - kappa.min()
        rows, states = [], []
        largest = float(np.abs(problem.tokens).max() * np.abs(problem.queries).max()) * 2
        for step in self._seen.get(row, []):
            rho, m, weight = step.log_size, step.margins[mask], step.p[mask]
            least = float(m.min())
            with np.errstate(over="ignore", under="ignore", invalid="ignore"):
                above = m - least
                excess = np.where(above > 0, above * np.exp(rho), 0.0)
                spread = float(np.log(np.exp(kappa - excess).sum())) * np.exp(-rho)
            if least - spread <= 0:
                continue
            pull = float((weight * m).sum())
            rows.append((
                rho, rho + np.log(least - spread), step.growth / (2 * pull * pull) - 1,
                largest * step.norm / (least - spread), step.tau,
            ))  # fmt: skip
            states.append(step.raw)
        if len(rows) < 2:
            return None
        size, margin, angle, condition, tau = np.array(rows).T
        return LateOrbit(size, margin, angle, condition, tau, np.array(states))
