"""The loop: how each status is reached, clocks, symmetries, frozen signs, tighter tolerances."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

from checks.flow import chain, implicit
from checks.flow.integrate import integrate
from checks.flow.orbit import Orbit, Status
from checks.flow.probes import Recorder, View
from checks.flow.reference import Reference
from checks.flow.settings import Settings
from checks.problems import Array, AttentionProblem, Start
from tests.flow_fixture import (
    MODELS,
    drawn,
    gaussian_problem,
    norm_of,
    small_start,
    three_tokens,
)

EPS = float(np.finfo(np.float64).eps)


def one_run(problem: AttentionProblem, start: Start, settings: Settings) -> Orbit:
    return integrate([problem], [start], settings)


def beta(first: float, second: float) -> Start:
    return Start.combined([first, second], 2)


def test_status_closed_and_horizon() -> None:
    ahead = three_tokens((1.0, 0.0), (3.0, 0.0))
    orbit = one_run(ahead, beta(50.0, 1.0), Settings())
    assert orbit.status == [Status.CLOSED]
    assert orbit.selected.tolist() == [[0]]
    assert abs(orbit.primal[0] - 1) <= Settings().gap  # margin of (1, 0) on the row (1, 0)
    # A gap that cannot close (below rounding): the run goes on to its horizon.
    far = one_run(ahead, beta(50.0, 1.0), Settings(gap=-1.0, horizon=30.0))
    assert far.status == [Status.HORIZON]
    assert 30.0 <= far.log_norm[0] < 35.0


def test_a_token_that_comes_back_is_followed_by_the_early_phase() -> None:
    """Token 2 lags at the hand-over, but its margin does not grow as token 1's does."""
    for problem, start in (
        (three_tokens((1.0, 0.0), (0.0, 1.0)), beta(50.0, 120.0)),
        # Diagonal weights grow along token 1 alone.
        (three_tokens((1.0, 0.0), (0.5, 1.0)), Start.diagonal([20.0, 30.0], [2.0, 10.0], 2)),
    ):
        recorder = Recorder([0])
        orbit = integrate([problem] * 2, [start] * 2, Settings(), [recorder])
        assert orbit.status[0] is Status.CLOSED
        assert orbit.selected[0].tolist() == [2]  # the best token, in the end
        # Weak duality, up to the rounding of both bounds.
        assert -4 * EPS <= orbit.own_gap[0] <= Settings().gap
        phases = [stretch.late for stretch in recorder.stretches[0]]
        # It was late, became early again, and ended late: one chain all the same.
        assert False in phases[phases.index(True) :]
        assert phases[-1]
        first = recorder.stretches[0][0].before
        assert chain.chain_breaks(recorder.stretches[0], first) == ""


def test_status_resurgent() -> None:
    """Beyond the norm at which the early phase can help, such a row is given up before."""
    huge = 1e7
    orbit = one_run(
        three_tokens((1.0, 0.0), (0.0, 1.0)), beta(50.0 * huge, 120.0 * huge), Settings()
    )
    assert orbit.status == [Status.RESURGENT]
    assert orbit.settled.all()
    # Stopped while token 2 was still the further one behind, by the margin that is asked for.
    margins = orbit.direction[0] * np.exp(orbit.log_norm[0])
    assert margins[1] >= margins[0] + Settings().handover


def test_status_flat() -> None:
    problem = gaussian_problem(1)
    flat = replace(problem, scores=np.full_like(problem.scores, 0.5))
    start = small_start(1, 4, "combined-diagonal")
    orbit = one_run(flat, start, Settings())
    assert orbit.status == [Status.FLAT]
    assert not orbit.settled.any()
    # Nothing moved: the direction is that of the start.
    direction = start.weights / np.linalg.norm(start.weights)
    assert np.abs(orbit.direction[0] - direction).max() <= 4 * EPS  # one division and one norm
    assert orbit.early_steps[0] == 0


@pytest.mark.parametrize("model", ["combined", "combined-diagonal"])
@pytest.mark.parametrize("tokens", [1.0, 1e-12])
def test_weights_trained_as_one_end_before_their_norm_overflows(model: str, tokens: float) -> None:
    """Their state is W itself: no late step may reach a size whose logarithm is infinite."""
    problems, starts = drawn(model, 3, first=5)
    problems = [replace(problem, tokens=tokens * problem.tokens) for problem in problems]
    orbit = integrate(problems, starts, Settings(gap=-1.0, horizon=np.inf, late_steps=400))
    assert orbit.settled.any()
    assert set(np.array(orbit.status)[orbit.settled]) <= {Status.LATE_STEPS, Status.STALLED}
    assert (orbit.late_steps <= 400).all()
    assert np.isfinite(orbit.log_norm).all()
    # ln of the largest norm whose square is finite.
    largest = np.log(np.finfo(np.float64).max) / 2
    assert 100 < orbit.log_norm.max() <= largest * (1 + EPS)
    assert not np.isnan(orbit.primal[orbit.settled]).any()


@pytest.mark.parametrize("model", MODELS)
def test_budgets_of_steps(model: str) -> None:
    problems, starts = drawn(model, 4, first=5)
    early = integrate(problems, starts, Settings(early_steps=5))
    assert set(early.status) == {Status.UNSETTLED}
    assert (early.early_steps + early.rejected == 5).all()
    late = integrate(problems, starts, Settings(gap=-1.0, early_steps=500, late_steps=3))
    assert late.settled.sum() >= 2
    for row in np.nonzero(late.settled)[0].tolist():
        if late.status[row] is not Status.RESURGENT:
            assert late.status[row] is Status.LATE_STEPS
            assert late.late_steps[row] <= 3


def test_status_stalled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Early: rows that overflow.  Late: a solve that never converges shortens its step away."""
    problem = gaussian_problem(1)
    huge = replace(problem, tokens=problem.tokens * 1e200, queries=problem.queries * 1e200)
    orbit = one_run(huge, small_start(1, 4, "combined"), Settings())
    assert orbit.status == [Status.STALLED]
    assert not orbit.settled.any()
    monkeypatch.setattr(implicit, "NEWTON_LIMIT", 0)
    orbit = one_run(three_tokens((1.0, 0.0), (3.0, 0.0)), beta(50.0, 1.0), Settings(deep=-np.inf))
    assert orbit.status == [Status.STALLED]
    assert orbit.late_steps[0] == 0
    assert np.isnan(orbit.primal[0])


class Clock:
    """Every accepted step: log norm, log time, late."""

    def __init__(self) -> None:
        self.points: dict[int, list[tuple[float, float, float]]] = {}

    def init(self, rows: int) -> None:
        self.points = {row: [] for row in range(rows)}

    def update(self, view: View) -> None:
        values = zip(
            view.index.tolist(), view.log_norm.tolist(), view.log_time.tolist(), strict=True
        )
        for row, size, time in values:
            self.points[row].append((size, time, float(view.late)))


def raw_norms(problem: AttentionProblem, start: Start, norm: str, times: Array) -> Array:
    """ln N(W) at the given raw times: the flow itself, clock included, by scipy's Radau.

    To 1e-7: the log norm is wanted to 1e-5."""
    d = problem.dim
    diagonal = start.model == "diagonal"
    reference = Reference(problem, start.model, (d,))
    raw = np.concatenate((start.key, start.query)) if diagonal else start.weights  # type: ignore[arg-type]

    def velocity(time: float, y: Array) -> Array:
        _, log_clock = reference.ascent(y[:d] * y[d:] if diagonal else y)
        return reference.velocity(y) * np.exp(log_clock)

    solution = solve_ivp(
        velocity, (0.0, times[-1]), raw, method="Radau", rtol=1e-7, atol=1e-9,
        t_eval=times, first_step=1e-3,
    )  # fmt: skip
    assert solution.success, solution.message
    weights = solution.y[:d] * solution.y[d:] if diagonal else solution.y
    return np.array([np.log(norm_of(w, norm)) for w in weights.T])


@pytest.mark.parametrize("model", ["diagonal", "combined-diagonal"])
def test_log_time_is_that_of_a_raw_time_integration(model: str) -> None:
    problems, starts = drawn(model, 3, first=5)
    clock = Clock()
    # The clock is read at the ends of steps: short ones, so that its trapezia are fine.
    fine = Settings(early_tolerance=1e-7, late_tolerance=1e-5, horizon=8.0, early_steps=900)
    orbit = integrate(problems, starts, fine, [clock])
    late_seen = 0
    for row in np.nonzero(orbit.settled)[0].tolist():
        points = np.array(clock.points[row], dtype=np.float64)
        wanted = np.log([1e6, 1e12, 1e25])
        at = np.unique([int(np.abs(points[:, 1] - w).argmin()) for w in wanted])
        at = at[at > 0]
        norms = raw_norms(problems[row], starts[row], orbit.norm, np.exp(points[at, 1]))
        for i, found in zip(at, norms.tolist(), strict=True):
            rate = (points[i, 0] - points[i - 1, 0]) / (points[i, 1] - points[i - 1, 1])
            error = abs(found - points[i, 0]) / rate  # in ln t
            late, log_time = points[i, 2] == 1, points[i, 1]
            late_seen += late
            # Early: trapezia of ln(dt/d tau), seen 2.3e-4 of ln t.  Late: the o(1) of
            # ln t = m~ - ln(dm~/d tau) falls like 1/ln t, seen 1.2/ln t.
            assert error <= (2 / log_time if late else 5e-4 * log_time)
    assert late_seen >= 2


def mirrored(problem: AttentionProblem, start: Start) -> tuple[AttentionProblem, Start]:
    """Tokens, labels and one weight change sign: scores stay, beta changes sign."""
    other = AttentionProblem.of(
        -problem.tokens, problem.queries, -problem.labels, problem.head, problem.scores
    )
    if start.model == "diagonal":
        return other, Start.diagonal(start.key, -np.asarray(start.query), problem.dim)
    return other, Start.combined(-start.weights, problem.dim)


@pytest.mark.parametrize("model", MODELS)
def test_mirrored_problems_have_mirrored_orbits(model: str) -> None:
    problems, starts = drawn(model, 6, first=5)
    settings = Settings(horizon=60.0, early_steps=450, late_steps=60)
    one = integrate(problems, starts, settings)
    twins = [mirrored(p, s) for p, s in zip(problems, starts, strict=True)]
    other = integrate([p for p, _ in twins], [s for _, s in twins], settings)
    assert one.status == other.status
    assert np.array_equal(one.selected, other.selected)
    done = one.settled
    assert done.sum() >= 2
    # Signs are exact; the only sums in another order are those over w+ and w-, a log size:
    # roundings of it over some hundred steps, relative to margins of at most e^60 directions
    # amplify nothing (directions converge).
    assert np.abs(one.direction + other.direction)[done].max() <= 1e-9
    assert np.abs(one.log_norm - other.log_norm)[done].max() <= 1e-9 * 60
    assert np.abs(one.direction - other.direction)[done].max() > 0.1  # and not both zero


def frozen_start(problem: AttentionProblem, sign: int) -> Start:
    """c_0 = 0: k_0 = sign q_0, so that beta_0 keeps ``sign``; c_1 = 0 dead; the rest free."""
    key, query = np.full(problem.dim, 0.3), np.full(problem.dim, 0.1)
    key[0], query[0] = 0.4, sign * 0.4
    key[1] = query[1] = 0.0
    return Start.diagonal(key, query, problem.dim)


SIGNS = [-1] * 6 + [1] * 6


def test_frozen_signs_stay_frozen_at_any_depth() -> None:
    problems = [gaussian_problem(s % 6) for s in range(12)]
    starts = [frozen_start(p, sign) for p, sign in zip(problems, SIGNS, strict=True)]
    recorder = Recorder(range(12))
    settings = Settings(gap=-1.0, horizon=1000.0, early_steps=450, late_steps=100)
    orbit = integrate(problems, starts, settings, [recorder])
    assert orbit.log_norm.max() > 700  # beyond float64's own range
    for row, sign in enumerate(SIGNS):
        assert sign * orbit.direction[row, 0] >= 0
        assert orbit.direction[row, 1] == 0
        # In the orbit's own coordinate u_0 the weight is sign 0.16 e^{+-u_0}: never 0, however
        # small, and no larger than the whole (rounding of logs of up to 1000).
        size = np.log(0.16) + sign * recorder.stretches[row][-1].after[0]
        assert np.isfinite(size)
        assert size <= orbit.log_norm[row] + 8 * EPS * 1000


def test_free_signs_do_cross() -> None:
    """Negative control: with c_0 > 0 the same problems do take the other sign."""
    problems = [gaussian_problem(s % 6) for s in range(12)]
    starts = []
    for problem, sign in zip(problems, SIGNS, strict=True):
        frozen = frozen_start(problem, sign)
        key = np.array(frozen.key)
        key[0] *= 1.5
        starts.append(Start.diagonal(key, frozen.query, problem.dim))
    orbit = integrate(problems, starts, Settings(early_steps=300, late_steps=50))
    assert (np.array(SIGNS) * orbit.direction[:, 0] < 0).sum() >= 3


COUNT = 24
TWICE = Settings(early_steps=800, late_steps=450, horizon=80.0)


@cache
def twice() -> Orbit:
    """24 runs at the usual tolerances, then the same 24 at a tenth of them."""
    problems, starts = drawn("diagonal", COUNT, (2, 3, 3), first=300)
    return integrate(problems * 2, starts * 2, TWICE, tightness=[1.0] * COUNT + [0.1] * COUNT)


def test_a_tenth_of_the_tolerance_changes_nothing() -> None:
    orbit = twice()
    coarse, fine = slice(0, COUNT), slice(COUNT, 2 * COUNT)
    both = orbit.settled[coarse] & orbit.settled[fine]
    assert both.sum() >= 18
    assert np.array_equal(orbit.selected[coarse][both], orbit.selected[fine][both])
    steps = orbit.early_steps
    assert steps[fine][both].sum() > 1.4 * steps[coarse][both].sum()  # order 4: 10^(1/4) = 1.8
    closed = [i for i in np.nonzero(both)[0].tolist() if orbit.status[i] is Status.CLOSED]
    assert len(closed) >= 16
    for i in closed:
        # A last step may close past the horizon: shorter ones stop at it.
        if orbit.log_norm[i] < TWICE.horizon:
            assert orbit.status[COUNT + i] is Status.CLOSED
        # Both brackets hold the same best margin.
        assert orbit.primal[i] <= orbit.dual[COUNT + i] * (1 + 4 * EPS)
        assert orbit.primal[COUNT + i] <= orbit.dual[i] * (1 + 4 * EPS)


def test_errors_booked_are_within_their_bounds() -> None:
    orbit = twice()
    assert (orbit.worst_error <= 1).all()
    assert (orbit.error_sum > 0).all()


def test_gradients_are_off_and_outputs_are_float64() -> None:
    problems, starts = drawn("combined", 2, first=5)
    orbit = integrate(problems, starts, Settings())
    assert torch.get_default_dtype() == torch.float32  # and so nothing leans on the default
    for name in ("direction", "log_norm", "log_time", "primal", "dual", "weights_p", "tau"):
        assert getattr(orbit, name).dtype == np.float64
