"""Saddles and the atlas: each thing said of a run is also denied of a planted one."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from checks import atlas_checks, limit_checks, saddle_checks, saddles, svm
from checks.budgets import PROFILES
from checks.charted_starts import WIDTHS, width_of
from checks.context import Context
from checks.grids import grids
from checks.limit_checks import Prepared, Target
from checks.outcomes import CaseResult, Outcome
from checks.problems import Array, constraints_of
from checks.saddle_checks import Saddle
from checks.saddles import Memory
from checks.tally import Tally
from tests.exact_cases import cases

DATA = ("optimal-unique", "separable", "realisable", "infimum-reached")


def context(claim: str) -> Context:
    return Context(claim, DATA, PROFILES["quick"])


def test_the_optimum_is_stationary_and_other_multipliers_say_otherwise() -> None:
    for case in cases("factored/separable/random", (3, 3, 3), 4):
        rows = constraints_of(case.problem)
        found = svm.solve_svm(rows, "nuclear")
        p = np.zeros(case.problem.scores.shape)
        p[rows.sample, rows.token] = found.multipliers
        g = saddles.push(case.problem, case.problem.optimal, p)
        at = saddles.stationarity(g, found.solution)
        assert at.residual < 1e-6
        assert abs(at.excess) < 1e-8
        assert at.rank == np.linalg.matrix_rank(found.solution, tol=1e-6)
        p[rows.sample, rows.token] = 1.0
        g = saddles.push(case.problem, case.problem.optimal, p)
        assert saddles.stationarity(g, found.solution).residual > saddles.STATIONARY


def saddle_like(columns: int = 3) -> tuple[Array, Array, Array]:
    """G = diag(2, 1), Z at the KKT point of its second pair, y of its first; d = 2."""
    stack = np.zeros((4, columns))
    stack[[1, 3], 0] = 1.0
    y = np.zeros((4, 1))
    y[[0, 2], 0] = np.sqrt(0.5)
    return np.diag([2.0, 1.0]), stack, y


@pytest.mark.parametrize(("seed", "remembers"), [(1e-15, False), (1e-9, True), (0.0, True)])
def test_a_run_forgets_its_start_where_rounding_is_larger(seed: float, remembers: bool) -> None:
    """Exactly 0 is structure, not rounding; 1e-9 is far above it."""
    g, stack, y = saddle_like()
    stack[:, 1:] = seed * y * [[1.0, 0.5]]
    part, excess = saddles.growing_part(g, stack)
    assert excess == pytest.approx(1.0)
    assert part == pytest.approx(seed * np.sqrt(1.25 / 2), rel=1e-6)
    forgets = excess > 0.01 and 0 < part <= 16 * np.finfo(float).eps * 10
    assert forgets != remembers


def test_away_from_saddles_nothing_is_forgotten() -> None:
    g, stack, y = saddle_like()
    stack[:, 1:] = 1e-15 * y
    stack[:, :1] += 0.1 * y  # y is no small part of Z: it grows by itself, and p answers
    assert saddles.growing_part(g, stack)[0] == np.inf
    one = saddle_like(1)[1] + 1e-15 * y
    assert saddles.growing_part(g, one)[0] == 0.0, "no column is left: the rank is structure"


def test_memory_reads_the_steps_it_is_shown() -> None:
    (case,) = cases("factored/separable/random", (3, 3, 3), 1)
    problem, memory = case.problem, Memory()
    memory.init(1)
    rng = np.random.default_rng(0)
    flat = np.append(rng.normal(size=2 * problem.dim * 4), 5.0)
    p = np.ones(problem.scores.size)
    memory._seen[0].append((flat, p))
    assert not memory.lost(0, problem, problem.optimal)
    g = saddles.push(problem, problem.optimal, p.reshape(problem.scores.shape))
    u, _, vt = np.linalg.svd(g)
    stack = np.zeros((2 * problem.dim, 2))
    stack[:, 0] = np.concatenate((u[:, 1], vt[1]))
    stack[:, 1] = 1e-16 * np.concatenate((u[:, 0], vt[0]))
    memory._seen[1].append((np.append(stack.ravel(), 5.0), p))
    assert memory.lost(1, problem, problem.optimal)


@pytest.mark.parametrize(
    ("factor", "outcome"), [(1.0, Outcome.HELD), (2.0, Outcome.FALSIFIED), (1.02, None)]
)
def test_the_clock_is_read_off_the_added_column(factor: float, outcome: Outcome | None) -> None:
    """Growth at twice the claimed rate is refuted; 2 % off is undecided."""
    (case,) = cases("factored/low-rank/rank-one", (3, 3, 3), 1)
    prepared = limit_checks.prepare(
        case, Target("nuclear", "frobenius", False), context("rate.saddle-escape")
    )
    assert isinstance(prepared, Prepared)
    d = case.problem.dim
    p = np.ones(case.problem.scores.shape)
    g = saddles.push(case.problem, case.problem.optimal, p)
    u, sizes, vt = np.linalg.svd(g)
    stack = np.concatenate((u[:, 1], vt[1]))[:, None] / np.sqrt(2)
    pair = np.concatenate((u[:, 0], vt[0])) / np.sqrt(2)
    saddle = Saddle(stack, pair, float(sizes[0] / sizes[1]) - 1, p, float(sizes[1]))
    steps = []
    for rho in np.linspace(10.0, 10.0 + 30 / saddle.excess, 40):
        share = 1e-5 * np.exp(factor * saddle.excess * (rho - 10.0) / 2)
        both = np.concatenate((stack, min(share, 1.0) * pair[:, None]), axis=1)
        both = both * np.sqrt(2) / np.linalg.norm(both)
        steps.append((np.append(both.ravel(), rho), p.ravel()))
    run = SimpleNamespace(fidelity=SimpleNamespace(ok=True))
    timed = saddle_checks._timed(prepared, saddle, run, steps)
    assert timed.outcome is (outcome or Outcome.INCONCLUSIVE)
    assert timed.measurements[1].ratio <= 1, "the curvature does not depend on the clock"
    assert d == len(g)


def test_charted_starts_are_where_they_say() -> None:
    for case in cases("factored/separable/charted", (3, 3, 3), 60):
        place = dict(region.split(": ") for region in case.regions if ": " in region)
        key, query, dim = case.start.key, case.start.query, case.problem.dim
        assert key is not None
        assert query is not None
        width = width_of(place["width e"], dim)
        assert place["width e"] in WIDTHS
        assert not key[:, width:].any()
        assert not query[:, width:].any()
        both = np.concatenate((key, query))
        assert np.abs(both).max() == pytest.approx(float(place["start scale"]))
        rank = np.linalg.matrix_rank(both, tol=1e-9 * np.abs(both).max())
        assert (place["rank"] == "full") == (rank == width)
        if place["balance"] == "balanced":
            assert np.allclose(key.T @ key, query.T @ query, atol=1e-12 * np.abs(both).max() ** 2)
        assert (place["balance"] == "query zero") == (not query.any())


def test_one_column_ends_at_a_kkt_point_of_rank_one() -> None:
    """And never at the optimum, where that is of higher rank; each run is placed once."""
    wanted = {"width e: 1", "alignment angle: 0", "full-witness"}
    drawn = [
        case
        for case in cases("factored/separable/charted", (3, 3, 3), 400)
        if wanted <= set(case.regions)
        and {"start scale: 1", "start scale: 0.1"} & set(case.regions)
    ][:4]
    assert len(drawn) >= 2
    results = atlas_checks.atlas(drawn, context("frontier.atlas"))
    found = [[r for r in result.regions if r.startswith("found: ")] for result in results]
    assert all(len(f) == 1 for f in found)
    assert ["found: elsewhere, KKT point of rank 1"] in found
    (grid, *_) = grids(Tally.of(results).places)
    assert sum(cell["n"] for row in grid["cells"] for cell in row) <= len(drawn)


def placed(*regions: str) -> CaseResult:
    return CaseResult(Outcome.HELD, "", "id", {}, regions=regions)


def test_grids_count_what_was_found_by_place() -> None:
    results = [
        placed("width e: 2", "start scale: 10", "found: optimum"),
        placed("width e: 2", "start scale: 10", "found: elsewhere, KKT point of rank 1"),
        placed("width e: d", "start scale: 0.1", "found: not reached"),
        placed("integer-data"),
    ]
    (grid,) = grids(Tally.merged([Tally.of(results[:2]), Tally.of(results[2:])]).places)
    assert grid["x"] == {"name": "width e", "values": ["2", "d"]}
    assert grid["y"] == {"name": "start scale", "values": ["0.1", "10"]}
    assert [[cell["n"] for cell in row] for row in grid["cells"]] == [[0, 0], [2, 0]]
    assert grid["cells"][1][0]["share"] == 0.5
    assert grid["cells"][0][1] == {"share": None, "n": 0, "note": "1 not reached"}
    assert grids(Tally.of([placed("integer-data")]).places) == []
