"""Exact proofs and disproofs of symbolic identities.

PROVED rests on exact rational algebra alone (:mod:`checks.normal_form`).  DISPROVED rests
on one rational point at which an interval evaluation of the residual, by other code,
excludes zero.  Everything else is UNDECIDED.  The budget counts products of terms, never
seconds, so that the same identity comes out the same on every machine.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final

import sympy as sp
from mpmath.ctx_iv import MPIntervalContext

from checks.normal_form import NormalForm, OverBudget, Unsupported
from theory.identities import Identity

DEFAULT_BUDGET: Final = 400_000
"""Products of terms: ten times what the largest identity of the catalogue takes (38,326)."""

_PRECISION: Final = 256
"""Bits of the interval evaluation."""
_CLEAR: Final = 2.0**-64
"""A residual counts as nonzero only if its interval lies this far from zero: far above the
width of the intervals (2^-256 times moderate numbers), so that a flaw in the last bits of
an interval function cannot fake a disproof."""
_POINTS: Final = 12
"""How many points are tried before an identity that algebra did not settle is UNDECIDED."""


class Result(Enum):
    """What can be said of an identity."""

    PROVED = "proved"
    DISPROVED = "disproved"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class Proof:
    """How one identity came out."""

    result: Result
    reason: str
    """One clause; the same words for the same cause."""
    operations: int
    """Products of terms formed."""
    entries: int
    """Entries of the residual."""
    distance: float = 0.0
    """DISPROVED: a lower bound of the residual's size at ``point``; else 0."""
    point: dict[str, str] = field(default_factory=dict)
    """DISPROVED: symbol -> rational, exact."""


class ProofContradiction(ArithmeticError):
    """Algebra says zero where intervals exclude zero: a bug in one of them."""


def prove(identity: Identity, budget: int = DEFAULT_BUDGET) -> Proof:
    """Settle ``identity``.  Raises ProofContradiction if the two routes disagree."""
    entries = identity.entries()
    rng = random.Random(identity.claim + "/" + identity.name)
    point = _Point(entries, rng)
    form = NormalForm(budget)
    try:
        vanishing = all(form.vanishes(entry) for entry in entries)
        reason = "the numerator is the zero polynomial" if vanishing else "no proof was found"
    except OverBudget:
        vanishing, reason = False, "the operation budget ran out"
    except Unsupported as obstacle:
        vanishing, reason = False, str(obstacle)
    except ZeroDivisionError:
        vanishing, reason = False, "a denominator vanishes identically"
    if vanishing:
        if point.distance > 0:
            raise ProofContradiction(f"{identity.claim}/{identity.name} at {point.values}")
        return Proof(Result.PROVED, reason, form.spent, len(entries))
    for _ in range(_POINTS):
        if point.distance > 0:
            return Proof(
                Result.DISPROVED,
                "the residual is not zero at an exact point",
                form.spent,
                len(entries),
                point.distance,
                {str(symbol): str(value) for symbol, value in point.values.items()},
            )
        point = _Point(entries, rng)
    return Proof(Result.UNDECIDED, reason, form.spent, len(entries))


def distance_at(identity: Identity, values: dict[str, str]) -> float:
    """A lower bound of the residual's size at a point (symbol name -> rational as text).

    0 where the interval holds zero or the residual is not defined.  KeyError where a
    symbol has no value.
    """
    entries = identity.entries()
    exact = {s: sp.Rational(values[str(s)]) for s in _symbols(entries)}
    return _distance(entries, exact)


class _Point:
    """One random rational point and how far from zero the residual is there."""

    def __init__(self, entries: tuple[sp.Expr, ...], rng: random.Random) -> None:
        self.values = {s: _rational(s, rng) for s in _symbols(entries)}
        self.distance = _distance(entries, self.values)


def _symbols(entries: tuple[sp.Expr, ...]) -> list[sp.Symbol]:
    found = set().union(*(entry.free_symbols for entry in entries))
    return sorted(found, key=str)


def _rational(symbol: sp.Symbol, rng: random.Random) -> sp.Rational:
    """A nonzero rational between 1/7 and 2 in size, positive where the symbol is."""
    value = sp.Rational(rng.randint(1, 8), rng.randint(4, 7))
    return value if symbol.is_positive or rng.random() < 0.5 else -value


def _distance(entries: tuple[sp.Expr, ...], values: dict[sp.Symbol, sp.Rational]) -> float:
    """Largest lower bound of |entry| over the entries; 0 if none is clear of zero."""
    context = MPIntervalContext()
    context.prec = _PRECISION
    evaluate = _Intervals(context, values)
    best = 0.0
    for entry in entries:
        try:
            interval = evaluate(entry)
        except (ZeroDivisionError, ValueError, Unsupported):
            continue  # the entry is not defined at this point, or cannot be evaluated
        low, high = float(interval.a), float(interval.b)
        if low > _CLEAR:
            best = max(best, low)
        elif high < -_CLEAR:
            best = max(best, -high)
    return best


class _Intervals:
    """Interval evaluation of a sympy expression at a rational point."""

    def __init__(self, context: Any, values: dict[sp.Symbol, sp.Rational]) -> None:
        self._context = context
        self._memo: dict[sp.Expr, Any] = {s: self._exact(v) for s, v in values.items()}

    def _exact(self, value: sp.Rational) -> Any:
        return self._context.mpf(int(value.p)) / self._context.mpf(int(value.q))

    def __call__(self, expression: sp.Expr) -> Any:
        known = self._memo.get(expression)
        if known is None:
            known = self._memo[expression] = self._evaluated(expression)
        return known

    def _evaluated(self, expression: sp.Expr) -> Any:
        if isinstance(expression, sp.Rational):
            return self._exact(expression)
        if expression is sp.E:
            return self._context.exp(self._context.mpf(1))
        arguments = [self(a) for a in expression.args]
        if isinstance(expression, (sp.Add, sp.Mul)):
            total = arguments[0]
            for value in arguments[1:]:
                total = total + value if isinstance(expression, sp.Add) else total * value
            return total
        if isinstance(expression, sp.exp):
            return self._context.exp(arguments[0])
        if isinstance(expression, sp.Pow):
            return self._power(arguments[0], expression.args[1])
        if isinstance(expression, sp.log):
            return self._context.log(arguments[0])
        if isinstance(expression, (sp.sinh, sp.cosh)):
            up = self._context.exp(arguments[0])
            down = 1 / up
            return (up - down) / 2 if isinstance(expression, sp.sinh) else (up + down) / 2
        raise Unsupported(f"no interval evaluation for {type(expression).__name__}")

    def _power(self, base: Any, exponent: sp.Expr) -> Any:
        if isinstance(exponent, sp.Integer):
            return base ** int(exponent)
        if isinstance(exponent, sp.Rational) and exponent.q == 2:
            return self._context.sqrt(base) ** int(exponent.p)
        raise Unsupported(f"no interval evaluation for the power {exponent}")
