"""Gradient flow at equal physical time, for tests of the engine's stored orbits.

The engine follows rescaled time; a stored orbit says by itself when it was where: t is the
integral of d tau/Lambda, by Gauss's rule on the cubic that has the orbit's states and velocities
at both ends of a step.  lambda, Lambda and velocities are ``reference``'s, from raw tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.integrate import solve_ivp
from scipy.linalg import expm
from scipy.special import logsumexp

from checks.flow.probes import Stretch
from checks.flow.reference import Reference
from checks.problems import Array, AttentionProblem, Start

_POINTS, _SHARES = np.polynomial.legendre.leggauss(6)
_POINTS, _SHARES = (1 + _POINTS) / 2, _SHARES / 2


@dataclass(frozen=True)
class Chart:
    """States x of one run in which a step of constant p is smooth: u, Z, W or theta, flattened."""

    problem: AttentionProblem
    start: Start

    @property
    def reference(self) -> Reference:
        model = "combined" if self.start.model == "mirror" else self.start.model
        shape = self.start.weights.shape if self.start.key is None else np.shape(self.start.key)
        return Reference(self.problem, model, tuple(shape))

    def of(self, raw: Array) -> Array:
        """x of a stored state (``Geometry.raw``)."""
        if self.start.model == "factored":
            return np.asarray(raw[:-1] * np.exp(raw[-1] / 2))
        return raw

    def parameters(self, x: Array) -> Array:
        """What gradient flow trains: [k, q], [K, Q], W; theta of mirror flow."""
        if self.start.model != "diagonal":
            return x
        key, query = np.asarray(self.start.key), np.asarray(self.start.query)
        up, down = (key + query) * np.exp(x / 2), (key - query) * np.exp(-x / 2)
        return np.concatenate((up + down, up - down)) / 2

    def weights(self, parameters: Array) -> Array:
        """W of trained parameters, in the shape of ``Start.weights``."""
        shape = self.start.weights.shape
        if self.start.model == "diagonal":
            k, q = parameters.reshape(2, -1)
            return np.asarray(k * q)
        if self.start.model == "factored":
            key, query = parameters.reshape(2, *self.reference.shape)
            return np.asarray(key @ query.T)
        if self.start.model == "mirror":
            power = 1 / (self.start.exponent - 1)
            return np.asarray(np.sign(parameters) * np.abs(parameters) ** power)
        return parameters.reshape(shape)

    def velocity(self, parameters: Array) -> tuple[Array, float]:
        """d(parameters)/d tau and ln Lambda."""
        ascent, log_clock = self.reference.ascent(self.weights(parameters))
        if self.start.model == "mirror":
            return ascent, log_clock
        return self.reference.velocity(parameters), log_clock

    def rate(self, x: Array) -> tuple[Array, float]:
        """dx/d tau and ln Lambda."""
        if self.start.model != "diagonal":
            return self.velocity(x)
        ascent, log_clock = self.reference.ascent(self.weights(self.parameters(x)))
        return 2 * ascent, log_clock

    def unit(self, x: Array) -> float:
        """What an error of x is relative to: u is a log weight, W and theta absolute below 1."""
        if self.start.model == "diagonal":
            return 1.0
        size = float(np.linalg.norm(x))
        return size if self.start.model == "factored" else 1 + size

    def between(self, stretch: Stretch) -> tuple[list[Array], Array]:
        """States at Gauss's points within a step, and the logarithms of the rule's weights.

        Pieces in which ln Lambda moves by 1 or so: t may grow by e^60 within one late step.
        600 of them at most: longer steps end beyond t = 1e200, where nothing is compared."""
        x, y, h = self.of(stretch.before), self.of(stretch.after), stretch.step
        (v, first), (w, last) = self.rate(x), self.rate(y)
        pieces = int(np.clip(np.ceil(abs(last - first)), 1, 600))
        # Equal pieces of tau: where the margin grows like e^tau the last is the longest in it.
        pieces = pieces if pieces == 1 else 2 * pieces
        points = ((np.arange(pieces)[:, None] + _POINTS) / pieces).ravel()
        shares = np.tile(_SHARES / pieces, pieces)
        v, w = h * v, h * w
        states = [
            (1 + 2 * a) * (1 - a) ** 2 * x + a * (1 - a) ** 2 * v
            + a * a * (3 - 2 * a) * y - a * a * (1 - a) * w
            for a in points
        ]  # fmt: skip
        return states, np.log(shares * h)

    def log_times(self, stretches: Sequence[Stretch]) -> Array:
        """ln t at the end of every step."""
        passed = []
        for stretch in stretches:
            states, shares = self.between(stretch)
            passed.append(
                logsumexp([s - self.rate(x)[1] for x, s in zip(states, shares, strict=True)])
            )
        return np.logaddexp.accumulate(np.array(passed))

    def in_raw_time(self, log_times: Array, rtol: float = 1e-11) -> list[Array]:
        """W at the given times, rising: scipy's Radau in raw time t on the raw parameters."""

        def velocity(_: float, y: Array) -> Array:
            rate, log_clock = self.velocity(y)
            return np.asarray(rate * np.exp(log_clock))

        if self.start.model == "mirror":
            y = self.start.theta
        elif self.start.key is not None:
            y = np.concatenate((np.ravel(self.start.key), np.ravel(self.start.query)))
        else:
            y = self.start.weights.ravel()
        at, found = 0.0, []
        for time in np.exp(log_times).tolist():
            # From end to end: scipy's dense output is of a lower order than its steps.
            solution = solve_ivp(
                velocity, (at, time), y, method="Radau", rtol=rtol, atol=1e-3 * rtol,
                first_step=1e-3 if at == 0 else None,
            )  # fmt: skip
            assert solution.success, solution.message
            at, y = time, solution.y[:, -1]
            found.append(self.weights(y))
        return found

    def condition(self, stretches: Sequence[Stretch], log_times: Array) -> float:
        """Largest factor by which the flow grows an earlier relative error until the end, at
        equal physical time (derived): sup over s of |dx(t)/dx(s)| |x(s)|/|x(t)|.

        The variational equation in ln t, its Jacobian by differences, frozen over every stretch.
        """

        def field(x: Array, log_time: float) -> Array:
            rate, log_clock = self.rate(x)
            return np.asarray(rate * np.exp(log_clock + log_time))

        total, worst = np.eye(len(self.of(stretches[0].before))), 1.0
        end = self.unit(self.of(stretches[-1].after))
        for i in range(len(stretches) - 1, 0, -1):
            x = self.of(stretches[i].after)
            h = 1e-6 * self.unit(x)
            columns = [
                (field(x + h * e, log_times[i]) - field(x - h * e, log_times[i])) / (2 * h)
                for e in np.eye(len(x))
            ]
            total = total @ expm(np.stack(columns, 1) * (log_times[i] - log_times[i - 1]))
            before = self.unit(self.of(stretches[i].before))
            worst = max(worst, float(np.linalg.norm(total, 2)) * before / end)
        return worst


def thinned(
    stretches: Sequence[Stretch], log_times: Array, count: int
) -> tuple[list[Stretch], Array]:
    """At most ``count`` or so of them, spread evenly, the last among them."""
    at = np.unique(np.linspace(0, len(stretches) - 1, count).astype(int))
    return [stretches[i] for i in at], log_times[at]


def deviation(one: Array, other: Array) -> float:
    """Relative difference of two weights."""
    return float(np.linalg.norm(one - other) / np.linalg.norm(other))
