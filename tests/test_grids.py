"""Heat maps of an atlas: axes in an order that can be read, and what the runs of a cell are."""

from __future__ import annotations

from collections import Counter

import pytest

from checks.grids import grids, place_of


def _place(**axes: str) -> str:
    return "\n".join(f"{name.replace('_', ' ')}: {value}" for name, value in axes.items())


@pytest.mark.parametrize(
    ("x", "y", "columns", "rows"),
    [
        ("width e", "start scale", ["1", "2", "d-1", "d", "2d"], ["0.0001", "0.01", "1", "10"]),
        ("rank", "balance", ["one", "between", "full"], ["balanced", "free", "query zero"]),
        ("alignment angle", "scores", ["0", "45", "90"], ["distinct", "tied"]),
    ],
)
def test_axes_run_from_small_to_large(x: str, y: str, columns: list[str], rows: list[str]) -> None:
    places = Counter(
        f"{x}: {column}\n{y}: {row}\nfound: optimum"
        for column in sorted(columns, reverse=True)
        for row in sorted(rows, reverse=True)
    )
    (found,) = grids(places)
    assert found["x"] == {"name": x, "values": columns}
    assert found["y"] == {"name": y, "values": rows}


def test_a_share_is_of_the_runs_that_reach_the_infimum() -> None:
    at = {"rank": "one", "balance": "free"}
    places = Counter(
        {
            _place(**at, found="optimum"): 3,
            _place(**at, found="undecided"): 1,
            _place(**at, found="not reached"): 5,
        }
    )
    (found,) = grids(places)
    note = "5 not reached; 3 optimum; 1 undecided"
    assert found["cells"] == [[{"share": 0.75, "n": 4, "note": note}]]
    (nobody,) = grids(Counter({_place(**at, found="not reached"): 2}))
    assert nobody["cells"] == [[{"share": None, "n": 0, "note": "2 not reached"}]]


def test_only_what_was_found_has_a_place() -> None:
    assert place_of(["rank: one", "found: optimum", "plain"]) == "rank: one\nfound: optimum"
    assert place_of(["rank: one"]) == ""
