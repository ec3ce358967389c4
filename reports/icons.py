"""The icons of the verdicts, drawn once: as symbols of the graph, and as masks of the badges.

Each is 16 units wide.  ``rim`` is a stroke, ``cut`` a stroke taken out of the filled shape.
"""

from __future__ import annotations

from urllib.parse import quote

_SAFE = " ='/:,"
_DISC = '<circle cx="8" cy="8" r="6.8" class="rim"/>'
ICONS = {
    "held": '<circle cx="8" cy="8" r="7.5"/><path d="M4.4 8.3l2.5 2.5 4.8-5.3" class="cut"/>',
    "caught": _DISC + '<circle cx="8" cy="8" r="3.2"/>',
    "unsupported": _DISC + '<path d="M4.9 8.2l2.1 2.1 4.1-4.5" class="rim"/>',
    "falsified": '<rect x=".8" y=".8" width="14.4" height="14.4" rx="1.6"/>'
    '<path d="M4.7 4.7l6.6 6.6M11.3 4.7l-6.6 6.6" class="cut"/>',
    "missed": _DISC + '<path d="M5 5l6 6M11 5l-6 6" class="rim"/>',
    "vacuous": '<circle cx="8" cy="8" r="5.4" class="rim"/>'
    '<path d="M2.4 13.6L13.6 2.4" class="rim"/>',
    "inconclusive": '<path d="M8 .9L15.1 8 8 15.1.9 8z"/>'
    '<path d="M4.6 8.8c1.1-1.7 2.2-1.7 3.4-.8s2.3.9 3.4-.8" class="cut"/>',
    "error": '<path d="M8 1l7.4 13.6H.6z"/><path d="M8 5.8v4.3M8 12v.6" class="cut"/>',
    "not_run": '<circle cx="8" cy="8" r="6.8" class="rim" stroke-dasharray="2.6 2.7"/>',
    "open": _DISC + '<path d="M6 6.2c.2-2.8 4.2-2.6 4.1 0 0 1.7-2 1.7-2.1 3.3M8 11.5v.7" '
    'class="rim"/>',
    "partial": _DISC + '<path d="M8 1.2A6.8 6.8 0 0 0 8 14.8z"/>',
    "uncovered": '<circle cx="8" cy="8" r="6.8" class="rim" stroke-dasharray="2.6 2.7"/>',
}


def symbol(key: str) -> str:
    """The icon as a group that the graph refers to; style.css gives its colours."""
    return f'<g id="i-{key}">{ICONS[key]}</g>'


def mask(key: str) -> str:
    """The icon as a CSS image: white where it is seen."""
    pen = (
        "fill='none' stroke='{}' stroke-width='1.8' stroke-linecap='round' stroke-linejoin='round'"
    )
    drawn = ICONS[key].replace('"', "'")
    for name, colour in (("rim", "white"), ("cut", "black")):
        drawn = drawn.replace(f"class='{name}'", pen.format(colour))
    head = "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16' fill='white'>"
    return f'url("data:image/svg+xml,{quote(f"{head}{drawn}</svg>", _SAFE)}")'
