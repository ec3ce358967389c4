"""``python -m tests.mutation``: go on with the mutants that are not done."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from dataclasses import asdict
from importlib import import_module

from tests.mutation import trial
from tests.mutation.equivalent import EQUIVALENT, HARMLESS
from tests.mutation.operators import Mutant, mutated, sample
from tests.mutation.results import FILE, drawn, read, score
from tests.mutation.targets import TARGETS
from tests.mutation.trial import LIBRARIES, run

_ONE_PATH = {
    **{f"{library}_NUM_THREADS": "1" for library in ("OMP", "MKL", "OPENBLAS")},
    "MKL_CBWR": "AVX2,STRICT",
}
"""As in tests/conftest.py, which is read too late here."""


class Baselines:
    """CPU seconds of tests on the source as it is, measured once; refuses tests that fail."""

    def __init__(self) -> None:
        self._seconds: dict[tuple[str, ...], float] = {}

    def limit(self, module: str, tests: tuple[str, ...]) -> float:
        """How long a mutant may take: four times as long, and time to load the suite."""
        if tests not in self._seconds:
            sound = run(module, None, trial.tests(tests), 3600.0)
            if sound.outcome != "survived":
                raise SystemExit(f"without a mutant {sound.by or tests} fails")
            self._seconds[tests] = sound.seconds
        return 4 * self._seconds[tests] + 10


def tried(mutant: Mutant, baselines: Baselines) -> dict[str, object]:
    """The record of one mutant: its module's first tests, and more if they let it pass."""
    tree, seconds = mutated(mutant), 0.0
    for tests in TARGETS[mutant.module]:
        limit = baselines.limit(mutant.module, tests)
        found = run(mutant.module, tree, trial.tests(tests), limit)
        seconds += found.seconds
        if found.outcome != "survived":
            break
    return {"operator": mutant.operator, **asdict(found), "seconds": round(seconds, 1)}


PLANTS, LIMIT = 5, 300.0
"""How many errors a night plants, and seconds of ``verify`` for each."""


def plant(seed: str, baselines: Baselines) -> int:
    """Mutants of the night, through ``verify`` first: exit status 1 where neither a claim nor a
    test sees one that is not known to change nothing."""
    unseen = 0
    for mutant in sample(list(TARGETS), PLANTS, seed):
        tree = mutated(mutant)
        found = run(mutant.module, tree, trial.verify(LIMIT), 2 * LIMIT)
        by = f"verify, {found.by}"
        if found.outcome == "survived" and mutant.name not in {**EQUIVALENT, **HARMLESS}:
            record = tried(mutant, baselines)
            by = f"not by verify; tests: {record['outcome']} {record['by']}"
            unseen += record["outcome"] == "survived"
        print(f"{mutant.name}\n    {by}", flush=True)
    print(f"{unseen} of {PLANTS} planted at seed {seed} were seen by nothing")
    return int(unseen > 0)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("--minutes", type=float, default=1e9, help="begin none after so many")
    parser.add_argument("--survivors", action="store_true", help="try those that survived again")
    parser.add_argument("--module", default="", help="those of one module alone")
    parser.add_argument("--plant", metavar="SEED", help="five others at this seed, by verify")
    given = parser.parse_args(arguments)
    os.environ |= _ONE_PATH
    for library in LIBRARIES:
        import_module(library)
    baselines, results, begun = Baselines(), read(), time.monotonic()
    if given.plant is not None:
        return plant(given.plant, baselines)
    for mutant in drawn():
        before = results.get(mutant.name, {}).get("outcome")
        if given.module not in ("", mutant.module) or time.monotonic() - begun > 60 * given.minutes:
            continue
        if before is None or (given.survivors and before == "survived"):
            results[mutant.name] = found = tried(mutant, baselines)
            kept = {m.name: results[m.name] for m in drawn() if m.name in results}
            FILE.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n", "utf-8")
            print(f"{found['outcome']:9}{found['seconds']:7.1f} s  {mutant.name}", flush=True)
    print(score(read()))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
