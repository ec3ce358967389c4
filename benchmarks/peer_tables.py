"""The rows of flow_peers.py, and how they are chosen and printed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Setting = dict[str, Any]
COARSE = 1e-3


@dataclass(frozen=True)
class Row:
    """A method at one setting.  gaps, seconds: a problem each.  why: why there are none."""

    method: str
    setting: Setting = field(default_factory=dict)
    gaps: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    note: str = ""
    why: str = ""

    @classmethod
    def of(
        cls, method: str, setting: Setting, runs: Sequence[tuple[float, float]], note: str = ""
    ) -> Row:
        return cls(method, setting, [gap for gap, _ in runs], [at for _, at in runs], note)


@dataclass(frozen=True)
class Followed:
    """Runs to t = 1e299.  seconds, finished: a problem each; drift: the largest of those that
    finished, and of what."""

    method: str
    setting: Setting
    seconds: list[float]
    finished: list[bool]
    drift: str = "not measured"
    note: str = ""

    @property
    def costs(self) -> tuple[float, float, float]:
        """Seconds a run: median and mean of those that finished, mean of all."""
        done = [s for s, f in zip(self.seconds, self.finished, strict=True) if f] or [np.nan]
        return float(np.median(done)), float(np.mean(done)), float(np.mean(self.seconds))


def best(rows: Sequence[Row], target: float) -> list[Row]:
    """One row a method: smallest median gap, below ``target`` all equal, then median time."""

    def rank(row: Row) -> tuple[float, float]:
        if row.why:
            return np.inf, np.inf
        return max(float(np.median(row.gaps)), target), float(np.median(row.seconds))

    methods = dict.fromkeys(row.method for row in rows)
    return [min((r for r in rows if r.method == method), key=rank) for method in methods]


def words(setting: Setting) -> str:
    return ", ".join(f"{name} {value:g}" for name, value in setting.items()) or "-"


def tables(rows: Sequence[Row], followed: Sequence[Followed], target: float) -> str:
    lines = [
        "| method | best setting found | gap: median | largest | at most 1e-3 | "
        f"at most {target:g} | seconds a run: median | largest | note |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for r in best(rows, target):
        if r.why:
            lines.append(f"| {r.method} | - | {r.why} | - | - | - | - | - | - |")
            continue
        near = [f"{sum(g <= bound for g in r.gaps)}/{len(r.gaps)}" for bound in (COARSE, target)]
        gaps = [f"{np.median(r.gaps):.1e}", f"{max(r.gaps):.1e}"]
        took = [f"{np.median(r.seconds):.4f}", f"{max(r.seconds):.4f}"]
        cells = (r.method, words(r.setting), *gaps, *near, *took, r.note or "-")
        lines.append("| " + " | ".join(cells) + " |")
    lines += [
        "",
        "| to t = 1e299 | setting | finished | largest drift of k^2 - q^2 | seconds a run: "
        "median of finished | mean of finished | mean of all | each over marginflow's | note |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    if not followed:
        lines.append("| diffrax Dopri5 | - | not run | - | - | - | - | - | - |")
    for f in followed:
        ratios = [ours / theirs for ours, theirs in zip(f.costs, followed[-1].costs, strict=True)]
        finished = f"{sum(f.finished)}/{len(f.finished)}"
        cells = (f.method, words(f.setting), finished, f.drift, *(f"{c:.4f}" for c in f.costs))
        times = " / ".join(f"{r:.2f}" for r in ratios)
        lines.append("| " + " | ".join((*cells, times, f.note or "-")) + " |")
    return "\n".join(lines)
