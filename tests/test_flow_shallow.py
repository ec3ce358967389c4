"""Late steps at moderate norms: the late form of p, and Rosenbrock steps with it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from checks.flow import rodas, shallow, unseen
from checks.flow.combined import VectorGeometry
from checks.flow.fidelity import Auditor
from checks.flow.geometries import Geometry
from checks.flow.integrate import Batch, integrate
from checks.flow.late_form import LateForm, LateSlope
from checks.flow.orbit import Status
from checks.flow.probes import Recorder
from checks.flow.reference import lsoda
from checks.flow.rows import Rows
from checks.flow.settings import Settings
from checks.flow.weights import Pairs, Weights, attention_weights
from tests.flow_fixture import GEOMETRIES, MODELS, daily, drawn

EPS = float(np.finfo(np.float64).eps)
seeds = st.integers(0, 2**32 - 1)


def late_problem(model: str, count: int = 3) -> tuple[Geometry, Tensor, LateForm, Tensor]:
    """Rows that have settled: geometry, state at the hand-over, law and mask, all tokens."""
    candidates = drawn(model, 2 * count, (3, 3, 4), first=5)
    settled = np.flatnonzero(integrate(*candidates, Settings(horizon=7.0)).settled)[:count]
    problems, starts = ([those[i] for i in settled] for those in candidates)
    recorder = Recorder(range(count))
    orbit = integrate(problems, starts, Settings(horizon=7.0), [recorder])
    batch = Batch.of(problems, starts)
    selected = torch.tensor(orbit.selected)
    rows = Rows.of(batch.tokens, batch.queries, selected)
    own = torch.gather(batch.scores, 2, selected.unsqueeze(-1))
    mask = (batch.scores < own).flatten(1)
    gain = torch.where(mask, (own - batch.scores).flatten(1), 1.0)
    kappa = torch.log(gain) - own.expand_as(batch.scores).flatten(1) - np.log(len(selected[0]))
    ends = [next(s for s in recorder.stretches[row] if s.late).before for row in range(count)]
    raw = torch.tensor(np.array(ends))
    if model == "combined":
        start = replace(batch.geometry, base=raw.view_as(batch.geometry.base))  # type: ignore[call-arg, attr-defined]
        geometry, y = start.rebase(rows, batch.geometry.initial())
    else:
        geometry, y = batch.geometry.rebase(rows, raw)
    return geometry, y, LateForm.of(kappa, mask), mask


@given(seeds)
def test_the_late_form_is_what_the_exact_weights_become(seed: int) -> None:
    """Every sample on its best token with margins of 40: p and the clock agree to e^-40, that is
    to rounding; with margins of 3 they do not."""
    rng = np.random.default_rng(seed)
    scores = np.sort(rng.uniform(-2, 2, size=(4, 3, 4)), axis=-1)[..., ::-1].copy()
    scores[..., 1:] -= 0.1
    gammas = torch.tensor(scores)
    mask = torch.ones(4, 12, dtype=torch.bool)
    mask[:, ::4] = False
    gain = torch.where(mask, (gammas[..., :1] - gammas).flatten(1), 1.0)
    kappa = torch.log(gain) - gammas[..., :1].expand_as(gammas).flatten(1) - np.log(3)
    law = LateForm.of(kappa, mask)
    for lead, agree in ((40.0, True), (3.0, False)):
        margins = torch.tensor(rng.uniform(lead, lead + 5, size=(4, 3, 4)))
        margins[..., 0] = 0.0
        exact = attention_weights(margins, gammas)
        late, _ = law.linear(margins.flatten(1))
        off = float(torch.where(mask, (exact.p.flatten(1) - late.p).abs(), 0.0).max())
        # Exponents of 50 carry 50 roundings, and so do a dozen terms.
        assert (off <= 1024 * EPS) is agree
        assert (float((exact.log_clock - late.log_clock).abs().max()) <= 1024 * EPS) is agree


@given(seeds)
def test_slope_of_the_late_form_is_that_of_autograd(seed: int) -> None:
    rng = np.random.default_rng(seed)
    kappa, margins = torch.tensor(rng.normal(size=(2, 3, 6)))
    mask = torch.tensor(rng.random((3, 6)) < 0.7)
    mask[:, 0] = True
    law, rows = LateForm.of(kappa, mask), torch.tensor(rng.normal(size=(3, 6, 4)))
    weights, slope = law.linear(margins)
    whole = torch.autograd.functional.jacobian(law.push, margins)
    expected = torch.einsum("bibj->bij", whole)
    assert torch.equal(weights.p, law.push(margins))
    assert (weights.p[~mask] == 0).all()
    bound = 64 * EPS * float(rows.abs().max()) ** 2
    assert float((slope @ rows - expected @ rows).abs().max()) <= bound
    between = rows.mT @ expected @ rows
    assert float((slope.between(rows, rows) - between).abs().max()) <= 4 * bound
    # Negative control: without the mean it is no derivative of a softmax.
    wrong = -(weights.p.unsqueeze(-1) * rows)
    assert float((wrong - expected @ rows).abs().max()) > 1e-3


@given(seeds, st.floats(0.0, 9.0))
def test_no_mode_grows_where_moves_commute(seed: int, log_size: float) -> None:
    """-A^T Cov A diag(slope) has eigenvalues that are real and not above 0: no balance turns
    unstable."""
    rng = np.random.default_rng(seed)
    rows = torch.tensor(rng.normal(size=(5, 8, 4)))
    size = torch.tensor(np.exp(rng.uniform(log_size - 3, log_size, size=(5, 1, 4))))
    p = torch.softmax(torch.tensor(3 * rng.normal(size=(5, 8))), -1)
    jacobian = LateSlope(p).between(rows, rows) * size
    modes = torch.linalg.eigvals(jacobian)
    largest = float(jacobian.abs().sum(-1).max())
    # Not normal: scaled by sqrt(slope) it is symmetric, of condition e^1.5.
    assert float(modes.real.max()) <= 64 * EPS * largest * np.exp(1.5)
    assert not unseen.grows(jacobian, torch.full((5,), 1e3 / largest, dtype=torch.float64)).any()


@given(seeds)
def test_matrices_grow_no_faster_than_the_norm_of_what_pushes_them(seed: int) -> None:
    """[K; Q]: minus a covariance of gradients, plus M(p).  No mode of the Jacobian grows faster
    than N°(G(p)); with the signed weights of unsettled samples some does (seen: by 10 times)."""
    problems, starts = drawn("factored", 3, (3, 3, 3), first=seed % 97)
    batch = Batch.of(problems, starts)
    geometry, y = batch.geometry, batch.geometry.initial()
    y[:, -1] += 3.0
    law = LateForm(torch.tensor(np.random.default_rng(seed).normal(size=(3, 9))))
    weights, slope = law.linear(geometry.margins(y))
    modes = torch.linalg.eigvals(geometry.velocity_jacobian(y, weights.p, slope))
    limit = geometry.dual_norm(weights.p)
    assert (modes.real.amax(-1) <= limit * (1 + 1e-6)).all()


def test_signed_weights_may_turn_a_balance_unstable() -> None:
    """Negative control of both bounds above."""
    beyond = []
    for first in range(12):
        problems, starts = drawn("factored", 3, (3, 3, 3), first=first)
        batch = Batch.of(problems, starts)
        geometry, y = batch.geometry, batch.geometry.initial()
        y[:, -1] += 3.0
        weights, slope = Pairs.of(batch.scores).linear(geometry.margins(y))
        p = weights.p.flatten(1)
        modes = torch.linalg.eigvals(geometry.velocity_jacobian(y, p, slope))
        beyond.append(float((modes.real.amax(-1) / geometry.dual_norm(p)).max()))
    assert max(beyond) > 2


@pytest.mark.parametrize("model", daily(MODELS, "diagonal", "factored"))
def test_measured_order_is_the_one_claimed(model: str) -> None:
    """Local errors of a step and of half of it, against LSODA at 1e-12: order 4 leaves 2^5.

    At a tenth of the size: at a hand-over steps of this length are stiff, and of a lower order."""
    geometry, y, law, mask = late_problem(model)
    if model == "factored":
        y[:, -1] -= 3.0
    elif model == "combined":
        geometry = replace(geometry, base=0.1 * geometry.base)  # type: ignore[type-var, attr-defined]
    else:
        y = y * (0.3 if model == "diagonal" else 0.1)
    kappa = torch.where(mask, law.kappa, 0.0)
    p = law.push(geometry.margins(y))

    def off(h: float) -> np.ndarray:
        done = shallow.step(geometry, y, p, torch.full((len(y),), h, dtype=y.dtype), kappa, mask)
        ends = []
        for row in range(len(y)):
            own, single = geometry.select(torch.tensor([row])), law.select(torch.tensor([row]))

            def velocity(
                state: np.ndarray, own: Geometry = own, single: LateForm = single
            ) -> np.ndarray:
                return rodas.field(own, single, torch.tensor(state)[None])[0].numpy()

            ends.append(lsoda(velocity, y[row].numpy(), h, rtol=1e-12))
        return geometry.distance(done.state, torch.tensor(np.array(ends))).numpy()

    ratios = [off(h) / off(h / 2) for h in (0.08, 0.04)]
    assert 4.3 <= np.median(np.log2(ratios)) <= 6.0


@pytest.mark.parametrize("model", daily(MODELS, "diagonal", "factored"))
def test_what_a_step_returns(model: str) -> None:
    """p at its end; a mean in the simplex; errors, and infinite ones of steps that are too long."""
    geometry, y, law, mask = late_problem(model)
    kappa = torch.where(mask, law.kappa, 0.0)
    p = law.push(geometry.margins(y))
    h = torch.full((len(y),), 0.02, dtype=y.dtype)
    done = shallow.step(geometry, y, p, h, kappa, mask)
    assert done.converged.all()
    assert torch.equal(done.state, done.fine)
    assert torch.equal(done.p, law.push(geometry.margins(done.state)))
    assert float((done.mean_p.sum(-1) - 1).abs().max()) <= 16 * EPS
    assert (done.mean_p >= 0).all()
    assert (done.error < 1e-4).all()
    bad = y.clone()
    bad[1] = torch.nan
    failed = shallow.step(geometry, bad, p, h, kappa, mask)
    assert failed.converged.tolist() == [True, False, True]
    assert torch.equal(failed.state[[0, 2]], done.state[[0, 2]])


def test_a_constraint_does_not_come_to_its_share_within_one_step() -> None:
    """Two constraints at right angles, eight nats apart: the other one has its half after ten units
    of time.  The step that takes it there at once is sent back, whatever its estimate says."""
    start = torch.tensor([[900.0, 908.0]], dtype=torch.float64).expand(2, -1)
    geometry = VectorGeometry(torch.eye(2, dtype=torch.float64).expand(2, -1, -1), start)
    kappa, mask = torch.zeros(2, 2, dtype=torch.float64), torch.ones(2, 2, dtype=torch.bool)
    p = LateForm.of(kappa, mask).push(geometry.margins(start))
    h = torch.tensor([10.0, 1.0], dtype=torch.float64)
    done = shallow.step(geometry, start, p, h, kappa, mask)
    assert torch.isfinite(done.state).all()
    assert done.p[0, 1] > 0.1
    assert torch.isfinite(done.error).tolist() == [False, True]


@pytest.mark.parametrize("model", daily(GEOMETRIES, "diagonal", "factored"))
def test_where_implicit_steps_begin_does_not_matter(model: str) -> None:
    """From the hand-over on, from e^8 or from e^9: one flow, the same tokens, one optimum."""
    problems, starts = drawn(model, 6, (3, 3, 4), first=5)
    orbits = [
        integrate(problems, starts, Settings(deep=deep, horizon=300.0))
        for deep in (-np.inf, 8.0, 9.0)
    ]
    settled = orbits[0].settled
    assert settled.sum() >= 3
    for other in orbits[1:]:
        assert np.array_equal(settled, other.settled)
        assert np.array_equal(orbits[0].selected, other.selected)
        assert (orbits[0].primal[settled] <= other.dual[settled] * (1 + 1e-9)).all()
        assert (other.primal[settled] <= orbits[0].dual[settled] * (1 + 1e-9)).all()
        assert [s is Status.CLOSED for s in orbits[0].status] == [
            s is Status.CLOSED for s in other.status
        ]


@pytest.mark.parametrize("model", daily((*MODELS, "factored"), "diagonal", "factored"))
def test_audits_pass_and_catch_a_wrong_late_form(
    model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    problems, starts = drawn(model, 2, (3, 3, 4), first=5)

    def worst() -> float:
        recorder = Recorder(range(2))
        orbit = integrate(problems, starts, Settings(horizon=8.0), [recorder])
        found = [
            Auditor(problems[row], starts[row], orbit.selected[row]).audit(stretch)
            for row in range(2)
            for stretch in recorder.stretches[row]
            if stretch.late
        ]
        assert len(found) >= 6
        return max((a.deviation or 0.0) / a.bound for a in found)

    assert worst() < 0.2
    honest = LateForm.linear

    def spread(self: LateForm, margins: Tensor) -> tuple[Weights, Any]:
        """A twentieth of the push goes to all constraints alike: another loss's flow."""
        weights, slope = honest(self, margins)
        everywhere = torch.isfinite(self.kappa).to(margins.dtype)
        p = 0.95 * weights.p + 0.05 * everywhere / everywhere.sum(-1, keepdim=True)
        return replace(weights, p=p), slope

    monkeypatch.setattr(LateForm, "linear", spread)
    monkeypatch.setattr(LateForm, "push", lambda self, margins: spread(self, margins)[0].p)
    assert worst() > 1


def test_few_looks_and_many_find_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """How many rows are looked at in one go changes no bit of what is found."""
    problems, starts = drawn("diagonal", 12, (3, 3, 4), first=5)
    plain = integrate(problems, starts, Settings(horizon=60.0))
    for together in (1, 40, 10_000):
        monkeypatch.setattr(unseen, "_TOGETHER", together)
        other = integrate(problems, starts, Settings(horizon=60.0))
        assert other.direction.tobytes() == plain.direction.tobytes()
        assert np.array_equal(other.rejected, plain.rejected)
