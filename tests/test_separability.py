"""Separable, non-separable or undecided: each of the first two with a proof that is checked."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from checks import separability as module
from checks.problems import Array, Constraints
from checks.rounding import FULL, Norm
from checks.separability import LeastDistance
from checks.svm import NotSeparable, separability, solve_svm
from tests.margin_cases import (
    KINDS,
    assert_farkas,
    assert_separates,
    build,
    constraints,
    exact_margins,
    separable_full,
)

QUICK: tuple[Norm, ...] = ("l1", "l2", "frobenius")


@pytest.mark.parametrize("full", [False, True])
def test_separability_does_not_depend_on_the_scale_of_a_row(full: bool) -> None:
    """Beyond what is decided in integers, too: rows from 1e-12 to 1e12."""
    for seed in range(10):
        problem = separable_full(seed, 6, 5, 4) if full else build("gauss", seed, 24, 200)
        scale = 10.0 ** np.linspace(-12.0, 12.0, len(problem))[:, None]
        assert (
            separability(replace(problem, delta=problem.delta * scale), full).answer == "separable"
        )


@pytest.mark.parametrize("norm", QUICK)
def test_contradicting_rows_are_refused_with_a_proof(norm: Norm) -> None:
    problem = constraints([[0.1, 0.7], [-0.1, -0.7], [1.0, 0.0]])
    answer = separability(problem, full=norm in FULL)
    assert answer.answer == "non-separable"
    assert answer.farkas is not None
    assert answer.farkas.tolist() == [0.5, 0.5, 0.0]
    with pytest.raises(NotSeparable):
        solve_svm(problem, norm)


def test_larger_full_problems_are_decided_too() -> None:
    """28 Gaussian constraints on 4 x 4 weights: both answers occur, each with its proof."""
    seen = set()
    for seed in range(12):
        rng = np.random.default_rng(np.random.Philox(seed))
        query = np.repeat(rng.normal(size=(7, 4)), 4, axis=0)
        problem = constraints(rng.normal(size=(28, 4)), query)
        found = separability(problem, full=True)
        seen.add(found.answer)
        if found.answer == "non-separable":
            assert_farkas(problem, found.integers, full=True)
    assert seen == {"separable", "non-separable"}


def orthonormal(seed: int) -> Constraints:
    """Six samples of four tokens, tokens and queries unit vectors of R^8: 18 rows."""
    rng = np.random.default_rng(np.random.Philox(seed))
    delta, query = [], []
    for _ in range(6):
        best, *others = rng.permutation(8)[:4]
        delta += [np.eye(8)[best] - np.eye(8)[other] for other in others]
        query += [np.eye(8)[rng.integers(8)]] * 3
    return constraints(delta, query)


@pytest.mark.parametrize("proposals", [True, False])
def test_orthonormal_tokens_are_decided(proposals: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many dependencies, more rows than the active-set method takes; with nnls and without."""

    def exhausted(rows: Array) -> LeastDistance:
        raise RuntimeError("Maximum number of iterations reached.")

    if not proposals:
        monkeypatch.setattr(module, "least_distance", exhausted)
    seen = set()
    for seed in range(20):
        problem = orthonormal(seed)
        found = separability(problem, full=True)
        seen.add(found.answer)
        if found.answer == "non-separable":
            assert_farkas(problem, found.integers, full=True)
        else:
            assert found.witness is not None
            assert min(exact_margins(problem, found.witness)) > 0
    assert seen == {"separable", "non-separable"}


def ulps_apart(seed: int, full: bool) -> Constraints:
    """A row, its opposite but for an ulp in some entries, and a few more."""
    rng = np.random.default_rng(np.random.Philox(seed))
    dim, more = 1 + seed % 6, int(rng.integers(0, 4))
    row, query = rng.normal(size=(2, dim))
    towards = rng.choice([-1e9, 0.0, 1e9], size=dim)
    other = np.where(towards == 0.0, -row, np.nextafter(-row, towards))
    delta = np.vstack([row, other, rng.normal(size=(more, dim))])
    if not full:
        return constraints(delta)
    return constraints(delta, np.vstack([query, query, rng.normal(size=(more, dim))]))


@pytest.mark.parametrize("full", [False, True])
def test_rows_an_ulp_from_opposite_are_decided(full: bool) -> None:
    """Both ways; some by integers alone, which no float64 weights can stand for."""
    seen = []
    for seed in range(80):
        problem = ulps_apart(seed, full)
        found = separability(problem, full)
        seen.append(found.answer)
        if found.answer == "non-separable":
            assert_farkas(problem, found.integers, full)
        else:
            assert_separates(problem, found)
            seen.append("integers alone" if found.witness is None else "floats")
            if not full:
                assert solve_svm(problem, "l1").proof == "exact"
    assert set(seen) == {"separable", "non-separable", "integers alone", "floats"}


@pytest.mark.parametrize("norm", QUICK)
def test_a_zero_row_is_never_separable(norm: Norm) -> None:
    problem = constraints([[0.0, 0.0], [1.0, 0.0]])
    assert separability(problem, full=norm in FULL).answer == "non-separable"


def test_all_families_are_drawn() -> None:
    """The families of the fuzzed test above include separable and non-separable problems."""
    answers = {
        kind: {separability(build(kind, seed, 6, 3), False).answer for seed in range(40)}
        for kind in KINDS
    }
    assert answers["integer"] >= {"separable", "non-separable"}
    assert answers["unsigned"] >= {"separable", "non-separable"}
    assert answers["gauss"] == {"separable"}
    assert all("separable" in seen for seen in answers.values())
