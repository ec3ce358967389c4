"""From cases to a verdict: every rule of ``decide``, and what no further case may undo."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checks.aggregate import LARGEST_INCONCLUSIVE, Requirements, decide
from checks.outcomes import CaseResult, Measurement, Outcome
from checks.tally import Tally, Violation

NEED = Requirements(4, 3, {"calm": 0.0, "wild": 0.5}, ("edge",))


def case(outcome: Outcome = Outcome.HELD, number: int = 0, **changes: Any) -> CaseResult:
    """One result of the family "calm", in the region "edge", at half its tolerance."""
    base = CaseResult(
        outcome, "" if outcome is Outcome.HELD else f"because {outcome.word}", f"p{number}",
        {"family": "calm"}, measurements=(Measurement("gap", 0.5, 1.0, "chosen"),),
        regions=("edge",),
    )  # fmt: skip
    return replace(base, **changes)


def sound(count: int = 12) -> list[CaseResult]:
    return [case(number=i) for i in range(count)]


def verdict(results: list[CaseResult], *violations: Violation, **changes: Any) -> Outcome:
    return decide(Tally.of(results, violations), replace(NEED, **changes))[0]


def test_sound_cases_hold() -> None:
    assert decide(Tally.of(sound()), NEED) == (Outcome.HELD, "")


def test_no_case_is_no_evidence() -> None:
    assert verdict([]) is Outcome.VACUOUS


def test_one_falsified_case_falsifies_with_its_reason() -> None:
    results = [*sound(40), case(Outcome.FALSIFIED, reason="the other problem")]
    assert decide(Tally.of(results), NEED) == (Outcome.FALSIFIED, "the other problem")


def test_a_falsified_case_counts_whether_informative_or_not() -> None:
    assert verdict([*sound(), case(Outcome.FALSIFIED, informative=False)]) is Outcome.FALSIFIED


def test_an_undecided_pinned_case_is_forgiven_by_no_share() -> None:
    open_case = case(Outcome.INCONCLUSIVE, number=99, reason="an audit")
    drawn = Tally.of([*sound(40), open_case])
    assert decide(drawn, NEED) == (Outcome.HELD, "")
    pinned = replace(Tally.of([open_case]), pinned=Counter([open_case.outcome.word]))
    merged = Tally.from_json(Tally.merged([Tally.of(sound(40)), pinned]).to_json())
    reason = "a pinned case is undecided: an audit"
    assert decide(merged, NEED) == (Outcome.INCONCLUSIVE, reason)
    merged.add(Tally.of([case(Outcome.FALSIFIED)]))
    assert decide(merged, NEED)[0] is Outcome.FALSIFIED
    settled = replace(Tally.of(sound(2)), pinned=Counter({Outcome.HELD.word: 2}))
    assert decide(Tally.merged([Tally.of(sound()), settled]), NEED) == (Outcome.HELD, "")


def test_a_control_that_is_let_pass_somewhere_is_not_falsified() -> None:
    wrong = [case(Outcome.FALSIFIED, number=i) for i in range(9)]
    assert verdict(wrong, control=True) is Outcome.FALSIFIED
    assert verdict([*wrong, case(number=10)], control=True) is Outcome.HELD
    # Where the wrong statement happens to be right, nothing was let pass.
    assert verdict([*wrong, case(informative=False)], control=True) is Outcome.FALSIFIED


def test_an_error_is_not_outvoted() -> None:
    assert verdict([*sound(), case(Outcome.ERROR)]) is Outcome.ERROR
    assert verdict([*sound(), case(Outcome.ERROR), case(Outcome.FALSIFIED)]) is Outcome.ERROR


@pytest.mark.parametrize("violation", [Violation("a", 4, 3), Violation("a", 4, 0)])
def test_a_violator_that_passes_is_an_error(violation: Violation) -> None:
    tally = Tally.of(sound(), (Violation("b", 4, 4), violation))
    outcome, reason = decide(tally, NEED)
    assert outcome is Outcome.ERROR
    assert f"{violation.tried - violation.vacuous} of 4" in reason
    assert "violate a" in reason


def test_a_side_stream_without_a_case_is_an_error() -> None:
    assert verdict(sound(), Violation("a", 0, 0)) is Outcome.ERROR
    assert verdict(sound(), Violation("a", 4, 4)) is Outcome.HELD


def test_a_tenth_may_stay_undecided_and_not_one_more() -> None:
    undecided = [case(Outcome.INCONCLUSIVE, number=90 + i) for i in range(3)]
    assert LARGEST_INCONCLUSIVE == 0.10
    assert verdict([*sound(18), *undecided[:2]]) is Outcome.HELD  # 2 of 20
    assert verdict([*sound(18), *undecided]) is Outcome.INCONCLUSIVE  # 3 of 21


def test_vacuous_cases_dilute_no_share() -> None:
    """3 of 21 is too many; hundreds of vacuous cases beside them make it no better."""
    undecided = [case(Outcome.INCONCLUSIVE) for _ in range(3)]
    empty = [case(Outcome.VACUOUS, spec={"family": "unbounded"}) for _ in range(300)]
    assert verdict([*sound(18), *undecided, *empty]) is Outcome.INCONCLUSIVE


def test_the_reason_of_most_undecided_cases_is_given() -> None:
    reasons = ["horizon", "precision", "precision"]
    results = [*sound(3), *(case(Outcome.INCONCLUSIVE, reason=r) for r in reasons)]
    assert decide(Tally.of(results), NEED)[1].endswith(": precision")


@pytest.mark.parametrize(
    ("family", "vacuous", "outcome"),
    [
        ("calm", 0, Outcome.HELD),
        ("calm", 1, Outcome.VACUOUS),
        ("wild", 6, Outcome.HELD),
        ("wild", 7, Outcome.VACUOUS),
    ],
)
def test_each_family_has_its_bound_on_vacuous_cases(
    family: str, vacuous: int, outcome: Outcome
) -> None:
    """Of 12 cases of the family, none (calm) or half (wild) may be vacuous."""
    spec = {"family": family}
    results = [case(number=i, spec=spec) for i in range(12 - vacuous)]
    results += [case(Outcome.VACUOUS, spec=spec) for _ in range(vacuous)]
    assert verdict([*sound(), *results]) is outcome


def test_too_few_informative_cases() -> None:
    dull = [case(number=i, informative=False) for i in range(20)]
    assert verdict([*sound(3), *dull]) is Outcome.VACUOUS
    assert verdict([*sound(4), *dull]) is Outcome.HELD
    # Where a case stayed undecided, more depth might have made up the number.
    assert verdict([*sound(3), *dull, case(Outcome.INCONCLUSIVE)]) is Outcome.INCONCLUSIVE


def test_repeats_of_a_problem_are_one_problem() -> None:
    assert verdict([case(number=i % 2) for i in range(50)]) is Outcome.VACUOUS
    assert verdict([case(number=i % 3) for i in range(50)]) is Outcome.HELD


def test_a_region_never_seen() -> None:
    outcome, reason = decide(Tally.of(sound()), replace(NEED, must_see=("edge", "corner")))
    assert (outcome, reason) == (Outcome.VACUOUS, "never seen: corner")


def test_halved_tolerances_open_cases_near_the_edge() -> None:
    near = (Measurement("gap", 0.6, 1.0, "chosen"),)
    tally = Tally.of(case(number=i, measurements=near) for i in range(12))
    assert decide(tally, NEED, 1.0)[0] is Outcome.HELD
    assert decide(tally, NEED, 2.0)[0] is Outcome.HELD
    outcome, reason = decide(tally, NEED, 0.5)
    assert outcome is Outcome.INCONCLUSIVE
    assert reason.endswith("tolerances halved")


# --- properties --------------------------------------------------------------------------

RESULTS = st.lists(
    st.builds(
        case,
        st.sampled_from([o for o in Outcome if o is not Outcome.NOT_RUN] + [Outcome.HELD] * 20),
        st.integers(0, 8),
        informative=st.sampled_from([True, True, True, False]),
        spec=st.sampled_from([{"family": "calm"}, {"family": "wild"}]),
        regions=st.sampled_from([("edge",), ()]),
        measurements=st.floats(0.0, 4.0).map(lambda v: (Measurement("gap", v, 2.0, "chosen"),)),
    ),
    max_size=40,
)


@given(results=RESULTS, place=st.integers(0, 40))
def test_a_falsified_case_is_never_made_good(results: list[CaseResult], place: int) -> None:
    results.insert(place, case(Outcome.FALSIFIED))
    assert verdict(results) in (Outcome.FALSIFIED, Outcome.ERROR)


@given(results=RESULTS, data=st.data())
def test_the_order_of_the_cases_decides_nothing(
    results: list[CaseResult], data: st.DataObject
) -> None:
    assert verdict(results) is verdict(data.draw(st.permutations(results)))


@given(results=RESULTS)
def test_what_held_asks_for(results: list[CaseResult]) -> None:
    """HELD only if nothing contradicts and every count, recounted here, is met."""
    if verdict(results) is not Outcome.HELD:
        return
    words = [r.outcome for r in results]
    assert Outcome.FALSIFIED not in words
    assert Outcome.ERROR not in words
    informative = [r for r in results if r.informative and r.outcome is Outcome.HELD]
    assert len(informative) >= NEED.informative
    assert len({r.problem_id for r in informative}) >= NEED.problems
    assert 10 * words.count(Outcome.INCONCLUSIVE) <= len(words) - words.count(Outcome.VACUOUS)
    calm = [r for r in results if r.spec["family"] == "calm"]
    assert all(r.outcome is not Outcome.VACUOUS for r in calm)


@given(count=st.integers(4, 30), number=st.integers(0, 8), data=st.data())
def test_held_is_reached_and_more_of_the_same_keeps_it(
    count: int, number: int, data: st.DataObject
) -> None:
    """So that the property above is not about nothing."""
    results = sound(count)
    assert verdict(results) is Outcome.HELD
    assert verdict([*results, case(number=number)]) is Outcome.HELD


@given(results=RESULTS, scales=st.tuples(st.floats(0.1, 4.0), st.floats(0.1, 4.0)))
def test_a_wider_tolerance_never_loses_a_verdict(
    results: list[CaseResult], scales: tuple[float, float]
) -> None:
    """Monotone in the scale: HELD at one scale is HELD at every larger one."""
    tally = Tally.of(results)
    small, large = (decide(tally, NEED, scale)[0] for scale in sorted(scales))
    assert not (small is Outcome.HELD and large is not Outcome.HELD)
    assert (small is Outcome.FALSIFIED) == (large is Outcome.FALSIFIED)


@given(results=RESULTS, missed=st.integers(1, 5))
def test_a_missed_violator_is_never_held(results: list[CaseResult], missed: int) -> None:
    assert verdict(results, Violation("a", 5, 5 - missed)) is Outcome.ERROR
