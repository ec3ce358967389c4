"""Early phase: the exact signed weights p(m), integrated by an L-stable Rosenbrock method.

Method: RODAS, six stages, order 4 with an embedded order 3, stiffly accurate and L-stable
(E. Hairer, G. Wanner, Solving Ordinary Differential Equations II, 2nd ed., section IV.7;
the coefficients are those of table 7.2 in the transformed form of section IV.7).  The
order is measured in tests/test_flow_early.py.
"""

from __future__ import annotations

import torch
from torch import Tensor

from checks.flow import unseen
from checks.flow.geometries import Geometry
from checks.flow.weights import Law, Weights

ORDER = 4
_GAMMA = 0.25
_A = (
    (),
    (1.544000000000000,),
    (0.9466785280815826, 0.2557011698983284),
    (3.314825187068521, 2.896124015972201, 0.9986419139977817),
    (1.221224509226641, 6.019134481288629, 12.53708332932087, -0.6878860361058950),
)
_C = (
    (),
    (-5.668800000000000,),
    (-2.430093356833875, -0.2063599157091915),
    (-0.1073529058151375, -9.594562251023355, -20.47028614809616),
    (7.496443313967647, -10.24680431464352, -33.99990352819905, 11.70890893206160),
    (8.083246795921522, -7.981132988064893, -31.52159432874371, 16.31930543123136,
     -6.058818238834054),
)  # fmt: skip


def field(geometry: Geometry, law: Law, y: Tensor) -> Tensor:
    """dy/d tau at state y: the vector field of gradient flow in rescaled time."""
    return geometry.velocity(y, law.push(geometry.margins(y)))


def step(
    geometry: Geometry, law: Law, y: Tensor, h: Tensor, margins: Tensor
) -> tuple[Tensor, Tensor, Weights]:
    """One step of length h (B,) from y, where the margins are given.

    The new state, its distance to the embedded solution (infinite where the method would damp
    what grows), and the weights p at y.
    """
    weights, slope = law.linear(margins)
    p = weights.p.flatten(1)
    jacobian = geometry.velocity_jacobian(y, p, slope)
    matrix = -jacobian
    inverse_h = 1 / h.unsqueeze(-1)
    matrix.diagonal(dim1=-2, dim2=-1).add_(inverse_h / _GAMMA)
    lu, pivots, _ = torch.linalg.lu_factor_ex(matrix, check_errors=False)
    stages: list[Tensor] = []
    argument = y
    for i in range(6):
        if i in (1, 2, 3, 4):
            argument = _add(y, _A[i], stages)
        elif i == 5:
            argument = argument + stages[4]
        rate = field(geometry, law, argument) if i else geometry.velocity(y, p)
        if i:
            rate = torch.addcmul(rate, inverse_h, _add(None, _C[i], stages))
        stages.append(torch.linalg.lu_solve(lu, pivots, rate.unsqueeze(-1)).squeeze(-1))
    new = argument + stages[5]
    error = geometry.caution(geometry.distance(new, argument))
    if law.signed:
        error = torch.where(unseen.grows(jacobian, h), torch.inf, error)
    return new, error, weights


def _add(total: Tensor | None, coefficients: tuple[float, ...], stages: list[Tensor]) -> Tensor:
    """total + sum of coefficient times stage."""
    for c, stage in zip(coefficients, stages, strict=True):
        total = c * stage if total is None else torch.add(total, stage, alpha=c)
    assert total is not None
    return total
