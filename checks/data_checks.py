"""Real data: S2 judged on fixed problems from drawn starts.  Open claims: reported only.

The check is ``limit_checks.diagonal_l1`` itself, with its controls and its criteria; only
where its cases come from differs.
"""

from __future__ import annotations

import struct

from checks import examples, own_data
from checks.cases import Case, CaseSpec
from checks.given import Given

STARTS = 5
"""Drawn starts a data set, one batch: the first that ``marginflow check --seed`` draws."""
NEEDED = 3
"""Informative runs that HELD takes: most of the starts."""
_BLOB = struct.Struct("<QI")
"""The start of a case: seed, index."""


def _specs(name: str, seed: int) -> list[CaseSpec]:
    p = examples.example(name).problem
    shape = (p.samples, p.length, p.dim)
    return [CaseSpec(f"data/{name}", shape, _BLOB.pack(seed, index)) for index in range(STARTS)]


def _decode(spec: CaseSpec) -> Case:
    """The case of ``data/NAME``: start number ``index`` that ``check --seed`` would draw."""
    seed, index = _BLOB.unpack(spec.blob)
    problem = examples.example(spec.family.removeprefix("data/")).problem
    starts = own_data.draw_starts(problem, "diagonal", False, 0, index + 1, seed)
    return Case(problem, starts[index], None, (), "drawn", spec)


def _given(name: str) -> Given:
    return Given(lambda seed: _specs(name, seed), _decode, NEEDED)


IRIS = _given("iris")
DIGITS = _given("digits")
WINE = _given("wine")
BREAST_CANCER = _given("breast-cancer")
