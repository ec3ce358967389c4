"""Solved problems as the audit is given them: in arguments, or in a case file."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from checks.audit import gap_from_raw, gap_of
from checks.problems import AttentionProblem, Constraints, constraints_of
from checks.rounding import FULL, Norm
from checks.svm import SvmSolution, solve_svm

NORMS: tuple[Norm, ...] = ("l1", "l2", "frobenius", "nuclear")
SEEDS = st.integers(0, 2**32 - 1)

Solved = tuple[AttentionProblem, Constraints, SvmSolution]


def solved(seed: int, norm: Norm, samples: int = 3, length: int = 3, dim: int = 4) -> Solved:
    """A realisable problem (scores in an appended coordinate), separable by construction."""
    rng = np.random.default_rng(np.random.Philox(seed))
    weights = rng.normal(size=(dim, dim)) if norm in FULL else np.diag(rng.normal(size=dim))
    tokens, queries = rng.normal(size=(samples, length, dim)), rng.normal(size=(samples, dim))
    labels = rng.choice([-1.0, 1.0], size=samples)
    scores = rng.normal(size=(samples, length))
    best = np.einsum("nld,de,ne->nl", tokens, weights, queries).argmax(axis=1)
    scores[np.arange(samples), best] = scores.max(axis=1) + 0.5
    tokens = np.concatenate([tokens, (labels[:, None] * scores)[:, :, None]], axis=2)
    queries = np.concatenate([queries, np.zeros((samples, 1))], axis=1)
    problem = AttentionProblem.of(tokens, queries, labels, np.append(np.zeros(dim), 1.0))
    found = constraints_of(problem)
    return problem, found, solve_svm(found, norm)


def arguments(case: Solved) -> dict[str, Any]:
    """The keyword arguments of gap_from_raw for a solved case."""
    problem, found, solution = case
    return {
        "tokens": problem.tokens.tolist(),
        "queries": problem.queries.tolist(),
        "scores": problem.scores.tolist(),
        "selected": problem.optimal.tolist(),
        "primal": solution.solution.tolist(),
        "dual": [
            (int(i), int(t), float(w))
            for i, t, w in zip(found.sample, found.token, solution.multipliers, strict=True)
        ],
        "norm": solution.norm,
    }


def hexed(value: Any) -> Any:
    return [hexed(v) for v in value] if isinstance(value, list) else float(value).hex()


def record_of(case: Solved, gap: float | None = None) -> dict[str, Any]:
    """A case file as the runner writes it."""
    problem, _, solution = case
    given_to = arguments(case)
    names = ("tokens", "queries", "labels", "head", "scores")
    return {
        "schema": 1,
        "claim": "limit.diagonal-l1",
        "outcome": "held",
        "problem": {name: hexed(getattr(problem, name).tolist()) for name in names},
        "model": "diagonal",
        "certificate": {
            "norm": solution.norm,
            "selected": given_to["selected"],
            "primal": hexed(given_to["primal"]),
            "dual": [{"sample": i, "token": t, "weight": w.hex()} for i, t, w in given_to["dual"]],
            "gap": (gap_of(*gap_from_raw(**given_to)) if gap is None else gap).hex(),
        },
    }
