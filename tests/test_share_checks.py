"""Infimum shares: every run is counted once, as what it is, with an interval that covers."""

from __future__ import annotations

from collections import Counter

import pytest
from scipy.stats import binomtest

from checks import rate_streams, share_checks
from checks.budgets import PROFILES
from checks.context import Context
from checks.grids import grids, place_of, wilson
from checks.outcomes import Outcome
from tests.exact_cases import cases
from theory.catalogue import CLAIMS

KEY = "frontier.infimum-shares"
CONTEXT = Context(KEY, CLAIMS[KEY].assumptions, PROFILES["quick"])


@pytest.mark.parametrize(
    ("family", "outcome"),
    [
        ("diagonal/separable/separating", Outcome.HELD),
        ("combined-diagonal/separable/separating", Outcome.HELD),
    ],
)
def test_starts_that_must_reach_the_infimum_do(family: str, outcome: Outcome) -> None:
    found = share_checks.shares(cases(family, (3, 3, 4), 4), CONTEXT)
    assert {r.outcome for r in found} == {outcome}


def test_trapped_starts_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(share_checks._SCORES, "trap", "trap")
    found = share_checks.shares(cases("diagonal/trap/trapped", (3, 3, 4), 4), CONTEXT)
    assert {r.outcome for r in found} == {Outcome.VACUOUS}
    maps = grids(Counter(place_of(r.regions) for r in found))
    assert [grid["cells"][0][0]["share"] for grid in maps] == [0.0, 0.0]
    assert {grid["cells"][0][0]["n"] for grid in maps} == {4}


@pytest.mark.parametrize(("start", "decided"), [("separating", False), ("random", True)])
def test_runs_of_both_kinds_are_asked_for(start: str, decided: bool) -> None:
    """Negative control: where every start reaches the infimum the claim is not held."""
    found = share_checks.shares(cases(f"diagonal/separable/{start}", (5, 4, 8), 16), CONTEXT)
    seen = {label for r in found for label in r.regions}
    assert (set(rate_streams.SHARES.must_see) <= seen) is decided


def test_a_cell_says_how_many_of_how_many() -> None:
    at = "size: 2\nstart: small\nfound: "
    places = Counter({f"{at}the infimum": 3, f"{at}settled elsewhere": 1, f"{at}undecided": 2})
    (found,) = grids(places)
    ((cell,),) = found["cells"]
    assert (cell["share"], cell["n"]) == (0.75, 4)
    assert cell["note"] == "3 of 4, 95 % interval 0.30 to 0.95; 2 undecided"
    assert found["title"].startswith("Share of runs that reach the infimum")


@pytest.mark.parametrize(("hits", "of"), [(0, 5), (3, 4), (50, 100), (7, 7)])
def test_the_interval_is_wilsons(hits: int, of: int) -> None:
    expected = binomtest(hits, of).proportion_ci(0.95, method="wilson")
    assert wilson(hits, of) == pytest.approx((expected.low, expected.high), abs=1e-12)
