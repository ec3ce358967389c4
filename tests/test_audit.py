"""The stand-alone audit: it agrees with the oracles, its bounds are outward, its roots close."""

from __future__ import annotations

import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checks import audit
from checks.audit import gap_from_raw, gap_of
from checks.rounding import FULL, Norm
from tests.audit_fixture import NORMS, SEEDS, arguments, solved
from tests.margin_cases import definite


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


@pytest.mark.parametrize("value", ["2", "1", "1/8", "27", "1000000007/3", "1e-200", "1e200", "3/7"])
def test_roots_are_above_and_close(value: str) -> None:
    """Exactly: r^k >= v, and no more than 2^-78 of it."""
    wanted = Fraction(value)
    for power, root in ((2, audit._root_up(wanted)), (3, audit._cube_root_up(wanted))):
        assert wanted <= root**power <= wanted * (1 + Fraction(1, 2**78))
