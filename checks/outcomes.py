"""What a check can say: outcomes, measurements, evidence, verdicts.  Standard library only.

Data flows one way: a check turns cases into :class:`CaseResult`, the runner aggregates
these into a :class:`Verdict` and an evidence record, the report reads both.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

SCHEMA = 1


class Outcome(Enum):
    """The six things that can be said of a claim, each with a sentence of advice."""

    HELD = ("held", "Every informative case met its tolerance; none contradicted the claim.")
    FALSIFIED = ("falsified", "A certified counterexample exists: replay its case file.")
    VACUOUS = (
        "vacuous",
        "An assumption was unmet, so the claim says nothing here: look at which one.",
    )
    INCONCLUSIVE = (
        "inconclusive",
        "Horizon, precision, fidelity or proof ran out: read the reason, then run deeper.",
    )
    ERROR = ("error", "The check itself failed: this is a bug in the suite, please report it.")
    NOT_RUN = ("not_run", "The time limit came first: run again with --resume or more time.")

    def __init__(self, word: str, advice: str) -> None:
        self.word = word
        self.advice = advice

    @classmethod
    def of(cls, word: str) -> Outcome:
        """The outcome spelt ``word`` (lower case); ValueError if there is none."""
        for outcome in cls:
            if outcome.word == word:
                return outcome
        raise ValueError(f"no outcome is called {word!r}")


@dataclass(frozen=True)
class Measurement:
    """One number against the tolerance it was held to.  ``value <= tolerance`` is met."""

    name: str
    value: float
    tolerance: float
    because: str
    """Where the tolerance comes from, in words."""

    @property
    def ratio(self) -> float:
        """value / tolerance: 1 is the edge; 0/0 counts as 0, NaN as infinite."""
        if math.isnan(self.value):
            return math.inf
        if self.tolerance > 0:
            return self.value / self.tolerance
        return 0.0 if self.value <= 0 else math.inf


@dataclass(frozen=True)
class Optimum:
    """How one optimum that a case was judged by is known."""

    norm: str
    proof: str
    """"exact" (decided in rationals) or "rigorous" (an interval with its rounding inside)."""
    unique: str
    """"proved", "disproved" or "undetermined", of the optimal weights."""
    width: float
    """Relative width of the certified interval."""
    solver: str
    """What proposed it; nothing is believed of that."""


@dataclass(frozen=True)
class CaseResult:
    """How one case came out under one claim."""

    outcome: Outcome
    reason: str
    """One clause; the same words for the same cause, so that causes can be counted."""
    problem_id: str
    """Equal for cases that share a dataset: distinct problems are counted by it."""
    spec: dict[str, Any]
    """The CaseSpec as JSON (see ``checks.cases``)."""
    informative: bool = True
    """False for a case that could not have shown the claim wrong; it counts in no share."""
    measurements: tuple[Measurement, ...] = ()
    assumptions: dict[str, float] = field(default_factory=dict)
    """Assumption key -> signed margin (positive: met)."""
    inputs: dict[str, float] = field(default_factory=dict)
    """Input descriptors for histograms: samples, tokens, dim, margin, condition, ..."""
    regions: tuple[str, ...] = ()
    """Labels of the regions of the input space this case lies in (``must_see``)."""
    curves: dict[str, list[tuple[float, ...]]] = field(default_factory=dict)
    """Curve name -> at most 64 points (ln norm, y) or (ln norm, y, ln t)."""
    optima: tuple[Optimum, ...] = ()
    """The certified optima behind the judgement, the claimed one first."""
    certificate: dict[str, Any] | None = None
    """What ``audit`` re-verifies from raw tokens: norm, selected, primal, dual, gap."""
    fidelity: dict[str, float] = field(default_factory=dict)
    """Of the run behind it: local_error (largest over its bound), stretches (integrated again;
    0 unless the run was sampled) and deviation (largest among those over its bound)."""

    @property
    def worst(self) -> Measurement | None:
        """The measurement nearest to, or furthest beyond, its tolerance."""
        return max(self.measurements, key=lambda m: m.ratio, default=None)


@dataclass(frozen=True)
class Verdict:
    """One JSON line of ``verdicts.jsonl``; field names are part of the stable interface."""

    claim: str
    sentences: tuple[str, ...]
    kind: str
    expect: str
    outcome: Outcome
    reason: str
    tried: int
    informative: int
    vacuous: int
    inconclusive: int
    problems: int
    worst: float | None
    """Largest value/tolerance over informative cases."""
    case: str | None
    """Path of a replay file, relative to the output directory."""
    profile: str
    seed: int
    versions: dict[str, str]
    seconds: float

    @property
    def as_expected(self) -> bool:
        """True where the outcome is the one expected, or the claim is open."""
        return self.expect == "open" or self.outcome.word == self.expect

    def to_json(self) -> str:
        """One line of JSON; non-finite numbers as null."""
        record = {"schema": SCHEMA, **self.__dict__, "outcome": self.outcome.word}
        return dumps(record)


def finite(value: Any) -> Any:
    """``value`` with every non-finite float replaced by None, tuples by lists; recursive."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(k): finite(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(v) for v in value]
    return value


def dumps(record: Any, indent: int | None = None) -> str:
    """JSON text of ``record``: non-finite numbers as null, keys in the order given."""
    return json.dumps(finite(record), allow_nan=False, indent=indent)


def exit_status(verdicts: list[Verdict]) -> int:
    """0 all as expected; 1 a claim falsified or a control not; 3 otherwise (DESIGN.md).

    A control that is merely undecided (inconclusive, vacuous, error, not run) counts as
    *not falsified*: it was there to show that the check can fail, and did not.
    """
    judged = [v for v in verdicts if v.expect != "open"]
    if any(v.expect == "held" and v.outcome is Outcome.FALSIFIED for v in judged):
        return 1
    if any(v.expect == "falsified" and v.outcome is not Outcome.FALSIFIED for v in judged):
        return 1
    return 3 if any(not v.as_expected for v in judged) else 0
