"""Laurent polynomials with rational coefficients: monomials, their order, and linear spans."""

from __future__ import annotations

from fractions import Fraction
from math import gcd, lcm
from typing import Final

Monomial = tuple[tuple[int, int], ...]
"""(generator, exponent) pairs in rising order of generator; exponents are not zero."""
Polynomial = dict[Monomial, Fraction]
"""Monomial -> coefficient, no coefficient zero."""

ONE: Final[Monomial] = ()


def times(a: Monomial, b: Monomial) -> Monomial:
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


def accumulate(total: Polynomial, term: Monomial, coefficient: Fraction) -> None:
    """Add one term to ``total`` in place."""
    value = total.get(term, Fraction(0)) + coefficient
    if value:
        total[term] = value
    else:
        total.pop(term, None)


def lowest(polynomial: Polynomial) -> Monomial:
    """The lexicographically lowest monomial: an order that multiplication preserves."""
    generators = sorted({g for monomial in polynomial for g, _ in monomial})

    def exponents(monomial: Monomial) -> list[int]:
        powers = dict(monomial)
        return [powers.get(g, 0) for g in generators]

    return min(polynomial, key=exponents)


class Span:
    """Vectors over the rationals, each new one written in those before it."""

    def __init__(self) -> None:
        self._echelon: list[tuple[Monomial, Polynomial, dict[int, Fraction]]] = []
        """(pivot, row, the row as a combination of the basis vectors)."""
        self._size = 0

    def coordinates(self, vector: Polynomial) -> dict[int, Fraction]:
        """``vector`` as a combination of basis vectors, index -> nonzero coefficient.

        A vector outside the span gives a basis vector: itself without its content, so that
        exp(4 x) and exp(6 x) are powers of one generator whichever comes first.
        """
        rest = dict(vector)
        combination: dict[int, Fraction] = {}
        for pivot, row, meaning in self._echelon:
            factor = rest.get(pivot, Fraction(0)) / row[pivot]
            if not factor:
                continue
            for monomial, coefficient in row.items():
                accumulate(rest, monomial, -factor * coefficient)
            for index, coefficient in meaning.items():
                combination[index] = combination.get(index, Fraction(0)) + factor * coefficient
        if not rest:
            return {index: c for index, c in combination.items() if c}
        index = self._size
        self._size += 1
        meaning = {i: -c for i, c in combination.items()}
        meaning[index] = _content(vector)
        self._echelon.append((min(rest), rest, meaning))
        return {index: meaning[index]}


def _content(vector: Polynomial) -> Fraction:
    """The positive rational c for which vector / c has integer coefficients without a common
    factor."""
    divisor = gcd(*(c.numerator for c in vector.values()))
    return Fraction(divisor, lcm(*(c.denominator for c in vector.values())))
