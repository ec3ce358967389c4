"""Plants in what is made of a measurement: assumptions, tolerances, outcomes, generated cases."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from checks import assumptions, flow_checks, frames, judging, outcomes, proofs, tolerances
from checks.flow import fidelity
from checks.outcomes import Outcome
from checks.problems import Array
from checks.tolerances import Tolerance
from tests.planted.classic import ignored
from tests.planted.patching import everywhere


def aligned_ignored(patch: pytest.MonkeyPatch) -> None:
    """Alignment is assumed and not checked."""
    patch.setattr(assumptions, "aligned", lambda case: 1.0)


equal_scores_ignored = ignored("equal-scores")
full_stack_rank_ignored = ignored("full-stack-rank")


def loose_rounding(patch: pytest.MonkeyPatch) -> None:
    """The tolerance for rounding, a thousand times too large."""
    honest = tolerances.rounding

    def loose(terms: int, size: float, what: str) -> Tolerance:
        right = honest(terms, size, what)
        return replace(right, value=1000 * right.value)

    everywhere(patch, honest, loose)


def loose_fidelity(patch: pytest.MonkeyPatch) -> None:
    """The bounds on what a step may differ from gradient flow, a thousand times too large."""
    patch.setattr(fidelity, "STEP_BOUND", 1000 * fidelity.STEP_BOUND)
    patch.setattr(fidelity, "SHARE_BOUND", 1000 * fidelity.SHARE_BOUND)


def strict_rounding(patch: pytest.MonkeyPatch) -> None:
    """The tolerance for rounding, a million times too small: sound code is called wrong."""
    honest = tolerances.rounding

    def strict(terms: int, size: float, what: str) -> Tolerance:
        right = honest(terms, size, what)
        return replace(right, value=1e-6 * right.value)

    everywhere(patch, honest, strict)


def always_held(patch: pytest.MonkeyPatch) -> None:
    """A direction is HELD whatever its margin gap."""
    honest = judging.compare

    def lenient(*arguments: Any) -> judging.Judged:
        return replace(honest(*arguments), outcome=Outcome.HELD, reason="")

    everywhere(patch, honest, lenient)


def never_falsified(patch: pytest.MonkeyPatch) -> None:
    """A deviation beyond its tolerance is INCONCLUSIVE, however large."""
    patch.setattr(flow_checks, "CLEAR", 1e300)


def hasty_refutation(patch: pytest.MonkeyPatch) -> None:
    """A direction whose gap is open is FALSIFIED without a certificate of where it goes."""
    everywhere(patch, judging._refutation, lambda *_: "the run closes on another problem instead")


def never_beyond(patch: pytest.MonkeyPatch) -> None:
    """A measurement counts as within its tolerance, whatever it is."""
    patch.setattr(outcomes.Measurement, "ratio", property(lambda self: 0.0))


def rival_of_itself(patch: pytest.MonkeyPatch) -> None:
    """Every case counts as one that tells the two norms apart."""
    everywhere(patch, judging.discriminates, lambda *_: True)


def never_informative(patch: pytest.MonkeyPatch) -> None:
    """The start's own gap is taken of the negative weights: 0 where the start is far off."""
    everywhere(patch, judging.start_gap, lambda *_: 0.0)


def selection_kept(patch: pytest.MonkeyPatch) -> None:
    """A selection counts as settled for good without a look at the tokens of higher score."""
    everywhere(patch, judging.stays, lambda run, solution: True)


def flips_with_constant(patch: pytest.MonkeyPatch) -> None:
    """Symmetrised copies use the constant column of the Hadamard matrix too."""

    def flips(d: int) -> Array:
        both = np.arange(frames.copies(d))[:, None] & np.arange(d)
        parity = np.array([int(b).bit_count() & 1 for b in both.ravel()], dtype=np.int64)
        return np.asarray(1.0 - 2.0 * parity).reshape(both.shape)

    everywhere(patch, frames.flips, flips)


def flips_alike(patch: pytest.MonkeyPatch) -> None:
    """Two coordinates of the symmetrised copies are flipped together."""
    honest = frames.flips

    def flips(d: int) -> Array:
        signs = honest(d).copy()
        signs[:, 1] = signs[:, 0]
        return signs

    everywhere(patch, honest, flips)


def credulous_prover(patch: pytest.MonkeyPatch) -> None:
    """The prover believes what is stated."""
    honest = proofs.prove

    def believed(*arguments: Any, **named: Any) -> proofs.Proof:
        return replace(honest(*arguments, **named), result=proofs.Result.PROVED)

    everywhere(patch, honest, believed)


def entries_skipped(patch: pytest.MonkeyPatch) -> None:
    """The prover looks at the first entry of an identity alone."""
    honest = proofs.prove

    def first(identity: Any, *rest: Any, **named: Any) -> proofs.Proof:
        def head(side: Any) -> Any:
            return side[0] if hasattr(side, "shape") else side

        return honest(replace(identity, left=head(identity.left), right=head(identity.right)),
                      *rest, **named)  # fmt: skip

    everywhere(patch, honest, first)
