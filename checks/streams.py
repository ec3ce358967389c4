"""Where a claim's cases come from: families, shapes, and what must be seen among them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from checks.families import FAMILIES, violators
from checks.problem_families import Shape

SHAPES: tuple[Shape, ...] = ((2, 3, 3), (3, 3, 4), (4, 3, 6), (5, 4, 8))
"""(n, L, d) of the campaign: small enough for exact oracles, large enough to discriminate."""


@dataclass(frozen=True)
class Source:
    """One family and the largest share of its cases that may come out vacuous."""

    family: str
    vacuous: float = 0.0


@dataclass(frozen=True)
class Stream:
    """sources: families in equal parts; must_see: regions that must occur among the cases."""

    sources: tuple[Source, ...]
    must_see: tuple[str, ...] = ()
    shapes: tuple[Shape, ...] = SHAPES
    share: float = 1.0
    """Of the profile's number of cases: costly or cheap checks take less."""

    @property
    def model(self) -> str:
        return FAMILIES[self.sources[0].family].model

    def violators(self, assumption: str) -> tuple[str, ...]:
        """Families that break this assumption, for this stream's model."""
        return violators(assumption, self.model)


SETTLES_ELSEWHERE = 0.9
"""From small and random starts the flow often settles on a non-optimal token (THEORY.md 5:
60 % at n=5, L=4, d=8), where S2 is vacuous; nine in ten is the most that is let pass."""


def _limit(model: str, *more: Source, must_see: tuple[str, ...] = ()) -> Stream:
    return Stream(
        (
            Source(f"{model}/separable/separating"),
            Source(f"{model}/separable/small", SETTLES_ELSEWHERE),
            Source(f"{model}/separable/random", SETTLES_ELSEWHERE),
            Source(f"{model}/equal-scores/random", SETTLES_ELSEWHERE),
            *more,
        ),
        must_see,
    )


DIAGONAL_LIMIT = _limit("diagonal", Source("diagonal/near-tied/separating"))
DIAGONAL_KKT = replace(DIAGONAL_LIMIT, share=0.75)
COMBINED_DIAGONAL_LIMIT = _limit("combined-diagonal")
COMBINED_LIMIT = _limit("combined")
DIAGONAL_CERTAIN = Stream((Source("diagonal/separable/separating"),), share=0.4)
COMBINED_CERTAIN = Stream((Source("combined-diagonal/separable/separating"),), share=0.4)
FROZEN = Stream(
    (Source("diagonal/contrary/frozen", 0.5), Source("diagonal/separable/frozen", 0.9)),
    must_see=("frozen-start-sign",),
    share=0.4,
)

_VECTOR_FIELDS = tuple(
    Source(f"{model}/{kind}")
    for model in ("diagonal", "combined-diagonal", "combined")
    for kind in ("unconstrained/random", "separable/small", "equal-scores/random")
)
VECTOR_FIELDS = Stream(_VECTOR_FIELDS)
DIAGONAL_EARLY = Stream(
    (Source("diagonal/unconstrained/random"), Source("diagonal/separable/small")), share=0.2
)
ORBITS = Stream(
    (
        Source("diagonal/separable/separating"),
        Source("diagonal/separable/small"),
        Source("diagonal/unconstrained/random"),
        Source("combined-diagonal/separable/random"),
        Source("combined/separable/small"),
    ),
    share=0.2,
    shapes=((2, 3, 3), (4, 3, 6)),
)

LATE = Stream(
    # A separating start may close its certificate in its first late step: no pair of states.
    (Source("diagonal/separable/separating", 0.2), Source("diagonal/unconstrained/random", 0.5)),
    share=0.25,
)
STATIONARITY = Stream(
    (
        Source("diagonal/separable/separating"),
        Source("diagonal/separable/small", SETTLES_ELSEWHERE),
    ),
    share=0.5,
)
NOT_SETTLED = 0.5
"""Share of random runs that may end unsettled, resurgent, or on tokens that bind nothing."""
SELECTION = Stream(
    (
        Source("diagonal/unconstrained/random", NOT_SETTLED),
        Source("diagonal/unconstrained/small", NOT_SETTLED),
    ),
    must_see=("settled-elsewhere",),
    shapes=SHAPES[1:],
)
SELECTION_COMBINED = Stream(
    (
        Source("combined-diagonal/unconstrained/random", NOT_SETTLED),
        Source("combined-diagonal/unconstrained/small", NOT_SETTLED),
    ),
    must_see=("settled-elsewhere",),
    shapes=SHAPES[1:],
)
ONE_SAMPLE = Stream(
    (
        Source("diagonal/one-sample/separating"),
        Source("diagonal/one-sample/random", SETTLES_ELSEWHERE),
    ),
    shapes=((1, 4, 4), (1, 5, 6)),
)
CONTRAST = Stream((Source("diagonal/separable/separating"),), shapes=SHAPES[1:], share=0.6)
