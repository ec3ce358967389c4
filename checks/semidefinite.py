"""The margin problem over positive semidefinite weights: minimise tr W s.t. <G_r, W> >= 1, W >= 0.

Where K = Q stays true (data closed under transposition, THEORY.md 4) W = K K^T is semidefinite for
ever, and |W|_* = tr W: the limit is this problem's.  Dual: maximise sum(lambda) s.t.
sym G(lambda) <= I.  cvxpy proposes, Newton polishes, rationals certify: both ends of the interval
hold for the tokens as given, in the units of ``SvmSolution``.  Derived (weak duality).
"""

from __future__ import annotations

import warnings
from fractions import Fraction

import numpy as np

from checks.certificates import Interval, OracleFailure
from checks.exact import dot, float_above, float_below, integers
from checks.exact_data import ExactConstraints
from checks.nuclear import SOLVER_TOLERANCE, polish_factors
from checks.problems import Array, Constraints
from checks.rational_bounds import is_definite
from checks.rounding import margins
from checks.solutions import WIDEST, SvmSolution, active_rows, grade

_ABOVE = (50, 46, 40, 30, 20)
"""How far above the float eigenvalue the proof of sym G <= s I is tried, 2**-bits."""


def solve_semidefinite(constraints: Constraints) -> SvmSolution:
    """The optimum over W >= 0 with a rigorous interval; norm "nuclear", which is tr W there.

    Raises OracleFailure where nothing narrow enough is proved (also where no W >= 0 separates).
    """
    weights, multipliers = _proposal(constraints)
    best: tuple[Interval, Array] | None = None
    values, vectors = np.linalg.eigh((weights + weights.T) / 2.0)
    spread = np.maximum(values, 0.0)
    for rank in _ranks(spread):
        factor = vectors[:, -rank:] * np.sqrt(spread[-rank:])
        for c, lam in _candidates(constraints, factor, multipliers):
            try:
                interval = _certify(constraints, c, lam)
            except OracleFailure:
                continue
            if best is None or interval.width < best[0].width:
                best, kept, dual = (interval, c), c, np.maximum(lam, 0.0)
    if best is None or best[0].width > WIDEST:
        width = "none" if best is None else f"{best[0].width:.1e}"
        raise OracleFailure(f"semidefinite: no narrow interval ({width})")
    interval = best[0]
    product = kept @ kept.T
    computed, error = margins(constraints, product)
    return SvmSolution(
        norm="nuclear",
        solution=product / float(computed.min()),
        multipliers=dual * (interval.upper / dual.sum()),
        optimum=0.5 * (interval.lower + interval.upper),
        lower=interval.lower,
        upper=interval.upper,
        proof="rigorous",
        unique="undetermined",
        active=active_rows(computed, error),
        solver="CLARABEL and Newton",
        status=grade(interval),
    )


def _ranks(spread: Array) -> list[int]:
    count = int((spread > 1e-5 * spread.max()).sum())
    return [k for k in (count, count - 1, count + 1) if 1 <= k <= len(spread)]


def _candidates(
    constraints: Constraints, factor: Array, multipliers: Array
) -> list[tuple[Array, Array]]:
    """The proposal as it is, and after Newton on sym(G) C = C, margins 1 (``polish_factors``)."""
    found = [(factor, multipliers)]
    slack = margins(constraints, factor @ factor.T)[0] - 1.0
    active = np.flatnonzero(multipliers / max(multipliers.max(), 1e-300) > slack)
    try:
        p, q, lam = polish_factors(
            constraints.delta[active], constraints.query[active], factor, factor,
            multipliers[active],
        )  # fmt: skip
    except (np.linalg.LinAlgError, ValueError):
        return found
    polished = np.zeros(len(multipliers))
    polished[active] = lam
    # Steps of least norm keep P = Q on data closed under transposition, up to rounding.
    return [((p + q) / 2.0, polished), *found]


def _certify(constraints: Constraints, factor: Array, multipliers: Array) -> Interval:
    """[sum(lambda)/lambda_max(sym G), |C|^2/min margin(C C^T)], in rationals."""
    if not (np.isfinite(factor).all() and np.isfinite(multipliers).all()):
        raise OracleFailure("semidefinite: the answer is not finite")
    data = ExactConstraints.of(constraints, full=True)
    c, _ = integers(factor)
    least = min(data.margins([[dot(a, b) for b in c] for a in c]))
    [lam], _ = integers(np.maximum(multipliers, 0.0))
    some = [r for r, y in enumerate(lam) if y]
    if least <= 0 or not some:
        raise OracleFailure("semidefinite: the answer certifies nothing")
    push = data.push(some, [lam[r] for r in some])
    twice = [
        [x + y for x, y in zip(a, b, strict=True)]
        for a, b in zip(push, zip(*push, strict=True), strict=True)
    ]
    unit = 1 << data.shift
    size = sum(dot(row, row) for row in c)
    lower = Fraction(2 * unit * sum(lam)) / _eigenvalue_above(twice)
    return Interval(float_below(lower), float_above(Fraction(unit * size, least)))


def _eigenvalue_above(matrix: list[list[int]]) -> Fraction:
    """A rational s > 0 with s I - M positive definite, M a symmetric integer matrix."""
    size = max(abs(x).bit_length() for row in matrix for x in row)
    scale = 1 << max(0, size - 60)
    floats = np.array([[x / scale for x in row] for row in matrix], dtype=np.float64)
    guess = Fraction(max(float(np.linalg.eigvalsh(floats)[-1]), 1e-300)) * scale
    for bits in _ABOVE:
        trial = guess * (1 + Fraction(1, 1 << bits))
        num, den = trial.numerator, trial.denominator
        shifted = [[num * (i == j) - den * x for j, x in enumerate(row)]
                   for i, row in enumerate(matrix)]  # fmt: skip
        if is_definite(shifted):
            return trial
    raise OracleFailure("semidefinite: the largest eigenvalue is not bounded")


def _proposal(constraints: Constraints) -> tuple[Array, Array]:
    """(W, lambda) of the dual semidefinite program, as CLARABEL leaves them: not believed."""
    import cvxpy as cp

    lam = cp.Variable(len(constraints), nonneg=True)
    push = constraints.delta.T @ cp.diag(lam) @ constraints.query
    bound = np.eye(constraints.delta.shape[1]) - (push + push.T) / 2.0 >> 0
    problem = cp.Problem(cp.Maximize(cp.sum(lam)), [bound])
    settings = dict.fromkeys(("tol_gap_abs", "tol_gap_rel", "tol_feas"), SOLVER_TOLERANCE)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # the interval decides, not the status
            problem.solve(solver=cp.CLARABEL, accept_unknown=True, **settings)
    except (cp.SolverError, ValueError, ArithmeticError) as failure:
        raise OracleFailure(f"semidefinite: {failure}") from failure
    if lam.value is None or bound.dual_value is None:
        raise OracleFailure(f"semidefinite: the solver returned {problem.status}")
    return np.asarray(bound.dual_value), np.asarray(lam.value)
