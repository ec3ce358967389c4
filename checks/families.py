"""The families by name, "<model>/<problem>/<start>", and those that violate an assumption."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from checks.problem_families import PROBLEMS, WITNESSED, Shape, check_shape
from checks.start_families import DIAGONAL_ONLY, NEEDS_WITNESS, STARTS

MODELS = ("diagonal", "combined-diagonal", "combined")
"""diagonal: key and query vectors trained apart.  combined-diagonal: beta (d+1,) trained
directly.  combined: W (d+1, d+1) trained directly."""


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
        return self.model == "combined"

    def check_shape(self, shape: Shape) -> None:
        """Raise ValueError where no case of this family has this shape."""
        check_shape(self.problem, shape, self.full)


def _exists(model: str, problem: str, start: str) -> bool:
    if start in DIAGONAL_ONLY and model != "diagonal":
        return False
    if start in NEEDS_WITNESS and problem not in WITNESSED:
        return False
    if problem == "contrary" and model == "combined":
        return False
    return start != "trapped" or problem == "trap"


FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        Family(model, problem, start)
        for model in MODELS
        for problem in PROBLEMS
        for start in STARTS
        if _exists(model, problem, start)
    )
}


@cache
def family(name: str) -> Family:
    """The family called ``name``; ValueError that lists the parts if there is none."""
    if name not in FAMILIES:
        raise ValueError(
            f"no family is called {name!r}: expected <model>/<problem>/<start>, model of "
            f"{', '.join(MODELS)}; problem of {', '.join(PROBLEMS)}; start of {', '.join(STARTS)}"
            " (frozen, conflicting, degenerate: diagonal only; trapped: with trap only; "
            "separating, frozen, conflicting: not with nonseparable or unconstrained; "
            "contrary: not with combined)"
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
    "optimal-unique": tuple(f"{model}/tied/separating" for model in MODELS),
    "separable": tuple(f"{model}/nonseparable/random" for model in MODELS),
    "realisable": tuple(f"{model}/unrealisable/separating" for model in MODELS),
    "nonzero-invariant": (
        "diagonal/separable/frozen",
        "diagonal/separable/conflicting",
        "diagonal/separable/degenerate",
    ),
    "equal-scores": tuple(f"{model}/separable/separating" for model in MODELS),
    "infimum-reached": tuple(f"{model}/trap/trapped" for model in MODELS),
}
"""Assumption key -> families whose every case breaks that assumption, and if it can no other.

A violator of a problem assumption may break the trajectory's too (on data that are not
separable the infimum is not reached).  Shapes: nonseparable n >= 2; equal-scores L >= 3;
trap L >= 3, and n even in the combined model.  aligned and full-stack-rank are assumptions
of factored starts, which are not drawn here.
"""


def violators(assumption: str, model: str) -> tuple[str, ...]:
    """The violator families of an assumption for one model ((): none is known)."""
    return tuple(n for n in VIOLATORS.get(assumption, ()) if FAMILIES[n].model == model)
