"""Ids of a page's parts: short ones for its own links, lasting ones for links from elsewhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from reports.text import slug


def short(letter: str, keys: Iterable[str]) -> dict[str, str]:
    """Key -> the id that the page's own links use, of which there are a thousand; another run
    may number its parts otherwise."""
    return {key: f"{letter}{i}" for i, key in enumerate(dict.fromkeys(keys))}


def lasting(letter: str, keys: Iterable[str]) -> dict[str, str]:
    """Key -> the id made of the key, the same in every run; numbered where two keys give one."""
    given: Counter[str] = Counter()
    ids = {}
    for key in dict.fromkeys(keys):
        name = f"{letter}-{slug(key)}"
        ids[key] = f"{name}:{given[name]}" if given[name] else name  # no slug has a colon
        given[name] += 1
    return ids
