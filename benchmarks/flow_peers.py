"""The engine beside what a user would otherwise follow the diagonal flow with, in one run.

    python benchmarks/flow_peers.py [--problems 5] [--batch 1024] [--json FILE]

Gaussian problems (n = 5, L = 4, d = 8) and small starts, the same for all; CPU seconds of one
thread a problem, contenders taking turns problem by problem.  Two tasks:

depth  until the margin is within 5e-8 of the certified l1 optimum of the tokens selected.
       marginflow stops on its own certificate; the others are told the optimum, and stopped
       the moment their weights are there, or after a time limit.
clock  to t = 1e299 in the end, with k^2 - q^2 kept to 1e-8 of |k|^2 + |q|^2, every row finished.
       (In marginflow that is kept by construction, so it runs at a tighter tolerance too.)

scipy: BDF and LSODA in s = ln(1 + t), gradients free of cancellation, the better of two
tolerances (rtol 1e-6 and 1e-8, atol 1e-12).  normalised GD: loss by autograd, each step of
length 0.1, 20,000 steps, as the notebooks of arXiv 2306.13596 and 2308.16898 do it.  diffrax:
compiled, float64, Dopri5 and Kvaerno5 with a PID controller, in s; the loosest rtol of 1e-6 to
1e-10 that keeps the drift, compilation not counted.  torchode: Dopri5 with rows in parallel,
uncompiled, in s, to t = 1e20 only (an explicit method takes m^2/4 steps).  The floor is the
certified solve of the margin problem alone, which knows no flow.  What is not installed is left
out (``tox run -e bench`` installs benchmarks/requirements.txt).
Prints a table and the ratios aimed at; --json writes the numbers.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("MKL_NUM_THREADS", "1")
os.environ.setdefault("MKL_CBWR", "AVX2,STRICT")
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false")
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import argparse
import json
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from flow_speed import draw
from scipy.integrate import solve_ivp

from checks.flow.integrate import integrate
from checks.flow.orbit import Orbit, Status
from checks.flow.reference import Reference
from checks.flow.settings import Settings
from checks.problems import Array, AttentionProblem, Start, constraints_of
from checks.svm import solve_svm

GAP = 5e-8
LOG_END = 299 * np.log(10)
DRIFT = 1e-8
LIMIT = 6.0
"""CPU seconds for one problem, in which a contender reaches the gap or not: 20 brought no other
problem there (research/baselines.md)."""
NEAR = 20.0
"""Peers get the problems that close below this ln norm first: none of them came further than 23."""
TARGET = {("depth", "scipy BDF"): 300.0, ("clock", "diffrax Dopri5"): 20.0}
Problem = tuple[AttentionProblem, Start]


@dataclass(frozen=True)
class Row:
    """One contender at one task on one problem (or on a batch: seconds a run).

    gap: margin gap of its weights to the optimum told; finished: did what the task asks."""

    task: str
    contender: str
    problem: int
    seconds: float
    gap: float
    drift: float
    log_norm: float
    finished: bool


@dataclass(frozen=True)
class Told:
    """A problem and start, and what the peers are told: rows and optimum of the selected tokens."""

    index: int
    problem: AttentionProblem
    start: Start
    rows: Array
    gamma: float

    @property
    def raw(self) -> Array:
        return np.concatenate((np.asarray(self.start.key), np.asarray(self.start.query)))

    def row(self, task: str, contender: str, seconds: float, raw: Array, reached: bool) -> Row:
        k, q = raw.reshape(2, -1)
        k0, q0 = self.raw.reshape(2, -1)
        drift = np.abs(k * k - q * q - k0 * k0 + q0 * q0).max() / (k @ k + q @ q)
        norm = np.abs(k * q).sum()
        gap = 1 - float((self.rows @ (k * q)).min()) / norm / self.gamma
        done = reached and (task == "depth" or drift <= DRIFT)
        return Row(
            task, contender, self.index, seconds, gap, float(drift), float(np.log(norm)), bool(done)
        )


class _Stop(Exception):
    """Raised from within a right-hand side: scipy has no other way out."""


def scipy_depth(method: str, told: Told) -> Row:
    """The better of two tolerances."""
    rows = [_scipy_depth(method, told, rtol) for rtol in (1e-6, 1e-8)]
    return min(rows, key=lambda r: (not r.finished, r.seconds if r.finished else r.gap))


def _scipy_depth(method: str, told: Told, rtol: float) -> Row:
    d = told.problem.dim
    reference = Reference(told.problem, "diagonal", (d,))
    began = time.process_time()
    best, at, where = np.inf, 0.0, told.raw

    def velocity(s: float, y: Array) -> Array:
        nonlocal best, at, where
        beta = y[:d] * y[d:]
        ascent, log_clock = reference.ascent(beta)
        gap = 1 - float((told.rows @ beta).min()) / float(np.abs(beta).sum()) / told.gamma
        now = time.process_time() - began
        if gap < best:
            best, at, where = gap, now, y.copy()
        if best <= GAP or now > LIMIT:
            raise _Stop
        # dt = e^s ds.  The cut keeps trial steps of an implicit method from overflowing.
        return (
            np.concatenate((y[d:], y[:d])) * np.tile(ascent, 2) * np.exp(min(log_clock + s, 300.0))
        )

    # Stopped, or lost to NaN (scipy's ValueError): ``best`` says how far it came.
    with np.errstate(all="ignore"), suppress(_Stop, ValueError):
        solve_ivp(velocity, (0.0, 1e12), told.raw, method=method, rtol=rtol, atol=1e-12)
    return told.row("depth", f"scipy {method}", at, where, best <= GAP)


def normalised_descent(told: Told, steps: int = 20_000) -> Row:
    """As in the notebooks of the neighbouring papers."""
    x, z = torch.tensor(told.problem.tokens), torch.tensor(told.problem.queries)
    gamma = torch.tensor(told.problem.scores)
    y = torch.tensor(told.raw.reshape(2, -1), requires_grad=True)
    began = time.process_time()
    for _ in range(steps):
        attention = torch.softmax((x * (y[0] * y[1] * z).unsqueeze(1)).sum(-1), -1)
        loss = torch.exp(-(attention * gamma).sum(-1)).mean()
        (slope,) = torch.autograd.grad(loss, y)
        size = slope.norm()
        if not float(size) > 0:
            break
        with torch.no_grad():
            y -= 0.1 * slope / size
    seconds = time.process_time() - began
    raw = y.detach().numpy().ravel()
    row = told.row("depth", "normalised GD", seconds, raw, False)
    return Row(**{**asdict(row), "finished": bool(row.gap <= GAP)})


class Diffrax:
    """diffrax on the raw weights in s = ln(1 + t)."""

    def __init__(self, name: str) -> None:
        import diffrax
        import jax

        jax.config.update("jax_enable_x64", True)
        self.name, np_ = name, jax.numpy

        def field(s: Any, y: Any, args: Any) -> Any:
            x, z, gamma, log_rise, sign = args
            k, q = y
            log_s = jax.nn.log_softmax((x * (k * q * z)[:, None, :]).sum(-1), axis=-1)
            gbar = (np_.exp(log_s) * gamma).sum(-1)
            size = log_s[:, :, None] + log_s[:, None, :] - gbar[:, None, None] + log_rise + s
            pull = (np_.exp(size) * sign).sum(2) / len(x)
            slope = ((pull[:, :, None] * x).sum(1) * z).sum(0)
            return q * slope, k * slope

        def solve(start: Any, args: Any, rtol: Any) -> Any:
            done = diffrax.diffeqsolve(
                diffrax.ODETerm(field), getattr(diffrax, name)(), 0.0, LOG_END, 1e-3, start, args,
                stepsize_controller=diffrax.PIDController(rtol=rtol, atol=1e-2 * rtol),
                max_steps=2_000_000, throw=False,
            )  # fmt: skip
            return done.ys, done.result == diffrax.RESULTS.successful

        self.solve = jax.jit(solve)

    def __call__(self, told: Told) -> Row:
        gamma = told.problem.scores
        rise = gamma[:, :, None] - gamma[:, None, :]
        with np.errstate(divide="ignore"):
            args = (told.problem.tokens, told.problem.queries, gamma, np.log(np.abs(rise)),
                    np.sign(rise))  # fmt: skip
        start = tuple(told.raw.reshape(2, -1))
        self.solve(start, args, 1e-3)[1].block_until_ready()  # compiled now
        for rtol in (1e-6, 1e-7, 1e-8, 1e-9, 1e-10):
            began = time.process_time()
            ys, fine = self.solve(start, args, rtol)
            raw, fine = np.concatenate([np.asarray(y[0]) for y in ys]), bool(fine)
            seconds = time.process_time() - began
            row = told.row("clock", f"diffrax {self.name}", seconds, raw, fine)
            if row.finished:
                break
        return row


def torchode(told: Sequence[Told], log_end: float = 20 * np.log(10)) -> list[Row]:
    """All problems at once, each row with its own step."""
    import torchode as to

    x = torch.tensor(np.stack([t.problem.tokens for t in told]))
    z = torch.tensor(np.stack([t.problem.queries for t in told]))
    gamma = torch.tensor(np.stack([t.problem.scores for t in told]))
    rise = gamma.unsqueeze(-1) - gamma.unsqueeze(-2)
    log_rise, sign = torch.log(rise.abs()), torch.sign(rise)
    d = x.shape[-1]

    def field(s: Any, y: Any) -> Any:
        k, q = y[:, :d], y[:, d:]
        log_s = torch.log_softmax((x * ((k * q).unsqueeze(1) * z).unsqueeze(2)).sum(-1), -1)
        gbar = (torch.exp(log_s) * gamma).sum(-1)
        pair = log_s.unsqueeze(-1) + log_s.unsqueeze(-2)
        size = pair - gbar[:, :, None, None] + log_rise + s[:, None, None, None]
        pull = (torch.exp(size) * sign).sum(-1) / x.shape[1]
        slope = ((pull.unsqueeze(-1) * x).sum(2) * z).sum(1)
        return torch.cat((q * slope, k * slope), -1)

    term = to.ODETerm(field)
    controller = to.IntegralController(atol=1e-10, rtol=1e-8, term=term)
    solver = to.AutoDiffAdjoint(to.Dopri5(term=term), controller)
    y0 = torch.tensor(np.stack([t.raw for t in told]))
    ends = torch.full((len(told),), log_end, dtype=torch.float64)
    began = time.process_time()
    with torch.no_grad():
        solution = solver.solve(
            to.InitialValueProblem(y0=y0, t_start=torch.zeros_like(ends), t_end=ends)
        )
    seconds = (time.process_time() - began) / len(told)
    last = solution.ys[:, -1].numpy()
    return [
        t.row("clock", "torchode Dopri5, t = 1e20", seconds, y, False)
        for t, y in zip(told, last, strict=True)
    ]


def engine(
    problems: Sequence[AttentionProblem], starts: Sequence[Start], settings: Settings
) -> tuple[Orbit, float]:
    """The orbit, and CPU seconds a run."""
    began = time.process_time()
    orbit = integrate(problems, starts, settings)
    return orbit, (time.process_time() - began) / len(problems)


DEPTH = Settings(gap=GAP)
CLOCK = {
    "marginflow": Settings(gap=-1.0, horizon=9.5, early_steps=1_500),
    "marginflow, 1e-8 and 1e-5": Settings(
        gap=-1.0, horizon=9.5, early_tolerance=1e-8, late_tolerance=1e-5, early_steps=6_000
    ),
}
"""Horizon: at t = 1e299 a margin is 690, and the norm e^9.5 = 13,000 where gamma* is 0.05."""


def engine_rows(
    task: str, name: str, problems: list[AttentionProblem], starts: list[Start], s: Settings
) -> tuple[list[Row], Orbit]:
    orbit, seconds = engine(problems, starts, s)
    rows = []
    for i, status in enumerate(orbit.status):
        done = status is Status.CLOSED if task == "depth" else orbit.log_time[i] >= LOG_END
        gap, size = float(orbit.own_gap[i]), float(orbit.log_norm[i])
        rows.append(Row(task, name, i, seconds, gap, 0.0, size, bool(done)))
    return rows, orbit


def run(count: int, batch: int) -> list[Row]:
    problems, starts = draw("diagonal", batch)
    engine(problems[:2], starts[:2], DEPTH)  # everything is loaded
    rows, orbit = engine_rows("depth", f"marginflow, batch {batch}", problems, starts, DEPTH)
    closed = [i for i, status in enumerate(orbit.status) if status is Status.CLOSED]
    near = [i for i in closed if orbit.log_norm[i] <= NEAR]
    closed = (near + [i for i in closed if i not in near])[:count]
    told = [
        Told(
            i, problems[i], starts[i], constraints_of(problems[i], orbit.selected[i]).rows,
            float(orbit.dual[i]),
        )
        for i in closed
    ]  # fmt: skip
    compiled = [Diffrax("Dopri5"), Diffrax("Kvaerno5")] if find_spec("diffrax") else []
    for t in told:
        alone, _ = engine_rows("depth", "marginflow, alone", [t.problem], [t.start], DEPTH)
        rows += [Row(**{**asdict(r), "problem": t.index}) for r in alone]
        rows += [scipy_depth("BDF", t), scipy_depth("LSODA", t), normalised_descent(t)]
        began = time.process_time()
        solution = solve_svm(constraints_of(t.problem, orbit.selected[t.index]), "l1")
        seconds = time.process_time() - began
        rows.append(
            Row("depth", "certified l1 solve", t.index, seconds, solution.width, 0.0, 0.0, True)
        )
        for contender in compiled:
            rows.append(contender(t))
    if find_spec("torchode"):
        rows += torchode(told)
    # Again, after everything else: the machine may have been busier at the beginning.
    rows += engine_rows("depth", f"marginflow, batch {batch}", problems, starts, DEPTH)[0]
    for name, settings in CLOCK.items():
        rows += engine_rows("clock", name, problems[: batch // 4], starts[: batch // 4], settings)[
            0
        ]
    return rows


def summary(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """One entry a contender: medians over its problems, those it did not finish included."""
    found: list[dict[str, Any]] = []
    for task, name in dict.fromkeys((r.task, r.contender) for r in rows):
        own = [r for r in rows if (r.task, r.contender) == (task, name)]
        gaps = [r.gap for r in own if np.isfinite(r.gap)]
        found.append({
            "task": task, "contender": name, "problems": len(own),
            "finished": sum(r.finished for r in own),
            "seconds": float(np.median([r.seconds for r in own])),
            "gap": float(np.median(gaps)) if gaps else None,
            "worst_gap": max(gaps, default=None), "drift": max(r.drift for r in own),
            "log_norm": float(np.median([r.log_norm for r in own])),
        })  # fmt: skip
    return found


def ratios(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """The targets: seconds of a peer over those of a marginflow run, on the problems it finished
    (a time limit, or the time of a failure, is no measurement of what it would have taken)."""
    found = []
    for (task, peer), aimed in TARGET.items():
        theirs = [r.seconds for r in rows if (r.task, r.contender) == (task, peer) and r.finished]
        tried = [r for r in rows if (r.task, r.contender) == (task, peer)]
        for ours in dict.fromkeys(
            r.contender for r in rows if r.task == task and r.contender.startswith("marginflow")
        ):
            own = [r for r in rows if (r.task, r.contender) == (task, ours)]
            cost = float(np.median([r.seconds for r in own]))
            every = all(r.finished for r in own) if task == "clock" else None
            ratio = float(np.median(theirs)) / cost if theirs else None
            met = ratio is not None and ratio >= aimed and every is not False
            found.append({
                "task": task, "peer": peer, "finished": len(theirs), "tried": len(tried),
                "ours": ours, "every_row_finished": every, "aimed": aimed, "ratio": ratio,
                "met": met,
            })  # fmt: skip
    return found


def tables(entries: Sequence[dict[str, Any]], aims: Sequence[dict[str, Any]]) -> str:
    lines = ["| task | contender | finished | CPU s a problem | gap (worst) | drift | ln norm |"]
    lines += ["|---|---|---|---|---|---|---|"]
    for e in entries:
        gap = "-" if e["gap"] is None else f"{e['gap']:.1e} ({e['worst_gap']:.1e})"
        cells = (
            e["task"], e["contender"], f"{e['finished']}/{e['problems']}", f"{e['seconds']:.2g}",
            gap, f"{e['drift']:.0e}", f"{e['log_norm']:.1f}",
        )  # fmt: skip
        lines.append("| " + " | ".join(cells) + " |")
    lines += ["", "| task | peer (finished) | against | times slower | aimed | |"]
    lines += ["|---|---|---|---|---|---|"]
    for a in aims:
        ratio = "-" if a["ratio"] is None else f"{a['ratio']:.0f}"
        peer = f"{a['peer']} ({a['finished']}/{a['tried']})"
        cells = (
            a["task"], peer, a["ours"], ratio, f">= {a['aimed']:.0f}",
            "met" if a["met"] else "MISSED",
        )  # fmt: skip
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--problems", type=int, default=5, help="problems for each peer")
    parser.add_argument("--batch", type=int, default=1024, help="runs of the engine")
    parser.add_argument("--json", type=Path, help="write the numbers here")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = run(options.problems, options.batch)
    entries, aims = summary(rows), ratios(rows)
    print(tables(entries, aims))
    if options.json:
        record = {"gap": GAP, "contenders": entries, "ratios": aims,
                  "rows": [asdict(r) for r in rows]}  # fmt: skip
        options.json.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
