"""What is recorded of one claim or problem of the fixture: its verdict, evidence or result."""

from __future__ import annotations

import math
from typing import Any

from checks.outcomes import Outcome, Verdict
from tests.report_claims import CLAIMS, SENTENCE_TEXTS

VERSIONS = {
    "marginflow": "0.1.0",
    "python": "3.11.9",
    "numpy": "2.3.5",
    "torch": "2.13.0",
    "cvxpy": "1.7.3",
    "clarabel": "0.11.1",
    "cpu": "AVX2",
}


def verdict_of(claim: tuple[Any, ...], outcome: Outcome | None = None) -> Verdict:
    """A plausible verdict of one row of CLAIMS."""
    key, kind, sentences, _, expect, *_ = claim
    symbolic = kind == "symbolic"
    said = outcome or (Outcome.FALSIFIED if expect == "falsified" else Outcome.HELD)
    tried = 4 if symbolic else 180
    return Verdict(
        claim=key,
        sentences=tuple(sentences),
        kind=kind,
        expect=expect,
        outcome=said,
        reason="" if said is Outcome.HELD else "the other norm's optimum is met to 1e-9",
        tried=tried,
        informative=tried if symbolic else 148,
        vacuous=0 if symbolic else 24,
        inconclusive=0 if symbolic else 8,
        problems=tried if symbolic else 71,
        worst=None if symbolic else 2.9e4 if said is Outcome.FALSIFIED else 0.31,
        case=None if symbolic else f"cases/{key}.json",
        profile="quick",
        seed=20240313,
        versions=VERSIONS,
        seconds=3.25,
    )


def evidence_of(claim: tuple[Any, ...], verdict: Verdict) -> dict[str, Any]:
    """The evidence record that goes with ``verdict``."""
    key, kind, sentences, rests_on, expect, title, statement, latex = claim
    record = {
        "schema": 1, "claim": key, "kind": kind, "title": title,
        "statement": statement, "latex": latex, "sentences": sentences,
        "sentence_texts": {s: SENTENCE_TEXTS[s] for s in sentences},
        "citation": {"source": "arXiv 2403.08699, abstract", "text": SENTENCE_TEXTS[sentences[0]]},
        "assumptions": [], "rests_on": rests_on, "expect": expect,
        "falsified_by": "A run that reaches the infimum and whose dual certificate closes on "
        "another problem, more than ten tolerances away.",
        "not_shown": "Nothing about starts with c_j = 0, and nothing about the speed.",
        "outcome": verdict.outcome.word, "reason": verdict.reason,
        "advice": verdict.outcome.advice,
        "counts": {
            "tried": verdict.tried, "informative": verdict.informative,
            "held": verdict.informative - verdict.inconclusive, "falsified": 0,
            "vacuous": verdict.vacuous, "inconclusive": verdict.inconclusive, "error": 0,
            "problems": verdict.problems,
        },
        "reasons": {}, "must_see": {}, "tolerances": [], "worst": None, "histograms": [],
        "curves": [],
        "derivation": [
            {"words": "Start from the loss and apply the chain rule.",
             "latex": r"\nabla_W L = -\frac1n\sum_{i=1}^n e^{-\bar\gamma_i}\,\nabla_W\bar\gamma_i"},
            {"words": "The softmax is its own derivative, up to a covariance.",
             "latex": r"\nabla_W\bar\gamma_i = \sum_{l} s_{il}\gamma_{il}\Bigl(x_{il} - "
             r"\sum_{l'} s_{il'}x_{il'}\Bigr)z_i^\top"},
        ],
        "profile": verdict.profile, "seed": verdict.seed, "versions": verdict.versions,
        "seconds": verdict.seconds,
    }  # fmt: skip
    if kind != "symbolic":
        record |= _sampled(key, verdict)
    if expect == "open":
        record["grids"] = [_grid()]
    return record


def _grid() -> dict[str, Any]:
    """A heat map with an empty cell."""
    cell = {"share": 0.75, "n": 12, "note": ""}
    return {
        "title": "Share of starts that reach the infimum",
        "x": {"name": "rank", "values": [1, 2, 3]},
        "y": {"name": "scale of the start", "values": ["small", "large"]},
        "cells": [[cell, cell | {"share": 0.0}, cell | {"share": 1.0, "note": "all"}],
                  [cell | {"share": None, "n": 0}, cell, cell]],
    }  # fmt: skip


DROPPED = {
    "assumption": "separable", "tried": 12, "falsified": 8, "held": 2, "inconclusive": 1,
    "uninformative": 1, "worst": {"name": "margin gap that is proved", "value": 0.36},
    "reasons": {"the run closes on another problem": 8}, "control": "control.frozen-sign",
}  # fmt: skip


def _sampled(key: str, verdict: Verdict) -> dict[str, Any]:
    bell = [round(60 * math.exp(-((i - 9) ** 2) / 14)) for i in range(20)]
    return {
        "assumptions": [
            {
                "key": "separable", "statement": "The data are separable.",
                "latex": r"\exists W:\ \langle G_r, W\rangle > 0\ \text{for all } r",
                "scope": "problem",
                "margins": {"edges": [-1 + 0.15 * i for i in range(21)], "counts": bell},
                "violators": {"tried": 12, "vacuous": 12},
                "dropped": DROPPED,
            },
            {
                "key": "infimum-reached", "statement": "The loss tends to its infimum.",
                "latex": r"L(t) \to L^* = \tfrac1n\sum_i e^{-\gamma_{io}}", "scope": "trajectory",
                "margins": {"edges": [0.0, 0.1, 1.0, 10.0, None], "counts": [3, 20, 90, 43]},
                "violators": {"tried": 12, "vacuous": 12},
                "dropped": DROPPED,
            },
        ],
        "reasons": {"horizon: the slack asks for a larger norm": 8, "infimum not reached": 24},
        "must_see": {"margin below 1e-2": 31, "random start": 60, "tied scores": 12},
        "tolerances": [
            {
                "name": "margin gap", "value": 1.9e-7,
                "because": "Regret bound at the horizon plus the solver's interval.",
                "at_half": "held", "at_double": "held",
            },
            {
                "name": "rounding of the margins", "value": 4.1e-13,
                "because": "Dot products of length d in float64.",
                "at_half": "inconclusive", "at_double": "held",
            },
        ],
        "optima": [
            {
                "norm": "l1", "proof": {"exact": 165}, "unique": {"proved": 161, "disproved": 4},
                "solver": {"simplex": 163, "integer simplex": 2}, "widest": 2.2e-16,
            },
            {
                "norm": "l2", "proof": {"exact": 164, "rigorous": 1}, "unique": {"proved": 165},
                "solver": {"nnls": 165}, "widest": 4.0e-14,
            },
        ],
        "worst": {
            "name": "margin gap", "value": 5.9e-8, "tolerance": 1.9e-7, "ratio": verdict.worst,
            "because": "The certificate's lower end lies this far below the solver's optimum.",
            "file": verdict.case, "command": f"marginflow replay reports/out/cases/{key}.json",
            "data": {"tokens": [[[1.0, -0.5], [0.25, 2.0]]], "queries": [[1.0, 1e-300]],
                     "scores": [[0.1, 0.2]], "key": [1.0, 2.0], "query": [0.5, 1.5]},
        },
        "simplest": {
            "name": "margin gap", "value": 1e-9, "tolerance": 1.9e-7, "ratio": 5.3e-3,
            "because": "The same.", "file": f"cases/{key}-simplest.json",
            "command": f"marginflow replay cases/{key}-simplest.json", "data": None,
        },
        "close_ups": [
            {"of": "worst", "curves": [
                {"name": "kkt", "title": "KKT residuals", "x_label": "ln N(W)",
                 "y_label": "residual, relative", "y_log": True,
                 "series": [{"label": "stationarity, 1 − cos",
                             "points": [[i, 10.0 ** -i] for i in range(12)],
                             "times": [10.0**i for i in range(12)]}]},
            ]},
        ],
        "phase": {
            "title": "The simplest case", "norm": "l1", "axes": ["β₁", "β₂"],
            "face": [[0.5, 0.5], [0.75, 0.25]],
            "paths": [
                {"reached": True, "points": [[-0.5, 0.5], [0.0, 1.0], [0.55, 0.45]]},
                {"reached": False, "points": [[-0.5, -0.5], [-0.9, -0.1]]},
            ],
        },
        "fidelity": {
            "runs": 148, "audited": 8, "stretches": 64, "local_error": 0.98, "deviation": 0.012,
            "errors": {"name": "local error", "label": "log10 of local error over its bound",
                       "edges": [-3.0, -2.0, -1.0, 0.0], "counts": [1, 3, 144]},
        },
        "histograms": [
            {"name": "samples", "label": "samples n", "edges": [0.5 + i for i in range(9)],
             "counts": [4, 30, 44, 31, 20, 12, 5, 2]},
            {"name": "margin", "label": "best normalised margin γ*",
             "edges": [10 ** (-4 + 0.25 * i) for i in range(17)],
             "counts": [1, 0, 2, 3, 5, 9, 12, 17, 20, 22, 19, 15, 11, 7, 4, 1]},
            {"name": "dim", "label": "dimension d", "edges": [0.5, 1.5, 2.5, 4.5, 8.5, 16.5],
             "counts": [2, 31, 60, 41, 14]},
        ],
        "curves": [
            {
                "name": "gap", "title": "Margin gap and certificate", "x_label": "ln norm",
                "y_label": "gap, relative", "y_log": True,
                "series": [
                    {"label": "primal gap, worst case",
                     "points": [[1.3 * i, 0.6 * math.exp(-0.21 * i)] for i in range(64)],
                     "times": [None, *(math.exp(1.1 * i) - 5 for i in range(1, 64))]},
                    {"label": "dual gap, worst case",
                     "points": [[1.3 * i, 0.9 * math.exp(-0.17 * i) * (1.3 + math.sin(i / 3))]
                                for i in range(64)]},
                    {"label": "median primal gap",
                     "points": [[1.3 * i, 0.5 * math.exp(-0.3 * i)] for i in range(64)]},
                ],
            },
            {
                "name": "attention", "title": "Attention on the optimal token",
                "x_label": "ln norm", "y_label": "least over the samples", "y_log": False,
                "series": [{"label": "worst case",
                            "points": [[1.3 * i, 1 / (1 + math.exp(2 - i / 4))]
                                       for i in range(64)]}],
            },
        ],
    }  # fmt: skip


def problem_result() -> dict[str, Any]:
    """One ``check --json`` object."""
    run = {
        "outcome": "held", "reason": "informative: own gap at the start 0.41",
        "reached_infimum": True, "selected_tokens": [2, 0, 1], "margin_gap": 3.1e-9,
        "selected_margin_gap": 3.1e-9, "selected_outcome": "held", "dual_gap": 8.8e-8,
        "direction": [0.25, -0.5, 0.25], "log_norm": 71.3, "log_time": 3.2e30,
        "conservation_drift": 2e-11,
        "fidelity": {"ok": True, "local_error": 0.99, "audited": 3, "deviation": 0.01,
                     "fault": ""},
        "steps": 212, "seconds": 0.4,
        "attention": {"optimal": [2, 0, 1], "before": [0.2, 0.31, 0.4], "after": [1.0, 1.0, 1.0]},
    }  # fmt: skip
    stuck = run | {
        "outcome": "vacuous", "reached_infimum": False, "margin_gap": None,
        "reason": "the infimum is not reached: sample 1 settles on token 3",
    }  # fmt: skip
    sampled = _sampled("x", verdict_of(CLAIMS[6]))
    return {
        "schema": 1, "file": "my.npz", "model": "diagonal", "outcome": "held",
        "problem": {
            "samples": 3, "tokens": 4, "dim": 3, "constraints": 9,
            "separability": "separable", "optimal_unique": True,
        },
        "svm": {
            "norm": "l1", "optimum": 2.9182, "lower": 2.9181999, "upper": 2.9182001,
            "proof": "exact", "unique": "proved", "solution": [0.7, -1.5, 0.7],
            "width": 1.5e-16, "status": "optimal", "solver": "simplex",
            "exact": {"of": "optimum", "value": "14591/5000"},
        },
        "runs": [run, stuck],
        "assumptions": [
            {"key": "separable", "statement": "Some weights separate the data.",
             "latex": r"\gamma^* > 0", "scope": "problem", "margins": [0.3427], "met": True},
            {"key": "nonzero-invariant", "statement": "No invariant is zero.", "latex": "c_j > 0",
             "scope": "start", "margins": [0.2, -0.01], "met": False},
        ],
        "page": {key: sampled[key] for key in ("curves", "close_ups", "phase")},
    }  # fmt: skip
