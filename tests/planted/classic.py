"""The first plants: weights, norms, tokens, late steps, assumptions.  See test_planted.py."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from checks import assumptions, audit, judging, svm, tolerances
from checks.flow import implicit, integrate, late, weights
from checks.flow.geometries import DiagonalGeometry, Geometry
from checks.flow.implicit import Solve
from checks.flow.methods import LateStep
from checks.flow.orbit import Orbit, Status
from checks.flow.rows import Rows
from checks.flow.weights import Response
from checks.problems import Array, AttentionProblem, Constraints, Start
from checks.problems import constraints_of as honest_constraints
from checks.rounding import Norm
from checks.svm import SvmSolution
from tests.planted.patching import Plant, everywhere

HURRY = 1000.0


def gradient_sign(patch: pytest.MonkeyPatch) -> None:
    """lambda with its sign flipped: gradient ascent."""
    honest = weights.attention_weights

    def flipped(margins: Tensor, scores: Any) -> weights.Weights:
        found = honest(margins, scores)
        return replace(found, p=-found.p)

    everywhere(patch, honest, flipped)


def missing_mean(patch: pytest.MonkeyPatch) -> None:
    """The clock, and with it lambda, without the factor 1/n."""
    honest = weights.attention_weights

    def unscaled(margins: Tensor, scores: Any) -> weights.Weights:
        found = honest(margins, scores)
        return replace(found, log_clock=found.log_clock + np.log(margins.shape[-2]))

    everywhere(patch, honest, unscaled)


_OTHER: dict[str, Norm] = {"l1": "l2", "l2": "l1"}


def oracle_norm(patch: pytest.MonkeyPatch) -> None:
    """solve_svm solves l1 where l2 is asked for and the reverse, and says so."""
    honest = svm.solve_svm

    def swapped(c: Constraints, norm: Norm, exact: bool | None = None) -> SvmSolution:
        return honest(c, _OTHER.get(norm, norm), exact)

    everywhere(patch, honest, swapped)


def oracle_norm_mislabelled(patch: pytest.MonkeyPatch) -> None:
    """The same, but the answer carries the name of the norm that was asked for."""
    honest = svm.solve_svm

    def swapped(c: Constraints, norm: Norm, exact: bool | None = None) -> SvmSolution:
        return replace(honest(c, _OTHER.get(norm, norm), exact), norm=norm)

    everywhere(patch, honest, swapped)


def engine_norm(patch: pytest.MonkeyPatch) -> None:
    """The diagonal engine measures weights and multipliers by l2 and calls it l1."""

    def l2(self: DiagonalGeometry, w: Tensor) -> Tensor:
        return torch.linalg.vector_norm(w, dim=-1)

    def dual(self: DiagonalGeometry, p: Tensor) -> Tensor:
        return torch.linalg.vector_norm((self.rows * p.unsqueeze(-1)).sum(-2), dim=-1)

    patch.setattr(DiagonalGeometry, "norm_of", l2)
    patch.setattr(DiagonalGeometry, "dual_norm", dual)


def audit_norm(patch: pytest.MonkeyPatch) -> None:
    """The audit takes l2 for l1 and the reverse, in primal and dual alike."""
    honest = audit._norm_up

    def swapped(ints: Any, norm: str, dual: bool) -> Any:
        return honest(ints, _OTHER.get(norm, norm), dual)

    everywhere(patch, honest, swapped)


def constraint_token(patch: pytest.MonkeyPatch) -> None:
    """constraints_of subtracts the token after the one it means."""

    def shifted(problem: AttentionProblem, selected: Array | None = None) -> Constraints:
        right = honest_constraints(problem, selected)
        alpha = problem.optimal if selected is None else np.asarray(selected)
        wrong = (right.token + 1) % problem.length
        delta = problem.tokens[right.sample, alpha[right.sample]]
        return replace(right, delta=delta - problem.tokens[right.sample, wrong])

    everywhere(patch, honest_constraints, shifted)


def engine_token(patch: pytest.MonkeyPatch) -> None:
    """Rows.of subtracts the token after the one it means."""

    def shifted(cls: type[Rows], tokens: Tensor, queries: Tensor, reference: Tensor) -> Rows:
        index = reference[:, :, None, None].expand(-1, -1, 1, tokens.shape[-1])
        delta = torch.gather(tokens, 2, index) - tokens.roll(-1, dims=2)
        query = queries.unsqueeze(2).expand_as(delta)
        return cls(delta.flatten(1, 2), query.flatten(1, 2))

    patch.setattr(Rows, "of", classmethod(shifted))


def ignored(key: str) -> Plant:
    def plant(patch: pytest.MonkeyPatch) -> None:
        patch.setitem(assumptions.BEFORE, key, lambda problem, start: 1.0)

    plant.__name__ = f"{key.replace('-', '_')}_ignored"
    plant.__doc__ = f"The assumption {key} is taken for met, whatever the data."
    return plant


def separable_ignored(patch: pytest.MonkeyPatch) -> None:
    """Where the data are not separable, the SVM of the largest separable part is taken."""
    honest = svm.solve_svm

    def lenient(c: Constraints, norm: Norm, exact: bool | None = None) -> SvmSolution:
        for count in range(len(c), 0, -1):
            part = Constraints(*(getattr(c, f)[:count] for f in c.__dataclass_fields__))
            try:
                found = honest(part, norm, exact)
            except svm.NotSeparable:
                continue
            multipliers = np.pad(found.multipliers, (0, len(c) - count))
            return replace(found, active=np.resize(found.active, len(c)), multipliers=multipliers)
        raise AssertionError("not even one constraint is separable")

    everywhere(patch, honest, lenient)


def infimum_ignored(patch: pytest.MonkeyPatch) -> None:
    """The tokens a run selected pass for the optimal ones."""
    honest = judging.unresolved

    def lenient(run: Any) -> Any:
        stopped = honest(run)
        vacuous = stopped is not None and stopped[0] is judging.Outcome.VACUOUS
        return None if vacuous else stopped

    everywhere(patch, honest, lenient)


def late_steps_long(patch: pytest.MonkeyPatch) -> None:
    """Late steps a thousand times longer than the clock is told, and no error control."""
    honest = implicit.double_step

    def hurried(
        geometry: Geometry, y: Tensor, p: Tensor, step: Tensor, kappa: Tensor, mask: Tensor
    ) -> LateStep:
        done = honest(geometry, y, p, HURRY * step, kappa, mask)
        return replace(done, error=torch.zeros_like(done.error))

    everywhere(patch, honest, hurried)


def quadratic_mirror(patch: pytest.MonkeyPatch) -> None:
    """Psi = r^2/2 in place of sum c cosh r: late, beta is linear in u (a flow to the l2 SVM)."""
    honest = late._step

    def margins(self: DiagonalGeometry, y: Tensor, rho: Tensor) -> Tensor:
        return (self.rows * (y * torch.exp(-rho).unsqueeze(-1)).unsqueeze(-2)).sum(-1)

    def curvature(self: DiagonalGeometry, y: Tensor, step: Tensor, rho: Tensor) -> Tensor:
        return (2 * step * torch.exp(-rho))[:, None, None] * (self.rows @ self.rows.mT)

    def jacobian(self: DiagonalGeometry, y: Tensor, p: Tensor, slope: Response) -> Tensor:
        return 2 * slope.between(self.rows, self.rows)

    def wrong(*arguments: Any) -> Tensor:
        with pytest.MonkeyPatch.context() as inside:
            inside.setattr(DiagonalGeometry, "scaled_margins", margins)
            inside.setattr(DiagonalGeometry, "curvature", curvature)
            inside.setattr(DiagonalGeometry, "velocity_jacobian", jacobian)
            for name in ("margins", "linearise"):
                inside.setattr(DiagonalGeometry, name, getattr(Geometry, name))
            return honest(*arguments)

    patch.setattr(late, "_step", wrong)


def stale_weights(patch: pytest.MonkeyPatch) -> None:
    """p from the wrong time: every late step is made with the p of its start."""

    def explicit(
        geometry: Geometry, y: Tensor, p: Tensor, step: Tensor, kappa: Tensor, mask: Tensor
    ) -> Solve:
        return Solve(p, geometry.advance(y, p, step), torch.ones(len(y), dtype=torch.bool))

    everywhere(patch, implicit.implicit_step, explicit)


def solution_as_trajectory(patch: pytest.MonkeyPatch) -> None:
    """No flow at all: the SVM's solution and multipliers, handed out as a closed orbit."""
    everywhere(patch, integrate.integrate, _made_up)


def _made_up(
    problems: Sequence[AttentionProblem], starts: Sequence[Start], *_: Any, **options: Any
) -> Orbit:
    count, probes = len(problems), options.get("probes", ())
    norm: Norm = "frobenius" if starts[0].weights.ndim == 2 else "l2"
    if starts[0].model == "diagonal":
        norm = "l1"
    for probe in probes:
        probe.init(count)
    size = starts[0].weights.size
    weight = np.zeros((count, problems[0].samples, problems[0].length))
    direction, best = np.full((count, size), size**-0.5), np.ones(count)
    for row, problem in enumerate(problems):
        constraints = honest_constraints(problem)
        solution = svm.solve_svm(constraints, norm)
        direction[row] = solution.solution.ravel() / solution.optimum
        kept = solution.multipliers / solution.multipliers.sum()
        weight[row, constraints.sample, constraints.token] = kept
        best[row] = solution.gamma
    many = np.full(count, 20)
    return Orbit(
        norm=norm, status=[Status.CLOSED] * count,
        selected=np.stack([p.optimal for p in problems]), settled=np.ones(count, dtype=bool),
        direction=direction, log_norm=np.full(count, 50.0), log_time=np.full(count, 1e9),
        primal=best, dual=best, dual_weights=weight, weights_p=weight,
        worst_error=np.full(count, 0.9), error_sum=np.full(count, 1e-4), early_steps=many,
        late_steps=many, rejected=many * 0, tau=np.full(count, 30.0),
    )  # fmt: skip


def loose_tolerance(patch: pytest.MonkeyPatch) -> None:
    """The tolerance on the margin gap, a thousand times too large."""
    honest = tolerances.margin_gap

    def loose(settings: Any) -> tolerances.Tolerance:
        right = honest(settings)
        return replace(right, value=1000 * right.value)

    everywhere(patch, honest, loose)


optimal_unique_ignored = ignored("optimal-unique")
realisable_ignored = ignored("realisable")
nonzero_invariant_ignored = ignored("nonzero-invariant")
