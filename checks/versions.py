"""What a verdict depends on beside its seed: package versions and the CPU's capability."""

from __future__ import annotations

import hashlib
import os
import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_NUMERICS = ("MKL_CBWR", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
"""Variables that libraries read when they are loaded, and that may change the last bit."""
_PACKAGES = (
    "marginflow", "numpy", "scipy", "torch", "cvxpy", "highspy", "sympy", "hypothesis",
    "scikit-learn",
)  # fmt: skip


def versions() -> dict[str, str]:
    """Versions of python and the packages; CPU capability as torch names it (AVX2, ...)."""
    return dict(_versions())


@cache
def _versions() -> dict[str, str]:
    import torch

    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    found["cpu"] = torch.backends.cpu.get_cpu_capability()
    found["machine"] = platform.machine()
    return found


@cache
def source() -> str:
    """SHA-256 of the suite's own sources and pinned cases: the code version, edits included."""
    digest = hashlib.sha256()
    for folder, pattern in (("theory", "*.py"), ("checks", "*.py"), ("checks", "pinned/*.json")):
        for path in sorted((ROOT / folder).rglob(pattern)):
            digest.update(path.relative_to(ROOT).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def code() -> dict[str, str]:
    """All that the bits of a result depend on beside its inputs; equal in every worker."""
    numerics = {name: os.environ.get(name, "unset") for name in _NUMERICS}
    return {**versions(), "source": source(), **numerics}
