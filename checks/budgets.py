"""How much a run does: profiles in counts of cases and steps, never in seconds."""

from __future__ import annotations

from dataclasses import dataclass, field

from checks.flow.settings import Settings
from theory.claims import Claim


@dataclass(frozen=True)
class Budget:
    """One profile.

    cases: campaign cases of a claim, spread over its families and shapes.  search: examples
    of the Hypothesis search, each a small batch.  violators: cases per assumption on the
    side stream; dropped: how many of these are judged without the assumption, of the claims
    whose keys are in ``without`` (None: all).  audited: share of runs whose stored orbit
    is audited and run again at tolerance/10.  informative, problems: what a claim needs to count
    as HELD.
    """

    name: str
    cases: int
    search: int
    search_batch: int
    chunk: int
    violators: int
    audited: float
    stretches: int
    informative: int
    problems: int
    settings: Settings = field(default_factory=Settings)
    shapes: int = 4
    """How many of a stream's shapes are used, from the first on."""
    dropped: int = 12
    without: tuple[str, ...] | None = None

    def drops(self, claim: Claim) -> bool:
        """Are the assumptions of this claim dropped in turn?  A control is one that is, already."""
        chosen = self.without is None or claim.key in self.without
        return chosen and claim.expect != "falsified" and self.dropped > 0


PROFILES = {
    "quick": Budget(
        "quick", 280, 1, 24, 160, 12, 0.05, 4, 100, 50, shapes=2, dropped=6,
        without=("flow.gradient", "limit.diagonal-l1", "neighbour.embedding"),
    ),
    "full": Budget("full", 3_200, 60, 16, 512, 64, 0.05, 16, 1_000, 500, dropped=24),
    "deep": Budget(
        "deep", 20_000, 200, 32, 1_024, 128, 0.05, 32, 10_000, 5_000,
        Settings(early_tolerance=1e-8, late_tolerance=1e-5, gap=5e-8, early_steps=6_000),
        dropped=64,
    ),
}  # fmt: skip
