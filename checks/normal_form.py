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

import sympy as sp

from checks.laurent import ONE, Monomial, Polynomial, Span, accumulate, lowest, times


class OverBudget(Exception):
    """The operation budget ran out before the expression was normalised."""


class Unsupported(Exception):
    """The expression holds something this normal form does not know."""


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
        self._roots: dict[int, tuple[int, Fraction, Monomial]] = {}
        """Generator s -> (q, a, m) with s^q = a * m; m holds only generators made before s."""
        self._exponentials: dict[Monomial, Span] = {}
        """Reciprocal part of an exponent -> the exponents already named with that part."""
        self._logarithms: dict[int, Polynomial] = {}
        """Generator -> what it is the logarithm of."""
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
            return {ONE: value} if value else {}
        if expression is sp.E:
            return self._exponential({ONE: Fraction(1)})
        if isinstance(expression, sp.Symbol):
            return self._generator(expression)
        if isinstance(expression, sp.Add):
            return self._sum(self.polynomial(a) for a in expression.args)
        if isinstance(expression, sp.Mul):
            factors = sorted((self.polynomial(a) for a in expression.args), key=len)
            product: Polynomial = {ONE: Fraction(1)}
            for factor in factors:
                product = self._product(product, factor)
            return product
        if isinstance(expression, sp.exp):
            return self._exponential(self.polynomial(expression.args[0]))
        if isinstance(expression, sp.Pow):
            return self._power_of(*expression.as_base_exp())
        if isinstance(expression, (sp.sinh, sp.cosh)):
            argument = self.polynomial(expression.args[0])
            down = self._exponential({m: -c for m, c in argument.items()})
            sign = Fraction(1, 2) if isinstance(expression, sp.cosh) else Fraction(-1, 2)
            halves = {m: c / 2 for m, c in self._exponential(argument).items()}
            return self._sum((halves, {m: sign * c for m, c in down.items()}))
        if isinstance(expression, sp.log):
            expanded = sp.expand_log(expression)
            if expanded != expression:
                return self.polynomial(expanded)
            argument = self.polynomial(expression.args[0])
            ((monomial, _),) = self._generator(("log", self._key(argument))).items()
            self._logarithms[monomial[0][0]] = argument
            return {monomial: Fraction(1)}
        raise Unsupported(f"no normal form for {type(expression).__name__}")

    def _power_of(self, base: sp.Expr, exponent: sp.Expr) -> Polynomial:
        if isinstance(exponent, sp.Integer):
            return self._to_integer(self.polynomial(base), int(exponent))
        if isinstance(exponent, sp.Rational) and exponent.q == 2:
            inner = self.polynomial(base)
            root = self._generator(("root", self._key(inner)))
            if set(inner) == {ONE} and inner[ONE] > 0:
                ((generator, _),) = next(iter(root))
                self._roots[generator] = (2, inner[ONE], ONE)
            return self._to_integer(root, int(exponent.p))
        raise Unsupported(f"no normal form for the power {exponent}")

    def _to_integer(self, base: Polynomial, power: int) -> Polynomial:
        """``base`` to an integer power, by repeated products."""
        if power < 0:
            base, power = self._reciprocal(base), -power
        product: Polynomial = {ONE: Fraction(1)}
        for _ in range(power):
            product = self._product(product, base)
        return product

    def _is_logarithm(self, monomial: Monomial) -> bool:
        """Is the monomial one logarithm generator to the first power?"""
        return len(monomial) == 1 and monomial[0][1] == 1 and monomial[0][0] in self._logarithms

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
                accumulate(total, monomial, coefficient)
        return total

    def _product(self, a: Polynomial, b: Polynomial) -> Polynomial:
        self.spent += len(a) * len(b)
        if self.spent > self.budget:
            raise OverBudget(f"more than {self.budget} products of terms")
        total: Polynomial = {}
        for first, x in a.items():
            for second, y in b.items():
                accumulate(total, times(first, second), x * y)
        return total

    def _reciprocal(self, polynomial: Polynomial) -> Polynomial:
        """1 / polynomial: exact for one term, else a generator t with t * polynomial = 1."""
        polynomial = self._reduced(polynomial)
        if not polynomial:
            raise ZeroDivisionError("a denominator vanishes identically")
        lead = lowest(polynomial)
        scale = polynomial[lead]
        inverse: Monomial = tuple((g, -power) for g, power in lead)
        if len(polynomial) == 1:
            return {inverse: 1 / scale}
        # without its lowest term, so that D and x * D have one reciprocal between them
        monic = {times(monomial, inverse): c / scale for monomial, c in polynomial.items()}
        ((monomial, _),) = self._generator(("reciprocal", self._key(monic))).items()
        self._reciprocals.setdefault(monomial[0][0], monic)
        return {times(monomial, inverse): 1 / scale}

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
        """``polynomial`` with every q-th power of a root replaced by what it is a root of."""
        if not self._roots:
            return polynomial
        total: Polynomial = {}
        for monomial, coefficient in polynomial.items():
            value, powers = coefficient, dict(monomial)
            for root in sorted(self._roots, reverse=True):
                degree, scale, base = self._roots[root]
                whole, rest = divmod(powers.pop(root, 0), degree)
                if rest:
                    powers[root] = rest
                value *= scale**whole
                for generator, power in base:
                    powers[generator] = powers.get(generator, 0) + power * whole
            kept = tuple(sorted((g, power) for g, power in powers.items() if power))
            accumulate(total, kept, value)
        return total

    def _exponential(self, exponent: Polynomial) -> Polynomial:
        """exp(exponent) as a product of powers of exponential generators.

        Exponents are split by their reciprocal part and, within a part, written as rational
        combinations of exponents named before, so that exp(a + b) = exp(a) exp(b) is seen;
        fractions of them become roots.  exp(k log a), k an integer, is a^k.
        """
        product: Polynomial = {ONE: Fraction(1)}
        parts: dict[Monomial, Polynomial] = {}
        for monomial, coefficient in self._reduced(exponent).items():
            if self._is_logarithm(monomial) and coefficient.denominator == 1:
                base, power = self._logarithms[monomial[0][0]], int(coefficient)
                product = self._product(product, self._to_integer(base, power))
                continue
            part = tuple(pair for pair in monomial if pair[0] in self._reciprocals)
            rest = tuple(pair for pair in monomial if pair[0] not in self._reciprocals)
            parts.setdefault(part, {})[rest] = coefficient
        for part in [p for p in parts if len(p) == 1 and p[0][1] == 1]:
            whole, remainder = self._divided(parts.pop(part), self._reciprocals[part[0][0]])
            parts[ONE] = self._sum((parts.get(ONE, {}), whole))
            parts[part] = remainder
        for part, vector in parts.items():
            if not vector:
                continue
            span = self._exponentials.setdefault(part, Span())
            for index, coordinate in span.coordinates(vector).items():
                name: tuple[object, ...] = ("exp", part, index)
                if coordinate.denominator > 1:
                    name = self._exponential_root(name, coordinate.denominator)
                product = self._product(product, self._raised(name, coordinate.numerator))
        return product

    def _raised(self, name: object, power: int) -> Polynomial:
        """The generator called ``name`` to an integer power that is not zero."""
        ((((number, _),), _),) = self._generator(name).items()
        return {((number, power),): Fraction(1)}

    def _exponential_root(self, name: object, degree: int) -> tuple[object, ...]:
        """The name of the root of that degree of an exponential generator."""
        ((base, _),) = self._generator(name).items()
        root = ("root", degree, name)
        ((((number, _),), _),) = self._generator(root).items()
        self._roots[number] = (degree, Fraction(1), base)
        return root

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
