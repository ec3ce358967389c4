"""The layout of DESIGN.md: which package may import which, how long a module is, what loads."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from theory.catalogue import CLAIMS

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("theory", "checks", "reports")
MODULES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
HEAVY = ("torch", "cvxpy")

LONGEST = 350
"""Lines of a module: about 300 are meant, one noun each; the rest is room for docstrings."""


def imports(source: str, package: str = "") -> Iterator[str]:
    """Every module named by an import, anywhere in ``source``; relative ones made absolute."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".")[: len(package.split(".")) - node.level + 1]
            base = ".".join([*parts, *filter(None, [node.module])]) if node.level else node.module
            assert base is not None
            # `from checks import cli` names checks.cli as well as checks.
            yield from (f"{base}.{alias.name}" for alias in node.names)


def within(name: str, *modules: str) -> bool:
    """Is ``name`` one of these modules, or inside one?"""
    return any(name == module or name.startswith(f"{module}.") for module in modules)


def broken(module: str, names: list[str]) -> list[str]:
    """The imports that ``module`` (dotted) must not have."""
    package = module.partition(".")[0]
    if package == "theory":
        data = ("theory.claims", "theory.catalogue")
        heavy = ["numpy", "torch", "scipy", "cvxpy", "checks", "reports", "tests"]
        return [n for n in names if within(n, *heavy, *["sympy"] * (module in data))]
    if package == "reports":
        others = [n for n in names if within(n, "theory", "checks", "tests", *HEAVY, "sympy")]
        return [n for n in others if not within(n, "checks.outcomes")]
    if module == "checks.outcomes":
        return [n for n in names if n.partition(".")[0] not in sys.stdlib_module_names]
    if module == "checks.audit":  # an independent opinion: shares no code with what it audits
        return [n for n in names if n.partition(".")[0] not in sys.stdlib_module_names]
    return [n for n in names if within(n, "tests", *["reports"] * (module != "checks.cli"))]


def dotted(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


@pytest.mark.parametrize("path", MODULES, ids=dotted)
def test_imports_go_one_way(path: Path) -> None:
    package = ".".join(path.relative_to(ROOT).parent.parts)
    names = list(imports(path.read_text("utf-8"), package))
    assert broken(dotted(path), names) == []


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("theory.attention", "import numpy as np"),
        ("theory.attention", "from checks import outcomes"),
        ("theory.claims", "import sympy"),
        ("theory.catalogue", "from sympy import Symbol"),
        ("reports.page", "from checks.runner import run"),
        ("reports.page", "from checks import runner"),
        ("reports.page", "import theory.catalogue"),
        ("checks.runner", "import reports.page"),
        ("checks.runner", "def f():\n    from reports import page"),
        ("checks.outcomes", "import numpy"),
        ("checks.audit", "from .svm import solve"),
        ("checks.audit", "import numpy"),
        ("checks.flow.loop", "from tests import stubs"),
    ],
)
def test_a_wrong_import_is_caught(module: str, line: str) -> None:
    names = list(imports(line, module.rpartition(".")[0]))
    assert broken(module, names), names


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("theory.attention", "import sympy"),
        ("theory.catalogue", "from theory.claims import Claim"),
        ("reports.page", "from checks.outcomes import Verdict"),
        ("reports.page", "from checks import outcomes"),
        ("reports.page", "from .tables import table"),
        ("checks.cli", "from reports import page"),
        ("checks.runner", "from theory.catalogue import CLAIMS"),
        ("checks.audit", "from fractions import Fraction"),
    ],
)
def test_a_right_import_is_let_through(module: str, line: str) -> None:
    assert broken(module, list(imports(line, module.rpartition(".")[0]))) == []


def test_the_catalogue_is_pure_data() -> None:
    script = "import json, sys, theory.catalogue; print(json.dumps(sorted(sys.modules)))"
    run = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert not [name for name in json.loads(run.stdout) if within(name, *HEAVY, "sympy", "numpy")]


@pytest.mark.parametrize("path", [*MODULES, ROOT / "run.py"], ids=dotted)
def test_modules_are_short(path: Path) -> None:
    lines = len(path.read_text("utf-8").splitlines())
    assert lines <= LONGEST, f"{dotted(path)}: {lines} lines; split it, one noun each"


def test_the_empty_package_is_empty() -> None:
    assert (ROOT / "checks" / "__init__.py").read_text("utf-8") == "", "importing it costs nothing"


# --- what is loaded, not only what is named ------------------------------------------------------

PROBE = """
import json, sys
arguments = json.loads(sys.argv[1])
status = 0
import checks.cli
if arguments:
    sys.argv[:] = ["marginflow", *arguments]
    try:
        checks.cli.main()
    except SystemExit as stop:
        status = stop.code or 0
print()
print(json.dumps([status, sorted({name.partition(".")[0] for name in sys.modules})]))
"""


def loaded(*arguments: str) -> tuple[int, set[str]]:
    """(exit status, top-level modules loaded) of ``marginflow`` in a process of its own."""
    run = subprocess.run(
        [sys.executable, "-c", PROBE, json.dumps(arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    status, modules = json.loads(run.stdout.splitlines()[-1])
    return status, set(modules)


def test_the_command_line_starts_light() -> None:
    _, modules = loaded()
    assert not modules & {*HEAVY, "sympy", "scipy"}


def test_list_and_explain_load_no_solver() -> None:
    for arguments in (("list",), ("explain", next(iter(CLAIMS)))):
        status, modules = loaded(*arguments)
        assert status == 0, arguments
        assert not modules & set(HEAVY), arguments


def test_report_loads_neither_solver_nor_algebra(tmp_path: Path) -> None:
    # Whether this folder makes a report or an error, it must not take torch to say so.
    _, modules = loaded("report", str(tmp_path))
    assert not modules & {*HEAVY, "sympy"}


def test_the_probe_sees_what_is_loaded() -> None:
    """Negative control: a process that does import torch is seen to."""
    script = PROBE.replace("import checks.cli", "import torch")
    run = subprocess.run(
        [sys.executable, "-c", script, "[]"], capture_output=True, text=True, check=True
    )
    assert "torch" in json.loads(run.stdout.splitlines()[-1])[1]
