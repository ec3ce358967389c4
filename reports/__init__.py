"""Pages built from a run's files: no engine, solver or algebra system is loaded.

``build`` turns a directory written by ``marginflow verify`` into ``index.html`` and
``summary.md``; ``problem_page`` shows one ``marginflow check --json`` object.
"""

from reports.fields import BadReport
from reports.page import build
from reports.problem import problem_page

__all__ = ["BadReport", "build", "problem_page"]
