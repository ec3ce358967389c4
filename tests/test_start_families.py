"""Starts that separate, are trapped, or are degenerate: exactly, and for ever."""

from __future__ import annotations

import numpy as np
import pytest

from checks.problems import AttentionProblem
from checks.start_families import needed_margin
from tests.exact_cases import (
    GOOD,
    best_l1_margin,
    cases,
    exact_invariants,
    exact_margins,
    fractions,
    integer_cases,
    possible,
    rows,
    stays,
    touched,
    walk,
)


@pytest.mark.parametrize(
    "name",
    [f"diagonal/{p}/separating" for p in GOOD]
    + ["diagonal/one-sample/separating", "diagonal/separable/frozen", "diagonal/contrary/frozen"]
    + ["combined/separable/separating", "combined-diagonal/near-tied/separating"],
)
def test_separating_starts_separate_and_must_reach_the_infimum(name):
    for shape in possible(name, ((1, 3, 4), (2, 3, 2), (4, 4, 3))):
        for case in cases(name, shape, 20):
            weights, start, problem = case.start.weights, case.start, case.problem
            if start.model == "diagonal":
                product = [
                    k * q for k, q in zip(fractions(start.key), fractions(start.query), strict=True)
                ]
                assert min(exact_margins(problem, product)) > 0
            else:
                assert min(exact_margins(problem, weights)) > 0
            ordered = np.sort(problem.scores, axis=1)
            assert stays(problem, weights, problem.optimal, ordered[:, -1] - ordered[:, -2])


def test_descent_check_can_fail():
    for case in cases("diagonal/separable/separating", (4, 4, 3), 20):
        ordered = np.sort(case.problem.scores, axis=1)
        lead = ordered[:, -1] - ordered[:, -2]
        weak = case.start.weights / 1e3
        assert not stays(case.problem, weak, case.problem.optimal, lead)


@pytest.mark.parametrize("trapped", [False, True])
def test_needed_margin_is_enough_when_all_is_worst(trapped):
    """Many samples and tokens, every margin just the one needed, one small lead."""
    n, length = 8, 9
    middle = length - 2
    scores = np.full((n, length), -2.0)
    scores[:, 0], scores[:, 1] = 2.0, 1.0
    scores[0, 1 if not trapped else 2] = 1.875 if not trapped else 0.875
    # Coordinate 0 carries the levels: the selected token one above the middle ones.
    x = np.zeros((n, length, 1))
    x[:, 0] = -1.0 if trapped else 1.0
    x[:, 1] = 1.0 if trapped else 0.0
    problem = AttentionProblem.of(x, np.ones((n, 1)), np.ones(n), np.zeros(1), scores)
    chosen = np.full(n, int(trapped))
    ordered = np.sort(scores, axis=1)
    if trapped:
        lead, above = ordered[:, -2] - ordered[:, -3], ordered[:, -1] - ordered[:, -2]
        barrier = np.minimum(lead, lead**2 / above) / 8
    else:
        barrier = ordered[:, -1] - ordered[:, -2]
    margin = needed_margin(problem, chosen if trapped else None)
    assert stays(problem, np.array([margin]), chosen, barrier)
    # Not by far: with what the count of samples and tokens adds left out it would not do.
    assert not stays(problem, np.array([margin - np.log(2 * n * middle)]), chosen, barrier)


def test_start_gap_is_informative():
    """At least 9 of 10 separating starts are 10 % or more below the best l1 margin."""
    gaps = []
    for shape in ((2, 3, 3), (3, 3, 4), (5, 4, 8)):
        for case in cases("diagonal/separable/separating", shape, 60):
            a, beta = rows(case.problem), case.start.weights
            own = (a @ beta).min() / np.abs(beta).sum()
            gaps.append(1.0 - own / best_l1_margin(a))
    assert np.mean(np.array(gaps) >= 0.1) >= 0.9
    # The best margin is the best: no start exceeds it beyond the LP's feasibility tolerance 1e-7.
    assert min(gaps) > -1e-6


def test_frozen_contrary_sign_costs_margin():
    """The control: with the frozen signs kept, the best margin falls by 5 % or more."""
    losses = []
    for case in cases("diagonal/contrary/frozen", (3, 3, 4), 60):
        a, start = rows(case.problem), case.start
        frozen = np.abs(start.key) == np.abs(start.query)
        sign = np.where(frozen, np.sign(start.weights), 0.0)
        losses.append(1.0 - best_l1_margin(a, sign) / best_l1_margin(a))
    assert np.mean(np.array(losses) >= 0.05) >= 0.9


@pytest.mark.parametrize(
    ("start", "least", "most"),
    # Floors and ceilings of the documented draws, half a per cent of room for rounding.
    [("separating", 0.995e-3, 10.05), ("small", 0.14e-6, 0.5025e-2), ("random", 2.0**-17, 10.0)],
)
def test_invariants_of_starts(start, least, most):
    smallest = []
    for case in cases(f"diagonal/separable/{start}", (3, 3, 4), 100):
        c = [abs(v) / 2 for v in exact_invariants(case.start)]
        assert least <= min(c)
        assert max(c) <= most
        smallest += [float(v) for v in c]
        assert case.inputs()["least invariant"] == pytest.approx(float(min(c)), rel=1e-12)
    decades = {int(np.floor(np.log10(c))) for c in smallest}
    assert len(decades) >= 3


@pytest.mark.parametrize("start", ["frozen", "conflicting", "degenerate"])
def test_degenerate_starts_are_exactly_degenerate(start):
    # With one sample of two tokens, columns of integer data are often zero.
    sparse = integer_cases(f"diagonal/separable/{start}", (1, 2, 4), 200)
    assert any(not touched(case.problem)[:-1].all() for case in sparse)
    for drawn in (
        sparse,
        cases(f"diagonal/separable/{start}", (3, 3, 4), 60),
        cases(f"diagonal/contrary/{start}", (3, 3, 4), 60),
    ):
        for case in drawn:
            zero = np.array([v == 0 for v in exact_invariants(case.start)])
            assert (zero & touched(case.problem)).any()
            assert not zero[-1]
            beta = case.start.weights
            against = zero & (beta * case.witness < 0)
            if start == "conflicting":
                assert (against & touched(case.problem)).any()
                assert "frozen-conflicting" in case.regions
            if start == "degenerate":
                assert ("dead-coordinate" in case.regions) == (zero & (beta == 0)).any()
            else:
                assert (beta[zero] != 0).any()


@pytest.mark.parametrize("model", ["diagonal", "combined-diagonal", "combined"])
def test_traps_hold(model):
    for shape in ((2, 3, 2), (4, 4, 3)):
        for case in cases(f"{model}/trap/trapped", shape, 20):
            problem, weights = case.problem, case.start.weights
            ordered = np.sort(problem.scores, axis=1)
            alpha = np.argmax(problem.scores == ordered[:, -2:-1], axis=1)
            assert min(exact_margins(problem, weights, alpha)) > 0
            lead, above = ordered[:, -2] - ordered[:, -3], ordered[:, -1] - ordered[:, -2]
            barrier = np.minimum(lead, lead**2 / above) / 8
            assert stays(problem, weights, alpha, barrier)
            data = problem.tokens[..., :-1]
            for i in range(problem.samples):
                o, a = problem.optimal[i], alpha[i]
                others = [t for t in range(problem.length) if t not in (o, a)]
                assert any(
                    (data[i, a] - data[i, o] == 2 * (data[i, a] - data[i, m])).all() for m in others
                )


@pytest.mark.parametrize("model", ["combined-diagonal", "combined"])
def test_walks_stay_where_the_starts_say(model):
    for case in cases(f"{model}/trap/trapped", (2, 3, 2), 5):
        assert (walk(case, 300) != case.problem.optimal).all()
    for case in cases(f"{model}/trap/separating", (2, 3, 2), 5):
        assert (walk(case, 300) == case.problem.optimal).all()
