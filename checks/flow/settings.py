"""What a run is asked for: tolerances, horizons and budgets, in counts and never seconds."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf


@dataclass(frozen=True)
class Settings:
    """Error control and stopping of one integration.

    Tolerances are relative changes of the weights in one step (``Geometry.distance``).
    """

    early_tolerance: float = 1e-5
    """Local error per step of the Rosenbrock method (embedded order 3), as estimated: a twentieth
    of what a late step may be off.  Audits saw up to 1.5 times as much, where no look of ``unseen``
    asked for a shorter step."""
    late_tolerance: float = 2e-4
    """Of implicit steps: distance of one full to two half ones, and what ``implicit.double_step``
    charges beside it; the orbit goes on from the extrapolation, one order better where p is
    smooth."""
    gap: float = 5e-9
    """The certificate counts as closed once 1 - primal/dual is below this."""
    horizon: float = 4000.0
    """Largest ln N(W); THEORY.md 3: the slowest coordinates ask for 3,700 at 1e-4."""
    early_steps: int = 600
    late_steps: int = 600
    elsewhere: bool = True
    """Are rows followed late that settled on other than optimal tokens?"""
    longest: float = inf
    """Largest growth of the log size in one late step, for what is summed over steps: their
    length is otherwise that of the orbit's own error control."""
    handover: float = 40.0
    """Smallest margin at which the late form of p is used: its error is e^-40 = 4e-18,
    below rounding.  Near-tied scores ask for more (``selection.settled``)."""
    deep: float = 8.0
    """ln of the size from which late steps are implicit; below it they are Rosenbrock steps, to
    ``early_tolerance``, with the late form of p.  Chosen by cost: beyond e^8, events are stiff."""
