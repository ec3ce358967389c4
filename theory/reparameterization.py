"""The diagonal flow in the coordinates w+ and w-, its mirror form, and the late flow.

w+ = (k + q)/sqrt 2, w- = (k - q)/sqrt 2.  Where signs matter, |w+| and |w-| are positive
symbols and all four sign patterns are stated.
"""

from __future__ import annotations

from itertools import product

import sympy as sp

from theory.attention import (
    attention_paid,
    inner,
    loss,
    matrix,
    multipliers,
    output,
    squared_minors,
    squared_norm,
    symbolic_problem,
    vector,
)
from theory.gradient_flow import diagonal_flow, diagonal_margin_form, steepest_descent
from theory.identities import Identity


def times(a: sp.MatrixBase, b: sp.MatrixBase) -> sp.MatrixBase:
    """The entrywise product."""
    return a.multiply_elementwise(b)


def weights(plus: sp.MatrixBase, minus: sp.MatrixBase) -> sp.MatrixBase:
    """beta = (w+^2 - w-^2)/2, entry by entry."""
    return (times(plus, plus) - times(minus, minus)) / 2


def positive_vector(name: str, size: int) -> sp.MatrixBase:
    """A column of free positive symbols."""
    return sp.ImmutableMatrix([sp.Symbol(f"{name}_{j + 1}", positive=True) for j in range(size)])


def identities() -> list[Identity]:
    """The decoupled flow, the mirror form and the monotone margin."""
    return [*_decoupled_identities(), *_mirror_identities(), *_monotone_identities()]


def _decoupled_identities() -> list[Identity]:
    problem = symbolic_problem(samples=2, length=3, dim=2)
    key, query = vector("k", 2), vector("q", 2)
    k_dot, q_dot = diagonal_flow(problem, key, query)
    force = diagonal_margin_form(problem, times(key, query))
    plus, minus = (key + query) / sp.sqrt(2), (key - query) / sp.sqrt(2)
    free_plus, free_minus = vector("u", 2), vector("w", 2)
    value = loss(problem, sp.diag(*weights(free_plus, free_minus)))
    free_force = diagonal_margin_form(problem, weights(free_plus, free_minus))
    claim = "symbolic.reparameterized-flow"
    return [
        Identity(
            claim=claim,
            name="decoupled",
            statement="(k' +- q')/sqrt 2 = +-w+- * A^T lambda, with k', q' from the loss.",
            latex=r"\dot w_\pm = \pm w_\pm \circ A^\top \lambda",
            left=sp.Matrix.vstack((k_dot + q_dot) / sp.sqrt(2), (k_dot - q_dot) / sp.sqrt(2)),
            right=sp.Matrix.vstack(times(plus, force), -times(minus, force)),
            steps=(
                (
                    "Add and subtract the lines of the diagonal flow.",
                    r"\dot k \pm \dot q = q \circ A^\top \lambda \pm k \circ A^\top \lambda = "
                    r"\pm (k \pm q) \circ A^\top \lambda",
                ),
            ),
        ),
        Identity(
            claim=claim,
            name="gradient",
            statement=(
                "The same flow is minus the gradient of the loss in w+ and w-: the change of "
                "coordinates is orthogonal."
            ),
            latex=r"-\nabla_{w_\pm} L = \pm w_\pm \circ A^\top \lambda",
            left=sp.Matrix.vstack(
                steepest_descent(value, free_plus), steepest_descent(value, free_minus)
            ),
            right=sp.Matrix.vstack(times(free_plus, free_force), -times(free_minus, free_force)),
        ),
        Identity(
            claim=claim,
            name="weights-and-invariant",
            statement="beta = k * q and (k^2 - q^2)/2 in terms of w+ and w-.",
            latex=(
                r"k \circ q = \tfrac{1}{2} (w_+^2 - w_-^2), \quad \tfrac{1}{2} (k^2 - q^2) = "
                r"w_+ \circ w_-"
            ),
            left=sp.Matrix.vstack(times(key, query), (times(key, key) - times(query, query)) / 2),
            right=sp.Matrix.vstack(weights(plus, minus), times(plus, minus)),
        ),
    ]


def _mirror_identities() -> list[Identity]:
    sizes_plus, sizes_minus = positive_vector("a", 2), positive_vector("b", 2)
    claim = "symbolic.mirror-form"
    invariant = times(sizes_plus, sizes_minus)
    mirror = _log_ratio(sizes_plus, sizes_minus)
    sinh = sp.Matrix([c * sp.sinh(r) for c, r in zip(invariant, mirror, strict=True)])
    cosh = sp.Matrix([c * sp.cosh(r) for c, r in zip(invariant, mirror, strict=True)])
    weight_sides: list[sp.Expr] = []
    sinh_sides: list[sp.Expr] = []
    energy_sides: list[sp.Expr] = []
    velocities: list[sp.Expr] = []
    forces: list[sp.Expr] = []
    problem = symbolic_problem(samples=2, length=3, dim=2)
    for sign_plus, sign_minus in product((1, -1), repeat=2):
        plus, minus = sign_plus * sizes_plus, sign_minus * sizes_minus
        key, query = (plus + minus) / sp.sqrt(2), (plus - minus) / sp.sqrt(2)
        weight_sides += list(times(key, query))
        sinh_sides += list(sinh)
        energy_sides.append((squared_norm(key) + squared_norm(query)) / 2)
        value = loss(problem, sp.diag(*times(key, query)))
        # |w|' = sign(w) w', and the flow of w in its sizes is -dL/d|w|
        speeds = [steepest_descent(value, sizes) for sizes in (sizes_plus, sizes_minus)]
        for j in range(2):
            velocities.append(
                sp.diff(mirror[j], sizes_plus[j]) * speeds[0][j]
                + sp.diff(mirror[j], sizes_minus[j]) * speeds[1][j]
            )
        forces += list(2 * diagonal_margin_form(problem, times(key, query)))
    angle = vector("r", 2)
    potential = sp.Add(*(c * sp.cosh(r) for c, r in zip(invariant, angle, strict=True)))
    return [
        Identity(
            claim=claim,
            name="sinh",
            statement="k * q = c sinh r for all four sign patterns of w+, w-.",
            latex=r"\beta_j = c_j \sinh r_j, \quad r_j = \ln | w_{+,j} / w_{-,j} |",
            left=sp.Matrix(weight_sides),
            right=sp.Matrix(sinh_sides),
            steps=(
                (
                    "Write the hyperbolic sine of a logarithm.",
                    r"|w_+ w_-| \sinh \ln \frac{|w_+|}{|w_-|} = \tfrac{1}{2} |w_+ w_-| \Bigl( "
                    r"\frac{|w_+|}{|w_-|} - \frac{|w_-|}{|w_+|} \Bigr) = \tfrac{1}{2} (w_+^2 - "
                    r"w_-^2)",
                ),
            ),
        ),
        Identity(
            claim=claim,
            name="velocity",
            statement="r' = 2 A^T lambda for all four sign patterns, from the loss.",
            latex=r"\dot r = \frac{\dot w_+}{w_+} - \frac{\dot w_-}{w_-} = 2 A^\top \lambda",
            left=sp.Matrix(velocities),
            right=sp.Matrix(forces),
        ),
        Identity(
            claim=claim,
            name="energy",
            statement="(|k|^2 + |q|^2)/2 is the sum of c cosh r, for all four sign patterns.",
            latex=r"\tfrac{1}{2} (\|k\|^2 + \|q\|^2) = \sum_j c_j \cosh r_j",
            left=sp.Matrix(energy_sides),
            right=sp.Matrix([sp.Add(*cosh)] * 4),
        ),
        Identity(
            claim=claim,
            name="energy-bounds-weights",
            statement="c cosh r -+ beta are the squares of w- and w+, hence S >= ||beta||_1.",
            latex=r"c_j \cosh r_j - \beta_j = w_{-,j}^2, \quad c_j \cosh r_j + \beta_j = w_{+,j}^2",
            left=sp.Matrix.vstack(cosh - sinh, cosh + sinh),
            right=sp.Matrix.vstack(times(sizes_minus, sizes_minus), times(sizes_plus, sizes_plus)),
        ),
        Identity(
            claim=claim,
            name="potential",
            statement="beta is the gradient of the mirror potential sum c cosh r.",
            latex=r"\beta = \nabla_r \sum_j c_j \cosh r_j",
            left=sp.Matrix([sp.diff(potential, r) for r in angle]),
            right=sp.Matrix([c * sp.sinh(r) for c, r in zip(invariant, angle, strict=True)]),
        ),
    ]


def _log_ratio(a: sp.MatrixBase, b: sp.MatrixBase) -> list[sp.Expr]:
    """ln(a_j / b_j) of positive symbols."""
    return [sp.log(x / y) for x, y in zip(a, b, strict=True)]


def _monotone_identities() -> list[Identity]:
    claim = "symbolic.monotone-margin"
    plus, minus, constraint = vector("u", 2), vector("w", 2), matrix("A", 3, 2)
    kappa = vector("kappa", 3)
    margins = constraint * weights(plus, minus)
    boltzmann = [sp.exp(kappa[r] - margins[r]) for r in range(3)]
    total = sp.Add(*boltzmann)
    p = sp.ImmutableMatrix([b / total for b in boltzmann])
    smooth = -sp.log(total)
    point = sp.Matrix.vstack(plus, minus)
    frozen = vector("p", 3)
    direction = -steepest_descent(inner(frozen, margins), point)
    velocity = direction.subs(dict(zip(frozen, p, strict=True)))
    energy = squared_norm(point) / 2
    weighted = inner(p, margins)
    gain = sp.Add(*(sp.diff(smooth, x) * v for x, v in zip(point, velocity, strict=True)))
    growth = sp.Add(*(sp.diff(energy, x) * v for x, v in zip(point, velocity, strict=True)))
    a, b = vector("f", 4), vector("g", 4)
    cosine = inner(point, velocity) ** 2 / (squared_norm(point) * squared_norm(velocity))
    return [
        *_late_identity(),
        Identity(
            claim=claim,
            name="smooth-margin-speed",
            statement="dm~/dtau = |w'|^2; three constraints, d = 2.",
            latex=r"\frac{d \tilde m}{d\tau} = \| w' \|^2, \quad w' = \nabla_w \, p^\top m",
            left=gain,
            right=squared_norm(velocity),
            steps=(
                ("p is the gradient of the smooth margin in m.", r"\nabla_m \tilde m = p"),
                ("The velocity is the gradient of p^T m in w.", r"w' = J_m^\top p"),
            ),
        ),
        Identity(
            claim=claim,
            name="energy-speed",
            statement="dS/dtau = 2 p^T m: the margins are homogeneous of degree two in w.",
            latex=r"\frac{dS}{d\tau} = \langle w, w' \rangle = 2 p^\top m",
            left=growth,
            right=2 * weighted,
        ),
        Identity(
            claim=claim,
            name="quotient",
            statement=(
                "The quotient of the logarithmic derivatives of m~ and S is (p^T m/m~)/cos^2 of "
                "the angle between w and w'; three constraints, d = 2."
            ),
            latex=(
                r"\frac{\tilde m' / \tilde m}{S' / S} = \frac{p^\top m / \tilde m}{\cos^2}, \quad "
                r"\cos^2 = \frac{\langle w, w' \rangle^2}{\|w\|^2 \|w'\|^2}"
            ),
            left=(gain / smooth) / (growth / energy),
            right=(weighted / smooth) / cosine,
        ),
        Identity(
            claim=claim,
            name="cosine-at-most-one",
            statement="Lagrange's identity: |f|^2 |g|^2 - <f, g>^2 is a sum of squares.",
            latex=r"\|f\|^2 \|g\|^2 - \langle f, g \rangle^2 = \sum_{i < j} (f_i g_j - f_j g_i)^2",
            left=squared_norm(a) * squared_norm(b) - inner(a, b) ** 2,
            right=squared_minors(a, b),
        ),
        Identity(
            claim=claim,
            name="weighted-margin-above-smooth",
            statement=(
                "p^T m - m~ = p^T kappa plus the entropy of p, neither negative where "
                "kappa >= 0 (each 0 < p_r < 1)."
            ),
            latex=r"p^\top m - \tilde m = p^\top \kappa - \sum_r p_r \ln p_r",
            left=weighted - smooth,
            right=inner(p, kappa) - sp.Add(*(q * sp.log(q) for q in p)),
        ),
    ]


def _late_identity() -> list[Identity]:
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
    return [
        Identity(
            claim="symbolic.monotone-margin",
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
    ]
