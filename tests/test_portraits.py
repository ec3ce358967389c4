"""Close looks at single cases: what is drawn is what the run was, and no verdict sees it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from checks import closeup, portrait
from checks.cases import campaign_specs, decode
from checks.faces import plane_of
from checks.flow.probes import SNAPSHOTS
from checks.flow.settings import Settings
from checks.outcomes import CaseResult, Measurement, Optimum, Outcome
from checks.problems import Array, AttentionProblem, Start, constraints_of
from checks.tally import Tally
from checks.track import Path
from tests.flow_fixture import best_margin, gaussian_problem, small_start

COARSE = Settings(gap=1e-4)


def drawn(family: str, shape: tuple[int, int, int]) -> tuple[AttentionProblem, Start]:
    """The first case of a family, as it is integrated."""
    (spec,) = campaign_specs("portraits", family, shape, 0, range(1))
    return portrait.subject(decode(spec))


@pytest.mark.parametrize(
    ("family", "shape", "norm"),
    [
        ("diagonal/separable/separating", (3, 3, 4), "l1"),
        ("combined/separable/separating", (2, 3, 3), "frobenius"),
        ("factored/symmetrised/aligned", (8, 3, 3), "l1"),
    ],
)
def test_the_curves_of_a_run_that_reaches_the_infimum(
    family: str, shape: tuple[int, int, int], norm: str
) -> None:
    problem, start = drawn(family, shape)
    (one,) = portrait.portraits([problem], [start], COARSE, twins=True)
    assert one.reached
    assert one.norm == norm
    assert one.path is not None
    assert len(one.path.log_norm) <= SNAPSHOTS
    assert (np.diff(one.path.log_norm[-5:]) > 0).all()
    curves = {curve["name"]: curve for curve in portrait.curves(one)}
    assert list(curves) == ["certificate", "kkt", "attention", "spectrum", "fidelity"]
    ends = {s["label"]: s["points"][-1][1] for c in curves.values() for s in c["series"]}
    # The run stopped when its certificate had closed; its ends bound the gap from both sides.
    assert 0 < ends["margin of W below it"] <= 1e-4
    assert ends["stationarity, 1 − cos"] < 1e-2
    assert all(s["points"][-1][1] > 0.99 for s in curves["attention"]["series"])
    (apart,) = curves["fidelity"]["series"]
    assert max(y for _, y in apart["points"] if math.isfinite(y)) < 1e-2
    for curve in curves.values():
        for series in curve["series"]:
            assert len(series["points"]) == len(series["times"]) <= SNAPSHOTS + 1


def test_attention_from_its_definition() -> None:
    problem, start = gaussian_problem(3), small_start(3, 4, "combined")
    for size in (0.0, 1.7, 3.0):
        weights = start.weights * np.exp(size)
        s = np.exp(problem.tokens @ weights @ problem.queries[:, :, None])[:, :, 0]
        paid = (s / s.sum(axis=1, keepdims=True))[np.arange(problem.samples), problem.optimal]
        assert portrait.attention_paid(problem, start.weights, size) == pytest.approx(paid)
    beyond = portrait.attention_paid(problem, start.weights, 1e5)  # a norm of e^100,000
    assert set(beyond) <= {0.0, 1.0}
    assert portrait.attention_paid(problem, 0 * start.weights, 1e5) == pytest.approx(1 / 3)


ROWS = st.integers(2, 3).flatmap(
    lambda d: st.lists(
        st.lists(st.integers(-3, 3).map(float), min_size=d, max_size=d), min_size=1, max_size=5
    )
)


@settings(deadline=None, derandomize=True, database=None, max_examples=120)
@given(ROWS, st.sampled_from(["l1", "l2"]))
def test_the_face_is_where_the_best_margin_is_attained(drawn: list[list[float]], norm: str) -> None:
    rows: Array = np.array(drawn)
    best = best_margin(rows, norm)
    assume(best > 1e-6)
    plane = plane_of(rows, 1 / best, norm)
    assert len(plane.face) >= 1
    sizes = np.linalg.norm(plane.face, ord=1 if norm == "l1" else 2, axis=1)
    assert sizes == pytest.approx(1.0, abs=1e-6)
    assert (plane.face @ rows.T).min(axis=1) == pytest.approx(best, abs=1e-6)
    middle = plane.face.mean(axis=0)  # convex: the whole polygon attains it
    assert (rows @ middle).min() / np.linalg.norm(
        middle, ord=1 if norm == "l1" else 2
    ) == pytest.approx(best, abs=1e-6)


def test_a_face_with_corners() -> None:
    """b1 + b2 >= 1: every point between the two unit vectors is optimal."""
    plane = plane_of(np.array([[1.0, 1.0]]), 1.0, "l1")
    assert sorted(map(tuple, plane.face.round(9).tolist())) == [(0.0, 1.0), (1.0, 0.0)]
    assert plane_of(np.array([[1.0, 1.0]]), 2**-0.5, "l2").face == pytest.approx(
        np.full((1, 2), 2**-0.5)
    )


def test_a_phase_portrait_ends_on_the_face() -> None:
    problem, start = drawn("diagonal/separable/separating", (2, 3, 2))
    picture = portrait.phase(problem, [start], COARSE)
    assert picture is not None
    assert picture["axes"] == ["β₁", "β₂"]  # the third carries the scores: no row sees it
    (path,) = picture["paths"]
    assert path["reached"]
    rows = constraints_of(problem).rows[:, :2]
    best = best_margin(rows, "l1")
    end = np.array(path["points"][-1])
    assert (rows @ end).min() / np.abs(end).sum() == pytest.approx(best, rel=1e-3)
    assert (rows @ np.array(picture["face"]).T).min(axis=0) == pytest.approx(best, rel=1e-6)
    assert portrait.phase(*_wide(), COARSE) is None


def _wide() -> tuple[AttentionProblem, list[Start]]:
    problem, start = drawn("diagonal/separable/separating", (3, 3, 4))
    return problem, [start]


def test_the_simplest_case_is_the_smallest_informative_one() -> None:
    def result(n: int, ratio: float, outcome: Outcome = Outcome.HELD) -> CaseResult:
        return CaseResult(
            outcome, "", f"p{n}", {"family": "f", "shape": [n, 3, 2], "blob": ""},
            measurements=(Measurement("m", ratio, 1.0, "because"),),
            optima=(Optimum("l1", "exact", "proved", 0.0, "simplex"),),
        )  # fmt: skip

    tally = Tally.of((result(4, 0.9), result(2, 0.1), result(1, 0.2, Outcome.VACUOUS)))
    chosen = tally.simplest
    assert chosen is not None
    assert chosen.problem_id == "p2"
    assert Tally().simplest is None
    assert tally.followed
    assert not Tally.of([result(1, 0.2, Outcome.VACUOUS)]).followed


def test_the_data_of_a_case_are_its_arrays_and_large_ones_are_left_out() -> None:
    (small,) = campaign_specs("portraits", "diagonal/separable/separating", (2, 3, 3), 0, range(1))
    case = decode(small)
    shown = closeup.data_of(case)
    assert shown is not None
    assert list(shown) == ["tokens", "queries", "labels", "head", "scores", "key", "query"]
    assert np.array_equal(np.array(shown["tokens"]), case.problem.tokens)
    (large,) = campaign_specs("portraits", "diagonal/separable/separating", (9, 5, 8), 0, range(1))
    assert closeup.data_of(decode(large)) is None


def test_a_twin_that_hardly_moves_between_two_moments_is_no_slope() -> None:
    """Norms one rounding apart: a slope between them overflowed (seen in the full profile)."""
    path = Path(
        log_norm=np.array([0.0, 1e-300, 1.0, 2.0]), log_time=np.arange(4.0),
        weights=np.array([0.0, 0.5, 0.7, 1.0])[:, None], p=np.ones((4, 1)), angle=np.zeros(4),
    )  # fmt: skip
    figure = portrait._fidelity(path, path)
    heights = [y for _, y in figure["series"][0]["points"]]
    assert max(heights[2:]) < 1e-12


def test_weights_that_hardly_move_between_two_moments_are_no_matter() -> None:
    """A slope of 1e-309 has no inverse in float64; the interpolation takes it for flat."""
    path = Path(
        log_norm=np.arange(4.0), log_time=np.arange(4.0),
        weights=np.array([0.0, 1e-309, 3e-309, 1.0])[:, None], p=np.ones((4, 1)), angle=np.zeros(4),
    )  # fmt: skip
    figure = portrait._fidelity(path, path)
    assert max(y for _, y in figure["series"][0]["points"]) < 1e-12
