"""One claim from its cases to its verdict.  The only module that calls ``hypothesis.given``."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hypothesis
from hypothesis import HealthCheck, Phase, given
from hypothesis import strategies as st

from checks import closeup, evidence, registry, strategies
from checks.aggregate import Requirements, Tally, Violation, decide
from checks.budgets import PROFILES, Budget
from checks.cases import Case, CaseSpec, campaign_specs, case_from_record, case_record, decode
from checks.context import Context
from checks.families import has_shape
from checks.given import Given, Unavailable
from checks.outcomes import CaseResult, Outcome, Verdict, dumps
from checks.streams import VIOLATOR_SHAPES, Stream
from checks.versions import versions
from theory.catalogue import CLAIMS
from theory.claims import Claim

PINNED = Path(__file__).parent / "pinned"

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


def run_unit(unit: Unit) -> Verdict:
    """Measure one claim; write its evidence and case files; return its verdict.

    A failure inside the check is the outcome ERROR of this claim, not the end of the run.
    """
    _one_thread()
    begun = time.monotonic()
    claim, budget = CLAIMS[unit.claim], PROFILES[unit.profile]
    check = registry.CHECKS[unit.claim]
    stream: Cases = registry.resolve(check.stream) if check.stream else None
    need = requirements(claim, stream, budget)
    shown: dict[str, Any] = {}
    try:
        tally = measure(check, claim, stream, budget, unit)
        outcome, reason = decide(tally, need)
        if stream is not None:
            shown = closeup.look(claim, stream, tally, budget, unit.device)
    except Unavailable as missing:
        tally = Tally(())
        outcome, reason = Outcome.NOT_RUN, str(missing)
    except Exception as error:
        tally = Tally(())
        outcome, reason = Outcome.ERROR, f"{type(error).__name__}: {error}".splitlines()[0]
    directory = Path(unit.directory)
    replay = write_case(directory, stream, tally, unit)
    worst = tally.worst
    if stream is not None and worst is not None:
        shown |= _cases_shown(directory, stream, tally, unit)
    verdict = Verdict(
        claim=claim.key,
        sentences=claim.sentences,
        kind=claim.kind,
        expect=claim.expect,
        outcome=outcome,
        reason=reason,
        tried=len(tally.results),
        informative=len(tally.informative),
        vacuous=len(tally.of(Outcome.VACUOUS)),
        inconclusive=len(tally.of(Outcome.INCONCLUSIVE)),
        problems=tally.problems,
        worst=worst[1].ratio if worst else None,
        case=replay,
        profile=unit.profile,
        seed=unit.seed,
        versions=versions(),
        seconds=round(time.monotonic() - begun, 3),
    )
    written = evidence.record(claim, verdict, tally, need, replay, shown)
    _write(directory / "evidence" / f"{claim.key}.json", written)
    return verdict


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)  # small operations: a second thread costs a thousandfold


def requirements(claim: Claim, stream: Cases, budget: Budget) -> Requirements:
    """What HELD takes of this claim under this budget."""
    if stream is None:
        return Requirements(1, 1)
    if isinstance(stream, Given):
        return Requirements(stream.informative, 1)
    informative = budget.informative if claim.kind == "limit" else budget.problems
    return Requirements(
        informative,
        budget.problems,
        {source.family: source.vacuous for source in stream.sources},
        stream.must_see,
    )


def measure(
    check: registry.Check, claim: Claim, stream: Cases, budget: Budget, unit: Unit
) -> Tally:
    """All results of one claim: campaign, search, pinned cases, and the side streams.

    Of given cases there are no more than they are: nothing is searched, none is a violator.
    """
    function = check.load()
    if stream is None:
        return Tally(tuple(function(claim.key)))
    context = Context(claim.key, claim.assumptions, budget, unit.device)
    if isinstance(stream, Given):
        cases = [stream.decode(spec) for spec in stream.specs(unit.seed)]
        return Tally((*function(cases, context), *_pinned(claim.key, function, context)))

    def results_of(specs: Iterable[CaseSpec]) -> list[CaseResult]:
        return function([decode(spec) for spec in specs], context)

    results: list[CaseResult] = []
    for chunk in campaign(claim.key, stream, budget, unit.seed):
        results += results_of(chunk)
    results += _pinned(claim.key, function, context)
    if claim.expect != "falsified":
        results += search(claim, stream, budget, unit.seed, results_of)
    violations = [
        _violate(claim, assumption, stream, budget, unit.seed, results_of)
        for assumption in claim.assumptions
        if stream.violators(assumption)
    ]
    return Tally(tuple(results), tuple(violations))


def campaign(claim: str, stream: Stream, budget: Budget, seed: int) -> Iterable[list[CaseSpec]]:
    """The volume of a claim in fixed work units: one shape and model a chunk, families mixed.

    Cases are numbered within family and shape, so a larger budget holds the smaller one's.
    """
    total = max(1, round(budget.cases * stream.share))
    shapes = stream.shapes[: budget.shapes]
    each = -(-total // (len(stream.sources) * len(shapes)))
    for shape in shapes:
        for model in dict.fromkeys(s.family.split("/")[0] for s in stream.sources):
            families = [s.family for s in stream.sources if s.family.split("/")[0] == model]
            specs = [
                spec
                for family in families
                for spec in campaign_specs(claim, family, shape, seed, range(each))
            ]
            for begin in range(0, len(specs), budget.chunk):
                yield specs[begin : begin + budget.chunk]


def _pinned(
    claim: str, function: Callable[..., list[CaseResult]], context: Context
) -> list[CaseResult]:
    """One batch each: pinned cases of one claim may differ in shape."""
    return [result for case in pinned(claim) for result in function([case], context)]


def pinned(claim: str) -> list[Case]:
    """Counterexamples found before, replayed in every profile."""
    records = [json.loads(path.read_text()) for path in sorted(PINNED.glob("*.json"))]
    return [case_from_record(r) for r in records if r["claim"] == claim]


def _violate(
    claim: Claim,
    assumption: str,
    stream: Stream,
    budget: Budget,
    seed: int,
    results_of: Callable[[Iterable[CaseSpec]], list[CaseResult]],
) -> Violation:
    """The side stream: cases that break one assumption must come out VACUOUS, and name it."""
    families = stream.violators(assumption)
    each = -(-budget.violators // len(families))
    # A family may need an even n, or two samples, that the claim's own shapes do not have.
    usual = (*stream.shapes[1:], *VIOLATOR_SHAPES)
    shape = next(s for s in usual if all(has_shape(f, s) for f in families))
    specs = [
        spec
        for family in families
        for spec in campaign_specs(f"{claim.key} without {assumption}", family, shape, seed,
                                   range(each))
    ]  # fmt: skip
    # Vacuous for this very reason: another assumption may hide that this one is not judged.
    named = f"{assumption} is unmet"
    vacuous = sum(
        result.outcome is Outcome.VACUOUS and result.reason.startswith(named)
        for result in results_of(specs)
    )
    return Violation(assumption, len(specs), vacuous)


class _Counterexample(AssertionError):
    """Raised inside the search, so that Hypothesis shrinks towards a simple one."""


def search(
    claim: Claim,
    stream: Stream,
    budget: Budget,
    seed: int,
    results_of: Callable[[Iterable[CaseSpec]], list[CaseResult]],
) -> list[CaseResult]:
    """Adversarial search by Hypothesis: small batches, guided towards the worst ratio.

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

    @hypothesis.seed(_seed(claim.key, seed))
    @hypothesis.settings(
        max_examples=budget.search, deadline=None, database=None, derandomize=False,
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


def _seed(key: str, seed: int) -> int:
    return int.from_bytes(hashlib.sha256(f"{key}\0{seed}".encode()).digest()[:8], "little")


def write_case(directory: Path, stream: Cases, tally: Tally, unit: Unit) -> str | None:
    """The replay file of the case that matters most: a counterexample, else the worst one.

    Path relative to the directory; None for symbolic claims and where nothing was decided.
    """
    falsified = tally.of(Outcome.FALSIFIED)
    chosen = falsified[0] if falsified else (tally.worst[0] if tally.worst else None)
    if stream is None or chosen is None or "blob" not in chosen.spec:
        return None
    return _write_one(directory, closeup.decoded(stream, chosen), chosen, unit)


def _write_one(directory: Path, case: Case, chosen: CaseResult, unit: Unit, word: str = "") -> str:
    name = f"cases/{unit.claim}-{word or chosen.outcome.word}-{chosen.problem_id}.json"
    _write(directory / name, case_file(case, chosen, unit))
    return name


def _cases_shown(
    directory: Path, stream: Stream | Given, tally: Tally, unit: Unit
) -> dict[str, Any]:
    """The data of the worst case, and the simplest one with its own replay file."""
    assert tally.worst is not None
    worst, plain = tally.worst[0], closeup.simplest(tally)
    shown: dict[str, Any] = {}
    if "blob" in worst.spec:
        shown["data"] = closeup.data_of(closeup.decoded(stream, worst))
    if plain is not None and plain.worst is not None:
        case = closeup.decoded(stream, plain)
        name = _write_one(directory, case, plain, unit, "simplest")
        shown["simplest"] = {**evidence.case_shown(plain, name), "data": closeup.data_of(case)}
    return shown


def case_file(case: Case, result: CaseResult, unit: Unit) -> dict[str, Any]:
    """A counterexample that travels: arrays as hex floats, how to run it, how it came out."""
    worst = result.worst
    return {
        **case_record(case),
        "claim": unit.claim,
        "profile": unit.profile,
        "seed": unit.seed,
        "outcome": result.outcome.word,
        "reason": result.reason,
        "measurement": worst and {"name": worst.name, "value": worst.value,
                                  "tolerance": worst.tolerance},
        "certificate": result.certificate,
        "versions": versions(),
    }  # fmt: skip


def replay(record: dict[str, Any], device: str = "cpu") -> CaseResult:
    """Run the case of a replay file again, from its arrays, under its claim and profile."""
    _one_thread()
    claim = CLAIMS[record["claim"]]
    case = case_from_record(record)
    context = Context(claim.key, claim.assumptions, PROFILES[record["profile"]], device)
    return registry.CHECKS[claim.key].load()([case], context)[0]


def _write(path: Path, content: dict[str, Any]) -> None:
    """Write whole or not at all: an interrupted run leaves no half file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(dumps(content))
    part.replace(path)
