"""What a run returns: a status per row, the final direction, and the orbit's own certificate."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np


class Status(Enum):
    """Why a row stopped, with a sentence of advice.  Never an exception: rows differ."""

    CLOSED = ("closed", "the orbit's own primal-dual certificate closed to the gap asked for")
    HORIZON = ("horizon", "the log norm reached its horizon first; a slow coordinate is likely")
    LATE_STEPS = ("late steps", "the budget of late steps ran out; run with a deeper profile")
    UNSETTLED = ("unsettled", "a sample had not settled on a token when the steps ran out")
    RESURGENT = ("resurgent", "a token of higher score came back after the hand-over")
    FLAT = ("flat", "no token is better or worse than another: the loss is constant")
    STALLED = (
        "stalled",
        "rounding rules: pulls cancel in it, or a step or the solve fell below it",
    )

    def __init__(self, word: str, advice: str) -> None:
        self.word = word
        self.advice = advice


@dataclass
class Orbit:
    """Results of a batch of B runs, as numpy arrays with one row a run.

    direction (B, D): W/N(W) flattened; log_norm, log_time (B,): natural logarithms of N(W)
    and t; selected (B, n): token of largest attention; settled (B,): reached the late phase.
    primal (B,): min margin/N(W); dual (B,): smallest N°(G(p)) seen, at p = dual_weights
    (B, n, L); primal <= gamma* <= dual for the problem of the selected tokens.
    weights_p (B, n, L): last p.  worst_error (B,): largest accepted local error over its
    bound (<= 1 by construction); error_sum: sum of accepted local errors.
    """

    norm: str
    status: list[Status]
    selected: np.ndarray
    settled: np.ndarray
    direction: np.ndarray
    log_norm: np.ndarray
    log_time: np.ndarray
    primal: np.ndarray
    dual: np.ndarray
    dual_weights: np.ndarray
    weights_p: np.ndarray
    worst_error: np.ndarray
    error_sum: np.ndarray
    early_steps: np.ndarray
    late_steps: np.ndarray
    rejected: np.ndarray
    tau: np.ndarray

    @property
    def own_gap(self) -> np.ndarray:
        """(B,) 1 - primal/dual: bounds the margin gap of the selected problem from above."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(1 - self.primal / self.dual)

    def __len__(self) -> int:
        return len(self.status)
