"""The vocabulary of claims: frozen, pure data, no status and no functions.

A claim is a sentence of a paper made precise enough to be falsified.  What it takes to
check it lives in ``checks``; how it came out lives in a verdict.  Nothing here imports
sympy, so that ``marginflow list`` starts at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["symbolic", "flow", "limit", "rate", "selection", "contrast", "control"]
Expectation = Literal["held", "falsified", "open"]
Scope = Literal["problem", "start", "trajectory"]


@dataclass(frozen=True)
class Citation:
    """Where a statement comes from: an arXiv number, or ``derived`` with a proof sketch."""

    source: str
    """``"arXiv 2403.08699, abstract"``, another arXiv number, or ``"derived"``."""
    text: str
    """The sentence relied on, or a proof of at most a few lines."""


@dataclass(frozen=True)
class Assumption:
    """One hypothesis of a theorem.

    ``checks`` binds a function to ``key`` that returns a *signed margin*: positive where
    the assumption is met, negative where it is not, and how far either way.
    """

    key: str
    statement: str
    latex: str
    scope: Scope
    control: str = ""
    """Key of the negative control that is the claim without it, if there is one."""


@dataclass(frozen=True)
class Claim:
    """One checkable statement.  ``sentences`` is empty for derived claims."""

    key: str
    kind: Kind
    title: str
    statement: str
    latex: str
    citation: Citation
    sentences: tuple[str, ...] = ()
    assumptions: tuple[str, ...] = ()
    rests_on: tuple[str, ...] = ()
    expect: Expectation = "held"
    falsified_by: str = ""
    """What would have come out FALSIFIED, in words."""
    not_shown: str = ""
    """What a HELD verdict does not show, in words."""
