"""Tolerances: a value and the reason for it, computed from solver and integrator settings."""

from __future__ import annotations

from dataclasses import dataclass

from checks.flow.settings import Settings

EPS = 2.0**-52


@dataclass(frozen=True)
class Tolerance:
    """The largest value that still meets a claim, with the reason in words."""

    value: float
    because: str


def margin_gap(settings: Settings) -> Tolerance:
    """For 1 - margin/gamma*: twice the gap at which the engine's own certificate closes.

    The certificate bounds the gap from above, so a closed run meets half of this tolerance;
    the other half is for the width of the solver's interval and rounding.
    """
    return Tolerance(
        2 * settings.gap,
        f"twice the gap ({settings.gap:g}) at which a run's own primal-dual certificate counts "
        "as closed: the rest is room for the solver's interval (1e-9 at most) and rounding",
    )


def rounding(terms: int, size: float, what: str) -> Tolerance:
    """For a sum of ``terms`` float64 products of total absolute size ``size``.

    gamma_n bound of Higham (Accuracy and Stability, section 3.1), doubled for the two routes.
    """
    return Tolerance(
        2 * (terms + 4) * EPS * size, f"rounding of {terms} terms in {what}, both routes"
    )
