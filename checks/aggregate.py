"""From case results to one verdict: counts, shares, and what must have been seen."""

from __future__ import annotations

from dataclasses import dataclass, field

from checks.outcomes import Outcome
from checks.tally import Tally

LARGEST_INCONCLUSIVE = 0.10
"""Share of the cases that are not vacuous which may stay undecided in a HELD claim."""


@dataclass(frozen=True)
class Requirements:
    """What HELD takes: informative cases, distinct problems, vacuous share by family."""

    informative: int
    problems: int
    vacuous: dict[str, float] = field(default_factory=dict)
    must_see: tuple[str, ...] = ()
    control: bool = False
    """A wrong statement: FALSIFIED takes that no informative case of it was let pass."""


def decide(tally: Tally, need: Requirements, scale: float = 1.0) -> tuple[Outcome, str]:
    """Outcome and reason.  scale: every tolerance times this (a HELD case beyond it is open)."""
    missed = [v for v in tally.violations if v.vacuous < v.tried or not v.tried]
    if missed:
        first = missed[0]
        return Outcome.ERROR, (
            f"{first.tried - first.vacuous} of {first.tried} cases that violate "
            f"{first.assumption} were not recognised as vacuous"
        )
    if tally.error is not None:
        return Outcome.ERROR, tally.error
    held, informative, problems = tally.within(scale)
    if tally.falsified is not None:
        passed = tally.within(1.0)[1]
        if need.control and passed:
            # The check that this control guards cannot tell these cases from the truth.
            share = f"{passed} of {tally.informative} informative cases"
            return Outcome.HELD, f"{share} of this wrong statement were let pass"
        return Outcome.FALSIFIED, tally.falsified.reason
    if tally.pinned[Outcome.INCONCLUSIVE.word]:
        # What was mended once is no accident of a draw that a share may forgive.
        return Outcome.INCONCLUSIVE, f"a pinned case is undecided: {_first_reason(tally)}"
    undecided = tally.count(Outcome.INCONCLUSIVE) + tally.count(Outcome.HELD) - held
    considered = tally.tried - tally.count(Outcome.VACUOUS)
    if considered and undecided > LARGEST_INCONCLUSIVE * considered:
        share = f"{undecided} of {considered} cases are undecided"
        return Outcome.INCONCLUSIVE, f"{share}: {_first_reason(tally)}"
    for family, bound in need.vacuous.items():
        vacuous, of = tally.vacuous_families[family], tally.families[family]
        if vacuous > bound * of:
            return Outcome.VACUOUS, (
                f"{vacuous} of {of} cases of {family} are vacuous; at most {bound:.0%} may be"
            )
    if informative < need.informative:
        outcome = Outcome.VACUOUS if not undecided else Outcome.INCONCLUSIVE
        return outcome, f"{informative} informative cases; {need.informative} are needed"
    if problems < need.problems:
        return Outcome.VACUOUS, f"{problems} distinct problems; {need.problems} are needed"
    unseen = [label for label in need.must_see if label not in tally.regions]
    if unseen:
        return Outcome.VACUOUS, f"never seen: {', '.join(unseen)}"
    return Outcome.HELD, ""


def _first_reason(tally: Tally) -> str:
    reasons = tally.undecided.most_common(1)
    return reasons[0][0] if reasons else "tolerances halved"
