"""The graph of what rests on what: its layers, and the lines that it draws."""

from __future__ import annotations

import re
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from reports import build
from reports.graph import direct, layers_of
from tests.report_claims import CLAIMS
from tests.report_fixture import write_run


@settings(deadline=None, derandomize=True, database=None)
@given(st.dictionaries(st.integers(0, 9), st.sets(st.integers(0, 11)), max_size=9))
def test_layers_run_from_left_to_right(drawn: dict[int, set[int]]) -> None:
    rests_on = {str(k): tuple(str(x) for x in needs if x < k) for k, needs in drawn.items()}
    layers = layers_of(rests_on)
    depth = {key: i for i, layer in enumerate(layers) for key in layer}
    assert depth.keys() == rests_on.keys()
    for key, needs in rests_on.items():
        assert all(depth[n] < depth[key] for n in needs if n in depth)


@settings(deadline=None, derandomize=True, database=None)
@given(st.dictionaries(st.integers(0, 9), st.sets(st.integers(0, 9)), max_size=9))
def test_the_lines_drawn_reach_all_that_a_claim_rests_on(drawn: dict[int, set[int]]) -> None:
    rests_on = {str(k): tuple(str(x) for x in sorted(needs) if x < k) for k, needs in drawn.items()}

    def below(edges: dict[str, tuple[str, ...]], key: str) -> set[str]:
        return {n for x in edges.get(key, ()) for n in {x} | below(edges, x)}

    lines = {key: tuple(direct(rests_on, key)) for key in rests_on}
    for key in rests_on:
        assert below(lines, key) == below(rests_on, key)
        for line in lines[key]:  # and none of them can be spared
            fewer = lines | {key: tuple(x for x in lines[key] if x != line)}
            assert below(fewer, key) != below(rests_on, key)


def test_a_foundation_stands_next_to_what_needs_it_and_a_leaf_next_to_what_it_needs() -> None:
    rests_on: dict[str, tuple[str, ...]] = {
        "a": (), "b": ("a",), "c": ("b",), "late": (),
        "d": ("c", "late"), "e": ("d",), "leaf": ("a",),
    }  # fmt: skip
    layers = [sorted(layer) for layer in layers_of(rests_on)]
    assert layers == [["a"], ["b", "leaf"], ["c", "late"], ["d"], ["e"]]


def test_claims_that_rest_on_the_same_share_one_line(tmp_path: Path) -> None:
    claims = [("a", "symbolic", ["S1"], [], *CLAIMS[0][4:])] + [
        (key, "symbolic", ["S1"], ["a"], *CLAIMS[0][4:]) for key in ("b", "c", "d")
    ]
    build(write_run(tmp_path, claims))
    source = (tmp_path / "index.html").read_text(encoding="utf-8")
    (graph,) = re.findall(r"<svg class=graph.*?</svg>", source)
    (lines,) = re.findall(r'<path class=edge d="([^"]*)"', graph)
    assert lines.count("M") == 1
    tops = [int(y) for y in re.findall(r"translate\(\d+ (\d+)\)", graph)]
    assert len(tops) == 4
    assert len(set(tops)) >= 3  # b, c, d one below the other


def test_layers_of_a_cycle_end() -> None:
    layers = layers_of({"a": ("b",), "b": ("a",), "c": ()})
    assert sorted(key for layer in layers for key in layer) == ["a", "b", "c"]
