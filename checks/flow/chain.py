"""Is what the engine stored one orbit from the start, and does it keep what is conserved?"""

from __future__ import annotations

import numpy as np

from checks.flow.probes import Stretch
from checks.problems import Array, Start

NO_STEP = "no step was stored"
NO_CHAIN = "a stored step does not start where the one before it ended"
NO_END = "the direction returned is not where the stored orbit ends"
CHAIN_FAULTS = (NO_STEP, NO_CHAIN, NO_END)
"""What a trajectory that was made up looks like, an SVM solution for one."""


def chain_breaks(stretches: list[Stretch], initial: Array) -> str:
    """Why the stored steps are no orbit from ``initial``; empty where they are one.

    A trajectory made up from an SVM solution has no steps to show, or steps that do not
    meet; every stored step starts where the one before it ended.
    """
    if not stretches:
        return NO_STEP
    at = initial
    for stretch in stretches:
        if not np.array_equal(stretch.before, at):
            return NO_CHAIN
        at = stretch.after
    return ""


_DRIFT_LIMIT = np.log(1e6)
"""Past this norm K^T K - Q^T Q is the difference of numbers 1e12 times its size."""


def drift(start: Start, stretches: list[Stretch]) -> float | None:
    """Largest change of k^2 - q^2 or K^T K - Q^T Q over |K|^2 + |Q|^2, up to norm 1e6."""
    if start.key is None or start.query is None:
        return None
    key, query = start.key, start.query
    worst = 0.0
    for stretch in stretches:
        if stretch.log_norm > _DRIFT_LIMIT:
            break
        if start.model == "diagonal":
            k, q = start.moved(stretch.after)
            change = (k * k - q * q) - (key * key - query * query)
        else:
            scale = np.exp(stretch.after[-1] / 2)
            k, q = stretch.after[:-1].reshape(2, *key.shape) * scale
            change = (k.T @ k - q.T @ q) - (key.T @ key - query.T @ query)
        size = (k * k).sum() + (q * q).sum() or 1.0  # weights of 0 stay 0
        ratio = float(np.abs(change).max() / size)
        worst = worst if ratio <= worst else ratio  # what is no number stays, and is seen
    return worst
