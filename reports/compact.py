"""HTML written shorter, and read by a browser as the same page: what the standard lets go.

That is the end tags of items, cells, rows and paragraphs that what follows ends anyway, quotes
round plain words, escapes of quotes in text, and space beside blocks.
"""

from __future__ import annotations

import re

_BLOCK = (
    "article|body|dd|details|div|dl|dt|figcaption|figure|form|h[1-6]|head|header|html|li|link|"
    "main|meta|nav|ol|p|pre|script|section|style|summary|table|tbody|td|th|thead|title|tr|ul"
)
_KEPT = re.compile(r"(<(pre|script|style)\b.*?</\2>)", re.DOTALL)
_TAG = re.compile(r"<[A-Za-z][^<>]*>")  # no attribute holds a bare < or >: all are escaped
_QUOTED = re.compile(r'="([\w.#:%-]+)"(?=[ >])')  # not before "/>", whose slash it would take in
_SPACE = r"[ \t\r\n\f]"  # not the no-break spaces that formulas keep words apart with
_BESIDE = re.compile(rf"{_SPACE}*(</?(?:{_BLOCK})\b[^<>]*>){_SPACE}*")
_ENDS = tuple(
    re.compile(rf"</(?:{ended})>(?={then})")
    for ended, then in (
        ("li", "<li|</ul>|</ol>"),
        ("td|th", "<t[dh]|</tr>"),
        ("tr", "<tr|</tbody>|</thead>"),
        ("dt|dd", "<d[td]|</dl>|</div>"),
        (
            "p",
            "<(?:p|ul|ol|dl|div|pre|table|h[1-6]|details|figure)[ >]|"
            "</(?:div|li|td|th|dd|header|article|section|figure|details)>",
        ),
    )
)


def compact(html: str) -> str:
    """``html``, which closes every tag and quotes every attribute, in fewer bytes."""
    pieces, at = [], 0
    for kept in _KEPT.finditer(html):
        before = _shorter(html[at : kept.start()])
        if kept.group(2) == "pre":
            pieces += [before.removesuffix("</p>"), _unquoted(_plain(kept.group()))]
        else:
            pieces += [before, kept.group()]
        at = kept.end()
    return "".join([*pieces, _shorter(html[at:])])


def _plain(html: str) -> str:
    """Quotation marks in text need no escaping, as they do in attributes."""
    parts = re.split(r"(<[^<>]*>)", html)
    return "".join(
        part if i % 2 else part.replace("&#34;", '"').replace("&#39;", "'")
        for i, part in enumerate(parts)
    )


def _unquoted(html: str) -> str:
    return _TAG.sub(lambda tag: _QUOTED.sub(r"=\1", tag.group()), html)


def _shorter(html: str) -> str:
    html = html.replace(' class=""', "")
    html = re.sub(rf"{_SPACE}+", " ", _BESIDE.sub(r"\1", html))
    html = _unquoted(_plain(html))
    # The last first: a paragraph that ends a cell needs the cell's end to be seen.
    for end in reversed(_ENDS):
        html = end.sub("", html)
    return html
