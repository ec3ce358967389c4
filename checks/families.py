"""The families by name, "<model>/<problem>/<start>", and those that violate an assumption."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from checks.aligned_problems import ALIGNED_PROBLEMS, check_aligned_shape
from checks.factored_starts import ALIGNED_STARTS, FACTORED_STARTS, LOW_RANK
from checks.mirrored_problems import check_mirrored_shape
from checks.problem_families import PLAIN, PROBLEMS, WITNESSED, Shape, check_shape
from checks.slack_problems import check_slack_shape
from checks.start_families import DIAGONAL_ONLY, NEEDS_WITNESS, STARTS

MIRROR = {"mirror-1.5": 1.5, "mirror-2": 2.0, "mirror-3": 3.0}
"""Model -> exponent p of the potential |beta|_p^p/p (arXiv 2410.14581)."""
MODELS = ("diagonal", "combined-diagonal", "combined", "factored", *MIRROR)
"""diagonal: key and query vectors trained apart.  combined-diagonal: beta (d+1,) trained
directly.  combined: W (d+1, d+1) trained directly.  factored: key and query matrices
(d+1, e) trained apart.  mirror-p: beta (d+1,) trained by mirror flow."""
ALL_PROBLEMS = (*PROBLEMS, *ALIGNED_PROBLEMS, "mirrored", "slack")
ALL_STARTS = tuple(
    dict.fromkeys((*STARTS, *FACTORED_STARTS, *LOW_RANK, *ALIGNED_STARTS, "key-is-query"))
)


@dataclass(frozen=True)
class Family:
    """A model, a problem family and a start family."""

    model: str
    problem: str
    start: str

    @property
    def name(self) -> str:
        return f"{self.model}/{self.problem}/{self.start}"

    @property
    def full(self) -> bool:
        """Are the attention weights a matrix?"""
        return self.model in ("combined", "factored")

    @property
    def exponent(self) -> float | None:
        """p of the mirror flow; None: gradient flow."""
        return MIRROR.get(self.model)

    @property
    def aligned(self) -> bool:
        """Is the start aligned with the data (S6)?"""
        return self.start in ALIGNED_STARTS

    @property
    def wide(self) -> bool:
        """Has the start e = 2D columns, [K; Q] of full rank?"""
        return self.start.startswith("wide")

    def check_shape(self, shape: Shape) -> None:
        """Raise ValueError where no case of this family has this shape."""
        if self.problem in ALIGNED_PROBLEMS:
            check_aligned_shape(self.problem, shape)
        elif self.problem == "mirrored":
            check_mirrored_shape(shape)
        elif self.problem == "slack":
            check_slack_shape(shape)
        else:
            check_shape(self.problem, shape, self.full)


_GENERAL = ("separating", "small", "random", "wide", "wide-separating")
_ALIGNED = ("aligned", "aligned-small", "aligned-random")
FACTORED: dict[str, tuple[str, ...]] = {
    "separable": (*_GENERAL, "charted"),
    "near-tied": _GENERAL,
    "equal-scores": (*_GENERAL, "charted"),
    "one-sample": _GENERAL,
    "low-rank": tuple(LOW_RANK),
    "trap": ("separating", "trapped", "wide-trapped"),
    "tied": ("separating", "wide-separating"),
    "unrealisable": ("separating", "wide-separating"),
    "nonseparable": ("random", "wide"),
    "unconstrained": ("random", "small", "wide"),
    "aligned-single": (*_ALIGNED, "aligned-frozen", "random"),
    "aligned-general": _ALIGNED,
    "symmetrised": (*_ALIGNED, "aligned-frozen", "separating", "random"),
    "symmetrised-rotated": _ALIGNED,
    "symmetrised-equal-scores": _ALIGNED,
    "symmetrised-trap": ("aligned-trapped",),
    "symmetrised-tied": ("aligned",),
    "symmetrised-unrealisable": ("aligned",),
    "symmetrised-nonseparable": ("aligned-random",),
    "mirrored": ("key-is-query", "separating"),
}
"""Problem family -> the start families of the factored model."""


def _exists(model: str, problem: str, start: str) -> bool:
    if model == "factored":
        return start in FACTORED.get(problem, ())
    if start not in STARTS or (start in DIAGONAL_ONLY and model != "diagonal"):
        return False
    if problem == "mirrored":
        return False
    if problem == "slack":
        return model == "diagonal" and start in ("separating", "small", "random")
    if start == "threshold":
        return problem in ("separable", "near-tied") and not model.startswith("mirror")
    if problem in ALIGNED_PROBLEMS:
        # The rival flow of the contrast on symmetrised data, which is nothing else's business.
        return model == "combined" and problem == "symmetrised" and start != "trapped"
    if start in NEEDS_WITNESS and problem not in WITNESSED:
        return False
    if problem == "low-rank" or (problem in ("contrary", *PLAIN) and model == "combined"):
        return False
    return start != "trapped" or problem == "trap"


FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        Family(model, problem, start)
        for model in MODELS
        for problem in ALL_PROBLEMS
        for start in ALL_STARTS
        if _exists(model, problem, start)
    )
}


@cache
def family(name: str) -> Family:
    """The family called ``name``; ValueError that lists the parts if there is none."""
    if name not in FAMILIES:
        factored = "; ".join(f"{problem}: {', '.join(of)}" for problem, of in FACTORED.items())
        raise ValueError(
            f"no family is called {name!r}: expected <model>/<problem>/<start>, model of "
            f"{', '.join(MODELS)}; problem of {', '.join(PROBLEMS)}; start of {', '.join(STARTS)}"
            " (frozen, conflicting, degenerate: diagonal only; trapped: with trap only; "
            "separating, frozen, conflicting: not with nonseparable or unconstrained; "
            "contrary, prompt, classifier: not with combined; low-rank: factored only; "
            "symmetrised: combined too); diagonal/slack: separating, small, random; "
            f"factored {factored}"
        )
    return FAMILIES[name]


def has_shape(name: str, shape: Shape) -> bool:
    """Has the family called ``name`` cases of this shape?"""
    try:
        family(name).check_shape(shape)
    except ValueError:
        return False
    return True


VIOLATORS: dict[str, tuple[str, ...]] = {
    "optimal-unique": (
        *(f"{model}/tied/separating" for model in MODELS),
        "factored/tied/wide-separating",
        "factored/symmetrised-tied/aligned",
    ),
    "separable": (
        *(f"{model}/nonseparable/random" for model in MODELS),
        "factored/nonseparable/wide",
        "factored/symmetrised-nonseparable/aligned-random",
    ),
    "realisable": (
        *(f"{model}/unrealisable/separating" for model in MODELS),
        "factored/unrealisable/wide-separating",
        "factored/symmetrised-unrealisable/aligned",
    ),
    "nonzero-invariant": (
        "diagonal/separable/frozen",
        "diagonal/separable/conflicting",
        "diagonal/separable/degenerate",
        "factored/aligned-single/aligned-frozen",
        "factored/symmetrised/aligned-frozen",
    ),
    "equal-scores": (
        *(f"{model}/separable/separating" for model in MODELS),
        "factored/aligned-general/aligned-random",
    ),
    "infimum-reached": (
        *(f"{model}/trap/trapped" for model in MODELS),
        "factored/trap/wide-trapped",
        "factored/symmetrised-trap/aligned-trapped",
    ),
    "loss-below-barrier": tuple(f"{model}/trap/trapped" for model in MODELS),
    "aligned": ("factored/aligned-single/random", "factored/symmetrised/separating"),
    "full-stack-rank": ("factored/low-rank/rank-one",),
}
"""Assumption key -> families whose every case breaks that assumption, and if it can no other.

A violator of a problem assumption may break the trajectory's too (on data that are not
separable the infimum is not reached).  Shapes: nonseparable n >= 2; equal-scores L >= 3;
trap L >= 3, and n even for full weights; symmetrised n a multiple of ``copies(d)``, twice
that for symmetrised-nonseparable.
"""


def violators(
    assumption: str, model: str, aligned: bool = False, wide: bool = False
) -> tuple[str, ...]:
    """The violator families of an assumption for one model ((): none is known).

    aligned: those whose start is aligned, so that nothing but this assumption fails a claim
    about aligned starts; for the assumption "aligned" itself the same ones either way.  wide:
    likewise for starts with e = 2D columns, where there are any.
    """
    found = [FAMILIES[name] for name in VIOLATORS.get(assumption, ())]
    fit = [f for f in found if f.model == model]
    fit = [f for f in fit if f.aligned == aligned or assumption == "aligned"]
    broad = tuple(f.name for f in fit if f.wide)
    return broad if wide and broad else tuple(f.name for f in fit if not f.wide)
