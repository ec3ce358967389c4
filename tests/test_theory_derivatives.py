"""A second route: the symbolic gradients against finite differences of a loss written here,
and the symbolic KKT conditions against optima found by a solver or by hand."""

from __future__ import annotations

import random
from fractions import Fraction

import mpmath
import numpy as np
import pytest
import sympy as sp
from scipy.optimize import linprog

from theory.attention import SymbolicProblem, loss, matrix, symbolic_problem
from theory.gradient_flow import combined_flow, factored_flow, margin_form
from theory.margin_problems import l1_problem, l2_problem, nuclear_problem

DIGITS = 60
STEP = mpmath.mpf(10) ** -20
TOLERANCE = mpmath.mpf(10) ** -30
"""A central difference errs by STEP^2 times a third derivative (moderate at these points)
plus 10^-60 / STEP of rounding: both about 10^-40."""


class Numbers:
    """One problem and one point in plain numbers, drawn as small rationals."""

    def __init__(self, samples: int, length: int, dim: int, seed: int) -> None:
        rng = random.Random(seed)

        def draw() -> Fraction:
            return Fraction(rng.choice((-1, 1)) * rng.randint(1, 9), rng.randint(5, 9))

        self.dim = dim
        self.tokens = [
            [[draw() for _ in range(dim)] for _ in range(length)] for _ in range(samples)
        ]
        self.queries = [[draw() for _ in range(dim)] for _ in range(samples)]
        self.labels = [rng.choice((-1, 1)) for _ in range(samples)]
        self.head = [draw() for _ in range(dim)]
        self.key = [[draw() for _ in range(dim)] for _ in range(dim)]
        self.query = [[draw() for _ in range(dim)] for _ in range(dim)]

    def loss(self, attention: list[list[mpmath.mpf]]) -> mpmath.mpf:
        """The loss from tokens, labels and head: no score, no margin, no sympy."""
        total = mpmath.mpf(0)
        span = range(self.dim)
        for tokens, z, y in zip(self.tokens, self.queries, self.labels, strict=True):
            pulled = [sum(attention[a][b] * number(z[b]) for b in span) for a in span]
            raw = [mpmath.exp(sum(number(x[a]) * pulled[a] for a in span)) for x in tokens]
            heads = [sum(number(x[a]) * number(self.head[a]) for a in span) for x in tokens]
            f = sum(r * h for r, h in zip(raw, heads, strict=True)) / sum(raw)
            total += mpmath.exp(-y * f)
        return total / len(self.labels)

    def values(self, problem: SymbolicProblem) -> dict[sp.Symbol, sp.Rational]:
        """The problem's symbols at this point; scores are y <v, x>."""
        found: dict[sp.Symbol, sp.Rational] = {}
        for i, tokens in enumerate(problem.tokens):
            for m, token in enumerate(tokens):
                plain = self.tokens[i][m]
                found |= {s: exact(v) for s, v in zip(token, plain, strict=True)}
                score = self.labels[i] * sum(a * b for a, b in zip(plain, self.head, strict=True))
                found[problem.scores[i][m]] = exact(score)
            entries = zip(problem.queries[i], self.queries[i], strict=True)
            found |= {s: exact(v) for s, v in entries}
        return found


def number(value: Fraction) -> mpmath.mpf:
    return mpmath.mpf(value.numerator) / value.denominator


def exact(value: Fraction) -> sp.Rational:
    return sp.Rational(value.numerator, value.denominator)


def entries(name: str, plain: list[list[Fraction]]) -> dict[sp.Symbol, sp.Rational]:
    size = len(plain)
    symbols = matrix(name, size, size)
    return {symbols[a, b]: exact(plain[a][b]) for a in range(size) for b in range(size)}


def evaluated(expressions: sp.MatrixBase, values: dict[sp.Symbol, sp.Rational]) -> list[mpmath.mpf]:
    names = list(values)
    function = sp.lambdify(names, list(expressions), modules="mpmath", cse=True)
    return list(function(*(mpmath.mpf(int(v.p)) / int(v.q) for v in values.values())))


def slope(function: object, start: list[list[Fraction]], a: int, b: int) -> mpmath.mpf:
    """Minus the central difference in entry (a, b)."""
    moved = []
    for sign in (1, -1):
        point = [[number(v) for v in row] for row in start]
        point[a][b] += sign * STEP
        moved.append(function(point))  # type: ignore[operator]
    return -(moved[0] - moved[1]) / (2 * STEP)


def product(key: list[list[mpmath.mpf]], query: list[list[mpmath.mpf]]) -> list[list[mpmath.mpf]]:
    return [[sum(x * y for x, y in zip(r, s, strict=True)) for s in query] for r in key]


@pytest.mark.parametrize("sizes", [(1, 2, 1), (2, 3, 2), (3, 2, 2)])
@pytest.mark.parametrize("seed", range(3))
def test_the_combined_gradient_is_the_slope_of_the_loss(
    sizes: tuple[int, int, int], seed: int
) -> None:
    with mpmath.workdps(DIGITS):
        numbers, problem = Numbers(*sizes, seed), symbolic_problem(*sizes)
        dim = sizes[2]
        attention = matrix("W", dim, dim)
        values = numbers.values(problem) | entries("W", numbers.key)
        (value,) = evaluated(sp.Matrix([loss(problem, attention)]), values)
        plain = numbers.loss([[number(v) for v in row] for row in numbers.key])
        assert abs(value - plain) < TOLERANCE
        flow = evaluated(combined_flow(problem, attention), values)
        margin = evaluated(margin_form(problem, attention), values)
        slopes = [slope(numbers.loss, numbers.key, a, b) for a in range(dim) for b in range(dim)]
        assert max(abs(s) for s in slopes) > TOLERANCE
        for symbolic, formed, seen in zip(flow, margin, slopes, strict=True):
            assert abs(symbolic - seen) < TOLERANCE
            assert abs(formed - seen) < TOLERANCE
        # the control: half the gradient is not the slope
        assert max(abs(s / 2 - t) for s, t in zip(flow, slopes, strict=True)) > TOLERANCE


@pytest.mark.parametrize("seed", range(3))
def test_the_factored_gradient_is_the_slope_of_the_loss(seed: int) -> None:
    with mpmath.workdps(DIGITS):
        numbers, problem = Numbers(2, 3, 2, seed), symbolic_problem(2, 3, 2)
        symbols = matrix("K", 2, 2), matrix("Q", 2, 2)
        values = numbers.values(problem) | entries("K", numbers.key) | entries("Q", numbers.query)
        key = [[number(v) for v in row] for row in numbers.key]
        query = [[number(v) for v in row] for row in numbers.query]
        in_key = lambda k: numbers.loss(product(k, query))  # noqa: E731
        in_query = lambda q: numbers.loss(product(key, q))  # noqa: E731
        flows = factored_flow(problem, *symbols)
        for flow, function, start in zip(
            flows, (in_key, in_query), (numbers.key, numbers.query), strict=True
        ):
            slopes = [slope(function, start, a, b) for a in range(2) for b in range(2)]
            for symbolic, seen in zip(evaluated(flow, values), slopes, strict=True):
                assert abs(symbolic - seen) < TOLERANCE


SOLVER = 1e-7
"""HiGHS reports primal and dual feasibility of 1e-7 by default; the data are of size one."""


@pytest.mark.parametrize("seed", range(5))
def test_the_l1_conditions_hold_at_a_solver_optimum(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = np.abs(rng.normal(size=(3, 2))) * np.array([1.0, -1.0])  # separable by (1, -1)
    split = np.hstack([rows, -rows])
    solved = linprog(np.ones(4), A_ub=-split, b_ub=-np.ones(3), bounds=(0, None))
    assert solved.status == 0
    problem = l1_problem(2)
    mu = -solved.ineqlin.marginals
    values = dict(zip(problem.variables, solved.x, strict=True))
    values |= dict(zip(problem.multipliers, mu, strict=True))
    values |= dict(zip(matrix("A", 3, 2), rows.ravel(), strict=True))
    # nu is what stationarity leaves: it must come out as the solver's own bound multipliers
    free = [s.subs(dict.fromkeys(problem.slacks, 0)) for s in problem.stationarity]
    nu = np.array([float(f.subs(values)) for f in free])
    assert np.allclose(nu, solved.lower.marginals, rtol=0, atol=SOLVER)
    assert abs(float(problem.complementarity.subs(values))) < SOLVER
    assert abs(float((problem.objective - problem.dual_value).subs(values))) < SOLVER
    assert float(problem.objective.subs(values)) == pytest.approx(solved.fun)


def test_the_l2_conditions_hold_at_an_optimum_found_by_hand() -> None:
    """b_1 >= 1 and b_2 >= 1 (one of them twice): the optimum is (1, 1, 0)."""
    problem = l2_problem(3)
    rows = [1, 0, 0, 0, 1, 0, 0, 1, 0]
    values = dict(zip(matrix("A", 3, 3), rows, strict=True))
    best = values | dict(zip(problem.variables, (1, 1, 0), strict=True))
    best |= dict(zip(problem.multipliers, (1, sp.Rational(1, 3), sp.Rational(2, 3)), strict=True))
    assert list(problem.stationarity.subs(best)) == [0, 0, 0]
    assert problem.complementarity.subs(best) == 0
    worse = best | dict(zip(problem.variables, (1, 2, 0), strict=True))
    assert list(problem.stationarity.subs(worse)) == [0, 1, 0]


def test_the_nuclear_conditions_hold_at_an_optimum_found_by_hand() -> None:
    """W_11 >= 1 and W_22 >= 1 (once more): nuclear norm 2, attained by K = Q = I."""
    problem = nuclear_problem(2)
    values: dict[sp.Symbol, int] = {}
    for r, j in enumerate((0, 1, 1), start=1):
        for name in (f"delta_{r}", f"z_{r}"):
            for a in range(2):
                values[sp.Symbol(f"{name}_{a + 1}", real=True)] = int(a == j)
    best = values | dict(zip(problem.variables, [1, 0, 0, 1] * 2, strict=True))
    best |= dict(zip(problem.multipliers, (1, 1, 0), strict=True))
    assert list(problem.stationarity.subs(best)) == [0] * 8
    assert problem.objective.subs(best) == problem.dual_value.subs(best) == 2
    assert [m.subs(best) for m in problem.margins] == [1, 1, 1]
    worse = best | dict(zip(problem.multipliers, (2, 1, 0), strict=True))
    assert list(problem.stationarity.subs(worse)) != [0] * 8
