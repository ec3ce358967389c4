"""Work units: a claim cut into fixed parts, each measured alone and put away on its own.

What the parts of a claim are depends on the claim, its profile and the seed, never on the
machine, on how many workers there are or on what else is run; so neither does a verdict.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from checks import registry
from checks.budgets import PROFILES, Budget
from checks.cases import Case, CaseSpec, campaign_specs, case_from_record
from checks.families import has_shape
from checks.given import Given
from checks.problem_families import Shape
from checks.streams import VIOLATOR_SHAPES, Stream
from theory.catalogue import CLAIMS
from theory.claims import Claim

PINNED = Path(__file__).parent / "pinned"
EXAMPLES = 50
"""Most examples of one Hypothesis search: a deeper profile runs several, each with its seed."""

Cases = Stream | Given | None
"""Where a claim's cases come from: drawn, given, or (symbolic claims) nowhere."""


@dataclass(frozen=True)
class Unit:
    """What one verdict is asked for: plain data, so that a worker process can be given it."""

    claim: str
    profile: str
    seed: int
    directory: str
    device: str = "cpu"
    data: str | None = None
    """A folder of problem files to judge the claim on, in the place of its own cases."""

    @property
    def subject(self) -> Claim:
        """The claim; open where the cases are a user's, of which nothing can be expected."""
        claim = CLAIMS[self.claim]
        return claim if self.data is None else replace(claim, expect="open")

    @property
    def budget(self) -> Budget:
        return PROFILES[self.profile]

    def cases(self) -> Cases:
        """Where the cases come from.  Raises BadInput for a problem file that cannot be read."""
        stream: Cases = registry.CHECKS[self.claim].cases()
        if self.data is None:
            return stream
        from checks.own_cases import given

        return given(self.data, stream)


@dataclass(frozen=True)
class Part:
    """One work unit.

    kind: campaign, pinned, search, violators, dropped (those judged without the assumption),
    given, identities (symbolic), or look (pictures of single cases).  of: the model whose
    families are mixed, the assumption that is violated, the digest of given cases, or the cases
    to be looked at.
    first, count: the range within the part's own numbering (cases, or searches).
    """

    unit: Unit
    kind: str
    of: str = ""
    shape: Shape | None = None
    first: int = 0
    count: int = 1

    @property
    def cases(self) -> int:
        """About how many cases it measures: for progress and for balance."""
        budget = self.unit.budget
        if self.kind == "search":
            return min(EXAMPLES, budget.search) * budget.search_batch
        side = {"violators": budget.violators, "dropped": budget.dropped}
        return side.get(self.kind, self.count)

    def key(self, code: dict[str, str]) -> str:
        """What the part's result is stored under: whatever may change a bit of it is in it.

        code: versions of code and packages.  Settings and with them all tolerances come from
        the profile, which is spelt out, as a stream is: both may be changed by a test.
        """
        stream = registry.CHECKS[self.unit.claim].cases() if self.unit.data is None else None
        spelt: dict[str, Any] = {
            **asdict(self),
            "unit": {k: v for k, v in asdict(self.unit).items() if k not in ("directory", "data")},
            "check": asdict(registry.CHECKS[self.unit.claim]),
            "budget": repr(self.unit.budget),
            "stream": repr(stream) if isinstance(stream, Stream) else "",
            "code": code,
        }
        return hashlib.sha256(json.dumps(spelt).encode()).hexdigest()


@dataclass(frozen=True)
class Measured:
    """What a worker sends back of one part: text and numbers only.

    tally: JSON, None where the part came to no result; then ``outcome`` (ERROR, NOT_RUN) and
    ``reason`` say why.
    """

    tally: str | None
    seconds: float
    outcome: str = ""
    reason: str = ""


def plan(unit: Unit) -> list[Part]:
    """Every part of a claim, in the order in which their tallies are merged."""
    stream, claim, budget = unit.cases(), unit.subject, unit.budget
    if stream is None:
        return [Part(unit, "identities")]
    pinned = [Part(unit, "pinned", count=len(found))] if (found := pinned_cases(unit.claim)) else []
    if isinstance(stream, Given):
        if unit.data is None:
            return [Part(unit, "given"), *pinned]
        # A user's own cases are all there is, and the files may change between two runs.
        return [Part(unit, "given", stream.digest(unit.seed))]
    searches = (
        -(-budget.search // EXAMPLES) if claim.expect != "falsified" and stream.searched else 0
    )
    broken = [a for a in claim.assumptions if stream.violators(a)]
    return [
        *_campaign(unit, stream),
        *pinned,
        *(Part(unit, "search", first=index) for index in range(searches)),
        *(Part(unit, "violators", a) for a in broken),
        *(Part(unit, "dropped", a) for a in broken if budget.drops(claim)),
    ]


def _campaign(unit: Unit, stream: Stream) -> Iterator[Part]:
    """The volume of a claim: one shape and model a part, families mixed, batches of one size."""
    for shape in stream.shapes[: unit.budget.shapes]:
        for model in dict.fromkeys(_model(s.family) for s in stream.sources):
            total = len(_families(stream, model)) * _each(unit, stream)
            for first in range(0, total, unit.budget.chunk):
                count = min(unit.budget.chunk, total - first)
                yield Part(unit, "campaign", model, shape, first, count)


def _model(family: str) -> str:
    return family.split("/")[0]


def _families(stream: Stream, model: str) -> list[str]:
    return [s.family for s in stream.sources if _model(s.family) == model]


def _each(unit: Unit, stream: Stream) -> int:
    """Cases of one family and shape."""
    total = max(1, round(unit.budget.cases * stream.share))
    return -(-total // (len(stream.sources) * len(stream.shapes[: unit.budget.shapes])))


def campaign_cases(part: Part, stream: Stream) -> list[CaseSpec]:
    """The cases of one campaign part.

    Cases are numbered within family and shape, so a larger budget holds the smaller one's.
    """
    assert part.shape is not None
    each, unit = _each(part.unit, stream), part.unit
    out = []
    for place, family in enumerate(_families(stream, part.of)):
        begin = max(part.first - place * each, 0)
        end = min(part.first + part.count - place * each, each)
        if begin < end:
            out += campaign_specs(unit.claim, family, part.shape, unit.seed, range(begin, end))
    return out


def violating_cases(part: Part, stream: Stream) -> list[CaseSpec]:
    """The side stream of the assumption ``part.of``; of a dropped one its first few cases."""
    unit, families = part.unit, stream.violators(part.of)
    each = -(-part.cases // len(families))
    # A family may need an even n, or two samples, that the claim's own shapes do not have.
    usual = (*stream.shapes[1:], *VIOLATOR_SHAPES)
    shape = next(s for s in usual if all(has_shape(f, s) for f in families))
    name = f"{unit.claim} without {part.of}"
    return [
        spec
        for family in families
        for spec in campaign_specs(name, family, shape, unit.seed, range(each))
    ]


def pinned_cases(claim: str) -> list[Case]:
    """Counterexamples found before, replayed in every profile."""
    records = [json.loads(path.read_text()) for path in sorted(PINNED.glob("*.json"))]
    return [case_from_record(r) for r in records if r["claim"] == claim]
