"""Flow claims: the vector field, its invariants, and that the engine's orbit is gradient flow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.integrate import LSODA

from checks import runs, tolerances
from checks.cases import Case
from checks.context import Context
from checks.flow import chain, fidelity, integrate
from checks.flow import weights as attention
from checks.flow.probes import View
from checks.flow.reference import Reference, stepped
from checks.limit_checks import result, unmet, vacuous
from checks.outcomes import CaseResult, Measurement, Outcome
from checks.problems import Array, AttentionProblem, Start, constraints_of

CLEAR = 10.0
"""A deviation is a counterexample beyond this many tolerances, undecided up to there."""


def decide(
    case: Case, margins: dict[str, float], measured: Sequence[Measurement], informative: bool
) -> CaseResult:
    """HELD within tolerance, FALSIFIED clearly beyond, INCONCLUSIVE between."""
    worst = max(m.ratio for m in measured)
    outcome = Outcome.HELD if worst <= 1 else Outcome.INCONCLUSIVE
    if worst > CLEAR:
        outcome = Outcome.FALSIFIED
    reason = "" if outcome is Outcome.HELD else f"{max(measured, key=lambda m: m.ratio).name}"
    return result(
        case, outcome, reason, margins, informative=informative, measurements=tuple(measured)
    )


def loss(problem: AttentionProblem, weights: torch.Tensor) -> torch.Tensor:
    """L = (1/n) sum_i exp(-y_i v^T X_i^T softmax(X_i W z_i)), written from the definition.

    weights: beta (d,) or W (d, d).  Uses tokens and head, never scores or margins.
    """
    x, z, y, v = (
        torch.tensor(a, dtype=torch.float64)
        for a in (problem.tokens, problem.queries, problem.labels, problem.head)
    )
    moved = z * weights if weights.dim() == 1 else z @ weights.T
    attention_paid = torch.softmax(torch.einsum("nld,nd->nl", x, moved), dim=1)
    output = torch.einsum("nl,nld,d->n", attention_paid, x, v)
    return torch.exp(-y * output).mean()


def autograd(problem: AttentionProblem, start: Start) -> list[Array]:
    """-gradient of the loss in (k, q), (K, Q) or W, by automatic differentiation."""
    if start.model == "combined":
        leaves = [torch.tensor(start.weights, dtype=torch.float64, requires_grad=True)]
        weights = leaves[0]
    else:
        leaves = [
            torch.tensor(np.asarray(a), dtype=torch.float64, requires_grad=True)
            for a in (start.key, start.query)
        ]
        weights = leaves[0] * leaves[1] if start.model == "diagonal" else leaves[0] @ leaves[1].T
    gradients = torch.autograd.grad(loss(problem, weights), leaves)
    return [-g.numpy() for g in gradients]


def _margin_form(problem: AttentionProblem, start: Start, scale: float) -> list[Array]:
    """The same by the suite's own parts: G(lambda), G Q and G^T K, q * A^T lambda."""
    batch = integrate.Batch.of([problem], [start])
    margins = batch.geometry.margins(batch.geometry.initial()).view(batch.scores.shape)
    weights = attention.attention_weights(margins, batch.scores)
    multipliers = (weights.p * torch.exp(weights.log_clock)[:, None, None])[0].numpy() * scale
    # G_r from the constraint builder, lambda from the engine's rows: an error in either shows.
    rows = constraints_of(problem)
    pushed = multipliers[rows.sample, rows.token][:, None] * rows.delta
    g = (pushed * rows.query).sum(0) if start.weights.ndim == 1 else pushed.T @ rows.query
    if start.model == "combined":
        return [np.asarray(g)]
    key, query = np.asarray(start.key), np.asarray(start.query)
    return [query * g, key * g] if start.model == "diagonal" else [g @ query, g.T @ key]


def engine_field(problem: AttentionProblem, start: Start) -> list[Array]:
    """The velocity of (k, q), (K, Q) or W at t = 0 as the engine's early phase takes it."""
    batch = integrate.Batch.of([problem], [start])
    geometry, y = batch.geometry, batch.geometry.initial()
    weights = attention.attention_weights(
        geometry.margins(y).view(batch.scores.shape), batch.scores
    )
    clock = torch.exp(weights.log_clock).unsqueeze(-1)
    velocity = geometry.velocity(y, weights.p.flatten(1)) * clock
    if start.model == "combined":
        # Linear in the state, W = base + sum_r alpha_r G_r: the difference is the velocity.
        moved = geometry.raw(y + velocity) - geometry.raw(y)
        return [moved[0].view(start.weights.shape).numpy()]
    key, query = np.asarray(start.key), np.asarray(start.query)
    if start.model == "diagonal":
        growth = velocity[0].numpy() / 2  # u' = 2 A^T lambda
        return [query * growth, key * growth]
    return [part.view(key.shape).numpy() for part in velocity[0, :-1].chunk(2)]


def gradient_rounding(problem: AttentionProblem, start: Start) -> tolerances.Tolerance:
    """Rounding of either route: sums over n L d products, softmax of logits of some size."""
    x, z = np.abs(problem.tokens), np.abs(problem.queries)
    w = np.abs(start.weights)
    moved = z * w if w.ndim == 1 else z @ w.T
    logit = float((x * moved[:, None, :]).sum(-1).max())
    gamma = float((x @ np.abs(problem.head)).max())
    factor = 1.0
    if start.key is not None and start.query is not None:
        factor = float(max(np.abs(start.key).max(), np.abs(start.query).max()))
    size = float(np.exp(gamma)) * 4 * gamma * float(x.max() * z.max()) * factor * (1 + logit)
    terms = problem.samples * problem.length * problem.dim
    return tolerances.rounding(terms, size, "the gradient")


def compare_gradients(
    cases: Sequence[Case], context: Context, factor: Callable[[AttentionProblem], float] | None
) -> list[CaseResult]:
    """The margin form against autograd, and the engine's velocity; factor: a control's own."""
    out = []
    for case in cases:
        margins, missing = unmet(case, context.assumptions)
        if missing:
            out.append(vacuous(case, margins, missing))
            continue
        problem, start = case.problem, case.start
        wanted = autograd(problem, start)
        got = _margin_form(problem, start, factor(problem) if factor else 1.0)
        error = max(float(np.abs(a - b).max()) for a, b in zip(wanted, got, strict=True))
        allowed, size = gradient_rounding(problem, start), max(np.abs(a).max() for a in wanted)
        measured = [Measurement("gradient difference", error, allowed.value, allowed.because)]
        if factor is None:
            field = engine_field(problem, start)
            error = max(float(np.abs(a - b).max()) for a, b in zip(wanted, field, strict=True))
            # Of combined weights the velocity is a difference of two states.
            room = allowed.value + 4 * tolerances.EPS * float(np.abs(start.weights).max())
            name = "difference of the engine's velocity"
            measured.append(Measurement(name, error, room, allowed.because))
        # One lost in its own rounding bound shows nothing.
        out.append(decide(case, margins, measured, bool(size > 1e3 * allowed.value)))
    return out


def gradient(cases: Sequence[Case], context: Context) -> list[CaseResult]:
    """flow.gradient (S1): the margin form, as the engine computes it, against autograd."""
    return compare_gradients(cases, context, None)


def unscaled_gradient(cases: Sequence[Case], context: Context) -> list[CaseResult]:
    """control.unscaled-gradient: the margin form without 1/n."""
    return compare_gradients(cases, context, lambda problem: problem.samples)


class _Losses:
    """Probe: the rise of ln L between two accepted early steps that is largest against what the
    local error allows there, and the fall in all.

    A step's error of relative size tol in every weight moves a logit by at most tol times the
    sum of its terms' sizes, a difference of two by twice that, and ln L by the score range
    times that.  (Not a bound on margins: a row that a token came back in is early at any norm.)
    """

    def __init__(self, cases: Sequence[Case], tolerance: float) -> None:
        self._cases, self._tolerance = cases, tolerance

    def init(self, rows: int) -> None:
        self.rise, self.allowed = np.zeros(rows), np.full(rows, np.inf)
        self.steps = np.zeros(rows, dtype=int)
        self.first, self.last = np.full(rows, np.nan), np.full(rows, np.nan)
        self._before = np.zeros(rows)

    def update(self, view: View) -> None:
        if view.late:
            return
        weights, scale = view.geometry.weights(view.state)
        sized = (weights * torch.exp(scale).unsqueeze(-1)).cpu()
        for row, flat in zip(view.index.tolist(), sized, strict=True):
            if row >= len(self._cases):
                continue
            case = self._cases[row]
            w = flat.view(case.start.weights.shape)
            value, room = float(torch.log(loss(case.problem, w))), self._room(case, w.numpy())
            if self.steps[row]:
                self._compare(row, value - self.last[row], max(room, self._before[row]))
            else:
                self.first[row] = value
            self.last[row], self._before[row] = value, room
            self.steps[row] += 1

    def _compare(self, row: int, rise: float, allowed: float) -> None:
        if max(rise, 0.0) / allowed >= self.rise[row] / self.allowed[row]:
            self.rise[row], self.allowed[row] = max(rise, 0.0), allowed

    def _room(self, case: Case, w: Array) -> float:
        x, z = np.abs(case.problem.tokens), np.abs(case.problem.queries)
        moved = z * np.abs(w) if w.ndim == 1 else z @ np.abs(w).T
        size = float((x * moved[:, None, :]).sum(-1).max())
        spread = float(np.ptp(case.problem.scores, axis=1).max())
        # Logits themselves are rounded, too: a few hundred eps of their terms, and ln L.
        return 2 * (self._tolerance + 256 * tolerances.EPS) * size * spread + 1e-13


def loss_decreases(cases: Sequence[Case], context: Context) -> list[CaseResult]:
    """flow.loss-decreases (S1): ln L never rises between two accepted early steps."""
    checked = [(case, *unmet(case, context.assumptions)) for case in cases]
    ready = [case for case, _, missing in checked if not missing]
    settings = context.budget.settings
    probe = _Losses(ready, settings.early_tolerance)
    probe.init(0)
    if ready:
        problems, starts = [c.problem for c in ready], [c.start for c in ready]
        integrate.integrate(problems, starts, settings, [probe], context.device)
    rows = {id(case): row for row, case in enumerate(ready)}
    out = []
    for case, margins, missing in checked:
        if missing:
            out.append(vacuous(case, margins, missing))
            continue
        row = rows[id(case)]
        rise, allowed = float(probe.rise[row]), float(probe.allowed[row])
        because = "local error allowed per step, times the terms of a logit and the score range"
        measured = Measurement("largest rise of ln L", rise, allowed, because)
        moved = bool(probe.steps[row] >= 2 and probe.first[row] - probe.last[row] > 10 * allowed)
        out.append(decide(case, margins, [measured], moved))
    return out


_RTOL = 1e-11
"""Relative tolerance of the direct integrations of (k, q): near rounding."""
_SPAN = 3.0
"""Their length in rescaled time: |r_j| grows by 2|A^T p| tau, so weights change by e^(tau)."""


@dataclass(frozen=True)
class _Direct:
    """A direct integration of (k, q) with u = 2 int A^T p beside it; all at the end."""

    key: Array
    query: Array
    u: Array
    steps: int


def _integrate_directly(problem: AttentionProblem, start: Start) -> _Direct:
    """k' = q A^T lambda, q' = k A^T lambda by LSODA, in rescaled time up to _SPAN."""
    reference = Reference(problem, "diagonal", (problem.dim,))
    d = problem.dim

    def velocity(_: float, state: Array) -> Array:
        k, q = state[:d], state[d : 2 * d]
        g, _ = reference.ascent(k * q)
        return np.concatenate((q * g, k * g, 2 * g))

    initial = np.concatenate((np.asarray(start.key), np.asarray(start.query), np.zeros(d)))
    solver = LSODA(velocity, 0.0, initial, _SPAN, rtol=_RTOL, atol=_RTOL * 1e-3)
    steps = stepped(solver, 5_000)
    state = solver.y
    return _Direct(state[:d], state[d : 2 * d], state[2 * d :], steps)


def _direct_checks(cases: Sequence[Case], context: Context, quantity: str) -> list[CaseResult]:
    out = []
    for case in cases:
        margins, missing = unmet(case, context.assumptions)
        if missing:
            out.append(vacuous(case, margins, missing))
            continue
        end = _integrate_directly(case.problem, case.start)
        key, query = np.asarray(case.start.key), np.asarray(case.start.query)
        size = float((end.key**2 + end.query**2).sum())
        moved = float(np.abs(end.key * end.query - key * query).max()) / size
        # Each step errs by _RTOL |y| in y, so by at most 4 _RTOL |y|^2 in a product of two.
        allowed = 4 * end.steps * _RTOL
        because = f"4 x {end.steps} steps x rtol {_RTOL:g} of the integrator"
        if quantity == "mirror":
            plus, minus = (key + query) / np.sqrt(2), (key - query) / np.sqrt(2)
            beta = (plus**2 * np.exp(end.u) - minus**2 * np.exp(-end.u)) / 2
            error = float(np.abs(beta - end.key * end.query).max())
            allowed *= 2 + float(np.abs(end.u).max())
            because += ", times 2 + max|u| for the exponent"
        else:
            sign = 1.0 if quantity == "sum of squares" else -1.0
            drift = (end.key**2 + sign * end.query**2) - (key**2 + sign * query**2)
            error = float(np.abs(drift).max())
        measured = Measurement(f"{quantity}, relative", error / size, allowed, because)
        out.append(decide(case, margins, [measured], moved > 1e-3))
    return out


def conservation(cases: Sequence[Case], context: Context) -> list[CaseResult]:
    """flow.conservation (S5): k^2 - q^2 along a direct integration of k and q."""
    return _direct_checks(cases, context, "drift of k^2 - q^2")


def sum_of_squares(cases: Sequence[Case], context: Context) -> list[CaseResult]:
    """control.sum-of-squares-conserved: k^2 + q^2 claimed to be conserved."""
    return _direct_checks(cases, context, "sum of squares")


def mirror_identity(cases: Sequence[Case], context: Context) -> list[CaseResult]:
    """flow.mirror-identity (S5): beta = (w+(0)^2 e^u - w-(0)^2 e^-u)/2 with u = 2 int A^T p."""
    return _direct_checks(cases, context, "mirror")


def orbit(cases: Sequence[Case], context: Context) -> list[CaseResult]:
    """flow.orbit (derived): every run audited; stretches integrated again, chain, tolerance/10."""
    checked = [(case, *unmet(case, context.assumptions)) for case in cases]
    ready = [case for case, _, missing in checked if not missing]
    followed = runs.follow(
        [c.problem for c in ready], [c.start for c in ready], context.budget.settings,
        audited=1.0, stretches=context.budget.stretches, device=context.device,
    )  # fmt: skip
    by_case = {id(case): run for case, run in zip(ready, followed, strict=True)}
    out = []
    for case, margins, missing in checked:
        if missing:
            out.append(vacuous(case, margins, missing))
            continue
        record = by_case[id(case)].fidelity
        because = (
            f"a step may be off by {fidelity.STEP_BOUND:g} relative, and by "
            f"{fidelity.SHARE_BOUND:g} of its own change (the reasons are in fidelity.py)"
        )
        measured = (
            Measurement("deviation of a stretch over its bound", record.deviation, 1.0, because),
            Measurement("local error over its bound", record.worst_error, 1.0, "error control"),
        )
        verdict = decide(case, margins, measured, record.audited > 0)
        if verdict.outcome is Outcome.HELD and record.own:
            broken = record.own in chain.CHAIN_FAULTS
            verdict = result(
                case, Outcome.FALSIFIED if broken else Outcome.INCONCLUSIVE, record.own, margins,
                measurements=measured,
            )  # fmt: skip
        elif verdict.outcome is Outcome.HELD and not record.audited:
            verdict = result(
                case, Outcome.INCONCLUSIVE, "no stretch could be audited", margins,
                informative=False, measurements=measured,
            )  # fmt: skip
        out.append(verdict)
    return out
