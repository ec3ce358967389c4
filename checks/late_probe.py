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
    (k,), and condition (k,): sum of |margin terms| over the smallest margin."""

    log_size: Array
    log_margin: Array
    angle: Array
    condition: Array


class LateProbe:
    """Stores scaled margins, weights p and sizes of every step of a row's last late phase."""

    def init(self, rows: int) -> None:
        self._seen: dict[int, list[tuple[float, Array, Array, float, float]]] = defaultdict(list)

    def update(self, view: View) -> None:
        if not view.late:
            # A token came back: the late orbit is that of the last late phase alone.
            for row in view.index.tolist():
                self._seen.pop(row, None)
            return
        geometry, y = view.geometry, view.state
        rho = geometry.log_size(y)
        margins = geometry.scaled_margins(y, rho).cpu().numpy()
        growth = geometry.margin_growth(y, view.p, rho).cpu().numpy()
        weights, scale = geometry.weights(y)
        norm = (geometry.norm_of(weights).log() + scale - rho).exp().cpu().numpy()
        p = view.p.cpu().numpy()
        for at, row in enumerate(view.index.tolist()):
            self._seen[row].append(
                (float(rho[at]), margins[at], p[at], float(growth[at]), float(norm[at]))
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
        rows = []
        largest = float(np.abs(problem.tokens).max() * np.abs(problem.queries).max()) * 2
        for rho, margins, p, growth, norm in self._seen.get(row, []):
            m, weight = margins[mask], p[mask]
            least = float(m.min())
            with np.errstate(over="ignore", under="ignore", invalid="ignore"):
                above = m - least
                excess = np.where(above > 0, above * np.exp(rho), 0.0)
                spread = float(np.log(np.exp(kappa - excess).sum())) * np.exp(-rho)
            if least - spread <= 0:
                continue
            pull = float((weight * m).sum())
            rows.append((
                rho, rho + np.log(least - spread), growth / (2 * pull * pull) - 1,
                largest * norm / (least - spread),
            ))  # fmt: skip
        if len(rows) < 2:
            return None
        return LateOrbit(*np.array(rows).T)
