"""Is the orbit that the engine returns gradient flow?  Audits of stored stretches.

A late step of the engine is a proximal-point step of the SVM: without error control it
would reach the optimum whatever gradient flow does (THEORY.md 6.2).  So stretches of the
stored orbit are integrated again by a method that shares nothing with it (``reference``):
up to norm e^20 the raw weights themselves, beyond it the index-reduced equation of the
limit, with p recomputed from the state.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from checks.flow.directions import grown, relative_change
from checks.flow.probes import Stretch
from checks.flow.reference import (
    Reference,
    ReferenceFailure,
    lsoda,
    reduced_factored,
    reduced_velocity,
    twinned,
)
from checks.problems import Array, AttentionProblem, Start

STEP_BOUND = 1e-3
"""Largest relative change of a weight by which one step may differ from gradient flow.

Stated here and not read from the settings: a run with its error control switched off must
not audit itself by the looser bound.  The default control (2e-4 between one full and two
half steps, extrapolated) is five times tighter; the SVM margin moves by at most the same
relative amount as the weights, so no verdict at 10 eps hangs on one step."""
SHARE_BOUND = 0.02
"""Share of a step's own change by which it may differ: a flow at the wrong speed, in steps so
short that STEP_BOUND lets it pass, is wrong by tens of percent; honest steps were seen at
0.5 % at most (factored, just after the hand-over)."""
SMALLEST_BOUND = {False: 3e-5, True: 6e-4}
"""By method (implicit: True), three times the local error that the default settings allow: a
deviation below it is within the stated tolerance, however short the step.  That tolerance is of an
estimate, which audits of 10^5 steps saw 1.5 times (Rosenbrock) and 1.8 times (implicit, where a
constraint enters slowly) too small.  Stated here, like STEP_BOUND."""
_RAW_LIMIT = 20.0
"""ln of the norm up to which raw weights are integrated: margins of e^20 carry rounding of
5e-8, and so does p."""
Field = Callable[[Array], tuple[Array, Array]]
_ACTIVE = 1e-6
"""A constraint with less than this share of p over a step moves no weight by 1e-3 in it,
nor does it count as active; one that crosses it during the step makes it unauditable."""

_FELT = "nearly dependent constraints feel rounding, or the terms left out"
_BALANCED = 1e-3
"""Active margins are equal up to the local error of a step, 1e-4 times their condition; one
that becomes active within the step starts it further off."""
_SMALL = 1e-6
"""The reference's 1e-11 of the largest entry is 1e-5 of a direction this small."""
_SHARED = 1e-5
"""Pull of constraints on each other's part of p, relative to theirs, that no log weight feels:
over a step of rescaled time 10 it is 1e-4, a tenth of STEP_BOUND."""
_RESOLVED = 1e-13
"""Relative to their size, that to which margins can be balanced in float64 (hundreds of ulps of
the terms they are sums of): what p does below it, neither the engine nor anybody can tell."""
_LEFT_OUT = -np.log(_ACTIVE) / 1e-4
"""Times e^-rho: the direction of which the terms left out, e^-rho ln(1/p), are 1e-4."""


def is_deep(stretch: Stretch) -> bool:
    """Is it audited by the index-reduced equation, for the tokens of its late phase?"""
    return stretch.late and stretch.log_norm > _RAW_LIMIT


@dataclass(frozen=True)
class Audit:
    """One stretch: which method, and the largest relative deviation of a weight.

    deviation None: not audited, for the ``reason`` given.  change: how far the step itself
    went, in the same measure.
    """

    method: str
    deviation: float | None
    log_norm: float
    reason: str = ""
    change: float = np.inf
    implicit: bool = True

    @property
    def bound(self) -> float:
        """STEP_BOUND, or the share of the step's own change that may be wrong, if smaller."""
        return min(STEP_BOUND, max(SHARE_BOUND * self.change, SMALLEST_BOUND[self.implicit]))

    @property
    def passed(self) -> bool:
        return self.deviation is not None and self.deviation <= self.bound


@dataclass(frozen=True)
class Auditor:
    """Audits the stretches of one run.  selected (n,): the tokens of its late phase."""

    problem: AttentionProblem
    start: Start
    selected: Array

    def initial(self) -> Array:
        """Raw coordinates of the start (``Geometry.raw``)."""
        if self.start.model == "diagonal":
            return np.zeros(self.problem.dim)
        if self.start.model == "factored":
            key, query = np.asarray(self.start.key), np.asarray(self.start.query)
            return np.concatenate((key.ravel(), query.ravel(), [0.0]))
        return self.start.weights.ravel()

    def weights_at(self, raw: Array) -> Array:
        """Flattened attention weights at a stored state, up to a positive factor."""
        if self.start.model == "factored":
            left, right = raw[:-1].reshape(2, self.problem.dim, -1)
            return np.asarray((left @ right.T).ravel())
        if self.start.model != "diagonal":
            return raw
        key, query = np.asarray(self.start.key), np.asarray(self.start.query)
        with np.errstate(divide="ignore"):
            plus = 2 * np.log(np.abs(key + query)) + raw
            minus = 2 * np.log(np.abs(key - query)) - raw
        shift = max(plus.max(), minus.max())
        return np.asarray(np.exp(plus - shift) - np.exp(minus - shift))

    def audit(self, stretch: Stretch) -> Audit:
        """Integrate one stored step again."""
        size = stretch.log_norm
        deep = is_deep(stretch)
        try:
            if self.start.model == "diagonal":
                return self._diagonal(stretch, deep)
            if self.start.model == "factored":
                return self._factored(stretch, deep)
            return self._combined(stretch, deep)
        except ReferenceFailure as failure:
            return Audit("none", None, size, f"reference: {failure}")

    def _diagonal(self, stretch: Stretch, deep: bool) -> Audit:
        before, after = stretch.before, stretch.after
        if not deep:
            first, last = self.start.moved(before), self.start.moved(after)
            reference = Reference(self.problem, "diagonal", before.shape)
            velocity = twinned(reference.velocity, self.start)
            k, q = lsoda(velocity, np.concatenate(first), stretch.step).reshape(2, -1)
            # Weights that stay 0 (queries of 0 move nothing) deviate by 0, not by 0/0.
            size = np.abs(k * q).sum() or 1.0
            off = float(np.abs(k * q - last[0] * last[1]).max() / size)
            went = float(np.abs(k * q - first[0] * first[1]).max() / size)
            return Audit("raw", off, stretch.log_norm, change=went, implicit=stretch.implicit)
        key, query = np.asarray(self.start.key), np.asarray(self.start.query)
        plus, minus = (key + query) / np.sqrt(2), (key - query) / np.sqrt(2)
        with np.errstate(divide="ignore"):
            log_plus, log_minus = 2 * np.log(np.abs(plus)), 2 * np.log(np.abs(minus))
        shift = float(max((log_plus + before).max(), (log_minus - before).max()))

        def slope(u: Array) -> Array:
            return np.asarray(np.exp(log_plus + u - shift) + np.exp(log_minus - u - shift))

        rows = self._rows()

        def field_of(active: Array) -> Field:
            field = reduced_velocity(rows[active], slope)

            def doubled(u: Array) -> tuple[Array, Array]:
                push, p = field(u)
                return 2.0 * push, p

            return doubled

        def margins_of(u: Array) -> Array:
            beta = np.exp(log_plus + u - shift) - np.exp(log_minus - u - shift)
            return np.asarray(rows @ beta)

        def balance(u: Array, active: Array) -> Array | None:
            move = _mend(rows[active], slope(u), margins_of(u)[active], shift, 0.5)
            return None if move is None else np.asarray(u + move)

        end, reason = self._reduced(stretch, field_of, margins_of, before, balance=balance)
        if end is None:
            return Audit("none", None, stretch.log_norm, reason)
        moved = float(np.abs(end - before).max())
        return Audit("reduced", float(np.abs(end - after).max()), stretch.log_norm, change=moved)

    def _combined(self, stretch: Stretch, deep: bool) -> Audit:
        first, last = stretch.before, stretch.after
        if not deep:
            reference = Reference(self.problem, "combined", self.start.weights.shape)
            end = reference.integrate(first, stretch.step)
            size = 1 + np.linalg.norm(end)
            off, went = np.linalg.norm(end - last) / size, np.linalg.norm(end - first) / size
            return Audit(
                "raw", float(off), stretch.log_norm, change=float(went), implicit=stretch.implicit
            )

        rows = self._rows()

        def slope(_: Array) -> Array:
            return np.ones(rows.shape[1])

        def field_of(active: Array) -> Field:
            return reduced_velocity(rows[active], slope)

        def balance(w: Array, active: Array) -> Array | None:
            size = float(np.linalg.norm(w))
            move = _mend(rows[active], slope(w), rows[active] @ w, stretch.log_norm, size)
            return None if move is None else np.asarray(w + move)

        moved, reason = self._reduced(
            stretch, field_of, lambda w: np.asarray(rows @ w), first, _straight, balance
        )
        if moved is None:
            return Audit("none", None, stretch.log_norm, reason)
        size = np.linalg.norm(moved)
        off, went = np.linalg.norm(moved - last) / size, np.linalg.norm(moved - first) / size
        return Audit("reduced", float(off), stretch.log_norm, change=float(went))

    def _factored(self, stretch: Stretch, deep: bool) -> Audit:
        """Deviation: |T - 1| where the step ends at T Z instead of Z = [K; Q]."""
        before, after = stretch.before, stretch.after
        columns = np.asarray(self.start.key).shape[1]
        if not deep:
            reference = Reference(self.problem, "factored", np.asarray(self.start.key).shape)
            end = reference.integrate(before[:-1] * np.exp(before[-1] / 2), stretch.step)
            last = after[:-1] * np.exp(after[-1] / 2)
            end = end.reshape(-1, columns)
            first = (before[:-1] * np.exp(before[-1] / 2)).reshape(-1, columns)
            small = _SMALL * grown(first, end)
            off = relative_change(last.reshape(-1, columns), end, small)
            went = relative_change(first, end, small)
            return Audit("raw", off, stretch.log_norm, change=went, implicit=stretch.implicit)
        x, z = self.problem.tokens, self.problem.queries
        delta = np.take_along_axis(x, self.selected[:, None, None], axis=1) - x
        query = np.broadcast_to(z[:, None, :], x.shape)
        flat = (delta.reshape(-1, x.shape[2]), query.reshape(-1, x.shape[2]))

        def field_of(active: Array) -> Field:
            return reduced_factored(flat[0][active], flat[1][active], x.shape[2])

        def margins_of(state: Array) -> Array:
            key, right = state[:-1].reshape(2, x.shape[2], -1)
            return np.asarray(((flat[0] @ key) * (flat[1] @ right)).sum(1))

        # The field does not depend on rho: from 0, its error control sees the rest of the state.
        origin = np.append(before[:-1], 0.0)
        moved, reason = self._reduced(stretch, field_of, margins_of, origin)
        if moved is None:
            return Audit("none", None, stretch.log_norm, reason)
        last = after[:-1] * np.exp((after[-1] - before[-1] - moved[-1]) / 2)
        end = moved[:-1].reshape(-1, columns)
        first = before[:-1].reshape(-1, columns)
        small = max(_SMALL * grown(first, end), _LEFT_OUT * np.exp(-stretch.log_norm))
        off = relative_change(last.reshape(-1, columns), end, small)
        # Directions are compared at size 1; the step's own change includes the growth of Z.
        went = relative_change(first, end, small) + abs(float(moved[-1])) / 2
        return Audit("reduced", off, stretch.log_norm, change=went)

    def _rows(self) -> Array:
        """(nL, D) rows relative to the selected token of every sample, all tokens."""
        x, z = self.problem.tokens, self.problem.queries
        delta = np.take_along_axis(x, self.selected[:, None, None], axis=1) - x
        if self.start.weights.ndim == 2:
            rows = delta[:, :, :, None] * z[:, None, None, :]
        else:
            rows = delta * z[:, None, :]
        return np.asarray(rows.reshape(x.shape[0] * x.shape[1], -1))

    def _reduced(
        self,
        stretch: Stretch,
        field_of: Callable[[Array], Field],
        margins_of: Callable[[Array], Array],
        state: Array,
        move: Callable[[Callable[[Array], Array], Array, float], Array] = lsoda,
        balance: Callable[[Array, Array], Array | None] | None = None,
    ) -> tuple[Array | None, str]:
        """State at the end of the stretch under the index-reduced field of its active rows.

        The stored state is an extrapolation, its active margins equal only up to the local
        error.  Gradient flow mends that within e^-rho; the reduced field would keep it, so
        ``balance`` mends it first.  What it moves is part of the audit of the step before.
        """
        active = (stretch.p > _ACTIVE) & (stretch.mean_p > _ACTIVE)
        if ((stretch.p > _ACTIVE) != (stretch.mean_p > _ACTIVE)).any():
            return None, "the active set changes within the step"
        margins = margins_of(state)[active]
        if np.ptp(margins) > _BALANCED * np.abs(margins).min():
            return None, "the active set changes within the step"  # one was not active yet
        if balance is not None:
            mended = balance(state, active)
            if mended is None:
                return None, _FELT
            state = mended
        field = field_of(active)
        if field(state)[1].min() < -_ACTIVE:
            return None, "the active set changes within the step"
        end = move(lambda u: field(u)[0], state, stretch.step)
        if field(end)[1].min() < -_ACTIVE:
            return None, "the active set changes within the step"
        if balance is not None and balance(end, active) is None:
            return None, _FELT
        return end, ""


def _mend(
    active: Array, slope: Array, margins: Array, log_unit: float, size: float
) -> Array | None:
    """The move A^T q, sum q = 0, after which the active margins are equal to first order.

    None where the terms that the reduced field leaves out, e^-rho ln(1/p), are felt: nearly
    dependent constraints, of eigenvalue sigma in H, answer them by e^-rho ln(1/p)/sigma.
    Where sigma is rounding they alone decide how such constraints share p, and it matters if
    a coordinate of hardly any slope tells the constraints apart.  Where sigma is small, rounding
    of the margins over sigma is felt in their shares, and moves the state by A^T v times it.
    log_unit: ln of the size that margins are given in units of.  size: of the weights, relative
    to which a move is measured (of a log weight: 1/2).
    """
    h = (active * slope) @ active.T
    values, vectors = np.linalg.eigh(h)
    kept = values > 1e-11 * values[-1]
    if np.abs(active.T @ vectors[:, ~kept]).max(initial=0.0) > _SHARED * np.abs(active).max():
        return None
    if np.exp(-log_unit) * -np.log(_ACTIVE) > 1e-4 * values[kept].min():
        return None
    told = _RESOLVED * np.abs(margins).max() / values[kept]
    if (np.abs(active.T @ vectors[:, kept]) * told).max(initial=0.0) > 0.1 * STEP_BOUND * size:
        return None
    inverse = (vectors[:, kept] / values[kept]) @ vectors[:, kept].T
    q = inverse @ (margins.mean() - margins)
    ones = inverse.sum(1)
    return np.asarray(active.T @ (q - ones * q.sum() / ones.sum()))


def _straight(velocity: Callable[[Array], Array], state: Array, span: float) -> Array:
    """The orbit of a constant velocity: p does not depend on W where the G_r do not move."""
    return state + span * velocity(state)
