"""Factored runs: order, audits, conservation, certificates, rank and alignment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from itertools import product

import numpy as np
import pytest
import torch
from torch import Tensor

from checks.flow import implicit, integrate, unseen
from checks.flow.chain import chain_breaks
from checks.flow.directions import grown, relative_change
from checks.flow.factored import FactoredGeometry
from checks.flow.fidelity import STEP_BOUND, Auditor
from checks.flow.orbit import Orbit, Status
from checks.flow.probes import Recorder, Stretch
from checks.flow.reference import lsoda, reduced_factored
from checks.flow.rows import Rows
from checks.flow.settings import Settings
from checks.problems import Array, AttentionProblem, Start, constraints_of
from checks.svm import solve_svm
from tests.flow_fixture import gaussian_problem

EPS = float(np.finfo(np.float64).eps)
SETTINGS = Settings(early_steps=600, late_steps=240)
"""Late steps: the slowest of the runs below closes in 123, the others in 20 to 60."""


def drawn(count: int, inner: int, dim: int = 4) -> tuple[list[AttentionProblem], list[Start]]:
    """Gaussian problems of n = L = 3 and Gaussian K, Q (dim, inner) of size 0.3."""
    rng = np.random.default_rng([count, inner, dim])
    return [gaussian_problem(seed, (3, 3, dim)) for seed in range(count)], [
        Start.factored(*(0.3 * rng.normal(size=(2, dim, inner))), dim) for _ in range(count)
    ]


class Run:
    """A batch of runs with every step stored."""

    def __init__(self, settings: Settings, inner: int = 4, count: int = 6) -> None:
        self.problems, self.starts = drawn(count, inner)
        recorder = Recorder(range(count))
        self.orbit: Orbit = integrate.integrate(self.problems, self.starts, settings, [recorder])
        self.stretches = recorder.stretches

    def auditor(self, row: int) -> Auditor:
        return Auditor(self.problems[row], self.starts[row], self.orbit.selected[row])

    def deviations(self, which: str, every: int) -> Array:
        """Of every so many stretches, early or late, of all rows."""
        found = []
        for row in self.stretches:
            chosen = [s for s in self.stretches[row] if s.late == (which == "late")]
            audits = [self.auditor(row).audit(s) for s in chosen[::every]]
            found += [a.deviation for a in audits if a.deviation is not None]
        return np.array(found)


@cache
def honest() -> Run:
    return Run(SETTINGS)


def test_honest_runs_close_and_pass_every_audit() -> None:
    run = honest()
    assert all(status is Status.CLOSED for status in run.orbit.status)
    for row, stored in run.stretches.items():
        assert chain_breaks(stored, run.auditor(row).initial()) == ""
    early, late = run.deviations("early", 6), run.deviations("late", 5)
    # Early the bound is on the embedded error, an order worse than the step (1.8e-6 of 1e-5
    # seen); late the extrapolation is an order better than what is allowed; the steps right
    # after the hand-over come closest to it.
    assert len(early) > 40
    assert early.max() <= SETTINGS.early_tolerance
    assert len(late) > 20
    assert late.max() <= SETTINGS.late_tolerance
    assert np.median(late) <= 2e-5


def test_the_audits_cover_both_ranges() -> None:
    run = honest()
    deep = [a for row in run.stretches for a in map(run.auditor(row).audit, late_of(run, row)[-3:])]
    assert {a.method for a in deep if a.deviation is not None} >= {"reduced"}
    assert all(a.passed for a in deep if a.deviation is not None)


def late_of(run: Run, row: int) -> list[Stretch]:
    return [s for s in run.stretches[row] if s.late]


def test_certificates_bracket_an_independent_optimum() -> None:
    run = honest()
    for row in range(len(run.orbit)):
        problem = run.problems[row]
        solution = solve_svm(constraints_of(problem, run.orbit.selected[row]), "nuclear")
        # optimum = 1/gamma*, known between lower and upper.
        assert run.orbit.primal[row] <= (1 + 1e-12) / solution.lower
        assert run.orbit.dual[row] >= (1 - 1e-12) / solution.upper
        assert run.orbit.own_gap[row] <= SETTINGS.gap
        w = run.orbit.direction[row].reshape(problem.dim, problem.dim)
        assert np.linalg.norm(w, "nuc") == pytest.approx(1, abs=1e3 * EPS)
        # The Frobenius optimum is another direction: its margin per nuclear norm is smaller.
        rival = solve_svm(constraints_of(problem, run.orbit.selected[row]), "frobenius")
        size = np.linalg.norm(np.reshape(rival.solution, w.shape), "nuc")
        assert 1 / size < run.orbit.primal[row] * (1 - 1e-4)


def test_a_row_does_not_notice_its_batch() -> None:
    run = honest()
    alone = integrate.integrate(run.problems[3:5], run.starts[3:5], SETTINGS)
    assert np.array_equal(alone.direction, run.orbit.direction[3:5])
    assert np.array_equal(alone.log_norm, run.orbit.log_norm[3:5])


def test_conserved_early_and_not_by_another_flow() -> None:
    """K^T K - Q^T Q, relative to |K|^2 + |Q|^2: up to the hand-over (norm 40 .. 1e4)."""

    def drift(run: Run) -> float:
        worst = 0.0
        for stored in run.stretches.values():
            ends = [s.after for s in stored if not s.late and s.log_norm < np.log(1e4)]
            values = []
            for y in (stored[0].before, ends[-1]):
                key, query = (y[:-1] * np.exp(y[-1] / 2)).reshape(2, 4, -1)
                values.append((key.T @ key - query.T @ query, (y[:-1] ** 2).sum() * np.exp(y[-1])))
            change = np.abs(values[1][0] - values[0][0]).max()
            worst = max(worst, change / values[1][1])
        return worst

    # At most 600 steps of local error 1e-7 each, most far below their bound.
    assert drift(honest()) <= 1e-6
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FactoredGeometry, "velocity", lopsided_velocity)
        patch.setattr(FactoredGeometry, "velocity_jacobian", lopsided_jacobian)
        assert drift(Run(Settings(early_steps=200, late_steps=1), count=3)) > 1e-3


def lopsided_velocity(self: FactoredGeometry, y: Tensor, p: Tensor) -> Tensor:
    """K learns twice as fast as Q."""
    key, query, rho = self._split(y)
    g = self._adjoint(p)
    still = torch.zeros_like(rho).unsqueeze(-1)
    return torch.cat(((2 * g @ query).flatten(1), (g.mT @ key).flatten(1), still), dim=-1)


def lopsided_advance(self: FactoredGeometry, y: Tensor, p: Tensor, step: Tensor) -> Tensor:
    """Q stands still: K+ = K + step G Q."""
    key, query, rho = self._split(y)
    return torch.cat(
        ((key + step[:, None, None] * self._adjoint(p) @ query).flatten(1), query.flatten(1),
         rho.unsqueeze(-1)), dim=-1,
    )  # fmt: skip


def test_audits_catch_planted_steppers() -> None:
    loose = replace(SETTINGS, early_tolerance=0.1, late_tolerance=1e9, deep=-np.inf)
    with pytest.MonkeyPatch.context() as patch:
        # These looks at a step ask for no tolerance.
        patch.setattr(unseen, "passed_over", lambda *given: torch.zeros_like(given[-1]))
        patch.setattr(unseen, "grows", lambda jacobian, h: torch.zeros_like(h) > 0)
        run = Run(loose, count=3)
    assert run.deviations("early", 6).max() > STEP_BOUND
    assert run.deviations("late", 1).max() > STEP_BOUND
    planted = (
        ("early", {"velocity": lopsided_velocity, "velocity_jacobian": lopsided_jacobian}),
        ("late", {"advance": lopsided_advance, "linearise": lopsided_linearise}),
    )
    for which, methods in planted:
        with pytest.MonkeyPatch.context() as patch:
            for name, method in methods.items():
                patch.setattr(FactoredGeometry, name, method)
            run = Run(Settings(early_steps=400, late_steps=25, deep=-np.inf), count=2)
        assert run.deviations(which, 24).max() > STEP_BOUND


_honest_jacobian = FactoredGeometry.velocity_jacobian


def lopsided_jacobian(self: FactoredGeometry, y: Tensor, p: Tensor, slope: Tensor) -> Tensor:
    jacobian = _honest_jacobian(self, y, p, slope)
    half = jacobian.shape[-1] // 2
    return torch.cat((2 * jacobian[:, :half], jacobian[:, half:]), dim=1)


def lopsided_linearise(
    self: FactoredGeometry, y: Tensor, p: Tensor, step: Tensor, rho: Tensor
) -> tuple[Tensor, Tensor]:
    new = self.advance(y, p, step)
    _, query, own = self._split(new)
    right = self.rows.query @ query
    gram = (self.rows.delta @ self.rows.delta.mT) * (right @ right.mT)
    return self.scaled_margins(new, rho), (step * torch.exp(own - rho))[:, None, None] * gram


def test_order_of_the_late_step() -> None:
    """Local errors h^3 of one step, h^5 of the extrapolation, against the reduced equation."""
    run = honest()
    orders = []
    for row in run.stretches:
        # Beyond e^19 the terms that the reduced equation leaves out are below 1e-8.
        for stretch in [s for s in late_of(run, row) if 19 < s.log_norm < 60]:
            geometry, kappa, mask, y, p = late_system(run, row, stretch)
            active = stretch.p > 1e-6
            delta, query = geometry.rows.delta[0, active], geometry.rows.query[0, active]
            field = reduced_factored(delta.numpy(), query.numpy(), 4)
            errors = []
            for h in (stretch.step, stretch.step / 2):
                exact = torch.tensor(followed(field, y[0].numpy(), h)).expand(2, -1)
                pair = torch.full((2,), h, dtype=torch.float64)
                step = implicit.double_step(geometry, y, p, pair, kappa, mask)
                full = implicit.implicit_step(geometry, y, p, pair, kappa, mask).state
                candidates = (step.fine, step.state, 2 * step.fine - full)
                errors.append([float(geometry.distance(s, exact)[0]) for s in candidates])
            orders.append(np.log2(np.array(errors[0]) / np.array(errors[1])))
    assert len(orders) >= 8
    fine, extrapolated, first_order = np.median(np.array(orders), axis=0)
    assert 2.7 <= fine <= 3.3
    assert extrapolated >= 4
    assert first_order <= 3.3  # extrapolated as a method of first order: nothing gained


def followed(field: Callable[[Array], tuple[Array, Array]], state: Array, span: float) -> Array:
    """The reduced equation over a span; rho from 0, so that its error control sees Z."""
    end = lsoda(lambda u: field(u)[0], np.append(state[:-1], 0.0), span, rtol=1e-13)
    end[-1] += state[-1]
    return end


def late_system(
    run: Run, row: int, stretch: Stretch
) -> tuple[FactoredGeometry, Tensor, Tensor, Tensor, Tensor]:
    """Geometry (twice the same row), kappa, mask, and a state whose active margins balance."""
    problem, start = run.problems[row], run.starts[row]
    batch = integrate.Batch.of([problem] * 2, [start] * 2)
    selected = torch.tensor(run.orbit.selected[row]).expand(2, -1)
    geometry, _ = batch.geometry.rebase(
        Rows.of(batch.tokens, batch.queries, selected), batch.geometry.initial()
    )
    assert isinstance(geometry, FactoredGeometry)
    constraints = constraints_of(problem, run.orbit.selected[row])
    flat = constraints.sample * problem.length + constraints.token
    kappa = torch.zeros((2, problem.samples * problem.length), dtype=torch.float64)
    mask = torch.zeros_like(kappa, dtype=torch.bool)
    kappa[:, flat], mask[:, flat] = torch.tensor(constraints.kappa), True
    y = torch.tensor(stretch.after).expand(2, -1)
    p = torch.tensor(stretch.p).expand(2, -1)
    short = torch.full((2,), 1e-4, dtype=torch.float64)
    settled = implicit.implicit_step(geometry, y, p, short, kappa, mask)
    return geometry, kappa, mask, settled.state, settled.p


def signs(dim: int) -> Array:
    """Sign vectors up to a common sign: D and -D give the same G_r."""
    return np.array([(1.0, *s) for s in product((1.0, -1.0), repeat=dim - 1)])


def test_symmetrised_data_follow_the_diagonal_flow() -> None:
    """Copies (X D, D z) of every sample: from a diagonal start K, Q the flow of W is the
    coupled diagonal one, and the nuclear certificate is the l1 certificate (THEORY.md 4)."""
    dim, count = 3, 8
    rng = np.random.default_rng(11)
    plain, copies, narrow, full = [], [], [], []
    for seed in range(count):
        base = gaussian_problem(seed, (2, 3, dim))
        flips = signs(dim)
        tokens = np.concatenate([base.tokens * s for s in flips])
        queries = np.concatenate([base.queries * s for s in flips])
        scores = np.concatenate([base.scores] * len(flips))
        labels = np.concatenate([base.labels] * len(flips))
        copies.append(AttentionProblem.of(tokens, queries, labels, base.head, scores))
        plain.append(base)
        key, query = 0.3 * abs(rng.normal(size=dim)) + 0.2, 0.1 * rng.normal(size=dim)
        narrow.append(Start.diagonal(key, query, dim))
        full.append(Start.factored(np.diag(key), np.diag(query), dim))
    settings = replace(SETTINGS, horizon=60.0)
    diagonal = integrate.integrate(plain, narrow, settings)
    factored = integrate.integrate(copies, full, settings)
    kept = [
        row for row in range(count)
        if diagonal.settled[row]
        and (factored.selected[row].reshape(-1, 2) == diagonal.selected[row]).all()
    ]  # fmt: skip
    # Elsewhere rounding left the diagonal, which is unstable there: the copies disagree.
    assert len(kept) >= 4
    for row in kept:
        w = factored.direction[row].reshape(dim, dim)
        assert np.abs(w - np.diag(np.diag(w))).max() <= 1e-9
        # Each is certified to lie within its own gap below one and the same best margin.
        assert factored.primal[row] <= diagonal.dual[row] * (1 + 1e-9)
        assert diagonal.primal[row] <= factored.dual[row] * (1 + 1e-9)
        worst = max(diagonal.own_gap[row], factored.own_gap[row])
        assert abs(1 - factored.primal[row] / diagonal.primal[row]) <= worst + 1e-9
        # A weight of share s whose dual slack is delta decays as |W|^-delta: the two stop at
        # other norms, so s differs by s delta times the difference of ln |W|, and the sum of
        # s delta is the gap.  Once the gap more for the errors of the steps themselves.
        apart = 1 + abs(diagonal.log_norm[row] - factored.log_norm[row])
        assert np.abs(np.diag(w) - diagonal.direction[row]).max() <= worst * apart + 1e-9


def test_weights_of_rank_one_cannot_reach_an_optimum_of_rank_two() -> None:
    """K, Q of one column: W keeps rank one, and the certificate stays open where it must."""
    problems, starts = drawn(12, 1)
    orbit = integrate.integrate(problems, starts, replace(SETTINGS, horizon=100.0))
    open_rows = []
    for row in np.flatnonzero(orbit.settled).tolist():
        solution = solve_svm(constraints_of(problems[row], orbit.selected[row]), "nuclear")
        singular = np.linalg.svd(orbit.direction[row].reshape(4, 4))[1]
        assert singular[1] <= 1e2 * EPS
        best = np.linalg.svd(solution.solution)[1]
        if best[1] > 1e-2 * best[0]:
            open_rows.append(row)
            assert 1 - orbit.primal[row] * solution.lower > 1e-4
            assert orbit.status[row] is not Status.CLOSED
    assert len(open_rows) >= 4
    assert any(status is Status.CLOSED for status in orbit.status)  # where rank one is enough


def test_wide_and_empty_starts() -> None:
    """More columns than 2 d change nothing; Q = 0 is a start like any other; 0 never moves."""
    problem = gaussian_problem(2, (2, 3, 2))
    rng = np.random.default_rng(6)
    key = 0.3 * rng.normal(size=(2, 7))
    starts = [
        Start.factored(key, 0.3 * rng.normal(size=(2, 7)), 2),
        Start.factored(key, np.zeros((2, 7)), 2),
        Start.factored(np.zeros((2, 7)), np.zeros((2, 7)), 2),
    ]
    orbit = integrate.integrate([problem] * 3, starts, SETTINGS)
    assert orbit.settled[:2].all()
    assert (orbit.own_gap[:2] <= SETTINGS.gap).all()
    assert not orbit.settled[2]
    assert orbit.status[2] in (Status.UNSETTLED, Status.STALLED)


def test_directions_that_grew_are_compared_as_coarsely_as_the_reference_errs() -> None:
    """A direction of 1e-9 that grew 100 times is off by 1e-9 of the largest, as the reference may
    be by then: 10 % of it.  One that did not grow is told as sharply as before."""
    first, end = np.diag([2.0, 2e-9]), np.diag([3.0, 3e-7])
    assert grown(first, end) == pytest.approx(100)
    assert grown(end, first) == grown(first, first) == 1.0
    assert grown(np.diag([1.0, 1e-16]), np.diag([1.0, 1e-3])) == 1.0  # rounding, before
    assert grown(0 * first, end) == grown(first, 0 * end) == 1.0
    off = end + np.diag([0.0, 3e-9])
    assert relative_change(off, end, 1e-6) == pytest.approx(1e-3)
    assert relative_change(off, end, 1e-6 * grown(first, end)) == pytest.approx(1e-5)
