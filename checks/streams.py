"""Where a claim's cases come from: families, shapes, and what must be seen among them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from checks.families import FAMILIES, violators
from checks.problem_families import Shape

SHAPES: tuple[Shape, ...] = ((3, 3, 4), (4, 3, 6), (2, 3, 3), (5, 4, 8))
"""(n, L, d) of the campaign: small enough for exact oracles, large enough to discriminate.
A profile takes the first few of a stream's shapes: large batches of one shape are cheap."""


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
    searched: bool = True
    """Whether Hypothesis looks for worse cases too."""

    @property
    def model(self) -> str:
        return FAMILIES[self.sources[0].family].model

    def violators(self, assumption: str) -> tuple[str, ...]:
        """Families that break this assumption, for this stream's model."""
        first = FAMILIES[self.sources[0].family]
        return violators(assumption, self.model, first.aligned, first.wide)


SETTLES_ELSEWHERE = 0.9
"""From small and random starts the flow often settles on a non-optimal token (THEORY.md 5:
60 % at n=5, L=4, d=8), where S2 is vacuous; nine in ten is the most that is let pass."""


BINDING = ("more-constraints-than-coordinates", "mixed-labels", "small-margin")
"""What makes a problem hard, and a limit worth telling from its rival's: must be seen."""
VECTORS = (*BINDING, "sparse-witness", "dense-witness")
MATRICES = (*BINDING, "rank-one-witness", "full-witness")
_DIRECTIONS = ("shared-direction", "unused-direction")


def _limit(model: str, *more: Source, must_see: tuple[str, ...] = VECTORS) -> Stream:
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


DIAGONAL_LIMIT = _limit(
    "diagonal",
    Source("diagonal/near-tied/separating"),
    must_see=(*VECTORS, "near-tied", "equal-scores", "small-invariant"),
)
DIAGONAL_KKT = replace(DIAGONAL_LIMIT, share=0.7)
COMBINED_DIAGONAL_LIMIT = _limit("combined-diagonal")
COMBINED_LIMIT = _limit("combined", must_see=MATRICES)
DIAGONAL_CERTAIN = Stream((Source("diagonal/separable/separating"),), share=0.4)
COMBINED_CERTAIN = Stream((Source("combined-diagonal/separable/separating"),), share=0.4)
FROZEN = Stream(
    (Source("diagonal/contrary/frozen", 0.5), Source("diagonal/separable/frozen", 0.9)),
    must_see=("frozen-start-sign",),
    share=0.4,
)

_VECTOR_FIELDS = tuple(
    Source(f"{model}/{kind}")
    for model in ("diagonal", "combined-diagonal", "combined", "factored")
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

FACTORED_ORBITS = Stream(
    (Source("factored/separable/separating"),),
    share=0.2,
    shapes=((2, 3, 2), (2, 2, 2), (2, 2, 3), (3, 3, 3)),
)
FACTORED_EARLY = Stream(
    (Source("factored/unconstrained/random"), Source("factored/separable/small")),
    share=0.2,
    shapes=((2, 3, 3), (4, 3, 4)),
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
    must_see=BINDING,
    share=0.5,
)
NOT_SETTLED = 0.5
"""Share of random runs that may end unsettled, resurgent, or on tokens that bind nothing."""
_SELECTION_SHARE = 0.6
SELECTION = Stream(
    (
        Source("diagonal/unconstrained/random", NOT_SETTLED),
        Source("diagonal/unconstrained/small", NOT_SETTLED),
    ),
    must_see=("settled-elsewhere",),
    share=_SELECTION_SHARE,
)
SELECTION_COMBINED = Stream(
    (
        Source("combined-diagonal/unconstrained/random", NOT_SETTLED),
        Source("combined-diagonal/unconstrained/small", NOT_SETTLED),
    ),
    must_see=("settled-elsewhere",),
    share=_SELECTION_SHARE,
)
SELECTION_FULL = Stream(
    (
        Source("combined/unconstrained/random", NOT_SETTLED),
        Source("combined/unconstrained/small", NOT_SETTLED),
    ),
    must_see=("settled-elsewhere",),
    shapes=((4, 3, 4), (5, 4, 4), *SHAPES[:2]),
    share=_SELECTION_SHARE,
)
ONE_SAMPLE = Stream(
    (
        Source("diagonal/one-sample/separating"),
        Source("diagonal/one-sample/random", SETTLES_ELSEWHERE),
    ),
    must_see=("small-margin", "sparse-witness", "dense-witness"),
    shapes=((1, 4, 4), (1, 5, 6)),
)
CONTRAST = Stream((Source("diagonal/separable/separating"),), VECTORS, share=0.6)

_ALIGNED_SHAPES: tuple[Shape, ...] = ((3, 3, 3), (4, 3, 4))
_COPIED_SHAPES: tuple[Shape, ...] = ((12, 3, 3), (16, 3, 4), (8, 3, 3), (16, 3, 3))
"""Symmetrised problems: n counts the copies, 4 of each sample for d = 3, 8 for d = 4."""


def _aligned(
    problems: tuple[str, ...], starts: tuple[str, ...], bound: float
) -> tuple[Source, ...]:
    return tuple(
        Source(f"factored/{problem}/{start}", 0.0 if start == "aligned" else bound)
        for problem in problems
        for start in starts
    )


ALIGNED_FLOW = Stream(
    _aligned(("aligned-single", "aligned-general"), ("aligned", "aligned-random"), 0.0),
    must_see=_DIRECTIONS,
    shapes=_ALIGNED_SHAPES,
    share=0.25,
)
ALIGNED_EVERY = Stream(
    _aligned(
        ("aligned-single", "aligned-general"), ("aligned", "aligned-small", "aligned-random"), 0.0
    ),
    must_see=_DIRECTIONS,
    shapes=_ALIGNED_SHAPES,
    share=0.5,
)
ALIGNED_SINGLE = Stream(
    _aligned(("aligned-single",), ("aligned", "aligned-small", "aligned-random"), 0.0),
    must_see=_DIRECTIONS,
    shapes=_ALIGNED_SHAPES,
    share=0.5,
)
SYMMETRISED_FIELD = Stream(
    _aligned(("symmetrised", "symmetrised-rotated"), ("aligned-small", "aligned-random"), 0.0),
    shapes=_COPIED_SHAPES,
    share=0.25,
)
SYMMETRISED = Stream(
    _aligned(
        ("symmetrised", "symmetrised-rotated"),
        ("aligned", "aligned-small", "aligned-random"),
        SETTLES_ELSEWHERE,
    ),
    must_see=VECTORS,
    shapes=_COPIED_SHAPES,
    share=0.75,
)
SELECTION_ALIGNED = Stream(
    _aligned(
        ("symmetrised", "symmetrised-rotated"), ("aligned-small", "aligned-random"), NOT_SETTLED
    ),
    must_see=("settled-elsewhere",),
    shapes=_COPIED_SHAPES,
    share=_SELECTION_SHARE,
)
SYMMETRISED_CERTAIN = Stream(
    _aligned(("symmetrised", "symmetrised-rotated"), ("aligned",), 0.0),
    shapes=_COPIED_SHAPES,
    share=0.25,
)
SYMMETRISED_CONTRAST = Stream(
    _aligned(("symmetrised", "symmetrised-rotated"), ("aligned",), 0.0),
    must_see=VECTORS,
    shapes=_COPIED_SHAPES,
    share=0.6,
)
FRONTIER = Stream(
    (
        Source("factored/separable/separating"),
        Source("factored/separable/random", SETTLES_ELSEWHERE),
        Source("factored/separable/small", SETTLES_ELSEWHERE),
    ),
    must_see=MATRICES,
    shapes=((3, 3, 3), (3, 3, 4)),
    share=0.55,
)
FRONTIER_SELECTION = Stream(
    (
        Source("factored/unconstrained/random", NOT_SETTLED),
        Source("factored/unconstrained/small", NOT_SETTLED),
    ),
    must_see=("settled-elsewhere",),
    shapes=((3, 3, 3), (3, 3, 4)),
    share=0.4,
)
FRONTIER_CONTRAST = Stream(
    (Source("factored/separable/separating"),), MATRICES, ((3, 3, 3), (4, 3, 4)), share=0.3
)
LOW_RANK = Stream(
    # On half of the data the optimum is itself of rank one, and nothing is wrong with the start.
    (Source("factored/low-rank/rank-one", 0.8),),
    must_see=("rank-1-start",),
    shapes=((3, 3, 3), (4, 3, 4)),
    share=0.1,
)
MIRRORED = Stream(
    # On half of the data the optimum is semidefinite anyway.
    (Source("factored/mirrored/key-is-query", 0.8),),
    must_see=("key-is-query",),
    shapes=((6, 2, 4), (8, 2, 3)),
    share=0.15,
)

VIOLATOR_SHAPES: tuple[Shape, ...] = (*SHAPES[1:], (8, 3, 3), (16, 3, 3))
"""Shapes for side streams whose families cannot have the claim's own: an even n, copies."""
