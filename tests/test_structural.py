"""Controls kept by structure: weights of too low a rank, and one matrix for key and query."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from checks import low_rank, parts, semidefinite, svm
from checks.cases import Case, campaign_specs, case_record, decode
from checks.certificates import OracleFailure, linear_bound
from checks.flow.integrate import Batch, integrate
from checks.flow.mirrored import MirroredGeometry, keeps_key_as_query
from checks.flow.settings import Settings
from checks.problems import Start, constraints_of
from checks.rounding import margins
from checks.solutions import NARROW
from theory.catalogue import CLAIMS


def _cases(family: str, shape: tuple[int, int, int], count: int) -> list[Case]:
    return [decode(s) for s in campaign_specs("structural", family, shape, 0, range(count))]


PINNED = sorted(parts.PINNED.glob("*.json"))
LOW = _cases("factored/low-rank/rank-one", (3, 3, 3), 16)
MIRRORED = _cases("factored/mirrored/key-is-query", (6, 2, 4), 16)


def _rank(solution: svm.SvmSolution) -> int:
    values = np.linalg.svd(solution.solution, compute_uv=False)
    return int((values > 1e-6 * values[0]).sum())


@pytest.mark.parametrize("case", LOW, ids=range(len(LOW)))
def test_the_rank_near_an_optimum_is_told_both_ways(case: Case) -> None:
    constraints = constraints_of(case.problem)
    nuclear = svm.solve_svm(constraints, "nuclear")
    rank = _rank(nuclear)
    # The optimum itself has this rank, so a larger one can never be proved of its neighbours.
    assert not low_rank.exceeds_rank(constraints, nuclear, rank, 1e-9)
    if rank == 2 and nuclear.unique == "proved":
        assert low_rank.exceeds_rank(constraints, nuclear, 1, 1e-6)
    # With so much room weights of rank one are near enough: the witness is one of them.
    least = margins(constraints, case.witness)[0].min()
    room = np.linalg.norm(case.witness) / least / nuclear.lower - 1
    assert not low_rank.exceeds_rank(constraints, nuclear, 1, room * (1 + 1e-9) + 1e-9)


def test_both_outcomes_of_the_rank_certificate_occur() -> None:
    proved = [
        low_rank.exceeds_rank(
            constraints_of(c.problem), svm.solve_svm(constraints_of(c.problem), "nuclear"), 1, 1e-5
        )
        for c in LOW
    ]
    assert 4 <= sum(proved) <= len(LOW) - 2


def test_linear_bounds_hold_for_the_optimum_and_are_tight_there() -> None:
    rng = np.random.default_rng(0)
    for case in LOW[:4]:
        constraints = constraints_of(case.problem)
        nuclear = svm.solve_svm(constraints, "nuclear")
        face = low_rank._Face(constraints, nuclear, nuclear.upper * (1 + 1e-8))
        for _ in range(3):
            functional = rng.normal(size=nuclear.solution.shape)
            lower, upper = face.interval(functional, False)
            value = float((functional * nuclear.solution).sum())
            assert lower <= value <= upper
            # Any multipliers give a bound: the optimal ones alone give a coarse one.
            assert (
                linear_bound(constraints, nuclear.multipliers, functional, nuclear.upper) <= value
            )
            if nuclear.unique == "proved":
                assert upper - lower < 0.1 * nuclear.upper * np.abs(functional).max()


def test_the_factors_of_a_rank_one_run_are_each_a_margin_problem() -> None:
    constraints = constraints_of(LOW[0].problem)
    held = low_rank.blocks(constraints, LOW[0].witness)
    least = margins(constraints, LOW[0].witness)[0].min() / np.linalg.norm(LOW[0].witness)
    # Either is at least as good as the weights it starts from.
    assert all(solution.lower <= (1 + 1e-12) / least for solution in held)
    with pytest.raises(OracleFailure, match="rank-one part"):
        low_rank.blocks(constraints, -LOW[0].witness)


@pytest.mark.parametrize("case", MIRRORED[:8], ids=range(8))
def test_the_semidefinite_optimum_lies_between_the_nuclear_one_and_any_candidate(
    case: Case,
) -> None:
    constraints = constraints_of(case.problem)
    cone = semidefinite.solve_semidefinite(constraints)
    assert cone.lower <= cone.upper
    assert cone.width <= NARROW
    # Over fewer weights the least norm is larger; equal where the optimum is semidefinite.
    nuclear = svm.solve_svm(constraints, "nuclear")
    assert nuclear.lower <= cone.upper
    values = np.linalg.eigvalsh(cone.solution)
    assert values[0] >= -1e-12 * values[-1]
    # The witness C C^T is a candidate.
    least = margins(constraints, case.witness)[0].min()
    assert cone.lower <= np.trace(case.witness) / least * (1 + 1e-12)
    # A second route: the primal semidefinite program.
    assert cone.optimum == pytest.approx(_primal(case), rel=1e-6)


def _primal(case: Case) -> float:
    import cvxpy as cp

    constraints = constraints_of(case.problem)
    d = case.problem.dim
    w = cp.Variable((d, d), PSD=True)
    rows = [a @ w @ z >= 1 for a, z in zip(constraints.delta, constraints.query, strict=True)]
    return float(cp.Problem(cp.Minimize(cp.trace(w)), rows).solve(solver=cp.CLARABEL))


def test_nothing_is_certified_where_no_semidefinite_weights_separate() -> None:
    case = MIRRORED[0]
    constraints = constraints_of(case.problem)
    flipped = type(constraints)(
        -constraints.query, constraints.query, constraints.sample, constraints.token,
        constraints.kappa,
    )  # fmt: skip
    with pytest.raises(OracleFailure, match="semidefinite"):
        semidefinite.solve_semidefinite(flipped)  # -z^T W z >= 1


def test_one_matrix_is_kept_only_where_the_flow_keeps_it() -> None:
    case = MIRRORED[0]
    assert all(keeps_key_as_query(c.problem, c.start) for c in MIRRORED)
    key = np.array(case.start.key)
    other = key.copy()
    other[0, 0] = np.nextafter(other[0, 0], np.inf)
    assert not keeps_key_as_query(case.problem, Start.factored(key, other, case.problem.dim))
    # The same start on data that are not closed under transposition.
    assert not any(
        keeps_key_as_query(
            c.problem, Start.factored(np.eye(c.problem.dim), np.eye(c.problem.dim), c.problem.dim)
        )
        for c in _cases("factored/separable/separating", (6, 2, 4), 4)
    )


def test_runs_from_one_matrix_stay_in_the_cone_where_two_matrices_leave_it() -> None:
    problems, starts = [c.problem for c in MIRRORED], [c.start for c in MIRRORED]
    assert isinstance(Batch.of(problems, starts).geometry, MirroredGeometry)
    orbit = integrate(problems, starts, Settings(horizon=60.0))
    for case, direction in zip(MIRRORED, orbit.direction, strict=True):
        weights = direction.reshape(case.problem.dim, -1)
        values = np.linalg.eigvalsh((weights + weights.T) / 2)
        assert np.abs(weights - weights.T).max() <= 1e-14
        assert values[0] >= -1e-14
        cone = semidefinite.solve_semidefinite(constraints_of(case.problem))
        least = margins(constraints_of(case.problem), weights)[0].min() / np.trace(weights)
        assert least * cone.lower <= 1 + 1e-12


def test_rows_that_are_not_tied_move_as_in_the_plain_geometry() -> None:
    case = MIRRORED[0]
    noise = np.random.default_rng(1).normal(size=case.start.key.shape)
    free = Start.factored(case.start.key, case.start.query + noise, case.problem.dim)
    mixed = Batch.of([case.problem] * 2, [case.start, free]).geometry
    plain = Batch.of([case.problem] * 2, [free, free]).geometry
    assert isinstance(mixed, MirroredGeometry)
    assert not isinstance(plain, MirroredGeometry)
    p = torch.full((2, 12), 0.1, dtype=torch.float64)
    step = torch.full((2,), 0.3, dtype=torch.float64)
    after = mixed.advance(mixed.initial(), p, step)[1]
    assert torch.allclose(after, plain.advance(plain.initial(), p, step)[1], rtol=1e-14)
    assert torch.equal(mixed.dual_norm(p)[1], plain.dual_norm(p)[1])


@pytest.mark.parametrize("path", PINNED, ids=[path.stem for path in PINNED])
def test_a_pinned_case_belongs_to_a_claim_and_says_why_it_is_there(path: Path) -> None:
    record = json.loads(path.read_text())
    assert record["why"]
    assert record["claim"] in CLAIMS
    alike = [c for c in parts.pinned_cases(record["claim"]) if c.spec.to_json() == record["spec"]]
    # Two may share their data, and then differ in the start.
    [case] = [c for c in alike if case_record(c)["start"] == record["start"]]
    # The decoder may have changed since: the arrays count, and are as valid as any.
    assert case.problem.samples == record["spec"]["shape"][0]
