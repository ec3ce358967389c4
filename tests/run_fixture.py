"""run.py as a module, shared by the tests of set-up and of tox."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parent.parent


def load_run(root: Path) -> ModuleType:
    """run.py as a module that believes it lies in ``root``."""
    spec = importlib.util.spec_from_file_location("run_under_test", ROOT / "run.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.ROOT = root
    module.VENV = root / ".venv-tox"
    module.CONSTRAINTS = root / "constraints.txt"
    return module
