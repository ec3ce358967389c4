"""diffrax on the problems of flow_peers.py, in an environment of its own.

    PYTHON benchmarks/diffrax_peer.py problems.npz '{"seconds": 10, ...}'

Run by flow_peers.py, which writes both arguments; imports jax, diffrax, numpy and the standard
library only.  One problem after the other in float64, the raw weights y = [k, q] in
s = ln(1 + t), gradients free of cancellation, compiled once a solver.  Prints JSON: ``reach``, the
smallest margin gap of each problem, setting by setting; ``follow``, the flow to a given s.
Compilation is timed apart: nothing else in these seconds is JAX's tracing.
"""

from __future__ import annotations

import os

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault(
    "XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
)

import json
import sys
import time
from typing import Any

import diffrax
import jax
import jax.numpy as jnp
import numpy as np

jax.config.update("jax_enable_x64", True)

CHUNK = 32
"""Steps between two looks at the clock and the gap."""
FAR = 1e12
MOST = 50_000
"""Steps of one run to t = 1e299: nine in ten of those that end take 6,000, the longest seen 40,000;
four times as many finished no other."""


def velocity(s: Any, y: Any, data: dict[str, Any]) -> Any:
    """dy/ds, as checks.flow.reference and flow_speed.peer have it."""
    key, query = jnp.split(y, 2)
    x, z = data["tokens"], data["queries"]
    log_s = jax.nn.log_softmax((x * (z * key * query)[:, None, :]).sum(-1), axis=-1)
    gbar = (jnp.exp(log_s) * data["scores"]).sum(-1)
    size = log_s[:, :, None] + log_s[:, None, :] + data["log_rise"] - gbar[:, None, None]
    top = size.max()
    share = jnp.exp(size - top)
    pull = (share * data["sign"]).sum(-1)
    ascent = ((pull[:, :, None] * x).sum(1) * z).sum(0)
    clock = 0.5 * share.sum()
    rate = jnp.exp(jnp.minimum(top + jnp.log(clock / len(x)) + s, 300.0)) / clock
    return rate * jnp.concatenate((query * ascent, key * ascent))


def gap_of(y: Any, data: dict[str, Any]) -> Any:
    key, query = jnp.split(y, 2)
    beta = key * query
    return 1 - (data["rows"] @ beta).min() / jnp.abs(beta).sum() / data["gamma"]


def controller(tolerances: Any, setting: dict[str, Any]) -> diffrax.PIDController:
    return diffrax.PIDController(
        rtol=tolerances[0], atol=tolerances[1],
        pcoeff=setting.get("pcoeff", 0.0), icoeff=setting.get("icoeff", 1.0),
    )  # fmt: skip


def reacher(setting: dict[str, Any]) -> Any:
    """(s, y, step, tolerances, data) -> the same after CHUNK steps, and the gaps on the way."""
    finder = {}
    if "kappa" in setting:  # of implicit methods: see their documentation on performance
        chord = diffrax.with_stepsize_controller_tols(diffrax.VeryChord)(kappa=setting["kappa"])
        finder = {"root_finder": chord, "root_find_max_steps": setting["root_find_max_steps"]}
    solver = getattr(diffrax, setting["solver"])(**finder)

    def advance(s: Any, y: Any, step: Any, tolerances: Any, data: dict[str, Any]) -> Any:
        found = diffrax.diffeqsolve(
            diffrax.ODETerm(velocity), solver, s, FAR, step, y, data,
            stepsize_controller=controller(tolerances, setting),
            saveat=diffrax.SaveAt(steps=True), max_steps=CHUNK, throw=False,
        )  # fmt: skip
        count = jnp.isfinite(found.ts).sum()
        last = jnp.maximum(count - 1, 0)
        before = jnp.where(count > 1, found.ts[last - 1], s)
        gaps = jax.vmap(gap_of, (0, None))(found.ys, data)
        smallest = jnp.where(jnp.isfinite(found.ts) & jnp.isfinite(gaps), gaps, jnp.inf).min()
        return found.ts[last], found.ys[last], found.ts[last] - before, count, smallest

    return jax.jit(advance)


def compiled(function: Any, *example: Any) -> tuple[Any, float]:
    began = time.perf_counter()
    ready = function.lower(*example).compile()
    return ready, time.perf_counter() - began


def reach(setting: dict[str, Any], cases: list[dict[str, Any]], work: dict[str, Any]) -> Any:
    tolerances = jnp.array([setting["rtol"], setting["atol"]])
    first = (jnp.array(0.0), cases[0]["start"], jnp.array(1e-3), tolerances, cases[0]["data"])
    advance, seconds = compiled(reacher(setting), *first)
    runs = []
    for case in cases:
        began = time.perf_counter()
        s, y, step = jnp.array(0.0), case["start"], jnp.array(1e-3)
        best, at, now = float("inf"), 0.0, 0.0
        while best > work["gap"] and now < work["seconds"]:
            s, y, step, count, smallest = advance(s, y, step, tolerances, case["data"])
            smallest, now = float(smallest), time.perf_counter() - began
            if smallest < best:
                best, at = smallest, now
            if int(count) == 0 or not step > 0:  # CHUNK rejections in a row: it is stuck
                break
        runs.append({"gap": best, "seconds": at})
    return {"setting": setting, "compile": seconds, "runs": runs}


def follow(rtol: float, cases: list[dict[str, Any]], end: float) -> Any:
    """Dopri5 from s = 0 to ``end`` in one call a problem.

    Largest change of k^2 - q^2 at the end: drift, over its own largest entry; of_weights, over
    |k|^2 + |q|^2 there (checks.flow.chain).
    """

    def run(y: Any, tolerances: Any, data: dict[str, Any]) -> Any:
        found = diffrax.diffeqsolve(
            diffrax.ODETerm(velocity), diffrax.Dopri5(), 0.0, end, None, y, data,
            stepsize_controller=controller(tolerances, {}), max_steps=MOST, throw=False,
        )  # fmt: skip
        return found.ys[-1], found.result == diffrax.RESULTS.successful, found.stats["num_steps"]

    tolerances = jnp.array([rtol, rtol * 1e-3])
    ready, seconds = compiled(jax.jit(run), cases[0]["start"], tolerances, cases[0]["data"])
    runs = []
    for case in cases:
        began = time.perf_counter()
        y, successful, steps = ready(case["start"], tolerances, case["data"])
        y = np.asarray(y)
        now = time.perf_counter() - began
        (k, q), (key, query) = y.reshape(2, -1), np.asarray(case["start"]).reshape(2, -1)
        kept = key * key - query * query
        change = np.abs((k * k - q * q) - kept).max()
        runs.append({
            "seconds": now, "finished": bool(successful) and bool(np.isfinite(y).all()),
            "drift": float(change / np.abs(kept).max()), "steps": int(steps),
            "of_weights": float(change / (k @ k + q @ q)),
            "log_norm": float(np.log(np.abs(k * q).sum())),
        })  # fmt: skip
    return {"rtol": rtol, "compile": seconds, "runs": runs}


def cases_of(arrays: Any) -> list[dict[str, Any]]:
    """Problems as jax arrays.  rows (P, R, d): padded by repeating one; gamma (P,)."""
    out = []
    for i in range(len(arrays["start"])):
        rise = arrays["scores"][i][:, :, None] - arrays["scores"][i][:, None, :]
        with np.errstate(divide="ignore"):
            data = {"sign": np.sign(rise), "log_rise": np.log(np.abs(rise))}
        names = ("tokens", "queries", "scores", "rows", "gamma")
        data |= {name: arrays[name][i] for name in names}
        data = {name: jnp.asarray(value) for name, value in data.items()}
        out.append({"start": jnp.asarray(arrays["start"][i]), "data": data})
    return out


def main() -> None:
    cases, work = cases_of(np.load(sys.argv[1])), json.loads(sys.argv[2])
    record: dict[str, Any] = {"versions": {"jax": jax.__version__, "diffrax": diffrax.__version__}}
    reached = [cases[i] for i in work["reached"]]
    record["reach"] = [reach(setting, reached, work) for setting in work["grid"]]
    record["follow"] = []
    for rtol in work["rtols"]:
        record["follow"].append(follow(rtol, cases[: work["followed"]], work["end"]))
        drifts = [run["drift"] for run in record["follow"][-1]["runs"] if run["finished"]]
        if max(drifts, default=np.inf) <= work["drift"]:
            break
    print(json.dumps(record))


if __name__ == "__main__":
    main()
