"""The SVM problems: objective, margins, multipliers, Lagrangian, dual.

Each problem minimises ``objective`` over ``variables`` subject to ``margins`` >= 1 (and
``nonnegative`` >= 0).  R constraints in dimension d, every entry a free real symbol.
"""

from __future__ import annotations

from dataclasses import dataclass

import sympy as sp

from theory.attention import inner, matrix, squared_norm, vector, weighted
from theory.reparameterization import weights


@dataclass(frozen=True, eq=False)
class MarginProblem:
    """min objective(variables) s.t. margins_r >= 1, nonnegative_j >= 0."""

    norm: str
    """l1, l2, frobenius, reparameterized or nuclear."""
    variables: tuple[sp.Symbol, ...]
    objective: sp.Expr
    margins: tuple[sp.Expr, ...]
    multipliers: tuple[sp.Symbol, ...]
    """mu_r, of the margins; they are to be >= 0."""
    nonnegative: tuple[sp.Symbol, ...] = ()
    slacks: tuple[sp.Symbol, ...] = ()
    """nu_j, of the sign constraints; they are to be >= 0."""

    @property
    def lagrangian(self) -> sp.Expr:
        """objective - sum mu_r (margin_r - 1) - sum nu_j variable_j."""
        return (
            self.objective
            - sp.Add(*(mu * (m - 1) for mu, m in zip(self.multipliers, self.margins, strict=True)))
            - sp.Add(*(nu * b for nu, b in zip(self.slacks, self.nonnegative, strict=True)))
        )

    @property
    def stationarity(self) -> sp.MatrixBase:
        """The Lagrangian's gradient, by sympy's derivative; zero at a KKT point."""
        return sp.ImmutableMatrix([sp.diff(self.lagrangian, v) for v in self.variables])

    @property
    def complementarity(self) -> sp.Expr:
        """sum mu_r (margin_r - 1): its terms vanish at a KKT point, none is ever negative."""
        return sp.Add(*(mu * (m - 1) for mu, m in zip(self.multipliers, self.margins, strict=True)))

    @property
    def dual_value(self) -> sp.Expr:
        """sum mu_r, the dual value of the problems whose objective is a norm or its square
        in factors; the l2 problem subtracts |G(mu)|^2/2 (see ``quadratic_dual``)."""
        return sp.Add(*self.multipliers)


ROWS = 3
"""Constraints of the symbolic problems."""


def multipliers(size: int = ROWS) -> sp.MatrixBase:
    """mu (R, 1)."""
    return vector("mu", size)


def simplex_weights(size: int = ROWS) -> list[sp.Expr]:
    """p (R,): free but for the last, which is one minus the others."""
    free = [sp.Symbol(f"p_{r + 1}", real=True) for r in range(size - 1)]
    return [*free, 1 - sp.Add(*free)]


def l1_problem(dim: int = 2) -> MarginProblem:
    """min sum(b+ + b-) s.t. A (b+ - b-) >= 1, b+, b- >= 0: the l1 SVM, split."""
    up, down = vector("b_plus", dim), vector("b_minus", dim)
    margins = matrix("A", ROWS, dim) * (up - down)
    variables = (*up, *down)
    return MarginProblem(
        norm="l1",
        variables=variables,
        objective=sp.Add(*variables),
        margins=tuple(margins),
        multipliers=tuple(multipliers()),
        nonnegative=variables,
        slacks=tuple(vector("nu", 2 * dim)),
    )


def l2_problem(dim: int = 3) -> MarginProblem:
    """min |beta|^2/2 s.t. A beta >= 1."""
    beta = vector("beta", dim)
    return MarginProblem(
        norm="l2",
        variables=tuple(beta),
        objective=squared_norm(beta) / 2,
        margins=tuple(matrix("A", ROWS, dim) * beta),
        multipliers=tuple(multipliers()),
    )


def constraint_matrices(dim: int = 2) -> list[sp.MatrixBase]:
    """G_r = delta_r z_r^T, (d, d), rank one as in the data; z_r may differ from row to row."""
    return [vector(f"delta_{r + 1}", dim) * vector(f"z_{r + 1}", dim).T for r in range(ROWS)]


def frobenius_problem(dim: int = 2) -> MarginProblem:
    """min |W|^2/2 s.t. <G_r, W> >= 1."""
    attention = matrix("W", dim, dim)
    return MarginProblem(
        norm="frobenius",
        variables=tuple(attention),
        objective=squared_norm(attention) / 2,
        margins=tuple(inner(g, attention) for g in constraint_matrices(dim)),
        multipliers=tuple(multipliers()),
    )


def reparameterized_problem(dim: int = 2) -> MarginProblem:
    """min (|w+|^2 + |w-|^2)/2 s.t. A (w+^2 - w-^2)/2 >= 1."""
    plus, minus = vector("u", dim), vector("w", dim)
    return MarginProblem(
        norm="reparameterized",
        variables=(*plus, *minus),
        objective=(squared_norm(plus) + squared_norm(minus)) / 2,
        margins=tuple(matrix("A", ROWS, dim) * weights(plus, minus)),
        multipliers=tuple(multipliers()),
    )


def nuclear_problem(dim: int = 2) -> MarginProblem:
    """min (|K|^2 + |Q|^2)/2 s.t. <G_r, K Q^T> >= 1, K and Q (d, d)."""
    key, query = matrix("K", dim, dim), matrix("Q", dim, dim)
    return MarginProblem(
        norm="nuclear",
        variables=(*key, *query),
        objective=(squared_norm(key) + squared_norm(query)) / 2,
        margins=tuple(inner(g, key * query.T) for g in constraint_matrices(dim)),
        multipliers=tuple(multipliers()),
    )


def row_force(dim: int, coefficients: list[sp.Expr]) -> sp.MatrixBase:
    """A^T mu (d, 1) for the rows A of the vector problems."""
    return matrix("A", ROWS, dim).T * sp.Matrix(coefficients)


def matrix_force(dim: int, coefficients: list[sp.Expr]) -> sp.MatrixBase:
    """G(mu) (d, d) for the constraint matrices of the matrix problems."""
    return weighted(coefficients, constraint_matrices(dim))


def quadratic_dual(problem: MarginProblem, force: sp.MatrixBase) -> sp.Expr:
    """sum mu_r - |G(mu)|^2/2: the l2 Lagrangian at its minimiser W = G(mu)."""
    return problem.dual_value - squared_norm(force) / 2
