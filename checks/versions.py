"""What a verdict depends on beside its seed: package versions and the CPU's capability."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

_PACKAGES = (
    "marginflow", "numpy", "scipy", "torch", "cvxpy", "highspy", "sympy", "hypothesis",
    "scikit-learn",
)  # fmt: skip


def versions() -> dict[str, str]:
    """Versions of python and the packages; CPU capability as torch names it (AVX2, ...)."""
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
