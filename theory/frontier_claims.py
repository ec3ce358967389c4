"""Derived claims beyond the paper, on unaligned key and query: the frontier.  Data only."""

from __future__ import annotations

from typing import Final

from theory.claims import Citation, Claim
from theory.sentences import derived

_DATA: Final = ("optimal-unique", "separable", "realisable")
_FULL: Final = (*_DATA, "full-stack-rank", "infimum-reached")
_SAMPLED: Final = (
    "Sampled problems and starts of moderate size in float64 up to a finite norm: evidence, "
    "not a proof."
)
_STACK: Final = (
    "If p(tau) tends to p*, Z' = M(p) Z has the limit rates of M(p*); a full stack has a part in "
    "its fastest direction, so |G(p*)|_op cannot exceed the margin's own rate: the certificate "
    "closes.  The matrix analogue of c_j > 0.  Cf. arXiv 2308.16898, where key and query, with "
    "vanishing regularisation, tend to the nuclear SVM."
)

FRONTIER_CLAIMS: Final[tuple[Claim, ...]] = (
    Claim(
        key="limit.full-stack",
        kind="limit",
        title="Unaligned starts of full stack rank: the nuclear margin is attained",
        statement=(
            "With e >= 2d columns, [K(0); Q(0)] of rank 2d, the infimum reached and p(tau) "
            "convergent, the full flow of K and Q attains the best nuclear margin.  (Where p "
            "does not converge the certificate may stay open: such a run is undecided.)"
        ),
        latex=(
            r"\operatorname{rank} \begin{pmatrix} K(0) \\ Q(0) \end{pmatrix} = 2d, \; "
            r"p(\tau) \to p_\infty \;\Rightarrow\; \frac{\min_r \langle G_r, K Q^\top "
            r"\rangle}{\|K Q^\top\|_*} \to \gamma^*"
        ),
        citation=Citation("derived; cf. arXiv 2308.16898", _STACK),
        assumptions=_FULL,
        rests_on=("flow.orbit", "symbolic.kkt-factored"),
        falsified_by=(
            "A start of full stack rank that reaches the infimum while its certificate closes "
            "for the Frobenius problem, whose optimal set misses the nuclear margin."
        ),
        not_shown="That p converges, which is assumed. " + _SAMPLED,
    ),
    Claim(
        key="control.full-stack-attains-frobenius",
        kind="control",
        title="The wrong norm: key and query of full stack rank, with the Frobenius norm",
        statement=(
            "Wrong on purpose: key and query, trained separately from a start of full stack "
            "rank, attain the best Frobenius margin."
        ),
        latex=(
            r"\frac{\min_r \langle G_r, K Q^\top \rangle}{\|K Q^\top\|_F} "
            r"\overset{?}{\to} \max_{\|W\|_F \le 1} \min_r \langle G_r, W \rangle"
        ),
        citation=derived("The limit is the nuclear optimum, which misses the Frobenius margin."),
        assumptions=_FULL,
        rests_on=("flow.orbit", "symbolic.kkt-factored"),
        expect="falsified",
        falsified_by="The nuclear certificate closes and its optimal set misses the margin.",
        not_shown="Nothing of the theorem: only that the check it guards can fail.",
    ),
)
