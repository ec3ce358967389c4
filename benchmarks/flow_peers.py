"""marginflow against what its users would otherwise run, on the same problems.

    python benchmarks/flow_peers.py [--problems 8] [--seconds 10] [--gap 5e-8] [--batch 256]
                                    [--grid 3] [--follow 256] [--diffrax PYTHON] [--json FILE]

How close, how soon: Gaussian problems with small starts (flow_speed.draw; n = 5, L = 4, d = 8), the
first --problems of a batch of --batch whose certificate marginflow closes to --gap: on the others
it has nothing to compare, so its own share of closed ones stands in its row.  A gap is
1 - margin/|beta|_1/gamma*, gamma* the certified l1 optimum (checks.svm) of the tokens that the flow
selects; a peer that settles on other tokens keeps a gap.  Counted are the smallest gap seen
anywhere on the way (of scipy and torchode, at trial points too) and the seconds until then, up to
--gap or --seconds.  It flatters peers: they have no certificate and are told gamma*, and whether
they still follow the flow there is not asked.  Many of these problems need norms beyond 1e13, where
rounding ends what forms beta: a note has ln |beta|_1 where marginflow closed.  In batches, seconds
are those of the batch over its rows, and its budget is that of --problems runs.  The floor is the
convex problem alone: no flow is followed.

Every peer follows raw weights (k, q) in float64 on one thread; solvers in s = ln(1 + t), with
gradients free of cancellation.  "Best settings found": those of GRID, the first --grid a peer, all
tried on the problems that are reported; the table has the one of smallest median gap (below
--gap all are equal), then of smallest median time.  --json has all of them.

How soon at finite time: the first --follow problems, closed or not, to t = 1e299, near the
end of float64's clock.  diffrax's Dopri5, one by one, at the loosest of RTOLS whose drift of
k^2 - q^2 is at most DRIFT wherever it finished, in two senses; marginflow in one batch, all of it
as far as the largest ln |beta|_1 that diffrax found there, and further until all of it is there.
diffrax's unfinished runs cost it their steps up to a bound (diffrax_peer.MOST), so the ratio is
given without them and with them.

torchode runs where it is importable; diffrax in the environment of --diffrax, or of this script.
Compilation (JAX) is in no seconds: it has its own.  Prints tables; --json writes the numbers.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MKL_NUM_THREADS", "1")
os.environ.setdefault("MKL_CBWR", "AVX2,STRICT")

import argparse
import importlib.util
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from flow_speed import Solver, draw, peer
from peer_tables import Followed, Row, Setting, best, tables

from checks.flow.integrate import integrate
from checks.flow.orbit import Status
from checks.flow.settings import Settings
from checks.problems import Array, AttentionProblem, Start, constraints_of
from checks.svm import solve_svm

LOOSE, USUAL, TIGHT = (
    {"rtol": 1e-5, "atol": 1e-8},
    {"rtol": 1e-8, "atol": 1e-12},
    {"rtol": 1e-10, "atol": 1e-14},
)
PI = {"pcoeff": 0.3, "icoeff": 0.3}
"""One of the controllers that diffrax's documentation advises where problems are mildly stiff."""
CHORD = {"kappa": 1.0, "root_find_max_steps": 30}
"""diffrax's Newton iterations, less strict and longer: now better than its own, now worse."""
GRID: dict[str, list[Setting]] = {
    "normalised GD": [{"lr": 0.1}, {"lr": 1.0}, {"lr": 0.01}],
    "scipy BDF": [USUAL, LOOSE, TIGHT],
    "scipy LSODA": [USUAL, LOOSE, TIGHT],
    "torchode Dopri5": [USUAL, LOOSE, TIGHT],
    "torchode Tsit5": [USUAL, LOOSE, TIGHT],
    "diffrax Dopri5": [USUAL, LOOSE, USUAL | PI],
    "diffrax Kvaerno5": [USUAL, LOOSE | PI, LOOSE | PI | CHORD],
}
"""Peer -> settings.  lr 0.1: the notebooks'; the tolerances: flow_speed's, and either side."""
RTOLS = (1e-5, 1e-6, 1e-7, 1e-8, 1e-9, 1e-10)
"""Tolerances of the run to t = 1e299, loosest first; atol is a thousandth."""
DRIFT = 1e-8
END = 299 * float(np.log(10))
MOST = 14.0
"""ln of the norm beyond which marginflow is not asked to go to be there at that time."""
EVERY = 10
"""Steps of gradient descent between two looks at the gap, whose cost is not the peer's."""


@dataclass(frozen=True)
class Options:
    """What the command line asks for: see there."""

    problems: int = 8
    seconds: float = 10.0
    gap: float = 5e-8
    batch: int = 256
    grid: int = 3
    follow: int = 256
    diffrax: str | None = None


@dataclass(frozen=True)
class Case:
    """A problem that marginflow closes.  index: of the draw; selected (n,): the flow's tokens;
    rows (R, d): their constraints; gamma: the certified largest margin, no less than the true."""

    index: int
    problem: AttentionProblem
    start: Start
    selected: Array
    rows: Array
    gamma: float

    def gap(self, beta: Array) -> float:
        return 1 - float((self.rows @ beta).min()) / float(np.abs(beta).sum()) / self.gamma


def cases_of(options: Options) -> tuple[list[Case], list[Row]]:
    """The first problems that marginflow closes; its rows and the floor's."""
    batch, target = options.batch, options.gap
    problems, starts = draw("diagonal", batch)
    settings = Settings(gap=target)
    integrate(problems[:2], starts[:2], Settings(early_steps=3, late_steps=1))  # warm
    began = time.perf_counter()
    orbit = integrate(problems, starts, settings)
    shared = (time.perf_counter() - began) / batch
    closed = [i for i, status in enumerate(orbit.status) if status is Status.CLOSED]
    cases, floor, alone, together = [], [], [], []
    for i in closed[: options.problems]:
        constraints = constraints_of(problems[i], orbit.selected[i])
        began = time.perf_counter()
        optimum = solve_svm(constraints, "l1")
        floor.append((optimum.width, time.perf_counter() - began))
        case = Case(
            i, problems[i], starts[i], orbit.selected[i], constraints.rows, 1 / optimum.lower
        )
        cases.append(case)
        began = time.perf_counter()
        own = integrate([case.problem], [case.start], settings)
        alone.append((case.gap(own.direction[0]), time.perf_counter() - began))
        together.append((case.gap(orbit.direction[i]), shared))
    asked = {"gap": target}
    norms = orbit.log_norm[[case.index for case in cases]]
    needed = f"ln norm there {norms.min():.0f} to {norms.max():.0f}" if cases else ""
    rows = [
        Row.of("floor: certified SVM", {}, floor),
        Row.of("marginflow, one by one", asked, alone, needed),
        Row.of(f"marginflow, batch of {batch}", asked, together, f"{len(closed)}/{batch} closed"),
    ]
    return cases, rows


def descend(case: Case, rate: float, target: float, budget: float) -> tuple[float, float, int]:
    """Gradient descent by rate g/|g| on (k, q), g by autograd, as the papers' notebooks have it:
    smallest gap, the seconds until then, and the steps of the run."""
    own = (case.problem.tokens, case.problem.queries, case.problem.scores)
    x, z, scores = (torch.tensor(array) for array in own)
    weights = torch.tensor(np.stack([case.start.key, case.start.query])).requires_grad_()  # type: ignore[list-item]
    began = time.perf_counter()
    best, at, now, steps = np.inf, 0.0, 0.0, 0
    while best > target and now < budget:
        logits = torch.einsum("ild,id->il", x, z * (weights[0] * weights[1]))
        loss = torch.exp(-(torch.softmax(logits, -1) * scores).sum(-1)).mean()
        (gradient,) = torch.autograd.grad(loss, weights)
        size = gradient.norm()
        if not size > 0:  # the softmax has saturated: nothing is left of the gradient
            break
        with torch.no_grad():
            weights -= rate / size * gradient
        steps += 1
        if steps % EVERY == 0:
            gap, now = case.gap(weights.detach().prod(0).numpy()), time.perf_counter() - began
            if gap < best:
                best, at = gap, now
    return best, at, steps


def one_by_one(method: str, setting: Setting, cases: Sequence[Case], options: Options) -> Row:
    bounds = (options.gap, options.seconds)
    if method == "normalised GD":
        found = [descend(case, setting["lr"], *bounds) for case in cases]
        fewest = min(steps for _, _, steps in found)
        return Row.of(method, setting, [run[:2] for run in found], f"{fewest} steps or more")
    solver = Solver(method.split()[1], **setting)
    runs = [
        peer("diagonal", c.problem, c.start, c.selected, c.gamma, solver, *bounds) for c in cases
    ]
    return Row.of(method, setting, runs)


def arrays_of(cases: Sequence[Case], count: int) -> dict[str, Array]:
    """The first ``count`` problems stacked.  start (B, 2d); rows (B, R, d), gamma (B,): of the
    cases, the rest 0 and 1; R is the largest there is, the first row of fewer repeated."""
    problems, starts = draw("diagonal", count)
    most = max(len(c.rows) for c in cases)
    rows, gamma = np.zeros((count, most, problems[0].dim)), np.ones(count)
    for case in cases:
        rows[case.index], gamma[case.index] = case.rows[0], case.gamma
        rows[case.index, : len(case.rows)] = case.rows
    return {
        "tokens": np.stack([p.tokens for p in problems]),
        "queries": np.stack([p.queries for p in problems]),
        "scores": np.stack([p.scores for p in problems]),
        "start": np.stack([np.concatenate([s.key, s.query]) for s in starts]),
        "rows": rows,
        "gamma": gamma,
    }


def by_torchode(method: str, setting: Setting, cases: Sequence[Case], options: Options) -> Row:
    """The whole batch at once, the budget that of all the runs one by one."""
    from torchode_peer import solve

    arrays, index = arrays_of(cases, options.batch), [c.index for c in cases]
    budget = options.seconds * len(cases)
    gaps, at, note = solve(method.split()[1], setting, arrays, index, options.gap, budget)
    return Row(method, setting, gaps, [t / options.batch for t in at], note)


def by_diffrax(cases: Sequence[Case], options: Options) -> tuple[list[Row], list[dict[str, Any]]]:
    """diffrax_peer.py in its environment: rows, and its runs to t = 1e299 (a tolerance each).

    Raises RuntimeError: the last line of what it said.
    """
    tried = [(m, s) for m in GRID if m.startswith("diffrax") for s in GRID[m][: options.grid]]
    work = {
        "seconds": options.seconds, "gap": options.gap, "reached": [c.index for c in cases],
        "grid": [s | {"solver": m.split()[1]} for m, s in tried],
        "followed": options.follow, "rtols": RTOLS, "drift": DRIFT, "end": END,
    }  # fmt: skip
    count = max([options.follow, *(1 + c.index for c in cases)])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "problems.npz"
        np.savez(path, **arrays_of(cases, count))  # type: ignore[arg-type]
        script = Path(__file__).with_name("diffrax_peer.py")
        words = [options.diffrax or sys.executable, str(script), str(path), json.dumps(work)]
        try:
            done = subprocess.run(words, capture_output=True, text=True)
        except OSError as error:
            raise RuntimeError(str(error)) from error
    if done.returncode:
        raise RuntimeError((done.stderr.strip().splitlines() or ["no word"])[-1])
    found = json.loads(done.stdout)
    rows = []
    for (method, setting), each in zip(tried, found["reach"], strict=True):
        gaps, seconds = [[run[k] for run in each["runs"]] for k in ("gap", "seconds")]
        rows.append(Row(method, setting, gaps, seconds, f"compiled in {each['compile']:.1f} s"))
    return rows, found["follow"]


def follow(tried: Sequence[dict[str, Any]], options: Options) -> list[Followed]:
    """diffrax at the loosest tolerance that keeps k^2 - q^2, in two senses; marginflow as far."""
    rows, horizon = [], 0.0
    for name, of in (("of_weights", "the sum of k^2 + q^2"), ("drift", "its largest entry")):
        done = [[run for run in each["runs"] if run["finished"]] for each in tried]
        drifts = [max([run[name] for run in runs], default=np.inf) for runs in done]
        # The loosest come first; where none will do, the one nearest to it.
        at = next((i for i, d in enumerate(drifts) if d <= DRIFT), int(np.argmin(drifts)))
        horizon = max([horizon, *(run["log_norm"] for run in done[at])])
        setting = {"rtol": tried[at]["rtol"], "atol": 1e-3 * tried[at]["rtol"]}
        seconds, finished = ([r[k] for r in tried[at]["runs"]] for k in ("seconds", "finished"))
        drift, note = f"{drifts[at]:.1e} of {of}", f"compiled in {tried[at]['compile']:.1f} s"
        rows.append(Followed("diffrax Dopri5", setting, seconds, finished, drift, note))
    problems, starts = draw("diagonal", options.follow)
    while True:
        began = time.perf_counter()
        orbit = integrate(problems, starts, Settings(gap=0.0, horizon=horizon))
        each = (time.perf_counter() - began) / options.follow
        finished = (orbit.log_time >= END).tolist()
        # Rows that diffrax did not finish may need a larger norm.
        if all(finished) or horizon > MOST:
            break
        horizon += 0.25
    asked = {"gap": 0.0, "horizon": horizon}
    return [*rows, Followed("marginflow, one batch", asked, [each] * len(finished), finished)]


def compare(options: Options) -> tuple[list[Row], list[Followed]]:
    """Every row of every setting, and the runs to t = 1e299.

    Raises ValueError where marginflow closes none of the batch.
    """
    cases, rows = cases_of(options)
    if not cases:
        raise ValueError(f"no certificate closed to {options.gap:g} in {options.batch} problems")
    for method, settings in GRID.items():
        for setting in settings[: options.grid]:
            if method.startswith("torchode"):
                try:
                    rows.append(by_torchode(method, setting, cases, options))
                except ImportError:
                    rows.append(Row(method, why="not installed"))
            elif not method.startswith("diffrax"):
                rows.append(one_by_one(method, setting, cases, options))
    try:
        if options.diffrax is None and importlib.util.find_spec("diffrax") is None:
            raise RuntimeError("not installed")
        more, tried = by_diffrax(cases, options)
    except RuntimeError as error:
        return rows + [Row(m, why=str(error)) for m in GRID if m.startswith("diffrax")], []
    return rows + more, follow(tried, options)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--problems", type=int, default=8, help="how many are compared")
    parser.add_argument("--seconds", type=float, default=10.0, help="budget a run")
    parser.add_argument("--gap", type=float, default=5e-8, help="where a run may end")
    parser.add_argument("--batch", type=int, default=256, help="drawn, and run at once")
    parser.add_argument("--grid", type=int, default=3, help="settings tried, a peer")
    parser.add_argument("--follow", type=int, default=256, help="problems to t = 1e299")
    parser.add_argument("--diffrax", metavar="PYTHON", help="interpreter that has diffrax")
    parser.add_argument("--json", type=Path, help="write the numbers here")
    options = parser.parse_args()
    torch.set_num_threads(1)
    asked = Options(**{k: v for k, v in vars(options).items() if k != "json"})
    rows, followed = compare(asked)
    print(tables(rows, followed, asked.gap))
    if options.json:
        record = {
            "options": asdict(asked), "rows": [asdict(r) for r in rows],
            "best": [asdict(r) for r in best(rows, asked.gap)],
            "followed": [asdict(f) for f in followed],
        }  # fmt: skip
        options.json.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
