"""Every assumption of a claim dropped in turn: does the claim then fail, by certificate?

The cases that break the assumption are judged as if it had not been asked.  FALSIFIED counts only
of checks whose counterexamples are certificates without it too; any other becomes undecided.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import groupby

from checks import instead, registry
from checks.aligned_checks import NotAligned
from checks.cases import CaseSpec, decode
from checks.context import Context
from checks.outcomes import CaseResult, Outcome
from checks.tally import Dropped, Shown

CERTIFIED = (
    "flow_checks:gradient",
    "neighbour_checks:embedding",
    "limit_checks:",
    "structural_checks:",
    "neighbour_checks:mirror",
    "kkt_checks:kkt_primal_feasibility",
    "contrast_checks:",
    "selection_checks:",
    "aligned_checks:single_entry",
    "aligned_checks:symmetrised_nuclear",
    "aligned_checks:infimum",
)
"""Checks (beginnings of "module:function") that are certificates of their own: two gradients of
which one has no part in the assumption, with a rounding bound; or a named other problem, reached,
whose near-optimal set misses.  Not: a residual whose bound is derived from the assumption."""

ELSEWHERE = {"full-stack-rank": "checks.structural_checks:low_rank_start"}
"""Assumption -> the control's check that judges the same statement without it, for structures
which only that one looks at: weights of fewer columns than the optimum's rank."""

TOGETHER = {"aligned": ("aligned", "nonzero-invariant")}
"""What is dropped with an assumption: c_j of an unaligned start does not exist."""

NO_STATEMENT = "the statement speaks of what the assumption gives"
_NOT_CERTIFIED = "no certificate without the assumption"
_UNINFORMATIVE = "held, where it could hardly have failed"


def drop(claim: str, assumption: str, specs: Sequence[CaseSpec], context: Context) -> Dropped:
    """What becomes of the claim on these cases, which break its assumption.

    context: as for the claim.  One batch a family: they may differ in more than a start.
    """
    gone = TOGETHER.get(assumption, (assumption,))
    asked = tuple(key for key in context.assumptions if key not in gone)
    context = replace(context, assumptions=asked, dropped=assumption)
    name = ELSEWHERE.get(assumption, registry.CHECKS[claim].measure)
    function: Callable[..., list[CaseResult]] = (
        registry.resolve(name) if assumption in ELSEWHERE else registry.CHECKS[claim].load()
    )
    results: list[CaseResult | None] = []
    for _, group in groupby(specs, key=lambda spec: spec.family):
        cases = [decode(spec) for spec in group]
        try:
            results += function(cases, context)
        except NotAligned:
            results += [None] * len(cases)
    return count(assumption, name, results)


def count(assumption: str, check: str, results: Sequence[CaseResult | None]) -> Dropped:
    """The outcomes, counted; check: the "module:function" that gave them.  None: no statement."""
    certified = check.removeprefix("checks.").startswith(CERTIFIED)
    counts: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    worst: Shown | None = None
    for result in results:
        kind, reason = _kind(result, certified)
        counts[kind] += 1
        if reason:
            reasons[reason] += 1
        if kind == "falsified" and result is not None:
            by_name = {m.name: m for m in result.measurements}
            shown = by_name.get(instead.PROVED) or by_name.get("margin gap") or result.worst
            if shown is not None and (worst is None or shown.value > worst.value):
                worst = Shown(shown.name, shown.value)
    return Dropped(
        assumption, len(results), counts["falsified"], counts["held"], counts["inconclusive"],
        counts["uninformative"], worst, dict(reasons.most_common()),
    )  # fmt: skip


def _kind(result: CaseResult | None, certified: bool) -> tuple[str, str]:
    """falsified, held, inconclusive or uninformative; and why."""
    if result is None:
        return "uninformative", NO_STATEMENT
    if result.outcome is Outcome.FALSIFIED:
        return ("falsified", result.reason) if certified else ("inconclusive", _NOT_CERTIFIED)
    if result.outcome is Outcome.HELD:
        return ("held", "") if result.informative else ("uninformative", _UNINFORMATIVE)
    if result.outcome is Outcome.VACUOUS:
        return "uninformative", result.reason
    return "inconclusive", result.reason
