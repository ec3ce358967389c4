"""The audit of case files: honest ones stand, and no planted error gets past it."""

from __future__ import annotations

import copy
import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from checks import audit
from checks.audit import BadCase, audit_case, gap_from_raw, gap_of, main
from checks.problems import Constraints, constraints_of
from checks.rounding import Norm
from checks.svm import solve_svm
from tests.audit_fixture import NORMS, arguments, hexed, record_of, solved


@pytest.mark.parametrize("norm", NORMS)
def test_honest_case_files_stand(norm: Norm, tmp_path: Path) -> None:
    record = record_of(solved(7, norm))
    stands, why = audit_case(record)
    assert stands, why
    path = tmp_path / "case.json"
    path.write_text(json.dumps(record))
    assert main([str(path)]) == 0


def shifted_token(record: dict[str, Any]) -> None:
    """The selected token of sample 0 off by one."""
    chosen = record["certificate"]["selected"]
    chosen[0] = (chosen[0] + 1) % 3
    allowed = record["certificate"]["dual"]
    record["certificate"]["dual"] = [p for p in allowed if p["sample"] != 0]


def moved_query(record: dict[str, Any]) -> None:
    """Margins of sample 0 with the query of sample 1."""
    queries = record["problem"]["queries"]
    queries[0] = queries[1]


def swapped_norm(record: dict[str, Any]) -> None:
    other = {"l1": "l2", "l2": "l1", "frobenius": "nuclear", "nuclear": "frobenius"}
    record["certificate"]["norm"] = other[record["certificate"]["norm"]]


def flipped_primal(record: dict[str, Any]) -> None:
    record["certificate"]["primal"] = hexed(
        (-np.vectorize(float.fromhex)(record["certificate"]["primal"])).tolist()
    )


def uniform_dual(record: dict[str, Any]) -> None:
    for entry in record["certificate"]["dual"]:
        entry["weight"] = (1.0).hex()


def raised_score(record: dict[str, Any]) -> None:
    """Scores that tokens, labels and head do not give."""
    record["problem"]["scores"][0][0] = (99.0).hex()


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize(
    "plant",
    [shifted_token, moved_query, swapped_norm, flipped_primal, uniform_dual, raised_score],
)
def test_planted_errors_are_caught(plant: Any, norm: Norm, tmp_path: Path) -> None:
    case = solved(8, norm, samples=4)
    # the claim has room (1e-6 where 1e-9 is certified), so that a failure is the planted error's
    record = record_of(case, gap=1e-6)
    assert audit_case(copy.deepcopy(record))[0]
    plant(record)
    stands, why = audit_case(record)
    assert not stands, f"{plant.__name__} went unseen: {why}"
    path = tmp_path / "case.json"
    path.write_text(json.dumps(record))
    assert main([str(path)]) == 1


def test_an_off_by_one_in_the_constraint_builder_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """DESIGN.md, Independence: constraints built for a neighbouring token, solved and recorded in
    good faith, do not survive the audit."""
    problem, _, _ = solved(9, "l2", samples=2)
    wrong = constraints_of(problem)
    neighbour = (wrong.token + 1) % 3
    delta = wrong.delta + problem.tokens[wrong.sample, wrong.token]
    delta = delta - problem.tokens[wrong.sample, neighbour]
    planted = Constraints(delta, wrong.query, wrong.sample, wrong.token, wrong.kappa)
    planted = Constraints(
        *(
            getattr(planted, name)[np.abs(delta).sum(axis=1) > 0]
            for name in ("delta", "query", "sample", "token", "kappa")
        )
    )
    stands, _ = audit_case(record_of((problem, planted, solve_svm(planted, "l2")), gap=1e-6))
    assert not stands


def test_only_selection_claims_may_select_other_tokens() -> None:
    case = solved(8, "l1", samples=4)
    record = record_of(case, gap=1e-6)
    shifted_token(record)
    assert "optimal tokens" in audit_case(record)[1]
    record["claim"] = "selection.settled"
    assert "optimal tokens" not in audit_case(record)[1]


def test_a_gap_claimed_too_small_fails() -> None:
    case = solved(10, "l1")
    honest = gap_of(*gap_from_raw(**arguments(case)))
    assert audit_case(record_of(case, gap=honest))[0]
    assert not audit_case(record_of(case, gap=math.nextafter(honest, -1.0)))[0]


def change(path: tuple[Any, ...], value: Any) -> Any:
    def apply(record: dict[str, Any]) -> None:
        inner: Any = record
        for key in path[:-1]:
            inner = inner[key]
        inner[path[-1]] = value

    return apply


BAD = {
    "schema": change(("schema",), 2),
    "no problem": change(("problem",), None),
    "nan token": change(("problem", "tokens", 0, 0, 0), "nan"),
    "infinite query": change(("problem", "queries", 0, 0), "inf"),
    "text": change(("problem", "tokens", 0, 0, 0), "xyz"),
    "decimal string": change(("problem", "tokens", 0, 0, 0), "10"),
    "ragged": change(("problem", "tokens", 0, 0), ["0x1p0"]),
    "short labels": change(("problem", "labels"), ["0x1p0"]),
    "norm": change(("certificate", "norm"), "l7"),
    "norm of another shape": change(("certificate", "norm"), "frobenius"),
    "negative weight": change(("certificate", "dual", 0, "weight"), "-0x1p0"),
    "no such constraint": change(("certificate", "dual", 0, "token"), 17),
    "no dual": change(("certificate", "dual"), []),
    "zero primal": change(("certificate", "primal"), ["0x0p0"] * 5),
    "no such token": change(("certificate", "selected"), [0, 0, -1]),
    "too few selected": change(("certificate", "selected"), [0]),
    "missing": change(("certificate",), {}),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_case_files_end_in_one_line(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = record_of(solved(11, "l1"))
    BAD[name](record)
    with pytest.raises(BadCase):
        audit_case(copy.deepcopy(record))
    path = tmp_path / "case.json"
    path.write_text(json.dumps(record))
    assert main([str(path)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1


def test_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert main([str(tmp_path / "absent.json")]) == 2
    (tmp_path / "list.json").write_text("[]")
    assert main([str(tmp_path / "list.json")]) == 2
    (tmp_path / "deep.json").write_text("[" * 100_000)
    assert main([str(tmp_path / "deep.json")]) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_it_stands_alone(tmp_path: Path) -> None:
    """As a lone file, isolated from the project and from site-packages, it still audits."""
    lone = tmp_path / "audit.py"
    lone.write_text(Path(audit.__file__).read_text())
    case = tmp_path / "case.json"
    case.write_text(json.dumps(record_of(solved(12, "nuclear"))))
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(lone), str(case)],
        cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("stands: nuclear")
