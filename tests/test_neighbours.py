"""Neighbouring theorems: their data are what the claims say, and the embedding can fail."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from checks import neighbour_checks
from checks.assumptions import full_stack_rank
from checks.budgets import PROFILES
from checks.context import Context
from checks.outcomes import Outcome
from checks.problems import AttentionProblem, Start, constraints_of
from tests.exact_cases import cases

EMBEDDING = Context("neighbour.embedding", ("optimal-unique", "realisable"), PROFILES["quick"])


@pytest.mark.parametrize("kind", ["prompt", "classifier"])
def test_queries_are_the_scalar_one(kind: str) -> None:
    for case in cases(f"combined-diagonal/{kind}/random", (1, 4, 3), 20):
        assert (case.problem.queries[:, :-1] == 1).all()
        assert (case.problem.queries[:, -1] == 0).all()
        rows = constraints_of(case.problem)
        assert np.array_equal(rows.rows[:, :-1], rows.delta[:, :-1])


def test_classifiers_have_one_sample_of_equal_scores() -> None:
    for case in cases("diagonal/classifier/small", (1, 6, 3), 20):
        others = np.delete(case.problem.scores[0], case.problem.optimal[0])
        assert np.ptp(others) == 0
        assert case.problem.optimal_lead > 0


@pytest.mark.parametrize("model", ["combined-diagonal", "diagonal"])
def test_the_embedding_holds_and_needs_equal_scores(model: str) -> None:
    """With scores that differ, or a second sample, the two gradients point elsewhere."""
    drawn = cases(f"{model}/classifier/random", (1, 6, 3), 12)
    held = neighbour_checks.embedding(drawn, EMBEDDING)
    assert {r.outcome for r in held} == {Outcome.HELD}
    refuted = neighbour_checks.embedding([replace(c, problem=_uneven(c.problem)) for c in drawn],
                                         EMBEDDING)  # fmt: skip
    assert sum(r.outcome is Outcome.FALSIFIED for r in refuted) >= 10


def _uneven(problem: AttentionProblem) -> AttentionProblem:
    """One non-optimal token scores a quarter less, by its score coordinate."""
    tokens = problem.tokens.copy()
    tokens[0, (problem.optimal[0] + 1) % problem.length, -1] -= 0.25 * problem.labels[0]
    return AttentionProblem.of(tokens, problem.queries, problem.labels, problem.head)


def test_the_rank_of_the_stack_is_judged() -> None:
    """Positive for 2d columns of numbers, not for a column fewer, nor where two rows agree."""
    (case,) = cases("factored/separable/wide-separating", (3, 3, 3), 1)
    key, query = case.start.key, case.start.query
    assert key is not None
    assert query is not None
    dim = case.problem.dim

    def margin(k: np.ndarray, q: np.ndarray) -> float:
        return full_stack_rank(case.problem, Start.factored(k, q, dim))

    assert margin(key, query) > 1e-6
    assert margin(key[:, 1:], query[:, 1:]) < 0
    twin = key.copy()
    twin[0] = query[1]
    assert margin(twin, query) < 0
