"""Where the cases of the rate claims come from."""

from __future__ import annotations

from dataclasses import replace

from checks.grids import ELSEWHERE, INFIMUM
from checks.streams import SETTLES_ELSEWHERE, SHAPES, Source, Stream

LATE_FACTORED = Stream(
    (Source("factored/separable/separating", 0.2), Source("factored/unconstrained/random", 0.5)),
    shapes=((3, 3, 3), (2, 3, 3)),
    share=0.2,
    searched=False,
)
OFFSET = Stream(
    (
        Source("combined-diagonal/separable/separating"),
        Source("combined-diagonal/separable/random", SETTLES_ELSEWHERE),
        Source("combined/separable/separating"),
    ),
    # One shape of each: a batch of the other costs as much again, and shows nothing new.
    shapes=SHAPES[:1],
    share=0.3,
    searched=False,
)
OFFSET_CERTAIN = Stream(
    (Source("combined-diagonal/separable/separating"),),
    shapes=SHAPES[:1],
    share=0.06,
    searched=False,
)

# One shape a claim below: a batch of a second costs as much again.  The claims differ in theirs.
REGRET_DIAGONAL = Stream(
    (
        Source("diagonal/separable/separating"),
        Source("diagonal/separable/small", SETTLES_ELSEWHERE),
    ),
    shapes=((4, 3, 6),),
    share=0.4,
    searched=False,
)
REGRET_DIAGONAL_CERTAIN = Stream(
    (Source("diagonal/separable/separating"),), shapes=SHAPES[:1], share=0.06, searched=False
)
REGRET_COMBINED = Stream(
    (
        Source("combined-diagonal/separable/separating"),
        Source("combined-diagonal/separable/random", SETTLES_ELSEWHERE),
        Source("combined/separable/separating"),
    ),
    shapes=((4, 3, 6),),
    share=0.35,
    searched=False,
)
REGRET_COMBINED_CERTAIN = Stream(
    (Source("combined-diagonal/separable/separating"),), shapes=SHAPES[:1], share=0.06,
    searched=False,
)  # fmt: skip
MEAN_DIAGONAL = replace(REGRET_DIAGONAL, shapes=((2, 3, 3),), share=0.3)
MEAN_DIAGONAL_CERTAIN = replace(
    MEAN_DIAGONAL, sources=(Source("diagonal/separable/separating"),), share=0.06
)
MEAN_COMBINED_CERTAIN = replace(
    REGRET_COMBINED, sources=(Source("combined/separable/separating"),), share=0.06
)
_HIDDEN = 0.6
"""Share of small starts whose slack coordinate is so small that other costs hide its own until
the certificate closes (seen: a fifth to two fifths, by shape)."""
SLACK = Stream(
    (Source("diagonal/slack/random", 0.3), Source("diagonal/slack/small", _HIDDEN)),
    must_see=tuple(f"slack {k}/16" for k in range(1, 9)),
    shapes=((2, 2, 4), (3, 2, 4), (4, 2, 6)),
    share=0.5,
    searched=False,
)
SLACK_CERTAIN = replace(SLACK, must_see=(), sources=SLACK.sources[:1], share=0.06)
DUAL_WINDOW = Stream(
    (
        Source("diagonal/separable/separating"),
        Source("diagonal/equal-scores/random", SETTLES_ELSEWHERE),
    ),
    shapes=SHAPES[:1],
    share=0.35,
    searched=False,
)
COSINE_FACTORED = Stream(
    (
        Source("factored/separable/separating"),
        Source("factored/separable/small", SETTLES_ELSEWHERE),
    ),
    shapes=((3, 3, 3),),
    share=0.25,
    searched=False,
)
_CLOCKED = ((2, 3, 3),)
"""Few constraints: fewer slow coordinates, whose bound at a finite time is wide."""
TIME_DIAGONAL = Stream(
    (
        Source("diagonal/separable/separating"),
        Source("diagonal/separable/small", SETTLES_ELSEWHERE),
    ),
    shapes=_CLOCKED,
    share=0.35,
    searched=False,
)
TIME_COMBINED = Stream(
    (
        Source("combined-diagonal/separable/separating"),
        Source("combined-diagonal/separable/random", SETTLES_ELSEWHERE),
    ),
    shapes=_CLOCKED,
    share=0.25,
    searched=False,
)
TIME_CERTAIN = Stream(
    (Source("combined-diagonal/separable/separating"),), shapes=_CLOCKED, share=0.05,
    searched=False,
)  # fmt: skip
SHARES = Stream(
    tuple(
        Source(f"{model}/{problem}/{start}", 0.99)
        for model in ("diagonal", "combined-diagonal")
        for problem in ("separable", "equal-scores", "near-tied")
        for start in ("small", "random")
    ),
    must_see=tuple(f"found: {what}" for what in (INFIMUM, ELSEWHERE)),
    shapes=((2, 3, 3), (5, 4, 8), (3, 3, 4), (4, 3, 6)),
    share=1.0,
    searched=False,  # it would draw other shares
)
BARRIER_DIAGONAL = Stream(
    (Source("diagonal/separable/threshold"), Source("diagonal/near-tied/threshold")),
    shapes=((3, 3, 4), (5, 4, 8), *SHAPES[1:3]),
    share=0.35,
    searched=False,
)
BARRIER_COMBINED = Stream(
    (Source("combined-diagonal/separable/threshold"), Source("combined/separable/threshold")),
    shapes=((3, 3, 4), (4, 3, 6)),
    share=0.35,
    searched=False,
)
BARRIER_CERTAIN = Stream(
    (Source("diagonal/trap/trapped", 0.5),), shapes=SHAPES[:1], share=0.1, searched=False
)
