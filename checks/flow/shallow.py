"""Late steps while the norm is moderate: the Rosenbrock method, with the late form of p.

Just after the hand-over the entropy e^-rho is felt: full and half implicit steps, of first order,
differ by it, and grow the norm by 3 % each.  The Rosenbrock method, of order 4, takes three times
the growth at a tenth of the cost, to a tighter tolerance.
"""

from __future__ import annotations

import torch
from torch import Tensor

from checks.flow import rodas, unseen
from checks.flow.geometries import Geometry
from checks.flow.late_form import LateForm
from checks.flow.methods import LateStep, Method
from checks.flow.rows import finite
from checks.flow.settings import Settings


def step(
    geometry: Geometry, y: Tensor, p: Tensor, h: Tensor, kappa: Tensor, mask: Tensor
) -> LateStep:
    """One Rosenbrock step of length h (B,) from y, where the weights are p (B, K).

    With the late form no balance turns unstable (derived): the Jacobian is minus a covariance times
    a positive slope, whose eigenvalues are real and not above 0; and where moves do not commute, as
    those of [K; Q], what is added is M(p), which grows nothing faster than its norm, N°(G(p)).
    """
    law, margins = LateForm.of(kappa, mask), geometry.margins(y)
    new, error, weights = rodas.step(geometry, law, y, h, margins)
    after = geometry.margins(new)
    fine = finite(new)
    if not geometry.commutes:
        fast = h * geometry.dual_norm(weights.p) > unseen.GROWTH
        error = torch.where(fast, torch.inf, error)
    ends = (y, margins), (new, after)
    unfelt = unseen.passed_over(geometry, law, ends, h, weights.p, fine)
    last = law.push(after)
    return LateStep(
        state=new, fine=new, p=last, mean_p=(p + last) / 2,
        error=torch.where(unfelt, torch.inf, error), converged=fine,
    )  # fmt: skip


def method(settings: Settings) -> Method:
    """Rosenbrock steps, up to the size from which late steps are implicit."""
    return Method(step, rodas.ORDER, settings.early_tolerance, implicit=False, limit=settings.deep)
