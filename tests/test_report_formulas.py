"""Formulas on the page against golden files, and every formula of the catalogue converts.

The golden files were read by eye in a browser when they were written.  After a deliberate
change (a new converter, say), ``python -m tests.test_report_formulas`` writes them anew.
"""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path

import pytest

import reports
from reports.mathml import formula
from theory.catalogue import ASSUMPTIONS, CLAIMS

GOLDEN = Path(__file__).parent / "golden"
FORMULAS = {
    "gradient": r"-\nabla_W L = \sum_r \lambda_r G_r, \qquad \lambda_{il} = \frac{1}{n} "
    r"e^{-\bar\gamma_i} s_{il}\left(\bar\gamma_i - \gamma_{il}\right)",
    "limit": r"L \to L^* \;\Longrightarrow\; \frac{\min_r (A\beta)_r}{\|\beta\|_1} \to \gamma^*",
    "duality": r"\gamma^* = \max_{\|\beta\|_1\le 1}\min_r\,(A\beta)_r = \min_{p\in\Delta}"
    r"\left\|A^\top p\right\|_\infty",
    "jacobian": r"\frac{\partial s_i}{\partial u_i} = \operatorname{diag}(s_i) - s_i s_i^\top",
    "substack": r"\sum_{\substack{i \le n \\ l \ne o_i}} x_{il}",
    "aligned": r"\begin{aligned} K' &= G(\lambda) Q \\ Q' &= G(\lambda)^\top K \end{aligned}",
    "monotone": r"\frac{d \ln \tilde m}{d \ln S} = \frac{p^\top m/\tilde m}{\cos^2\angle(Z, Z')} "
    r"\ge 1",
    "script": r"\mathcal{L}(\beta, \mu) = \tfrac12 \sqrt{x^2 + y^2}",
}


@pytest.mark.parametrize("name", FORMULAS)
def test_a_formula_is_its_golden_file(name: str) -> None:
    golden = (GOLDEN / f"{name}.mathml").read_text(encoding="utf-8")
    assert f"{formula(FORMULAS[name], display=True)}\n" == golden


def test_no_golden_file_is_left_over() -> None:
    assert {path.stem for path in GOLDEN.glob("*.mathml")} == FORMULAS.keys()


@pytest.mark.parametrize("key", [*CLAIMS, *ASSUMPTIONS])
def test_every_formula_of_the_catalogue_converts(key: str) -> None:
    latex = CLAIMS[key].latex if key in CLAIMS else ASSUMPTIONS[key].latex
    assert formula(latex, display=True).startswith("<math")


def test_no_formula_needs_a_character_that_the_embedded_fonts_lack() -> None:
    """static/README.md lists what was put into them."""
    readme = (Path(reports.__file__).parent / "static" / "README.md").read_text(encoding="utf-8")
    listed = re.sub(r"\s", "", readme.split("MATH = ")[1].split(". ")[0])
    known = set()
    for part in listed.split(","):
        first, _, last = part.partition("-")
        known.update(range(int(first, 16), int(last or first, 16) + 1))
    unlisted = {0x2061, 0xFE00}  # nothing that is seen: f applied to x, a letter in script
    for key in (*CLAIMS, *ASSUMPTIONS):
        latex = CLAIMS[key].latex if key in CLAIMS else ASSUMPTIONS[key].latex
        shown = re.sub(r"<[^>]*>", "", unescape(formula(latex, display=True)))
        assert {ord(c) for c in shown} <= known | unlisted, key


if __name__ == "__main__":
    for stem, source in FORMULAS.items():
        text = f"{formula(source, display=True)}\n"
        (GOLDEN / f"{stem}.mathml").write_text(text, encoding="utf-8")
