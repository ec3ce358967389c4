"""The certificate of FALSIFIED: a floor under the claimed norm, never above any member's norm."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from checks import rivals
from checks.problems import Array, Constraints
from checks.rivals import eps_optimal_floor, eps_reached
from checks.rounding import Norm
from checks.svm import OracleFailure, SvmSolution, solve_signed_l1, solve_svm
from tests.margin_cases import build, constraints, separable_full

SEEDS = st.integers(0, 2**32 - 1)
ORDER = {"l1": 1, "l2": 2}


def members(
    problem: Constraints, closes: SvmSolution, eps: float, other: Array, rng: np.random.Generator
) -> list[Array]:
    """Points of the eps-optimal set: the solution, and as far towards ``other`` as eps allows."""
    found = []
    limit = (1.0 + eps) * closes.upper
    for target in (other, closes.solution * (1.0 + 0.3 * rng.normal(size=closes.solution.shape))):
        for step in np.geomspace(1e-9, 1.0, 40):
            point = closes.solution + step * (target - closes.solution)
            least = float((problem.rows @ point).min())
            if least <= 0.0:
                continue
            point = point / (least * (1.0 - 1e-12))  # margins >= 1 beyond doubt
            if np.linalg.norm(point, ORDER[closes.norm]) <= limit:
                found.append(point)
    return found


@settings(max_examples=60)
@given(SEEDS, st.sampled_from([1e-9, 1e-7, 1e-5, 1e-3]), st.sampled_from(["l1", "l2"]))
def test_floor_is_below_every_member(seed: int, eps: float, norm: Norm) -> None:
    claimed: Norm = "l2" if norm == "l1" else "l1"
    problem = build("gauss", seed, 5, 4)
    closes, best = solve_svm(problem, norm), solve_svm(problem, claimed)
    try:
        floor = eps_optimal_floor(problem, closes, eps, claimed)
    except OracleFailure:
        return  # refusing is always allowed; the next test says how rarely it happens
    rng = np.random.default_rng(np.random.Philox(seed))
    for point in members(problem, closes, eps, best.solution, rng):
        assert floor <= np.linalg.norm(point, ORDER[claimed]) * (1.0 + 2.0**-48)


def test_floors_are_useful() -> None:
    """Where the rival misses by 5 %, the floor at eps = 1e-6 proves at least half of the miss."""
    seen = 0
    for seed in range(30):
        problem = build("gauss", seed, 6, 5)
        for norm, claimed in (("l1", "l2"), ("l2", "l1")):
            closes, best = solve_svm(problem, norm), solve_svm(problem, claimed)
            miss = np.linalg.norm(closes.solution, ORDER[claimed]) / best.optimum - 1.0
            if miss < 0.05:
                continue
            seen += 1
            floor = eps_optimal_floor(problem, closes, 1e-6, claimed)
            assert floor / best.optimum - 1.0 >= 0.5 * miss
    assert seen >= 10


@pytest.mark.parametrize("norm", ["l1", "nuclear"])
def test_the_floor_written_down_is_nearly_the_norm_of_the_solution(
    norm: Norm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No solver: at eps = 1e-9 the whole optimal set of a unique solution is as long as it is,
    but for sqrt(eps) times a constant (nuclear) or less (l1); and what is enough is enough."""
    monkeypatch.setattr(rivals, "_proposal", lambda *_: pytest.fail("a solver was asked"))
    claimed: Norm = "l2" if norm == "l1" else "frobenius"
    for seed in range(12):
        problem = build("gauss", seed, 6, 5) if norm == "l1" else separable_full(seed, 3, 3, 4)
        closes = solve_svm(problem, norm)
        own = float(np.linalg.norm(closes.solution))
        if closes.unique != "proved":
            continue
        floor = eps_optimal_floor(problem, closes, 1e-9, claimed, enough=0.95 * own)
        assert 0.95 * own <= floor <= own * (1.0 + 2.0**-44)
        assert rivals._face_floor(
            problem, closes, 1e-9, (1.0 + 1.1e-9) * closes.upper, claimed, np.inf
        ) >= own * (1.0 - 1e-2)


@given(SEEDS)
@settings(max_examples=40)
def test_the_floor_of_shared_l1_optima_is_that_of_the_shortest(seed: int) -> None:
    """One constraint with equal entries: the optimal face is a simplex, its shortest point the
    centre; cvxpy, asked about integers, agrees."""
    dim = 2 + seed % 4
    closes = solve_svm(constraints(np.ones((1, dim))), "l1")
    assert closes.unique == "disproved"
    ceiling = closes.upper * (1.0 + 1.1e-9)
    floor = rivals._face_floor(constraints(np.ones((1, dim))), closes, 1e-9, ceiling, "l2", np.inf)
    assert dim**-0.5 * (1.0 - 1e-4) <= floor <= dim**-0.5
    problem = build("integer", seed, 4, 3)
    try:
        closes = solve_svm(problem, "l1")
    except OracleFailure:
        return
    ceiling = closes.upper * (1.0 + 1.1e-9)
    own = rivals._face_floor(problem, closes, 1e-9, ceiling, "l2", np.inf)
    assert own == pytest.approx(rivals._dual_floor(problem, "l1", ceiling, "l2"), rel=1e-3)


def test_a_floor_never_refutes_the_claimed_optimum_itself() -> None:
    """Negative control: at an eps so large that the claimed optimum is a member, no refutation."""
    problem = constraints([[2.0, 1.0]])
    for norm, claimed in (("l1", "l2"), ("l2", "l1")):
        closes, best = solve_svm(problem, norm), solve_svm(problem, claimed)
        eps = float(np.linalg.norm(best.solution, ORDER[norm])) / closes.lower - 1.0 + 1e-9
        try:
            floor = eps_optimal_floor(problem, closes, eps, claimed)
        except OracleFailure:
            continue
        assert floor <= best.upper


@given(SEEDS)
def test_a_frozen_orthant_costs_its_own_optimum(seed: int) -> None:
    problem = build("gauss", seed, 3, 5)
    free = solve_svm(problem, "l1")
    flip = np.zeros(5)
    largest = np.abs(free.solution).argmax()
    flip[largest] = -np.sign(free.solution[largest])
    try:
        frozen = solve_signed_l1(problem, flip)
    except OracleFailure:
        assume(False)
        raise
    floor = eps_optimal_floor(problem, frozen, 1e-6, "l1")
    assert floor == frozen.lower
    assert floor > free.upper
    assert eps_optimal_floor(problem, frozen, 1e-6, "l2") <= np.linalg.norm(frozen.solution) * (
        1.0 + 2.0**-48
    )


def test_a_lying_solver_cannot_raise_the_floor(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = build("gauss", 3, 5, 4)
    closes = solve_svm(problem, "l1")
    member = float(np.linalg.norm(closes.solution))
    rng = np.random.default_rng(np.random.Philox(3))
    for scale in (1e-6, 1.0, 1e6):
        lie = (np.abs(rng.normal(size=5)) * scale, rng.normal(size=4) * scale)
        monkeypatch.setattr(rivals, "_proposal", lambda *_, lie=lie: lie)
        monkeypatch.setattr(rivals, "_face_proposal", lambda *_, lie=lie: lie[::-1])
        monkeypatch.setattr(rivals, "_shortest_proposal", lambda *_, lie=lie: lie[::-1])
        try:
            assert eps_optimal_floor(problem, closes, 1e-3, "l2") <= member * (1.0 + 2.0**-48)
        except OracleFailure:
            continue
    monkeypatch.setattr(rivals, "_proposal", lambda *_: (np.full(5, np.nan), np.zeros(4)))
    for name in ("_face_proposal", "_shortest_proposal"):
        monkeypatch.setattr(rivals, name, lambda *_: (np.zeros(4), np.full(5, np.nan)))
    with pytest.raises(OracleFailure):
        eps_optimal_floor(problem, closes, 1e-3, "l2")


@given(SEEDS, st.floats(1e-12, 0.5))
def test_the_eps_of_a_margin_contains_its_weights(seed: int, gap: float) -> None:
    """Rationally: 1/margin <= (1 + eps) upper; and 1 - margin/gamma* alone would be too small."""
    closes = solve_svm(build("gauss", seed, 4, 3), "l1")
    margin = (1.0 - gap) / closes.upper
    eps = eps_reached(closes, margin)
    assert 1 / Fraction(margin) <= (1 + Fraction(eps)) * Fraction(closes.upper)
    # tight: four roundings
    assert eps <= gap / (1.0 - gap) + 4.0 * 2.0**-52 / (1.0 - gap)
    if gap > 1e-3:
        assert 1 / Fraction(margin) > (1 + Fraction(gap)) * Fraction(closes.upper)
    assert eps_reached(closes, 0.0) == np.inf


def test_nonsense_is_refused() -> None:
    problem = constraints([[2.0, 1.0]])
    closes = solve_svm(problem, "l1")
    with pytest.raises(ValueError, match="different weights"):
        eps_optimal_floor(problem, closes, 1e-6, "nuclear")
    with pytest.raises(ValueError, match="nonnegative"):
        eps_optimal_floor(problem, closes, float("nan"), "l2")
