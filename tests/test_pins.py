"""The pins: every dependency has one, within its bounds, and nothing else has."""

from __future__ import annotations

import importlib.metadata
import re
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def pins() -> dict[str, str]:
    """Canonical name -> exact version, of constraints.txt; every line is such a pin."""
    found: dict[str, str] = {}
    for line in (ROOT / "constraints.txt").read_text("utf-8").splitlines():
        if line and not line.startswith("#"):
            name, version = re.fullmatch(r"([\w.-]+)==([\w.]+)", line).groups()  # type: ignore[union-attr]
            assert canonicalize_name(name) not in found, f"{name} is pinned twice"
            found[canonicalize_name(name)] = version
    return found


def declared() -> dict[str, Requirement]:
    """Everything pyproject.toml asks for: dependencies, extras, groups, the build's own."""
    groups = [*PROJECT["dependency-groups"].values()]
    groups += PROJECT["project"]["optional-dependencies"].values()
    lines = [*PROJECT["project"]["dependencies"], *PROJECT["build-system"]["requires"]]
    lines += [line for group in groups for line in group]
    return {canonicalize_name(r.name): r for r in map(Requirement, lines)}


def closure(roots: Iterable[str]) -> set[str]:
    """All distributions these need on this machine, as far as they are installed here."""
    seen: set[str] = set()
    waiting = list(roots)
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        try:
            needs = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue  # tox is not in its own environments
        wanted = [
            r for r in map(Requirement, needs) if not r.marker or r.marker.evaluate({"extra": ""})
        ]
        waiting += [canonicalize_name(r.name) for r in wanted]
    return seen


# Installed beside the suite, in .venv-tox, where a test cannot look: tox and what it needs.
TOX_TREE = {
    "tox", "cachetools", "colorama", "distlib", "filelock", "packaging", "platformdirs", "pluggy",
    "pyproject-api", "python-discovery", "tomli-w", "typing-extensions", "virtualenv",
}  # fmt: skip


def test_every_dependency_is_pinned_within_its_bounds() -> None:
    pinned = pins()
    for name, requirement in declared().items():
        assert requirement.specifier.contains(Version(pinned[name])), name
    minimum = re.search(r"min_version = (\S+)", (ROOT / "tox.ini").read_text("utf-8"))
    assert minimum is not None
    assert Version(pinned["tox"]) >= Version(minimum[1])


def test_the_whole_tree_is_pinned_and_nothing_else() -> None:
    # CUDA's libraries are pinned by torch itself, exactly, and differ from build to build.
    needed = {
        name
        for name in closure(declared()) | TOX_TREE
        if not re.match(r"nvidia-|cuda-|triton$", name)
    }
    pinned = set(pins())
    assert needed - pinned == set(), "not pinned: another version tomorrow"
    assert pinned - needed == set(), "pinned without need"


def test_what_runs_is_what_is_pinned() -> None:
    """Skipped outside tox's environments, where other versions may be tried on purpose."""
    if ".tox" not in Path(sys.prefix).parts:
        pytest.skip("not in an environment made by tox")
    for name in closure(declared()) & set(pins()):
        assert importlib.metadata.version(name).partition("+")[0] == pins()[name], name
