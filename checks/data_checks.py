"""Real data: claims judged on fixed problems from drawn starts.  Open: reported only.

The checks are those of drawn cases, with their controls and their criteria; only where the
cases come from differs.
"""

from __future__ import annotations

import struct

from checks import examples, own_data
from checks.cases import Case, CaseSpec
from checks.given import Given
from checks.problems import Model

STARTS = 5
"""Drawn starts a data set, one batch: the first that ``marginflow check --seed`` draws."""
NEEDED = 3
"""Informative runs that HELD takes: most of the starts."""
_BLOB = struct.Struct("<QI")
"""The start of a case: seed, index."""


def _specs(name: str, seed: int, weights: str = "") -> list[CaseSpec]:
    p = examples.example(name).problem
    shape, family = (p.samples, p.length, p.dim), f"data/{name}{weights and '/'}{weights}"
    return [CaseSpec(family, shape, _BLOB.pack(seed, index)) for index in range(STARTS)]


def _decode(spec: CaseSpec) -> Case:
    """The case of ``data/NAME`` or ``data/NAME/vector|matrix`` (weights trained as one): start
    number ``index`` that ``check --seed`` would draw for that model."""
    seed, index = _BLOB.unpack(spec.blob)
    name, _, weights = spec.family.removeprefix("data/").partition("/")
    problem = examples.example(name).problem
    model: Model = "combined" if weights else "diagonal"
    starts = own_data.draw_starts(problem, model, weights == "matrix", 0, index + 1, seed)
    return Case(problem, starts[index], None, (), "drawn", spec)


def _given(name: str) -> Given:
    return Given(lambda seed: _specs(name, seed), _decode, NEEDED)


def _every(weights: str = "") -> Given:
    """All data sets in one claim; most starts of at least two of them must be informative."""
    names = [name for name in examples.NAMES if name != "random"]
    return Given(
        lambda seed: [spec for name in names for spec in _specs(name, seed, weights)],
        _decode,
        2 * NEEDED,
    )


IRIS = _given("iris")
DIGITS = _given("digits")
WINE = _given("wine")
BREAST_CANCER = _given("breast-cancer")
EVERY = _every()
EVERY_VECTOR = _every("vector")
EVERY_MATRIX = _every("matrix")
