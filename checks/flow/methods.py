"""How late steps are taken: what a step returns, and when which method is used."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf

from torch import Tensor

from checks.flow.geometries import Geometry


@dataclass(frozen=True)
class LateStep:
    """One step of the late phase, by whichever method.

    The orbit goes on from ``state``; certificates are read at ``fine`` (the same, or the end of
    two implicit half steps, which satisfies their optimality condition exactly).  p (B, K): there;
    mean_p: over the step, in the simplex; error (B,): the local error, estimated.
    """

    state: Tensor
    fine: Tensor
    p: Tensor
    mean_p: Tensor
    error: Tensor
    converged: Tensor


@dataclass(frozen=True)
class Method:
    """A way to take late steps.  step(geometry, y, p, h, kappa, mask); order: of the error of
    one in h; tolerance: of that error; implicit: does it solve for p?; limit: ln of the size up to
    which it is used."""

    step: Callable[[Geometry, Tensor, Tensor, Tensor, Tensor, Tensor], LateStep]
    order: int
    tolerance: float
    implicit: bool
    limit: float = inf
