"""The diagonal flow in the coordinates w+ and w-, and its mirror form.

w+ = (k + q)/sqrt 2, w- = (k - q)/sqrt 2.  Where signs matter, |w+| and |w-| are positive
symbols and all four sign patterns are stated.
"""

from __future__ import annotations

from itertools import product

import sympy as sp

from theory.attention import (
    loss,
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
    """The decoupled flow and the mirror form."""
    return [*_decoupled_identities(), *_mirror_identities()]


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
