"""The stand-alone audit: it agrees with the oracles, and no planted error gets past it."""

from __future__ import annotations

import copy
import json
import math
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checks import audit
from checks.audit import BadCase, audit_case, gap_from_raw, gap_of, main
from checks.problems import AttentionProblem, Constraints, constraints_of
from checks.rounding import FULL, Norm
from checks.svm import SvmSolution, solve_svm
from tests.margin_cases import definite

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


# --- agreement -------------------------------------------------------------------------------


@settings(max_examples=40)
@given(SEEDS, st.sampled_from(NORMS[:3]))
def test_it_agrees_with_the_oracle(seed: int, norm: Norm) -> None:
    case = solved(seed, norm)
    lower, upper = gap_from_raw(**arguments(case))
    solution = case[2]
    assert lower <= upper
    # rows and multipliers were rounded before the oracle saw them: a few ulps times condition
    assert lower == pytest.approx(solution.gamma, rel=1e-9)
    assert upper == pytest.approx(solution.gamma, rel=1e-9)
    assert 0.0 <= gap_of(lower, upper) <= 1e-9


def test_it_agrees_on_nuclear_norms() -> None:
    for seed in range(5):
        lower, upper = gap_from_raw(**arguments(solved(seed, "nuclear")))
        assert lower <= upper
        # singular values are proved to 2^-46, and the oracle's own width is below 1e-9
        assert gap_of(lower, upper) <= 1e-9


@given(SEEDS, st.sampled_from(NORMS), st.integers(-300, 300))
def test_scales_of_primal_and_dual_do_not_matter(seed: int, norm: Norm, power: int) -> None:
    rng = np.random.default_rng(np.random.Philox(seed))
    shape = (4, 4) if norm in FULL else (4,)
    raw = {
        "tokens": rng.normal(size=(2, 3, 4)).tolist(),
        "queries": rng.normal(size=(2, 4)).tolist(),
        "scores": [[0.0, 1.0, 2.0], [2.0, 1.0, 0.0]],
        "selected": [2, 0],
        "norm": norm,
    }
    primal, weight = rng.normal(size=shape), abs(rng.normal())
    plain = gap_from_raw(**raw, primal=primal.tolist(), dual=[(0, 1, weight), (1, 2, 1.0)])
    scaled = gap_from_raw(
        **raw,
        primal=np.ldexp(primal, power).tolist(),
        dual=[(0, 1, math.ldexp(weight, power)), (1, 2, math.ldexp(1.0, power))],
    )
    assert scaled == plain


@given(SEEDS, st.sampled_from(NORMS[:3]))
def test_bounds_are_outward_and_tight_for_any_guess(seed: int, norm: Norm) -> None:
    """Against plain numpy on a random guess: outward, and by no more than numpy's rounding."""
    rng = np.random.default_rng(np.random.Philox(seed))
    tokens, queries = rng.normal(size=(2, 3, 4)), rng.normal(size=(2, 4))
    primal = rng.normal(size=(4, 4) if norm in FULL else 4)
    scores = rng.normal(size=(2, 3))
    selected = scores.argmax(axis=1)
    pulled = queries @ primal.T if norm in FULL else queries * primal
    margins, push, dual, total = [], np.zeros_like(primal), [], 0.0
    for i in range(2):
        for t in range(3):
            if t != selected[i]:
                delta = tokens[i, selected[i]] - tokens[i, t]
                margins.append(float(delta @ pulled[i]))
                dual.append((i, t, abs(rng.normal())))
                total += dual[-1][2]
                outer = np.outer(delta, queries[i])
                push += dual[-1][2] * (outer if norm in FULL else np.diag(outer))
    size = np.abs(primal).sum() if norm == "l1" else np.linalg.norm(primal)
    dual_size = np.abs(push).max() if norm == "l1" else np.linalg.norm(push)
    lower, upper = gap_from_raw(
        tokens.tolist(), queries.tolist(), scores.tolist(), selected.tolist(), primal.tolist(),
        dual, norm,
    )  # fmt: skip
    # 2^-44: some hundred roundings of entries of size about 10
    assert lower == pytest.approx(min(margins) / size, rel=2.0**-40, abs=2.0**-44)
    assert upper == pytest.approx(dual_size / total, rel=2.0**-40, abs=2.0**-44)


@given(SEEDS)
def test_floats_are_rounded_outwards_by_at_most_one_ulp(seed: int) -> None:
    """One token pair, l1: everything is rational, so the rounding can be checked exactly."""
    rng = np.random.default_rng(np.random.Philox(seed))
    x, z, b = rng.normal(size=(2, 3)), rng.normal(size=3), rng.normal(size=3)
    lower, upper = gap_from_raw(
        [x.tolist()], [z.tolist()], [[1.0, 0.0]], [0], b.tolist(), [(0, 1, 3.0)], "l1"
    )
    row = [
        (Fraction(s) - Fraction(t)) * Fraction(q)
        for s, t, q in zip(*x.tolist(), z.tolist(), strict=True)
    ]
    margin = sum((r * Fraction(w) for r, w in zip(row, b.tolist(), strict=True)), Fraction(0))
    below = margin / sum(abs(Fraction(w)) for w in b.tolist())
    above = max(abs(r) for r in row)
    assert Fraction(lower) <= below < Fraction(math.nextafter(lower, math.inf))
    assert Fraction(math.nextafter(upper, 0.0)) < above <= Fraction(upper)
    gap = gap_of(lower, upper)
    truth = 1 - Fraction(lower) / Fraction(upper)
    assert Fraction(math.nextafter(gap, -math.inf)) < truth <= Fraction(gap)


@given(SEEDS, st.integers(1, 5), st.integers(0, 40))
def test_singular_value_bounds(seed: int, size: int, spread: int) -> None:
    """Operator and nuclear bounds of integer matrices of any scale, against numpy's svd."""
    rng = np.random.default_rng(np.random.Philox(seed))
    matrix = rng.normal(size=(size, size)) * 2.0 ** rng.integers(0, spread + 1, size=size)
    ints, shift = audit._scaled(matrix.tolist())
    values = np.linalg.svd(matrix, compute_uv=False)
    unit = Fraction(1, 1 << shift)
    operator, nuclear = audit._operator_up(ints) * unit, audit._nuclear_up(ints) * unit
    slack = 1 - 2.0**-44  # numpy's own rounding of singular values, relative to the largest
    assert float(operator) >= values[0] * slack
    assert float(operator) <= values[0] / slack
    assert float(nuclear) >= values.sum() * slack
    assert float(nuclear) <= values.sum() / slack


def test_singular_value_bounds_are_proofs() -> None:
    """Exactly known norms: never below, also where the float singular values would round down."""
    integers = ([[1]], [[1, 1], [1, 1]], [[0, 0], [0, 7]], [[10**30, 1], [0, 1]], [[2, 1], [1, 1]])
    for ints in integers:
        bound = audit._operator_up(ints)
        assert definite([[Fraction(x) for x in row] for row in ints], bound)
    # the norm of [[3, 4], [4, -3]] is 5, its nuclear norm 10
    assert 5 <= audit._operator_up([[3, 4], [4, -3]]) <= 5 * (1 + Fraction(1, 2**40))
    assert 10 <= audit._nuclear_up([[3, 4], [4, -3]]) <= 10 * (1 + Fraction(1, 2**40))
    # Small columns are turned, too: 2 for [[1, 1], [1, 1]], whose columns have 2 sqrt 2.
    wide, small = 2**40, 2**14
    found = audit._nuclear_up([[wide, 0, 0], [0, small, small], [0, small, small]])
    assert wide + 2 * small <= found <= (wide + 2 * small) * (1 + Fraction(1, 2**40))


@pytest.mark.parametrize(
    ("norm", "dual", "exact"),
    [
        ("l1", False, 9), ("l1", True, 4), ("l2", False, 5), ("l2", True, 5),
        # 4^1.5 + 1 + 4^1.5 = 17, and 64 + 1 + 64 = 129: to the powers 2/3 and 1/3.
        ("l1.5", False, 17 ** (2 / 3)), ("l1.5", True, 129 ** (1 / 3)),
        ("l3", False, 129 ** (1 / 3)), ("l3", True, 17 ** (2 / 3)),
    ],
)  # fmt: skip
def test_norms_of_small_integers_are_exact_but_for_the_root(
    norm: str, dual: bool, exact: float
) -> None:
    ints = [3, -4, 0] if norm == "l2" else [4, -1, 4]
    found = float(audit._norm_up(ints, norm, dual))
    assert exact * (1 - 1e-15) <= found <= exact * (1 + 1e-15)


@settings(max_examples=10)
@given(SEEDS)
def test_a_singular_value_routine_that_lies_only_widens(seed: int) -> None:
    """Negative control: wrong rotations must not make the bounds wrong."""
    rng = np.random.default_rng(np.random.Philox(seed))
    matrix = rng.normal(size=(3, 3))
    ints, shift = audit._scaled(matrix.tolist())
    values = np.linalg.svd(matrix, compute_uv=False)
    honest = audit._jacobi
    for lie in (0.5, 0.0, 3.0):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(
                audit,
                "_jacobi",
                lambda m, lie=lie: ([[lie * x for x in b] for b in honest(m)[0]], honest(m)[1]),
            )
            unit = 2.0**-shift
            # numpy's rounding, as above
            assert float(audit._operator_up(ints)) * unit >= values[0] * (1 - 2.0**-44)
            assert float(audit._nuclear_up(ints)) * unit >= values.sum() * (1 - 2.0**-44)


def test_it_is_short_enough_to_be_read() -> None:
    lines = Path(audit.__file__).read_text().splitlines()
    assert len([line for line in lines if line.strip()]) <= 200


# --- case files ------------------------------------------------------------------------------


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


@pytest.mark.parametrize("value", ["2", "1", "1/8", "27", "1000000007/3", "1e-200", "1e200", "3/7"])
def test_roots_are_above_and_close(value: str) -> None:
    """Exactly: r^k >= v, and no more than 2^-78 of it."""
    wanted = Fraction(value)
    for power, root in ((2, audit._root_up(wanted)), (3, audit._cube_root_up(wanted))):
        assert wanted <= root**power <= wanted * (1 + Fraction(1, 2**78))
