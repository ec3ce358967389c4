"""Milliseconds a certified margin problem, against the bare solver and against plain cvxpy.

    python benchmarks/oracle_speed.py [--instances 9] [--json FILE]

Gaussian separable problems of R constraints in d dimensions, all contenders on the same problems
in the same run, in turns, on one thread: CPU time, the median over problems of the best of five.
"bare" solves and proves nothing: HiGHS called directly for l1 (dual simplex, no presolve, one
object), scipy's nnls for l2.  "cvxpy" is what a careful user would write, with its problem built
afresh: norm1 and HiGHS, sum_squares or normNuc and CLARABEL at 1e-10.  "certified" is solve_svm
with rounding bounds, "default" solve_svm as it is (proved in rationals up to 32 dimensions).
Targets: certified <= 2 bare + 0.1 ms and <= cvxpy for l1 and l2, and so is default <= cvxpy;
certified <= 1.3 cvxpy for nuclear.  Prints a table; --json writes the numbers.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("MKL_NUM_THREADS", "1")
os.environ.setdefault("MKL_CBWR", "AVX2,STRICT")

import argparse
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import highspy
import numpy as np

from checks.convex_models import cvxpy_answer
from checks.problems import AttentionProblem, Constraints, constraints_of
from checks.rounding import Norm
from checks.separability import least_distance, span_rows
from checks.svm import solve_svm

VECTOR = ((6, 4), (24, 16), (120, 32), (200, 64))
"""(R, d) for l1 and l2."""
NUCLEAR = ((6, 4), (18, 4), (30, 8), (60, 16))
"""(R, d), three constraints a sample."""
REPEATS = 5


@dataclass(frozen=True)
class Row:
    """One norm and size.  Times in milliseconds; width: largest of the certified intervals."""

    norm: Norm
    constraints: int
    dim: int
    bare: float | None
    certified: float
    default: float
    cvxpy: float
    width: float
    proof: str
    met: bool


def draw(norm: Norm, constraints: int, dim: int, seed: int) -> Constraints:
    """Tokens, queries and a separating direction, all Gaussian: the best token scores 1."""
    length = 4 if constraints % 3 == 0 else 3
    samples = constraints // (length - 1)
    rng = np.random.default_rng(seed)
    tokens, queries = rng.normal(size=(samples, length, dim)), rng.normal(size=(samples, dim))
    turned = (
        queries @ rng.normal(size=(dim, dim))
        if norm == "nuclear"
        else queries * rng.normal(size=dim)
    )
    best = np.einsum("ild,id->il", tokens, turned).argmax(axis=1)
    scores = np.zeros((samples, length))
    scores[np.arange(samples), best] = 1.0
    return constraints_of(
        AttentionProblem.of(tokens, queries, np.ones(samples), np.zeros(dim), scores)
    )


class Simplex:
    """HiGHS on min 1'(b+ + b-) s.t. A (b+ - b-) >= 1, one object for all problems."""

    def __init__(self) -> None:
        self.solver = highspy.Highs()
        for name, value in (("output_flag", False), ("presolve", "off"), ("solver", "simplex")):
            self.solver.setOptionValue(name, value)

    def __call__(self, problem: Constraints) -> float:
        rows = problem.rows
        count, dim = rows.shape
        lp = highspy.HighsLp()
        lp.num_col_, lp.num_row_ = 2 * dim, count
        lp.col_cost_ = np.ones(2 * dim)
        lp.col_lower_, lp.col_upper_ = np.zeros(2 * dim), np.full(2 * dim, highspy.kHighsInf)
        lp.row_lower_, lp.row_upper_ = np.ones(count), np.full(count, highspy.kHighsInf)
        lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
        lp.a_matrix_.start_ = np.arange(0, 2 * dim * count + 1, 2 * dim)
        lp.a_matrix_.index_ = np.tile(np.arange(2 * dim), count)
        lp.a_matrix_.value_ = np.hstack([rows, -rows]).ravel()
        self.solver.passModel(lp)
        self.solver.run()
        return float(self.solver.getInfo().objective_function_value)


def nonnegative(problem: Constraints) -> float:
    """scipy's nnls on the least-distance problem."""
    return least_distance(span_rows(problem, full=False)).residual


Contender = Callable[[Constraints], Any]


def milliseconds(
    contenders: dict[str, Contender], problems: Sequence[Constraints]
) -> dict[str, float]:
    """Median over the problems of the best of REPEATS, in CPU time.

    The contenders take turns, so that a busy machine slows all of them down alike.
    """
    found: dict[str, list[float]] = {name: [] for name in contenders}
    for problem in problems:
        best = dict.fromkeys(contenders, np.inf)
        for _ in range(REPEATS):
            for name, solve in contenders.items():
                fresh = replace(problem)  # what a problem remembers of itself is computed anew
                began = time.process_time()
                solve(fresh)
                best[name] = min(best[name], time.process_time() - began)
        for name, seconds in best.items():
            found[name].append(1e3 * seconds)
    return {name: median(times) for name, times in found.items()}


def compare(norm: Norm, constraints: int, dim: int, instances: int, simplex: Simplex) -> Row:
    problems = [draw(norm, constraints, dim, seed) for seed in range(instances)]
    rounded = None if norm == "nuclear" else False
    model = "HIGHS" if norm == "l1" else "CLARABEL"
    contenders: dict[str, Contender] = {
        "certified": lambda p: solve_svm(p, norm, rounded),
        "default": lambda p: solve_svm(p, norm),
        "cvxpy": lambda p: cvxpy_answer(p, norm, solver=model),
    }
    if norm != "nuclear":
        contenders["bare"] = simplex if norm == "l1" else nonnegative
    times = milliseconds(contenders, problems)
    bare, certified, plain = times.get("bare"), times["certified"], times["cvxpy"]
    width = max(solve_svm(p, norm, rounded).width for p in problems)
    if bare is None:
        met = certified <= 1.3 * plain
    else:
        met = certified <= 2.0 * bare + 0.1 and max(certified, times["default"]) <= plain
    proof = solve_svm(problems[0], norm).proof
    return Row(norm, constraints, dim, bare, certified, times["default"], plain, width, proof, met)


def table(rows: Sequence[Row]) -> str:
    lines = [
        "| norm | R x d | bare ms | certified ms | / bare | cvxpy ms | / cvxpy | width "
        "| default ms | / cvxpy | proof | target |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for r in rows:
        cells = (
            r.norm, f"{r.constraints} x {r.dim}", "-" if r.bare is None else f"{r.bare:.3f}",
            f"{r.certified:.3f}", "-" if r.bare is None else f"{r.certified / r.bare:.1f}",
            f"{r.cvxpy:.1f}", f"{r.certified / r.cvxpy:.2f}", f"{r.width:.0e}", f"{r.default:.2f}",
            f"{r.default / r.cvxpy:.2f}", r.proof, "met" if r.met else "MISSED",
        )  # fmt: skip
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--instances", type=int, default=9, help="problems a size")
    parser.add_argument("--json", type=Path, help="write the numbers here")
    options = parser.parse_args()
    simplex = Simplex()
    rows = [
        compare(norm, *size, options.instances, simplex)
        for norm, sizes in (("l1", VECTOR), ("l2", VECTOR), ("nuclear", NUCLEAR))
        for size in sizes
    ]
    print(table(rows))
    if options.json:
        record = {"instances": options.instances, "rows": [asdict(row) for row in rows]}
        options.json.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
