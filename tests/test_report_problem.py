"""The page of one problem: whole, of less, and refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from reports import BadReport, problem_page
from tests.report_page import HOSTILE, Page, outside_references
from tests.report_records import problem_result


def test_problem_page(tmp_path: Path) -> None:
    path = problem_page(problem_result(), tmp_path / "problem.html")
    source = path.read_text(encoding="utf-8")
    page = Page(source)
    assert page.unbalanced == outside_references(source) == []
    said = (
        "my.npz", "2.9181999", "proved", "settles on token 3", "3.2×10³⁰", "by simplex",
        "−0.01 least of 2", "0.31 → 1", "1 of 2 runs", "Phase portrait", "KKT residuals",
        "Fidelity: met; largest local error 0.99 of its bound; 3 stretches audited",
    )  # fmt: skip
    for words in said:
        assert words in page.text
    # two curves, one of them against ln t as well, a close-up that has both axes, the portrait
    assert len([a for a in page.all("svg") if "viewbox" in a]) == 5


@pytest.mark.parametrize(
    "changes",
    [
        {"svm": None, "outcome": "vacuous", "runs": []},
        {"problem": None},
        {"file": HOSTILE, "model": HOSTILE, "page": None, "assumptions": None},
        {"runs": [{"outcome": "error", "reason": HOSTILE, "margin_gap": float("nan")}]},
    ],
)
def test_problem_page_of_less(tmp_path: Path, changes: dict[str, object]) -> None:
    path = problem_page(problem_result() | changes, tmp_path / "problem.html")
    page = Page(path.read_text(encoding="utf-8"))
    assert page.unbalanced == []
    assert len(page.all("script")) == 1


def test_problem_page_refuses_what_it_does_not_know(tmp_path: Path) -> None:
    with pytest.raises(BadReport, match="outcome"):
        problem_page(problem_result() | {"outcome": "fine"}, tmp_path / "problem.html")
    with pytest.raises(BadReport, match="cannot be written"):
        problem_page(problem_result(), tmp_path / "nowhere" / "problem.html")
