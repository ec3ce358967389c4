"""Wrong identities, on purpose: the symbolic controls.  A prover that proves one is broken."""

from __future__ import annotations

import sympy as sp

from theory.attention import constraints, matrix, multipliers, squared_norm, symbolic_problem
from theory.attention import weighted as weighted_sum
from theory.gradient_flow import combined_flow
from theory.identities import Identity
from theory.margin_problems import l1_problem, row_force


def identities() -> list[Identity]:
    """Wrong identities, at least one for each symbolic control."""
    problem = symbolic_problem(samples=2, length=3, dim=2)
    attention = matrix("W", 2, 2)
    flow, pairs = combined_flow(problem, attention), constraints(problem)
    correct = multipliers(problem, attention)
    almost = weighted_sum(correct, pairs).as_mutable()
    almost[1, 1] = -almost[1, 1]
    return [
        Identity(
            claim="control.symbolic-sign",
            name="flipped-sign",
            statement="Wrong: lambda with the opposite sign.",
            latex=r"-\nabla_W L \overset{?}{=} -\sum_r \lambda_r G_r",
            left=flow,
            right=weighted_sum([-weight for weight in correct], pairs),
        ),
        Identity(
            claim="control.symbolic-sign",
            name="flipped-last-entry",
            statement="Wrong in the last entry alone: a prover has to look at every one.",
            latex=r"(-\nabla_W L)_{22} \overset{?}{=} -\sum_r \lambda_r (G_r)_{22}",
            left=flow,
            right=sp.ImmutableMatrix(almost),
        ),
        Identity(
            claim="control.symbolic-mean",
            name="dropped-mean",
            statement="Wrong: lambda without the factor 1/n, n = 2.",
            latex=r"-\nabla_W L \overset{?}{=} n \sum_r \lambda_r G_r",
            left=flow,
            right=weighted_sum([problem.samples * weight for weight in correct], pairs),
        ),
        _wrong_dual_norm(),
    ]


def _wrong_dual_norm() -> Identity:
    problem = l1_problem(2)
    signed = (*problem.variables, *problem.multipliers)
    feasible = {s: sp.Symbol(s.name, positive=True) for s in signed}  # b, mu >= 0, as the dual asks
    up, down = sp.Matrix(problem.variables[:2]), sp.Matrix(problem.variables[2:])
    force = row_force(2, list(problem.multipliers))
    norms = sp.sqrt(squared_norm(up - down)) * sp.sqrt(squared_norm(force))
    return Identity(
        claim="control.symbolic-l1-dual",
        name="l2-dual-norm",
        statement="Wrong: the l1 duality gap with the product of l2 norms for beta^T A^T mu.",
        latex=(
            r"\|\beta\|_1 - \sum_r \mu_r \overset{?}{=} \|\beta\|_1 - \|\beta\|_2 \|A^\top "
            r"\mu\|_2 + \sum_r \mu_r (m_r - 1)"
        ),
        left=(problem.objective - problem.dual_value).xreplace(feasible),
        right=(problem.objective - norms + problem.complementarity).xreplace(feasible),
    )
