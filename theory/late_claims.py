"""Derived claims about the late flow.  Data only."""

from __future__ import annotations

from typing import Final

from theory.claims import Claim
from theory.sentences import abstract, derived

_DATA: Final = ("optimal-unique", "separable", "realisable")
_SAMPLED: Final = (
    "Sampled problems and starts of moderate size in float64 up to a finite norm: evidence, "
    "not a proof."
)
_MONOTONE: Final = derived(
    "m~ = -ln sum_r e^{kappa_r - m_r} with min kappa = 0. S' = 2 p^T m, m~' = |Z'|^2 and "
    "<Z, Z'> = 2 p^T m, so d ln m~/d ln S = (p^T m/m~)/cos^2; p^T m >= m~ since entropy >= 0."
)

LATE_CLAIMS: Final[tuple[Claim, ...]] = (
    Claim(
        key="rate.monotone-margin",
        kind="rate",
        title="The normalised smooth margin never falls",
        statement=(
            "Late, with m~ > 0, the smooth margin over S = (|k|^2 + |q|^2)/2 is nondecreasing "
            "along the flow of separate diagonal weights."
        ),
        latex=r"\frac{d \ln \tilde m}{d \ln S} = \frac{p^\top m / \tilde m}{\cos^2 \angle(Z, Z')} "
        r"\ge 1",
        citation=_MONOTONE,
        assumptions=("realisable",),
        rests_on=("flow.orbit", "symbolic.monotone-margin"),
        falsified_by="Two successive states between which ln(m~/S) falls beyond the step error.",
        not_shown=_SAMPLED,
    ),
    Claim(
        key="limit.kkt-stationarity",
        kind="limit",
        title="Weights and velocity align in the mean",
        statement=(
            "The stationarity residual 1/cos^2 - 1 between weights and velocity, summed over "
            "ln S, stays below ln(gamma*/gamma~(0)): it tends to 0 in d ln S-mean."
        ),
        latex=(
            r"\int \Bigl( \frac{1}{\cos^2 \angle(Z, Z')} - 1 \Bigr) \, d \ln S \le "
            r"\ln \frac{\gamma^*}{\tilde\gamma(\tau_0)}"
        ),
        citation=_MONOTONE,
        sentences=("S5",),
        assumptions=(*_DATA, "nonzero-invariant", "infimum-reached"),
        rests_on=("flow.orbit", "rate.monotone-margin", "symbolic.kkt-reparameterized"),
        falsified_by="An orbit whose sum exceeds the bound by more than the sum's own error.",
        not_shown="Pointwise convergence of the residual: only its mean is bounded. " + _SAMPLED,
    ),
    Claim(
        key="limit.one-sample",
        kind="limit",
        title="One sample: the l1 margin is attained",
        statement=(
            "With a single sample, separate diagonal weights that reach the infimum attain the "
            "best l1 margin; from a separating start they always reach it."
        ),
        latex=r"n = 1: \quad \frac{\min_r (A\beta)_r}{\|\beta\|_1} \to \gamma^*",
        citation=abstract("S2", "S3"),
        sentences=("S2", "S3"),
        assumptions=(*_DATA, "nonzero-invariant", "infimum-reached"),
        rests_on=("flow.orbit", "symbolic.kkt-l1", "symbolic.mirror-form"),
        falsified_by=(
            "A start that reaches the infimum while its certificate closes for a named other "
            "problem whose optimal set misses the claimed margin, proved by an interval."
        ),
        not_shown=_SAMPLED,
    ),
    Claim(
        key="contrast.diagonal",
        kind="contrast",
        title="Separate and combined diagonal weights go to different margins",
        statement=(
            "On data whose l1 and l2 optima differ by 5 % or more, separate diagonal weights "
            "attain the l1 margin and miss the l2 margin, combined ones attain the l2 margin "
            "and miss the l1 margin, each by a proven interval, from the same start weights."
        ),
        latex=(
            r"\beta = k \circ q \to \ell_1\text{-SVM}, \quad \beta \text{ trained directly} \to "
            r"\ell_2\text{-SVM}"
        ),
        citation=abstract("S2", "S4", "S5"),
        sentences=("S2", "S4", "S5"),
        assumptions=(*_DATA, "nonzero-invariant", "infimum-reached"),
        rests_on=("limit.diagonal-l1", "limit.combined-l2"),
        falsified_by="A pair of runs of which one closes on the other's problem.",
        not_shown=_SAMPLED,
    ),
)
