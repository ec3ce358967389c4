"""The text of the page: numbers, formulas, prose, and mathematics written in ASCII."""

from __future__ import annotations

import pytest
from hypothesis import given

from reports.mathml import formula, prose
from reports.text import number
from reports.typeset import typeset
from tests.plot_fixture import FINITE, QUICK


@QUICK
@given(FINITE)
def test_a_number_reads_back_to_three_figures(value: float) -> None:
    shown = number(value).replace("−", "-").replace(",", "")
    plain = shown.translate(str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789"))
    mantissa, times, power = plain.partition("×10")
    if not times and plain.startswith("10") and shown != plain:
        mantissa, power = "1", plain[2:]
    if not times and plain.startswith("-10") and shown != plain:
        mantissa, power = "-1", plain[3:]
    read = float(f"{mantissa}e{power or 0}")
    assert abs(read - value) <= 0.0051 * abs(value)  # half a unit of the third figure


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.31, "0.31"), (1e-7, "10⁻⁷"), (5.94e-8, "5.94×10⁻⁸"), (29_000.0, "29,000"),
        (-2.5, "−2.5"), (None, "–"), (0.0, "0"), (100.0, "100"), (999.9999, "1,000"),
    ],
)  # fmt: skip
def test_numbers(value: float | None, shown: str) -> None:
    assert number(value) == shown


@pytest.mark.parametrize(
    "latex",
    [
        r"\min_r\,\langle G_r, W\rangle / \|W\|_* \to \gamma^*",
        r"\begin{aligned} a &= b \\ c &= d \end{aligned}",
        r"\left\|A^\top p\right\|_\infty \le \frac{1}{2}",
        r"\sum_{\substack{i \\ j}} x_{ij}",
        r"\operatorname{sign}(\beta) \in \{-1, 0, 1\}",
    ],
)
def test_formulas_convert(latex: str) -> None:
    for display in (False, True):
        assert formula(latex, display=display).startswith("<math")


def test_what_a_formula_may_not_hold() -> None:
    """A reference or an unknown element never reaches the page, whatever converts it."""
    for latex in (r"\href{javascript:alert(1)}{x}", r"\url{http://a}", "a_{", "\ud800"):
        assert formula(latex).startswith("<code")
    assert "<script" not in formula(r"\text{<script>alert(1)</script>}")


def test_prose_sets_only_what_stands_between_dollars() -> None:
    assert str(prose("of $x_1$ & y")).startswith("of <math")
    assert str(prose("5 $ & 6")) == "5 $ &amp; 6"


@pytest.mark.parametrize(
    ("ascii_", "set_"),
    [
        ("d ln m~/d ln S = p^T m", "d ln m\u0303/d ln S = p<sup>⊤</sup> m"),
        ("cos^2 - 1, kappa >= 0", "cos² − 1, κ ≥ 0"),
        (
            "S^-delta, d e^m~/dt; e^-m_r",
            "S<sup>−δ</sup>, d e<sup>m\u0303</sup>/dt; e^-m<sub>r</sub>",
        ),
        ("lambda_r of lambdas", "λ<sub>r</sub> of lambdas"),
        ("the l1 SVM, l1.5 and l2", "the ℓ₁ SVM, ℓ<sub>1.5</sub> and ℓ₂"),
        ("half of 5e-07", "half of 5×10⁻⁷"),
        ("limit.diagonal-l1 of 1b8509, 3e4567", "limit.diagonal-l1 of 1b8509, 3e4567"),
        ("x_<b> & a_name", "x_&lt;b&gt; &amp; a_name"),
    ],
)
def test_ascii_mathematics_is_set_as_print_would(ascii_: str, set_: str) -> None:
    assert str(typeset(ascii_)) == set_
