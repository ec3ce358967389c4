"""The evidence record of one claim: everything the report shows, as one JSON object."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from checks import symbolic_checks
from checks.aggregate import Requirements, Tally, decide
from checks.outcomes import SCHEMA, CaseResult, Outcome, Verdict
from theory.catalogue import ASSUMPTIONS, SENTENCES
from theory.claims import Claim

BINS = 12
CURVES_SHOWN = 6


def histogram(values: Sequence[float]) -> dict[str, Any] | None:
    """Edges and counts of the finite values; None where there are none."""
    finite = [v for v in values if math.isfinite(v)]
    if not finite:
        return None
    counts, edges = np.histogram(finite, bins=BINS if min(finite) < max(finite) else 1)
    return {"edges": edges.tolist(), "counts": counts.tolist()}


def record(
    claim: Claim,
    verdict: Verdict,
    tally: Tally,
    need: Requirements,
    replay: str | None,
    shown: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """The object of ``evidence/<key>.json`` (schema 1, additive changes only).

    shown: fields of single cases made by the runner (``data`` of the worst, ``simplest``,
    ``close_ups``, ``phase``), each of which may be missing.
    """
    looked = shown or {}
    results = tally.results
    return {
        "schema": SCHEMA,
        "claim": claim.key,
        "kind": claim.kind,
        "title": claim.title,
        "statement": claim.statement,
        "latex": claim.latex,
        "sentences": claim.sentences,
        "sentence_texts": {key: SENTENCES[key] for key in claim.sentences},
        "citation": {"source": claim.citation.source, "text": claim.citation.text},
        "assumptions": [_assumption(key, tally) for key in claim.assumptions],
        "rests_on": claim.rests_on,
        "expect": claim.expect,
        "falsified_by": claim.falsified_by,
        "not_shown": claim.not_shown,
        "outcome": verdict.outcome.word,
        "reason": verdict.reason,
        "advice": verdict.outcome.advice,
        "counts": {
            "tried": verdict.tried,
            "informative": verdict.informative,
            "held": len(tally.of(Outcome.HELD)),
            "falsified": len(tally.of(Outcome.FALSIFIED)),
            "vacuous": verdict.vacuous,
            "inconclusive": verdict.inconclusive,
            "error": len(tally.of(Outcome.ERROR)),
            "problems": verdict.problems,
        },
        "reasons": tally.reasons,
        "must_see": {label: tally.regions.get(label, 0) for label in need.must_see},
        "regions": tally.regions,
        "tolerances": _tolerances(tally, need),
        "worst": _worst(tally, replay, looked.get("data")),
        "simplest": looked.get("simplest"),
        "close_ups": looked.get("close_ups", []),
        "phase": looked.get("phase"),
        "fidelity": _fidelity(results),
        "optima": _optima(results),
        "histograms": _histograms(results),
        "curves": _curves(results),
        "derivation": [
            {"words": words, "latex": latex}
            for words, latex in (
                symbolic_checks.derivation(claim.key)
                if claim.key in symbolic_checks.claims()
                else ()
            )
        ],
        "profile": verdict.profile,
        "seed": verdict.seed,
        "versions": verdict.versions,
        "seconds": verdict.seconds,
    }


def _assumption(key: str, tally: Tally) -> dict[str, Any]:
    assumption = ASSUMPTIONS[key]
    margins = [r.assumptions[key] for r in tally.results if key in r.assumptions]
    violation = next((v for v in tally.violations if v.assumption == key), None)
    return {
        "key": key,
        "statement": assumption.statement,
        "latex": assumption.latex,
        "scope": assumption.scope,
        "margins": histogram(margins),
        "violators": violation and {"tried": violation.tried, "vacuous": violation.vacuous},
    }


def _tolerances(tally: Tally, need: Requirements) -> list[dict[str, Any]]:
    """Each tolerance once, at its largest, with the verdict at half and at twice all of them."""
    largest: dict[str, Any] = {}
    for result in tally.informative:
        for m in result.measurements:
            if m.name not in largest or m.tolerance > largest[m.name].tolerance:
                largest[m.name] = m
    half, double = decide(tally, need, 0.5)[0].word, decide(tally, need, 2.0)[0].word
    return [
        {"name": name, "value": m.tolerance, "because": m.because, "at_half": half,
         "at_double": double}
        for name, m in largest.items()
    ]  # fmt: skip


def _worst(tally: Tally, replay: str | None, data: Any) -> dict[str, Any] | None:
    if tally.worst is None:
        return None
    return {**case_shown(tally.worst[0], replay), "data": data}


def case_shown(result: CaseResult, replay: str | None) -> dict[str, Any]:
    """One case by its worst measurement, its file and the command that runs it again."""
    m = result.worst
    assert m is not None
    return {
        "name": m.name,
        "value": m.value,
        "tolerance": m.tolerance,
        "ratio": m.ratio,
        "because": m.because,
        "file": replay,
        "command": f"marginflow replay {replay}" if replay else "",
    }


def _fidelity(results: Sequence[CaseResult]) -> dict[str, Any] | None:
    """How far the runs behind the results may be trusted; None where no run was recorded."""
    known = [r.fidelity for r in results if r.fidelity]
    if not known:
        return None
    sampled = [one for one in known if one["stretches"]]
    errors = [math.log10(max(one["local_error"], 1e-17)) for one in known]
    counted = histogram(errors)
    return {
        "runs": len(known),
        "audited": len(sampled),
        "stretches": int(sum(one["stretches"] for one in sampled)),
        "local_error": max(one["local_error"] for one in known),
        "deviation": max((one["deviation"] for one in sampled), default=None),
        "errors": counted and {"name": "local error", "label": "log10 of local error over its "
                               "bound, worst step of each run", **counted},
    }  # fmt: skip


def _optima(results: Sequence[CaseResult]) -> list[dict[str, Any]]:
    """How the optima behind the judgements are known, one object a norm."""
    known = [optimum for r in results for optimum in r.optima]
    out = []
    for norm in dict.fromkeys(optimum.norm for optimum in known):
        of_norm = [optimum for optimum in known if optimum.norm == norm]
        counted = {
            part: dict(Counter(getattr(optimum, part) for optimum in of_norm).most_common())
            for part in ("proof", "unique", "solver")
        }
        out.append({"norm": norm, **counted, "widest": max(o.width for o in of_norm)})
    return out


def _histograms(results: Sequence[CaseResult]) -> list[dict[str, Any]]:
    names = dict.fromkeys(name for r in results for name in r.inputs)
    out = []
    for name in names:
        values = [r.inputs[name] for r in results if name in r.inputs]
        counted = histogram(values)
        if counted is not None:
            out.append({"name": f"input {name}", "label": name, **counted})
    for name in dict.fromkeys(m.name for r in results for m in r.measurements):
        ratios = [m.ratio for r in results for m in r.measurements if m.name == name]
        logs = [math.log10(max(ratio, 1e-17)) for ratio in ratios if ratio < math.inf]
        counted = histogram(logs)
        if counted is not None:
            label = f"log10 of {name} over its tolerance"
            out.append({"name": f"measured {name}", "label": label, **counted})
    return out


def _curves(results: Sequence[CaseResult]) -> list[dict[str, Any]]:
    """Curves of the worst cases, and of the first few others, one plot a quantity."""
    shown = [r for r in results if r.curves and r.outcome is not Outcome.VACUOUS]
    shown.sort(key=lambda r: -(r.worst.ratio if r.worst else 0.0))
    out = []
    for name in dict.fromkeys(name for r in shown for name in r.curves):
        series = [
            {
                "label": f"{r.spec.get('family', '')} {r.problem_id[:6]}",
                "points": [point[:2] for point in r.curves[name]],
                "times": [point[2] if len(point) > 2 else None for point in r.curves[name]],
            }
            for r in shown[:CURVES_SHOWN]
            if name in r.curves
        ]
        out.append(
            {"name": name, "title": f"{name}: the worst cases", "x_label": "ln N(W)",
             "y_label": name, "y_log": True, "series": series}
        )  # fmt: skip
    return out
