"""Where the cases of the neighbouring theorems come from."""

from __future__ import annotations

from checks.problem_families import Shape
from checks.streams import MATRICES, SETTLES_ELSEWHERE, SHAPES, VECTORS, Source, Stream

_FEW = 0.15
"""Share of the cases for a control: it takes one counterexample, and the tests see many."""

PROMPT = Stream(
    (
        Source("combined-diagonal/prompt/separating"),
        Source("combined-diagonal/prompt/small", SETTLES_ELSEWHERE),
        Source("combined-diagonal/prompt/random", SETTLES_ELSEWHERE),
    ),
    must_see=VECTORS,
    share=0.75,
)
PROMPT_CERTAIN = Stream(
    (Source("combined-diagonal/prompt/separating"),), shapes=SHAPES[:1], share=_FEW
)

_CLASSIFIERS: tuple[Shape, ...] = ((1, 9, 4), (1, 11, 6), (1, 7, 3), (1, 17, 8))
"""Linear classifiers of L - 1 points in d dimensions.  Separable, they reach the infimum from
every start: all lambda >= 0 from the first moment on."""
_STARTS = ("separating", "small", "random")

EMBEDDING = Stream(
    tuple(
        Source(f"{model}/classifier/{start}")
        for model in ("combined-diagonal", "diagonal")
        for start in ("small", "random")
    ),
    shapes=_CLASSIFIERS,
    share=0.4,
)
CLASSIFIER = Stream(
    tuple(Source(f"combined-diagonal/classifier/{start}") for start in _STARTS),
    shapes=_CLASSIFIERS,
    share=0.6,
)
CLASSIFIER_CERTAIN = Stream(
    (Source("combined-diagonal/classifier/separating"),), shapes=_CLASSIFIERS[:1], share=_FEW
)
NETWORK = Stream(
    tuple(Source(f"diagonal/classifier/{start}") for start in _STARTS),
    shapes=_CLASSIFIERS,
    share=0.6,
)
NETWORK_CERTAIN = Stream(
    (Source("diagonal/classifier/separating"),), shapes=_CLASSIFIERS[:1], share=_FEW
)
FULL_CERTAIN = Stream((Source("combined/separable/separating"),), shapes=((3, 3, 3),), share=_FEW)


_TELLING: tuple[Shape, ...] = ((4, 3, 10), (3, 3, 8), (5, 3, 12), (4, 3, 6))
"""The more coordinates and the fewer constraints, the further apart the l1.5 and l3 optima."""


def _mirror(exponent: str, share: float) -> Stream:
    model = f"mirror-{exponent}"
    return Stream(
        (
            Source(f"{model}/separable/separating"),
            Source(f"{model}/separable/small", SETTLES_ELSEWHERE),
            Source(f"{model}/equal-scores/random", SETTLES_ELSEWHERE),
        ),
        must_see=("mixed-labels", "small-margin", "sparse-witness", "dense-witness"),
        shapes=_TELLING,
        share=share,
    )


def _certain(exponent: str) -> Stream:
    source = Source(f"mirror-{exponent}/separable/separating")
    return Stream((source,), shapes=_TELLING[:1], share=_FEW)


MIRROR_15, MIRROR_2, MIRROR_3 = _mirror("1.5", 0.7), _mirror("2", 0.6), _mirror("3", 0.7)
MIRROR_15_CERTAIN, MIRROR_2_CERTAIN = _certain("1.5"), _certain("2")
MIRROR_3_CERTAIN = _certain("3")

_SMALL: tuple[Shape, ...] = ((3, 3, 3), (2, 3, 3), (3, 3, 2), (4, 3, 3))
FULL_STACK = Stream(
    (
        # The search likes extra columns of zeros, a stack of deficient rank.
        Source("factored/separable/wide-separating", 0.1),
        Source("factored/separable/wide", SETTLES_ELSEWHERE),
    ),
    must_see=MATRICES,
    shapes=_SMALL,
    share=0.6,
)
FULL_STACK_CERTAIN = Stream(
    (Source("factored/separable/wide-separating"),), shapes=_SMALL[:1], share=_FEW
)

_LOST = 0.95
"""Share of the atlas that may settle elsewhere: most small and faint starts do."""
ATLAS = Stream(
    (
        Source("factored/separable/charted", _LOST),
        Source("factored/equal-scores/charted", _LOST),
    ),
    shapes=((3, 3, 3),),
    share=0.64,  # 2,048 runs in the full profile
    searched=False,  # of other claims' families; here the chart is the point
)
SADDLES = Stream(
    (Source("factored/low-rank/rank-one", 0.6),),  # vacuous where the optimum has rank one
    shapes=((3, 3, 3),),
    share=0.3,
    searched=False,  # two runs a case, and nothing to be steered
)
