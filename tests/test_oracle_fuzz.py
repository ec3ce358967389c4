"""Oracles on problems that break solvers: no wrong answer, and how often there is none.

9,500 l1 and l2 problems and 500 nuclear ones; every test run does the first tenth, --nightly
all of them.  Whatever is answered is verified in rationals by ``tests.margin_cases``, by the
model in cvxpy within the certified widths, and (nuclear) by ``checks.audit``.
"""

from __future__ import annotations

from collections import Counter
from fractions import Fraction

import numpy as np
import pytest

from checks import audit
from checks.certificates import OracleFailure, certify
from checks.convex_models import cvxpy_answer
from checks.exact import root_bounds
from checks.nuclear import SOLVERS, solve_nuclear
from checks.problems import Constraints
from checks.rational_bounds import certify_exactly
from checks.rounding import Norm
from checks.solutions import NARROW
from checks.svm import NotSeparable, SvmSolution, separability, solve_svm
from tests.margin_cases import (
    FULL_KINDS,
    KINDS,
    assert_farkas,
    assert_separates,
    build,
    build_full,
    exact_margins,
    exact_pairs,
)

VECTOR, NUCLEAR, TENTHS = 950, 50, range(10)
"""Problems a tenth."""

ROUGH = ("nearly infeasible", "row scales", "column scales")
"""Conditions up to 1e16: floats alone may fail, which is what the integers are for."""

TENTH = pytest.mark.parametrize(
    "tenth", [pytest.param(t, marks=pytest.mark.nightly if t else ()) for t in TENTHS]
)


def between(value: Fraction, square: bool, lower: float, upper: float) -> bool:
    """lower <= value (or its root) <= upper, in rationals."""
    low, high = Fraction(lower), Fraction(upper)
    return low**2 <= value <= high**2 if square else low <= value <= high


def check_duality(problem: Constraints, norm: Norm, found: SvmSolution) -> str:
    """Weak duality at the answer's own weights and multipliers, in rationals, by a route that
    shares nothing with checks: the exact value lies between."""
    assert found.value is not None
    beta = [Fraction(x) for x in found.solution.tolist()]
    lam = [Fraction(x) for x in found.multipliers.tolist()]
    assert min(lam) >= 0
    least = min(exact_margins(problem, found.solution))
    pairs = exact_pairs(problem)
    push = [
        sum(w * left[j] * right[j] for w, (left, right) in zip(lam, pairs, strict=True))
        for j in range(len(beta))
    ]
    if norm == "l1":
        lower, size = sum(lam) / max(abs(g) for g in push), sum(abs(b) for b in beta)
    else:
        lower, size = sum(lam) ** 2 / sum(g * g for g in push), sum(b * b for b in beta)
    assert lower <= found.value
    if least <= 0:  # rows 1e16 apart: rounding the exact weights once is enough for that
        return "exact: rounded weights infeasible"
    assert found.value <= size / (least if norm == "l1" else least**2)
    return "exact: bracketed"


def check_separability(problem: Constraints, full: bool) -> str:
    """The answer, its proof verified in rationals."""
    found = separability(problem, full)
    if found.answer == "separable":
        assert_separates(problem, found)
    if found.answer == "non-separable":
        assert_farkas(problem, found.integers, full)
    return found.answer


def check_model(problem: Constraints, norm: Norm, found: SvmSolution) -> str:
    """The model in cvxpy: where its answer proves an interval, the two intervals must meet."""
    try:
        theirs = certify(problem, norm, *cvxpy_answer(problem, norm))
    except OracleFailure:
        return "cvxpy: nothing certified"
    assert found.lower <= theirs.upper
    assert theirs.lower <= found.upper
    return "cvxpy: within 1e-6" if theirs.width <= 1e-6 else "cvxpy: wide"


def check_vector(problem: Constraints, norm: Norm) -> list[str]:
    """Every promise about one l1 or l2 problem; labels of what was seen."""
    seen = [check_separability(problem, full=False)]
    try:
        exact = solve_svm(problem, norm, exact=True)
    except NotSeparable as proof:
        assert seen[0] != "separable"
        assert_farkas(problem, proof.separability.integers, full=False)
        return seen
    except OracleFailure:
        return [*seen, "exact: undecided"]
    assert seen[0] != "non-separable"
    assert exact.value is not None
    assert between(exact.value, norm == "l2", exact.lower, exact.upper)
    assert exact.width <= 2.0**-51  # two ulps
    seen.append(check_duality(problem, norm, exact))
    try:
        rigorous = solve_svm(problem, norm, exact=False)
    except NotSeparable:
        pytest.fail("a separable problem was called non-separable")
    except OracleFailure:
        return [*seen, "rigorous: undecided"]
    assert between(exact.value, norm == "l2", rigorous.lower, rigorous.upper)
    # One pair of weights and multipliers: exact inside rational inside rounding bounds.
    seen += [rigorous.status, check_model(problem, norm, exact)]
    pair = (problem, norm, rigorous.solution, rigorous.multipliers)
    try:
        rounded = certify(*pair)
    except OracleFailure:
        return [*seen, "rounding bounds: nothing"]
    rational = certify_exactly(*pair)
    assert between(exact.value, norm == "l2", rational.lower, rational.upper)
    assert rounded.lower <= rational.lower
    assert rational.upper <= rounded.upper
    return [*seen, "nested"]


@TENTH
def test_vector_problems(tenth: int) -> None:
    seen: Counter[str] = Counter()
    for index in range(VECTOR * tenth, VECTOR * (tenth + 1)):
        rng = np.random.default_rng(np.random.Philox(key=[9500, index]))
        rows, dim = (int(rng.integers(1, 13)), int(rng.integers(1, 9)))
        kind = KINDS[index // 2 % len(KINDS)]
        problem = build(kind, int(rng.integers(2**32)), rows, dim)
        labels = check_vector(problem, ("l1", "l2")[index % 2])
        seen.update(labels)
        assert "rigorous: undecided" not in labels or kind in ROUGH, (kind, labels)
        seen["wide elsewhere"] += "wide" in labels and kind not in ROUGH
    # By default nothing is undecided up to 32 dimensions; in floats alone half of the rough ones.
    assert seen["undecided"] == 0, seen
    assert seen["exact: undecided"] == 0, seen
    assert seen["rigorous: undecided"] + seen["wide"] <= 0.25 * VECTOR, seen
    assert seen["wide elsewhere"] <= 0.01 * VECTOR, seen
    assert min(seen["separable"], 9 * seen["non-separable"]) >= 0.5 * VECTOR, seen
    assert seen["cvxpy: within 1e-6"] >= 0.5 * VECTOR, seen
    assert seen["nested"] >= 0.5 * VECTOR, seen
    assert seen["exact: bracketed"] >= 0.7 * VECTOR, seen


def by_audit(problem: Constraints, found: SvmSolution) -> tuple[Fraction, Fraction]:
    """The bracket of the optimum by checks.audit, from tokens: shares no code with the oracles."""
    zero = np.zeros(problem.delta.shape[1])
    tokens = [[row.tolist(), zero.tolist()] for row in problem.delta]
    lower, upper = audit.gap_from_raw(
        tokens,
        problem.query.tolist(),
        [[1.0, 0.0]] * len(problem),
        [0] * len(problem),
        found.solution.tolist(),
        [(r, 1, float(y)) for r, y in enumerate(found.multipliers) if y > 0],
        "nuclear",
    )
    return 1 / Fraction(upper), 1 / Fraction(lower)


def check_nuclear(problem: Constraints) -> list[str]:
    """Every promise about one nuclear problem; labels of what was seen."""
    seen = [check_separability(problem, full=True)]
    answers = []
    for solvers in (tuple(SOLVERS), *((name,) for name in SOLVERS)):
        try:
            answers.append(solve_nuclear(problem, solvers=solvers))
        except NotSeparable as proof:
            assert seen[0] == "non-separable"
            assert_farkas(problem, proof.separability.integers, full=True)
            return seen
        except OracleFailure:
            seen.append("both: undecided" if len(solvers) > 1 else f"{solvers[0]}: undecided")
    assert seen[0] == "separable"
    for found in answers:
        assert found.lower <= min(other.upper for other in answers)
        audited = by_audit(problem, found)
        assert audited[0] <= Fraction(found.upper)
        assert Fraction(found.lower) <= audited[1]
        assert found.status == ("certified" if found.width <= NARROW else "wide")
    if answers:
        frobenius = solve_svm(problem, "frobenius")
        assert frobenius.lower <= answers[0].upper
        seen += [answers[0].status, answers[0].unique, check_model(problem, "nuclear", answers[0])]
    return seen


@TENTH
def test_nuclear_problems(tenth: int) -> None:
    seen: Counter[str] = Counter()
    for index in range(NUCLEAR * tenth, NUCLEAR * (tenth + 1)):
        rng = np.random.default_rng(np.random.Philox(key=[500, index]))
        seed = int(rng.integers(2**32))
        kind = FULL_KINDS[index % len(FULL_KINDS)]
        labels = check_nuclear(build_full(kind, seed))
        seen.update(labels)
        assert "both: undecided" not in labels or kind in ROUGH, (kind, labels)
    assert seen["both: undecided"] + seen["wide"] <= 0.2 * NUCLEAR, seen
    assert seen["undecided"] == 0, seen
    assert seen["certified"] >= 0.6 * NUCLEAR, seen
    assert seen["cvxpy: within 1e-6"] >= 0.5 * NUCLEAR, seen


def test_exact_root_of_a_value_is_what_the_interval_holds() -> None:
    """Negative control for ``between``: a value just outside is seen to be outside."""
    low, high = root_bounds(Fraction(2))
    assert between(Fraction(2), True, 1.4142135623730949, 1.4142135623730951)
    assert not between(Fraction(2), True, 1.4142135623730952, 1.4142135623730954)
    assert low**2 < 2 < high**2
