"""Gradient flow written a second time, for audits: numpy, one problem, no engine import.

Raw weights (k, q), (K, Q) or W, weights lambda from their definition (THEORY.md 1) by plain
sums over token pairs, and scipy's integrators.  Slow, and that is its point: it shares no
formula for p, no chart and no step control with the engine.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.integrate import LSODA, solve_ivp

from checks.problems import Array, AttentionProblem, Start

RTOL = 1e-11
"""Relative tolerance of the reference integrations.  Their errors add up to 1e-8 at most (seen,
against Radau at 1e-10): 1e-3 of the smallest bound they audit."""

_EVALUATIONS = 10_000
"""Honest stretches take 3,000 at most (seen); a step that is no gradient flow can take for
ever, and an audit that never ends catches nothing."""


class ReferenceFailure(RuntimeError):
    """The reference integrator gave up: the stretch is not audited (never: passed)."""


@dataclass(frozen=True)
class Reference:
    """One problem, as the reference sees it.

    model: diagonal, factored, combined; shape: of k, of K, of W ((d,) or (d, d)).
    """

    problem: AttentionProblem
    model: str
    shape: tuple[int, ...]

    @cached_property
    def _rises(self) -> tuple[Array, Array]:
        """(n, L, L): sign and ln of the size of gamma_l - gamma_l', -inf where they are equal."""
        gamma = self.problem.scores
        rise = gamma[:, :, None] - gamma[:, None, :]
        with np.errstate(divide="ignore"):
            return np.sign(rise), np.log(np.abs(rise))

    def logits(self, weights: Array) -> Array:
        """(n, L): x_il^T W z_i."""
        x, z = self.problem.tokens, self.problem.queries
        moved = z * weights if weights.ndim == 1 else z @ weights.T
        return np.asarray((x * moved[:, None, :]).sum(-1))

    def ascent(self, weights: Array) -> tuple[Array, float]:
        """-(gradient in W)/Lambda, and ln Lambda: the clock's rate d tau/dt.

        Lambda = (1/2n) sum_i e^{-gbar_i} sum_{l,l'} s_il s_il' |gamma_il - gamma_il'|.
        """
        x, z, gamma = self.problem.tokens, self.problem.queries, self.problem.scores
        logits = self.logits(weights)
        log_s = logits - logits.max(1, keepdims=True)
        log_s = log_s - np.log(np.exp(log_s).sum(1, keepdims=True))
        gbar = (np.exp(log_s) * gamma).sum(1)
        sign, log_rise = self._rises
        size = log_s[:, :, None] + log_s[:, None, :] + (log_rise - gbar[:, None, None])
        top = size.max()
        share = np.exp(size - top)
        # Moving attention from l' to l pays gamma_l - gamma_l': half the sum over ordered pairs.
        pull = (share * sign).sum(2)
        clock = 0.5 * share.sum()
        if weights.ndim == 1:
            ascent = ((pull[:, :, None] * x).sum(1) * z).sum(0)
        else:
            ascent = (pull[:, :, None] * x).sum(1).T @ z
        return ascent / clock, float(top + np.log(clock / self.problem.samples))

    def velocity(self, raw: Array) -> Array:
        """d(raw)/d tau for raw = [k, q] (diagonal), [K, Q] (factored) or W, flattened."""
        if self.model == "diagonal":
            k, q = raw.reshape(2, -1)
            ascent, _ = self.ascent(k * q)
            return np.concatenate((q * ascent, k * ascent))
        if self.model == "factored":
            key, query = raw.reshape(2, *self.shape)
            ascent, _ = self.ascent(key @ query.T)
            return np.concatenate(((ascent @ query).ravel(), (ascent.T @ key).ravel()))
        ascent, _ = self.ascent(raw.reshape(self.shape))
        return ascent.ravel()

    def integrate(self, raw: Array, span: float) -> Array:
        """Raw weights after rescaled time ``span``."""
        return lsoda(self.velocity, raw, span)


def twinned(velocity: Callable[[Array], Array], start: Start) -> Callable[[Array], Array]:
    """The velocity of raw [k, q], diagonal weights, where k_j = +-q_j at the start.

    The flow keeps that, since k_j^2 - q_j^2 is conserved; but a rounding of k_j - q_j grows while
    k_j falls by e^-300 (seen: to 1e55 in one step)."""
    key, query = np.asarray(start.key), np.asarray(start.query)
    sign = np.where(key == query, 1.0, np.where(key == -query, -1.0, 0.0))

    def kept(raw: Array) -> Array:
        k, q = raw.reshape(2, -1)
        mean = (k + sign * q) / 2
        return velocity(np.concatenate((np.where(sign, mean, k), np.where(sign, sign * mean, q))))

    return kept


def lsoda(velocity: Callable[[Array], Array], raw: Array, span: float, rtol: float = RTOL) -> Array:
    """scipy's LSODA from raw over span; raises ReferenceFailure.

    Adams where the stretch is not stiff, BDF where it is: as accurate as Radau at a tenth of
    this tolerance, with a third of the evaluations (a tenth on full matrices, measured).
    """
    scale = float(np.abs(raw).max()) or 1.0
    left = _EVALUATIONS

    def counted(_: float, y: Array) -> Array:
        nonlocal left
        left -= 1
        if left < 0:
            raise ReferenceFailure(f"gave up after {_EVALUATIONS} evaluations")
        return velocity(y)

    try:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what LSODA warns of, it also fails of
            result = solve_ivp(
                counted, (0.0, span), raw, method="LSODA", rtol=rtol,
                atol=rtol * scale, first_step=min(span, 1e-4),
            )  # fmt: skip
    except (ValueError, np.linalg.LinAlgError) as error:  # scipy's word for NaN in a Jacobian
        raise ReferenceFailure(str(error)) from error
    if not result.success or not np.isfinite(result.y[:, -1]).all():
        raise ReferenceFailure(result.message)
    return np.asarray(result.y[:, -1])


def stepped(solver: LSODA, most: int) -> int:
    """Take steps until the end of its span, a failure, or so many: how many.

    ``solver.y`` is then the last state that was accepted, and an invariant of the flow is asked
    there, wherever that is: LSODA's warning of a failure says nothing more.
    """
    steps = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        while solver.status == "running" and steps < most:
            solver.step()
            steps += 1
    return steps


def reduced_velocity(
    active: Array, slope: Callable[[Array], Array]
) -> Callable[[Array], tuple[Array, Array]]:
    """The flow's limit at infinite norm, as an ordinary differential equation (derived).

    With the constraints ``active`` (rows, R x D) sharing the smallest margin, their margins
    m_r grow at one rate: sum_s H_rs p_s = const, H = A diag(slope) A^T, sum p = 1.  Returns
    state -> (A^T p, p).  No entropy, no implicit solve: an index-reduced form of the same
    flow, exact up to e^-rho.
    """

    def velocity(state: Array) -> tuple[Array, Array]:
        p = _equal_growth((active * slope(state)) @ active.T)
        return active.T @ p, p

    return velocity


def reduced_factored(
    delta: Array, query: Array, dim: int
) -> Callable[[Array], tuple[Array, Array]]:
    """The same for K, Q trained separately: H_rs = <grad m_r, grad m_s> in Z = [K; Q].

    delta (R, d), query (R, d): the active constraints.  state: Z e^-(rho/2) flattened, and
    rho.  Returns state -> (d state/d tau, p), at constant |Z|^2 e^-rho, so that no size
    overflows: Z' = M(p) Z - c Z, rho' = 2c, c = <Z, M(p) Z>/|Z|^2.
    """

    def velocity(state: Array) -> tuple[Array, Array]:
        key, attended = state[:-1].reshape(2, dim, -1)
        gradients = np.concatenate(
            (
                delta[:, :, None] * (query @ attended)[:, None, :],
                query[:, :, None] * (delta @ key)[:, None, :],
            ),
            axis=1,
        ).reshape(len(delta), -1)
        p = _equal_growth(gradients @ gradients.T)
        push = p @ gradients
        z = state[:-1]
        rate = (z @ push) / (z @ z)
        return np.append(push - rate * z, 2 * rate), p

    return velocity


def _equal_growth(h: Array) -> Array:
    """p with H p = const and sum p = 1, of least norm where constraints depend on another
    (the velocity sum_r p_r grad m_r is the same for all of them)."""
    size = np.abs(h).max()
    p = np.linalg.pinv(h / size, rcond=1e-11, hermitian=True).sum(1)
    return np.asarray(p / p.sum())
