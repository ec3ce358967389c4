"""ASCII mathematics in running text, set as one would print it."""

from __future__ import annotations

import re

from markupsafe import Markup, escape

from reports.text import number

_NAMES = (
    "alpha beta gamma delta epsilon zeta eta theta kappa lambda mu nu xi pi rho sigma tau phi psi "
    "omega Gamma Delta Lambda Sigma Phi Psi Omega"
)
GREEK = dict(zip(_NAMES.split(), "αβγδεζηθκλμνξπρστφψωΓΔΛΣΦΨΩ", strict=True))
_SIGNS = {"<=": "≤", ">=": "≥", "->": "→", "=>": "⇒", " - ": " − "}
_PLAIN = re.compile(
    r"(?P<greek>(?:(?<![A-Za-z])|(?<=\bd)|(?<=/d))(?:" + "|".join(GREEK) + r")(?![A-Za-z]))"
    r"|(?P<float>(?<![\w.])\d(?:\.\d+)?e-?\d{1,2}(?!\w))"
    r"|(?P<sign><=|>=|=>|->| - )"
    r"|(?P<power>\^(?:-?\d+))"
    r"|(?P<tilde>(?<=[A-Za-z])~(?!\w))"
    r"|(?P<norm>(?<![\w.-])l(?=(?:1\.5|[123p])(?!\w)))"
)
_SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_TAGGED = (  # on escaped text
    (re.compile(r"\^T\b"), "<sup>⊤</sup>"),
    (re.compile("\\^(-?)([A-Za-zα-ω]\u0303?)(?![\\w^])"), r"<sup>\1\2</sup>"),
    (re.compile("<sup>-"), "<sup>−"),
    (re.compile(r"((?<![\w&#])[A-Za-zα-ωΑ-Ω]|\|)_([a-z0-9]{1,3})\b"), r"\1<sub>\2</sub>"),
    (re.compile(r"\blog10\b"), "log<sub>10</sub>"),
    (re.compile(r"ℓ(1\.5|[123p])"), r"ℓ<sub>\1</sub>"),
    (re.compile(r"<sub>(\d+)</sub>"), lambda found: found[1].translate(_SUBSCRIPTS)),
)


def typeset(text: str) -> Markup:
    """``text`` escaped, its Greek, signs, powers, indices and norms in their own characters."""
    out = str(escape(characters(text)))
    for found, tags in _TAGGED:
        out = found.sub(tags, out)
    return Markup(out)


def characters(text: str) -> str:
    """``text`` with what it writes in ASCII in characters of its own, as far as there are any."""
    return _PLAIN.sub(_character, text)


def _character(match: re.Match[str]) -> str:
    """What one piece of ASCII stands for."""
    found = match.group()
    if match["greek"]:
        return GREEK[found]
    if match["float"]:
        return number(float(found))
    if match["power"]:
        return found[1:].translate(_SUPERSCRIPTS)
    if match["tilde"]:
        return "\u0303"
    return "ℓ" if match["norm"] else _SIGNS[found]
