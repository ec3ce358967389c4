"""The comparison with other solvers: what it measures is a gap, and who is absent is said to be."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from checks.flow.reference import Reference
from checks.problems import AttentionProblem, Start

FOLDER = Path(__file__).resolve().parent.parent / "benchmarks"


def script(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A module of benchmarks/, which is no package: they import one another as scripts do."""
    monkeypatch.syspath_prepend(FOLDER)
    return importlib.import_module(name)


def test_the_peers_have_gaps_and_who_is_absent_is_said_to_be(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    peers = script("flow_peers", monkeypatch)
    for name in ("torchode", "diffrax"):
        monkeypatch.setitem(sys.modules, name, None)  # as if not installed
    options = peers.Options(problems=1, seconds=0.5, batch=4, grid=1)
    rows, followed = peers.compare(options)
    gaps = {row.method: row.gaps for row in rows if not row.why}
    assert set(gaps) == {
        "floor: certified SVM", "marginflow, one by one", "marginflow, batch of 4",
        "normalised GD", "scipy BDF", "scipy LSODA",
    }  # fmt: skip
    for method, found in gaps.items():
        assert len(found) == 1, method
        assert np.isfinite(found[0]), method
        assert found[0] >= -1e-9, f"{method}: no margin exceeds the certified optimum"
        if method.startswith(("marginflow", "floor")):
            assert found[0] <= options.gap, method
    absent = {row.method: row.why for row in rows if row.why}
    assert set(absent) == {m for m in peers.GRID if m.startswith(("torchode", "diffrax"))}
    assert set(absent.values()) == {"not installed"}
    lines = peers.tables(rows, followed, options.gap).splitlines()
    table = lines[: lines.index("")]
    for method in (*gaps, *absent):
        (line,) = [line for line in table if line.startswith(f"| {method} |")]
        assert ("not installed" in line) == (method in absent)
    assert len({line.count("|") for line in table}) == 1, "as many cells a row"


def test_an_interpreter_that_does_not_run_is_a_row_that_says_why(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    peers = script("flow_peers", monkeypatch)
    options = peers.Options(problems=1, seconds=0.0, batch=4, diffrax=str(tmp_path / "python"))
    cases, _ = peers.cases_of(options)
    with pytest.raises(RuntimeError, match="No such file"):
        peers.by_diffrax(cases, options)
    broken = peers.Options(problems=1, seconds=0.0, batch=4, diffrax="false")
    with pytest.raises(RuntimeError, match="no word"):
        peers.by_diffrax(cases, broken)


def test_the_best_setting_is_the_nearest_then_the_soonest(monkeypatch: pytest.MonkeyPatch) -> None:
    peers = script("peer_tables", monkeypatch)
    near = peers.Row.of("peer", {"rtol": 1.0}, [(1e-4, 3.0), (1e-4, 3.0)])
    far = peers.Row.of("peer", {"rtol": 2.0}, [(1e-3, 1.0), (1e-3, 1.0)])
    slow = peers.Row.of("peer", {"rtol": 3.0}, [(1e-9, 2.0), (1e-9, 2.0)])
    quick = peers.Row.of("peer", {"rtol": 4.0}, [(4e-8, 1.0), (4e-8, 1.0)])
    assert peers.best([far, near], 5e-8) == [near]
    assert peers.best([near, slow, quick, far], 5e-8) == [quick]


def test_the_flow_given_to_torchode_is_the_reference_flow(monkeypatch: pytest.MonkeyPatch) -> None:
    problems: list[AttentionProblem]
    starts: list[Start]
    problems, starts = script("flow_speed", monkeypatch).draw("diagonal", 3)
    names = ("tokens", "queries", "scores")
    arrays = [torch.tensor(np.stack([getattr(p, name) for p in problems])) for name in names]
    raw = 3 * np.stack([np.concatenate((s.key, s.query)) for s in starts])
    s = torch.full((3,), 2.0, dtype=torch.float64)
    velocity = script("torchode_peer", monkeypatch).flow(*arrays)(s, torch.tensor(raw)).numpy()
    for problem, y, found in zip(problems, raw, velocity, strict=True):
        reference = Reference(problem, "diagonal", (problem.dim,))
        _, log_clock = reference.ascent(np.prod(y.reshape(2, -1), 0))
        expected = reference.velocity(y) * np.exp(log_clock + 2.0)
        # Sums of n L^2 = 80 terms in another order: a few dozen roundings.
        assert np.abs(found - expected).max() <= 1e-13 * np.abs(expected).max()
