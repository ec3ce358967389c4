"""The limit claims of diagonal and combined weights on very many cases: is there a false alarm?

    python benchmarks/informative_runs.py DIR [--informative 100000] [--time-limit 40m]

Whole campaigns of the claims' own streams with the full profile's settings, seed after seed, each
in a folder of its own as `marginflow verify` leaves it, until so many runs were informative or
the time is up.  Prints a line a seed and writes DIR/informative_runs.json; the next call goes on
where this one ended.  Exit status 1 if a case was falsified: its case file is in the folder.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil

import reports
from checks import budgets, campaign, registry
from checks.cli import _seconds

CLAIMS = ("limit.diagonal-l1", "limit.combined-l2")
PROFILE = "full"
CHUNK = 512
"""Cases of one batch.  A bad audit makes its whole batch inconclusive; batches of a quarter of this
take nearly twice as long."""
COUNTED = ("tried", "informative", "vacuous", "inconclusive")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("directory", type=Path)
    parser.add_argument("--informative", type=int, default=100_000)
    parser.add_argument("--cases", type=int, default=4_000, help="of a claim and seed")
    parser.add_argument("--time-limit", default="40m")
    options = parser.parse_args()
    limit = _seconds(None, None, options.time_limit)
    assert limit is not None
    budget = budgets.PROFILES[PROFILE]
    budgets.PROFILES[PROFILE] = replace(budget, cases=options.cases, chunk=CHUNK, search=0)
    end = time.monotonic() + limit
    counts: dict[str, Counter[str]] = {claim: Counter() for claim in CLAIMS}
    falsified: list[str] = []
    begun = time.monotonic()
    for seed in itertools.count():
        left = end - time.monotonic()
        if left <= 0 or sum(c["informative"] for c in counts.values()) >= options.informative:
            break
        out = options.directory / f"seed-{seed}"
        order = campaign.Order(CLAIMS, PROFILE, seed, str(out), "cpu", 1, True, left, False)
        for verdict in campaign.run(order, " ".join(sys.argv), reports.build):
            counts[verdict.claim] += Counter({k: getattr(verdict, k) for k in COUNTED})
            counts[verdict.claim][f"verdict {verdict.outcome.word}"] += 1
            if verdict.outcome.word == "falsified":
                falsified.append(f"{out}/{verdict.case}")
        record: dict[str, Any] = {
            "seeds": seed + 1, "cases_a_seed": options.cases, "profile": PROFILE,
            "claims": {claim: dict(c) for claim, c in counts.items()}, "falsified": falsified,
            "seconds": round(time.monotonic() - begun),
            "resident_mib": round(psutil.Process().memory_info().rss / 2**20),
        }  # fmt: skip
        text = json.dumps(record, indent=1) + "\n"
        (options.directory / "informative_runs.json").write_text(text, encoding="utf-8")
        print(json.dumps(record["claims"]), f"{record['resident_mib']} MiB", flush=True)
    return int(bool(falsified))


if __name__ == "__main__":
    assert all(claim in registry.CHECKS for claim in CLAIMS)
    sys.exit(main())
