"""Exact zero test of sympy expressions built from +, *, powers, exp, log, sinh and cosh.

Function values and reciprocals of sums become independent *generators*; what remains is a
Laurent polynomial with rational coefficients in symbols and generators.  It is the zero
polynomial only if the expression vanishes wherever it is defined, because a generator only
ever stands for one value: equal values may be given different generators (the test then
misses an identity), different values never share one (so it never invents one).
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from typing import Final

import sympy as sp

Monomial = tuple[tuple[int, int], ...]
"""(generator, exponent) pairs in rising order of generator; exponents are not zero."""
Polynomial = dict[Monomial, Fraction]
"""Monomial -> coefficient, no coefficient zero."""

_ONE: Final[Monomial] = ()


class OverBudget(Exception):
    """The operation budget ran out before the expression was normalised."""


class Unsupported(Exception):
    """The expression holds something this normal form does not know."""


def _times(a: Monomial, b: Monomial) -> Monomial:
    """The product of two monomials."""
    if not a:
        return b
    if not b:
        return a
    exponents = dict(a)
    for generator, power in b:
        total = exponents.get(generator, 0) + power
        if total:
            exponents[generator] = total
        else:
            del exponents[generator]
    return tuple(sorted(exponents.items()))


def _accumulate(total: Polynomial, term: Monomial, coefficient: Fraction) -> None:
    """Add one term to ``total`` in place."""
    value = total.get(term, Fraction(0)) + coefficient
    if value:
        total[term] = value
    else:
        total.pop(term, None)


class NormalForm:
    """One workspace: generators are shared by all expressions it is given.

    budget: how many products of two terms may be formed before :class:`OverBudget`.
    """

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self.spent = 0
        """Products of terms formed so far."""
        self._names: dict[object, int] = {}
        self._reciprocals: dict[int, Polynomial] = {}
        """Generator t -> D with t * D = 1; D holds only generators made before t."""
        self._roots: dict[int, Fraction] = {}
        """Generator s -> rational a with s * s = a."""
        self._exponentials: dict[Monomial, _Span] = {}
        """Reciprocal part of an exponent -> the exponents already named with that part."""
        self._memo: dict[sp.Expr, Polynomial] = {}

    def vanishes(self, expression: sp.Expr) -> bool:
        """Is the numerator of ``expression`` the zero polynomial?

        Raises OverBudget, Unsupported, or ZeroDivisionError where a denominator vanishes
        identically.
        """
        numerator = self._reduced(self.polynomial(expression))
        for generator in sorted(self._reciprocals, reverse=True):
            numerator = self._cleared(numerator, generator)
        return not self._reduced(numerator)

    def polynomial(self, expression: sp.Expr) -> Polynomial:
        """``expression`` as a Laurent polynomial in this workspace's generators."""
        known = self._memo.get(expression)
        if known is None:
            known = self._memo[expression] = self._converted(expression)
        return known

    def _converted(self, expression: sp.Expr) -> Polynomial:
        if isinstance(expression, sp.Rational):
            value = Fraction(int(expression.p), int(expression.q))
            return {_ONE: value} if value else {}
        if isinstance(expression, sp.Symbol):
            return self._generator(expression)
        if isinstance(expression, sp.Add):
            return self._sum(self.polynomial(a) for a in expression.args)
        if isinstance(expression, sp.Mul):
            factors = sorted((self.polynomial(a) for a in expression.args), key=len)
            product: Polynomial = {_ONE: Fraction(1)}
            for factor in factors:
                product = self._product(product, factor)
            return product
        if isinstance(expression, sp.exp):
            return self._exponential(self.polynomial(expression.args[0]))
        if isinstance(expression, sp.Pow):
            return self._power_of(*expression.as_base_exp())
        if isinstance(expression, (sp.sinh, sp.cosh)):
            return self.polynomial(expression.rewrite(sp.exp))
        if isinstance(expression, sp.log):
            expanded = sp.expand_log(expression)
            if expanded != expression:
                return self.polynomial(expanded)
            return self._generator(("log", self._key(self.polynomial(expression.args[0]))))
        raise Unsupported(f"no normal form for {type(expression).__name__}")

    def _power_of(self, base: sp.Expr, exponent: sp.Expr) -> Polynomial:
        if isinstance(exponent, sp.Integer):
            power = int(exponent)
            inner = self.polynomial(base)
            if power < 0:
                inner, power = self._reciprocal(inner), -power
            product: Polynomial = {_ONE: Fraction(1)}
            for _ in range(power):
                product = self._product(product, inner)
            return product
        if isinstance(exponent, sp.Rational) and exponent.q == 2:
            inner = self.polynomial(base)
            root = self._generator(("root", self._key(inner)))
            if set(inner) == {_ONE} and inner[_ONE] > 0:
                ((generator, _),) = next(iter(root))
                self._roots[generator] = inner[_ONE]
            power = int(exponent.p)
            if power < 0:
                root, power = self._reciprocal(root), -power
            product = root
            for _ in range(power - 1):
                product = self._product(product, root)
            return product
        raise Unsupported(f"no normal form for the power {exponent}")

    def _generator(self, name: object) -> Polynomial:
        """The generator called ``name`` (made on first use), as a polynomial."""
        number = self._names.setdefault(name, len(self._names))
        return {((number, 1),): Fraction(1)}

    @staticmethod
    def _key(polynomial: Polynomial) -> frozenset[tuple[Monomial, Fraction]]:
        return frozenset(polynomial.items())

    def _sum(self, terms: Iterable[Polynomial]) -> Polynomial:
        total: Polynomial = {}
        for polynomial in terms:
            for monomial, coefficient in polynomial.items():
                _accumulate(total, monomial, coefficient)
        return total

    def _product(self, a: Polynomial, b: Polynomial) -> Polynomial:
        self.spent += len(a) * len(b)
        if self.spent > self.budget:
            raise OverBudget(f"more than {self.budget} products of terms")
        total: Polynomial = {}
        for first, x in a.items():
            for second, y in b.items():
                _accumulate(total, _times(first, second), x * y)
        return total

    def _reciprocal(self, polynomial: Polynomial) -> Polynomial:
        """1 / polynomial: exact for one term, else a generator t with t * polynomial = 1."""
        if not polynomial:
            raise ZeroDivisionError("a denominator vanishes identically")
        lead = min(polynomial)
        scale = polynomial[lead]
        if len(polynomial) == 1:
            return {tuple((g, -power) for g, power in lead): 1 / scale}
        monic = {monomial: c / scale for monomial, c in polynomial.items()}
        ((monomial, _),) = self._generator(("reciprocal", self._key(monic))).items()
        self._reciprocals.setdefault(monomial[0][0], monic)
        return {monomial: 1 / scale}

    def _cleared(self, polynomial: Polynomial, generator: int) -> Polynomial:
        """``polynomial`` times D to the highest power of ``generator`` = 1/D it holds."""
        parts: dict[int, Polynomial] = {}
        for monomial, coefficient in polynomial.items():
            power = dict(monomial).get(generator, 0)
            rest = tuple(pair for pair in monomial if pair[0] != generator)
            parts.setdefault(power, {})[rest] = coefficient
        highest = max(parts, default=0)
        total: Polynomial = {}
        # Horner, from the term that still lacks most factors of D
        for power in range(min(parts, default=0), highest + 1):
            total = self._product(total, self._reciprocals[generator])
            total = self._sum((total, parts.get(power, {})))
        return total

    def _reduced(self, polynomial: Polynomial) -> Polynomial:
        """``polynomial`` with every square of a root of a rational replaced by it."""
        if not self._roots:
            return polynomial
        total: Polynomial = {}
        for monomial, coefficient in polynomial.items():
            value, kept = coefficient, []
            for generator, power in monomial:
                if generator in self._roots:
                    value *= self._roots[generator] ** (power // 2)
                    power %= 2
                if power:
                    kept.append((generator, power))
            _accumulate(total, tuple(kept), value)
        return total

    def _exponential(self, exponent: Polynomial) -> Polynomial:
        """exp(exponent) as a product of powers of exponential generators.

        Exponents are split by their reciprocal part and, within a part, written as integer
        combinations of exponents named before, so that exp(a + b) = exp(a) exp(b) is seen.
        """
        parts: dict[Monomial, Polynomial] = {}
        for monomial, coefficient in self._reduced(exponent).items():
            part = tuple(pair for pair in monomial if pair[0] in self._reciprocals)
            rest = tuple(pair for pair in monomial if pair[0] not in self._reciprocals)
            parts.setdefault(part, {})[rest] = coefficient
        for part in [p for p in parts if len(p) == 1 and p[0][1] == 1]:
            whole, remainder = self._divided(parts.pop(part), self._reciprocals[part[0][0]])
            parts[_ONE] = self._sum((parts.get(_ONE, {}), whole))
            parts[part] = remainder
        product: Polynomial = {_ONE: Fraction(1)}
        for part, vector in parts.items():
            if not vector:
                continue
            span = self._exponentials.setdefault(part, _Span())
            for index, power in span.coordinates(vector).items():
                ((monomial, _),) = self._generator(("exp", part, index)).items()
                factor: Polynomial = {((monomial[0][0], power),): Fraction(1)}
                product = self._product(product, factor)
        return product

    def _divided(
        self, polynomial: Polynomial, divisor: Polynomial
    ) -> tuple[Polynomial, Polynomial]:
        """(q, r) with polynomial = q * divisor + r, r free of a generator g in which the
        divisor is linear with one leading term; (0, polynomial) where there is none or the
        polynomial is of another degree in g."""
        for g in sorted({g for monomial in divisor for g, _ in monomial}, reverse=True):
            lead = [m for m in divisor if g in dict(m)]
            if len(lead) != 1 or dict(lead[0])[g] != 1:
                continue
            powers = {dict(m).get(g, 0) for m in polynomial}
            if not powers <= {0, 1}:
                break
            inverse = self._reciprocal({lead[0]: divisor[lead[0]]})
            top = {m: c for m, c in polynomial.items() if g in dict(m)}
            quotient = self._product(top, inverse)
            back = self._product(quotient, divisor)
            remainder = self._sum((polynomial, {m: -c for m, c in back.items()}))
            return quotient, remainder
        return {}, polynomial


class _Span:
    """Vectors over the rationals, each new one written in those before it."""

    def __init__(self) -> None:
        self._echelon: list[tuple[Monomial, Polynomial, dict[int, Fraction]]] = []
        """(pivot, row, the row as a combination of the basis vectors)."""
        self._size = 0

    def coordinates(self, vector: Polynomial) -> dict[int, int]:
        """``vector`` as an integer combination of basis vectors, index -> coefficient.

        A vector outside the span, or with fractional coefficients in it, becomes a basis
        vector itself (in the second case the basis is dependent: sound, but incomplete).
        """
        rest = dict(vector)
        combination: dict[int, Fraction] = {}
        for pivot, row, meaning in self._echelon:
            factor = rest.get(pivot, Fraction(0)) / row[pivot]
            if not factor:
                continue
            for monomial, coefficient in row.items():
                _accumulate(rest, monomial, -factor * coefficient)
            for index, coefficient in meaning.items():
                combination[index] = combination.get(index, Fraction(0)) + factor * coefficient
        if not rest and all(c.denominator == 1 for c in combination.values()):
            return {index: int(c) for index, c in combination.items() if c}
        index = self._size
        self._size += 1
        if rest:
            meaning = {i: -c for i, c in combination.items()}
            meaning[index] = Fraction(1)
            self._echelon.append((min(rest), rest, meaning))
        return {index: 1}
