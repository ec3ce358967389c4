"""The factored geometry: its exact step, its derivatives, sizes beyond float64, its norms."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import expm
from torch import Tensor

from checks.flow import factored, rodas
from checks.flow.factored import FactoredGeometry, singular_decomposition, singular_values
from checks.flow.integrate import Batch
from checks.flow.reference import Reference
from checks.flow.rows import Rows
from checks.flow.weights import Pairs, weights_jacobian
from checks.problems import Array, Start
from tests.flow_fixture import gaussian_problem

EPS = float(np.finfo(np.float64).eps)
SEEDS = st.integers(0, 2**32 - 1)
SHAPES = st.sampled_from([(1, 1), (2, 1), (3, 2), (4, 4), (3, 7)])


def batch_of(seed: int, dim: int, inner: int, rows: int = 3, size: float = 0.5) -> Batch:
    """``rows`` Gaussian problems of n = 2, L = 3 with Gaussian starts of the given size."""
    rng = np.random.default_rng([seed, dim, inner])
    problems = [gaussian_problem(seed + i, (2, 3, dim)) for i in range(rows)]
    starts = [Start.factored(*(size * rng.normal(size=(2, dim, inner))), dim) for _ in range(rows)]
    return Batch.of(problems, starts)


def geometry_of(batch: Batch) -> FactoredGeometry:
    assert isinstance(batch.geometry, FactoredGeometry)
    return batch.geometry


def simplex(seed: int, geometry: FactoredGeometry) -> Tensor:
    shape = geometry.rows.delta.shape[:2]
    p = torch.tensor(np.random.default_rng(seed).exponential(size=shape))
    return p / p.sum(-1, keepdim=True)


def parts(y: Tensor, dim: int) -> tuple[Array, Array]:
    """K and Q of the first row, at their true size."""
    z = y[0, :-1].numpy() * np.exp(float(y[0, -1]) / 2)
    key, query = z.reshape(2, dim, -1)
    return key, query


def generator(geometry: FactoredGeometry, p: Tensor) -> Array:
    """M(p) of the first row, from its definition."""
    delta, query = geometry.rows.delta[0].numpy(), geometry.rows.query[0].numpy()
    g = sum(w * np.outer(a, z) for w, a, z in zip(p[0].numpy(), delta, query, strict=True))
    return np.block([[np.zeros_like(g), g], [np.transpose(g), np.zeros_like(g)]])


@given(seed=SEEDS, shape=SHAPES, step=st.sampled_from([0.0, 1e-6, 0.3, 3.0]))
def test_the_step_is_the_exponential_of_the_generator(
    seed: int, shape: tuple[int, int], step: float
) -> None:
    geometry = geometry_of(batch_of(seed, *shape))
    y, p, dim = geometry.initial(), simplex(seed, geometry), shape[0]
    new = geometry.advance(y, p, torch.full((3,), step, dtype=torch.float64))
    m = step * generator(geometry, p)
    expected = expm(m) @ np.vstack(parts(y, dim))
    key, query = parts(new, dim)
    # Both exponentials are good to a few eps times the largest growth, e^|m|.
    bound = 1e3 * EPS * np.exp(np.linalg.norm(m, 2)) * (1 + np.abs(expected).max())
    assert np.abs(np.vstack((key, query)) - expected).max() <= bound
    assert np.abs(np.sum(new[0, :-1].numpy() ** 2) / 2 - 1) <= 1e2 * EPS
    before, after = parts(y, dim), (key, query)
    conserved = [k.T @ k - q.T @ q for k, q in (before, after)]
    assert np.abs(conserved[0] - conserved[1]).max() <= bound * (1 + np.abs(expected).max())


@given(seed=SEEDS, shape=SHAPES)
def test_steps_compose_at_sizes_beyond_float64(seed: int, shape: tuple[int, int]) -> None:
    geometry = geometry_of(batch_of(seed, *shape))
    p, dim = simplex(seed, geometry), shape[0]
    sigma = geometry.dual_norm(p)
    long = 2000.0 / sigma  # e^2000 overflows, S grows by its square
    y = geometry.advance(geometry.initial(), p, long)
    halves = geometry.advance(geometry.advance(geometry.initial(), p, long / 2), p, long / 2)
    # ln S by the eigenbasis of M(p): the top pair is all that is left of Z.
    values, vectors = np.linalg.eigh(generator(geometry, p))
    start = vectors.T @ np.vstack(parts(geometry.initial(), dim))
    shares = np.log((start**2).sum(1) / 2) + 2 * float(long[0]) * values
    expected = float(np.logaddexp.reduce(shares))
    # The exponent, 4000, is a product of rounded factors.
    assert abs(float(geometry.log_size(y)[0]) - expected) <= 1e3 * EPS * 4000
    assert abs(float(halves[0, -1] - y[0, -1])) <= 1e3 * EPS * 4000
    # The margins balance at that size: their scaled values are finite and those of W.
    w, scale = geometry.weights(y)
    direct = np.einsum(
        "rd,de,re->r",
        geometry.rows.delta[0].numpy(), w[0].numpy().reshape(dim, dim),
        geometry.rows.query[0].numpy(),
    )  # fmt: skip
    assert np.abs(geometry.scaled_margins(y, scale)[0].numpy() - direct).max() <= 1e3 * EPS * (
        1 + np.abs(direct).max()
    )


def differences(
    geometry: FactoredGeometry, y: Tensor, p: Tensor, step: Tensor, rho: Tensor
) -> Tensor:
    """(B, N, N) central differences of the scaled margins after the step, in p."""
    h = 1e-5
    columns = []
    for r in range(p.shape[1]):
        shift = torch.zeros_like(p)
        shift[:, r] = h
        up, down = (
            geometry.scaled_margins(geometry.advance(y, p + s, step), rho)
            for s in (shift, -shift)
        )  # fmt: skip
        columns.append((up - down) / (2 * h))
    return torch.stack(columns, -1)


@given(seed=SEEDS, shape=SHAPES, step=st.sampled_from([1e-3, 0.1, 0.7]), far=st.booleans())
def test_linearise_is_the_derivative_of_the_step(
    seed: int, shape: tuple[int, int], step: float, far: bool
) -> None:
    geometry = geometry_of(batch_of(seed, *shape))
    p = simplex(seed, geometry)
    y = geometry.initial()
    if far:  # a state of size e^200
        y = geometry.advance(y, p.flip(-1), 100.0 / geometry.dual_norm(p.flip(-1)).clamp_min(1e-3))
    h = torch.full((3,), step, dtype=torch.float64)
    rho = geometry.log_size(geometry.advance(y, p, h))
    margins, slope = geometry.linearise(y, p, h, rho)
    direct = geometry.scaled_margins(geometry.advance(y, p, h), rho)
    size = 1 + slope.abs().amax((-1, -2))
    assert ((margins - direct).abs().amax(-1) <= 1e3 * EPS * size).all()
    # Central differences: truncation h^2 times a third derivative (each in step |G|, at most
    # about 20), rounding eps/h; the scale rho is rounded too, a few times, at its own size.
    rounding = 1e-8 + 8 * EPS * rho.abs() / 1e-5
    reach = (1 + step * torch.linalg.vector_norm(geometry.rows.delta[:, :, 0], dim=-1) * 20) ** 3
    error = (slope - differences(geometry, y, p, h, rho)).abs().amax((-1, -2))
    assert (error <= (rounding + 1e-9 * reach) * size).all()


def test_linearise_at_equal_singular_values() -> None:
    # G(p) = I/2: every divided difference within a half is a limit 0/0.
    delta = query = torch.eye(2, dtype=torch.float64).expand(2, 2, 2)
    rng = torch.Generator().manual_seed(0)
    key, other = torch.randn((2, 2, 2, 3), generator=rng, dtype=torch.float64)
    geometry = FactoredGeometry(Rows(delta, query), key, other)
    p, step = torch.full((2, 2), 0.5, dtype=torch.float64), torch.ones(2, dtype=torch.float64)
    rho = torch.zeros(2, dtype=torch.float64)
    _, slope = geometry.linearise(geometry.initial(), p, step, rho)
    found = differences(geometry, geometry.initial(), p, step, rho)
    assert (slope - found).abs().max() <= 1e-8 * slope.abs().max()  # truncation 1e-10


def test_curvature_is_the_derivative_only_where_the_steps_commute() -> None:
    step = torch.full((2,), 2.0, dtype=torch.float64)
    p = torch.full((2, 3), 1 / 3, dtype=torch.float64)
    rng = np.random.default_rng(1)
    diagonal = torch.diag_embed(torch.tensor(rng.normal(size=(2, 2, 3))))
    unit = torch.eye(3, dtype=torch.float64).expand(2, 3, 3)
    aligned = FactoredGeometry(Rows(unit, unit), diagonal[0], diagonal[1])
    generic = geometry_of(batch_of(1, 3, 3, rows=2))
    for geometry, same in ((aligned, True), (generic, False)):
        q = p if same else simplex(1, geometry)
        y = geometry.initial()
        new = geometry.advance(y, q, step)
        rho = geometry.log_size(new)
        _, slope = geometry.linearise(y, q, step, rho)
        gap = (slope - geometry.curvature(new, step, rho)).abs().max() / slope.abs().max()
        assert (gap <= 1e2 * EPS) if same else (gap > 1e-2)


@given(seed=SEEDS, shape=SHAPES, rho=st.sampled_from([0.0, 1.5]))
def test_velocity_is_the_references_and_its_jacobian_its_derivative(
    seed: int, shape: tuple[int, int], rho: float
) -> None:
    dim, inner = shape
    batch = batch_of(seed, dim, inner)
    geometry = geometry_of(batch)
    y = geometry.initial()
    y = torch.cat((y[:, :-1] * np.exp(-rho / 2), torch.full_like(y[:, :1], rho)), dim=-1)
    field = rodas.field(geometry, Pairs.of(batch.scores), y)
    problem = gaussian_problem(seed, (2, 3, dim))
    reference = Reference(problem, "factored", (dim, inner))
    raw = np.concatenate([part.ravel() for part in parts(y, dim)])
    expected = reference.velocity(raw) * np.exp(-rho / 2)
    # Both sum some 50 products of O(1..100) numbers.
    assert np.abs(field[0, :-1].numpy() - expected).max() <= 1e-11 * (1 + np.abs(expected).max())
    assert (field[:, -1] == 0).all()

    margins = geometry.margins(y).view(batch.scores.shape)
    weights, slope = weights_jacobian(margins, batch.scores)
    jacobian = geometry.velocity_jacobian(y, weights.p.flatten(1), slope)
    h = 1e-6
    for j in range(y.shape[1]):
        shift = torch.zeros_like(y)
        shift[:, j] = h
        up, down = (rodas.field(geometry, Pairs.of(batch.scores), y + s) for s in (shift, -shift))
        found = (up - down) / (2 * h)
        # Truncation 1e-12 times third derivatives (margins of order 10 in an exponent: 1e4).
        assert (found - jacobian[:, :, j]).abs().max() <= 1e-7 * (1 + jacobian.abs().max())


@given(seed=SEEDS, shape=SHAPES)
def test_only_the_rows_of_z_matter(seed: int, shape: tuple[int, int]) -> None:
    """Columns turned by one rotation, or padded with zeros, are the same flow of W."""
    geometry = geometry_of(batch_of(seed, *shape))
    p, step = simplex(seed, geometry), torch.full((3,), 0.5, dtype=torch.float64)
    inner = shape[1]
    turn = torch.tensor(np.linalg.qr(np.random.default_rng(seed).normal(size=(inner, inner)))[0])
    padding = (0, 2)
    twins = (
        FactoredGeometry(geometry.rows, geometry.key @ turn, geometry.query @ turn),
        FactoredGeometry(
            geometry.rows,
            torch.nn.functional.pad(geometry.key, padding),
            torch.nn.functional.pad(geometry.query, padding),
        ),
    )
    rho = torch.zeros(3, dtype=torch.float64)
    margins, slope = geometry.linearise(geometry.initial(), p, step, rho)
    w, _ = geometry.weights(geometry.advance(geometry.initial(), p, step))
    size = 1 + slope.abs().max()
    for twin in twins:
        again, derivative = twin.linearise(twin.initial(), p, step, rho)
        assert (again - margins).abs().max() <= 1e4 * EPS * size
        assert (derivative - slope).abs().max() <= 1e4 * EPS * size
        moved, _ = twin.weights(twin.advance(twin.initial(), p, step))
        assert (moved - w).abs().max() <= 1e4 * EPS


@given(seed=SEEDS, shape=SHAPES)
def test_norms_and_growth(seed: int, shape: tuple[int, int]) -> None:
    geometry = geometry_of(batch_of(seed, *shape))
    y, p, dim = geometry.initial(), simplex(seed, geometry), shape[0]
    key, query = parts(y, dim)
    w = key @ query.T
    nuclear = np.linalg.norm(w, "nuc")
    assert abs(float(torch.exp(geometry.log_norm(y))[0]) / nuclear - 1) <= 1e4 * EPS
    g = generator(geometry, p)[:dim, dim:]
    assert abs(float(geometry.dual_norm(p)[0]) - np.linalg.norm(g, 2)) <= 1e3 * EPS
    # Duality: <G, W> <= |G|_op |W|_nuc; the other norms of the pair would not always do.
    assert (
        float((geometry.margins(y) * p).sum(-1)[0])
        <= (1 + 1e3 * EPS) * nuclear * float(geometry.dual_norm(p)[0]) + 1e3 * EPS
    )
    # e^-rho dm~/d tau is the growth of p^T m while p is constant; any rho will do.
    rho = geometry.log_size(y) + 1.5
    growth = geometry.margin_growth(y, p, rho)
    h = 1e-5
    up, down = (
        geometry.scaled_margins(
            geometry.advance(y, p, torch.full((3,), s, dtype=torch.float64)), rho
        )
        for s in (h, -h)
    )
    found = (p * (up - down)).sum(-1) / (2 * h)
    # Truncation h^2 |G|^3 |Z|^2: |G| up to 20.
    assert (growth - found).abs().max() <= 1e-6 * (1 + growth.abs().max())


def test_distance_sees_every_direction_and_no_change_of_scale() -> None:
    unit = torch.eye(2, dtype=torch.float64).expand(1, 2, 2)
    z = torch.diag_embed(torch.tensor([[1.0, 1e-3]], dtype=torch.float64))
    geometry = FactoredGeometry(Rows(unit, unit), z, torch.zeros_like(z))
    y = geometry.initial()
    rescaled = y.clone()
    rescaled[:, :-1] *= np.exp(-50.0)
    rescaled[:, -1] += 100.0
    assert float(geometry.distance(y, rescaled)) <= 1e2 * EPS * 100  # rounding of e^100
    off = y.clone()
    off[:, 3] *= 1.01  # one per cent of the small direction, 1e-5 of |Z|
    assert float(geometry.distance(off, y)) == pytest.approx(0.01, rel=1e-9)
    lost = y.clone()
    lost[:, 3] *= torch.nan
    assert torch.isnan(geometry.distance(lost, lost)).all()


def test_extrapolation_reconciles_the_scales() -> None:
    geometry = geometry_of(batch_of(7, 3, 2))
    p = simplex(7, geometry)
    step = torch.full((3,), 30.0, dtype=torch.float64)
    y = geometry.advance(geometry.initial(), p, step)
    rescaled = torch.cat((y[:, :-1] * np.exp(-20.0), y[:, -1:] + 40.0), dim=-1)
    for coarse, fine in ((y, rescaled), (rescaled, y)):
        same = geometry.extrapolate(coarse, fine)
        assert ((same - y)[:, :-1].abs() <= 1e3 * EPS * 40).all()  # entries of order 1
        assert (same[:, -1] - y[:, -1]).abs().max() <= 1e3 * EPS * 40


def test_a_row_that_is_not_finite_spoils_no_other() -> None:
    clean = torch.randn((3, 2, 2), generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    dirty = clean.clone()
    dirty[1, 0, 0] = torch.inf
    for sigma in (singular_decomposition(dirty)[1], singular_values(dirty)):
        assert torch.isnan(sigma[1]).all()
        assert torch.allclose(sigma[[0, 2]], singular_values(clean)[[0, 2]], rtol=1e2 * EPS)


def test_a_row_that_does_not_converge_spoils_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    matrices = torch.randn(
        (3, 2, 2), generator=torch.Generator().manual_seed(4), dtype=torch.float64
    )
    honest, expected = torch.linalg.svd, singular_values(matrices)
    bad = matrices[1, 0, 0]

    def stubborn(a: Tensor, full_matrices: bool = True) -> object:
        if (a[:, 0, 0] == bad).any():
            raise torch.linalg.LinAlgError("did not converge")
        return honest(a, full_matrices=full_matrices)

    def hopeless(a: Tensor) -> Tensor:
        raise torch.linalg.LinAlgError("did not converge")

    monkeypatch.setattr(factored.torch.linalg, "svd", stubborn)
    monkeypatch.setattr(factored.torch.linalg, "svdvals", hopeless)
    for sigma in (singular_decomposition(matrices)[1], singular_values(matrices)):
        assert torch.isnan(sigma[1]).all()
        assert torch.allclose(sigma[[0, 2]], expected[[0, 2]], rtol=1e2 * EPS)
