"""Pages built from a run's files: no engine, solver or algebra system is loaded.

``build`` turns a directory written by ``marginflow verify`` into ``index.html``, ``summary.md``,
``junit.xml`` and ``verdicts.tex``; ``compare`` tells two of them apart; ``export`` writes their
plots as files; ``problem_page`` shows one ``marginflow check --json`` object.
"""

from reports.export import export
from reports.fields import BadReport
from reports.page import build, compare
from reports.problem import problem_page

__all__ = ["BadReport", "build", "compare", "export", "problem_page"]
