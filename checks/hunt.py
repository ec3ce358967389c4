"""Guided search for a start of full rank that misses the nuclear optimum (frontier, THEORY.md 4).

What is made as large as can be is the nuclear gap of a run at a stated horizon, over the entries of
K(0) and Q(0): by Hypothesis on integers, and by scipy's differential evolution on real numbers.
Known failing starts are out of bounds, near ones too, since those are only slow.  What is found is
a candidate until ``frontier.atlas`` says the same of it at two tolerances.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import hypothesis
import numpy as np
from hypothesis import HealthCheck, Phase, given
from hypothesis import strategies as st
from scipy.optimize import differential_evolution

from checks import judging, runs, svm, tolerances
from checks.atlas_checks import ELSEWHERE, atlas
from checks.budgets import PROFILES
from checks.cases import Case, case_record
from checks.context import Context
from checks.flow.settings import Settings
from checks.problems import Array, Start, constraints_of
from checks.svm import SvmSolution
from theory.catalogue import CLAIMS

CLAIM = "frontier.atlas"
"""The claim that a find is pinned for: any start, each run said what it is, undecided by rounding
among it."""
HORIZON = 60.0
"""ln N(W) at which a run of the search is measured: generic starts close below 30 (seen)."""
SEARCH = Settings(horizon=HORIZON, late_steps=150, gap=1e-7)
FOUND = 1e-4
"""Gap at the horizon from which a start is looked at again, far beyond its 2e-7 of a closed run."""
NEAR = 1e-2
"""Relative distance from a known failing start that is out of bounds: one within e^-n of it leaves
its saddle only after ln S has grown by 2 n over the excess."""
TIGHTER = 0.1
"""Factor on both tolerances of the second replay."""
OUT_OF_BOUNDS, UNSETTLED = -3.0, -2.0
REACH = 3
"""Integers of the Hypothesis search go from -REACH to REACH."""


def known_failing(start: Start) -> str:
    """Why this start is known to fail, or is too near one that does; "" if it is not.

    The stack's rank is below d; or K^T K = Q^T Q (the sign of det W is frozen), K = Q among them
    (W stays semidefinite on symmetric data).
    """
    key, query = start.key, start.query
    assert key is not None
    assert query is not None
    stack = np.concatenate((key, query))
    size = float((stack * stack).sum())
    values = np.linalg.svd(stack, compute_uv=False)
    dim = len(key)
    if size == 0.0 or len(values) < dim or values[dim - 1] <= NEAR * values[0]:
        return "low stack rank"
    if np.linalg.norm(key.T @ key - query.T @ query) <= NEAR * size:
        return "balanced"
    return ""


@dataclass
class Hunt:
    """A search on the data of one case.

    columns: e.  allowed: also look at known failing starts (the planted control).
    After it: runs made, those that reached the infimum, the worst gap among them and its start.
    """

    case: Case
    columns: int
    allowed: bool = False
    runs: int = 0
    reached: int = 0
    worst: float = -np.inf
    start: Start | None = None
    _optimum: SvmSolution = field(init=False)

    def __post_init__(self) -> None:
        self._optimum = svm.solve_svm(constraints_of(self.case.problem), "nuclear")

    @property
    def entries(self) -> int:
        return 2 * self.case.problem.dim * self.columns

    def score(self, numbers: Array) -> Array:
        """(B, entries) -> (B,): the gap from below, or below -1 where there is none.

        Where a sample is on another token, less than -1 by the share of such samples: a slope
        for the search towards the starts of which the claim speaks.
        """
        dim = self.case.problem.dim
        both = np.asarray(numbers, dtype=np.float64).reshape(-1, 2, dim, self.columns)
        starts = [Start.factored(k, q, dim) for k, q in both]
        scores = np.full(len(starts), OUT_OF_BOUNDS)
        rows = [i for i, s in enumerate(starts) if self._may(s)]
        problem = self.case.problem
        followed = runs.follow([problem] * len(rows), [starts[i] for i in rows], SEARCH, 0.05, 2)
        for row, run in zip(rows, followed, strict=True):
            if not run.settled or not run.fidelity.ok:
                scores[row] = UNSETTLED
            elif not run.reached:
                scores[row] = -1.0 - float((run.selected != problem.optimal).mean())
            else:
                scores[row] = 1.0 - self._optimum.upper * judging.from_raw(run, "nuclear")[0]
                self.reached += 1
                if scores[row] > self.worst:
                    self.worst, self.start = float(scores[row]), starts[row]
        self.runs += len(rows)
        return scores

    def _may(self, start: Start) -> bool:
        assert start.key is not None
        assert start.query is not None
        return bool(start.key.any() and start.query.any()) and (
            self.allowed or not known_failing(start)
        )

    def evolve(self, seed: int, population: int, generations: int) -> None:
        """scipy's differential evolution over real entries, a generation a batch."""
        rng = np.random.default_rng(np.random.Philox(key=seed))
        first = rng.normal(size=(population, self.entries))
        # A third large: from small starts most runs settle on another token.
        first[::3] *= 4.0
        bound = 2.0 * float(np.abs(first).max())
        differential_evolution(
            lambda numbers: -self.score(numbers.T), [(-bound, bound)] * self.entries,
            init=first, maxiter=generations, rng=rng, vectorized=True, updating="deferred",
            polish=False, tol=0.0, atol=0.0,
        )  # fmt: skip

    def draw(self, seed: int, batch: int, examples: int) -> None:
        """Hypothesis over integer entries, guided by the largest score of a batch."""
        numbers = st.lists(
            st.integers(-REACH, REACH), min_size=batch * self.entries, max_size=batch * self.entries
        )

        @hypothesis.seed(seed)
        @hypothesis.settings(
            max_examples=examples, deadline=None, database=None, derandomize=False,
            phases=[Phase.generate, Phase.target], suppress_health_check=list(HealthCheck),
            verbosity=hypothesis.Verbosity.quiet,
        )  # fmt: skip
        @given(numbers)
        def look(drawn: list[int]) -> None:
            scores = self.score(np.array(drawn, dtype=np.float64).reshape(batch, -1))
            hypothesis.target(float(scores.max()), label="nuclear gap")

        look()

    @property
    def candidate(self) -> Case | None:
        """The worst start, where it missed by ``FOUND``."""
        if self.start is None or self.worst < FOUND:
            return None
        words = tuple(r for r in self.case.regions if not r.endswith("-start"))
        return replace(self.case, start=self.start, start_family="hunted", regions=words)


def survives(case: Case) -> tuple[bool, list[str]]:
    """Does ``frontier.atlas`` find this case elsewhere than at the optimum, at two tolerances?

    A run whose growing direction fell below the rounding of the weights is undecided there, and
    so no counterexample.  The words are what was found, at either tolerance.
    """
    found = []
    good = True
    for factor in (1.0, TIGHTER):
        result = atlas([case], _context(factor))[0]
        label = next((r for r in result.regions if r.startswith("found: ")), "found: nothing")
        found.append(f"{label.removeprefix('found: ')}; {result.reason}")
        least = judging.MISS * tolerances.margin_gap(PROFILES["full"].settings).value
        gap = result.worst.value if result.worst is not None else -np.inf
        good = good and label.startswith(f"found: {ELSEWHERE}") and gap > least
    return good, found


def _context(factor: float) -> Context:
    budget = PROFILES["full"]
    settings = replace(
        budget.settings,
        early_tolerance=factor * budget.settings.early_tolerance,
        late_tolerance=factor * budget.settings.late_tolerance,
    )
    return Context(CLAIM, CLAIMS[CLAIM].assumptions, replace(budget, settings=settings))


def pinned(case: Case, gap: float, found: Sequence[str]) -> dict[str, Any]:
    """The record for ``checks/pinned``: its claim, what was seen, and the arrays bit for bit."""
    why = f"Hunted: a nuclear gap of {gap:.3g} at ln N(W) = {HORIZON:g}. {' | '.join(found)}"
    return {"claim": CLAIM, "why": why, "profile": "full", **case_record(case)}


def name_of(case: Case) -> str:
    """A file name that belongs to data and start."""
    text = case.problem.id.encode() + case.start.weights.tobytes()
    return f"hunted-{hashlib.sha256(text).hexdigest()[:12]}.json"
