"""How an error is planted: a function is replaced wherever the suite holds it."""

from __future__ import annotations

import pkgutil
import sys
from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any

import pytest

import checks
import theory

Plant = Callable[[pytest.MonkeyPatch], None]


@cache
def _load_all() -> None:
    """Every module of the suite, or one loaded later would keep a plant that has been dug out."""
    for package in (checks, theory):
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            import_module(found.name)


def everywhere(patch: pytest.MonkeyPatch, honest: Any, planted: Any) -> None:
    """Replace ``honest`` in every module of the suite that holds it, under whatever name."""
    _load_all()
    found = 0
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] in ("checks", "theory"):
            for attribute, value in list(vars(module).items()):
                if value is honest:
                    patch.setattr(module, attribute, planted)
                    found += 1
    assert found, f"{honest} is nowhere: the plant plants nothing"
