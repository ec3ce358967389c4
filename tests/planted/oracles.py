"""Plants in norms, margin problems, certificates and audits."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from checks import audit, judging, rounding, svm
from checks.audit import _norm_up
from checks.certificates import OracleFailure
from checks.flow.combined import CombinedGeometry
from checks.flow.factored import FactoredGeometry, singular_values
from checks.frames import Alignment
from checks.problems import Array, AttentionProblem, Constraints
from checks.problems import constraints_of as honest_constraints
from checks.rounding import Norm
from checks.svm import SvmSolution
from tests.planted.patching import everywhere

_OTHER: dict[str, Norm] = {"nuclear": "frobenius", "frobenius": "nuclear"}


def nuclear_frobenius(patch: pytest.MonkeyPatch) -> None:
    """Nuclear and Frobenius norm change places, in oracle, engine and audit alike."""
    solve, norm_of = svm.solve_svm, judging.norm_of

    def solved(c: Constraints, norm: Norm, exact: bool | None = None) -> SvmSolution:
        return replace(solve(c, _OTHER.get(norm, norm), exact), norm=norm)

    def up(ints: Any, norm: str, dual: bool) -> Any:
        return _norm_up(ints, _OTHER.get(norm, norm), dual)

    def flat_norm(self: FactoredGeometry, w: Tensor) -> Tensor:
        return torch.linalg.vector_norm(w, dim=-1)

    def flat_dual(self: FactoredGeometry, p: Tensor) -> Tensor:
        return torch.linalg.vector_norm(self._adjoint(p).flatten(1), dim=-1)

    def singular_norm(self: CombinedGeometry, w: Tensor) -> Tensor:
        d = self.base.shape[1]
        return singular_values(w.reshape(-1, d, d)).sum(-1)

    def singular_dual(self: CombinedGeometry, p: Tensor) -> Tensor:
        return singular_values(self._adjoint(p)).amax(-1)

    everywhere(patch, solve, solved)
    everywhere(patch, norm_of, lambda w, norm: norm_of(w, _OTHER.get(norm, norm)))
    everywhere(patch, _norm_up, up)
    patch.setattr(FactoredGeometry, "norm_of", flat_norm)
    patch.setattr(FactoredGeometry, "dual_norm", flat_dual)
    patch.setattr(CombinedGeometry, "norm_of", singular_norm)
    patch.setattr(CombinedGeometry, "dual_norm", singular_dual)


def operator_for_nuclear(patch: pytest.MonkeyPatch) -> None:
    """The engine's dual of the nuclear norm is the Frobenius norm of G, its answer's norm too."""

    def flat(self: FactoredGeometry, p: Tensor) -> Tensor:
        return torch.linalg.vector_norm(self._adjoint(p).flatten(1), dim=-1)

    def norm(self: FactoredGeometry, w: Tensor) -> Tensor:
        return torch.linalg.vector_norm(w, dim=-1)

    patch.setattr(FactoredGeometry, "dual_norm", flat)
    patch.setattr(FactoredGeometry, "norm_of", norm)


def audit_dual_norm(patch: pytest.MonkeyPatch) -> None:
    """The audit's dual of the l2 norm is the largest entry: a bound too low."""

    def wrong(ints: Any, norm: str, dual: bool) -> Any:
        return _norm_up(ints, "l1" if norm == "l2" and dual else norm, dual)

    everywhere(patch, _norm_up, wrong)


def audit_self_dual(patch: pytest.MonkeyPatch) -> None:
    """The audit takes the l1 norm for its own dual."""

    def wrong(ints: Any, norm: str, dual: bool) -> Any:
        return _norm_up(ints, norm, dual and norm != "l1")

    everywhere(patch, _norm_up, wrong)


def audit_mean_margin(patch: pytest.MonkeyPatch) -> None:
    """The audit takes the mean margin for the smallest."""
    patch.setattr(audit, "min", lambda margins: sum(margins) // len(margins), raising=False)


def oracle_off(patch: pytest.MonkeyPatch) -> None:
    """Every optimum is reported too large by 1e-6, its interval with it."""
    _scaled(patch, 1 + 1e-6)


def oracle_short(patch: pytest.MonkeyPatch) -> None:
    """Every optimum is reported too small by 1e-6, its interval with it."""
    _scaled(patch, 1 - 1e-6)


def _scaled(patch: pytest.MonkeyPatch, factor: float) -> None:
    honest = svm.solve_svm

    def off(c: Constraints, norm: Norm, exact: bool | None = None) -> SvmSolution:
        found = honest(c, norm, exact)
        return replace(
            found, optimum=factor * found.optimum, lower=factor * found.lower,
            upper=factor * found.upper,
        )  # fmt: skip

    everywhere(patch, honest, off)


def oracle_last_constraint(patch: pytest.MonkeyPatch) -> None:
    """The oracle leaves out the last constraint: a range that ends one too early."""
    honest = svm.solve_svm

    def short(c: Constraints, norm: Norm, exact: bool | None = None) -> SvmSolution:
        if len(c) < 2:
            return honest(c, norm, exact)
        part = Constraints(*(getattr(c, f)[:-1] for f in c.__dataclass_fields__))
        found = honest(part, norm, exact)
        return replace(
            found,
            multipliers=np.append(found.multipliers, 0.0),
            active=np.append(found.active, False),
        )

    everywhere(patch, honest, short)


def stale_solution(patch: pytest.MonkeyPatch) -> None:
    """SVM solutions are cached by norm and shape: the first serves every problem like it."""
    honest = svm.solve_svm
    kept: dict[tuple[Any, ...], SvmSolution] = {}

    def cached(c: Constraints, norm: Norm, exact: bool | None = None) -> SvmSolution:
        key = (norm, c.delta.shape, tuple(c.sample), tuple(c.token))
        if key not in kept:
            kept[key] = honest(c, norm, exact)
        return kept[key]

    everywhere(patch, honest, cached)


def certificate_unchecked(patch: pytest.MonkeyPatch) -> None:
    """A certificate's upper end takes the solver's word: margins are taken to be 1."""
    everywhere(patch, rounding.least_margin, lambda constraints, weights, measured=None: 1.0)


def certificate_norm(patch: pytest.MonkeyPatch) -> None:
    """Certificates take the Frobenius norm of W for the nuclear: an upper end too low."""
    everywhere(patch, rounding.nuclear_above, rounding.frobenius_above)


def farkas_believed(patch: pytest.MonkeyPatch) -> None:
    """A margin problem that is hard is called not separable: cases vanish as vacuous."""
    honest, refused = svm.solve_svm, svm.NotSeparable

    def timid(c: Constraints, norm: Norm, exact: bool | None = None) -> SvmSolution:
        found = honest(c, norm, exact)
        if len(c) > c.delta.shape[1]:
            raise refused(norm, svm.separability(c, full=norm in svm.FULL))
        return found

    everywhere(patch, honest, timid)


def oracle_gives_up(patch: pytest.MonkeyPatch) -> None:
    """The oracle fails wherever its optimum is sparse."""
    honest = svm.solve_svm

    def weak(c: Constraints, norm: Norm, exact: bool | None = None) -> SvmSolution:
        found = honest(c, norm, exact)
        if (np.abs(found.solution) < 1e-9 * np.abs(found.solution).max()).any():
            raise OracleFailure(f"{norm}: no proof")
        return found

    everywhere(patch, honest, weak)


def lift_transposed(patch: pytest.MonkeyPatch) -> None:
    """The diagonal form is carried back as V diag(beta) U^T."""
    honest = Alignment.lift

    def transposed(self: Alignment, beta: Array) -> Array:
        return honest(self, beta).T

    patch.setattr(Alignment, "lift", transposed)


def selected_ignored(patch: pytest.MonkeyPatch) -> None:
    """constraints_of takes the optimal tokens, whichever it is asked for."""

    def optimal(problem: AttentionProblem, selected: Array | None = None) -> Constraints:
        return honest_constraints(problem)

    everywhere(patch, honest_constraints, optimal)
