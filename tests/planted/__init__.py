"""Planted errors: one small patch each, of the kind a programmer makes.

A plant stands for an error in the source, so it replaces a function wherever the suite holds it,
the runner's own doors included.  ``PLANTS`` has them all; a plant's docstring says in one sentence
what is wrong.  ``python -m tests.planted [NAME ...]`` runs them through ``marginflow verify`` and
writes the report's table; tests/test_planted.py runs a part of them every day.
"""

from __future__ import annotations

import inspect

import checks.cli  # noqa: F401  one thread and one path in numpy, before it is loaded
from tests.planted import algebra, classic, fields, judgement, oracles, rates, steppers
from tests.planted.patching import Plant

PLANTS: dict[str, Plant] = {
    name: plant
    for module in (classic, fields, steppers, oracles, judgement, algebra, rates)
    for name, plant in vars(module).items()
    if inspect.isfunction(plant) and list(inspect.signature(plant).parameters) == ["patch"]
}
"""Name -> plant."""

GAPS: dict[str, str] = {}
"""Plants that survive, and why: what the suite does not see yet."""


def what(plant: Plant) -> str:
    """What is wrong, in one sentence."""
    return " ".join((plant.__doc__ or "").split())
