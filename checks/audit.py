"""Re-verify a case file's certificate from raw tokens, queries and scores.  Stands alone.

Its own constraints; integers times powers of two, so nothing rounds but outwards, at the end.
THEORY.md 1: min_r m_r(W)/N(W) <= gamma* <= N°(G(p))/sum(p) for W != 0, p >= 0, p != 0, where
m_il = (x_ia - x_il)^T W z_i over the tokens l of lower score than the selected a = a_i.
"""

import json
import math
import sys
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

NORMS = {"l1": 1, "l1.5": 1, "l2": 1, "l3": 1, "frobenius": 2, "nuclear": 2}  # -> primal dim


class BadCase(ValueError):
    """The record cannot be judged: something is missing, misshapen or not finite."""


def _map(function: Any, nested: Any) -> Any:
    """``function`` of every number in nested lists (or arrays)."""
    many = hasattr(nested, "__len__") and not isinstance(nested, str)
    return [_map(function, v) for v in nested] if many else function(nested)


def _scaled(nested: Any) -> tuple[Any, int]:
    """(nested lists of integers, shift): every number is its integer times 2**-shift."""
    exact, sizes = _map(lambda value: Fraction(float(value)), nested), [1]
    _map(lambda value: sizes.append(value.denominator), exact)
    shift = max(sizes).bit_length() - 1
    return _map(lambda value: (value.numerator << shift) // value.denominator, exact), shift


def _dot(a: Any, b: Any) -> Any:
    return sum(x * y for x, y in zip(a, b, strict=True))


def _root_up(value: Fraction) -> Fraction:
    """A rational >= sqrt(value), relative error below 2**-90."""
    places = max(0, 200 + value.denominator.bit_length() - value.numerator.bit_length()) // 2
    whole = (value.numerator << (2 * places)) // value.denominator
    return Fraction(math.isqrt(whole) + 1, 1 << places)


def _cube_root_up(value: Fraction) -> Fraction:
    """A rational >= the cube root, relative error below 2**-80: r = (v r)^(1/4), from above."""
    root = value + 1
    for _ in range(60):  # each takes ln r three quarters of the way
        root = _root_up(_root_up(value * root))
    return root


def _down(value: Fraction) -> float:
    """The largest float <= the Fraction ``value``."""
    near = value.numerator / value.denominator
    return near if Fraction(near) <= value else math.nextafter(near, -math.inf)


def _jacobi(matrix: Any) -> tuple[Any, Any]:
    """One-sided Jacobi in floats: columns b_j, v_j with matrix ~ sum_j b_j v_j^T (unproved)."""
    k = len(matrix[0])
    b = [list(column) for column in zip(*matrix, strict=True)]
    v = [[float(i == j) for i in range(k)] for j in range(k)]
    for p, q in 15 * [(i, j) for j in range(k) for i in range(j)]:
        alpha, beta, mixed = _dot(b[p], b[p]), _dot(b[q], b[q]), _dot(b[p], b[q])
        if abs(mixed) <= 1e-15 * math.sqrt(alpha * beta):  # orthogonal to rounding
            continue
        zeta = (beta - alpha) / (2.0 * mixed)
        t = 1.0 / (zeta + math.copysign(math.hypot(1.0, zeta), zeta))
        c = 1.0 / math.hypot(1.0, t)
        for m in (b, v):
            pairs = list(zip(m[p], m[q], strict=True))
            m[p] = [c * x - c * t * y for x, y in pairs]
            m[q] = [c * t * x + c * y for x, y in pairs]
    return b, v


def _singular(ints: Any) -> tuple[Any, Any, Fraction, Fraction]:
    """(b, v, unit, rest), b, v integers: the matrix is unit sum_j b_j v_j^T + E, |E|_F <= rest."""
    size = max((abs(x).bit_length() for row in ints for x in row), default=0)
    (b, v), shift = _scaled(_jacobi([[x / (1 << size) for x in row] for row in ints]))
    rest = [[x << (2 * shift) for x in row] for row in ints]
    for i, j in [(i, j) for i in range(len(rest)) for j in range(len(b))]:
        rest[i] = [e - ((b[j][i] * y) << size) for e, y in zip(rest[i], v[j], strict=True)]
    unit = Fraction(1, 1 << (2 * shift))
    return b, v, unit * (1 << size), unit * _root_up(Fraction(sum(_dot(row, row) for row in rest)))


def _nuclear_up(ints: Any) -> Fraction:
    """|sum b_j v_j^T + E|_* <= sum |b_j||v_j| + sqrt(d) |E|_F, from above."""
    b, v, unit, rest = _singular(ints)
    sizes = (_root_up(Fraction(_dot(p, p) * _dot(q, q))) for p, q in zip(b, v, strict=True))
    return sum(sizes, Fraction(0)) * unit + _root_up(Fraction(len(ints))) * rest


def _operator_up(ints: Any) -> Fraction:
    """|B V^T + E| <= |B| |V| + |E|_F, and |B|^2 <= the largest row sum of |B^T B|, from above."""
    b, v, unit, rest = _singular(ints)
    square = math.prod(max(sum(abs(_dot(p, q)) for q in m) for p in m) for m in (b, v))
    return _root_up(Fraction(square)) * unit + rest


def _norm_up(ints: Any, norm: str, dual: bool) -> Fraction:
    """Rational upper bound of N (dual: N°) of an integer vector or matrix."""
    if norm == "l1":
        return Fraction(max(map(abs, ints)) if dual else sum(map(abs, ints)))
    if norm in ("l1.5", "l3"):  # each other's dual
        sizes = [Fraction(abs(x)) for x in ints]
        powers = [x**3 if (norm == "l3") != dual else x * _root_up(x) for x in sizes]
        return _cube_root_up(sum(powers, Fraction(0)) ** (1 if (norm == "l3") != dual else 2))
    if norm == "nuclear":
        return _operator_up(ints) if dual else _nuclear_up(ints)
    rows = ints if norm == "frobenius" else [ints]
    return _root_up(Fraction(sum(_dot(row, row) for row in rows)))


def _number(value: Any) -> float:
    """A float, or the float of a hexadecimal string (fromhex would read "10" as 16); finite."""
    number = float.fromhex(value) if isinstance(value, str) else float(value)
    if not math.isfinite(number) or (isinstance(value, str) and "0x" not in value):
        raise BadCase(f"{value!r} is not a finite number, as text in hexadecimal")
    return number


def gap_from_raw(
    tokens: Any, queries: Any, scores: Any, selected: Any, primal: Any, dual: Any, norm: str
) -> tuple[float, float]:
    """Two floats, min_r m_r/N(primal) from below and N°(G(p))/sum(p) from above.

    tokens (n, L, d), queries (n, d), scores (n, L), selected (n,): nested lists or arrays; primal
    (d,) for l1, l2, (d, d) for frobenius, nuclear; dual: triples (sample, token, weight >= 0)."""
    (x, x_shift), (z, z_shift), full = _scaled(tokens), _scaled(queries), NORMS[norm] == 2
    (w, _), (weights, _) = _scaled(primal), _scaled([weight for _, _, weight in dual])
    size, rows, margins = _norm_up(w, norm, False), {}, []
    for i, (a, gamma, q) in enumerate(zip(selected, scores, z, strict=True)):
        if not 0 <= a < len(x[i]):
            raise BadCase(f"sample {i} has no token {a}")
        pulled = [_dot(r, q) if full else r * c for r, c in zip(w, q, strict=True)]
        for token in [t for t, score in enumerate(gamma) if score < gamma[a]]:
            rows[i, token] = [s - t for s, t in zip(x[i][a], x[i][token], strict=True)]
            margins.append(_dot(rows[i, token], pulled))
    push = [[0] * len(q) for q in z]
    for (i, token, _), weight in zip(dual, weights, strict=True):
        if weight < 0 or (i, token) not in rows:
            raise BadCase(f"weight on sample {i}, token {token}: negative, or no constraint")
        push[i] = [old + weight * s for old, s in zip(push[i], rows[i, token], strict=True)]
    left, right = list(zip(*push, strict=True)), list(zip(*z, strict=True))
    g = [[_dot(p, q) for q in right] for p in left] if full else list(map(_dot, left, right))
    unit = 1 << (x_shift + z_shift)  # of margins and G
    upper = _norm_up(g, norm, True) / (unit * sum(weights))
    return _down(Fraction(min(margins), unit) / size), -_down(-upper)


def gap_of(lower: float, upper: float) -> float:
    """The smallest float >= 1 - lower/upper: the certified margin gap.  upper > 0."""
    return -_down(Fraction(lower) / Fraction(upper) - 1)


def _realisable(tokens: Any, labels: Any, head: Any, scores: Any) -> bool:
    """Do labels, head and tokens give the scores, within the rounding of a float64 dot product?"""
    for y, rows, values in list(zip(labels, tokens, scores, strict=True)):
        for row, score in zip(rows, values, strict=True):
            terms = [Fraction(t) * Fraction(v) for t, v in zip(row, head, strict=True)]
            # d products and d sums round, in the file and in its reader.
            slack = Fraction(2 * len(head) + 4, 1 << 52) * sum(abs(t) for t in terms)
            if abs(Fraction(y) * sum(terms) - Fraction(score)) > slack:
                return False
    return True


def audit_case(record: Any) -> tuple[bool, str]:
    """(stands, why) for a case file (schema 1): the scores realisable, the selected tokens optimal
    (but for claims "selection..."), 1 - lower/upper at most the gap claimed.  Raises BadCase."""
    try:
        return _audit(record)
    except (TypeError, AttributeError, LookupError, ArithmeticError, ValueError) as error:
        raise BadCase(f"not a case file: {error!r}") from error


def _audit(record: Any) -> tuple[bool, str]:
    if record["schema"] != 1:
        raise BadCase(f"schema {record['schema']!r} is not 1")
    names = ("tokens", "queries", "labels", "head", "scores")
    x, z, y, head, gamma = (_map(_number, record["problem"][name]) for name in names)
    proof, claim = record["certificate"], str(record["claim"])
    dual = [(p["sample"], p["token"], _number(p["weight"])) for p in proof["dual"]]
    primal, norm, selected = _map(_number, proof["primal"]), proof["norm"], proof["selected"]
    if not _realisable(x, y, head, gamma):
        return False, "the scores are not those of tokens, labels and head"
    lower, upper = gap_from_raw(x, z, gamma, selected, primal, dual, norm)
    others = any(row[a] < max(row) for row, a in zip(gamma, selected, strict=True))
    if others and not claim.startswith("selection"):
        return False, f"{claim} is about the optimal tokens, the certificate is not"
    gap, claimed = gap_of(lower, upper) if upper > 0.0 else math.inf, _number(proof["gap"])
    numbers = f"{norm}: margin >= {lower:.17g}, bound <= {upper:.17g}, gap <= {gap:.3g}"
    return gap <= claimed, f"{numbers}: {'' if gap <= claimed else 'NOT '}within {claimed:.3g}"


def main(arguments: Sequence[str]) -> int:
    """``python -m checks.audit FILE.json``: 0 stands, 1 does not stand, 2 bad input."""
    try:
        [path] = arguments
        stands, why = audit_case(json.loads(Path(path).read_text(encoding="utf-8")))
    except (OSError, ValueError, RecursionError) as error:
        print(f"usage: audit FILE.json ({' '.join(map(str, arguments))}: {error})", file=sys.stderr)
        return 2
    print(f"{'stands' if stands else 'FAILS'}: {why}")
    return 0 if stands else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
