"""Memory of the process that runs a campaign, against the number of runs.

    python benchmarks/campaign_memory.py [--runs 100000] [--json FILE] [--svg FILE]

One claim, judged by a stand-in that costs nothing and returns results as large as a real limit
claim's: inputs, margins, curves of 64 points, a certificate.  This process measures, stores,
merges and reports them all, so its memory bounds that of one that only coordinates workers.
Prints resident memory in MiB after every fiftieth of the runs, and the peak of the whole
process, in which the merging and the report at the end are.  Exit status 1 if that is beyond
2 GiB, or if not every case was counted.  --svg needs matplotlib.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil

import reports
from checks import budgets, campaign, registry, streams, workers
from checks.limit_checks import result, unmet, vacuous
from checks.outcomes import CaseResult, Measurement, Outcome, Verdict

CLAIM = "limit.combined-l2"
STREAM = replace(streams.COMBINED_DIAGONAL_LIMIT, share=1.0, must_see=())
BOUND = 2048.0
"""MiB that the coordinating process may take."""


def stand_in(cases: Any, context: Any) -> list[CaseResult]:
    """HELD, with everything that a limit claim carries; violators VACUOUS, as they must be."""
    points = [(float(x), float(x), float(x)) for x in range(64)]
    certificate = {"primal": ["0x1.8p0"] * 16, "dual": [{"sample": 0, "weight": "0x1p-3"}] * 12}
    out = []
    for case in cases:
        margins, missing = unmet(case, context.assumptions)
        if not missing and "nonseparable" in case.spec.family:
            missing = "separable"
        if not missing and "trap" in case.spec.family:
            missing = "infimum-reached"
        if missing:
            out.append(vacuous(case, margins, missing))
            continue
        measured = (Measurement("margin gap", float(case.start.weights[0]) ** 2, 1e3, "none"),)
        out.append(
            result(case, Outcome.HELD, "", margins, measurements=measured, certificate=certificate,
                   curves={"margin gap": points, "certificate gap": points})
        )  # fmt: skip
    return out


def measure(runs: int) -> dict[str, Any]:
    """The curve, the peak, and what was counted."""
    budgets.PROFILES["deep"] = replace(budgets.PROFILES["deep"], cases=runs, search=0)
    registry.CHECKS[CLAIM] = registry.Check(CLAIM, "__main__:stand_in", "__main__:STREAM")
    process, begun = psutil.Process(), time.monotonic()
    curve = [(0, process.memory_info().rss / 2**20)]
    seen = 0
    honest = workers.run_part

    def watched(part: Any) -> Any:
        nonlocal seen
        measured = honest(part)
        seen += part.count if part.kind == "campaign" else 0
        if seen * 50 // runs > curve[-1][0] * 50 // runs:
            curve.append((seen, process.memory_info().rss / 2**20))
            print(f"{seen:>9} runs  {curve[-1][1]:7.0f} MiB", flush=True)
        return measured

    workers.run_part = watched
    with tempfile.TemporaryDirectory() as out:
        order = campaign.Order((CLAIM,), "deep", 0, out, "cpu", 1, False, None, False)
        verdicts: list[Verdict] = campaign.run(order, "benchmark", reports.build)
        size = sum(path.stat().st_size for path in Path(out).rglob("*") if path.is_file()) / 2**20
    (verdict,) = verdicts
    return {
        "runs": seen,
        "tried": verdict.tried,
        "outcome": verdict.outcome.word,
        "reason": verdict.reason,
        "curve_mib": [[runs, round(mib)] for runs, mib in curve],
        "peak_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10),
        "bound_mib": round(BOUND),
        "output_mib": round(size, 1),
        "seconds": round(time.monotonic() - begun),
    }


def draw(found: dict[str, Any], path: Path) -> None:
    """The curve as a small picture."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams.update({"svg.hashsalt": "0", "svg.fonttype": "none", "font.size": 8})
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(4.5, 2.4), layout="constrained")
    axes.plot(*zip(*found["curve_mib"], strict=True), color="#1f4e79", label="resident")
    axes.axhline(found["peak_mib"], color="#1f4e79", ls=":", label="peak, report included")
    axes.axhline(found["bound_mib"], color="#b03a2e", ls="--", label="bound")
    axes.set(xlabel="runs", ylabel="MiB", ylim=(0, 1.1 * found["bound_mib"]), xlim=0)
    axes.legend(frameon=False, loc="center right")
    figure.savefig(path, metadata={"Date": None})


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--svg", type=Path)
    options = parser.parse_args()
    found = measure(options.runs)
    print("\n| runs | peak MiB | output MiB | seconds | verdict |\n| --- | --- | --- | --- | --- |")
    print(
        f"| {found['tried']} | {found['peak_mib']} | {found['output_mib']} | {found['seconds']} "
        f"| {found['outcome']} {found['reason']} |"
    )
    if options.json:
        options.json.write_text(json.dumps(found) + "\n", encoding="utf-8")
    if options.svg:
        draw(found, options.svg)
    return int(found["peak_mib"] > BOUND or found["tried"] < options.runs)


if __name__ == "__main__":
    sys.exit(main())
