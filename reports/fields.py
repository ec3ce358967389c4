"""Typed access to one JSON object of a file that may be damaged or hostile."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

Made = TypeVar("Made")


class BadReport(ValueError):
    """A directory or file that no report can be built from; the message is one line."""


@dataclass(frozen=True)
class Fields:
    """The fields of one JSON object; ``where`` says in errors which file and place it is.

    Every accessor raises :class:`BadReport` on a value of the wrong type.  A missing
    field gives the accessor's empty value unless ``required``; an unknown field is
    ignored, so that the schema can grow.
    """

    data: dict[str, Any]
    where: str

    @classmethod
    def parse(cls, text: str, where: str) -> Fields:
        """Fields of the JSON object in ``text``."""
        try:
            data = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise BadReport(f"{where}: not JSON ({_one_line(error)}); run verify again") from error
        return cls.of(data, where)

    @classmethod
    def of(cls, data: object, where: str) -> Fields:
        """Fields of an object already decoded."""
        if not isinstance(data, dict):
            raise BadReport(f"{where}: expected an object, found {type(data).__name__}")
        return cls(data, where)

    @classmethod
    def read(cls, path: Path) -> Fields:
        """Fields of the JSON object in the file ``path``."""
        return cls.parse(read_text(path), f"{path.parent.name}/{path.name}")

    def bad(self, key: str, wanted: str) -> BadReport:
        return BadReport(f"{self.where}: {key!r} should be {wanted}")

    def text(self, key: str, *, required: bool = False) -> str:
        value = self.data.get(key)
        if value is None and not required:
            return ""
        if not isinstance(value, str):
            raise self.bad(key, "a string")
        return value

    def count(self, key: str) -> int:
        value = self.data.get(key, 0)
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise self.bad(key, "a whole number >= 0")
        return value

    def integer(self, key: str) -> int | None:
        value = self.data.get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.bad(key, "a whole number")
        return value

    def number(self, key: str) -> float | None:
        """A finite float, or None for null, missing or non-finite."""
        return self._float(self.data.get(key), key)

    def numbers(self, key: str) -> list[float | None]:
        return [self._float(value, key) for value in self._list(key)]

    def texts(self, key: str) -> tuple[str, ...]:
        values = self._list(key)
        if not all(isinstance(value, str) for value in values):
            raise self.bad(key, "a list of strings")
        return tuple(values)

    def counts(self, key: str) -> dict[str, int]:
        inner = self.inner(key)
        return {} if inner is None else {name: inner.count(name) for name in inner.data}

    def strings(self, key: str) -> dict[str, str]:
        inner = self.inner(key)
        return {} if inner is None else {name: inner.text(name) for name in inner.data}

    def flag(self, key: str) -> bool | None:
        value = self.data.get(key)
        if value is not None and not isinstance(value, bool):
            raise self.bad(key, "true, false or null")
        return value

    def inner(self, key: str) -> Fields | None:
        value = self.data.get(key)
        return None if value is None else Fields.of(value, f"{self.where}: {key}")

    def each(self, key: str, make: Callable[[Fields], Made]) -> tuple[Made, ...]:
        """``make`` of each object in the list ``key``."""
        return tuple(
            make(Fields.of(value, f"{self.where}: {key}[{i}]"))
            for i, value in enumerate(self._list(key))
        )

    def points(self, key: str) -> tuple[tuple[float, float | None], ...]:
        """Pairs (x, y) with y None where it was not finite; pairs without x are dropped."""
        pairs = []
        for value in self._list(key):
            if not isinstance(value, list) or len(value) != 2:
                raise self.bad(key, "a list of [x, y]")
            x, y = (self._float(v, key) for v in value)
            if x is not None:
                pairs.append((x, y))
        return tuple(pairs)

    def vectors(self, key: str, size: int) -> list[tuple[float, ...]]:
        """Lists of ``size`` numbers; a vector with a number that was not finite is dropped."""
        out = []
        for value in self._list(key):
            if not isinstance(value, list) or len(value) != size:
                raise self.bad(key, f"a list of lists of {size} numbers")
            known = [v for v in (self._float(v, key) for v in value) if v is not None]
            if len(known) == size:
                out.append(tuple(known))
        return out

    def labels(self, key: str) -> tuple[str, ...]:
        """A list of strings and numbers, as strings."""
        values = self._list(key)
        if not all(isinstance(v, (str, int, float)) and not isinstance(v, bool) for v in values):
            raise self.bad(key, "a list of strings or numbers")
        return tuple(v if isinstance(v, str) else f"{v:g}" for v in values)

    def rows(self, key: str, make: Callable[[Fields], Made]) -> tuple[tuple[Made, ...], ...]:
        """``make`` of each object in the list of lists ``key``."""
        out = []
        for i, row in enumerate(self._list(key)):
            if not isinstance(row, list):
                raise self.bad(key, "a list of lists")
            where = f"{self.where}: {key}[{i}]"
            out.append(tuple(make(Fields.of(v, f"{where}[{j}]")) for j, v in enumerate(row)))
        return tuple(out)

    def _list(self, key: str) -> list[Any]:
        value = self.data.get(key)
        if value is None:
            return []
        if not isinstance(value, list):
            raise self.bad(key, "a list")
        return value

    def _float(self, value: object, key: str) -> float | None:
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise self.bad(key, "a number or null")
        try:
            return float(value) if math.isfinite(value) else None
        except OverflowError:  # an integer literal of more than 308 digits
            return None


def read_text(path: Path) -> str:
    """The UTF-8 text of ``path``; BadReport where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadReport(f"{path.name}: cannot be read ({_one_line(error)})") from error


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:160]
