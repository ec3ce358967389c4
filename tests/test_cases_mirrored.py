"""Mirrored data: closed under transposition exactly, and the semidefinite cone costs margin."""

from __future__ import annotations

import cvxpy as cp
import numpy as np
import pytest

from checks.families import has_shape
from checks.problems import constraints_of
from checks.svm import solve_svm
from tests.exact_cases import cases, deltas, exact_margins, fractions, stays, velocity


def matrices(problem):
    """The constraint matrices G_r in fractions, as tuples of rows."""
    return [
        tuple(tuple(a * b for b in fractions(z)) for a in fractions(delta))
        for _, _, delta, z in deltas(problem)
    ]


@pytest.mark.parametrize("shape", [(2, 2, 1), (4, 2, 3), (8, 2, 4)])
def test_constraints_are_closed_under_transposition(shape):
    half = shape[0] // 2
    for case in cases("factored/mirrored/key-is-query", shape, 20):
        problem = case.problem
        found = matrices(problem)
        for i in range(half):
            assert found[i] == tuple(zip(*found[i + half], strict=True))
        ordered = np.sort(problem.scores, axis=1)
        assert (ordered[:half] == ordered[half:]).all()
        assert problem.realisable
        assert (problem.labels[:, None] * problem.tokens[..., -1] == problem.scores).all()
        assert (case.witness == case.witness.T).all()
        assert np.linalg.eigvalsh(case.witness)[0] > 0
        assert min(exact_margins(problem, case.witness)) > 0


def test_the_start_is_one_matrix_and_moves_as_one():
    for case in cases("factored/mirrored/key-is-query", (6, 2, 3), 40):
        problem, start = case.problem, case.start
        assert start.key.tobytes() == start.query.tobytes()
        assert min(exact_margins(problem, start.weights)) > 0
        ordered = np.sort(problem.scores, axis=1)
        assert stays(problem, start.weights, problem.optimal, ordered[:, 1] - ordered[:, 0])
        key, query = velocity(problem, start.key, start.query)
        # Logits up to a few hundred: their rounding, 1e-13, is the relative error of lambda.
        assert np.abs(key - query).max() < 1e-11 * np.abs(key).max()
        # Control: from weights that are not symmetric the two velocities differ.
        key, query = velocity(problem, start.key, start.query[::-1])
        assert np.abs(key - query).max() > 1e-3 * np.abs(key).max()


def test_other_starts_on_mirrored_data_are_not_symmetric():
    for case in cases("factored/mirrored/separating", (4, 2, 3), 20):
        weights = case.start.weights
        assert np.abs(weights - weights.T).max() > 1e-3 * np.abs(weights).max()
        assert min(exact_margins(case.problem, weights)) > 0


def test_the_semidefinite_optimum_is_often_worse():
    """The control can fail the nuclear claim only where the cone costs margin: 5 % in a quarter."""
    costs = []
    for case in cases("factored/mirrored/key-is-query", (6, 2, 3), 24):
        constraints = constraints_of(case.problem)
        weights = cp.Variable((4, 4), PSD=True)
        pairs = zip(constraints.delta, constraints.query, strict=True)
        program = cp.Problem(
            cp.Minimize(cp.trace(weights)), [a @ weights @ b >= 1 for a, b in pairs]
        )
        program.solve(solver="CLARABEL")
        costs.append(program.value / solve_svm(constraints, "nuclear").optimum - 1.0)
    # The cone's optimum cannot be better; 1e-7 is the cone solver's own tolerance.
    assert min(costs) > -1e-7
    assert np.mean(np.array(costs) >= 0.05) >= 0.25


def test_shapes():
    name = "factored/mirrored/key-is-query"
    assert has_shape(name, (2, 2, 1))
    for shape in ((3, 2, 2), (4, 3, 2), (0, 2, 2), (2, 2, 0)):
        assert not has_shape(name, shape)
