"""The evidence record of one claim: everything the report shows, as one JSON object."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from checks.aggregate import Requirements, decide
from checks.grids import grids
from checks.outcomes import SCHEMA, CaseResult, Outcome, Verdict
from checks.tally import Tally
from theory.catalogue import ASSUMPTIONS, SENTENCES
from theory.claims import Claim

BINS = 12


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
            "held": tally.count(Outcome.HELD),
            "falsified": tally.count(Outcome.FALSIFIED),
            "vacuous": verdict.vacuous,
            "inconclusive": verdict.inconclusive,
            "error": tally.count(Outcome.ERROR),
            "problems": verdict.problems,
        },
        "reasons": dict(tally.reasons.most_common()),
        "must_see": {label: tally.regions[label] for label in need.must_see},
        "regions": dict(tally.regions.most_common()),
        "tolerances": _tolerances(tally, need),
        "worst": _worst(tally, replay, looked.get("data")),
        "simplest": looked.get("simplest"),
        "close_ups": looked.get("close_ups", []),
        "phase": looked.get("phase"),
        "fidelity": _fidelity(tally),
        "optima": _optima(tally),
        "histograms": _histograms(tally),
        "curves": _curves(tally),
        "grids": grids(tally.places),
        "derivation": [{"words": words, "latex": latex} for words, latex in tally.derivation],
        "profile": verdict.profile,
        "seed": verdict.seed,
        "versions": verdict.versions,
        "seconds": verdict.seconds,
    }


def _assumption(key: str, tally: Tally) -> dict[str, Any]:
    assumption = ASSUMPTIONS[key]
    violation = next((v for v in tally.violations if v.assumption == key), None)
    dropped = next((d for d in tally.dropped if d.assumption == key), None)
    return {
        "key": key,
        "statement": assumption.statement,
        "latex": assumption.latex,
        "scope": assumption.scope,
        "margins": histogram(tally.column(f"margin {key}")),
        "violators": violation and {"tried": violation.tried, "vacuous": violation.vacuous},
        "dropped": dropped and {**asdict(dropped), "control": assumption.control},
    }


def _tolerances(tally: Tally, need: Requirements) -> list[dict[str, Any]]:
    """Each tolerance once, at its largest, with the verdict at half and at twice all of them."""
    half, double = decide(tally, need, 0.5)[0].word, decide(tally, need, 2.0)[0].word
    return [
        {"name": name, "value": m.tolerance, "because": m.because, "at_half": half,
         "at_double": double}
        for name, m in tally.widest.items()
    ]  # fmt: skip


def _worst(tally: Tally, replay: str | None, data: Any) -> dict[str, Any] | None:
    if tally.worst is None:
        return None
    return {**case_shown(tally.worst, replay), "data": data}


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


def _fidelity(tally: Tally) -> dict[str, Any] | None:
    """How far the runs behind the results may be trusted; None where no run was recorded."""
    errors = tally.column("fidelity local_error")
    if not errors:
        return None
    stretches = tally.column("fidelity stretches")
    sampled = zip(stretches, tally.column("fidelity deviation"), strict=True)
    counted = histogram([math.log10(max(error, 1e-17)) for error in errors])
    return {
        "runs": len(errors),
        "audited": sum(count > 0 for count in stretches),
        "stretches": int(sum(stretches)),
        "local_error": max(errors),
        "deviation": max((deviation for count, deviation in sampled if count), default=None),
        "errors": counted and {"name": "local error", "label": "log10 of local error over its "
                               "bound, worst step of each run", **counted},
    }  # fmt: skip


def _optima(tally: Tally) -> list[dict[str, Any]]:
    """How the optima behind the judgements are known, one object a norm."""
    return [
        {
            "norm": norm,
            "proof": dict(known.proof.most_common()),
            "unique": dict(known.unique.most_common()),
            "solver": dict(known.solver.most_common()),
            "widest": known.widest,
        }
        for norm, known in tally.optima.items()
    ]


def _histograms(tally: Tally) -> list[dict[str, Any]]:
    out = []
    for column, values in tally.columns.items():
        kind, _, name = column.partition(" ")
        if kind == "input":
            counted, label = histogram(values), name
        elif kind == "ratio":
            counted = histogram([math.log10(max(v, 1e-17)) for v in values if v < math.inf])
            label = f"log10 of {name} over its tolerance"
        else:
            continue
        if counted is not None:
            said = "input" if kind == "input" else "measured"
            out.append({"name": f"{said} {name}", "label": label, **counted})
    return sorted(out, key=lambda one: one["name"].startswith("measured"))


def _curves(tally: Tally) -> list[dict[str, Any]]:
    """Curves of the worst cases, one plot a quantity."""
    out = []
    for name in dict.fromkeys(name for r in tally.curved for name in r.curves):
        series = [
            {
                "label": f"{r.spec.get('family', '')} {r.problem_id[:6]}",
                "points": [point[:2] for point in r.curves[name]],
                "times": [point[2] if len(point) > 2 else None for point in r.curves[name]],
            }
            for r in tally.curved
            if name in r.curves
        ]
        out.append(
            {"name": name, "title": f"{name}: the worst cases", "x_label": "ln N(W)",
             "y_label": name, "y_log": True, "series": series}
        )  # fmt: skip
    return out
