"""LaTeX to MathML, at build time: no script and no web font service on the page."""

from __future__ import annotations

import re
from html.entities import html5
from xml.etree import ElementTree

from markupsafe import Markup, escape
from math_core import LatexError, LatexToMathML

from reports.typeset import typeset

_ELEMENTS = {
    *("math", "semantics", "annotation", "mrow", "mi", "mn", "mo", "ms", "mtext", "mspace"),
    *("msub", "msup", "msubsup", "munder", "mover", "munderover", "mmultiscripts", "none"),
    *("mprescripts", "mfrac", "msqrt", "mroot", "mstyle", "mpadded", "mphantom", "mtable"),
    *("mtr", "mtd", "menclose", "merror"),
}
_ATTRIBUTES = {
    *("display", "displaystyle", "scriptlevel", "encoding", "stretchy", "symmetric", "largeop"),
    *("movablelimits", "lspace", "rspace", "form", "fence", "separator", "accent", "dir"),
    *("accentunder", "mathvariant", "width", "height", "depth", "voffset", "minsize", "maxsize"),
    *("linethickness", "columnalign", "rowspacing", "columnspacing", "class", "style", "intent"),
    *("arg", "columnspan", "rowspan"),
}
_MACROS = {"substack": r"\begin{subarray}{c}#1\end{subarray}"}


def formula(latex: str, *, display: bool = False) -> Markup:
    """MathML of ``latex``, or its escaped source where it has none.

    A formula that does not convert must not take the page down, and must not vanish.
    """
    if not latex.strip():
        return Markup("")
    converter = LatexToMathML(macros=_MACROS, fancy_error=False)
    try:
        mathml = converter.convert_with_local_state(latex, displaystyle=display)
    except (LatexError, UnicodeEncodeError):  # the latter for lone surrogates
        mathml = ""
    if mathml and _is_harmless(mathml):
        return Markup(_shorter(mathml.replace("&ApplyFunction;", "\u2061")))
    return Markup('<code class="latex">{}</code>').format(escape(latex))


def prose(text: str) -> Markup:
    """Running text in which ``$...$`` is inline mathematics; everything else is escaped, and
    what it writes in ASCII (p^T m, lambda_r, l1, 1e-9) set as one would print it."""
    parts = re.split(r"\$([^$\n]{1,400})\$", text)
    return Markup("").join(
        formula(part) if i % 2 else typeset(part) for i, part in enumerate(parts)
    )


_UNSEEN = (
    # where a formula stands alone style.css says
    (re.compile(r' display="block"'), ""),
    # an empty space before a name of several letters, and the row that holds the two
    (re.compile(r"<mrow><mspace/>(<mi>[^<]{2,}</mi>)</mrow>"), r"\1"),
    # a bar that the operator dictionary gives no space either
    (re.compile(r' lspace="0" rspace="0">‖<'), ">‖<"),
    # an arrow stretches only where something stands on or below it
    (re.compile(r'(?<!over>)(?<!under>)<mo stretchy="false">([→⇒])'), r"<mo>\1"),
    (re.compile(r'(?<==")0(\.\d{1,4})\d*(?=em")'), r"\1"),
)


def _shorter(mathml: str) -> str:
    """``mathml`` without what makes no difference to what is seen or read out."""
    for found, kept in _UNSEEN:
        mathml = found.sub(kept, mathml)
    return mathml


def _is_harmless(mathml: str) -> bool:
    """True for well-formed MathML of known elements and attributes and no reference.

    The statements come from files: what a converter lets through is not taken on trust.
    """
    named = re.sub(r"&(\w+;)", _as_character, mathml)
    try:
        root = ElementTree.fromstring(named)
    except ElementTree.ParseError:
        return False
    for element in root.iter():
        if element.tag not in _ELEMENTS or not element.attrib.keys() <= _ATTRIBUTES:
            return False
        if "url" in element.get("style", "").lower():
            return False
    return True


def _as_character(match: re.Match[str]) -> str:
    """XML knows five named entities; the others of HTML are replaced by their character."""
    name = match.group(1)
    known = name in ("lt;", "gt;", "amp;", "quot;", "apos;")
    return match.group(0) if known else html5.get(name, match.group(0))
