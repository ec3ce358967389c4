"""One claim from its parts to its verdict.  The only module that calls ``hypothesis.given``."""

from __future__ import annotations

import hashlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import hypothesis
from hypothesis import HealthCheck, Phase, given
from hypothesis import strategies as st

from checks import closeup, dropping, registry, strategies, symbolic_checks
from checks.budgets import PROFILES, Budget
from checks.cases import CaseSpec, case_from_record, decode
from checks.context import Context
from checks.given import Given, Unavailable
from checks.outcomes import CaseResult, Outcome, Verdict, dumps
from checks.parts import (
    EXAMPLES,
    Measured,
    Part,
    Unit,
    campaign_cases,
    pinned_cases,
    plan,
    violating_cases,
)
from checks.streams import Stream
from checks.tally import Tally, Violation
from checks.verdicts import close, conclude
from checks.versions import code
from theory.catalogue import CLAIMS
from theory.claims import Claim

ResultsOf = Callable[[Iterable[CaseSpec]], list[CaseResult]]


_ONE_AT_A_TIME = threading.Lock()
"""A cluster's worker may have threads; torch's settings and Hypothesis' state are a process's."""


def run_part(part: Part, expected: dict[str, str] | None = None) -> Measured:
    """Measure one work unit; a failure inside the check is said, not raised.

    expected: the versions of the process that asked.  Any other would give other bits, so
    they are an ERROR: the worker is to be set up like the process that asked.
    """
    begun = time.monotonic()
    with _ONE_AT_A_TIME:
        _one_thread()
        own = code()
        if expected is not None and own != expected:
            differ = [f"{k} {own.get(k)}, not {v}" for k, v in expected.items() if own.get(k) != v]
            return Measured(None, 0.0, "error", f"a worker has {'; '.join(differ)}")
        try:
            text = _pictures(part) if part.kind == "look" else measure_part(part).to_json()
        except Unavailable as missing:
            return Measured(None, time.monotonic() - begun, "not_run", str(missing))
        except Exception as error:
            reason = f"{type(error).__name__}: {error}".splitlines()[0]
            return Measured(None, time.monotonic() - begun, "error", reason)
    return Measured(text, time.monotonic() - begun)


def run_unit(unit: Unit) -> Verdict:
    """Measure one claim, part by part; write its evidence and case files; its verdict."""
    try:
        parts = plan(unit)
    except Unavailable as missing:
        return conclude(unit, Tally(), 0.0, (Outcome.NOT_RUN, str(missing)))
    except Exception as error:
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        return conclude(unit, Tally(), 0.0, (Outcome.ERROR, reason))
    closing = close(unit, map(run_part, parts))
    if isinstance(closing, Verdict):
        return closing
    return closing.finish(run_part(closing.look))


def _pictures(part: Part) -> str:
    """What the page shows of single cases: close-ups and a phase portrait, as JSON."""
    unit, stream = part.unit, part.unit.cases()
    assert stream is not None
    seen = Tally.from_json(part.of)
    return dumps(closeup.look(unit.subject, stream, seen, unit.budget, unit.device))


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)  # small operations: a second thread costs a thousandfold


_ALL = 10_000
"""More steps than a run has."""


def measure_part(part: Part) -> Tally:
    """The reduced results of one part: of the campaign, the search, a side stream, ...

    Of given cases there are no more than they are: nothing is searched, none is a violator.
    """
    unit, claim, stream = part.unit, part.unit.subject, part.unit.cases()
    function = registry.CHECKS[unit.claim].load()
    if stream is None:
        tally = Tally.of(function(claim.key))
        if claim.key in symbolic_checks.claims():
            tally.derivation = symbolic_checks.derivation(claim.key)
        return tally
    context = Context(claim.key, claim.assumptions, unit.budget, unit.device)
    if part.kind == "pinned":
        # One batch each: they may differ in shape.  In most a single step was wrong: audit all.
        budget = replace(unit.budget, stretches=_ALL)
        context = replace(context, budget=budget)
        found = [r for case in pinned_cases(unit.claim) for r in function([case], context)]
        return replace(Tally.of(found), pinned=Counter(r.outcome.word for r in found))
    if isinstance(stream, Given):
        return Tally.of(given_results(function, stream, unit.seed, context))

    def results_of(specs: Iterable[CaseSpec]) -> list[CaseResult]:
        return function([decode(spec) for spec in specs], context)

    if part.kind == "campaign":
        return Tally.of(results_of(campaign_cases(part, stream)))
    if part.kind == "search":
        return Tally.of(search(claim, stream, unit.budget, unit.seed, results_of, part.first))
    if part.kind == "dropped":
        specs = violating_cases(part, stream)
        return Tally(dropped=[dropping.drop(claim.key, part.of, specs, context)])
    return Tally(violations=[_violation(part, stream, results_of)])


def given_results(
    function: Callable[..., list[CaseResult]], stream: Given, seed: int, context: Context
) -> list[CaseResult]:
    """Given cases in batches of one shape and model, their results in the order given."""
    cases = [stream.decode(spec) for spec in stream.specs(seed)]
    batches: dict[Any, list[int]] = {}
    for index, case in enumerate(cases):
        shapes = (case.problem.tokens.shape, case.start.model, case.start.weights.shape)
        columns = case.start.key.shape if case.start.key is not None else ()
        batches.setdefault((*shapes, columns), []).append(index)
    found: dict[int, CaseResult] = {}
    for indices in batches.values():
        found |= zip(indices, function([cases[i] for i in indices], context), strict=True)
    return [found[i] for i in range(len(cases))]


def _violation(part: Part, stream: Stream, results_of: ResultsOf) -> Violation:
    """The side stream: cases that break one assumption must come out VACUOUS, and name it."""
    specs = violating_cases(part, stream)
    # Vacuous for this very reason: another assumption may hide that this one is not judged.
    named = f"{part.of} is unmet"
    vacuous = sum(
        result.outcome is Outcome.VACUOUS and result.reason.startswith(named)
        for result in results_of(specs)
    )
    return Violation(part.of, len(specs), vacuous)


class _Counterexample(AssertionError):
    """Raised inside the search, so that Hypothesis shrinks towards a simple one."""


def search(
    claim: Claim,
    stream: Stream,
    budget: Budget,
    seed: int,
    results_of: ResultsOf,
    index: int = 0,
) -> list[CaseResult]:
    """Adversarial search by Hypothesis: small batches, guided towards the worst ratio.

    index: which search of this claim; each has a stream of its own.

    Seeded by the claim's key (one closure would give every claim the same stream), no
    database, no deadline; the quick profile does not shrink, since a step costs a flow.
    """
    families = [source.family for source in stream.sources]
    drawn = st.sampled_from(families).flatmap(
        lambda family: strategies.batches(
            family, stream.shapes[: budget.shapes], budget.search_batch
        )
    )
    phases = [Phase.generate, Phase.target]
    if budget.name != "quick":
        phases.append(Phase.shrink)
    found: list[CaseResult] = []

    examples = min(EXAMPLES, budget.search - index * EXAMPLES)

    @hypothesis.seed(_seed(claim.key, seed, index))
    @hypothesis.settings(
        max_examples=examples, deadline=None, database=None, derandomize=False,
        phases=phases, suppress_health_check=list(HealthCheck), report_multiple_bugs=False,
        print_blob=False, verbosity=hypothesis.Verbosity.quiet,
    )  # fmt: skip
    @given(drawn)
    def look(specs: tuple[CaseSpec, ...]) -> None:
        results = results_of(specs)
        found.extend(results)
        ratios = [r.worst.ratio for r in results if r.worst and r.informative]
        if ratios:
            hypothesis.target(min(max(ratios), 1e9), label=claim.key)
        for result in results:
            if result.outcome is Outcome.FALSIFIED:
                raise _Counterexample(result.reason)

    try:
        look()
    except _Counterexample:
        # Its results are in ``found``, the simplest last: the verdict is read from there.
        found.reverse()
    return found


def _seed(key: str, seed: int, index: int) -> int:
    text = f"{key}\0{seed}" + (f"\0{index}" if index else "")
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")


def replay(record: dict[str, Any], device: str = "cpu") -> CaseResult:
    """Run the case of a replay file again, from its arrays, under its claim and profile."""
    _one_thread()
    claim = CLAIMS[record["claim"]]
    case = case_from_record(record)
    context = Context(claim.key, claim.assumptions, PROFILES[record["profile"]], device)
    return registry.CHECKS[claim.key].load()([case], context)[0]
