"""Steps that 10^5 informative runs found: estimates agreed by chance, or saw no visitor above."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from checks.cases import Case, case_from_record
from checks.flow import unseen, visitors
from checks.flow.fidelity import Audit, Auditor
from checks.flow.integrate import Batch, integrate
from checks.flow.probes import Recorder
from checks.flow.settings import Settings
from checks.parts import PINNED
from tests.flow_fixture import drawn

NEAR = ("a-constraint-that-comes-near", "two-constraints-that-come-near")
WAKES = "a-token-that-wakes-within-a-step"


def audits(name: str, deep: float = Settings.deep) -> list[Audit]:
    """Of every step of the run that can be audited; ``deep``: where implicit steps begin."""
    case: Case = case_from_record(json.loads((PINNED / f"{name}.json").read_text()))
    recorder = Recorder([0])
    orbit = integrate([case.problem], [case.start], Settings(deep=deep), [recorder])
    auditor = Auditor(case.problem, case.start, orbit.selected[0])
    done = [auditor.audit(stretch) for stretch in recorder.stretches[0]]
    return [audit for audit in done if audit.deviation is not None]


def worst(found: list[Audit]) -> float:
    return max((audit.deviation or 0.0) / audit.bound for audit in found)


@pytest.mark.parametrize("name", NEAR)
def test_who_pushes_without_falling_below_the_others_is_felt(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A constraint came within five nats of those that push, took 2 percent of p and was gone:
    1e-3 of the weights, in steps that full and half steps agreed on."""
    for deep in (-np.inf, Settings.deep):
        honest = audits(name, deep)
        assert len(honest) >= 10
        assert worst(honest) < 0.2
    monkeypatch.setattr(visitors, "_DEEP", -np.inf)
    assert worst(audits(name, -np.inf)) > 1


def test_a_token_does_not_come_to_its_share_within_one_step(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    honest = audits(WAKES)
    assert len(honest) >= 10
    assert worst(honest) < 0.2
    monkeypatch.setattr(unseen, "_SURE", np.inf)
    assert worst(audits(WAKES)) > 2


def test_looks_do_not_depend_on_who_else_is_looked_at() -> None:
    """Row by row, to the bit: they decide how long a step is."""
    batch = Batch.of(*drawn("diagonal", 12))
    geometry, y = batch.geometry, batch.geometry.initial()
    count = geometry.margins(y).shape[-1]
    mask = torch.ones(len(y), count, dtype=torch.bool)
    kappa = torch.linspace(-1.0, 1.0, count, dtype=y.dtype).expand(len(y), -1)
    p = torch.full((len(y), count), 1e-20, dtype=y.dtype)
    p[:, 0] = 1.0
    step = torch.linspace(0.1, 6.0, len(y), dtype=y.dtype)
    end = geometry.advance(y, p, step)

    def look(at: torch.Tensor) -> list[float]:
        start, last = (y[at], p[at]), (end[at], p[at])
        return list(
            visitors.visits(
                geometry.select(at), (start, start), (last, last), step[at], kappa[at], mask[at]
            ).tolist()
        )

    whole = look(torch.arange(len(y)))
    assert max(whole) > 0
    assert [look(torch.tensor([row]))[0] for row in range(len(y))] == whole
