"""Every family is what its name says, in exact arithmetic; violators violate one thing."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings

from checks.aligned_problems import SINGLE_ENTRY, SYMMETRISED
from checks.cases import decode
from checks.families import FAMILIES, VIOLATORS, violators
from checks.problem_families import WITNESSED
from tests.exact_cases import (
    GOOD,
    any_specs,
    cases,
    exact_invariants,
    exact_margins,
    opposite_pair,
    possible,
    touched,
)
from theory.assumptions import ASSUMPTION_LIST


def violated(case):
    """The problem and start assumptions a case breaks, decided exactly."""
    problem, start = case.problem, case.start
    ordered = np.sort(problem.scores, axis=1)
    out = set()
    if (ordered[:, -1] == ordered[:, -2]).any():
        out.add("optimal-unique")
    if not problem.realisable:
        out.add("realisable")
    if (ordered[:, 0] != ordered[:, -2]).any():
        out.add("equal-scores")
    if opposite_pair(problem):
        out.add("separable")
    form = case.alignment  # of an aligned start the invariant is that of its diagonal form
    aligned = form is not None and form.start is not None
    plain, base = (form.problem, form.start) if aligned else (problem, start)
    if base.model == "diagonal":
        zero = np.array([v == 0 for v in exact_invariants(base)])
        if (zero & touched(plain)).any():
            out.add("nonzero-invariant")
    if start.model == "factored":
        if np.linalg.matrix_rank(np.concatenate([start.key, start.query])) < 2 * problem.dim:
            out.add("full-stack-rank")
        # In the frames of aligned data, an aligned start makes this diagonal; unaligned ones
        # are off by their own size, aligned ones by rounding.
        frames = case.alignment
        product = None if frames is None else frames.left.T @ start.weights @ frames.right
        if (
            product is None
            or np.abs(product - np.diag(np.diag(product))).max() > 1e-3 * np.abs(product).max()
        ):
            out.add("aligned")
    return out


OPTIONAL = {"equal-scores", "aligned", "full-stack-rank"}
"""Assumptions of some claims only: breaking them spoils no other."""


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(any_specs())
def test_witness_separates_exactly(spec):
    case = decode(spec)
    problem = FAMILIES[spec.family].problem
    if SYMMETRISED.get(problem, problem) in (*WITNESSED, *SINGLE_ENTRY, "mirrored", "slack"):
        assert min(exact_margins(case.problem, case.witness)) > 0
    else:
        assert case.witness is None


def test_witness_check_can_fail():
    case = cases("diagonal/separable/small", (3, 3, 4), 1)[0]
    assert min(exact_margins(case.problem, -case.witness)) < 0
    swapped = np.roll(case.problem.optimal, 1) + 1
    assert min(exact_margins(case.problem, case.witness, swapped % 3)) < 0


@pytest.mark.parametrize("problem", GOOD)
def test_scores_of_good_problems(problem):
    for case in cases(f"diagonal/{problem}/small", (4, 4, 3), 60):
        scores = case.problem.scores
        assert case.problem.realisable
        ordered = np.sort(scores, axis=1)
        lead = ordered[:, -1] - ordered[:, -2]
        assert np.abs(scores).max() <= 2
        if problem == "near-tied":
            assert (lead == 2.0**-10).all()
        else:
            assert lead.min() >= 0.125
        if problem == "equal-scores":
            assert (ordered[:, 0] == ordered[:, -2]).all()
        else:
            assert (np.diff(ordered, axis=1) > 0).all()
    seen = {
        int(o)
        for case in cases(f"diagonal/{problem}/small", (4, 4, 3), 60)
        for o in case.problem.optimal
    }
    assert seen == {0, 1, 2, 3}


def test_unrealisable_scores_keep_the_optimal_token():
    for case in cases("diagonal/unrealisable/small", (3, 3, 2), 100):
        problem = case.problem
        true = problem.labels[:, None] * problem.tokens[..., -1]
        changed = np.argwhere(problem.scores != true)
        assert len(changed) == 1
        i, t = changed[0]
        assert problem.scores[i, t] == true[i, t] - 0.25
        assert (problem.optimal == np.argmax(true, axis=1)).all()
        assert problem.optimal_lead > 0


def test_violators_name_known_assumptions():
    assert set(VIOLATORS) <= {assumption.key for assumption in ASSUMPTION_LIST}
    assert {name for names in VIOLATORS.values() for name in names} <= set(FAMILIES)
    assert violators("separable", "combined") == ("combined/nonseparable/random",)
    assert violators("aligned", "diagonal") == ()
    for key in ("optimal-unique", "separable", "realisable", "infimum-reached", "equal-scores"):
        for aligned in (False, True):
            (name,) = violators(key, "factored", aligned)
            assert FAMILIES[name].aligned == aligned


def test_violators_violate_that_and_nothing_else():
    for key, names in VIOLATORS.items():
        if key in ("infimum-reached", "loss-below-barrier"):
            continue  # of the trajectory: test_traps_hold; of the loss: test_barrier_checks
        for name in names:
            for case in cases(name, possible(name, ((2, 3, 2), (4, 3, 1)))[0], 20):
                assert violated(case) - OPTIONAL == {key} - OPTIONAL
                assert key in violated(case)
                # What is kept for claims about aligned starts breaks nothing else of theirs.
                if name in violators(key, "factored", aligned=True) and key != "aligned":
                    assert "aligned" not in violated(case)


def test_good_cases_violate_nothing():
    for name in ("diagonal/equal-scores/separating", "diagonal/equal-scores/small"):
        for case in cases(name, (2, 3, 2), 40):
            assert violated(case) == set()


def test_interesting_regions_are_reached():
    """Counted over 500 campaign draws of the two families the diagonal claims rest on."""
    regions: Counter[str] = Counter()
    narrow = 0
    for name, count in (
        ("diagonal/separable/separating", 250),
        ("diagonal/separable/degenerate", 250),
    ):
        for case in cases(name, (3, 3, 4), count):
            regions.update(case.regions)
            narrow += case.inputs()["witness margin"] < 0.01
    wanted = {
        "integer-data": 80,
        "quarter-data": 80,
        "gaussian-data": 80,
        "scaled-data": 80,
        "small-margin": 40,
        "dense-witness": 150,
        "sparse-witness": 150,
        "mixed-labels": 250,
        "more-constraints-than-coordinates": 500,
        "small-invariant": 100,
        "sign-differs-from-witness": 10,
        "frozen-agreeing": 60,
        "frozen-conflicting": 60,
        "dead-coordinate": 60,
    }
    assert {r: regions[r] for r, least in wanted.items() if regions[r] < least} == {}
    assert narrow >= 10


def test_full_witnesses_of_both_kinds():
    regions: Counter[str] = Counter()
    for case in cases("combined/separable/small", (3, 3, 3), 60):
        regions.update(case.regions)
        rank = np.linalg.matrix_rank(case.witness)
        assert ("rank-one-witness" in case.regions) <= (rank == 1)
    assert min(regions["rank-one-witness"], regions["full-witness"]) >= 15
