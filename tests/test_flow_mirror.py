"""The mirror flow's geometry: slopes, size, distance; p = 2 is gradient flow; audits can fail."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from checks import runs
from checks.cases import case_from_record, case_record
from checks.flow import integrate
from checks.flow.fidelity import Audit
from checks.flow.mirror import MirrorGeometry
from checks.flow.mirror_audit import MirrorAuditor
from checks.flow.probes import Recorder
from checks.flow.settings import Settings
from checks.flow.weights import Slope
from checks.problems import BadInput, Start
from tests.exact_cases import cases
from tests.flow_fixture import drawn

EXPONENTS = (1.5, 2.0, 3.0)


def batch(exponent: float, count: int = 3) -> integrate.Batch:
    drawn = cases(f"mirror-{exponent:g}/separable/random", (3, 3, 4), count)
    return integrate.Batch.of([c.problem for c in drawn], [c.start for c in drawn])


def simplex(like: torch.Tensor) -> torch.Tensor:
    p = torch.arange(1.0, like.shape[-2] + 1, dtype=torch.float64)
    return (p / p.sum()).expand(len(like), -1)


@pytest.mark.parametrize("exponent", EXPONENTS)
def test_slopes_are_those_of_the_margins(exponent: float) -> None:
    geometry = batch(exponent).geometry
    y, p = geometry.initial(), simplex(geometry.rows)
    step, rho = torch.full_like(y[:, 0], 0.3), geometry.log_size(y)
    margins, slope = geometry.linearise(y, p, step, rho)
    assert torch.equal(margins, geometry.scaled_margins(geometry.advance(y, p, step), rho))
    none = torch.zeros_like(p).unsqueeze(1)
    identity = Slope(none - 1, none, none, none)
    assert torch.equal(identity.dense(), torch.eye(p.shape[-1]).double().expand(len(p), -1, -1))
    jacobian = geometry.velocity_jacobian(y, p, identity)
    h = 1e-6
    for s in range(p.shape[-1]):
        moved = p.clone()
        moved[:, s] += h
        difference = (geometry.linearise(y, moved, step, rho)[0] - margins) / h
        assert torch.allclose(difference, slope[:, :, s], rtol=1e-3, atol=1e-4)
    for j in range(y.shape[-1]):
        moved = y.clone()
        moved[:, j] += h
        # dp/dm = 1: the velocity's derivative is A^T d(margins)/d theta.
        change = (geometry.margins(moved) - geometry.margins(y)) / h
        expected = (geometry.rows * change.unsqueeze(-1)).sum(-2)
        assert torch.allclose(expected, jacobian[:, :, j], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("exponent", EXPONENTS)
def test_weights_are_those_of_the_start_whatever_their_size(exponent: float) -> None:
    drawn = cases(f"mirror-{exponent:g}/separable/random", (3, 3, 4), 3)
    geometry = batch(exponent).geometry
    for grown in (1.0, 1e100):
        weights, scale = geometry.weights(grown * geometry.initial())
        assert torch.allclose(geometry.norm_of(weights), torch.ones(3, dtype=torch.float64))
        for w, log_size, case in zip(weights, scale, drawn, strict=True):
            own = case.start.weights / np.linalg.norm(case.start.weights, exponent)
            assert np.allclose(w, own, rtol=1e-12, atol=1e-14)
            norm = np.log(np.linalg.norm(case.start.weights, exponent))
            assert log_size == pytest.approx(norm + np.log(grown) / (exponent - 1), rel=1e-12)


def test_at_exponent_two_the_distance_is_the_relative_change() -> None:
    geometry = batch(2.0).geometry
    y = 30 * geometry.initial()
    other = y + 1e-3
    change = torch.linalg.vector_norm(y - other, dim=-1) / torch.linalg.vector_norm(y, dim=-1)
    assert torch.allclose(geometry.distance(y, other), change)


def test_exponent_two_is_gradient_flow() -> None:
    drawn = cases("mirror-2/separable/separating", (3, 3, 4), 4)
    problems = [case.problem for case in drawn]
    mirror = integrate.integrate(problems, [case.start for case in drawn], Settings())
    plain = [Start.combined(case.start.weights, case.problem.dim) for case in drawn]
    combined = integrate.integrate(problems, plain, Settings())
    assert mirror.norm == combined.norm == "l2"
    assert np.abs(mirror.direction - combined.direction).max() < 1e-4
    assert (mirror.own_gap <= Settings().gap).all()


@pytest.mark.parametrize(("said", "done"), [(3.0, 2.0), (1.5, 3.0)])
def test_audits_catch_the_flow_of_another_potential(
    said: float, done: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = cases(f"mirror-{said:g}/separable/separating", (3, 3, 4), 3)
    honest = runs.follow([c.problem for c in drawn], [c.start for c in drawn], Settings())
    assert [run.fidelity.fault for run in honest] == [""] * 3
    assert sum(run.fidelity.audited for run in honest) >= 4
    of = MirrorGeometry.of
    monkeypatch.setattr(
        MirrorGeometry, "of", lambda rows, theta, exponent: of(rows, theta, 0 * exponent + done)
    )
    planted = runs.follow([c.problem for c in drawn], [c.start for c in drawn], Settings())
    assert all(run.fidelity.fault for run in planted)


def turning_audits() -> list[Audit]:
    """Audits of the early steps in which a coordinate changes its sign, of one run at p = 3."""
    problems, starts = drawn("mirror-3", 1, first=21)
    recorder = Recorder([0])
    orbit = integrate.integrate(problems, starts, Settings(late_steps=1), [recorder])
    auditor = MirrorAuditor(problems[0], starts[0], orbit.selected[0])
    return [
        auditor.audit(s) for s in recorder.stretches[0]
        if not s.late and (np.sign(s.before) * np.sign(s.after) < 0).any()
    ]  # fmt: skip


def test_steps_over_a_sign_are_within_bounds_above_two_because_of_caution(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """beta has no slope where theta = 0: there the embedded error says an eighth of the truth."""
    cautious = turning_audits()
    assert len(cautious) >= 3
    assert all(audit.passed for audit in cautious)
    monkeypatch.setattr(MirrorGeometry, "caution", lambda self, error: error)
    careless = [audit.deviation for audit in turning_audits()]
    assert max(d for d in careless if d is not None) > 5 * Settings().early_tolerance


def test_a_mirror_start_travels_and_refuses_nonsense() -> None:
    (case,) = cases("mirror-3/separable/small", (3, 3, 4), 1)
    back = case_from_record(case_record(case))
    assert back.start.exponent == 3.0
    assert np.array_equal(back.start.theta, case.start.theta)
    for exponent in (1.0, float("nan"), float("inf")):
        with pytest.raises(BadInput, match="exponent"):
            Start.mirror([1.0], exponent, 1)
    mixed = [*cases("mirror-3/separable/small", (3, 3, 4), 1), *cases("mirror-2/separable/small",
             (3, 3, 4), 1)]  # fmt: skip
    with pytest.raises(ValueError, match="exponents of one batch"):
        integrate.Batch.of([c.problem for c in mixed], [c.start for c in mixed])
