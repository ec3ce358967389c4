"""How cost and memory of the engine grow: one of d, R and the batch at a time.

    python benchmarks/flow_growth.py [--model diagonal combined-diagonal factored] [--most 8192]
                                     [--json FILE] [--plots DIR]

Gaussian problems and small starts; around (n, L, d) = (5, 4, 8) and a batch of 16, d goes from 4
to 64, R = n (L - 1) from 4 to 200, the batch from 2 to --most (factored: around (3, 3, 4) and a
batch of 4, d to 16, the batch to 2,048).  Every size is a process of its
own: CPU seconds a run and a step of a run (one thread), and by how much its peak resident memory
exceeds that of the same process before the batch.  Runs stop at a certified gap of 1e-6, at norm
e^60 or on their budgets, so that the slowest coordinate of one problem does not pose as growth.
The exponent of a column is its slope in log-log over the upper half of the sizes.
Prints a table; --json writes the numbers, --plots a picture for each of the three.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("MKL_NUM_THREADS", "1")
os.environ.setdefault("MKL_CBWR", "AVX2,STRICT")

import argparse
import json
import resource
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

SETTINGS = {"gap": 1e-6, "horizon": 60.0, "early_steps": 300, "late_steps": 60}
SIZES: dict[str, list[tuple[int, int, int, int]]] = {
    "d": [(5, 4, d, 16) for d in (4, 8, 16, 32, 64)],
    "R": [(n, length, 8, 16) for n, length in ((2, 3), (4, 3), (5, 4), (10, 5), (20, 6), (40, 6))],
    "batch": [(5, 4, 8, b) for b in (2, 8, 32, 128, 512, 2048, 8192)],
}
"""Factor -> sizes (n, L, d, batch)."""
FACTORED: dict[str, list[tuple[int, int, int, int]]] = {
    "d": [(3, 3, d, 4) for d in (2, 4, 8, 12, 16)],
    "R": [(n, length, 4, 4) for n, length in ((2, 3), (4, 3), (5, 4), (10, 5), (20, 6), (40, 6))],
    "batch": [(3, 3, 4, b) for b in (2, 8, 32, 128, 512, 2048)],
}
"""The same for key and query matrices: a Rosenbrock step solves a system of size 2 d e, here 2 d^2,
so d = 64 would ask for matrices of 0.5 GB a run."""
MODELS = ("diagonal", "combined-diagonal", "factored")


@dataclass(frozen=True)
class Row:
    """One size.  step_us: CPU microseconds a step of one run, rejected ones included."""

    model: str
    factor: str
    value: int
    batch: int
    run_ms: float
    step_us: float
    steps: float
    memory_mib: float


def measure(model: str, n: int, length: int, d: int, batch: int) -> dict[str, float]:
    """In a process of its own."""
    import torch
    from flow_speed import draw

    from checks.flow.integrate import integrate
    from checks.flow.settings import Settings

    torch.set_num_threads(1)
    problems, starts = draw(model, max(batch, 2), (n, length, d), [n, length, d])
    settings = Settings(**SETTINGS)  # type: ignore[arg-type]
    # What is loaded once and for all is not growth.
    integrate(problems[:2], starts[:2], Settings(early_steps=3, late_steps=1))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.process_time()
    orbit = integrate(problems[:batch], starts[:batch], settings)
    seconds = time.process_time() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    steps = float((orbit.early_steps + orbit.late_steps + orbit.rejected).sum())
    return {
        "run_ms": 1e3 * seconds / batch, "step_us": 1e6 * seconds / steps,
        "steps": steps / batch, "memory_mib": (peak - before) / 1024,
    }  # fmt: skip


def row(model: str, factor: str, size: tuple[int, int, int, int]) -> Row:
    n, length, d, batch = size
    words = [sys.executable, __file__, "--measure", model, *map(str, size)]
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True)
    value = {"d": d, "R": n * (length - 1), "batch": batch}[factor]
    return Row(model, factor, value, batch, **json.loads(done.stdout))


def exponent(rows: list[Row], column: str) -> float:
    """Slope in log-log over the upper half of the sizes."""
    upper = rows[len(rows) // 2 :]
    sizes = [max(getattr(r, column), 1e-3) for r in upper]
    return float(np.polyfit(np.log([r.value for r in upper]), np.log(sizes), 1)[0])


COLUMNS = ("run_ms", "step_us", "memory_mib")


def tables(rows: list[Row]) -> tuple[str, list[dict[str, object]]]:
    lines = ["| model | factor | value | batch | ms a run | us a step | steps a run | MiB |"]
    lines += ["|---|---|---|---|---|---|---|---|"]
    for r in rows:
        cells = (
            r.model, r.factor, r.value, r.batch, f"{r.run_ms:.2f}", f"{r.step_us:.1f}",
            f"{r.steps:.0f}", f"{r.memory_mib:.1f}",
        )  # fmt: skip
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    lines += [
        "",
        "| model | factor | exponent: ms a run | us a step | MiB |",
        "|---|---|---|---|---|",
    ]
    found: list[dict[str, object]] = []
    for model, factor in dict.fromkeys((r.model, r.factor) for r in rows):
        own = [r for r in rows if (r.model, r.factor) == (model, factor)]
        slopes = {c: exponent(own, c) for c in COLUMNS}
        found.append({"model": model, "factor": factor, **slopes})
        lines.append(
            "| " + " | ".join([model, factor, *(f"{s:.2f}" for s in slopes.values())]) + " |"
        )
    return "\n".join(lines), found


def plot(rows: list[Row], folder: Path) -> None:
    """FOLDER/flow_growth_FACTOR.svg: cost a step and memory, in log-log."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    folder.mkdir(parents=True, exist_ok=True)
    for factor in dict.fromkeys(r.factor for r in rows):
        figure, axes = pyplot.subplots(1, 2, figsize=(9, 3.5), layout="constrained")
        for model in dict.fromkeys(r.model for r in rows):
            own = [r for r in rows if (r.model, r.factor) == (model, factor)]
            for axis, column in zip(axes, ("step_us", "memory_mib"), strict=True):
                values = [getattr(r, column) or np.nan for r in own]
                axis.loglog([r.value for r in own], values, marker="o", label=model)
        for axis, title in zip(axes, ("CPU microseconds a step", "MiB"), strict=True):
            axis.set_xlabel(factor)
            axis.set_ylabel(title)
        axes[0].legend()
        figure.savefig(folder / f"flow_growth_{factor}.svg")
        pyplot.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--factor", nargs="+", choices=list(SIZES), default=list(SIZES))
    parser.add_argument("--most", type=int, default=8192, help="largest batch")
    parser.add_argument("--json", type=Path, help="write the numbers here")
    parser.add_argument("--plots", type=Path, help="directory for the pictures")
    parser.add_argument("--measure", nargs=5, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        model, *size = options.measure
        print(json.dumps(measure(model, *map(int, size))))
        return
    rows = [
        row(model, factor, size)
        for model in options.model
        for factor in options.factor
        for size in (FACTORED if model == "factored" else SIZES)[factor]
        if size[3] <= options.most
    ]
    text, exponents = tables(rows)
    print(text)
    if options.plots:
        plot(rows, options.plots)
    if options.json:
        record = {"rows": [asdict(r) for r in rows], "exponents": exponents}
        options.json.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
