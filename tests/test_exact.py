"""Exact arithmetic: rational elimination, outward roundings, the two-armed simplex method."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from checks.active_set import decide
from checks.exact import (
    ExactFailure,
    float_above,
    float_below,
    integers,
    kernel_vector,
    root_above,
    root_below,
    solve,
)
from checks.simplex import maximise

ENTRY = st.integers(-(10**6), 10**6)


def square(size: int) -> st.SearchStrategy[list[list[int]]]:
    row = st.lists(ENTRY, min_size=size, max_size=size)
    return st.lists(row, min_size=size, max_size=size)


MATRICES = st.integers(1, 5).flatmap(square)


@given(st.lists(st.lists(st.floats(-1e9, 1e9), min_size=2, max_size=2), min_size=1, max_size=4))
def test_integers_are_the_floats_exactly(values: list[list[float]]) -> None:
    rows, shift = integers(np.array(values))
    assert [[Fraction(x, 1 << shift) for x in row] for row in rows] == [
        [Fraction(x) for x in row] for row in values
    ]


@given(MATRICES)
def test_solve_is_cramers_rule(matrix: list[list[int]]) -> None:
    size = len(matrix)
    rhs = [[1, i] for i in range(size)]
    if sympy.Matrix(matrix).det() == 0:
        with pytest.raises(ExactFailure):
            solve(matrix, rhs)
        return
    numerators, den = solve(matrix, rhs)
    assert den > 0
    product = np.array(matrix, dtype=object) @ np.array(numerators, dtype=object)
    assert (product == den * np.array(rhs, dtype=object)).all()


@given(MATRICES, st.lists(st.integers(-5, 5), min_size=5, max_size=5))
def test_kernel_vector_of_a_matrix_with_one_dependent_column(
    matrix: list[list[int]], mix: list[int]
) -> None:
    size = len(matrix)
    wide = [[*row, sum(c * x for c, x in zip(mix, row, strict=False))] for row in matrix]
    vector = kernel_vector(wide)
    if sympy.Matrix(matrix).det() == 0:
        assert vector is None  # the kernel is at least a plane
        return
    assert vector is not None
    assert any(vector)
    assert all(sum(x * v for x, v in zip(row, vector, strict=True)) == 0 for row in wide)
    assert len(vector) == size + 1


def test_kernel_vector_needs_a_line() -> None:
    assert kernel_vector([[1, 0], [0, 1]]) is None
    assert kernel_vector([[0, 0]]) is None


@given(st.fractions(min_value=-(10**20), max_value=10**20))
def test_outward_rounding_is_tight(value: Fraction) -> None:
    below, above = float_below(value), float_above(value)
    assert Fraction(below) <= value <= Fraction(above)
    assert above in (below, math.nextafter(below, math.inf))


@given(
    st.fractions(min_value=Fraction(1, 10**12), max_value=10**12),
    st.sampled_from([Fraction(1), Fraction(2) ** 1900, Fraction(1, 2**1900)]),
)
def test_roots_enclose_also_where_the_square_is_no_float(value: Fraction, scale: Fraction) -> None:
    value *= scale
    below, above = root_below(value), root_above(value)
    assert Fraction(below) ** 2 <= value <= Fraction(above) ** 2
    # one ulp for each outward rounding, one for the width of the rational enclosure
    assert above <= math.nextafter(math.nextafter(math.nextafter(below, 9e999), 9e999), 9e999)


def random_program(seed: int, rows: int, columns: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(np.random.Philox(seed))
    matrix = rng.integers(-4, 5, size=(rows, columns))
    return rng.integers(-2, 4, size=columns), matrix, rng.integers(0, 5, size=rows)


PROGRAMS = st.builds(
    random_program, st.integers(0, 2**32 - 1), st.integers(1, 6), st.integers(1, 6)
)


@settings(max_examples=150)
@given(PROGRAMS)
def test_simplex_agrees_with_highs(program: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    """Degenerate integer programs: the exact arm must decide what HiGHS decides."""
    objective, matrix, rhs = program
    reference = linprog(-objective, A_ub=matrix, b_ub=rhs, method="highs")
    exact = maximise(objective.astype(object), matrix.astype(object), rhs.astype(object))
    guess = maximise(*(x.astype(np.float64) for x in program))
    if exact.status == "unbounded":
        assert reference.status != 0
        assert exact.ray is not None
        assert (exact.ray >= 0).all()
        assert (matrix.astype(object) @ exact.ray <= 0).all()
        assert objective @ exact.ray > 0
        return
    assert exact.status == "optimal"
    value = Fraction(0)
    for variable, number in zip(exact.basic, exact.values, strict=True):
        assert number >= 0
        if variable < len(objective):
            value += Fraction(int(objective[variable]) * int(number), int(exact.den))
    assert reference.status == 0
    # HiGHS works to 1e-7 in primal and dual feasibility
    assert float(value) == pytest.approx(-reference.fun, abs=1e-6)
    assert guess.status == "optimal"


def test_simplex_says_when_it_ran_out_of_pivots() -> None:
    one = np.ones((1, 1))
    assert maximise(one[0], one, one[0], max_pivots=0).status == "stalled"


@given(PROGRAMS)
def test_active_set_satisfies_the_kkt_conditions_exactly(
    program: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    """min |b| s.t. A b >= 1: multipliers >= 0, margins >= 1, or an exact Farkas vector."""
    rows = [[int(x) for x in row] for row in program[1]]
    gram = [[sum(x * y for x, y in zip(a, b, strict=True)) for b in rows] for a in rows]
    decided = decide(gram, 1)
    if decided.farkas is not None:
        assert min(decided.farkas.values()) > 0
        mixed = [
            sum(y * rows[r][j] for r, y in decided.farkas.items()) for j in range(len(rows[0]))
        ]
        assert not any(mixed)
        return
    support = decided.support
    lam, den = solve([[gram[r][s] for s in support] for r in support], [[1] for _ in support])
    assert all(x[0] > 0 for x in lam)
    for row in gram:
        assert sum(row[s] * x[0] for s, x in zip(support, lam, strict=True)) >= den
