"""Every sentence, assumption and claim, by key.  Pure data: no sympy, no numpy.

The claims themselves are written in the modules ``theory.*_claims``; this is the one place to
look them up.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Protocol, TypeVar

from theory.assumptions import ASSUMPTION_LIST
from theory.claims import Assumption, Claim
from theory.control_claims import CONTROL_CLAIMS
from theory.data_claims import DATA_CLAIMS
from theory.flow_claims import FLOW_CLAIMS, LIMIT_CLAIMS
from theory.frontier_claims import FRONTIER_CLAIMS
from theory.general_claims import GENERAL_CLAIMS
from theory.late_claims import LATE_CLAIMS
from theory.neighbour_claims import NEIGHBOUR_CLAIMS
from theory.rate_claims import RATE_CLAIMS
from theory.rate_controls import RATE_CONTROLS
from theory.selection_claims import SELECTION_CLAIMS
from theory.sentences import SENTENCES
from theory.symbolic_claims import SYMBOLIC_CLAIMS

__all__ = ["ASSUMPTIONS", "CLAIMS", "SENTENCES", "by_key", "faults", "foundations"]


class _Keyed(Protocol):
    @property
    def key(self) -> str: ...


_T = TypeVar("_T", bound=_Keyed)


def by_key(items: Iterable[_T]) -> dict[str, _T]:
    """``items`` as a dict by key, order kept; ValueError where a key occurs twice."""
    found: dict[str, _T] = {}
    for item in items:
        if item.key in found:
            raise ValueError(f"the key {item.key!r} is defined twice")
        found[item.key] = item
    return found


ASSUMPTIONS: Final[dict[str, Assumption]] = by_key(ASSUMPTION_LIST)

CLAIMS: Final[dict[str, Claim]] = by_key(
    (
        *SYMBOLIC_CLAIMS,
        *FLOW_CLAIMS,
        *LIMIT_CLAIMS,
        *LATE_CLAIMS,
        *RATE_CLAIMS,
        *GENERAL_CLAIMS,
        *SELECTION_CLAIMS,
        *FRONTIER_CLAIMS,
        *NEIGHBOUR_CLAIMS,
        *CONTROL_CLAIMS,
        *RATE_CONTROLS,
        *DATA_CLAIMS,
    )
)


def foundations(key: str, claims: dict[str, Claim] = CLAIMS) -> tuple[str, ...]:
    """All keys the claim ``key`` rests on, directly or not, foundations first, itself last.

    KeyError for a key that no claim has; ValueError where claims rest on each other in a
    circle (the circle is spelt out).
    """
    order: list[str] = []
    path: list[str] = []

    def visit(current: str) -> None:
        if current in path:
            circle = " -> ".join([*path[path.index(current) :], current])
            raise ValueError(f"claims rest on each other in a circle: {circle}")
        if current in order:
            return
        path.append(current)
        for below in claims[current].rests_on:
            visit(below)
        path.pop()
        order.append(current)

    visit(key)
    return tuple(order)


def faults(
    claims: dict[str, Claim] = CLAIMS,
    assumptions: dict[str, Assumption] = ASSUMPTIONS,
    sentences: dict[str, str] = SENTENCES,
) -> list[str]:
    """What is wrong with a catalogue, one line each; the empty list if it is well formed.

    Looks for keys that nothing defines, circles, empty fields, sentences that no claim
    expected to hold covers, and claims expected to hold that rest on one that is not.
    """
    found: list[str] = []
    for key, claim in claims.items():
        if claim.key != key:
            found.append(f"{key}: filed under another key, {claim.key}")
        known = (
            ("sentence", claim.sentences, sentences),
            ("assumption", claim.assumptions, assumptions),
            ("claim", claim.rests_on, claims),
        )
        for noun, used, defined in known:
            found += [f"{key}: unknown {noun} {name}" for name in used if name not in defined]
            if len(set(used)) != len(used):
                found.append(f"{key}: a {noun} is named twice")
        texts = {
            "title": claim.title,
            "statement": claim.statement,
            "latex": claim.latex,
            "citation.source": claim.citation.source,
            "citation.text": claim.citation.text,
            "falsified_by": claim.falsified_by,
            "not_shown": claim.not_shown,
        }
        found += [f"{key}: {name} is empty" for name, text in texts.items() if not text.strip()]
        if (claim.expect == "falsified") != (claim.kind == "control"):
            found.append(f"{key}: controls, and only they, are expected to be falsified")
        if claim.expect == "held":
            found += [
                f"{key}: rests on {below}, which is not expected to hold"
                for below in claim.rests_on
                if below in claims and claims[below].expect != "held"
            ]
        try:
            foundations(key, claims)
        except ValueError as error:
            found.append(f"{key}: {error}")
        except KeyError:
            continue  # an unknown claim somewhere below: reported where it is named
    covered = {s for c in claims.values() if c.expect == "held" for s in c.sentences}
    found += [f"no claim covers sentence {s}" for s in sentences if s not in covered]
    return found
