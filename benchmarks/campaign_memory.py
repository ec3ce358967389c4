"""Memory of the process that runs a campaign, against the number of runs.

    python benchmarks/campaign_memory.py [RUNS]

One claim, judged by a stand-in that costs nothing and returns results as large as a real limit
claim's: inputs, margins, curves of 64 points, a certificate.  This process measures, stores,
merges and reports them all, so its memory bounds that of one that only coordinates workers.
Prints resident memory in MiB after every tenth of the parts, and at the end.
"""

from __future__ import annotations

import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil

from checks import budgets, campaign, registry, streams, workers
from checks.limit_checks import result
from checks.outcomes import CaseResult, Measurement, Outcome, Verdict

CLAIM = "limit.combined-l2"


def stand_in(cases: Any, context: Any) -> list[CaseResult]:
    """HELD, with everything that a limit claim carries."""
    points = [(float(x), float(x), float(x)) for x in range(64)]
    certificate = {"primal": ["0x1.8p0"] * 16, "dual": [{"sample": 0, "weight": "0x1p-3"}] * 12}
    out = []
    for case in cases:
        margins = dict.fromkeys(context.assumptions, 1.0)
        measured = (Measurement("margin gap", float(case.start.weights[0]) ** 2, 1e3, "none"),)
        out.append(
            result(case, Outcome.HELD, "", margins, measurements=measured, certificate=certificate,
                   curves={"margin gap": points, "certificate gap": points})
        )  # fmt: skip
    return out


def main(runs: int) -> None:
    stream = replace(streams.COMBINED_DIAGONAL_LIMIT, share=1.0)
    budget = replace(budgets.PROFILES["deep"], cases=runs, search=0)
    budgets.PROFILES["deep"] = budget
    registry.CHECKS[CLAIM] = registry.Check(CLAIM, "__main__:stand_in", "__main__:STREAM")
    globals()["STREAM"] = stream
    process, seen, begun = psutil.Process(), [0], time.monotonic()
    honest = workers.run_part

    def watched(part: Any) -> Any:
        measured = honest(part)
        before, seen[0] = seen[0], seen[0] + part.count
        if seen[0] * 10 // runs > before * 10 // runs:
            print(f"{seen[0]:>9} runs  {process.memory_info().rss / 2**20:7.0f} MiB", flush=True)
        return measured

    workers.run_part = watched
    with tempfile.TemporaryDirectory() as out:
        order = campaign.Order((CLAIM,), "deep", 0, out, "cpu", 1, False, None, False)
        verdicts: list[Verdict] = campaign.run(order, "benchmark", lambda directory: None)
        size = sum(path.stat().st_size for path in Path(out).rglob("*") if path.is_file()) / 2**20
    took, resident = time.monotonic() - begun, process.memory_info().rss / 2**20
    print(f"{verdicts[0].tried} cases judged in {took:.0f} s; output {size:.0f} MiB")
    print(f"resident at the end {resident:.0f} MiB")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
