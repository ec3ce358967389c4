"""The cases a reader is shown: the worst and the simplest, and a picture in two dimensions.

Shown runs are made again with a probe that keeps their path.  No verdict looks at them.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from checks import own_data, portrait
from checks.budgets import Budget
from checks.cases import Case, CaseSpec, campaign_specs, decode
from checks.families import has_shape
from checks.given import Given
from checks.outcomes import CaseResult
from checks.problems import Array, AttentionProblem, Start
from checks.streams import Stream
from checks.tally import Tally
from theory.claims import Claim

LARGEST_SHOWN = 130
"""Numbers of a case that a page prints; a larger case is left to its file."""
PHASE_SIZE = (3, 2)
"""(L, d) of the picture: two coordinates that the constraints see; at most two samples."""
PHASE_STARTS = 5
PHASE_TRIES = 4
"""Problems tried for a picture in which at least two starts reach the infimum."""


def decoded(cases: Stream | Given, result: CaseResult) -> Case:
    """The case that a result is of."""
    spec = CaseSpec.from_json(result.spec)
    return cases.decode(spec) if isinstance(cases, Given) else decode(spec)


def data_of(case: Case) -> dict[str, Any] | None:
    """The arrays of a case as numbers; None where they are too many for a page."""
    problem, start = case.problem, case.start
    arrays = {
        name: array
        for source, names in (
            (problem, ("tokens", "queries", "labels", "head", "scores")),
            (start, ("key", "query", "attention")),
        )
        for name in names
        if (array := getattr(source, name)) is not None
    }
    if sum(array.size for array in arrays.values()) > LARGEST_SHOWN:
        return None
    return {name: array.tolist() for name, array in arrays.items()}


def look(
    claim: Claim, cases: Stream | Given, tally: Tally, budget: Budget, device: str
) -> dict[str, Any]:
    """``close_ups``: curves of the worst and the simplest case; ``phase``: a picture or None.

    The simplest shares the batch of the worst where it can, and is left out where it cannot:
    its data are shown in any case.
    """
    if not tally.followed or tally.worst is None:
        return {"close_ups": [], "phase": None}
    chosen = {"worst": decoded(cases, tally.worst)}
    if tally.simplest is not None and tally.simplest != tally.worst:
        chosen["simplest"] = decoded(cases, tally.simplest)
    subjects = {name: portrait.subject(case) for name, case in chosen.items()}
    like = _form(*subjects["worst"])
    subjects = {name: pair for name, pair in subjects.items() if _form(*pair) == like}
    drawn = portrait.portraits(
        [problem for problem, _ in subjects.values()],
        [start for _, start in subjects.values()],
        budget.settings, device, twins=budget.name != "quick",
    )  # fmt: skip
    close_ups = [
        {"of": name, "curves": portrait.curves(one)}
        for name, one in zip(subjects, drawn, strict=True)
    ]
    # A control breaks an assumption of its start, which the starts of a picture would meet.
    phase = _phase(cases, chosen, budget, device) if claim.kind == "limit" else None
    return {"close_ups": close_ups, "phase": phase}


def _form(problem: AttentionProblem, start: Start) -> tuple[Any, ...]:
    """Equal for cases that can share a batch."""
    arrays = (problem.tokens, start.key, start.attention)
    return (start.model, *(None if a is None else a.shape for a in arrays))


def _phase(
    cases: Stream | Given, chosen: dict[str, Case], budget: Budget, device: str
) -> dict[str, Any] | None:
    """A picture of the shown problem itself if it is small enough, else of one drawn for it."""
    coarse = replace(budget.settings, gap=1e-3)  # far below a pixel
    for name, case in chosen.items():
        found = _picture(case.problem, [case.start], case, coarse, device)
        if found is not None:
            return {"title": f"The {name} case", **found}
    if isinstance(cases, Given):
        return None
    name, shape = cases.sources[0].family, (min(cases.shapes[0][0], 2), *PHASE_SIZE)
    if not has_shape(name, shape):
        return None
    specs = campaign_specs("picture", name, shape, 0, range(PHASE_TRIES))
    for spec in specs:
        case = decode(spec)
        if case.start.weights.ndim != 1:
            return None
        found = _picture(case.problem, [], case, coarse, device)
        if found is not None and sum(path["reached"] for path in found["paths"]) > 1:
            title = f"One problem in two dimensions, {PHASE_STARTS} starts (drawn for this picture)"
            return {"title": title, **found}
    return None


def _picture(
    problem: AttentionProblem, given: list[Start], case: Case, coarse: Any, device: str
) -> dict[str, Any] | None:
    model = case.start.model
    if case.start.weights.ndim != 1 or _seen(problem) > 3:
        return None
    more = own_data.draw_starts(problem, model, False, 0, PHASE_STARTS - len(given), 0)
    return portrait.phase(problem, [*given, *more], coarse, device)


def _seen(problem: AttentionProblem) -> int:
    """How many coordinates the constraints see."""
    rows: Array = portrait.constraints_of(problem).rows
    return int((np.abs(rows).max(axis=0, initial=0.0) > 0).sum())
