"""Guided search for full-rank counterexamples of the frontier claim: evidence, not a theorem.

    python benchmarks/hunt.py [--minutes 10] [--seed 0] [--columns E] [--known] [--pin DIR]

Problem after problem, half of the runs by Hypothesis on integers and half by differential
evolution, until the processor time is used.  A find that frontier.atlas confirms at two tolerances
is written to DIR, a pinned case of that claim (put it into checks/pinned/).  --known: known failing
starts are looked at too, a control that has to find some (with --columns 1 it soon does).
Prints what it did, and exits with 1 if something survived.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import torch

from checks import hunt
from checks.cases import campaign_specs, decode

SHAPES = ((3, 3, 3), (3, 3, 2))
POPULATION, GENERATIONS, BATCH, EXAMPLES = 12, 3, 12, 4


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10.0, help="of processor time")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--columns", type=int, help="e; default: d and 2d in turn")
    parser.add_argument("--known", action="store_true")
    parser.add_argument("--pin", type=Path, default=Path("build/hunted"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    end = time.process_time() + 60 * options.minutes
    problems = made = reached = candidates = survived = 0
    worst = -1.0
    while time.process_time() < end:
        shape = SHAPES[problems % len(SHAPES)]
        name = "factored/separable/random"
        (spec,) = campaign_specs("hunt", name, shape, options.seed, [problems])
        case = decode(spec)
        dim = case.problem.dim
        columns = options.columns or (dim, 2 * dim)[problems // 2 % 2]
        search = hunt.Hunt(case, columns, options.known)
        search.draw(options.seed + problems, max(1, min(BATCH, 512 // search.entries)), EXAMPLES)
        search.evolve(options.seed + problems, POPULATION, GENERATIONS)
        problems, made, reached = problems + 1, made + search.runs, reached + search.reached
        worst = max(worst, search.worst)
        found = search.candidate
        if found is None:
            continue
        candidates += 1
        good, words = hunt.survives(found)
        print(
            f"candidate: gap {search.worst:.3g}, {columns} columns: {' | '.join(words)}", flush=True
        )
        if good:
            survived += 1
            options.pin.mkdir(parents=True, exist_ok=True)
            record = hunt.pinned(found, search.worst, words)
            (options.pin / hunt.name_of(found)).write_text(json.dumps(record))
    print(
        f"{made} runs on {problems} problems, {reached} reached the infimum, worst nuclear gap "
        f"{worst:.3g} at ln N(W) = {hunt.HORIZON:g}; {candidates} candidates, {survived} survived "
        "two tolerances. Evidence, not a theorem."
    )
    return 1 if survived else 0


if __name__ == "__main__":
    raise SystemExit(main())
