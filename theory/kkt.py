"""KKT conditions, duality gaps and margin bounds, derived from the margin problems.

A duality gap is written as a sum of products whose factors are not negative at a feasible
pair: that is weak duality, and a pair that makes every product vanish is optimal.
"""

from __future__ import annotations

import sympy as sp

from theory.attention import inner, matrix, squared_minors, squared_norm, vector
from theory.identities import Identity
from theory.margin_problems import (
    MarginProblem,
    frobenius_problem,
    l1_problem,
    l2_problem,
    matrix_force,
    quadratic_dual,
    row_force,
    simplex_weights,
)


def identities() -> list[Identity]:
    """KKT conditions and certificates of the l1, l2 and Frobenius problems."""
    return [
        *_l1_identities(),
        *_quadratic_identities("l2", l2_problem(3), vector("beta", 3)),
        *_quadratic_identities("frobenius", frobenius_problem(2), matrix("W", 2, 2)),
        *_cauchy_identities(),
    ]


def excess(p: list[sp.Expr], margins: tuple[sp.Expr, ...]) -> tuple[sp.Expr, sp.Expr]:
    """(smallest margin as a symbol, sum p_r (m_r - smallest)): the latter is >= 0 in the
    simplex."""
    smallest = sp.Symbol("m_min", real=True)
    return smallest, sp.Add(*(q * (m - smallest) for q, m in zip(p, margins, strict=True)))


def _l1_identities() -> list[Identity]:
    claim, problem = "symbolic.kkt-l1", l1_problem(2)
    up, down = problem.variables[:2], problem.variables[2:]
    force = row_force(2, list(problem.multipliers))
    reduced = [1 - f for f in force] + [1 + f for f in force]
    stated = [cost - nu for cost, nu in zip(reduced, problem.slacks, strict=True)]
    products = sp.Add(*(b * cost for b, cost in zip(problem.variables, reduced, strict=True)))
    p = simplex_weights()
    bound = sp.Symbol("t", real=True)
    tilted = row_force(2, p)
    smallest, spare = excess(p, problem.margins)
    sides = sp.Add(
        *(b * (bound - f) for b, f in zip(up, tilted, strict=True)),
        *(b * (bound + f) for b, f in zip(down, tilted, strict=True)),
    )
    unslacked = problem.lagrangian.subs(dict.fromkeys(problem.slacks, 0))
    return [
        Identity(
            claim=claim,
            name="stationarity",
            statement=(
                "The Lagrangian's gradient is 1 -+ A^T mu - nu: with nu >= 0 that says "
                "|A^T mu| <= 1, with equality where nu = 0, on the support."
            ),
            latex=r"\nabla_{b_\pm} \mathcal{L} = 1 \mp A^\top \mu - \nu_\pm",
            left=problem.stationarity,
            right=sp.Matrix(stated),
        ),
        Identity(
            claim=claim,
            name="dual",
            statement=(
                "Without nu the Lagrangian is sum mu plus b times reduced costs: its infimum "
                "over b >= 0 is sum mu where |A^T mu| <= 1, minus infinity elsewhere."
            ),
            latex=(
                r"\mathcal{L} = \sum_r \mu_r + b_+^\top (1 - A^\top \mu) + b_-^\top "
                r"(1 + A^\top \mu)"
            ),
            left=unslacked,
            right=problem.dual_value + products,
        ),
        Identity(
            claim=claim,
            name="duality-gap",
            statement="Primal minus dual value: products of factors >= 0 at a feasible pair.",
            latex=(
                r"\|\beta\|_1 - \sum_r \mu_r = b_+^\top (1 - A^\top \mu) + b_-^\top (1 + A^\top "
                r"\mu) + \sum_r \mu_r (m_r - 1)"
            ),
            left=problem.objective - problem.dual_value,
            right=products + problem.complementarity,
        ),
        Identity(
            claim=claim,
            name="margin-bound",
            statement=(
                "t ||beta||_1 less the smallest margin: products of factors >= 0 for every p "
                "in the simplex and t = max |A^T p|."
            ),
            latex=(
                r"t \|\beta\|_1 - m_{\min} = b_+^\top (t - A^\top p) + b_-^\top (t + A^\top p) + "
                r"\sum_r p_r (m_r - m_{\min})"
            ),
            left=bound * problem.objective - smallest,
            right=sides + spare,
        ),
    ]


def _quadratic_identities(
    name: str, problem: MarginProblem, weights: sp.MatrixBase
) -> list[Identity]:
    claim = "symbolic.kkt-l2"
    coefficients = list(problem.multipliers)
    force = row_force(3, coefficients) if name == "l2" else matrix_force(2, coefficients)
    at_minimum = dict(zip(problem.variables, force, strict=True))
    p = simplex_weights()
    tilted = row_force(3, p) if name == "l2" else matrix_force(2, p)
    smallest, spare = excess(p, problem.margins)
    return [
        Identity(
            claim=claim,
            name=f"{name}-stationarity",
            statement="The Lagrangian's gradient is W - G(mu).",
            latex=r"\nabla_W \mathcal{L} = W - G(\mu)",
            left=problem.stationarity,
            right=sp.Matrix(list(weights - force)),
        ),
        Identity(
            claim=claim,
            name=f"{name}-dual",
            statement="The Lagrangian at its minimiser W = G(mu) is the dual value.",
            latex=r"\min_W \mathcal{L} = \sum_r \mu_r - \tfrac{1}{2} \|G(\mu)\|^2",
            left=problem.lagrangian.subs(at_minimum),
            right=quadratic_dual(problem, force),
        ),
        Identity(
            claim=claim,
            name=f"{name}-duality-gap",
            statement="Primal minus dual value: half a squared distance plus products >= 0.",
            latex=(
                r"\tfrac{1}{2} \|W\|^2 - \sum_r \mu_r + \tfrac{1}{2} \|G(\mu)\|^2 = \tfrac{1}{2} "
                r"\|W - G(\mu)\|^2 + \sum_r \mu_r (m_r - 1)"
            ),
            left=problem.objective - quadratic_dual(problem, force),
            right=squared_norm(weights - force) / 2 + problem.complementarity,
        ),
        Identity(
            claim=claim,
            name=f"{name}-margin-bound",
            statement=(
                "<W, G(p)> exceeds the smallest margin by products >= 0, for p in the simplex; "
                "Cauchy-Schwarz does the rest."
            ),
            latex=r"\langle W, G(p) \rangle - m_{\min} = \sum_r p_r (m_r - m_{\min})",
            left=inner(weights, tilted) - smallest,
            right=spare,
        ),
    ]


def _cauchy_identities() -> list[Identity]:
    a, b = vector("f", 4), vector("g", 4)
    return [
        Identity(
            claim="symbolic.kkt-l2",
            name="cauchy-schwarz",
            statement="Lagrange's identity: the difference is a sum of squares; four entries.",
            latex=r"\|f\|^2 \|g\|^2 - \langle f, g \rangle^2 = \sum_{i < j} (f_i g_j - f_j g_i)^2",
            left=squared_norm(a) * squared_norm(b) - inner(a, b) ** 2,
            right=squared_minors(a, b),
        )
    ]
