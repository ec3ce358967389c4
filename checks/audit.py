"""Re-verify a case file's certificate from raw tokens, queries and scores.  Stands alone.

Standard library only, nothing imported from the project, its own construction of the
constraints: an error in ``problems``, ``svm`` or the engine cannot also be here.  All numbers
become integers times a power of two, so nothing rounds except outwards, at the end.

THEORY.md 1: min_r m_r(W)/N(W) <= gamma* <= N°(G(p))/sum(p) for W != 0 and p >= 0, p != 0, where
m_il = (x_ia - x_il)^T W z_i over the tokens l of lower score than the selected a = a_i.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

NORMS = {"l1": 1, "l1.5": 1, "l2": 1, "l3": 1, "frobenius": 2, "nuclear": 2}  # -> primal dim
KEPT_BITS = 96  # bits of G(p) kept for the operator norm; what is cut is bounded and added


class BadCase(ValueError):
    """The record cannot be judged: something is missing, misshapen or not finite."""


def _scaled(nested: Any) -> tuple[Any, int]:
    """(nested lists of integers, shift): every number is its integer times 2**-shift."""

    def ratios(value: Any) -> Any:
        if hasattr(value, "__len__"):
            return [ratios(v) for v in value]
        return float(value).as_integer_ratio()

    def deepest(value: Any) -> int:
        if isinstance(value, list):
            return max((deepest(v) for v in value), default=0)
        return value[1].bit_length() - 1

    def lift(value: Any) -> Any:
        if isinstance(value, list):
            return [lift(v) for v in value]
        return value[0] << (shift - value[1].bit_length() + 1)

    split = ratios(nested)
    shift = deepest(split)
    return lift(split), shift


def _dot(a: Any, b: Any) -> Any:
    return sum(x * y for x, y in zip(a, b, strict=True))


def _root_up(value: Fraction) -> Fraction:
    """A rational >= sqrt(value), relative error below 2**-90; value >= 0 a Fraction."""
    places = max(0, 200 + value.denominator.bit_length() - value.numerator.bit_length()) // 2
    whole = (value.numerator << (2 * places)) // value.denominator
    return Fraction(math.isqrt(whole) + 1, 1 << places)


def _power_up(sizes: Any, cubes: bool) -> Fraction:
    """Rational >= the l3 or l1.5 norm: the cube root of sum x^3, or of (sum x sqrt x)^2."""
    terms = [x**3 if cubes else x * _root_up(Fraction(x)) for x in sizes]
    whole = int(Fraction(sum(terms)) ** (1 if cubes else 2) * (1 << 270)) + 1
    root = 1 << (whole.bit_length() // 3)  # of whole, within a factor of two
    for _ in range(9):  # Newton's method, rounded up: never below the root (means)
        root = (2 * root + whole // (root * root)) // 3 + 2
    return Fraction(root, 1 << 90)


def _down(value: Fraction) -> float:
    """The largest float <= the Fraction ``value``."""
    near = value.numerator / value.denominator
    return near if Fraction(near) <= value else math.nextafter(near, -math.inf)


def _jacobi(matrix: Any) -> tuple[Any, Any]:
    """One-sided Jacobi in floats: columns b_j, v_j with matrix ~ sum_j b_j v_j^T (unproved)."""
    k = len(matrix[0])
    b = [list(column) for column in zip(*matrix, strict=True)]
    v = [[float(i == j) for i in range(k)] for j in range(k)]
    for _ in range(30):
        turned = False
        for p in range(k - 1):
            for q in range(p + 1, k):
                alpha, beta, mixed = _dot(b[p], b[p]), _dot(b[q], b[q]), _dot(b[p], b[q])
                if abs(mixed) <= 1e-15 * math.sqrt(alpha * beta):  # orthogonal to rounding
                    continue
                turned = True
                zeta = (beta - alpha) / (2.0 * mixed)
                t = math.copysign(1.0, zeta) / (abs(zeta) + math.hypot(1.0, zeta))
                c = 1.0 / math.hypot(1.0, t)
                s = c * t
                for m in (b, v):
                    m[p], m[q] = (
                        [c * x - s * y for x, y in zip(m[p], m[q], strict=True)],
                        [s * x + c * y for x, y in zip(m[p], m[q], strict=True)],
                    )
        if not turned:
            break
    return b, v


def _floats(ints: Any) -> tuple[Any, int]:
    """The integer matrix as floats with entries at most 1, and the power of two taken out."""
    size = max((abs(x).bit_length() for row in ints for x in row), default=0)
    return [[x / (1 << size) for x in row] for row in ints], size


def _nuclear_up(ints: Any) -> Fraction:
    """Rational upper bound of the nuclear norm: W = sum b_j v_j^T + E costs sum |b_j||v_j| +
    sqrt(d) |E|_F, whatever b and v are; E is formed exactly."""
    floats, size = _floats(ints)
    b, v = _jacobi(floats)
    columns, shift = _scaled([b, v])
    total = Fraction(0)
    rest = [[x << (2 * shift) for x in row] for row in ints]
    for p, q in zip(*columns, strict=True):
        total += _root_up(Fraction(_dot(p, p) * _dot(q, q)))
        for i, x in enumerate(p):
            rest[i] = [e - ((x * y) << size) for e, y in zip(rest[i], q, strict=True)]
    left_over = len(ints) * sum(e * e for row in rest for e in row)
    return (total * (1 << size) + _root_up(Fraction(left_over))) / (1 << (2 * shift))


def _operator_up(ints: Any) -> Fraction:
    """Rational upper bound of the operator norm: s^2 I - G^T G is positive definite, proved by
    the signs of its leading minors (fraction-free elimination)."""
    size = max((abs(x).bit_length() for row in ints for x in row), default=0)
    cut = size - KEPT_BITS
    kept = [[x >> cut if cut > 0 else x << -cut for x in row] for row in ints]
    columns = list(zip(*kept, strict=True))
    square = [[_dot(p, q) for q in columns] for p in columns]
    floats, scale = _floats(kept)
    guess = Fraction(max(math.sqrt(_dot(b, b)) for b in _jacobi(floats)[0])) * (1 << scale)
    bound = sum(square[j][j] for j in range(len(square)))  # trace: always valid
    for bits in (46, 40, 30, 20):  # how far above the guess to try, 2**-bits
        trial = math.ceil(guess * guess * (1 + Fraction(1, 1 << bits)))
        rows = enumerate(square)
        if _definite([[trial * (i == j) - x for j, x in enumerate(row)] for i, row in rows]):
            bound = trial
            break
    # Cutting moved every entry by less than one unit 2**cut, so G by less than d units.
    moved = len(kept) + len(columns) if cut > 0 else 0
    return (_root_up(Fraction(bound)) + moved) * Fraction(2) ** cut


def _definite(work: Any) -> bool:
    """Is this symmetric integer matrix positive definite?  All leading minors positive."""
    previous = 1
    for c in range(len(work)):
        pivot = work[c][c]
        if pivot <= 0:
            return False
        for i in range(c + 1, len(work)):
            factor = work[i][c]
            pairs = zip(work[i], work[c], strict=True)
            work[i] = [(pivot * x - factor * y) // previous for x, y in pairs]
        previous = pivot
    return True


def _norm_up(ints: Any, norm: str, dual: bool) -> Fraction:
    """Rational upper bound of N (dual: N°) of an integer vector or matrix."""
    if NORMS[norm] == 1:
        sizes = [abs(x) for x in ints]
        if norm == "l1":
            return Fraction(max(sizes) if dual else sum(sizes))
        if norm != "l2":  # l1.5 and l3 are each other's dual
            return _power_up(sizes, (norm == "l3") != dual)
        return _root_up(Fraction(_dot(ints, ints)))
    if norm == "frobenius":
        return _root_up(Fraction(sum(_dot(row, row) for row in ints)))
    return _operator_up(ints) if dual else _nuclear_up(ints)


def _numbers(value: Any) -> Any:
    """Nested lists with hexadecimal strings turned into floats; all must be finite."""
    if isinstance(value, (list, tuple)):
        return [_numbers(v) for v in value]
    if isinstance(value, str) and "0x" not in value:  # fromhex would read "10" as 16
        raise BadCase(f"{value!r} is not a hexadecimal float")
    number = float.fromhex(value) if isinstance(value, str) else float(value)
    if not math.isfinite(number):
        raise BadCase("a number is not finite")
    return number


def _margins(
    x: Any, z: Any, gamma: Any, selected: Any, pull: Callable[[Any], Any]
) -> dict[tuple[int, int], Any]:
    """{(sample, token): (difference of tokens, margin)} over the tokens of lower score."""
    found = {}
    for i, a in enumerate(selected):
        if not 0 <= a < len(x[i]):
            raise BadCase(f"sample {i} has no token {a}")
        weighted = pull(z[i])
        for token, score in enumerate(gamma[i]):
            if score < gamma[i][a]:
                delta = [s - t for s, t in zip(x[i][a], x[i][token], strict=True)]
                found[i, token] = (delta, _dot(delta, weighted))
    if not found:
        raise BadCase("the selected tokens constrain nothing")
    return found


def _bounds(
    tokens: Any,
    queries: Any,
    scores: Any,
    selected: Any,
    primal: Any,
    dual: Any,
    norm: str,
    factors: Any,
) -> tuple[float, float]:
    (x, x_shift), (z, z_shift), (gamma, _) = _scaled(tokens), _scaled(queries), _scaled(scores)
    if not len(x) == len(z) == len(gamma) == len(selected):
        raise BadCase("tokens, queries, scores and selected differ in length")
    if factors is None:
        w, _ = _scaled(primal)
    else:
        (left, right), _ = _scaled(factors)
        w = [[_dot(row, other) for other in right] for row in left]
    full = NORMS[norm] == 2
    if full:
        found = _margins(x, z, gamma, selected, lambda q: [_dot(row, q) for row in w])
    else:
        found = _margins(
            x, z, gamma, selected, lambda q: [a * b for a, b in zip(w, q, strict=True)]
        )
    p, _ = _scaled([weight for _, _, weight in dual])
    push = [[0] * len(z[0]) for _ in z]
    for (i, token, _), weight in zip(dual, p, strict=True):
        if weight < 0 or (i, token) not in found:
            raise BadCase(f"weight on sample {i}, token {token}: negative, or no constraint")
        pairs = zip(push[i], found[i, token][0], strict=True)
        push[i] = [old + weight * step for old, step in pairs]
    pushed, asked = list(zip(*push, strict=True)), list(zip(*z, strict=True))
    if full:
        g = [[_dot(row, column) for column in asked] for row in pushed]
    else:
        g = [_dot(row, column) for row, column in zip(pushed, asked, strict=True)]
    size, total = _norm_up(w, norm, dual=False), sum(p)
    if not size or not total:
        raise BadCase("the primal is 0, or the dual weights are")
    unit = Fraction(1, 1 << (x_shift + z_shift))  # of a margin per unit of w, of G per unit of p
    lower = min(margin for _, margin in found.values()) * unit / size
    return _down(lower), -_down(-_norm_up(g, norm, dual=True) * unit / total)


def gap_from_raw(
    tokens: Any,
    queries: Any,
    scores: Any,
    selected: Sequence[int],
    primal: Any,
    dual: Sequence[tuple[int, int, float]],
    norm: str,
    factors: Any = None,
) -> tuple[float, float]:
    """(lower, upper): lower <= min_r m_r/N(primal), upper >= N°(G(p))/sum(p), as floats.

    tokens (n, L, d), queries (n, d), scores (n, L) nested lists or arrays; selected (n,) indices;
    primal beta (d,) or W (d, d) as ``NORMS`` says, of any positive scale; dual: triples (sample,
    token, weight >= 0); factors (P, Q), each (d, e), replace primal by P Q^T.  Proved: lower <=
    gamma* <= upper.  Exact but for roots, which round outwards.  Raises BadCase.
    """
    try:
        return _bounds(tokens, queries, scores, selected, primal, dual, norm, factors)
    except BadCase:
        raise
    except (TypeError, AttributeError, LookupError, ArithmeticError, ValueError) as error:
        raise BadCase(f"not a certificate: {error!r}") from error


def gap_of(lower: float, upper: float) -> float:
    """The smallest float >= 1 - lower/upper: the certified margin gap.  upper > 0."""
    return -_down(Fraction(lower) / Fraction(upper) - 1)


def _realisable(problem: dict[str, Any]) -> bool:
    """Do labels, head and tokens give the scores, within the rounding of a float64 dot product?"""
    if not len(problem["labels"]) == len(problem["tokens"]) == len(problem["scores"]):
        raise BadCase("labels, tokens and scores differ in length")
    head = [Fraction(v) for v in problem["head"]]
    parts = (problem[name] for name in ("labels", "tokens", "scores"))
    for y, rows, scores in zip(*parts, strict=True):
        for row, score in zip(rows, scores, strict=True):
            terms = [Fraction(t) * v for t, v in zip(row, head, strict=True)]
            # d products and d sums round, twice over: once in the file, once in its reader.
            slack = Fraction(2 * len(head) + 4, 1 << 52) * sum(abs(t) for t in terms)
            if abs(Fraction(y) * sum(terms) - Fraction(score)) > slack:
                return False
    return True


def audit_case(record: dict[str, Any]) -> tuple[bool, str]:
    """(stands, why) for the record of a case file (schema 1); raises BadCase if unreadable.

    The certificate stands iff the scores are realisable, the selected tokens are the optimal
    ones (claims named "selection..." excepted), and the gap recomputed from raw tokens,
    1 - lower/upper, is at most the claimed one.
    """
    try:
        if record["schema"] != 1:
            raise BadCase(f"schema {record['schema']!r} is not 1")
        names = ("tokens", "queries", "labels", "head", "scores")
        problem = {name: _numbers(record["problem"][name]) for name in names}
        proof, claim = record["certificate"], str(record["claim"])
        primal = None if proof.get("primal") is None else _numbers(proof["primal"])
        factors = None if proof.get("factors") is None else _numbers(proof["factors"])
        dual = [(p["sample"], p["token"], _numbers(p["weight"])) for p in proof["dual"]]
        claimed, norm, selected = _numbers(proof["gap"]), proof["norm"], proof["selected"]
        if not _realisable(problem):
            return False, "the scores are not those of tokens, labels and head"
    except BadCase:
        raise
    except (TypeError, AttributeError, LookupError, ArithmeticError, ValueError) as error:
        raise BadCase(f"not a case file: {error!r}") from error
    data = (problem["tokens"], problem["queries"], problem["scores"])
    lower, upper = gap_from_raw(*data, selected, primal, dual, norm, factors)
    scores = zip(problem["scores"], selected, strict=True)
    if any(row[a] < max(row) for row, a in scores) and not claim.startswith("selection"):
        return False, f"{claim} is about the optimal tokens, the certificate is not"
    gap = gap_of(lower, upper) if upper > 0.0 else math.inf
    numbers = f"margin >= {lower:.17g}, bound <= {upper:.17g}, gap <= {gap:.3g}"
    verdict = "within" if gap <= claimed else "NOT within"
    return gap <= claimed, f"{norm}: {numbers}: {verdict} the claimed {claimed:.3g}"


def main(arguments: Sequence[str]) -> int:
    """``python -m checks.audit FILE.json``: 0 stands, 1 does not stand, 2 bad input."""
    if len(arguments) != 1:
        print("usage: python -m checks.audit FILE.json", file=sys.stderr)
        return 2
    try:
        with open(arguments[0], encoding="utf-8") as file:
            record = json.load(file)
        stands, why = audit_case(record)
    except (OSError, ValueError, RecursionError) as error:
        print(f"{arguments[0]}: {error}", file=sys.stderr)
        return 2
    print(f"{'stands' if stands else 'FAILS'}: {why}")
    return 0 if stands else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
