"""cvxpy asked in the oracles' stead, and failing in every way: never a wrong certificate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NoReturn

import cvxpy as cp
import numpy as np
import pytest

from checks import euclidean, nuclear, polyhedral
from checks.problems import Array, Constraints
from checks.rounding import FULL, Norm
from checks.separability import LeastDistance
from checks.svm import NotSeparable, OracleFailure, solve_signed_l1, solve_svm
from tests.margin_cases import build, separable_full

NORMS: tuple[Norm, ...] = ("l1", "l2", "frobenius", "nuclear")
LIES = (
    "status",
    "exception",
    "value error",
    "nan",
    "wrong duals",
    "negative duals",
    "wrong primal",
)


def problem_of(norm: Norm) -> Constraints:
    return separable_full(31, 3, 4, 3) if norm in FULL else build("gauss", 31, 8, 4)


def silence_own_solvers(patch: pytest.MonkeyPatch) -> None:
    """The simplex method stalls, nnls gives up, the interior point method raises."""
    honest = polyhedral.l1_tableau

    def stalled(rows: Any, halves: list[tuple[int, int]], shift: int = 0) -> Any:
        return replace(honest(rows, halves, shift), status="stalled")

    def exhausted(rows: Array) -> LeastDistance:
        raise RuntimeError("Maximum number of iterations reached.")

    def lost(*_: Any) -> NoReturn:
        raise OracleFailure("planted")

    patch.setattr(polyhedral, "l1_tableau", stalled)
    patch.setattr(euclidean, "least_distance", exhausted)
    patch.setitem(nuclear.SOLVERS, "interior point", lost)


def lying(kind: str, honest: Callable[..., Any]) -> Callable[..., Any]:
    """``cvxpy.Problem.solve``, failing in one way."""

    def solve(self: cp.Problem, *args: Any, **settings: Any) -> Any:
        if kind == "status":  # "optimal" is not said, and nothing is stored
            self._status = cp.INFEASIBLE
            return None
        if kind == "exception":
            raise cp.SolverError("planted")
        if kind == "value error":
            raise ValueError("Cannot unpack invalid solution")
        value = honest(self, *args, **settings)
        rng = np.random.default_rng(np.random.Philox(5))
        if kind in ("nan", "wrong primal"):
            for variable in self.variables():
                shape = variable.shape
                wrong = np.full(shape, np.nan) if kind == "nan" else np.abs(rng.normal(size=shape))
                variable.save_value(wrong)
        if kind != "nan":
            for constraint in self.constraints:
                for dual in constraint.dual_variables:
                    flipped = np.asarray(dual.value)[::-1]
                    dual.save_value(-flipped if kind == "negative duals" else flipped)
        return value

    return solve


@pytest.mark.parametrize("norm", NORMS)
def test_cvxpy_steps_in_where_own_solvers_fail(norm: Norm, monkeypatch: pytest.MonkeyPatch) -> None:
    problem = problem_of(norm)
    truth = solve_svm(problem, norm)
    silence_own_solvers(monkeypatch)
    found = solve_svm(problem, norm, exact=None if norm == "nuclear" else False)
    assert found.solver.startswith("CLARABEL")
    assert max(found.lower, truth.lower) <= min(found.upper, truth.upper)
    if norm != "nuclear":  # asked for a proof in rationals, the model's answer is none
        with pytest.raises(OracleFailure):
            solve_svm(problem, "l1", exact=True)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("kind", LIES)
def test_a_lying_cvxpy_never_certifies_a_wrong_value(
    norm: Norm, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem = problem_of(norm)
    truth = solve_svm(problem, norm)
    silence_own_solvers(monkeypatch)
    monkeypatch.setattr(cp.Problem, "solve", lying(kind, cp.Problem.solve))
    try:
        found = solve_svm(problem, norm, exact=None if norm == "nuclear" else False)
    except NotSeparable:
        pytest.fail("a separable problem was called non-separable")
    except OracleFailure:
        return
    assert max(found.lower, truth.lower) <= min(found.upper, truth.upper)


def test_lies_are_lies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: with wrong duals and no second opinion the l1 oracle has no answer."""
    silence_own_solvers(monkeypatch)
    monkeypatch.setattr(cp.Problem, "solve", lying("wrong duals", cp.Problem.solve))
    with pytest.raises(OracleFailure):
        solve_svm(problem_of("l1"), "l1", exact=False)


def test_the_model_keeps_to_frozen_signs(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = build("gauss", 3, 3, 5)
    sign = np.array([0.0, 1.0, -1.0, np.nan, 0.0])
    truth = solve_signed_l1(problem, sign)
    silence_own_solvers(monkeypatch)
    found = solve_signed_l1(problem, sign, exact=False)
    assert found.solver == "CLARABEL"
    assert max(found.lower, truth.lower) <= min(found.upper, truth.upper)
    assert found.solution[3] == 0.0
    assert found.solution[1] >= 0.0 >= found.solution[2]
