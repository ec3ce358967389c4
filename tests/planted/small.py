"""The quick profile shrunk, for plants: every claim at a few cases, in seconds.

Shared by tests/test_planted.py and ``python -m tests.planted``.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from checks import budgets, neighbour_streams, streams
from checks.budgets import Budget
from checks.flow import reference
from checks.flow.settings import Settings

TINY = Budget(
    "quick", cases=12, search=1, search_batch=2, chunk=64, violators=3, audited=0.05, stretches=4,
    informative=4, problems=4,
    settings=Settings(gap=1e-5, horizon=150.0, early_steps=600, late_steps=300),
)  # fmt: skip
"""Enough for every claim that catches a plant to be as expected on sound code: at this gap most
runs close in time."""
_SMALL = ((2, 3, 3), (4, 3, 6))
_ORBITS = (
    streams.Source("diagonal/separable/separating"),
    streams.Source("combined-diagonal/separable/random"),
)


def shrink(patch: pytest.MonkeyPatch) -> None:
    """The quick profile shrunk, and every stream cut to two shapes."""
    patch.setitem(budgets.PROFILES, "quick", TINY)
    for module in (streams, neighbour_streams):
        for name, stream in list(vars(module).items()):
            if isinstance(stream, streams.Stream):
                # Shapes of its own a stream has for a reason (copies, classifiers): kept.
                shapes = _SMALL if stream.shapes is streams.SHAPES else stream.shapes[:2]
                # Twelve cases need not hold every kind of problem that a profile must see.
                small = replace(stream, shapes=shapes, share=1.0, must_see=())
                patch.setattr(module, name, small)
    # Every row of these is audited, stretch by stretch: a third of the cases will do.
    patch.setattr(streams, "ORBITS", replace(streams.ORBITS, sources=_ORBITS, share=1 / 3))
    factored = replace(streams.FACTORED_ORBITS, shapes=((2, 3, 2), (2, 2, 2)), share=1 / 3)
    patch.setattr(streams, "FACTORED_ORBITS", factored)
    # Honest stretches take 3,000 evaluations at most; planted ones would use up all 50,000.
    patch.setattr(reference, "_EVALUATIONS", 5_000)


TOO_SMALL = frozenset((
    "limit.full-stack", "rate.dual-window", "rate.slack-attained", "rate.time-scale-combined",
    "selection.selected-svm-combined",
))  # fmt: skip
"""Claims that twelve cases leave vacuous on sound code: their word about a plant is no evidence of
it, unless they falsify.  A nightly test finds that it is these and no others."""
