"""The registry: every claim is measured once, by parts that exist, in an order that stands."""

from __future__ import annotations

from dataclasses import replace

import pytest

from checks import registry
from checks.families import FAMILIES, has_shape
from checks.registry import CHECKS, RegistryError, ordered, register, resolve
from checks.streams import Stream
from theory.catalogue import CLAIMS

STREAMS = {key: resolve(check.stream) for key, check in CHECKS.items() if check.stream}
SAMPLED = [key for key, stream in STREAMS.items() if isinstance(stream, Stream)]


def test_every_claim_has_a_check() -> None:
    assert set(CHECKS) == set(CLAIMS)


@pytest.mark.parametrize("key", CHECKS)
def test_the_check_resolves_to_a_function(key: str) -> None:
    assert callable(CHECKS[key].load())


@pytest.mark.parametrize("key", SAMPLED)
def test_the_stream_resolves_to_families_and_shapes_that_exist(key: str) -> None:
    stream = STREAMS[key]
    assert stream.sources
    assert 0 < stream.share <= 1
    for source in stream.sources:
        assert source.family in FAMILIES
        assert 0 <= source.vacuous < 1, "a family may not be vacuous altogether"
        for shape in stream.shapes:
            assert has_shape(source.family, shape), (source.family, shape)


def test_every_assumption_of_a_sampled_claim_has_violators() -> None:
    """The runner passes over an assumption that no family breaks: here it is missed."""
    missing = {
        (key, assumption)
        for key in SAMPLED
        for assumption in CLAIMS[key].assumptions
        if not STREAMS[key].violators(assumption)
    }
    assert missing == set()


def test_cases_that_are_given_and_not_drawn_decide_no_expected_claim() -> None:
    """Fixed data have no violators and no search, so nothing that must hold rests on them."""
    assert len(SAMPLED) >= 15
    for key in set(STREAMS) - set(SAMPLED):
        assert CLAIMS[key].expect == "open", key


def test_symbolic_claims_and_only_they_draw_no_cases() -> None:
    assert {key for key in CHECKS if key not in STREAMS} == {
        key for key, c in CLAIMS.items() if c.kind == "symbolic" or ".symbolic-" in key
    }


def test_foundations_come_first() -> None:
    keys = [check.claim for check in ordered()]
    assert sorted(keys) == sorted(CHECKS)
    for place, key in enumerate(keys):
        assert set(CLAIMS[key].rests_on) <= set(keys[:place]), key


def test_a_choice_of_claims_keeps_the_order() -> None:
    chosen = ["limit.diagonal-l1", "flow.gradient", "flow.orbit"]
    assert [c.claim for c in ordered(chosen)] == ["flow.gradient", "flow.orbit", chosen[0]]
    assert ordered([]) == []


def test_an_unknown_claim_is_refused() -> None:
    with pytest.raises(RegistryError, match=r"no claim .* called 'limit\.diagonal-l3'"):
        register("limit.diagonal-l3", "checks.limit_checks:diagonal_l1")
    assert "limit.diagonal-l3" not in CHECKS


def test_a_second_check_of_a_claim_is_refused() -> None:
    before = CHECKS["flow.gradient"]
    with pytest.raises(RegistryError, match=r"has a check already: checks\.flow_checks:gradient"):
        register("flow.gradient", "checks.flow_checks:orbit")
    assert CHECKS["flow.gradient"] is before


def test_a_circular_catalogue_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Claims that rest on each other prove nothing; nothing of such a catalogue is run."""
    circle = replace(CLAIMS["flow.gradient"], rests_on=("flow.orbit",))
    monkeypatch.setitem(CLAIMS, "flow.gradient", circle)
    with pytest.raises(RegistryError, match="circle"):
        ordered(["symbolic.kkt-l1"])


@pytest.mark.parametrize("name", ["checks.streams:NOWHERE", "checks.nowhere:X"])
def test_a_name_that_stands_for_nothing_does_not_resolve(name: str) -> None:
    with pytest.raises((AttributeError, ModuleNotFoundError)):
        registry.resolve(name)
