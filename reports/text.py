"""Numbers and words as they appear on the page."""

from __future__ import annotations

import json
import re
import textwrap
from typing import Any

_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def number(value: float | None, digits: int = 3) -> str:
    """``value`` to ``digits`` significant figures; None (null, not finite) as a dash.

    Below 1e-3 and from 1e6 on as a power of ten, with the true minus sign.
    """
    if value is None:
        return "–"
    if value == 0:
        return "0"
    mantissa, _, exponent = f"{value:.{digits - 1}e}".partition("e")
    power = int(exponent)
    if -3 <= power < 6:
        shown = f"{value:,.{max(0, digits - 1 - power)}f}"
        shown = shown.rstrip("0").rstrip(".") if "." in shown else shown
    else:
        short = mantissa.rstrip("0").rstrip(".")
        shown = power_of_ten(power) if short == "1" else f"{short}×{power_of_ten(power)}"
    return shown.replace("-", "−")


def power_of_ten(exponent: int) -> str:
    """10ⁿ with Unicode superscripts, which need no markup inside SVG."""
    return "10" + str(exponent).translate(_SUPERSCRIPTS)


def count(value: int) -> str:
    return f"{value:,}"


def plural(value: int, one: str, many: str = "") -> str:
    """ "1 case", "2 cases"."""
    return f"{count(value)} {one if value == 1 else many or one + 's'}"


def axis_label(label: str) -> str:
    """A value on an axis: a number as numbers are shown, anything else with a true minus."""
    try:
        return number(float(label))
    except (ValueError, OverflowError):
        return label.replace("-", "−")


def duration(seconds: float | None) -> str:
    if seconds is None:
        return "–"
    if seconds < 120:
        return f"{number(seconds, 2)} s"
    return f"{seconds / 60:.0f} min"


def sentences_of(words: str) -> list[str]:
    """``words`` cut after each full stop that ends a word of three letters or more."""
    return [s for s in re.split(r"(?<=\w{3}\.)\s+", words.strip()) if s]


def opening(words: str, most: int = 42) -> str:
    """The first words of ``words`` and an ellipsis, ``most`` characters at most; all of them
    where they are no longer, where the first is, and where the cut would fall in a formula."""
    start = textwrap.shorten(words, most, placeholder="…")
    return words if start == "…" or start.count("$") % 2 else start


def slug(key: str) -> str:
    """``key`` as an id: letters, digits, dot, dash, underscore.  Not injective by itself."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", key) or "claim"


def arrays(data: dict[str, Any]) -> str:
    """JSON of named arrays, one row of numbers a line, to three figures: a case file is exact.

    Scores are left out where labels, tokens and head are there, which give them.
    """
    told = {"labels", "tokens", "head"} <= data.keys()
    kept = {name: value for name, value in data.items() if not (told and name == "scores")}
    parts = [f"{json.dumps(name)}: {_rows(value)}" for name, value in kept.items()]
    return "{\n" + ",\n".join(parts) + "\n}"


def _rows(value: Any) -> str:
    if isinstance(value, list) and any(isinstance(part, list) for part in value):
        return "[" + ",\n ".join(_rows(part) for part in value) + "]"
    if isinstance(value, list):
        return "[" + ",".join(_rows(part) for part in value) + "]"
    return f"{value:.3g}" if isinstance(value, float) else json.dumps(value)
