"""Every identity is proved, every planted wrong one is disproved, and the prover is sound."""

from __future__ import annotations

import pytest
import sympy as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from checks import proofs, symbolic_checks
from checks.normal_form import NormalForm, Unsupported
from checks.outcomes import Outcome
from checks.proofs import ProofContradiction, Result, distance_at, prove
from theory.alignment import exact_step, rotation
from theory.attention import (
    SymbolicProblem,
    constraints,
    loss,
    matrix,
    multipliers,
    output,
    softmax,
    symbolic_problem,
    vector,
    weighted,
)
from theory.catalogue import CLAIMS
from theory.gradient_flow import (
    combined_flow,
    diagonal_flow,
    diagonal_margin_form,
    factored_flow,
    margin_form,
)
from theory.identities import Identity
from theory.margin_problems import l2_problem, nuclear_problem, row_force
from theory.reparameterization import times

HELD = [key for key in symbolic_checks.claims() if CLAIMS[key].expect == "held"]
PLANTED = [key for key in symbolic_checks.claims() if CLAIMS[key].expect == "falsified"]
QUICK = settings(max_examples=60, deadline=None, derandomize=True, database=None)


def identity(left: object, right: object, name: str = "test") -> Identity:
    return Identity("test", name, "", "", left, right)


@pytest.mark.parametrize("key", HELD)
def test_every_identity_is_proved(key: str) -> None:
    results = symbolic_checks.measure(key)
    assert results
    for result in results:
        assert result.outcome is Outcome.HELD, (result.problem_id, result.reason)
        assert result.worst is not None
        assert result.worst.ratio == 0.0


@pytest.mark.parametrize("key", PLANTED)
def test_every_control_is_disproved_at_a_point_that_replays(key: str) -> None:
    results, stated = symbolic_checks.measure(key), symbolic_checks.identities_of(key)
    assert results
    for result, wrong in zip(results, stated, strict=True):
        assert result.outcome is Outcome.FALSIFIED
        assert result.worst is not None
        assert distance_at(wrong, result.spec["point"]) == result.worst.value > 0


@pytest.mark.parametrize("key", HELD)
def test_no_identity_says_that_zero_is_zero(key: str) -> None:
    """Twice the left side must break it, unless the claim is that something vanishes."""
    for stated in symbolic_checks.identities_of(key):
        if "conservation" in key:
            # the left side is zero by the claim; no term of it may be zero on its own
            terms = sp.Add.make_args(sp.Matrix(stated.left)[0, 0])
            assert len(terms) >= 2
            doubled = identity(terms[0], sp.Integer(0))
        else:
            doubled = identity(2 * stated.left, stated.right)
        assert prove(doubled).result is Result.DISPROVED, stated.name


def wrong_identities() -> list[Identity]:
    problem = symbolic_problem(samples=2, length=3, dim=2)
    attention = matrix("W", 2, 2)
    key, query = matrix("K", 2, 2), matrix("Q", 2, 2)
    k, q = vector("k", 2), vector("q", 2)
    k_dot, q_dot = diagonal_flow(problem, k, q)
    key_dot, query_dot = factored_flow(problem, key, query)
    force = margin_form(problem, key * query.T)
    row = diagonal_margin_form(problem, times(k, q))
    pairs = constraints(problem)
    from_best = [
        weight
        * (output(problem, i, attention) - problem.scores[i][problem.optimal[i]])
        / (output(problem, i, attention) - problem.scores[i][token])
        for (i, token), weight in zip(problem.pairs(), multipliers(problem, attention), strict=True)
    ]
    shifted = [*pairs[1:], pairs[0]]
    logits = list(vector("a", 3))
    paid = softmax(logits)
    left, right, singular = rotation("a"), rotation("b"), vector("sigma", 2)
    k_now, q_now = exact_step(left, singular, right, key, query, sp.Symbol("Delta", real=True))
    ridge, nuclear = l2_problem(3), nuclear_problem(2)
    dual_of_rows = row_force(3, list(ridge.multipliers))
    skew = weighted([sp.Symbol("lambda", real=True)], [left[:, 0] * right[:, 1].T])
    return [
        identity(key_dot, force.T * query, "transposed constraints, key"),
        identity(query_dot, force * key, "transposed constraints, query"),
        identity(key_dot, force * key, "key driven by key"),
        identity(combined_flow(problem, attention), weighted(from_best, pairs), "wrong score"),
        identity(
            combined_flow(problem, attention),
            weighted(multipliers(problem, attention), shifted),
            "constraints of the next token",
        ),
        identity(times(k, k_dot) + times(q, q_dot), sp.zeros(2, 1), "sum of squares conserved"),
        identity(k_dot, times(k, row), "key driven by key, diagonal"),
        identity(
            k_dot / k[0] + q_dot / k[0],
            (times(k, row) + times(q, row)) / (2 * k[0]),
            "half the speed",
        ),
        identity(sp.diff(paid[0], logits[0]), -paid[0] * paid[0], "Jacobian without its diagonal"),
        identity(k_now.T * k_now + q_now.T * q_now, key.T * key + query.T * query, "sum of grams"),
        identity(ridge.stationarity, sp.Matrix(ridge.variables) - 2 * dual_of_rows, "2 G(mu)"),
        identity(nuclear.objective, nuclear.dual_value, "no duality gap anywhere"),
        identity(
            (left.T * skew * right * sp.diag(*q))[0, 1], sp.Integer(0), "alignment of a skew entry"
        ),
        identity(loss(problem, attention), loss(problem, attention.T), "transposed attention"),
        unflipped(),
    ]


def unflipped() -> Identity:
    """A sample without its sign-flipped copies does not keep diagonal weights diagonal."""
    single = symbolic_problem(samples=1, length=3, dim=2)
    k, q = vector("k", 2), vector("q", 2)
    step = sp.Symbol("epsilon", real=True)
    moved = sp.diag(*k) + sp.Matrix([[0, step], [0, 0]])
    slope = sp.diff(loss(single, moved * sp.diag(*q)), step).subs(step, 0)
    return identity(slope, sp.Integer(0), "one copy only")


WRONG = wrong_identities()


@pytest.mark.parametrize("wrong", WRONG, ids=[i.name for i in WRONG])
def test_planted_wrong_identities_are_disproved(wrong: Identity) -> None:
    proof = prove(wrong)
    assert proof.result is Result.DISPROVED
    assert distance_at(wrong, proof.point) == proof.distance > 0


@pytest.mark.parametrize(("samples", "length", "dim"), [(1, 2, 1), (3, 2, 2), (1, 4, 3), (4, 3, 1)])
def test_the_margin_form_holds_in_other_sizes(samples: int, length: int, dim: int) -> None:
    problem: SymbolicProblem = symbolic_problem(samples, length, dim)
    attention = matrix("W", dim, dim)
    stated = identity(combined_flow(problem, attention), margin_form(problem, attention))
    assert prove(stated).result is Result.PROVED


def test_a_budget_that_is_too_small_decides_nothing_true() -> None:
    results = symbolic_checks.measure("symbolic.margin-form-factored", budget=100)
    assert {r.outcome for r in results} == {Outcome.INCONCLUSIVE}
    assert {r.reason for r in results} == {"the operation budget ran out"}
    wrong, _ = symbolic_checks.measure("control.symbolic-sign", budget=10)
    assert wrong.outcome is Outcome.FALSIFIED


def test_a_difference_too_small_to_exclude_zero_is_undecided() -> None:
    x = sp.Symbol("x", real=True)
    assert prove(identity(x, x + sp.Rational(1, 10**40))).result is Result.UNDECIDED


def test_what_the_normal_form_does_not_know_is_undecided() -> None:
    x = sp.Symbol("x", real=True)
    proof = prove(identity(sp.sin(x) ** 2 + sp.cos(x) ** 2, sp.Integer(1)))
    assert proof.result is Result.UNDECIDED
    with pytest.raises(Unsupported):
        NormalForm(100).polynomial(sp.sin(x))


def test_nothing_is_proved_about_what_is_nowhere_defined() -> None:
    x = sp.Symbol("x", real=True)
    nowhere = 1 / sp.Add(x * (x + 1), -(x**2), -x, evaluate=False)
    assert prove(identity(nowhere * x, nowhere * x * 2)).result is Result.UNDECIDED


def test_a_prover_that_proves_everything_is_contradicted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proofs.NormalForm, "vanishes", lambda self, expression: True)
    with pytest.raises(ProofContradiction):
        symbolic_checks.measure("control.symbolic-mean")


def test_sides_of_different_shape_are_refused() -> None:
    with pytest.raises(ValueError, match="differ in shape"):
        identity(sp.zeros(2, 1), sp.zeros(1, 2))
    with pytest.raises(ValueError, match="differ in shape"):
        identity(sp.zeros(2, 1), sp.Integer(0))


X, Y = sp.symbols("x y", real=True)
P = sp.Symbol("p", positive=True)


def polynomials(*leaves: sp.Expr) -> st.SearchStrategy[sp.Expr]:
    return st.recursive(
        st.sampled_from([X, Y, P, sp.Integer(1), sp.Integer(-2), *leaves]),
        lambda part: st.tuples(st.sampled_from([sp.Add, sp.Mul]), part, part).map(
            lambda made: made[0](made[1], made[2])
        ),
        max_leaves=4,
    )


POLYNOMIALS = polynomials(sp.Rational(1, 3))
INTEGRAL = polynomials()
"""Exponents with unlike denominators, exp(x/2) and exp(x/3), are not related to each other by
the normal form: it stays sound, and the theory has no such exponents."""


def larger(part: st.SearchStrategy[sp.Expr]) -> st.SearchStrategy[sp.Expr]:
    return st.one_of(
        st.tuples(part, part).map(lambda pair: pair[0] + pair[1]),
        st.tuples(part, part).map(lambda pair: pair[0] * pair[1]),
        part.map(lambda a: 1 / (1 + a**2)),
        part.map(lambda a: sp.log(1 + a**2)),
        part.map(lambda a: sp.sqrt(2) * a),
    )


EXPRESSIONS = st.recursive(
    st.one_of(POLYNOMIALS, POLYNOMIALS.map(sp.exp), POLYNOMIALS.map(sp.sinh)),
    larger,
    max_leaves=6,
)
"""Exponents stay polynomial, so that intervals stay moderate."""


@QUICK
@given(EXPRESSIONS, EXPRESSIONS)
def test_rewriting_is_recognised(a: sp.Expr, b: sp.Expr) -> None:
    for left, right in (
        ((a + b) ** 2, a**2 + 2 * a * b + b**2),
        (sp.exp(a - b) * sp.exp(b), sp.exp(a)),
        (1 / (1 + a**2) + b, (1 + b * (1 + a**2)) / (1 + a**2)),
        (sp.exp(a / 2) ** 3, sp.exp(a) * sp.exp(a / 2)),
        (sp.cosh(a) ** 2 - sp.sinh(a) ** 2, sp.Integer(1)),
        (2 * sp.sinh(sp.log(1 + a**2)), 1 + a**2 - 1 / (1 + a**2)),
    ):
        assert NormalForm(10**5).vanishes(left - right)


@QUICK
@given(INTEGRAL, INTEGRAL)
def test_expansion_is_recognised(a: sp.Expr, b: sp.Expr) -> None:
    product = (a + sp.exp(b)) * (b - sp.exp(a + b)) / (1 + sp.exp(a))
    assert NormalForm(10**5).vanishes(product - sp.expand(product))


@QUICK
@given(EXPRESSIONS, EXPRESSIONS, st.integers(1, 9))
def test_what_vanishes_has_no_point_at_which_it_does_not(a: sp.Expr, b: sp.Expr, seed: int) -> None:
    """Soundness: the two routes share no code, and never contradict each other."""
    assert prove(identity(a, a + 0 * b), budget=10**5).result is Result.PROVED
    compared = prove(identity(a, b, str(seed)), budget=10**5)
    if compared.result is Result.PROVED:
        other = dict.fromkeys(("x", "y", "p"), f"{seed}/11")
        assert distance_at(identity(a, b), other) == 0.0
    moved = prove(identity(a + sp.Rational(1, seed), sp.expand(a), str(seed)), budget=10**5)
    assert moved.result is Result.DISPROVED
