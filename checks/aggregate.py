"""From case results to one verdict: counts, shares, and what must have been seen."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from checks.outcomes import CaseResult, Measurement, Outcome

LARGEST_INCONCLUSIVE = 0.10
"""Share of the cases that are not vacuous which may stay undecided in a HELD claim."""


@dataclass(frozen=True)
class Requirements:
    """What HELD takes: informative cases, distinct problems, vacuous share by family."""

    informative: int
    problems: int
    vacuous: dict[str, float] = field(default_factory=dict)
    must_see: tuple[str, ...] = ()


@dataclass(frozen=True)
class Violation:
    """The side stream of one assumption: cases that break it, and how many came out VACUOUS."""

    assumption: str
    tried: int
    vacuous: int


@dataclass(frozen=True)
class Tally:
    """All results of one claim, its side streams apart."""

    results: tuple[CaseResult, ...]
    violations: tuple[Violation, ...] = ()

    def of(self, outcome: Outcome) -> list[CaseResult]:
        return [r for r in self.results if r.outcome is outcome]

    @property
    def informative(self) -> list[CaseResult]:
        """Decided cases that could have come out either way."""
        decided = (Outcome.HELD, Outcome.FALSIFIED)
        return [r for r in self.results if r.informative and r.outcome in decided]

    @property
    def problems(self) -> int:
        """Distinct datasets among the informative cases."""
        return len({r.problem_id for r in self.informative})

    @property
    def reasons(self) -> dict[str, int]:
        """Why cases were not HELD, counted."""
        counted = Counter(r.reason for r in self.results if r.outcome is not Outcome.HELD)
        return dict(counted.most_common())

    @property
    def regions(self) -> dict[str, int]:
        return dict(Counter(label for r in self.results for label in r.regions).most_common())

    @property
    def worst(self) -> tuple[CaseResult, Measurement] | None:
        """The informative case nearest to, or furthest beyond, its tolerance."""
        pairs = [(r, r.worst) for r in self.informative]
        known = [(r, m) for r, m in pairs if m is not None]
        return max(known, key=lambda pair: pair[1].ratio, default=None)


def decide(tally: Tally, need: Requirements, scale: float = 1.0) -> tuple[Outcome, str]:
    """Outcome and reason.  scale: every tolerance times this (a HELD case beyond it is open)."""
    falsified = tally.of(Outcome.FALSIFIED)
    missed = [v for v in tally.violations if v.vacuous < v.tried or not v.tried]
    if missed:
        first = missed[0]
        return Outcome.ERROR, (
            f"{first.tried - first.vacuous} of {first.tried} cases that violate "
            f"{first.assumption} were not recognised as vacuous"
        )
    if tally.of(Outcome.ERROR):
        return Outcome.ERROR, tally.of(Outcome.ERROR)[0].reason
    if falsified:
        return Outcome.FALSIFIED, falsified[0].reason
    held = [r for r in tally.of(Outcome.HELD) if r.worst is None or r.worst.ratio <= scale]
    informative = [r for r in tally.informative if r in held]
    undecided = len(tally.of(Outcome.INCONCLUSIVE)) + len(tally.of(Outcome.HELD)) - len(held)
    considered = len(tally.results) - len(tally.of(Outcome.VACUOUS))
    if considered and undecided > LARGEST_INCONCLUSIVE * considered:
        share = f"{undecided} of {considered} cases are undecided"
        return Outcome.INCONCLUSIVE, f"{share}: {_first_reason(tally)}"
    by_family = Counter(str(r.spec.get("family")) for r in tally.results)
    vacuous = Counter(str(r.spec.get("family")) for r in tally.of(Outcome.VACUOUS))
    for family, bound in need.vacuous.items():
        if vacuous[family] > bound * by_family[family]:
            return Outcome.VACUOUS, (
                f"{vacuous[family]} of {by_family[family]} cases of {family} are vacuous; "
                f"at most {bound:.0%} may be"
            )
    if len(informative) < need.informative:
        outcome = Outcome.VACUOUS if not undecided else Outcome.INCONCLUSIVE
        return outcome, f"{len(informative)} informative cases; {need.informative} are needed"
    problems = len({r.problem_id for r in informative})
    if problems < need.problems:
        return Outcome.VACUOUS, f"{problems} distinct problems; {need.problems} are needed"
    unseen = [label for label in need.must_see if label not in tally.regions]
    if unseen:
        return Outcome.VACUOUS, f"never seen: {', '.join(unseen)}"
    return Outcome.HELD, ""


def _first_reason(tally: Tally) -> str:
    reasons = Counter(r.reason for r in tally.of(Outcome.INCONCLUSIVE))
    return reasons.most_common(1)[0][0] if reasons else "tolerances halved"
