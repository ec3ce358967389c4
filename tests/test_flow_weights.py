"""The signed weights of the flow against autograd, multiprecision and their own symmetries."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from checks.flow.weights import attention_weights, weights_jacobian

EPS = float(np.finfo(np.float64).eps)

sizes = st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(2, 5))
seeds = st.integers(0, 2**32 - 1)


def draw(seed: int, size: tuple[int, int, int], spread: float) -> tuple[Tensor, Tensor]:
    """Margins (B, n, L) up to ``spread`` and scores up to 2."""
    rng = np.random.default_rng(seed)
    margins = torch.tensor(rng.uniform(-spread, spread, size=size))
    return margins, torch.tensor(rng.uniform(-2, 2, size=size))


def plain(margins: Tensor, scores: Tensor) -> tuple[Tensor, Tensor]:
    """lambda as minus the gradient of the *loss* in the margins, and Lambda by its definition."""
    n = margins.shape[-2]
    s = torch.softmax(-margins, -1)
    gbar = (s * scores).sum(-1)
    loss = torch.exp(-gbar).sum(-1) / n
    (gradient,) = torch.autograd.grad(loss.sum(), margins, create_graph=True)
    pairs = (scores.unsqueeze(-1) - scores.unsqueeze(-2)).abs()
    clock = torch.exp(-gbar) * (s.unsqueeze(-1) * s.unsqueeze(-2) * pairs).sum((-1, -2))
    return -gradient, clock.sum(-1) / (2 * n)


def bound_of_plain(margins: Tensor, clock: Tensor) -> float:
    """Rounding error of ``plain``: it subtracts scores of size <= 2 weighted by e^-gbar <= e^2,
    in sums of L terms and through one more softmax, then divides by the clock."""
    return float(64 * margins.shape[-1] * EPS * 2 * np.exp(2.0) / clock.min())


@given(seeds, sizes)
def test_weights_are_the_gradient_of_the_loss(seed: int, size: tuple[int, int, int]) -> None:
    margins, scores = draw(seed, size, 3.0)
    margins.requires_grad_()
    force, clock = plain(margins, scores)
    got = attention_weights(margins.detach(), scores)
    bound = bound_of_plain(margins, clock.detach())
    expected = (force / clock[:, None, None]).detach()
    assert float((got.p - expected).abs().max()) <= bound
    assert float((torch.exp(got.log_clock) / clock.detach() - 1).abs().max()) <= bound


@given(seeds, sizes)
def test_jacobian_is_that_of_autograd(seed: int, size: tuple[int, int, int]) -> None:
    margins, scores = draw(seed, size, 3.0)

    def p_of(m: Tensor) -> Tensor:
        force, clock = plain(m, scores)
        return force / clock[:, None, None]

    with torch.enable_grad():
        # d p[b]/d m[c] is 0 for b != c: the sum over c leaves each row's own Jacobian.
        whole = torch.autograd.functional.jacobian(p_of, margins)
    cells = size[1] * size[2]
    expected = whole.sum(3).reshape(size[0], cells, cells)
    weights, slope = weights_jacobian(margins, scores)
    got = slope.dense()
    clock = torch.exp(weights.log_clock)
    # One more derivative: the same cancellation, once more divided by the clock.
    bound = bound_of_plain(margins, clock) / float(clock.min())
    assert float((got - expected).abs().max()) <= bound


@pytest.mark.parametrize("wrong", ["one token left out", "unsigned"])
def test_the_comparison_sees_a_wrong_weight(wrong: str) -> None:
    """Negative control: the slips that the comparison above is there to catch."""
    margins, scores = draw(7, (2, 3, 4), 3.0)
    margins.requires_grad_()
    force, clock = plain(margins, scores)
    got = attention_weights(margins.detach(), scores).p
    got = got.abs() if wrong == "unsigned" else got * (torch.arange(4) > 0)
    bound = bound_of_plain(margins, clock.detach())
    assert float((got - force.detach() / clock.detach()[:, None, None]).abs().max()) > bound


def exact(margins: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """p, the same with all its terms taken positive, and ln Lambda of one row, in 50 digits.

    mpmath's exponents do not overflow.
    """
    with mpmath.workdps(50):
        force, sizes, clock = [], [], mpmath.mpf(0)
        n = len(margins)
        for m, gamma in zip(margins, scores, strict=True):
            e = [mpmath.exp(-mpmath.mpf(float(x))) for x in m]
            s = [x / mpmath.fsum(e) for x in e]
            g = [mpmath.mpf(float(x)) for x in gamma]
            weight = mpmath.exp(-mpmath.fdot(s, g)) / n
            pairs = list(zip(s, g, strict=True))
            terms = [[weight * a * b * (h - c) for b, h in pairs] for a, c in pairs]
            force.append([mpmath.fsum(row) for row in terms])
            sizes.append([mpmath.fsum(row, absolute=True) for row in terms])
            clock += mpmath.fsum(sizes[-1]) / 2
        p = [[float(x / clock) for x in row] for row in force]
        size = [[float(x / clock) for x in row] for row in sizes]
        return np.array(p), np.array(size), float(mpmath.log(clock))


@given(seeds, st.sampled_from([1.0, 40.0, 300.0, 700.0, 1e3, 1e5]), st.booleans())
def test_far_margins_agree_with_multiprecision(seed: int, spread: float, ties: bool) -> None:
    margins, scores = draw(seed, (3, 2, 4), spread)
    if ties:
        scores[0, :, 2] = scores[0, :, 0]
    got = attention_weights(margins, scores)
    assert torch.isfinite(got.p).all()
    assert torch.isfinite(got.log_clock).all()
    for row in range(3):
        p, size, log_clock = exact(margins[row].numpy(), scores[row].numpy())
        # A log weight of size up to 4 x spread carries that many roundings: relative in every
        # term of p.  Below the smallest normal number nothing is relative any more, and between
        # tied tokens nothing below 1e-30 of a sample's largest pull (``_Pulls``).
        relative = 16 * EPS * (4 * spread + 8)
        assert abs(float(got.log_clock[row]) - log_clock) <= relative
        error = np.abs(got.p[row].numpy() - p)
        lost = 1e-30 * size.max(axis=-1, keepdims=True) if ties else 0.0
        assert (error <= relative * size + lost + np.finfo(np.float64).tiny).all()


def test_ties_are_exact_zeros() -> None:
    margins = torch.tensor([[[0.3, 0.7, 0.1], [0.0, 2.0, 1.0]]], dtype=torch.float64)
    scores = torch.tensor([[[0.1, 0.1, 0.1], [1.0, 0.0, 0.1]]], dtype=torch.float64)
    got = attention_weights(margins, scores).p
    assert (got[0, 0] == 0).all()
    assert (got[0, 1] != 0).all()
    # Tied tokens far above the third one: what pulls them is e^-800 of nothing, not rounding.
    tied = torch.tensor([[[0.0, 0.5, 800.0], [0.0, 2.0, 1.0]]], dtype=torch.float64)
    scores = torch.tensor([[[0.3, 0.3, -1.0], [1.0, 0.0, 0.1]]], dtype=torch.float64)
    got = attention_weights(tied, scores).p
    assert (got[0, 0] == 0).all()


@given(seeds, st.floats(2.0, 36.0))
def test_clock_is_the_sum_of_weights_late(seed: int, lead: float) -> None:
    """Every sample on its optimal token with margins >= lead: Lambda = sum lambda to e^-lead."""
    rng = np.random.default_rng(seed)
    scores = torch.tensor(np.sort(rng.uniform(-2, 2, size=(2, 3, 4)), axis=-1)[..., ::-1].copy())
    margins = torch.tensor(rng.uniform(lead, lead + 5, size=(2, 3, 4)))
    margins[..., 0] = 0.0
    p = attention_weights(margins, scores).p[..., 1:]  # without the reference token's own
    # A pair of suboptimal tokens weighs e^-lead of a pair with the optimal one, times the
    # score range over the lead of the optimal token; L^2 pairs.
    gap = (scores[..., 0] - scores[..., 1]).min()
    bound = 16 * float(4 / gap) * np.exp(-lead) + 64 * EPS
    assert float((p.sum((-1, -2)) - 1).abs().max()) <= bound


@given(seeds, st.integers(-64, 64))
def test_the_reference_token_does_not_matter(seed: int, shift: int) -> None:
    """Margins relative to another token differ by a constant a sample: the same bits."""
    rng = np.random.default_rng(seed)
    # On a grid of 2^-10 the shift is exact, so that nothing but the code could differ.
    margins = torch.tensor(rng.integers(-(2**16), 2**16, size=(2, 3, 4)) / 1024.0)
    scores = torch.tensor(rng.uniform(-2, 2, size=(2, 3, 4)))
    moved = margins + shift * torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)[:, None]
    one, other = attention_weights(margins, scores), attention_weights(moved, scores)
    assert torch.equal(one.p, other.p)
    assert torch.equal(one.log_clock, other.log_clock)
    first, second = (weights_jacobian(m, scores)[1].dense() for m in (margins, moved))
    assert torch.equal(first, second)


def test_float64_whatever_the_default_of_torch() -> None:
    """With three samples ln n is no float32: its rounding once sat in the clock (1e-8)."""
    margins, scores = draw(3, (2, 3, 4), 3.0)
    assert torch.get_default_dtype() == torch.float32
    weights, slope = weights_jacobian(margins, scores)
    jacobian = slope.dense()
    assert {weights.p.dtype, weights.log_clock.dtype, jacobian.dtype} == {torch.float64}


@pytest.mark.parametrize(("n", "length"), [(5, 4), (3, 7), (7, 5), (1, 12)])
def test_bits_do_not_depend_on_the_place_in_the_batch(n: int, length: int) -> None:
    """Torch's own sums over the first axes would fail this from five terms on."""
    rng = np.random.default_rng(0)
    margins, scores = (torch.tensor(rng.normal(size=(257, n, length))) for _ in range(2))
    margins[::3] *= 200.0  # attentions below e^-600: summed another way
    rows = torch.tensor(rng.normal(size=(257, n * length, 9)))
    weights, slope = weights_jacobian(5 * margins, scores)
    both = slope.between(rows, rows)
    for count in (2, 3, 5, 16, 33, 100):
        for part in (slice(0, count), slice(257 - count, 257)):
            some, tilt = weights_jacobian(5 * margins[part], scores[part])
            assert torch.equal(some.p, weights.p[part])
            assert torch.equal(some.log_clock, weights.log_clock[part])
            assert torch.equal(tilt.between(rows[part], rows[part]), both[part])
