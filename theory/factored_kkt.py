"""KKT conditions of the problems in factors: w+ and w-, and key and query.

Their objectives are squared norms of factors, their margins quadratic: a KKT point need not
be optimal.  Equivalence with the l1 and the nuclear problem, and what is missing without
dual feasibility, are identities here.
"""

from __future__ import annotations

import sympy as sp

from theory.alignment import rotation
from theory.attention import inner, matrix, squared_norm, vector
from theory.gradient_flow import steepest_descent
from theory.identities import Identity
from theory.kkt import excess
from theory.margin_problems import (
    ROWS,
    constraint_matrices,
    l1_problem,
    matrix_force,
    nuclear_problem,
    reparameterized_problem,
    row_force,
    simplex_weights,
)
from theory.reparameterization import times


def identities() -> list[Identity]:
    """KKT conditions and certificates of the w+- and the key and query problems."""
    return [*_reparameterized_identities(), *_factored_identities(), *_nuclear_identities()]


def _reparameterized_identities() -> list[Identity]:
    claim, problem = "symbolic.kkt-reparameterized", reparameterized_problem(2)
    plus, minus = sp.Matrix(problem.variables[:2]), sp.Matrix(problem.variables[2:])
    force = row_force(2, list(problem.multipliers))
    one = sp.ones(2, 1)
    stated = sp.Matrix.vstack(times(plus, one - force), times(minus, one + force))
    halves = sp.Add(
        *(x**2 * (1 - f) for x, f in zip(plus, force, strict=True)),
        *(x**2 * (1 + f) for x, f in zip(minus, force, strict=True)),
    )
    convex = l1_problem(2)
    squares = {b: w**2 / 2 for b, w in zip(convex.variables, problem.variables, strict=True)}
    ascent = -steepest_descent(problem.complementarity, sp.Matrix(problem.variables))
    return [
        Identity(
            claim=claim,
            name="stationarity",
            statement="The Lagrangian's gradient is w+ * (1 - A^T mu), w- * (1 + A^T mu).",
            latex=r"\nabla_{w_\pm} \mathcal{L} = w_\pm \circ (1 \mp A^\top \mu)",
            left=problem.stationarity,
            right=stated,
        ),
        Identity(
            claim=claim,
            name="flow-direction",
            statement="The gradient of the mu-weighted margin is the decoupled flow of w.",
            latex=r"\nabla_{w_\pm} \sum_r \mu_r m_r = \pm w_\pm \circ A^\top \mu",
            left=ascent,
            right=sp.Matrix.vstack(times(plus, force), -times(minus, force)),
        ),
        Identity(
            claim=claim,
            name="same-problem",
            statement="With b+- = w+-^2/2 >= 0, objective and margins are the l1 problem's.",
            latex=r"b_\pm = \tfrac{1}{2} w_\pm^2",
            left=sp.Matrix([convex.objective, *convex.margins]).subs(squares),
            right=sp.Matrix([problem.objective, *problem.margins]),
        ),
        Identity(
            claim=claim,
            name="duality-gap",
            statement="Primal minus dual value: products >= 0 where |A^T mu| <= 1, mu >= 0.",
            latex=(
                r"\tfrac{1}{2} \|w\|^2 - \sum_r \mu_r = \tfrac{1}{2} \sum_j [ w_{+,j}^2 (1 - "
                r"A^\top \mu)_j + w_{-,j}^2 (1 + A^\top \mu)_j ] + \sum_r \mu_r (m_r - 1)"
            ),
            left=problem.objective - problem.dual_value,
            right=halves / 2 + problem.complementarity,
        ),
        _stuck_point(),
    ]


def _stuck_point() -> Identity:
    """b_1 + 2 b_2 >= 1 in every row: w+ = (sqrt 2, 0) is a KKT point of twice the value."""
    problem = reparameterized_problem(2)
    entries = matrix("A", ROWS, 2)
    values = {entries[r, j]: j + 1 for r in range(ROWS) for j in range(2)}
    values |= dict(zip(problem.multipliers, (1, 0, 0), strict=True))
    stuck = values | dict(zip(problem.variables, (sp.sqrt(2), 0, 0, 0), strict=True))
    best = values | dict(zip(problem.variables, (0, 1, 0, 0), strict=True))
    dual = sp.Rational(1, 2)  # mu = 1/2 is dual feasible: A^T mu = (1/2, 1)
    force = row_force(2, list(problem.multipliers)).subs(values)
    return Identity(
        claim="symbolic.kkt-reparameterized",
        name="dual-feasibility-is-needed",
        statement=(
            "For the constraint b_1 + 2 b_2 >= 1: w+ = (sqrt 2, 0) with mu = 1 is "
            "stationary and tight with value 1, A^T mu = (1, 2) is not dual feasible, and "
            "w+ = (0, 1) is feasible with value 1/2, which the multiplier 1/2 proves optimal."
        ),
        latex=r"w_+ = (\sqrt{2}, 0), \; \mu = 1: \quad \tfrac{1}{2} \|w\|^2 = 1 > \tfrac{1}{2}",
        left=sp.Matrix(
            [
                *problem.stationarity.subs(stuck),
                problem.margins[0].subs(stuck),
                problem.objective.subs(stuck),
                *force,
                problem.margins[0].subs(best),
                problem.objective.subs(best),
            ]
        ),
        right=sp.Matrix([0, 0, 0, 0, 1, 1, 1, 2, 1, dual]),
    )


def _factored_identities() -> list[Identity]:
    claim, problem = "symbolic.kkt-factored", nuclear_problem(2)
    key, query = matrix("K", 2, 2), matrix("Q", 2, 2)
    force = matrix_force(2, list(problem.multipliers))
    key_rest, query_rest = key - force * query, query - force.T * key
    return [
        Identity(
            claim=claim,
            name="stationarity",
            statement="The Lagrangian's gradient is K - G(mu) Q, Q - G(mu)^T K; d = e = 2.",
            latex=(
                r"\nabla_K \mathcal{L} = K - G(\mu) Q, \quad \nabla_Q \mathcal{L} = Q - "
                r"G(\mu)^\top K"
            ),
            left=problem.stationarity,
            right=sp.Matrix([*key_rest, *query_rest]),
        ),
        Identity(
            claim=claim,
            name="duality-gap",
            statement="Primal minus dual value: a quadratic form plus complementarity.",
            latex=(
                r"\tfrac{1}{2} (\|K\|^2 + \|Q\|^2) - \sum_r \mu_r = \tfrac{1}{2} \|K\|^2 + "
                r"\tfrac{1}{2} \|Q\|^2 - \langle G(\mu), K Q^\top \rangle + \sum_r \mu_r (m_r - 1)"
            ),
            left=problem.objective - problem.dual_value,
            right=(
                (squared_norm(key) + squared_norm(query)) / 2
                - inner(force, key * query.T)
                + problem.complementarity
            ),
        ),
        Identity(
            claim=claim,
            name="balanced",
            statement="K^T K - Q^T Q vanishes wherever the stationarity residuals do.",
            latex=r"K^\top K - Q^\top Q = K^\top (K - G Q) - (Q - G^\top K)^\top Q",
            left=key.T * key - query.T * query,
            right=key.T * key_rest - query_rest.T * query,
        ),
    ]


def _nuclear_identities() -> list[Identity]:
    claim = "symbolic.kkt-factored"
    left, right = rotation("a"), rotation("b")
    key, query, singular = matrix("K", 2, 2), matrix("Q", 2, 2), vector("sigma", 2)
    energy = (squared_norm(key) + squared_norm(query)) / 2
    force = left * sp.diag(*singular) * right.T
    key_part, query_part = left.T * key, right.T * query
    bound = sp.Symbol("t", real=True)
    squares = sp.Add(
        *(
            singular[i] / 2 * squared_norm(key_part[i, :] - query_part[i, :])
            + (bound - singular[i])
            / 2
            * (squared_norm(key_part[i, :]) + squared_norm(query_part[i, :]))
            for i in range(2)
        )
    )
    roots = vector("rho", 2)
    best_key, best_query = left * sp.diag(*roots), right * sp.diag(*roots)
    attained = left * sp.diag(*(x**2 for x in roots)) * right.T
    p = simplex_weights()
    smallest, spare = excess(p, tuple(inner(g, key * query.T) for g in constraint_matrices(2)))
    tilted = inner(matrix_force(2, p), key * query.T)
    return [
        Identity(
            claim=claim,
            name="dual-norm",
            statement=(
                "For G = U S V^T: t times half the squared norms less <G, K Q^T> is a sum of "
                "squares with weights >= 0 where 0 <= S <= t."
            ),
            latex=(
                r"\tfrac{t}{2} (\|K\|^2 + \|Q\|^2) - \langle G, K Q^\top \rangle = \sum_i \Bigl[ "
                r"\tfrac{\sigma_i}{2} \| \hat K_i - \hat Q_i \|^2 + \tfrac{t - \sigma_i}{2} "
                r"(\|\hat K_i\|^2 + \|\hat Q_i\|^2) \Bigr], \; \hat K = U^\top K, \hat Q = "
                r"V^\top Q"
            ),
            left=bound * energy - inner(force, key * query.T),
            right=squares,
        ),
        Identity(
            claim=claim,
            name="margin-bound",
            statement=(
                "<G(p), W> exceeds the smallest margin by products >= 0, for p in the simplex; "
                "with dual-norm this bounds the normalised margin by the largest singular value."
            ),
            latex=r"\langle G(p), K Q^\top \rangle - m_{\min} = \sum_r p_r (m_r - m_{\min})",
            left=tilted - smallest,
            right=spare,
        ),
        Identity(
            claim=claim,
            name="nuclear-lower-bound",
            statement="Half the squared norms less <U V^T, K Q^T> is half a squared norm.",
            latex=(
                r"\tfrac{1}{2} (\|K\|^2 + \|Q\|^2) - \langle U V^\top, K Q^\top \rangle = "
                r"\tfrac{1}{2} \| U^\top K - V^\top Q \|^2"
            ),
            left=energy - inner(left * right.T, key * query.T),
            right=squared_norm(key_part - query_part) / 2,
        ),
        Identity(
            claim=claim,
            name="nuclear-value",
            statement="<U V^T, U S V^T> is the sum of S: the nuclear norm, for S >= 0.",
            latex=r"\langle U V^\top, U \Sigma V^\top \rangle = \sum_i \sigma_i",
            left=inner(left * right.T, force),
            right=sp.Add(*singular),
        ),
        Identity(
            claim=claim,
            name="nuclear-attained",
            statement=(
                "K = U rho, Q = V rho with rho^2 = S gives W = U S V^T and half the squared "
                "norms equal to the sum of S."
            ),
            latex=(
                r"K = U \sqrt{\Sigma}, \; Q = V \sqrt{\Sigma}: \quad K Q^\top = U \Sigma V^\top, "
                r"\; \tfrac{1}{2} (\|K\|^2 + \|Q\|^2) = \sum_i \sigma_i"
            ),
            left=sp.Matrix(
                [
                    *(best_key * best_query.T),
                    (squared_norm(best_key) + squared_norm(best_query)) / 2,
                ]
            ),
            right=sp.Matrix([*attained, sp.Add(*(x**2 for x in roots))]),
        ),
    ]
