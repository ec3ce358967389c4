"""Exponents of the gap: as derived, by another route too, and not those of another law."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from checks import gap_checks, late_runs
from checks.budgets import PROFILES
from checks.cases import Case
from checks.context import Context
from checks.flow.settings import Settings
from checks.gap_checks import STEEPEST, Fit, common_pull
from checks.judging import solutions
from checks.late_probe import LateOrbit
from checks.late_runs import Late, rows_of
from checks.outcomes import CaseResult, Outcome
from checks.problems import Array, constraints_of
from tests.exact_cases import cases, exact_margins
from theory.catalogue import CLAIMS

Check = Callable[[list[Case], Context], list[CaseResult]]
MEANS = (
    ("diagonal/separable/separating", "mean-gap-diagonal"),
    ("combined/separable/separating", "mean-gap-combined"),
)


def context(key: str, claim: str = "rate") -> Context:
    name = f"{claim}.{key}"
    return Context(name, CLAIMS[name].assumptions, PROFILES["quick"])


def outcomes(results: list[CaseResult]) -> set[Outcome]:
    assert sum(r.informative for r in results) >= 3
    return {r.outcome for r in results if r.informative}


@pytest.mark.parametrize(("family", "key"), MEANS)
def test_the_mean_gap_falls_at_its_flows_rate_and_not_at_the_others(family: str, key: str) -> None:
    drawn = cases(family, (4, 3, 6), 5)
    assert outcomes(gap_checks.mean_gap(drawn, context(key))) == {Outcome.HELD}
    wrong = gap_checks.mean_gap_of_the_other(drawn, context(key, "control"))
    assert outcomes(wrong) == {Outcome.FALSIFIED}


@pytest.mark.parametrize("shape", [(1, 2, 2), (2, 2, 4), (4, 2, 6)])
def test_the_gap_falls_like_the_slack_and_not_like_the_norm(shape: tuple[int, int, int]) -> None:
    drawn = cases("diagonal/slack/random", shape, 12)
    held = gap_checks.slack(drawn, context("slack-attained"))
    assert outcomes(held) == {Outcome.HELD}
    for case, found in zip(drawn, held, strict=True):
        if found.outcome is Outcome.HELD:
            slack = 1 - float(exact_pull(case) / exact_gamma(case))
            assert found.inputs["exponent"] == pytest.approx(-slack, abs=0.03)
    wrong = gap_checks.slack_forgotten(drawn, context("slack-forgotten", "control"))
    assert outcomes(wrong) == {Outcome.FALSIFIED}


def exact_rows(case: Case) -> list[list[Fraction]]:
    units = np.eye(case.problem.dim)
    return [list(row) for row in zip(*(exact_margins(case.problem, e) for e in units), strict=True)]


def exact_gamma(case: Case) -> Fraction:
    """gamma* = 1/sum_i (1/g_i), g_i the entry of constraint i at the coordinate it has alone."""
    rows = exact_rows(case)
    own = [row for row in zip(*rows, strict=True) if sum(entry != 0 for entry in row) == 1]
    if len(rows) == 1:
        own = [max(own, key=lambda row: abs(row[0]))]
    return 1 / sum(1 / max(map(abs, row)) for row in own)


def exact_pull(case: Case) -> Fraction:
    """The largest entry that every constraint has, in size."""
    rows = exact_rows(case)
    columns = list(zip(*rows, strict=True))
    if len(rows) == 1:
        return sorted(abs(c[0]) for c in columns)[-2]
    return max(abs(c[0]) for c in columns if len(set(c)) == 1)


@pytest.mark.parametrize("shape", [(1, 2, 2), (2, 2, 3), (3, 2, 5)])
def test_slack_problems_have_the_margin_and_the_slack_they_were_made_with(
    shape: tuple[int, int, int],
) -> None:
    seen = set()
    for case in cases("diagonal/slack/small", shape, 40):
        gamma, pull = exact_gamma(case), exact_pull(case)
        assert 0 < pull < gamma
        name = next(word for word in case.regions if word.startswith("slack "))
        slack = Fraction(int(name[6:].removesuffix("/16")), 16)
        assert 0 <= (1 - pull / gamma) - slack <= Fraction(1, 2**12) / gamma
        assert min(exact_margins(case.problem, case.witness)) == 1
        found, _ = solutions(case.problem, ("l1",))
        assert 1 / found["l1"].optimum == pytest.approx(float(gamma), rel=1e-9)
        seen.add(name)
    assert len(seen) >= 6


def test_one_sample_follows_the_closed_form() -> None:
    """R = 1: p = 1, r = r(0) + 2 a tau, so S and the margin are known without any integration."""
    kept = 0
    for case in cases("diagonal/slack/random", (1, 2, 3), 10):
        run = late_run(case)
        if run is None:
            continue
        key, query = case.start.key, case.start.query
        assert key is not None
        assert query is not None
        a = rows_of(case)[0]
        tau = run.orbit.tau - run.orbit.tau[0]
        r = np.log(np.abs((key + query) / (key - query))) + run.orbit.raw[0] + 2 * np.outer(tau, a)
        c = np.abs(key**2 - query**2) / 2
        size = np.logaddexp(r, -r) + np.log(c / 2)
        total = np.logaddexp.reduce(size[:, a != 0], axis=1)
        margin = (a * c * np.sinh(np.minimum(np.abs(r), 600)) * np.sign(r)).sum(axis=1)
        near = total < 600
        assert near.sum() >= 3
        # Errors of the local steps add up; the closed form has none.
        allowed = 2 * len(tau) * run.tolerance
        assert np.abs(total - run.orbit.log_size)[near].max() < allowed
        assert np.abs(np.log(margin) - run.orbit.log_margin)[near].max() < allowed
        exact = replace(run.orbit, log_size=total, log_margin=np.log(margin))
        fits = gap_checks.slack_fits(replace(run, orbit=cut(exact, near)))
        if fits is not None:
            kept += 1
            assert abs(fits[0].slope - fits[0].exponent) < fits[0].allowed
    assert kept >= 3


def late_run(case: Case) -> Late | None:
    """The late orbit of one case."""
    found: list[Late] = []

    def keep(run: Late) -> CaseResult:
        found.append(run)
        return late_runs.result(run.case, Outcome.HELD, "", run.margins, informative=False)

    late_runs.measure([case], context("slack-attained"), Settings(), keep)
    return found[0] if found else None


def cut(orbit: LateOrbit, kept: Array) -> LateOrbit:
    return LateOrbit(*(getattr(orbit, name)[kept] for name in orbit.__dataclass_fields__))


def test_a_window_begins_where_p_costs_a_twentieth_of_the_gap_at_most() -> None:
    """p*^T m - m~ <= max kappa - min kappa + ln(2/p*_least), from the data alone, over S."""
    seen = 0
    for case in cases("diagonal/slack/random", (3, 2, 4), 16):
        run = late_run(case)
        fits = run and gap_checks.slack_fits(run)
        if fits:
            seen += 1
            gamma = float(exact_gamma(case))
            own = max(abs(float(x)) for row in exact_rows(case) for x in row)
            kappa = constraints_of(case.problem).kappa
            costs = np.ptp(kappa) + np.log(2 * own / gamma)
            assert costs * np.exp(-fits[0].x[0]) <= 1.001 * gap_checks.UNSETTLED * np.exp(
                fits[0].y[0]
            )
    assert seen >= 10


@pytest.mark.parametrize("factor", [0.8, 1.25])
def test_a_flow_whose_gap_falls_at_another_power_is_refuted(
    monkeypatch: pytest.MonkeyPatch, factor: float
) -> None:
    """The gap of every state to this power: its exponent is off by a fifth or a fourth."""
    honest = gap_checks.slack_fits

    def bent(run: Late) -> tuple[Fit, Fit] | None:
        fits = honest(run)
        return fits and tuple(replace(f, y=factor * f.y) for f in fits)  # type: ignore[return-value]

    monkeypatch.setattr(gap_checks, "slack_fits", bent)
    drawn = cases("diagonal/slack/random", (2, 2, 4), 8)
    found = gap_checks.slack(drawn, context("slack-attained"))
    counts = Counter(r.outcome for r in found if r.informative)
    assert counts[Outcome.FALSIFIED] >= 4
    assert counts[Outcome.HELD] == 0


def test_a_flow_that_stays_off_the_optimum_is_refuted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Margins a fifth too small for ever: the mean gap does not fall at all."""
    measure = late_runs.measure

    def measured(drawn, context, settings, judge, **more):  # type: ignore[no-untyped-def]
        def spoilt(run: Late) -> CaseResult:
            late = replace(run.orbit, log_margin=run.orbit.log_margin - 0.22)
            return judge(replace(run, orbit=late))

        return measure(drawn, context, settings, spoilt, **more)

    monkeypatch.setattr(late_runs, "measure", measured)
    for family, key in MEANS:
        found = gap_checks.mean_gap(cases(family, (4, 3, 6), 5), context(key))
        assert outcomes(found) == {Outcome.FALSIFIED}


@pytest.mark.parametrize("points", [2, 3, 10, 65])
def test_a_line_through_a_band_is_no_steeper_than_stated(points: int) -> None:
    x = np.linspace(0.0, 1.0, points)
    steepest = float(np.polyfit(x, np.sign(x - 0.5) / 2, 1)[0])
    assert 1.0 - 1e-9 <= steepest <= STEEPEST
    rng = np.random.default_rng(5)
    drawn = [abs(np.polyfit(x, rng.choice([-0.5, 0.5], points), 1)[0]) for _ in range(200)]
    assert max(drawn) <= steepest + 1e-9


def test_the_structure_of_slack_is_told_from_others() -> None:
    rows = np.array([[1.0, 0.0, 0.25, 0.0], [0.0, -0.5, 0.25, 0.0]])
    pull = common_pull(rows)
    assert pull is not None
    assert pull.tolist() == [0.0, 0.0, 0.25, 0.0]
    assert common_pull(rows[:, :2]) is None  # nothing is shared
    assert common_pull(rows + np.array([[0.0], [0.5]])) is None  # nothing of its own
    assert common_pull(np.array([[1.0, 0.5, 0.25], [0.0, 0.0, 0.25]])) is None
    found = gap_checks.slack(cases("diagonal/separable/separating", (3, 3, 4), 2),
                             context("slack-attained"))  # fmt: skip
    assert {r.outcome for r in found} == {Outcome.VACUOUS}
