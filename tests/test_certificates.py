"""Certificates: an interval is right whatever guess it is made from, and says so when it is not."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from checks.certificates import (
    OracleFailure,
    certify,
    linear_bound,
    lower_bound,
    mixed_bound,
    upper_bound,
)
from checks.problems import Array, Constraints, constraints_of
from checks.rounding import (
    FULL,
    Norm,
    frobenius_above,
    gradient,
    least_margin,
    margins,
    nuclear_above,
    operator_above,
)
from checks.svm import solve_svm
from tests.flow_fixture import gaussian_problem
from tests.margin_cases import (
    constraints,
    definite,
    exact_margins,
    exact_pairs,
    problems,
    separable_full,
)

NORMS: tuple[Norm, ...] = ("l1", "l2", "frobenius", "nuclear")
SEEDS = st.integers(0, 2**32 - 1)


def weights_of(seed: int, problem: Constraints, full: bool) -> Array:
    rng = np.random.default_rng(np.random.Philox(seed))
    dim = problem.delta.shape[1]
    return rng.normal(size=(dim, dim) if full else dim) * 10.0 ** rng.integers(-3, 4)


@given(problems(), SEEDS, st.booleans())
def test_margin_errors_are_bounded(problem: Constraints, seed: int, full: bool) -> None:
    weights = weights_of(seed, problem, full)
    computed, error = margins(problem, weights)
    exact = exact_margins(problem, weights)
    for value, slack, truth in zip(computed, error, exact, strict=True):
        assert abs(Fraction(float(value)) - truth) <= Fraction(float(slack))
    assert Fraction(least_margin(problem, weights)) <= min(exact)


def test_margin_errors_do_occur() -> None:
    """Negative control: without its error bound, the computed margin would certify a lie."""
    problem = constraints([[1.0, 2.0**-60, -1.0]])
    weights = np.array([1.0, -1.0, 1.0])
    assert margins(problem, weights)[0][0] >= 0.0
    assert exact_margins(problem, weights)[0] < 0
    assert least_margin(problem, weights) < 0.0


@given(problems(), SEEDS, st.booleans())
def test_gradient_errors_are_bounded(problem: Constraints, seed: int, full: bool) -> None:
    rng = np.random.default_rng(np.random.Philox(seed))
    lam = np.abs(rng.normal(size=len(problem)))
    value, error = gradient(problem, lam, full)
    terms = [Fraction(x) for x in lam.tolist()]
    pairs = exact_pairs(problem)
    for at in np.ndindex(*value.shape):
        a, b = at if full else at * 2
        truth = sum(t * left[a] * right[b] for t, (left, right) in zip(terms, pairs, strict=True))
        assert abs(Fraction(float(value[at])) - truth) <= Fraction(float(error[at]))


def stretched(seed: int, size: int, spread: int) -> Array:
    rng = np.random.default_rng(np.random.Philox(seed))
    scale = 10.0 ** rng.integers(-spread, spread + 1, size=(1, size))
    return rng.normal(size=(size, size)) * scale


@given(SEEDS, st.integers(1, 5), st.integers(0, 6))
def test_matrix_norms_are_bounded_from_above_and_tightly(seed: int, size: int, spread: int) -> None:
    """s^2 I - G^T G positive definite at the bound, exactly; not so a little below it."""
    matrix = stretched(seed, size, spread)
    bound = operator_above(matrix, np.zeros_like(matrix))
    # 2^-40: some 300 roundings of a 5 x 5 bound are below it, so the bound is tight to that
    rows = [[Fraction(x) for x in row] for row in matrix.tolist()]
    assert definite(rows, Fraction(bound))
    assert not definite(rows, Fraction(bound) * (1 - Fraction(1, 2**40)))
    # nuclear <= sqrt(size) frobenius and >= frobenius, operator
    assert nuclear_above(matrix) >= bound * (1 - 2.0**-40)
    assert nuclear_above(matrix) <= math.sqrt(size) * frobenius_above(matrix) * (1 + 2.0**-40)


@given(SEEDS, st.integers(1, 4))
def test_nuclear_bound_on_a_known_norm(seed: int, size: int) -> None:
    """An orthogonal matrix from integer Pythagorean reflections times integers: known exactly."""
    rng = np.random.default_rng(np.random.Philox(seed))
    values = rng.integers(0, 8, size=size).astype(np.float64)
    matrix = np.diag(values)[rng.permutation(size)]
    bound = nuclear_above(matrix)
    # exact value: the sum of the integers; 2^-40 as above
    assert values.sum() <= bound <= values.sum() * (1 + 2.0**-40) + 1e-300


@settings(max_examples=150)
@given(problems(max_rows=6, max_dim=4), SEEDS, st.sampled_from(NORMS[:3]))
def test_any_guess_brackets_the_optimum(problem: Constraints, seed: int, norm: Norm) -> None:
    """Random primal and dual points, far from optimal: the bounds still enclose the optimum."""
    try:
        best = solve_svm(problem, norm, exact=True)
    except OracleFailure:
        assume(False)
        raise
    rng = np.random.default_rng(np.random.Philox(seed))
    noise = rng.normal(size=best.solution.shape) * 10.0 ** rng.integers(-8, 1)
    primal = best.solution * (1.0 + noise)
    lam = np.abs(rng.normal(size=len(problem)))
    assert upper_bound(problem, norm, primal) >= best.lower
    assert lower_bound(problem, norm, lam) <= best.upper
    assert lower_bound(problem, norm, -lam) == 0.0


@given(problems(max_rows=6, max_dim=4), SEEDS)
def test_any_guess_gives_a_valid_mixed_bound(problem: Constraints, seed: int) -> None:
    """N_claimed of a member of the set is never below the bound, whatever lambda and g1."""
    try:
        member = solve_svm(problem, "l2", exact=True)
    except OracleFailure:
        assume(False)
        raise
    rng = np.random.default_rng(np.random.Philox(seed))
    lam = np.abs(rng.normal(size=len(problem)))
    part = gradient(problem, lam, full=False)[0] * rng.uniform(0.2, 1.1)
    bound = mixed_bound(problem, lam, part, "l1", "l2", member.upper)
    # the member's l1 norm is computed to 2^-50, and its margins reach 1 only to their rounding
    computed, error = margins(problem, member.solution)
    short = max(0.0, 1.0 - float((computed - error).min()))
    assume(short < 0.5)
    assert bound <= np.abs(member.solution).sum() / (1.0 - short) * (1.0 + 2.0**-50)


def test_a_mixed_bound_of_the_optimum_itself_is_the_optimum() -> None:
    """With g1 = G(lambda) nothing is left for the ceiling: weak duality of the claimed norm."""
    problem = constraints_of(gaussian_problem(2, (2, 2, 3)))
    best = solve_svm(problem, "l1")
    pull = gradient(problem, best.multipliers, full=False)[0]
    bound = mixed_bound(problem, best.multipliers, pull, "l1", "l2", 10.0)
    assert best.lower * (1 - 1e-9) <= bound <= best.upper
    broken = pull.copy()
    broken[0] = np.nan
    assert mixed_bound(problem, best.multipliers, broken, "l1", "l2", 10.0) == 0.0
    assert mixed_bound(problem, broken[: len(problem)], pull, "l1", "l2", 10.0) == 0.0


def test_a_linear_bound_of_the_pull_itself_is_the_sum_of_its_multipliers() -> None:
    """Y = G(lambda): the ceiling multiplies what is left of it, which is rounding."""
    problem = constraints_of(gaussian_problem(2, (2, 2, 3)))
    for norm in ("l1", "nuclear"):
        lam = solve_svm(problem, norm).multipliers
        pull = gradient(problem, lam, full=norm in FULL)[0]
        assert linear_bound(problem, lam, pull, 10.0, norm) == pytest.approx(lam.sum(), rel=1e-9)
        half = linear_bound(problem, lam, pull / 2, 10.0, norm)
        assert half < lam.sum() - 1.0


def test_where_no_sign_is_free_nothing_is_pushed_and_nothing_is_proved() -> None:
    problem = constraints_of(gaussian_problem(2, (2, 2, 3)))
    best = solve_svm(problem, "l1")
    assert lower_bound(problem, "l1", best.multipliers, halves=()) == 0.0
    for primal in (-best.solution, 0 * best.solution):
        with pytest.raises(OracleFailure, match="certifies nothing"):
            certify(problem, "l1", primal, best.multipliers)


@example("l1", float("nan"))
@example("nuclear", float("inf"))
@given(st.sampled_from(NORMS), st.sampled_from([float("nan"), float("inf"), 0.0, -1.0, 1e308]))
def test_useless_guesses_certify_nothing(norm: Norm, entry: float) -> None:
    problem = separable_full(3, 2, 3, 2) if norm in FULL else constraints([[1.0, 2.0], [2.0, 1.0]])
    shape = (2, 2) if norm in FULL else (2,)
    bad = np.full(shape, entry)
    if norm in FULL and entry > 0.0 and math.isfinite(entry):
        bad[:] = 0.0
    if norm not in FULL and entry == 1e308:
        bad[0] = -entry
    assert upper_bound(problem, norm, bad) == math.inf
    lam = np.full(len(problem), entry)
    if entry != 1e308:
        assert lower_bound(problem, norm, lam) == 0.0
    with pytest.raises(OracleFailure):
        certify(problem, norm, bad, lam)


def test_negative_multipliers_prove_nothing() -> None:
    """Negative control: kept as they are, (3, -1) would prove 2 where the optimum is 1."""
    problem = constraints([[1.0, 0.0], [2.0, 0.0]])
    assert solve_svm(problem, "l1").optimum == 1.0
    for norm in ("l1", "l2"):
        assert lower_bound(problem, norm, np.array([3.0, -1.0])) <= 1.0


def test_swapped_norms_do_not_certify() -> None:
    """Negative control: the l2 optimum offered as an l1 optimum leaves a wide interval."""
    problem = constraints([[2.0, 1.0]])
    wrong = solve_svm(problem, "l2")
    interval = certify(problem, "l1", wrong.solution, wrong.multipliers)
    assert interval.lower <= 0.5 <= interval.upper  # the l1 optimum: all weight on the 2
    # l2 solution (2, 1)/5: l1 norm 3/5, so the width is 1 - 0.5/0.6
    assert interval.width == pytest.approx(1.0 / 6.0, rel=2.0**-40)


def test_a_dual_norm_without_the_absolute_value_would_be_caught() -> None:
    """Negative control: max_j G_j instead of max_j |G_j| would raise the lower bound above the
    optimum; frozen half-lines are the one place where the sign may be dropped."""
    problem = constraints([[-2.0, 1.0]])
    lam = np.array([1.0])
    assert lower_bound(problem, "l1", lam) <= 0.5
    assert lower_bound(problem, "l1", lam, halves=[(0, 1), (1, 1)]) > 0.5


def test_a_primal_outside_its_frozen_orthant_is_refused() -> None:
    problem = constraints([[-2.0, 1.0]])
    with pytest.raises(OracleFailure, match="frozen signs"):
        certify(problem, "l1", np.array([-0.5, 0.0]), np.ones(1), halves=[(0, 1), (1, 1)])
