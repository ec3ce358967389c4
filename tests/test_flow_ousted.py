"""Late steps found by audits: full and half steps agree, and the orbit is another one."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from checks.cases import Case, campaign_specs, decode
from checks.flow import fidelity, implicit
from checks.flow.fidelity import Audit, Auditor
from checks.flow.integrate import integrate
from checks.flow.orbit import Status
from checks.flow.probes import Recorder
from checks.flow.settings import Settings
from checks.problems import AttentionProblem, Start

OUSTED = ("limit.diagonal-l1", "diagonal/separable/random", (5, 4, 8), 118)
BACK_AGAIN = ("limit.diagonal-l1", "diagonal/near-tied/separating", (5, 4, 8), 155)
WEAKLY_TOLD_APART = ("limit.kkt-dual-feasibility", "diagonal/separable/random", (3, 3, 4), 11)
Found = tuple[str, str, tuple[int, int, int], int]


def case_of(found: Found) -> Case:
    claim, family, shape, index = found
    return decode(next(iter(campaign_specs(claim, family, shape, 0, range(index, index + 1)))))


def late_audits(case: Case, settings: Settings) -> list[Audit]:
    """Of every late step that can be audited."""
    recorder = Recorder([0])
    orbit = integrate([case.problem], [case.start], settings, [recorder])
    auditor = Auditor(case.problem, case.start, orbit.selected[0])
    found = [auditor.audit(s) for s in recorder.stretches[0] if s.late]
    return [a for a in found if a.deviation is not None]


def worst(audits: list[Audit]) -> float:
    return max((a.deviation or 0.0) / a.bound for a in audits)


@pytest.mark.parametrize(("found", "tolerance"), [(OUSTED, 3e-4), (BACK_AGAIN, 2e-4)])
def test_a_constraint_that_another_ousts_is_felt(
    found: Found, tolerance: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second half of a step balances what was gone by its end; and the negative control."""
    case, loose = case_of(found), Settings(late_tolerance=tolerance, horizon=60.0, deep=-np.inf)
    honest = late_audits(case, loose)
    assert len(honest) >= 5
    assert worst(honest) <= 1
    monkeypatch.setattr(
        implicit, "_ousted", lambda geometry, p, halves, step, kappa, mask: torch.zeros_like(p)
    )
    assert worst(late_audits(case, loose)) > 1.2


def test_p_is_told_by_constraints_that_differ_in_small_weights(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two constraints, told apart by coordinates of slope 1e-8: the shares of p that balance
    them to 1e-11 are not yet those that balance them."""
    case = case_of(WEAKLY_TOLD_APART)

    def shares() -> torch.Tensor:
        recorder = Recorder([0])
        integrate([case.problem], [case.start], Settings(late_tolerance=3e-4), [recorder])
        last = torch.tensor(recorder.stretches[0][-1].p)
        return last[last > 1e-6]

    # The limit of their balance is one to two.
    assert shares() == pytest.approx([1 / 3, 2 / 3], abs=1e-4)
    monkeypatch.setattr(implicit, "UNFELT", 1e-11)
    assert shares() != pytest.approx([1 / 3, 2 / 3], abs=3e-4)


def test_where_rounding_tells_p_the_stretch_is_not_audited() -> None:
    """Its last steps: margins of a balance of 1e-13 leave p uncertain by more than is audited."""
    case, recorder = case_of(WEAKLY_TOLD_APART), Recorder([0])
    orbit = integrate([case.problem], [case.start], Settings(), [recorder])
    audits = [
        Auditor(case.problem, case.start, orbit.selected[0]).audit(s)
        for s in recorder.stretches[0]
        if s.late
    ]
    assert {a.reason for a in audits if a.deviation is None} == {fidelity._FELT}
    assert all(a.passed for a in audits if a.deviation is not None)
    assert any(a.deviation is not None for a in audits)


def test_steps_end_where_pulls_cancel_within_rounding() -> None:
    """Two samples that pull one weight apart, with equal strength: beta = 0 is stationary, and
    rounding would be followed for ever."""
    tokens = [[[1.0, 0.0], [-1.0, 0.0]], [[1.0, 0.0], [-1.0, 0.0]]]
    problem = AttentionProblem.of(tokens, [[1.0, 0.0], [-1.0, 0.0]], [1, 1], [1.0, 0.0])
    start = Start.combined([0.0, 0.3], 2)
    orbit = integrate([problem], [start], Settings())
    assert orbit.status[0] is Status.STALLED
    assert orbit.early_steps[0] < 60
    assert not orbit.settled[0]
