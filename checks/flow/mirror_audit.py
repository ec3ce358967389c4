"""Audits of the mirror flow: theta' = A^T lambda, integrated again without the engine."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from checks.flow import fidelity
from checks.flow.fidelity import Audit, Auditor, Field
from checks.flow.probes import Stretch
from checks.flow.reference import Reference, ReferenceFailure, lsoda, reduced_velocity
from checks.problems import Array

_FLAT = 1e-12
"""Share of the largest |theta_j| below which slopes are cut: see ``mirror``; RTOL is no finer."""


class MirrorAuditor(Auditor):
    """The stretches of one run of the mirror flow of |beta|_p^p/p.

    Up to norm e^20 theta itself, with lambda from raw tokens and beta = grad psi*(theta); beyond
    it the index-reduced equation, in units of |theta|_q before the step.
    """

    @property
    def _power(self) -> float:
        """q - 1, so that beta = sign(theta) |theta|^(q-1)."""
        return 1.0 / (self.start.exponent - 1.0)

    def _beta(self, theta: Array) -> Array:
        return np.asarray(np.sign(theta) * np.abs(theta) ** self._power)

    def _size(self, theta: Array) -> float:
        """|theta|_q."""
        top = float(np.abs(theta).max()) or 1.0
        q = self._power + 1.0
        return float(top * ((np.abs(theta) / top) ** q).sum() ** (1.0 / q))

    def _off(self, one: Array, two: Array) -> float:
        """sqrt(<beta - beta', theta - theta'>/max(1, <beta, theta>))."""
        unit = max(self._size(one), 1.0)
        one, two = one / unit, two / unit
        return float(np.sqrt(max(((self._beta(one) - self._beta(two)) * (one - two)).sum(), 0.0)))

    def initial(self) -> Array:
        return self.start.theta

    def weights_at(self, raw: Array) -> Array:
        return self._beta(raw / self._size(raw))

    def audit(self, stretch: Stretch) -> Audit:
        try:
            if fidelity.is_deep(stretch):
                return self._deep(stretch)
            reference = Reference(self.problem, "combined", self.start.weights.shape)
            end = lsoda(
                lambda theta: reference.ascent(self._beta(theta))[0], stretch.before, stretch.step
            )
        except ReferenceFailure as failure:
            return Audit("none", None, stretch.log_norm, f"reference: {failure}")
        off, went = self._off(end, stretch.after), self._off(end, stretch.before)
        return Audit("raw", off, stretch.log_norm, change=went, implicit=stretch.implicit)

    def _deep(self, stretch: Stretch) -> Audit:
        rows, unit = self._rows(), self._size(stretch.before)
        before, after = stretch.before / unit, stretch.after / unit
        log_unit = self._power * float(np.log(unit))  # of beta, and so of its margins

        def slope(theta: Array) -> Array:
            size = np.abs(theta)
            floored = np.maximum(size, _FLAT * size.max())
            return np.asarray(self._power * floored ** (self._power - 1.0))

        def field_of(active: Array) -> Field:
            return reduced_velocity(rows[active], slope)

        def margins_of(theta: Array) -> Array:
            return np.asarray(rows @ self._beta(theta))

        def balance(theta: Array, active: Array) -> Array | None:
            move = fidelity._mend(
                rows[active], slope(theta), margins_of(theta)[active], log_unit, 1.0
            )
            return None if move is None else np.asarray(theta + move)

        scaled = replace(stretch, step=stretch.step / unit)
        end, reason = self._reduced(scaled, field_of, margins_of, before, balance=balance)
        if end is None:
            return Audit("none", None, stretch.log_norm, reason)
        # In these units both are of size 1: the divergence is relative.
        off, went = self._off(end, after), self._off(end, before)
        return Audit("reduced", off, stretch.log_norm, change=went)
