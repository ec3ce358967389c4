"""Reduced results: merging parts, and JSON, lose not a bit of what verdict and evidence need."""

from __future__ import annotations

import sys
import tracemalloc
from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from checks.outcomes import CaseResult, Measurement, Optimum, Outcome
from checks.tally import CURVES_SHOWN, Tally, Violation

_FLOATS = st.floats(allow_nan=False)
_RESULTS = st.lists(
    st.builds(
        CaseResult,
        outcome=st.sampled_from(Outcome),
        reason=st.sampled_from(["", "horizon", "precision"]),
        problem_id=st.sampled_from("abc"),
        spec=st.fixed_dictionaries({"family": st.sampled_from(["calm", "wild"])}),
        informative=st.booleans(),
        measurements=st.lists(
            st.builds(Measurement, st.sampled_from(["gap", "drift"]), _FLOATS,
                      st.floats(0, 10), st.just("chosen")), max_size=2,
        ).map(tuple),
        assumptions=st.dictionaries(st.sampled_from(["separable", "aligned"]), _FLOATS),
        inputs=st.dictionaries(st.sampled_from(["dim", "samples"]), _FLOATS),
        regions=st.lists(st.sampled_from(["edge", "corner"]), max_size=2).map(tuple),
        curves=st.dictionaries(st.just("gap"), st.lists(st.tuples(_FLOATS, _FLOATS), max_size=3)),
        optima=st.lists(
            st.builds(Optimum, st.sampled_from(["l1", "l2"]), st.just("exact"),
                      st.sampled_from(["proved", "disproved"]), st.floats(0, 1), st.just("highs")),
            max_size=2,
        ).map(tuple),
    ),
    max_size=30,
)  # fmt: skip


@settings(max_examples=50)
@given(results=_RESULTS, cuts=st.lists(st.integers(0, 30), max_size=4))
def test_parts_merged_are_the_whole(results: list[CaseResult], cuts: list[int]) -> None:
    bounds = [0, *sorted(min(cut, len(results)) for cut in cuts), len(results)]
    parts = [results[a:b] for a, b in pairwise(bounds)]
    assert Tally.merged(map(Tally.of, parts)) == Tally.of(results)


@settings(max_examples=50)
@given(results=_RESULTS)
def test_json_keeps_every_bit(results: list[CaseResult]) -> None:
    tally = Tally.of(results, [Violation("separable", 4, 3)])
    tally.derivation = [("words", "latex")]
    again = Tally.from_json(tally.to_json())
    assert again == tally
    assert again.to_json() == tally.to_json()


@settings(max_examples=50)
@given(results=_RESULTS)
def test_the_counts_are_those_of_the_results(results: list[CaseResult]) -> None:
    """Recounted here from the results themselves."""
    tally = Tally.of(results)
    decided = [r for r in results if r.outcome in (Outcome.HELD, Outcome.FALSIFIED)]
    informative = [r for r in decided if r.informative]
    assert tally.tried == len(results)
    assert tally.informative == len(informative)
    assert tally.problems == len({r.problem_id for r in informative})
    for outcome in Outcome:
        assert tally.count(outcome) == sum(r.outcome is outcome for r in results)
    measured = [r for r in informative if r.worst is not None and r.worst.ratio > -1]
    if measured:
        assert tally.worst is not None
        assert tally.worst.worst is not None
        assert tally.worst.worst.ratio == max(r.worst.ratio for r in measured if r.worst)
    assert tally.falsified == next((r for r in results if r.outcome is Outcome.FALSIFIED), None)
    drawn = [r for r in results if r.curves and r.outcome is not Outcome.VACUOUS]
    assert len(tally.curved) == min(len(drawn), CURVES_SHOWN)


def _big(index: int) -> CaseResult:
    """As large as a real limit case: 64 points a curve, a certificate, eight inputs."""
    points = [(float(x), float(index + x)) for x in range(64)]
    certificate: dict[str, Any] = {"primal": ["0x1p0"] * 40, "dual": [{"weight": "0x1p0"}] * 20}
    return CaseResult(
        Outcome.HELD, "", f"{index:016x}",
        {"family": "diagonal/separable/small", "blob": f"{index:0800x}"},
        measurements=(Measurement("gap", index * 1e-9, 1e-3, "chosen"),),
        assumptions={name: float(index) for name in ("a", "b", "c", "d", "e")},
        inputs={f"input {i}": float(index) for i in range(8)},
        curves={"gap": points, "certificate gap": points}, certificate=certificate,
    )  # fmt: skip


def test_memory_grows_by_bytes_not_by_results() -> None:
    """300 bytes a case at most: a hundred thousand runs of one claim take 30 MB."""
    tracemalloc.start()
    try:
        tally = Tally()
        sizes = []
        for begin in range(0, 1_600, 200):
            tally.add(Tally.of(map(_big, range(begin, begin + 200))))
            sizes.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    growth = (sizes[-1] - sizes[0]) / 1_400
    assert growth < 300, f"{growth:.0f} bytes a case"
    assert tally.tried == 1_600
    assert sys.getsizeof(tally.column("input input 0")) > 8 * 1_600, "every number is kept"
