"""Derived claims about how fast.  Data only."""

from __future__ import annotations

from typing import Final

from theory.claims import Claim
from theory.sentences import derived

_DATA: Final = ("optimal-unique", "separable", "realisable")
_SAMPLED: Final = (
    "Sampled problems and starts of moderate size in float64 up to a finite norm: evidence, "
    "not a proof."
)

RATE_CLAIMS: Final[tuple[Claim, ...]] = (
    Claim(
        key="symbolic.rates",
        kind="symbolic",
        title="The algebra behind the rates",
        statement=(
            "Under W' = G(p): m~' = |G|^2, (|W|^2/2)' = p^T m, and gamma*|W| - m~ never rises; "
            "ln sum c_j e^{r_j}/2 is <u, r> + sum u_j ln(c_j/2u_j) plus a relative entropy "
            "(Gibbs); e^m~/m~' grows like t up to m~''/m~'^2."
        ),
        latex=(
            r"\tilde m' = \|G\|^2, \quad \bigl( \gamma^* \|W\| - \tilde m \bigr)' \le 0, \quad "
            r"\ln S \ge \langle u, r \rangle + \sum_j |u_j| \ln \frac{c_j}{2 |u_j|}"
        ),
        citation=derived(
            "p is the gradient of m~ in the margins; weak duality gives |G| >= gamma*; relative "
            "entropy is not negative."
        ),
        rests_on=("symbolic.monotone-margin",),
        falsified_by="One exact point at which an identity's residual is not zero.",
        not_shown="Sizes beyond those each identity names.",
    ),
    Claim(
        key="rate.monotone-margin-factored",
        kind="rate",
        title="The normalised smooth margin never falls, for matrices too",
        statement=(
            "Late, with m~ > 0, the smooth margin over S = (|K|^2 + |Q|^2)/2 is nondecreasing "
            "along the flow of separate matrices K and Q, aligned or not."
        ),
        latex=r"\frac{d \ln \tilde m}{d \ln S} = \frac{p^\top m / \tilde m}{\cos^2 \angle(Z, Z')} "
        r"\ge 1, \quad Z = [K; Q]",
        citation=derived(
            "Z' = [G(p)Q; G(p)^T K]: S' = 2 p^T m, m~' = |Z'|^2 and <Z, Z'> = 2 p^T m, so the "
            "diagonal argument holds word for word; p^T m >= m~ since entropy >= 0."
        ),
        assumptions=("realisable",),
        rests_on=("flow.orbit-factored", "symbolic.monotone-margin"),
        falsified_by="Two successive states between which ln(m~/S) falls beyond the step error.",
        not_shown=_SAMPLED,
    ),
    Claim(
        key="rate.combined-offset",
        kind="rate",
        title="Combined weights: the margin's gap is O(1/|W|)",
        statement=(
            "Late, gamma*|W| - m~ never rises along the flow of combined weights that reach the "
            "infimum, so gamma* - m~/|W| is at most (gamma*|W(0)| - m~(0))/|W|, pointwise."
        ),
        latex=(
            r"\frac{d}{d\tau} \bigl( \gamma^* \|W\| - \tilde m \bigr) \le 0, \quad \gamma^* - "
            r"\frac{\tilde m}{\|W\|} \le \frac{\gamma^* \|W_0\| - \tilde m_0}{\|W\|}"
        ),
        citation=derived(
            "|W|' = <W, G>/|W| <= |G| and m~' = |G|^2 with |G| >= gamma* (weak duality), so the "
            "derivative is at most |G|(gamma* - |G|) <= 0."
        ),
        sentences=("S4",),
        assumptions=(*_DATA, "infimum-reached"),
        rests_on=("flow.orbit", "symbolic.rates"),
        falsified_by=(
            "Two successive states between which gamma*|W| - m~ rises by ten times what the "
            "step error allows."
        ),
        not_shown=_SAMPLED,
    ),
)
