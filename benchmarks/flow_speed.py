"""Runs a second of the flow engine, against scipy's BDF in logarithmic time.

    python benchmarks/flow_speed.py [--batch 64 256 1024] [--alone 16] [--peer 3] [--json FILE]

The engine follows batches of Gaussian problems (n = 5, L = 4, d = 8; factored: n = 3, L = 3,
d = e = 4) until its own primal-dual certificate closes to 1e-6, on one thread; and some runs one by
one, each a batch of its own.  The peer is what a careful user
would otherwise write: the raw weights, gradients free of cancellation, scipy's BDF in
s = ln(1 + t), stopped as soon as the margin of its weights is within 1e-6 of the optimum
(told to it in advance: it has no certificate of its own).  Both on the same problems, in the
same run.  Where the flow itself needs norms beyond float64's clock to come that close, the
peer cannot: the column "ln norm needed" says so.  Prints a table; --json writes the numbers.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MKL_NUM_THREADS", "1")
os.environ.setdefault("MKL_CBWR", "AVX2,STRICT")

import argparse
import json
import time
import warnings
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from scipy.integrate import solve_ivp

from checks.flow.integrate import integrate
from checks.flow.orbit import Status
from checks.flow.reference import Reference
from checks.flow.settings import Settings
from checks.problems import Array, AttentionProblem, Start, constraints_of

SHAPE = (5, 4, 8)
FACTORED = (3, 3, 4)
GAP = 1e-6
PEER_SECONDS = 6.0
"""Enough: 20 s, or any tolerance from 1e-4 to 1e-10, brought no other problem to the gap."""


@dataclass(frozen=True)
class EngineRow:
    """One batch, or one run alone (batch 1): the median of some.  closed: share of runs whose
    certificate closed to GAP."""

    model: str
    batch: int
    seconds: float
    runs_per_second: float
    closed: float


@dataclass(frozen=True)
class PeerRow:
    """One problem.  log_norm: where the engine's certificate closed.  gap: the smallest margin
    gap that the peer reached, and how long that took."""

    model: str
    problem: int
    log_norm: float
    gap: float
    seconds: float
    reached: bool


def draw(
    model: str, count: int, shape: tuple[int, int, int] | None = None, seed: int | list[int] = 0
) -> tuple[list[AttentionProblem], list[Start]]:
    """Gaussian problems and small starts, as in research/baselines.md; shape: (n, L, d)."""
    rng = np.random.default_rng(seed)
    shape = shape or (FACTORED if model == "factored" else SHAPE)
    n, _, d = shape
    problems, starts = [], []
    for _ in range(count):
        problems.append(
            AttentionProblem.of(
                rng.normal(size=shape), rng.normal(size=(n, d)), rng.choice([-1, 1], size=n),
                rng.normal(size=d),
            )
        )  # fmt: skip
        if model == "diagonal":
            key, query = 0.1 * np.abs(rng.normal(size=d)) + 0.1, 0.05 * rng.normal(size=d)
            starts.append(Start.diagonal(key, query, d))
        elif model == "factored":
            starts.append(Start.factored(*(0.3 * rng.normal(size=(2, d, d))), d))
        else:
            starts.append(Start.combined(0.1 * rng.normal(size=d), d))
    return problems, starts


def engine(model: str, batch: int) -> EngineRow:
    problems, starts = draw(model, batch)
    began = time.perf_counter()
    orbit = integrate(problems, starts, Settings(gap=GAP))
    seconds = time.perf_counter() - began
    closed = sum(status is Status.CLOSED for status in orbit.status) / batch
    return EngineRow(model, batch, seconds, batch / seconds, closed)


def alone(model: str, count: int) -> EngineRow:
    """Runs one by one: the time of the median, and how many closed."""
    seconds, closed = [], 0
    for problem, start in zip(*draw(model, count), strict=True):
        began = time.perf_counter()
        orbit = integrate([problem], [start], Settings(gap=GAP))
        seconds.append(time.perf_counter() - began)
        closed += orbit.status[0] is Status.CLOSED
    median = float(np.median(seconds))
    return EngineRow(model, 1, median, 1 / median, closed / count)


class Stop(Exception):
    """Raised from within a peer's right-hand side: its solver has no other way out."""


@dataclass(frozen=True)
class Solver:
    """A method of scipy.integrate.solve_ivp and its tolerances."""

    method: str = "BDF"
    rtol: float = 1e-8
    atol: float = 1e-12


def peer(
    model: str,
    problem: AttentionProblem,
    start: Start,
    selected: Array,
    gamma: float,
    solver: Solver = Solver(),
    enough: float = GAP,
    budget: float = PEER_SECONDS,
) -> tuple[float, float]:
    """scipy in log time: the smallest gap seen, and the seconds until then.

    selected (n,): the tokens whose optimum is gamma.  Ends at gap ``enough`` or after ``budget``
    seconds.
    """
    d = problem.dim
    diagonal = model == "diagonal"
    reference = Reference(problem, start.model, (d,))
    raw = start.weights
    if diagonal:
        raw = np.concatenate((np.asarray(start.key), np.asarray(start.query)))
    rows = constraints_of(problem, selected).rows
    began = time.perf_counter()
    best, at = np.inf, 0.0

    def velocity(s: float, y: Array) -> Array:
        nonlocal best, at
        beta = y[:d] * y[d:] if diagonal else y
        _, log_clock = reference.ascent(beta)
        size = np.abs(beta).sum() if diagonal else np.linalg.norm(beta)
        gap = 1 - float((rows @ beta).min()) / float(size) / gamma
        now = time.perf_counter() - began
        if gap < best:
            best, at = gap, now
        if best <= enough or now > budget:
            raise Stop
        # dt = e^s ds.  The cut keeps trial steps of its Newton iteration from overflowing.
        return np.asarray(reference.velocity(y) * np.exp(np.minimum(log_clock + s, 300.0)))

    # Stopped, or lost to NaN (scipy's ValueError): ``best`` says how far it came.
    with np.errstate(all="ignore"), warnings.catch_warnings(), suppress(Stop, ValueError):
        warnings.simplefilter("ignore")  # LSODA's, when it gives up
        options = {"rtol": solver.rtol, "atol": solver.atol}
        solve_ivp(velocity, (0.0, 1e12), raw, method=solver.method, **options)
    return best, at


def against_peer(model: str, count: int) -> list[PeerRow]:
    """The first ``count`` problems that the engine closes, each by the peer."""
    problems, starts = draw(model, 4 * count)
    orbit = integrate(problems, starts, Settings(gap=GAP))
    closed = [i for i, status in enumerate(orbit.status) if status is Status.CLOSED][:count]
    rows = []
    for i in closed:
        gamma = float(orbit.dual[i])
        gap, seconds = peer(model, problems[i], starts[i], orbit.selected[i], gamma)
        rows.append(PeerRow(model, i, float(orbit.log_norm[i]), gap, seconds, gap <= GAP))
    return rows


def tables(engines: list[EngineRow], peers: list[PeerRow]) -> str:
    lines = ["| model | batch | seconds | runs/s | certificate closed |", "|---|---|---|---|---|"]
    lines += [
        f"| {r.model} | {r.batch} | {r.seconds:.3g} | {r.runs_per_second:.1f} | {r.closed:.0%} |"
        for r in engines
    ]
    lines += ["", "| model | problem | ln norm needed | BDF gap | BDF seconds | times slower |"]
    lines += ["|---|---|---|---|---|---|"]
    for r in peers:
        fastest = max(e.runs_per_second for e in engines if e.model == r.model)
        ratio = f"{r.seconds * fastest:.0f}" if r.reached else "not reached"
        cells = (r.model, r.problem, f"{r.log_norm:.0f}", f"{r.gap:.1e}", f"{r.seconds:.2f}", ratio)
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, nargs="+", default=[64, 256, 1024])
    parser.add_argument("--model", nargs="+", default=["diagonal", "combined-diagonal", "factored"])
    parser.add_argument("--alone", type=int, default=16, help="runs one by one, a model")
    parser.add_argument("--peer", type=int, default=5, help="problems for scipy's BDF, a model")
    parser.add_argument("--json", type=Path, help="write the numbers here")
    options = parser.parse_args()
    torch.set_num_threads(1)
    engines = [engine(model, batch) for model in options.model for batch in options.batch]
    if options.alone:
        engines += [alone(model, options.alone) for model in options.model]
    # The peer follows vectors of weights.
    vectors = [model for model in options.model if model != "factored" and options.peer]
    peers = [row for model in vectors for row in against_peer(model, options.peer)]
    print(tables(engines, peers))
    if options.json:
        record = {
            "shape": SHAPE, "factored": FACTORED, "gap": GAP,
            "engine": [asdict(r) for r in engines], "peer": [asdict(r) for r in peers],
        }  # fmt: skip
        options.json.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
