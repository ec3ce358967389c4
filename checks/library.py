"""For use from Python: a claim of one's own beside those of the catalogue, and one call to judge.

What else a script needs is public where it is: ``checks.problems`` (AttentionProblem, Start),
``checks.svm.solve_svm``, ``checks.runs.follow``, ``checks.own_data.check``; docs/reference.md.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from checks import registry, runner
from checks.given import Given
from checks.outcomes import CaseResult, Verdict
from checks.parts import Unit
from checks.streams import Stream
from theory.catalogue import ASSUMPTIONS, CLAIMS
from theory.claims import Claim

Measure = Callable[..., list[CaseResult]]
_OWN: dict[str, tuple[Measure, Stream | Given]] = {}


def add(claim: Claim, measure: Measure, cases: Stream | Given) -> None:
    """Put a claim of one's own beside the catalogue's, for this process.

    measure(cases, context) gives one CaseResult a case, in order, as every check does.  The
    claim is judged by :func:`verify`, and by nothing else: worker processes do not know it.
    Raises ValueError for a key that is taken, an assumption or a foundation that is unknown.
    """
    if claim.key in CLAIMS:
        raise ValueError(f"a claim is called {claim.key!r} already")
    unknown = [key for key in claim.assumptions if key not in ASSUMPTIONS]
    unknown += [key for key in claim.rests_on if key not in CLAIMS]
    if unknown:
        raise ValueError(f"{claim.key} assumes or rests on what is unknown: {', '.join(unknown)}")
    _OWN[claim.key] = (measure, cases)
    CLAIMS[claim.key] = claim
    registry.CHECKS[claim.key] = _OwnCheck(
        claim.key, f"{measure.__module__}:{measure.__name__}", "checks.library:"
    )


def remove(key: str) -> None:
    """Take a claim of one's own out again.  Raises KeyError for any other."""
    del _OWN[key], CLAIMS[key], registry.CHECKS[key]


def verify(key: str, out: str | Path, profile: str = "quick", seed: int = 0) -> Verdict:
    """Judge one claim, the catalogue's or one's own, in this process.

    Its evidence and case files go to ``out``.  Raises KeyError for an unknown claim or profile.
    """
    unit = Unit(key, profile, seed, str(out))
    _ = unit.subject, unit.budget
    return runner.run_unit(unit)


class _OwnCheck(registry.Check):
    """Holds what it would otherwise find by name: a script's functions have none to import."""

    def load(self) -> Measure:
        return _OWN[self.claim][0]

    def cases(self) -> Stream | Given:
        return _OWN[self.claim][1]
