"""Plants in what is said of rates, and of where the infimum is reached."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from checks import gap_checks, late_runs
from checks.cases import Case
from checks.context import Context
from checks.late_runs import Arrival
from checks.outcomes import CaseResult
from checks.problems import Array
from tests.planted.patching import everywhere


def rates_exchanged(patch: pytest.MonkeyPatch) -> None:
    """A wrong theorem: the mean gap of separate weights falls like that of combined ones."""
    honest = gap_checks.mean_gap_fits

    def exchanged(run: Any) -> Any:
        fits = honest(run)
        return fits and fits[::-1]

    everywhere(patch, honest, exchanged)


def slack_misread(patch: pytest.MonkeyPatch) -> None:
    """The pull of the slack coordinate is taken a tenth too small, its slack too large."""
    honest = gap_checks.common_pull

    def misread(rows: Array) -> Array | None:
        pull = honest(rows)
        return None if pull is None else 0.9 * pull

    everywhere(patch, honest, misread)


def settled_is_reached(patch: pytest.MonkeyPatch) -> None:
    """A run that settles counts as one that reaches the infimum, on whatever tokens."""
    honest = late_runs.at_handover

    def arrivals(
        checked: Sequence[tuple[Case, dict[str, float], str]], context: Context
    ) -> list[CaseResult | Arrival]:
        return [
            replace(run, reached=True, least=abs(run.least))
            if isinstance(run, Arrival) and run.reached is not None else run
            for run in honest(checked, context)
        ]  # fmt: skip

    everywhere(patch, honest, arrivals)
