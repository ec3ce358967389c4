"""The guided search finds what is known to fail when it may, and leaves it alone when not."""

from __future__ import annotations

import json

import numpy as np

from checks import hunt, runner
from checks.atlas_checks import ELSEWHERE
from checks.cases import Case, campaign_specs, case_from_record, decode
from checks.outcomes import Outcome
from checks.problems import Start


def _case(index: int = 0) -> Case:
    (spec,) = campaign_specs("hunt", "factored/separable/random", (3, 3, 2), 0, [index])
    return decode(spec)


def _numbers(seed: int, *shape: int) -> np.ndarray:
    return 2 * np.random.Generator(np.random.Philox(key=seed)).normal(size=shape)


def test_known_failing_starts_and_near_ones_are_named() -> None:
    key, query = _numbers(0, 2, 3, 3)
    assert hunt.known_failing(Start.factored(key, query, 3)) == ""
    near = hunt.NEAR / 100
    thin = key * np.array([1.0, 1.0, 0.0]), query * np.array([1.0, 1.0, 0.0])
    turn = np.linalg.qr(query)[0]
    for word, (k, q) in {
        "low stack rank": thin,
        "balanced": (key, turn @ key),
    }.items():
        moved = k + near * _numbers(1, *k.shape)
        assert hunt.known_failing(Start.factored(k, q, 3)) == word
        assert hunt.known_failing(Start.factored(moved, q, 3)) == word
    assert hunt.known_failing(Start.factored(key, key, 3)) == "balanced"
    assert hunt.known_failing(Start.factored(key[:, :1], query[:, :1], 3)) == "low stack rank"


def test_integers_find_a_known_failing_start_when_they_may() -> None:
    search = hunt.Hunt(_case(1), 1, allowed=True)
    search.draw(0, 8, 6)
    assert search.worst > 0.05


def test_evolution_finds_one_that_survives_and_travels() -> None:
    search = hunt.Hunt(_case(1), 1, allowed=True)
    search.evolve(0, 8, 2)
    found = search.candidate
    assert found is not None
    good, words = hunt.survives(found)
    assert good, words
    # From the file alone the claim says the same of it.
    record = json.loads(json.dumps(hunt.pinned(found, search.worst, words)))
    again = case_from_record(record)
    assert np.array_equal(again.start.weights, found.start.weights)
    result = runner.replay(record)
    assert result.outcome is not Outcome.HELD
    assert any(region.startswith(f"found: {ELSEWHERE}") for region in result.regions)


def test_the_search_does_not_look_there_when_it_may_not() -> None:
    search = hunt.Hunt(_case(), 1)
    scores = search.score(_numbers(2, 4, search.entries))
    assert (scores == hunt.OUT_OF_BOUNDS).all()
    assert search.runs == 0
    assert search.candidate is None


def test_a_start_of_full_rank_is_run_and_does_not_survive() -> None:
    search = hunt.Hunt(_case(), 3)
    scores = search.score(_numbers(3, 3, search.entries))
    assert search.runs == search.reached == 3
    assert (scores < hunt.FOUND).all()
    assert search.start is not None
    # Asked anyway: the atlas finds it at the optimum.
    case = _case()
    good, words = hunt.survives(
        Case(case.problem, search.start, case.witness, (), "hunted", case.spec)
    )
    assert not good
    assert all(word.startswith("optimum") for word in words)
