"""The gradient flow of the loss in the three models, and what it conserves.

Left sides are minus sympy's derivative of the loss; the margin form is only ever the right
side of an identity.
"""

from __future__ import annotations

import sympy as sp

from theory.attention import (
    SymbolicProblem,
    constraints,
    loss,
    matrix,
    multipliers,
    rows,
    symbolic_problem,
    vector,
    weighted,
)
from theory.identities import Identity


def steepest_descent(function: sp.Expr, variables: sp.MatrixBase) -> sp.MatrixBase:
    """Minus the gradient of ``function``, of the shape of ``variables``."""
    return sp.ImmutableMatrix(*variables.shape, [-sp.diff(function, w) for w in variables])


def combined_flow(problem: SymbolicProblem, attention: sp.MatrixBase) -> sp.MatrixBase:
    """W' (d, d) from the loss."""
    return steepest_descent(loss(problem, attention), attention)


def combined_diagonal_flow(problem: SymbolicProblem, beta: sp.MatrixBase) -> sp.MatrixBase:
    """beta' (d, 1) from the loss at W = diag(beta), beta itself trained."""
    return steepest_descent(loss(problem, sp.diag(*beta)), beta)


def diagonal_flow(
    problem: SymbolicProblem, key: sp.MatrixBase, query: sp.MatrixBase
) -> tuple[sp.MatrixBase, sp.MatrixBase]:
    """k', q' (d, 1) from the loss at W = diag(k * q)."""
    value = loss(problem, sp.diag(*key.multiply_elementwise(query)))
    return steepest_descent(value, key), steepest_descent(value, query)


def factored_flow(
    problem: SymbolicProblem, key: sp.MatrixBase, query: sp.MatrixBase
) -> tuple[sp.MatrixBase, sp.MatrixBase]:
    """K', Q' (d, e) from the loss at W = K Q^T."""
    value = loss(problem, key * query.T)
    return steepest_descent(value, key), steepest_descent(value, query)


def margin_form(problem: SymbolicProblem, attention: sp.MatrixBase) -> sp.MatrixBase:
    """G(lambda) (d, d) at W."""
    return weighted(multipliers(problem, attention), constraints(problem))


def diagonal_margin_form(problem: SymbolicProblem, beta: sp.MatrixBase) -> sp.MatrixBase:
    """A^T lambda (d, 1) at W = diag(beta)."""
    return rows(problem).T * sp.Matrix(multipliers(problem, sp.diag(*beta)))


_CHAIN = (
    ("Start from the loss.", r"L = \frac{1}{n} \sum_i e^{-\bar\gamma_i}"),
    (
        "Differentiate through the softmax.",
        r"-\nabla_W L = \frac{1}{n} \sum_i e^{-\bar\gamma_i} \sum_l s_{il} (\gamma_{il} - "
        r"\bar\gamma_i) \, x_{il} z_i^\top",
    ),
    (
        "The weights sum to zero over l, so x_io may be subtracted from every token.",
        r"\sum_l s_{il} (\gamma_{il} - \bar\gamma_i) = 0",
    ),
    (
        "Collect the constraint matrices.",
        r"-\nabla_W L = \sum_r \lambda_r G_r, \quad G_r = (x_{io} - x_{il}) z_i^\top",
    ),
)


def identities() -> list[Identity]:
    """The margin forms and the conserved quantities, all from the loss."""
    return [*_combined_identities(), *_diagonal_identities(), *_factored_identities()]


def _combined_identities() -> list[Identity]:
    problem = symbolic_problem(samples=2, length=3, dim=2)
    wide = symbolic_problem(samples=2, length=3, dim=3)
    attention, beta = matrix("W", 2, 2), vector("beta", 3)
    return [
        Identity(
            claim="symbolic.margin-form-combined",
            name="matrix",
            statement="Minus the loss gradient in W is G(lambda); n = 2, L = 3, d = 2.",
            latex=r"-\nabla_W L = \sum_r \lambda_r G_r",
            left=combined_flow(problem, attention),
            right=margin_form(problem, attention),
            steps=_CHAIN,
        ),
        Identity(
            claim="symbolic.margin-form-combined",
            name="vector",
            statement="Minus the loss gradient in beta is A^T lambda; n = 2, L = 3, d = 3.",
            latex=r"-\nabla_\beta L = A^\top \lambda",
            left=combined_diagonal_flow(wide, beta),
            right=diagonal_margin_form(wide, beta),
        ),
    ]


def _diagonal_identities() -> list[Identity]:
    problem = symbolic_problem(samples=2, length=3, dim=2)
    key, query = vector("k", 2), vector("q", 2)
    k_dot, q_dot = diagonal_flow(problem, key, query)
    force = diagonal_margin_form(problem, key.multiply_elementwise(query))
    drift = 2 * key.multiply_elementwise(k_dot) - 2 * query.multiply_elementwise(q_dot)
    return [
        Identity(
            claim="symbolic.margin-form-diagonal",
            name="key",
            statement="k' = q * A^T lambda; n = 2, L = 3, d = 2.",
            latex=r"\dot k = q \circ A^\top \lambda",
            left=k_dot,
            right=query.multiply_elementwise(force),
            steps=(
                (
                    "Start from the loss in k and q.",
                    r"L = L(W), \quad W = \operatorname{diag}(k \circ q)",
                ),
                (
                    "Product rule.",
                    r"-\nabla_k L = q \circ (-\nabla_\beta L) = q \circ A^\top \lambda",
                ),
            ),
        ),
        Identity(
            claim="symbolic.margin-form-diagonal",
            name="query",
            statement="q' = k * A^T lambda; n = 2, L = 3, d = 2.",
            latex=r"\dot q = k \circ A^\top \lambda",
            left=q_dot,
            right=key.multiply_elementwise(force),
        ),
        Identity(
            claim="symbolic.diagonal-conservation",
            name="difference-of-squares",
            statement="2 k k' - 2 q q' vanishes with k', q' from the loss; n = 2, L = 3, d = 2.",
            latex=r"2 k \circ \dot k - 2 q \circ \dot q = 0",
            left=drift,
            right=sp.zeros(2, 1),
            steps=(
                (
                    "Insert the flow.",
                    r"\tfrac{d}{dt} (k_j^2 - q_j^2) = 2 k_j q_j (A^\top \lambda)_j - "
                    r"2 q_j k_j (A^\top \lambda)_j",
                ),
            ),
        ),
    ]


def _factored_identities() -> list[Identity]:
    problem = symbolic_problem(samples=2, length=3, dim=2)
    key, query = matrix("K", 2, 2), matrix("Q", 2, 2)
    k_dot, q_dot = factored_flow(problem, key, query)
    force = margin_form(problem, key * query.T)
    drift = k_dot.T * key + key.T * k_dot - q_dot.T * query - query.T * q_dot
    return [
        Identity(
            claim="symbolic.margin-form-factored",
            name="key",
            statement="K' = G(lambda) Q; n = 2, L = 3, d = e = 2.",
            latex=r"\dot K = G(\lambda) Q",
            left=k_dot,
            right=force * query,
            steps=(
                ("Start from the loss in K and Q.", r"L = L(W), \quad W = K Q^\top"),
                ("Chain rule.", r"-\nabla_K L = (-\nabla_W L) Q, \quad -\nabla_W L = G(\lambda)"),
            ),
        ),
        Identity(
            claim="symbolic.margin-form-factored",
            name="query",
            statement="Q' = G(lambda)^T K; n = 2, L = 3, d = e = 2.",
            latex=r"\dot Q = G(\lambda)^\top K",
            left=q_dot,
            right=force.T * key,
        ),
        Identity(
            claim="symbolic.factored-conservation",
            name="difference-of-grams",
            statement=(
                "The time derivative of K^T K - Q^T Q vanishes with K', Q' from the loss; "
                "n = 2, L = 3, d = e = 2."
            ),
            latex=(r"\dot K^\top K + K^\top \dot K - \dot Q^\top Q - Q^\top \dot Q = 0"),
            left=drift,
            right=sp.zeros(2, 2),
            steps=(
                (
                    "Insert the flow; the four products cancel in pairs.",
                    r"Q^\top G^\top K + K^\top G Q - K^\top G Q - Q^\top G^\top K = 0",
                ),
            ),
        ),
    ]
