"""The orbit's own certificate against optima computed by scipy: primal <= gamma* <= dual."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from checks.flow.integrate import integrate
from checks.flow.orbit import Orbit, Status
from checks.flow.settings import Settings
from checks.problems import AttentionProblem
from tests.flow_fixture import MODELS, best_margin, drawn, norm_of, rows_of

SOLVER = 1e-7
"""HiGHS keeps constraints to 1e-7 absolutely (its default), at margins of order one."""


@cache
def runs(model: str) -> tuple[list[AttentionProblem], Orbit]:
    problems, starts = drawn(model, 20, first=100)
    return problems, integrate(problems, starts, Settings(early_steps=600))


def bracketed(
    orbit: Orbit, row: int, problem: AttentionProblem, model: str, norm: str
) -> tuple[float, bool]:
    """gamma* by scipy in ``norm``, and whether primal <= gamma* <= dual."""
    rows = rows_of(problem, orbit.selected[row], model == "combined")
    gamma = best_margin(rows, norm)
    low = float(orbit.primal[row]) <= gamma * (1 + SOLVER)
    high = gamma * (1 - SOLVER) <= float(orbit.dual[row])
    return gamma, low and high


@pytest.mark.parametrize(
    ("model", "norm"), list(zip(MODELS, ("l1", "l2", "frobenius"), strict=True))
)
def test_certificate_brackets_the_best_margin(model: str, norm: str) -> None:
    """20 problems a norm, at every status that a late run can end with."""
    problems, orbit = runs(model)
    norm = {"diagonal": "l1", "combined-diagonal": "l2", "combined": "frobenius"}[model]
    assert orbit.norm == norm
    seen = 0
    for row in np.nonzero(orbit.settled)[0].tolist():
        gamma, inside = bracketed(orbit, row, problems[row], model, norm)
        assert inside, (row, orbit.primal[row], gamma, orbit.dual[row])
        if orbit.status[row] is Status.CLOSED:
            seen += 1
            # Both ends are then within the gap asked for, and so is the margin of the
            # direction returned, recomputed here from rows built by checks.problems.
            gap = Settings().gap
            assert orbit.primal[row] >= gamma * (1 - gap - SOLVER)
            rows = rows_of(problems[row], orbit.selected[row], model == "combined")
            direction = orbit.direction[row]
            assert abs(norm_of(direction, norm) - 1) <= 1e-14  # its own norm, D <= 16 terms
            # The primal is read at the fine state, as the direction is: d roundings apart.
            assert abs((rows @ direction).min() - orbit.primal[row]) <= 1e-13
    assert seen >= 12


@pytest.mark.parametrize("model", MODELS)
def test_dual_weights_are_the_witness_of_the_dual(model: str) -> None:
    problems, orbit = runs(model)
    for row in np.nonzero(orbit.settled)[0].tolist():
        p = orbit.dual_weights[row]
        chosen = np.take_along_axis(problems[row].scores, orbit.selected[row][:, None], axis=1)
        assert (p >= 0).all()
        assert (p[problems[row].scores >= chosen] == 0).all()  # only lower tokens constrain
        assert abs(p.sum() - 1) <= 1e-12  # a mean over hundreds of steps
        rows = rows_of(problems[row], orbit.selected[row], model == "combined")
        pull = p[problems[row].scores < chosen] @ rows
        bound = np.abs(pull).max() if model == "diagonal" else np.linalg.norm(pull)
        assert abs(bound / orbit.dual[row] - 1) <= 1e-12


def test_the_bracket_refuses_another_norm() -> None:
    """Negative control: the l1 certificate does not bracket the l2 margin, nor the reverse."""
    for model, wrong in (("diagonal", "l2"), ("combined-diagonal", "l1")):
        problems, orbit = runs(model)
        closed = [i for i, status in enumerate(orbit.status) if status is Status.CLOSED]
        caught = [not bracketed(orbit, i, problems[i], model, wrong)[1] for i in closed]
        assert np.mean(caught) > 0.8  # the norms agree where one coordinate is enough


def test_the_bracket_refuses_other_tokens() -> None:
    """Negative control: an off-by-one in the selected tokens."""
    problems, orbit = runs("diagonal")
    closed = [i for i, status in enumerate(orbit.status) if status is Status.CLOSED]
    orbit = replace(orbit, selected=(orbit.selected + 1) % problems[0].length)
    caught = [not bracketed(orbit, i, problems[i], "diagonal", "l1")[1] for i in closed]
    assert np.mean(caught) > 0.8
