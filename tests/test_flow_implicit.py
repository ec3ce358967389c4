"""The solve of an implicit step: what it satisfies, degenerate data, how it fails."""

from __future__ import annotations

from dataclasses import replace
from unittest import mock

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import Tensor

from checks.cases import campaign_specs, decode
from checks.flow import implicit
from checks.flow.combined import VectorGeometry
from checks.flow.geometries import DiagonalGeometry, Geometry
from checks.flow.integrate import Batch
from tests import implicit_fixture
from tests.implicit_fixture import problem, uniform

EPS = float(np.finfo(np.float64).eps)
cold_solves = implicit_fixture.cold_solves


def residuals(
    geometry: Geometry, solve: implicit.Solve, rho: Tensor, kappa: Tensor, mask: Tensor
) -> Tensor:
    """(B, R) |m^ + eps (ln p - kappa) - mu|, 0 for weights up to ``SMALL``; mu = <p, .>."""
    eps = torch.exp(-rho).clamp_min(implicit.EPS_FLOOR).unsqueeze(-1)
    p = solve.p
    force = geometry.scaled_margins(solve.state, rho) + eps * (
        torch.log(p.clamp_min(1e-300)) - kappa
    )
    force = torch.where(mask, force, 0.0)
    off = (force - (p * force).sum(-1, keepdim=True)).abs()
    return torch.where(p > implicit.SMALL, off, 0.0)


def allowed(
    geometry: Geometry, y: Tensor, solve: implicit.Solve, h: Tensor, rho: Tensor, log_norm: float
) -> Tensor:
    """(B, R) largest residuals of a converged solve (derived).

    Newton stops at a last relative change x of p below _LAST_CHANGE, or where all margins
    balance to UNFELT.  What x leaves: in the entropy term eps |x - ln(1 + x)| <= eps x^2; in
    the margins what is quadratic in p, e^u with u = 2 h A^T p: sum_j |a_j| w_j du_j^2/2, sum
    w_j e^-rho <= 1, |du_j| <= 2 h max|a| x.  Combined margins are linear in p.
    """
    scaled, _ = geometry.linearise(y, solve.p, h, rho)
    largest = scaled.abs().amax(-1, keepdim=True)
    x = 1.1 * implicit._LAST_CHANGE  # a share of p before the update, read after it
    left = torch.exp(-rho).clamp_min(implicit.EPS_FLOOR).unsqueeze(-1) * x**2
    if isinstance(geometry, DiagonalGeometry):
        size = geometry.rows.abs().amax((1, 2))
        left = left + (size * (2 * h * size * x) ** 2).unsqueeze(-1)
    # Margins of scaled size 1 (largest row 1e2) carry d roundings of the state's u, itself up
    # to log_norm.
    rows, d = solve.p.shape[1], y.shape[1]
    rounding = 64 * EPS * (abs(log_norm) + d) + rows * implicit.UNFELT
    return left + rounding * (largest + 1)


@given(
    seed=st.integers(0, 2**32 - 1),
    rows=st.integers(1, 12),
    d=st.integers(1, 6),
    log_norm=st.sampled_from([4.0, 12.0, 40.0, 400.0]),
    step=st.sampled_from([1e-3, 0.1, 1.0]),
    model=st.sampled_from(["diagonal", "combined"]),
)
def test_the_solve_is_optimal_and_in_the_simplex(
    seed: int, rows: int, d: int, log_norm: float, step: float, model: str
) -> None:
    """More rows than coordinates included (R > d), and one row alone."""
    geometry, y, kappa, mask = problem(seed, rows, d, log_norm, model)
    h = torch.full((3,), step, dtype=torch.float64)
    if model == "combined":
        assume(log_norm < 350)  # the square of a norm beyond e^350 is no float64
        h = h * torch.exp(geometry.log_size(y))  # the size grows like tau: keep shares alike
    p0 = uniform(mask)
    with mock.patch.object(implicit, "NEWTON_LIMIT", 60):  # from a cold start; an orbit's is warm
        solve = implicit.implicit_step(geometry, y, p0, h, kappa, mask)
    assert solve.converged.all()
    assert (solve.p >= 0).all()
    # A sum of R terms divided by itself.
    assert float((solve.p.sum(-1) - 1).abs().max()) <= (rows + 1) * EPS
    rho = geometry.log_size(geometry.advance(y, p0, h))
    off = residuals(geometry, solve, rho, kappa, mask)
    assert (off <= allowed(geometry, y, solve, h, rho, log_norm)).all()


def test_the_residual_sees_a_wrong_solution() -> None:
    """Negative control: weights a thousandth away from the solution are not optimal."""
    geometry, y, kappa, mask = problem(3, 6, 4, 12.0)
    h = torch.full((3,), 0.1, dtype=torch.float64)
    solve = implicit.implicit_step(geometry, y, uniform(mask), h, kappa, mask)
    rho = geometry.log_size(geometry.advance(y, uniform(mask), h))
    good = residuals(geometry, solve, rho, kappa, mask).amax(-1)
    p = solve.p + 1e-3 * (uniform(mask) - solve.p)
    wrong = replace(solve, p=p, state=geometry.advance(y, p, h))
    off = residuals(geometry, wrong, rho, kappa, mask)
    assert (off.amax(-1) > 1e4 * good).all()
    assert (off > allowed(geometry, y, wrong, h, rho, 12.0)).any(-1).all()


def nearly_dependent(seed: int, near: float) -> tuple[DiagonalGeometry, Tensor, Tensor, Tensor]:
    """Five rows in six dimensions, all of margin 1 at ln norm 19; two of them are mixtures of
    the other three, but for ``near``."""
    rng = np.random.default_rng(seed)
    batch, d = 4, 6
    w = rng.uniform(0.2, 1, size=(batch, 1, d))
    a = rng.normal(size=(batch, 3, d)) + 0.5
    mixtures = rng.dirichlet(np.ones(3), size=(batch, 2)) @ a
    a = np.concatenate((a, mixtures + near * rng.normal(size=mixtures.shape)), axis=1)
    a += (1 - (a * w).sum(-1, keepdims=True)) * w / (w * w).sum(-1, keepdims=True)
    even = torch.zeros((batch, d), dtype=torch.float64)
    kappa = torch.tensor(rng.normal(size=(batch, 5)))
    geometry = DiagonalGeometry(torch.tensor(a), even, even)
    return geometry, torch.tensor(np.log(2 * w[:, 0]) + 19.0), kappa, torch.ones_like(kappa).bool()


@pytest.mark.parametrize("step", [1e-5, 1e-7])
@pytest.mark.parametrize("near", [1e-8, 1e-6, 1e-4])
def test_short_steps_converge(step: float, near: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where margins hardly answer to p, rounding of them moves p by more than 1e-9: a run that
    asks for that shortens its steps away, each harder to solve than the one before."""
    stuck = []
    for seed in range(5):
        geometry, y, kappa, mask = nearly_dependent(seed, near)
        h = torch.full((4,), step, dtype=torch.float64)
        solve = implicit.implicit_step(geometry, y, uniform(mask), h, kappa, mask)
        assert solve.converged.all()
        rho = geometry.log_size(geometry.advance(y, uniform(mask), h))
        off = residuals(geometry, solve, rho, kappa, mask)
        assert (off <= allowed(geometry, y, solve, h, rho, 19.0)).all()
        with monkeypatch.context() as patch:
            patch.setattr(implicit, "UNFELT", 0.0)
            patch.setattr(implicit, "_LAST_CHANGE", 1e-9)
            old = implicit.implicit_step(geometry, y, uniform(mask), h, kappa, mask)
        stuck += (~old.converged).tolist()
    assert np.mean(stuck) >= 0.5  # negative control: 12 to 20 of the 20 were seen


@pytest.mark.parametrize("step", [0.1, 1e-2, 1e-3])
@pytest.mark.parametrize("lost", [1e-300, 5e-13, 2e-12, 1e-9])
def test_a_constraint_that_enters_is_not_missed(step: float, lost: float) -> None:
    """From a start that gives an active constraint next to nothing: the same solution.

    Its first increment is smaller than what margins would feel, and still no end: such solves
    were once taken for converged, with the constraint's weight at 1e-10 instead of 0.07.
    """
    h, seen = torch.full((3,), step, dtype=torch.float64), 0
    for seed in range(20):
        geometry, y, kappa, mask = problem(seed, 5, 4, 6.0)
        with mock.patch.object(implicit, "NEWTON_LIMIT", 60):
            right = implicit.implicit_step(geometry, y, uniform(mask), h, kappa, mask)
        second = right.p.topk(2, -1)
        start = right.p.scatter(-1, second.indices[:, 1:], lost)
        solve = implicit.implicit_step(geometry, y, start, h, kappa, mask)
        assert solve.converged.all()
        # Both end within 1e-9 or so of one solution (strictly convex at this size).
        assert float((solve.p - right.p).abs().max()) <= 1e-7
        seen += int((second.values[:, 1] > 1e-3).sum())
    assert seen >= 2


@given(st.integers(0, 2**32 - 1))
def test_the_warm_start_does_not_matter(seed: int) -> None:
    geometry, y, kappa, mask = problem(seed, 6, 4, 12.0)
    h = torch.full((3,), 0.2, dtype=torch.float64)
    rng = np.random.default_rng(seed)
    cold = implicit.implicit_step(geometry, y, uniform(mask), h, kappa, mask)
    lopsided = torch.tensor(rng.dirichlet(np.full(6, 0.05), size=3))
    other = implicit.implicit_step(geometry, y, lopsided, h, kappa, mask)
    # One in hundreds is given up from so far off, of which error control is told.
    solved = cold.converged | other.converged
    assert solved.sum() >= 2
    found = torch.where(cold.converged.unsqueeze(-1), cold.p, other.p)
    warm = implicit.implicit_step(geometry, y, found, h, kappa, mask)
    assert warm.converged[solved].all()
    # Newton's last change is below 1e-9 of p; where p is not unique its image still is.
    for solve in (cold, other):
        apart = (solve.state - warm.state).abs().amax(-1)
        assert (apart[solve.converged] <= 1e-8).all()


@pytest.mark.parametrize("model", ["diagonal", "combined"])
def test_duplicate_rows_share_their_weight(model: str) -> None:
    """Two equal rows: singular without the entropy; the state is that of the single row."""
    geometry, y, kappa, mask = problem(5, 4, 4, 12.0, model)
    h = torch.full((3,), 0.1, dtype=torch.float64)
    if model == "combined":
        h = h * torch.exp(geometry.log_size(y))
    alone = implicit.implicit_step(geometry, y, uniform(mask), h, kappa, mask)
    twice = torch.tensor([0, 1, 2, 3, 3])
    assert isinstance(geometry, DiagonalGeometry | VectorGeometry)
    double = replace(geometry, rows=geometry.rows[:, twice])
    # ln 2 less entropy each: the pair then weighs what the row weighed.
    shared = kappa[:, twice] - torch.tensor([0, 0, 0, 1, 1]) * np.log(2)
    both = implicit.implicit_step(double, y, uniform(mask[:, twice]), h, shared, mask[:, twice])
    assert (both.converged & alone.converged).all()
    assert float((both.p[:, 3] - both.p[:, 4]).abs().max()) <= 1e-8
    merged = torch.cat((both.p[:, :3], both.p[:, 3:].sum(-1, keepdim=True)), -1)
    assert float((merged - alone.p).abs().max()) <= 1e-8


@pytest.mark.parametrize("model", ["diagonal", "combined"])
def test_one_row_takes_all_the_weight(model: str) -> None:
    geometry, y, kappa, mask = problem(9, 1, 1, 5.0, model)
    h = torch.full((3,), 0.3, dtype=torch.float64)
    double = implicit.double_step(geometry, y, uniform(mask), h, kappa, mask)
    assert double.converged.all()
    assert (double.p == 1).all()
    assert float(double.error.max()) <= 16 * EPS * 5


def test_too_few_iterations_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    geometry, y, kappa, mask = problem(4, 6, 4, 12.0)
    h = torch.full((3,), 0.1, dtype=torch.float64)
    monkeypatch.setattr(implicit, "NEWTON_LIMIT", 2)
    assert not implicit.implicit_step(geometry, y, uniform(mask), h, kappa, mask).converged.any()


@pytest.mark.parametrize("model", ["diagonal", "combined-diagonal", "combined"])
def test_linearise_is_the_derivative_of_the_step(model: str) -> None:
    drawn = campaign_specs("slope", f"{model}/separable/random", (3, 3, 4), 0, range(3))
    cases = [decode(spec) for spec in drawn]
    geometry = Batch.of([c.problem for c in cases], [c.start for c in cases]).geometry
    y = geometry.initial()
    count = geometry.margins(y).shape[1]
    p = torch.full((3, count), 1.0 / count, dtype=torch.float64)
    step, rho = torch.full((3,), 0.25).double(), torch.full((3,), 0.5).double()
    _, slope = geometry.linearise(y, p, step, rho)
    assert torch.isfinite(slope).all()
    for r in range(count):
        moved = torch.zeros_like(p)
        moved[:, r] = 1e-5
        ahead, behind = (geometry.linearise(y, p + sign * moved, step, rho)[0] for sign in (1, -1))
        # Central differences: cubes of 1e-5, and rounding of margins over 1e-5.
        error = ((ahead - behind) / 2e-5 - slope[:, :, r]).abs().max()
        assert error <= 1e-8 * slope.abs().max()
