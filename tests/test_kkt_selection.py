"""The residuals of KKT and the claims about what a run selected: they hold, and they can fail."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from checks import aligned_checks, judging, kkt_checks, limit_checks, selection_checks
from checks.budgets import PROFILES
from checks.cases import Case, campaign_specs, decode
from checks.context import Context
from checks.outcomes import CaseResult, Outcome
from checks.problems import Start, constraints_of
from theory.catalogue import CLAIMS

Check = Callable[[Sequence[Case], Context], list[CaseResult]]


def context(claim: str) -> Context:
    return Context(claim, CLAIMS[claim].assumptions, PROFILES["quick"], "cpu")


def drawn(family: str, shape: tuple[int, int, int], count: int) -> list[Case]:
    return [decode(s) for s in campaign_specs("kkt-selection", family, shape, 0, range(count))]


def outcomes(results: Sequence[CaseResult]) -> set[Outcome]:
    return {r.outcome for r in results if r.informative}


PRIMAL = context("limit.kkt-primal-feasibility")


def test_the_primal_residual_is_bounded_by_the_gap_of_its_own_state() -> None:
    found = kkt_checks.kkt_primal_feasibility(
        drawn("diagonal/separable/separating", (3, 3, 4), 8), PRIMAL
    )
    assert outcomes(found) == {Outcome.HELD}
    held = [r for r in found if r.outcome is Outcome.HELD]
    assert all(len(r.measurements) == 2 for r in held)
    # Rounding of a few products and the width of an exact interval, as ill-conditioned as they are.
    assert all(0 < r.measurements[0].tolerance < 1e-9 for r in held)


@pytest.mark.parametrize("name", ["dual-feasibility", "complementarity"])
def test_the_other_residuals_vanish_too(name: str) -> None:
    claim = f"limit.kkt-{name}"
    check: Check = getattr(kkt_checks, f"kkt_{name.replace('-', '_')}")
    found = check(drawn("diagonal/separable/separating", (3, 3, 4), 8), context(claim))
    assert outcomes(found) == {Outcome.HELD}
    held = [r for r in found if r.outcome is Outcome.HELD]
    assert len(held) >= 4
    assert all(m.value <= m.tolerance < 1.0 for r in held for m in r.measurements)
    # Residuals are not negative but for rounding; that of weak duality is one of them.
    assert all(m.value > -1e-9 for r in held for m in r.measurements)


@pytest.mark.parametrize("factor", [None, 0.5, 2.0])
def test_a_bracket_that_misses_the_solvers_interval_is_refuted_on_either_side(
    factor: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = judging.from_raw
    if factor is not None:
        monkeypatch.setattr(
            judging, "from_raw", lambda run, norm: tuple(factor * x for x in honest(run, norm))
        )
    claim = "limit.trajectory-certificate"
    found = kkt_checks.trajectory_certificate(
        drawn("diagonal/separable/separating", (3, 3, 4), 6), context(claim)
    )
    wanted = Outcome.HELD if factor is None else Outcome.FALSIFIED
    assert outcomes(found) == {wanted}


@pytest.mark.parametrize(("column", "factor"), [(2, 1 - 1e-3), (3, 1 - 1e-3)])
def test_a_wrong_curve_is_refuted(
    column: int, factor: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A margin or a dual bound of the orbit a thousandth too small: by its own certificate."""
    honest = limit_checks.follow

    def spoilt(cases: Sequence[Case], context: Context) -> list[limit_checks.Run]:
        runs = honest(cases, context)
        for run in runs:
            run.curve[:, column] *= factor
        return runs

    cases = drawn("diagonal/separable/separating", (3, 3, 4), 8)
    found = limit_checks.measure(
        cases, limit_checks.Target("l1", "l2"), PRIMAL, kkt_checks._primal_feasibility, spoilt
    )
    assert Outcome.HELD not in outcomes(found)
    if column == 3:
        assert Outcome.FALSIFIED in outcomes(found)


SELECTED = {
    "selection.selected-svm-frobenius": (
        selection_checks.combined, "combined/unconstrained/random", (4, 3, 4), "nuclear",
        limit_checks.follow,
    ),
    "selection.selected-svm-aligned": (
        selection_checks.aligned, "factored/symmetrised/aligned-random", (12, 3, 3), "frobenius",
        aligned_checks.follow,
    ),
}  # fmt: skip


@pytest.mark.parametrize("claim", SELECTED)
def test_full_weights_solve_the_problem_of_their_tokens_and_not_the_other_norms(
    claim: str,
) -> None:
    check, family, shape, other, follow = SELECTED[claim]
    cases = drawn(family, shape, 16)
    found = check(cases, context(claim))
    assert outcomes(found) == {Outcome.HELD}
    assert any(selection_checks.ELSEWHERE in r.regions for r in found)
    wrong = selection_checks._measure(cases, context(claim), other, follow)
    assert outcomes(wrong) == {Outcome.FALSIFIED}


def test_the_aligned_optimum_is_that_of_the_direct_oracle() -> None:
    """Two routes to the nuclear optimum of the tokens selected: the diagonal form, and none."""
    cases = drawn("factored/symmetrised-rotated/aligned-random", (12, 3, 3), 6)
    elsewhere = idle = 0
    for case, run in zip(cases, aligned_checks.follow(cases, PRIMAL), strict=True):
        constraints = constraints_of(run.problem, run.selected)
        if not run.settled or run.reached or len(constraints) == 0:
            continue
        elsewhere += 1
        form = judging.solution(constraints, "nuclear", case.alignment, run.selected)
        direct = judging.solution(constraints, "nuclear", None, run.selected)
        assert max(form.lower, direct.lower) <= min(form.upper, direct.upper)
        assert form.lower <= form.optimum <= form.upper
        assert (form.active | (form.multipliers == 0)).all()
        idle += not form.active.all()
    assert elsewhere
    assert idle


def test_a_vacuous_case_names_its_assumption() -> None:
    claim = "selection.selected-svm-aligned"
    case = drawn("factored/symmetrised/aligned-random", (12, 3, 3), 1)[0]
    bare = replace(case, alignment=None)
    (found,) = selection_checks.aligned([bare], context(claim))
    assert found.outcome is Outcome.VACUOUS
    assert found.reason.startswith("aligned is unmet")


@pytest.mark.parametrize("model", ["combined-diagonal", "combined"])
def test_the_gap_of_a_start_is_that_of_its_direction(model: str) -> None:
    """1 for no weights at all, 0 for the optimum, whatever its size, 2 for its negative."""
    norm = "l2" if model == "combined-diagonal" else "frobenius"
    for case in drawn(f"{model}/separable/separating", (3, 3, 4), 4):
        solved = judging.solution(constraints_of(case.problem), norm, None, case.problem.optimal)
        for scale, gap in ((0.0, 1.0), (1.0, 0.0), (100.0, 0.0)):
            start = Start.combined(scale * solved.solution, case.problem.dim)
            assert judging.start_gap(case.problem, start, solved) == pytest.approx(gap, abs=1e-8)
        backwards = Start.combined(-solved.solution, case.problem.dim)
        assert judging.start_gap(case.problem, backwards, solved) >= 2 - 1e-8
