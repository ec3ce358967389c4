"""One mutant against tests, in a process forked for it: nothing is written to disk.

The process that forks has loaded the libraries, and no module of the suite, so that a trial
costs its tests and no more.  A process that a test starts itself sees the source as it is.
"""

from __future__ import annotations

import ast
import importlib.machinery
import json
import os
import resource
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

LIBRARIES = ("numpy", "scipy.optimize", "scipy.integrate", "sympy", "mpmath", "torch", "cvxpy",
             "clarabel", "highspy", "hypothesis", "pytest", "click.testing", "rich")  # fmt: skip


@dataclass(frozen=True)
class Trial:
    """outcome: "killed", "timeout" (killed too) or "survived".  by: the test that failed.
    seconds: of CPU time."""

    outcome: str
    by: str
    seconds: float


class _Loader(importlib.machinery.SourceFileLoader):
    """Loads one module from a tree instead of its source."""

    def __init__(self, name: str, path: str, tree: ast.Module) -> None:
        super().__init__(name, path)
        self._tree = tree

    def get_code(self, fullname: str) -> CodeType:
        return compile(self._tree, self.path, "exec", dont_inherit=True)


class _Finder:
    """Finds that module first."""

    def __init__(self, module: str, tree: ast.Module) -> None:
        self._module, self._tree = module, tree

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name != self._module:
            return None
        found = importlib.machinery.PathFinder.find_spec(name, path, target)
        assert found is not None
        assert found.origin is not None
        found.loader = _Loader(name, found.origin, self._tree)
        return found


class _Failure:
    """Pytest plugin: which test failed first."""

    by = ""

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.failed and not self.by:
            self.by = report.nodeid

    def pytest_collectreport(self, report: Any) -> None:
        if report.failed and not self.by:
            self.by = f"{report.nodeid} (collection)"


Work = Callable[[], tuple[bool, str]]
"""What is done in the child: did anything fail, and what?"""


def tests(chosen: Sequence[str]) -> Work:
    """Run these tests, up to the first that fails."""

    def work() -> tuple[bool, str]:
        import pytest

        failure = _Failure()
        # Hypothesis' plugin is loaded already, and asserts nothing.
        early = ("-W", "ignore::pytest.PytestAssertRewriteWarning")
        options = ["-q", "-x", "-p", "no:cacheprovider", *early]
        status = pytest.main([*options, *chosen], plugins=[failure])
        return bool(status), failure.by

    return work


def verify(limit: float) -> Work:
    """Run ``marginflow verify --fail-fast`` on the small profile of ``tests.planted``, with the
    claims that it leaves as expected on sound code; limit: seconds after which none is begun."""

    def work() -> tuple[bool, str]:
        import pytest

        from tests.planted.small import shrink
        from tests.planted.trial import attempt, judges

        with pytest.MonkeyPatch.context() as patch:
            shrink(patch)
            found = attempt(judges(), "all", fail_fast=True, limit=limit)
        return found.killed, f"{found.by}: {found.outcome} {found.reason}"

    return work


def run(module: str, tree: ast.Module | None, work: Work, limit: float) -> Trial:
    """The work with ``tree`` for the module (None: as it is), in at most ``limit`` seconds of
    CPU time; a process that waits without computing ends after ten times as many."""
    assert module not in sys.modules
    receive, send = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(receive)
        os._exit(_child(module, tree, work, limit, send))
    os.close(send)
    with os.fdopen(receive, encoding="utf-8") as pipe:
        said = pipe.read()
    _, status, used = os.wait4(child, 0)
    seconds = round(used.ru_utime + used.ru_stime, 1)
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) in (signal.SIGXCPU, signal.SIGALRM):
        return Trial("timeout", "", seconds)
    failed, by = json.loads(said) if said else (True, f"wait status {status}")
    return Trial("killed" if failed else "survived", by, seconds)


def _child(module: str, tree: ast.Module | None, work: Work, limit: float, send: int) -> int:
    """Exit status.  Nothing of the process that forked may run in its child: no handlers, and
    no return to its callers."""
    resource.setrlimit(resource.RLIMIT_CPU, (int(limit) + 1, int(limit) + 5))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(int(10 * limit) + 1)
    silent = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, 1)
    os.dup2(silent, 2)
    os.chdir(Path(__file__).resolve().parents[2])
    if tree is not None:
        sys.meta_path.insert(0, _Finder(module, tree))  # type: ignore[arg-type]
    try:
        found = work()
    except BaseException as error:  # whatever a mutant does, SystemExit among it
        found = True, f"{type(error).__name__}: {error}"
    with os.fdopen(send, "w", encoding="utf-8") as pipe:
        json.dump(found, pipe)
    return 0
