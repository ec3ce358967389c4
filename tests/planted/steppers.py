"""Plants in the integrator: steps that are not the flow, a wrong kappa, runs that end early."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from checks.flow import early, fidelity, implicit, late, rodas, selection, shallow, unseen, visitors
from checks.flow.geometries import Geometry
from checks.flow.implicit import Solve
from checks.flow.methods import LateStep, Method
from checks.flow.settings import Settings
from checks.flow.weights import Law, Weights
from tests.planted.patching import everywhere


def _with_kappa(patch: pytest.MonkeyPatch, change: Any) -> None:
    begin = late._begin

    def wrong(*arguments: Any) -> Any:
        state = begin(*arguments)
        state.kappa = change(state.kappa)
        return state

    patch.setattr(late, "_begin", wrong)


def kappa_zero(patch: pytest.MonkeyPatch) -> None:
    """kappa left out of the late steps: every constraint starts alike."""
    _with_kappa(patch, torch.zeros_like)


def kappa_sign(patch: pytest.MonkeyPatch) -> None:
    """kappa with its sign flipped in the late steps."""
    _with_kappa(patch, torch.neg)


def one_constraint(patch: pytest.MonkeyPatch) -> None:
    """Late steps push the constraint of least margin alone: coordinate descent, not the flow."""

    def steepest(
        geometry: Geometry, y: Tensor, p: Tensor, step: Tensor, kappa: Tensor, mask: Tensor
    ) -> Solve:
        scaled = geometry.scaled_margins(y, geometry.log_size(y))
        least = torch.where(mask, scaled, torch.inf).argmin(-1, keepdim=True)
        alone = torch.zeros_like(p).scatter(1, least, 1.0)
        return Solve(alone, geometry.advance(y, alone, step), torch.ones_like(step).bool())

    everywhere(patch, implicit.implicit_step, steepest)


def equal_push(patch: pytest.MonkeyPatch) -> None:
    """Late steps push all constraints with equal weights: no softmax at all."""

    def uniform(
        geometry: Geometry, y: Tensor, p: Tensor, step: Tensor, kappa: Tensor, mask: Tensor
    ) -> Solve:
        inside = mask.to(p.dtype)
        equal = inside / inside.sum(-1, keepdim=True)
        return Solve(equal, geometry.advance(y, equal, step), torch.ones_like(step).bool())

    everywhere(patch, implicit.implicit_step, uniform)


def no_extrapolation(patch: pytest.MonkeyPatch) -> None:
    """One half step of two is booked: the orbit moves at half its clock's speed, late."""
    honest = implicit.double_step

    def halved(
        geometry: Geometry, y: Tensor, p: Tensor, step: Tensor, kappa: Tensor, mask: Tensor
    ) -> LateStep:
        return honest(geometry, y, p, step / 2, kappa, mask)

    everywhere(patch, honest, halved)


def early_euler(patch: pytest.MonkeyPatch) -> None:
    """Explicit Euler early, its error said to be zero."""

    def euler(
        geometry: Geometry, law: Law, y: Tensor, h: Tensor, margins: Tensor
    ) -> tuple[Tensor, Tensor, Weights]:
        _, error, weights = honest(geometry, law, y, h, margins)
        moved = y + h.unsqueeze(-1) * geometry.velocity(y, weights.p.flatten(1))
        return moved, torch.zeros_like(error), weights

    honest = rodas.step
    everywhere(patch, honest, euler)


def early_normalised(patch: pytest.MonkeyPatch) -> None:
    """Normalised descent early: every coordinate moves at the speed of the fastest (signs)."""

    def signed(geometry: Geometry, law: Law, y: Tensor) -> Tensor:
        rate = honest(geometry, law, y)
        return torch.sign(rate) * rate.abs().amax(-1, keepdim=True)

    honest = rodas.field
    everywhere(patch, honest, signed)


def early_stop(patch: pytest.MonkeyPatch) -> None:
    """A run counts as closed at a thousand times the gap asked for."""
    honest = late._step

    def stopped(ledger: Any, state: Any, s: Settings, method: Method) -> Any:
        return honest(ledger, state, replace(s, gap=1000 * s.gap), method)

    patch.setattr(late, "_step", stopped)


def early_handover(patch: pytest.MonkeyPatch) -> None:
    """The late form of p is taken at once: a sample counts as settled wherever it stands."""
    honest, leave = selection.settled, early._leave

    def at_once(margins: Tensor, scores: Tensor, handover: float) -> Any:
        ok, found = honest(margins, scores, handover)
        lowest = torch.where(found.lower, 1.0, 0.0).flatten(1).sum(-1)
        return ok | (lowest > 0), found

    def asked_at_once(ledger: Any, state: Any, settings: Settings) -> Any:
        return leave(ledger, state, replace(settings, handover=0.0))

    everywhere(patch, honest, at_once)
    patch.setattr(early, "_leave", asked_at_once)


def blind_control(patch: pytest.MonkeyPatch) -> None:
    """Late steps without error control: every step is accepted."""
    honest = implicit.double_step

    def blind(*arguments: Any) -> LateStep:
        done = honest(*arguments)
        return replace(done, error=torch.zeros_like(done.error))

    everywhere(patch, honest, blind)


def implicit_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Late steps are implicit from the hand-over on, which is no error: they were once."""
    honest = shallow.method
    monkeypatch.setattr(
        shallow, "method", lambda settings: replace(honest(settings), limit=-np.inf)
    )


def visits_unseen(patch: pytest.MonkeyPatch) -> None:
    """No look for constraints that come and go within a late step, all of them implicit."""
    implicit_at_once(patch)
    everywhere(patch, visitors.visits, lambda geometry, starts, ends, step, kappa, mask: 0.0 * step)


def unstable_balance_kept(patch: pytest.MonkeyPatch) -> None:
    """No look for modes that grow within an early step, nor at how fast p moves: L-stable steps
    damp both."""
    patch.setattr(unseen, "grows", lambda jacobian, h: torch.zeros_like(h, dtype=torch.bool))
    patch.setattr(unseen, "_CALM", float("inf"))


def early_visits_unseen(patch: pytest.MonkeyPatch) -> None:
    """No look for tokens that come and go within an early step."""

    def blind(
        geometry: Geometry, law: Law, ends: Any, h: Tensor, p: Tensor, asked: Tensor
    ) -> Tensor:
        return torch.zeros_like(h, dtype=torch.bool)

    patch.setattr(unseen, "passed_over", blind)


def who_comes_near_unfelt(patch: pytest.MonkeyPatch) -> None:
    """Late steps, all implicit, look at constraints that fall below the others alone, not at those
    that near."""
    implicit_at_once(patch)
    patch.setattr(visitors, "_DEEP", -np.inf)


def waking_unseen(patch: pytest.MonkeyPatch) -> None:
    """A token may come to its share of p within one early step."""
    patch.setattr(unseen, "_SURE", np.inf)


def ousted_unfelt(patch: pytest.MonkeyPatch) -> None:
    """No charge for what a late step balances to its end and another constraint ousted."""
    patch.setattr(
        implicit, "_ousted", lambda geometry, p, halves, step, kappa, mask: torch.zeros_like(p)
    )


def late_tolerance_loose(patch: pytest.MonkeyPatch) -> None:
    """Late steps are controlled at a thousand times the tolerance that was set."""
    begin = late._begin

    def hurried(ledger: Any, scores: Tensor, rows: Tensor, s: Settings, method: Method) -> Any:
        state = begin(ledger, scores, rows, s, method)
        state.tolerance = 1000 * state.tolerance
        return state

    patch.setattr(late, "_begin", hurried)


def unaudited(patch: pytest.MonkeyPatch) -> None:
    """Audits end before they begin, and count as passed; late steps are a thousand times long."""
    patch.setattr(fidelity.Audit, "passed", property(lambda self: True))
    honest = implicit.double_step

    def hurried(
        geometry: Geometry, y: Tensor, p: Tensor, step: Tensor, kappa: Tensor, mask: Tensor
    ) -> LateStep:
        done = honest(geometry, y, p, 1000.0 * step, kappa, mask)
        return replace(done, error=torch.zeros_like(done.error))

    everywhere(patch, honest, hurried)


def tokens_fixed_at_start(patch: pytest.MonkeyPatch) -> None:
    """The late phase takes the token of best score for the one that attention selected."""
    honest = late.hand_over

    def optimistic(
        ledger: Any, tokens: Tensor, queries: Tensor, scores: Tensor, rows: Tensor, s: Settings
    ) -> Tensor:
        ledger.selected[rows] = scores.argmax(-1)[rows]
        return honest(ledger, tokens, queries, scores, rows, s)

    everywhere(patch, honest, optimistic)
