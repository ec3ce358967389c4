"""Pieces of the judgement that a wrong start would never meet in a good case."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from checks import runs
from checks.flow.settings import Settings
from checks.judging import Rival, _refutation, frozen_orthant, stays
from checks.problems import AttentionProblem, Start, constraints_of
from checks.runs import Run
from checks.svm import SvmSolution, solve_svm
from checks.tolerances import margin_gap
from tests.exact_cases import cases


def test_the_frozen_orthant_is_what_the_invariants_say() -> None:
    """c_j = 0: k = q freezes beta_j >= 0, k = -q <= 0, k = q = 0 both; else beta_j is free."""
    key, query = [1.0, -2.0, 0.0, 0.5, 0.0], [1.0, 2.0, 0.0, -0.25, 1.0]
    found = frozen_orthant(Start.diagonal(key, query, 5))
    assert found is not None
    assert np.array_equal(found, [1.0, -1.0, np.nan, 0.0, 0.0], equal_nan=True)
    alone = frozen_orthant(Start.diagonal([0.0, 2.0], [0.0, 1.0], 2))
    assert alone is not None
    assert np.array_equal(alone, [np.nan, 0.0], equal_nan=True)
    assert frozen_orthant(Start.diagonal(key[3:], query[3:], 2)) is None
    assert frozen_orthant(Start.combined([1.0, 0.0], 2)) is None
    assert frozen_orthant(Start.factored(np.eye(2), np.eye(2), 2)) is None


def settled(
    tokens: list[list[float]], scores: list[float], weights: Any, query: Any = (1.0,)
) -> bool:
    """Is token 0 of one sample kept for good, at these weights of its problem?"""
    problem = AttentionProblem.of([tokens], [query], [1.0], [0.0] * len(query), [scores])
    run = SimpleNamespace(problem=problem, selected=np.array([0]))
    found = SimpleNamespace(solution=np.array(weights, dtype=np.float64))
    return stays(cast(Run, run), cast(SvmSolution, found))


@pytest.mark.parametrize(
    ("other", "kept"), [(0.5, True), (1.5, False), (1.0, False), (3.5, False), (-2.0, True)]
)
def test_a_token_of_higher_score_must_have_a_margin_beyond_one(other: float, kept: bool) -> None:
    """x_0 = 2 against x_2 = 1 of lower score: the solution is 1, for vectors and matrices."""
    assert settled([[2.0], [other], [1.0]], [1.0, 2.0, 0.0], [1.0]) is kept
    assert settled([[2.0], [other], [1.0]], [1.0, 2.0, 0.0], [[1.0]]) is kept
    # The same token at the same score: beyond 0 is enough; at a lower one it does not matter.
    assert settled([[2.0], [other], [1.0]], [1.0, 1.0, 0.0], [1.0]) is (other < 2)
    assert settled([[2.0], [other], [1.0]], [1.0, 0.5, 0.0], [1.0])


def test_margins_of_matrices_are_read_from_the_queries() -> None:
    """W z = (0, 2) and W^T z = (0, 1): a higher token at distance 3/4 is 3/2 away by the first."""
    tokens = [[0.0, 1.0], [0.0, 0.25], [0.0, 0.5]]
    weights = np.array([[0.0, 1.0], [2.0, 0.0]])
    assert settled(tokens, [1.0, 2.0, 0.0], weights, (1.0, 0.0))
    assert not settled(tokens, [1.0, 2.0, 0.0], weights.T, (1.0, 0.0))


def test_a_run_that_attains_the_claimed_optimum_is_not_refuted_by_a_problem_with_the_same() -> None:
    """Rounding aside the rival's optimum is the claimed one: it has to miss by ten tolerances."""
    (case,) = cases("combined-diagonal/separable/separating", (3, 3, 4), 1)
    (run,) = runs.follow([case.problem], [case.start], Settings())
    constraints = constraints_of(case.problem)
    own, l1 = solve_svm(constraints, "l2"), solve_svm(constraints, "l1")
    tolerance = margin_gap(Settings()).value
    same = Rival("the same problem", own)
    assert _refutation(run, own, same, constraints, tolerance) == ""
    # The control: the l1 claim is refuted by the l2 problem that the run closes on.
    assert "the same problem instead" in _refutation(run, l1, same, constraints, tolerance)
