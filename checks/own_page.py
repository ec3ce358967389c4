"""What the page of one problem shows beyond ``check --json``: margins, attention, close looks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from checks import assumptions, limit_checks, portrait
from checks.flow.settings import Settings
from checks.problems import AttentionProblem, Start
from checks.runs import Run
from checks.svm import SvmSolution
from theory.catalogue import ASSUMPTIONS

CLOSE_UPS = 2
"""Runs looked at closely: the first that reached the infimum, and the first that did not."""


def audit(
    problem: AttentionProblem, starts: Sequence[Start], solution: SvmSolution | None, answer: str
) -> list[dict[str, Any]]:
    """Every assumption of the limit claims with its signed margins: of the problem, one; of
    the starts, one each.  met: true, false, or null where undecided."""
    known = {
        "optimal-unique": [assumptions.optimal_unique(problem, starts[0])],
        "realisable": [assumptions.realisable(problem, starts[0])],
    }
    if solution is not None:
        known["separable"] = [assumptions.separable(solution)]
    elif answer == "non-separable":
        known["separable"] = [0.0]  # a verified Farkas vector: gamma* <= 0
    if starts[0].model == "diagonal":
        known["nonzero-invariant"] = [assumptions.nonzero_invariant(problem, s) for s in starts]
    out = [_entry(key, margins) for key, margins in known.items()]
    if "separable" not in known:
        out.append({**_entry("separable", []), "met": None})
    return out


def _entry(key: str, margins: list[float]) -> dict[str, Any]:
    assumption = ASSUMPTIONS[key]
    return {
        "key": key,
        "statement": assumption.statement,
        "latex": assumption.latex,
        "scope": assumption.scope,
        "margins": margins,
        "met": all(margin > 0 for margin in margins),
    }


def attention(run: Run) -> dict[str, Any]:
    """Per sample: its optimal token, and the attention on that token before and after."""
    with np.errstate(divide="ignore"):
        before = portrait.attention_paid(run.problem, run.start.weights, 0.0)
    after = portrait.attention_paid(run.problem, run.direction, run.log_norm)
    return {
        "optimal": run.problem.optimal.tolist(),
        "before": before.tolist(),
        "after": after.tolist(),
    }


def pictures(
    problem: AttentionProblem,
    starts: Sequence[Start],
    runs: Sequence[Run],
    solution: SvmSolution | None,
    settings: Settings,
) -> dict[str, Any]:
    """``curves`` of all runs, ``close_ups`` of one or two, ``phase`` for vectors in 2 or 3."""
    reached = [i for i, run in enumerate(runs) if run.reached][:1]
    chosen = sorted([*reached, *[i for i, run in enumerate(runs) if not run.reached][:1]])
    chosen = chosen[:CLOSE_UPS]
    drawn = portrait.portraits(
        [problem] * len(chosen), [starts[i] for i in chosen], settings, twins=True
    )
    close_ups = [
        {"of": f"run {i + 1}", "curves": portrait.curves(one)}
        for i, one in zip(chosen, drawn, strict=True)
    ]
    return {
        "curves": [] if solution is None else _curves(runs, solution),
        "close_ups": close_ups,
        "phase": portrait.phase(problem, starts, settings),
    }


def _curves(runs: Sequence[Run], solution: SvmSolution) -> list[dict[str, Any]]:
    out = []
    for name in ("margin gap", "certificate gap"):
        series = []
        for index, run in enumerate(runs):
            points = limit_checks.gap_curves(run, solution).get(name)
            if points:
                series.append(
                    {"label": f"run {index + 1}", "points": [p[:2] for p in points],
                     "times": [p[2] for p in points]}
                )  # fmt: skip
        if series:
            out.append({"name": name, "title": f"{name}, every run", "x_label": "ln N(W)",
                        "y_label": name, "y_log": True, "series": series})  # fmt: skip
    return out
