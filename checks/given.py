"""Cases that are given, such as real data, where a stream would draw them from families."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass

from checks.cases import Case, CaseSpec


class Unavailable(RuntimeError):
    """The cases cannot be had on this machine: NOT_RUN, with this one line as the reason."""


@dataclass(frozen=True)
class Given:
    """Takes a stream's place in the registry: nothing is searched, no assumption is violated.

    specs: seed -> every case of the claim, in order.  decode: such a spec -> its case.  Both
    raise :class:`Unavailable` where the data are missing.  informative: what HELD takes, in
    cases; they may share one problem.
    """

    specs: Callable[[int], list[CaseSpec]]
    decode: Callable[[CaseSpec], Case]
    informative: int

    def digest(self, seed: int) -> str:
        """Names exactly these cases: what is stored of others is nothing of theirs."""
        specs = json.dumps([spec.to_json() for spec in self.specs(seed)])
        return hashlib.sha256(specs.encode()).hexdigest()
