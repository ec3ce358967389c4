"""Heat maps of an atlas: cases counted by the axes that their regions name, "axis: value"."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

_PAIRS = (
    ("width e", "start scale"),
    ("rank", "balance"),
    ("alignment angle", "scores"),
    ("width e", "rank"),
    ("size", "start"),
    ("score structure", "start"),
)
"""Axes shown together, (x, y)."""
_ORDERS = (("1", "2", "d-1", "d", "2d"), ("one", "between", "full"))
"""Of axes whose values are no numbers: widths in terms of d, and ranks."""


INFIMUM, ELSEWHERE = "the infimum", "settled elsewhere"
"""What is found of a run in an atlas that asks no more than whether the infimum is reached."""
_WILSON = 1.959963984540054
"""The normal distribution's 97.5 % point."""


def wilson(hits: int, of: int) -> tuple[float, float]:
    """The 95 % interval of a share, ``of`` > 0 (Wilson 1927): no need of many, or of a share
    away from 0 and 1."""
    z2, share = _WILSON * _WILSON, hits / of
    middle = share + z2 / (2 * of)
    half = _WILSON * math.sqrt(share * (1 - share) / of + z2 / (4 * of * of))
    return (middle - half) / (1 + z2 / of), (middle + half) / (1 + z2 / of)


def place_of(regions: Sequence[str]) -> str:
    """The regions that are axes of an atlas, one a line; empty where nothing was "found"."""
    axes = [region for region in regions if ": " in region]
    return "\n".join(axes) if any(axis.startswith("found: ") for axis in axes) else ""


def grids(places: Counter[str]) -> list[dict[str, Any]]:
    """One map a pair of axes that occur; empty for claims without an atlas.

    share: of the runs that reach the infimum, those certified at the optimum; n: how many reach
    it; note: what all of them are, in words.  Where only that is asked whether the infimum is
    reached: the share of runs that do, of n decided ones, its Wilson interval in the note.
    Raises nothing: places are made by ``place_of``.
    """
    placed = [
        (dict(axis.split(": ", 1) for axis in place.splitlines()), count)
        for place, count in places.items()
    ]
    return [
        _grid([(at, n) for at, n in placed if x in at and y in at], x, y)
        for x, y in _PAIRS
        if any(x in at and y in at for at, _ in placed)
    ]


def _grid(placed: list[tuple[dict[str, str], int]], x: str, y: str) -> dict[str, Any]:
    columns, rows = (_ordered({at[axis] for at, _ in placed}) for axis in (x, y))
    found: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for at, count in placed:
        found[at[y], at[x]][at["found"]] += count
    counted = any(INFIMUM in cell for cell in found.values())
    what = "that reach the infimum" if counted else "certified at the nuclear optimum"
    return {
        "title": f"Share of runs {what}, by {x} and {y}",
        "x": {"name": x, "values": columns},
        "y": {"name": y, "values": rows},
        "cells": [
            [(_reached if counted else _cell)(found[row, column]) for column in columns]
            for row in rows
        ],
    }


def _ordered(labels: set[str]) -> list[str]:
    """Numbers by size, known words in their order, anything else by the alphabet."""
    try:
        return sorted(labels, key=float)
    except ValueError:
        known = next((order for order in _ORDERS if labels <= set(order)), tuple(sorted(labels)))
        return [label for label in known if label in labels]


def _cell(found: Counter[str]) -> dict[str, Any]:
    reached = sum(found.values()) - found["not reached"]
    share = found["optimum"] / reached if reached else None
    note = "; ".join(f"{count} {what}" for what, count in sorted(found.items()))
    return {"share": share, "n": reached, "note": note}


def _reached(found: Counter[str]) -> dict[str, Any]:
    """A cell of an atlas of infimum shares: of all runs that are decided, with its interval."""
    hits, decided = found[INFIMUM], sum(found.values()) - found["undecided"]
    if not decided:
        return {"share": None, "n": 0, "note": f"{found['undecided']} undecided"}
    low, high = wilson(hits, decided)
    note = f"{hits} of {decided}, 95 % interval {low:.2f} to {high:.2f}"
    if found["undecided"]:
        note += f"; {found['undecided']} undecided"
    return {"share": hits / decided, "n": decided, "note": note}
