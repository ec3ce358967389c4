"""Early steps at large norms: what their error estimate does not see, and what does."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from checks.cases import Case, campaign_specs, case_from_record, decode
from checks.flow import rodas, unseen
from checks.flow.fidelity import Audit, Auditor
from checks.flow.integrate import Batch, integrate
from checks.flow.probes import Curve, Recorder
from checks.flow.settings import Settings
from checks.flow.weights import Pairs, attention_weights
from checks.parts import PINNED


def pinned(name: str) -> Case:
    return case_from_record(json.loads((PINNED / f"{name}.json").read_text()))


BALANCE, VISIT = "a-balance-that-turns-unstable", "a-token-that-comes-and-goes"


def audits(name: str) -> list[Audit]:
    """Of all early steps of the run, which begins at a norm of e^11."""
    case, recorder = pinned(name), Recorder([0])
    orbit = integrate([case.problem], [case.start], Settings(), [recorder])
    auditor = Auditor(case.problem, case.start, orbit.selected[0])
    return [auditor.audit(s) for s in recorder.stretches[0] if not s.late]


@pytest.mark.parametrize("name", [BALANCE, VISIT])
def test_an_unstable_balance_is_left_and_no_visitor_passed_over(name: str) -> None:
    found = audits(name)
    assert len(found) >= 5
    assert all(audit.passed for audit in found)


@pytest.mark.parametrize(("name", "blind"), [(BALANCE, "grows"), (VISIT, "passed_over")])
def test_without_either_look_the_run_is_no_gradient_flow(
    name: str, blind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Negative control: the embedded error alone accepts steps that are a percent off."""
    seen: dict[str, object] = {
        "grows": lambda jacobian, h: torch.zeros_like(h, dtype=torch.bool),
        "passed_over": lambda geometry, law, ends, h, p, asked: torch.zeros_like(asked),
    }
    monkeypatch.setattr(unseen, blind, seen[blind])
    monkeypatch.setattr(unseen, "_CALM", np.inf)  # p's rate gives this balance away, too
    worst = max((a.deviation or 0.0) / a.bound for a in audits(name))
    assert worst > 10


def test_growth_is_asked_of_the_fastest_mode() -> None:
    """Of a matrix that is not normal, whose row sums say nothing, and of complex modes."""
    turn = torch.linalg.qr(torch.arange(16.0, dtype=torch.float64).reshape(4, 4).cos())[0]
    shear = torch.eye(4, dtype=torch.float64).triu() + 50 * torch.ones(4, 4).triu(1)
    modes = torch.diag(torch.tensor([1.5, -900.0, 0.3, -2.0], dtype=torch.float64))
    fast = shear @ turn @ modes @ turn.mT @ torch.linalg.inv(shear)
    spiral = torch.zeros(4, 4, dtype=torch.float64)
    spiral[:2, :2] = torch.tensor([[1.5, 40.0], [-40.0, 1.5]])
    both = torch.stack(
        (fast, spiral, -900 * torch.eye(4, dtype=torch.float64), torch.full_like(fast, torch.nan))
    )
    slow = torch.full((4,), 0.9 * unseen.GROWTH / 1.5, dtype=torch.float64)
    assert unseen.grows(both, slow).tolist() == [False, False, False, False]
    assert unseen.grows(both[:2], 1.2 * slow[:2]).tolist() == [True, True]


def _matrices(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """1,000 matrices: of any kind, and minus a covariance in another metric (d from e^-2 to e^2),
    as those of gradient flow; some with a coordinate that does not move."""
    rng = np.random.default_rng(seed)
    plain = rng.normal(size=(500, 5, 5)) - rng.uniform(0, 4, size=(500, 1, 1)) * np.eye(5)
    half = rng.normal(size=(500, 5, 3))
    flows = -half @ half.transpose(0, 2, 1) * np.exp(rng.uniform(-2, 2, size=(500, 1, 5)))
    both = np.concatenate((plain, flows))
    both[::7, 2] = 0.0
    return torch.tensor(both), torch.tensor(np.exp(rng.uniform(-1, 4, size=1000)))


def test_what_is_settled_without_eigenvalues_is_settled_rightly(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    matrices, h = _matrices(0)
    rates = torch.linalg.eigvals(matrices).real.amax(-1)
    # Apart from ties: an eigenvalue is known to its rounding, of the size of the matrix.
    size = matrices.abs().sum(-1).amax(-1)
    clear = (rates * h - unseen.GROWTH).abs() > 1e-9 * size * h
    truth = rates * h > unseen.GROWTH
    assert 100 < truth[clear].sum() < 500
    asked: list[int] = []
    honest = torch.linalg.eigvals
    monkeypatch.setattr(torch.linalg, "eigvals", lambda a: (asked.append(len(a)), honest(a))[1])
    assert torch.equal(unseen.grows(matrices, h)[clear], truth[clear])
    # Few flows needed them, stiff as most are (33 of 500).
    asked.clear()
    assert not unseen.grows(matrices[500:], h[500:])[clear[500:]].any()
    assert (size * h > unseen.GROWTH)[500:].sum() > 400
    assert sum(asked) <= 50
    # Near the largest number, where a sum of two entries overflows.
    huge = torch.tensor([[[-1.2e308, -5e307], [-5e307, 1.0]]], dtype=torch.float64)
    assert unseen.grows(huge, torch.ones(1, dtype=torch.float64)).tolist() == [True]
    # Negative control: taken as it is, in place of in its metric, the symmetric part says little.
    monkeypatch.setattr(unseen, "_NOTHING", 1.0)
    asked.clear()
    unseen.grows(matrices[500:], h[500:])
    assert sum(asked) > 100


def test_the_method_grows_with_the_flow_up_to_the_rate_it_is_allowed() -> None:
    """R(z) of RODAS along y' = z y follows e^z to GROWTH, and damps what grows beyond its pole."""

    def stability(z: float) -> float:
        stages: list[float] = []
        argument = 1.0
        for i in range(6):
            if i in (1, 2, 3, 4):
                argument = 1.0 + sum(c * k for c, k in zip(rodas._A[i], stages, strict=True))
            elif i == 5:
                argument += stages[4]
            rate = z * argument + sum(c * k for c, k in zip(rodas._C[i], stages, strict=True))
            stages.append(rate / (1 / rodas._GAMMA - z))
        return argument + stages[5]

    for z in np.linspace(-1, unseen.GROWTH, 13):
        assert stability(z) == pytest.approx(np.exp(z), rel=0.03)
    assert abs(stability(50.0)) < 1


def test_a_token_that_comes_and_goes_is_seen_along_either_end() -> None:
    """The step that was passed over: the last sample changes its token between the stages, while
    at both ends the first sample alone pushes."""
    case = pinned(VISIT)
    batch = Batch.of([case.problem] * 2, [case.start] * 2)
    x, z = case.problem.tokens, case.problem.queries
    y = batch.geometry.initial()
    new = y + 2 * 1.9625 * torch.tensor((x[0, 0] - x[0, 1]) * z[0])
    pairs = Pairs.of(batch.scores)

    def looked(end: torch.Tensor, step: float) -> list[bool]:
        before, after = (batch.geometry.margins(s).view(batch.scores.shape) for s in (y, end))
        first, last = (attention_weights(m, pairs).p for m in (before, after))
        assert first[0, 0, 0].abs() == pytest.approx(1)
        assert last[0, 0, 1].abs() == pytest.approx(1)
        ends = (y, before), (end, after)
        h = torch.full((2,), step, dtype=torch.float64)
        asked = torch.ones(2, dtype=torch.bool)
        return list(unseen.passed_over(batch.geometry, pairs, ends, h, first, asked).tolist())

    assert looked(new, 1.9625) == [True, True]
    # The first half of the step has no visitor.
    assert looked((y + new) / 2, 1.9625 / 2) == [False, False]


def test_a_weight_that_falls_by_orders_in_a_step_is_followed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A start of norm e^8.5, from which p of one sample falls at rate 1e4: the first step was 8e-4
    off, and said to be 9e-6."""
    spec = campaign_specs(
        "frontier.unaligned-nuclear", "factored/separable/separating", (3, 3, 4), 0, range(159, 160)
    )
    case = decode(next(iter(spec)))

    def worst() -> float:
        recorder = Recorder([0])
        orbit = integrate([case.problem], [case.start], Settings(horizon=12.0), [recorder])
        auditor = Auditor(case.problem, case.start, orbit.selected[0])
        found = [auditor.audit(s) for s in recorder.stretches[0] if not s.late]
        return max((a.deviation or 0.0) / a.bound for a in found)

    assert worst() < 0.5
    monkeypatch.setattr(unseen, "_CALM", np.inf)
    assert worst() > 1.2


def test_certificates_of_a_late_phase_that_was_left_are_not_kept() -> None:
    """A token came back: the primal and dual values before it are those of other tokens."""
    case, curve = pinned("a-late-phase-that-was-left"), Curve()
    integrate([case.problem], [case.start], Settings(), [curve])
    raw = [data[2, where == 0] for where, data in curve._columns if 0 in where]
    primal = np.concatenate(raw)
    left = np.flatnonzero(np.isnan(primal)).max()
    assert np.isfinite(primal[:left]).any()  # there was such a phase
    kept = curve.row(0)
    assert np.isfinite(kept[:, 2]).sum() <= len(primal) - left - 1
    assert np.isfinite(kept[-1, 2])
    assert not np.isnan(kept[np.isfinite(kept[:, 2]).argmax() :, 2]).any()
