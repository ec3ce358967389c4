"""Wrong theorems: plants in the formulas of ``theory``."""

from __future__ import annotations

import pytest
import sympy as sp

from tests.planted.patching import everywhere
from theory import alignment, attention, gradient_flow, margin_problems, reparameterization
from theory.attention import SymbolicProblem, output
from theory.margin_problems import MarginProblem


def theory_constraint_transposed(patch: pytest.MonkeyPatch) -> None:
    """G_r = z_i (x_io - x_il)^T in the theory."""
    honest = attention.constraints
    everywhere(patch, honest, lambda problem: [g.T for g in honest(problem)])


def theory_multiplier_score(patch: pytest.MonkeyPatch) -> None:
    """lambda_il with the best score in place of the sample's average, in the theory."""

    def wrong(problem: SymbolicProblem, weights: sp.MatrixBase) -> list[sp.Expr]:
        found = []
        for i, token in problem.pairs():
            gain = problem.scores[i][problem.optimal[i]] - problem.scores[i][token]
            paid = attention.attention_paid(problem, i, weights)[token]
            found.append(sp.exp(-output(problem, i, weights)) * paid * gain / problem.samples)
        return found

    everywhere(patch, attention.multipliers, wrong)


def theory_multiplier_sign(patch: pytest.MonkeyPatch) -> None:
    """lambda with its sign flipped, in the theory."""
    honest = attention.multipliers
    everywhere(patch, honest, lambda problem, w: [-m for m in honest(problem, w)])


def theory_loss_sum(patch: pytest.MonkeyPatch) -> None:
    """The loss of the theory without 1/n."""
    honest = attention.loss
    everywhere(patch, honest, lambda problem, w: problem.samples * honest(problem, w))


def theory_flow_of_transpose(patch: pytest.MonkeyPatch) -> None:
    """The factored flow of the theory is that of W = Q K^T."""

    def wrong(
        problem: SymbolicProblem, key: sp.MatrixBase, query: sp.MatrixBase
    ) -> tuple[sp.MatrixBase, sp.MatrixBase]:
        value = attention.loss(problem, query * key.T)
        descend = gradient_flow.steepest_descent
        return descend(value, key), descend(value, query)

    everywhere(patch, gradient_flow.factored_flow, wrong)


def theory_dual_half(patch: pytest.MonkeyPatch) -> None:
    """The quadratic dual without the one half: sum mu - |G(mu)|^2."""

    def wrong(problem: MarginProblem, force: sp.MatrixBase) -> sp.Expr:
        return problem.dual_value - attention.squared_norm(force)

    everywhere(patch, margin_problems.quadratic_dual, wrong)


def theory_l1_force(patch: pytest.MonkeyPatch) -> None:
    """A^T mu with the sign of its first row flipped, in every dual."""
    honest = margin_problems.row_force

    def wrong(dim: int, coefficients: list[sp.Expr]) -> sp.MatrixBase:
        return honest(dim, [-coefficients[0], *coefficients[1:]])

    everywhere(patch, honest, wrong)


def theory_step_swapped(patch: pytest.MonkeyPatch) -> None:
    """The exact step of key and query with cosh and sinh changed over."""
    honest = alignment.exact_step

    def wrong(left, singular, right, key, query, time):  # type: ignore[no-untyped-def]
        return tuple(reversed(honest(right, singular, left, key, query, time)))

    everywhere(patch, honest, wrong)


def theory_halves(patch: pytest.MonkeyPatch) -> None:
    """beta = w+^2 - w-^2 in the theory: the one half of the halves forgotten."""
    honest = reparameterization.weights
    everywhere(patch, honest, lambda plus, minus: 2 * honest(plus, minus))
