"""A user's start of key and query matrices: aligned with the data, or not."""

from __future__ import annotations

import numpy as np
import pytest

from checks import recognise
from checks.cases import Case, campaign_specs, decode
from checks.problems import Start
from checks.recognise import aligned_frames
from tests.test_structural import MIRRORED

ALIGNED = {
    "factored/aligned-single/aligned-random": (3, 3, 3),
    "factored/aligned-general/aligned": (4, 3, 4),
    "factored/symmetrised/aligned-random": (8, 3, 3),
    "factored/symmetrised-rotated/aligned": (8, 3, 3),
}
OTHERS = {
    "factored/separable/separating": (3, 3, 3),
    "factored/separable/wide": (3, 3, 3),
    "factored/low-rank/rank-one": (3, 3, 3),
    "factored/aligned-single/random": (3, 3, 3),
    "factored/symmetrised/random": (8, 3, 3),
}


def _cases(family: str, shape: tuple[int, int, int]) -> list[Case]:
    return [decode(s) for s in campaign_specs("recognise", family, shape, 0, range(6))]


@pytest.mark.parametrize(("family", "shape"), ALIGNED.items())
def test_aligned_starts_are_recognised_without_being_told_the_frames(
    family: str, shape: tuple[int, int, int]
) -> None:
    for case in _cases(family, shape):
        frames = aligned_frames(case.problem, case.start)
        assert frames is not None
        assert frames.misalignment <= recognise.ALIGNED
        weights = (frames.left * (frames.key * frames.query)) @ frames.right.T
        assert np.allclose(weights, case.start.weights, atol=1e-9 * np.abs(weights).max())
        # The invariant is that of the diagonal form, c_j > 0 by construction.
        assert frames.invariant(case.problem) > recognise.ALIGNED


@pytest.mark.parametrize(("family", "shape"), OTHERS.items())
def test_other_starts_are_not(family: str, shape: tuple[int, int, int]) -> None:
    assert not any(aligned_frames(c.problem, c.start) for c in _cases(family, shape))
    assert not any(aligned_frames(c.problem, c.start) for c in MIRRORED[:4])


def test_a_start_a_little_off_is_not_aligned() -> None:
    for case in _cases("factored/aligned-single/aligned-random", (3, 3, 3)):
        noise = np.random.default_rng(0).normal(size=case.start.key.shape)
        size = 1e-5 * np.abs(case.start.key).max()
        moved = Start.factored(case.start.key + size * noise, case.start.query, case.problem.dim)
        assert aligned_frames(case.problem, moved) is None


def test_repeated_singular_values_and_frozen_signs() -> None:
    """Axis-aligned data, K(0) and Q(0) multiples of the identity: every frame is one of K's."""
    case = _cases("factored/symmetrised/aligned-random", (8, 3, 3))[0]
    eye = np.eye(case.problem.dim)
    frames = aligned_frames(case.problem, Start.factored(0.5 * eye, 0.25 * eye, case.problem.dim))
    assert frames is not None
    frozen = aligned_frames(case.problem, Start.factored(0.5 * eye, 0.5 * eye, case.problem.dim))
    assert frozen is not None
    assert frozen.invariant(case.problem) == 0.0
