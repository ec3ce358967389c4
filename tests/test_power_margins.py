"""The l1.5 and l3 oracles: bounds in rationals, optima against cvxpy, floors below members."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checks import audit, power_margins
from checks.certificates import certify
from checks.convex_models import cvxpy_answer
from checks.problems import constraints_of
from checks.rivals import eps_optimal_floor
from checks.rounding import Norm, dual_norm_above, power_norm
from checks.svm import NotSeparable, solve_svm
from tests.exact_cases import cases
from tests.margin_cases import build, constraints

NORMS: tuple[Norm, ...] = ("l1.5", "l3")
SEEDS = st.integers(0, 2**32 - 1)
ORDER = {"l1": 1.0, "l1.5": 1.5, "l2": 2.0, "l3": 3.0}


@given(SEEDS, st.sampled_from(NORMS), st.integers(-300, 300))
def test_bounds_hold_in_rationals(seed: int, norm: Norm, exponent: int) -> None:
    """(sum |x|^3)^(1/3), and cubed squares (sum |x|^1.5)^2 by exact roots of squares."""
    rng = np.random.default_rng(seed)
    roots = [Fraction(int(k), 64) for k in rng.integers(-200, 200, size=5)]
    power = 2 if norm == "l1.5" else 1  # entries that are squares have rational square roots
    values = np.array(
        [float(abs(x) ** power * Fraction(2) ** (2 * (exponent // 2))) for x in roots]
    )
    unit = Fraction(2) ** (2 * (exponent // 2))
    cube = sum((abs(x) ** 3 for x in roots), Fraction(0)) ** power * unit**3
    above, below = power_norm(values, norm, True), power_norm(values, norm, False)
    assert Fraction(below) ** 3 <= cube <= Fraction(above) ** 3
    assert above <= below * (1 + 1e-13)


@pytest.mark.parametrize("norm", NORMS)
def test_the_audit_agrees_with_the_rounding_bounds(norm: Norm) -> None:
    for case in cases("mirror-3/separable/small", (3, 3, 4), 8):
        problem, rows = case.problem, constraints_of(case.problem)
        found = solve_svm(rows, norm)
        triples = zip(rows.sample, rows.token, found.multipliers, strict=True)
        dual = [(int(i), int(t), float(w)) for i, t, w in triples]
        lower, upper = audit.gap_from_raw(
            problem.tokens, problem.queries, problem.scores, problem.optimal.tolist(),
            found.solution, dual, norm,
        )  # fmt: skip
        interval = certify(rows, norm, found.solution, found.multipliers)
        assert 1 / interval.upper <= lower <= upper <= 1 / interval.lower
        assert upper - lower <= 1e-12 * upper


@settings(max_examples=12)
@given(SEEDS, st.sampled_from(NORMS), st.sampled_from(["gauss", "integer"]))
def test_optima_are_those_of_cvxpy(seed: int, norm: Norm, kind: str) -> None:
    problem = build(kind, seed, 5, 4)
    try:
        found = solve_svm(problem, norm)
    except NotSeparable:
        return
    assert found.width <= 1e-11
    primal, _ = cvxpy_answer(problem, norm)
    best = np.linalg.norm(primal, ORDER[norm]) / (problem.rows @ primal).min()
    assert best == pytest.approx(found.optimum, rel=1e-6)
    assert best >= found.lower


def test_a_known_optimum() -> None:
    """One constraint a: the dual norm of a is 1/optimum; a = (1, 1): 2^(1/p - 1)."""
    problem = constraints([[1.0, 1.0]])
    for norm in NORMS:
        assert solve_svm(problem, norm).optimum == pytest.approx(2 ** (1 / ORDER[norm] - 1))
    assert dual_norm_above(np.array([1.0, 1.0]), np.zeros(2), "l3") == pytest.approx(2 ** (2 / 3))


def test_what_is_not_separable_is_proved_so() -> None:
    for norm in NORMS:
        with pytest.raises(NotSeparable):
            solve_svm(constraints([[1.0, 2.0], [-1.0, -2.0]]), norm)
        with pytest.raises(NotSeparable):
            solve_svm(constraints([[0.0, 0.0]]), norm)


def test_a_wrong_proposal_is_wide_and_never_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = build("gauss", 1, 5, 4)
    honest = solve_svm(problem, "l3")

    def lies(*_: object) -> object:
        yield honest.solution * (1 + 1e-10 * np.arange(4)), honest.multipliers, "liar"

    monkeypatch.setattr(power_margins, "_proposals", lies)
    found = solve_svm(problem, "l3")
    assert found.lower <= honest.optimum <= found.upper
    assert found.width > honest.width


@settings(max_examples=30)
@given(SEEDS, st.sampled_from([1e-9, 1e-7, 1e-5]), st.sampled_from(NORMS),
       st.sampled_from(["l1", "l1.5", "l2", "l3"]))  # fmt: skip
def test_uniform_floors_are_below_every_member(
    seed: int, eps: float, norm: Norm, claimed: Norm
) -> None:
    problem = build("gauss", seed, 5, 4)
    closes, best = solve_svm(problem, norm), solve_svm(problem, claimed)
    try:
        floor = eps_optimal_floor(problem, closes, eps, claimed)
    except power_margins.OracleFailure:
        return
    for step in np.geomspace(1e-9, 1.0, 30):
        point = closes.solution + step * (best.solution - closes.solution)
        least = float((problem.rows @ point).min())
        if least <= 0:
            continue
        point = point / least
        if np.linalg.norm(point, ORDER[norm]) <= (1 + eps) * closes.lower:
            assert floor <= np.linalg.norm(point, ORDER[claimed]) * (1 + 1e-12)


def test_uniform_floors_are_useful() -> None:
    """Where the l3 optimum misses the l1.5 margin by 10 %, the floor at 1e-7 proves a third."""
    seen = 0
    for seed in range(20):
        problem = build("gauss", seed, 4, 8)
        closes, best = solve_svm(problem, "l3"), solve_svm(problem, "l1.5")
        miss = np.linalg.norm(closes.solution, 1.5) / best.optimum - 1
        if miss < 0.1:
            continue
        seen += 1
        assert eps_optimal_floor(problem, closes, 1e-7, "l1.5") / best.optimum - 1 >= miss / 3
    assert seen >= 5
