"""The late flow: its weights p, and why the smooth margin over the squared norm never falls.

Late, lambda_r = exp(kappa_r - m_r), so that in rescaled time p = softmax(kappa - m).  The
weights are w = (w+, w-) in the diagonal case and Z = [K; Q] in the factored case; in both
the margins are quadratic in the weights.
"""

from __future__ import annotations

import sympy as sp

from theory.attention import (
    attention_paid,
    inner,
    matrix,
    multipliers,
    output,
    squared_minors,
    squared_norm,
    symbolic_problem,
    vector,
)
from theory.gradient_flow import steepest_descent
from theory.identities import Identity
from theory.reparameterization import weights

_CLAIM = "symbolic.monotone-margin"


def identities() -> list[Identity]:
    """The late form of lambda, and the monotone margin in both models."""
    plus, minus = vector("u", 2), vector("w", 2)
    key, query = matrix("K", 2, 2), matrix("Q", 2, 2)
    matrices = [vector(f"delta_{r}", 2) * vector(f"z_{r}", 2).T for r in (1, 2)]
    diagonal = matrix("A", 3, 2) * weights(plus, minus)
    factored = sp.Matrix([inner(g, key * query.T) for g in matrices])
    return [
        _late_identity(),
        *_speeds("diagonal", sp.Matrix.vstack(plus, minus), diagonal),
        *_speeds("factored", sp.Matrix([*key, *query]), factored),
        *_smooth_margin_identities(diagonal),
        _cosine_identity(),
    ]


def late_weights(kappa: sp.MatrixBase, margins: sp.MatrixBase) -> tuple[sp.MatrixBase, sp.Expr]:
    """(p, m~): the softmax (R, 1) of kappa - m, and minus the log of its denominator."""
    boltzmann = [sp.exp(k - m) for k, m in zip(kappa, margins, strict=True)]
    total = sp.Add(*boltzmann)
    return sp.ImmutableMatrix([b / total for b in boltzmann]), -sp.log(total)


def _speeds(model: str, point: sp.MatrixBase, margins: sp.MatrixBase) -> list[Identity]:
    """m~' = |w'|^2, S' = 2 p^T m and their quotient, ' the derivative in rescaled time."""
    size = len(margins)
    kappa, frozen = vector("kappa", size), vector("p", size)
    p, smooth = late_weights(kappa, margins)
    ascent = -steepest_descent(inner(frozen, margins), point)
    velocity = ascent.subs(dict(zip(frozen, p, strict=True)))
    energy = squared_norm(point) / 2
    weighted = inner(p, margins)
    gain = sp.Add(*(sp.diff(smooth, x) * v for x, v in zip(point, velocity, strict=True)))
    growth = sp.Add(*(sp.diff(energy, x) * v for x, v in zip(point, velocity, strict=True)))
    cosine = inner(point, velocity) ** 2 / (squared_norm(point) * squared_norm(velocity))
    words = f"{size} constraints, {model} weights in dimension 2."
    return [
        Identity(
            claim=_CLAIM,
            name=f"{model}-smooth-margin-speed",
            statement=f"dm~/dtau = |w'|^2; {words}",
            latex=r"\frac{d \tilde m}{d\tau} = \| w' \|^2, \quad w' = \nabla_w \, p^\top m",
            left=gain,
            right=squared_norm(velocity),
            steps=(
                ("p is the gradient of the smooth margin in m.", r"\nabla_m \tilde m = p"),
                ("The velocity is the gradient of p^T m in w, p held.", r"w' = J_m^\top p"),
            ),
        ),
        Identity(
            claim=_CLAIM,
            name=f"{model}-energy-speed",
            statement=f"dS/dtau = 2 p^T m: margins are homogeneous of degree two; {words}",
            latex=r"\frac{dS}{d\tau} = \langle w, w' \rangle = 2 p^\top m",
            left=growth,
            right=2 * weighted,
        ),
        Identity(
            claim=_CLAIM,
            name=f"{model}-quotient",
            statement=(
                "The quotient of the logarithmic derivatives of m~ and S is (p^T m/m~)/cos^2 of "
                f"the angle between w and w'; {words}"
            ),
            latex=(
                r"\frac{\tilde m' / \tilde m}{S' / S} = \frac{p^\top m / \tilde m}{\cos^2}, \quad "
                r"\cos^2 = \frac{\langle w, w' \rangle^2}{\|w\|^2 \|w'\|^2}"
            ),
            left=(gain / smooth) / (growth / energy),
            right=(weighted / smooth) / cosine,
        ),
    ]


def _smooth_margin_identities(margins: sp.MatrixBase) -> list[Identity]:
    kappa = vector("kappa", 3)
    p, smooth = late_weights(kappa, margins)
    ratios = [sp.exp(kappa[r] - kappa[0] - margins[r] + margins[0]) for r in (1, 2)]
    return [
        Identity(
            claim=_CLAIM,
            name="weighted-margin-above-smooth",
            statement=(
                "p^T m - m~ = p^T kappa plus the entropy of p, neither negative where "
                "kappa >= 0 (each 0 < p_r < 1)."
            ),
            latex=r"p^\top m - \tilde m = p^\top \kappa - \sum_r p_r \ln p_r",
            left=inner(p, margins) - smooth,
            right=inner(p, kappa) - sp.Add(*(q * sp.log(q) for q in p)),
        ),
        Identity(
            claim=_CLAIM,
            name="smooth-margin-below",
            statement=(
                "exp(m_s - kappa_s - m~) exceeds one by positive terms, so m~ < m_s - kappa_s "
                "for every s; with the entropy at most ln R (Gibbs), p^T m - m_min <= C."
            ),
            latex=(
                r"e^{m_s - \kappa_s - \tilde m} = 1 + \sum_{r \ne s} e^{\kappa_r - m_r - "
                r"\kappa_s + m_s} > 1"
            ),
            left=sp.exp(margins[0] - kappa[0] - smooth),
            right=1 + sp.Add(*ratios),
        ),
    ]


def _cosine_identity() -> Identity:
    a, b = vector("f", 4), vector("g", 4)
    return Identity(
        claim=_CLAIM,
        name="cosine-at-most-one",
        statement="Lagrange's identity: |f|^2 |g|^2 - <f, g>^2 is a sum of squares.",
        latex=r"\|f\|^2 \|g\|^2 - \langle f, g \rangle^2 = \sum_{i < j} (f_i g_j - f_j g_i)^2",
        left=squared_norm(a) * squared_norm(b) - inner(a, b) ** 2,
        right=squared_minors(a, b),
    )


def _late_identity() -> Identity:
    """lambda_r = exp(kappa_r - m_r) times a factor that tends to one as s_io does."""
    problem = symbolic_problem()
    attention = matrix("W", 2, 2)
    right = []
    for i, token in problem.pairs():
        best = problem.optimal[i]
        average = output(problem, i, attention)
        paid = attention_paid(problem, i, attention)
        lead = problem.scores[i][best] - problem.scores[i][token]
        delta = problem.tokens[i][best] - problem.tokens[i][token]
        margin = inner(delta, attention * problem.queries[i])
        late = sp.exp(-problem.scores[i][best]) * lead / problem.samples * sp.exp(-margin)
        factor = paid[best] * sp.exp(problem.scores[i][best] - average)
        right.append(late * factor * (average - problem.scores[i][token]) / lead)
    return Identity(
        claim=_CLAIM,
        name="late-form",
        statement=(
            "lambda_r is exp(kappa_r - m_r) times s_io exp(gamma_io - output)"
            "(output - gamma_il)/(gamma_io - gamma_il), which tends to one as s_io does."
        ),
        latex=(
            r"\lambda_{il} = e^{\kappa_{il} - m_{il}} \; s_{io} \, e^{\gamma_{io} - "
            r"\bar\gamma_i} \, \frac{\bar\gamma_i - \gamma_{il}}{\gamma_{io} - \gamma_{il}}"
        ),
        left=sp.Matrix(multipliers(problem, attention)),
        right=sp.Matrix(right),
    )
