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
        rests_on=("flow.orbit-factored", "symbolic.kkt-factored"),
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
        rests_on=("flow.orbit-factored", "symbolic.kkt-factored"),
        expect="falsified",
        falsified_by="The nuclear certificate closes and its optimal set misses the margin.",
        not_shown="Nothing of the theorems: only that the check it guards can fail.",
    ),
    Claim(
        key="rate.saddle-escape",
        kind="rate",
        title="KKT points that are not global are strict saddles, left at a known rate",
        statement=(
            "At rank-one KKT points of the factored problem with |G|_op > gamma, found by runs of "
            "one column, the Lagrangian's curvature along a further column y, the top singular "
            "pair of G, is 1 - |G|_op/gamma < 0; and from the saddle with a faint column y the "
            "flow leaves it with |y^T Z|/|Z| growing like S to the power (|G|_op/gamma - 1)/2."
        ),
        latex=(
            r"\frac{d \ln (|y^\top Z| / |Z|)}{d \ln S} = \tfrac{1}{2} \Bigl( "
            r"\frac{\|G\|_{op}}{\gamma} - 1 \Bigr), \quad \Delta \ln S \approx "
            r"\frac{2 \ln (|Z| / |y^\top Z|)}{\|G\|_{op} / \gamma - 1}"
        ),
        citation=derived(
            "Along y c^T with c outside the row space of Z no margin moves to first order, so p "
            "stays: y^T Z grows like exp(|G|_op tau), Z like exp(gamma tau), and "
            "d ln S = 2 gamma d tau."
        ),
        assumptions=(*_DATA, "infimum-reached"),
        rests_on=("flow.orbit-factored", "symbolic.kkt-factored"),
        falsified_by="A saddle of other curvature, or left at another rate, beyond tolerance.",
        not_shown="Saddles of rank above one; starts that come near a saddle by themselves.",
    ),
    Claim(
        key="frontier.atlas",
        kind="limit",
        title="Frontier atlas: where unaligned key and query end",
        statement=(
            "Frontier, no theorem: over the number of columns, the start's scale, rank, balance "
            "and angle, and tied scores, runs of the full flow that reach the infimum attain the "
            "best nuclear margin.  Expected to fail where the start's structure stands in the "
            "way; what each run is found to be is counted by its place."
        ),
        latex=r"\frac{\min_r \langle G_r, K Q^\top \rangle}{\|K Q^\top\|_*} \overset{?}{\to} "
        r"\gamma^*",
        citation=derived("Frontier: evidence only (THEORY.md 4); no proof is known to us."),
        assumptions=(*_DATA, "infimum-reached"),
        rests_on=("flow.orbit-factored", "symbolic.kkt-factored"),
        expect="open",
        falsified_by=(
            "A run whose certificate closes for the Frobenius problem.  Runs at KKT points that "
            "are not the optimum are counted and named, not certified."
        ),
        not_shown="Anything beyond the runs made: this is evidence, and no theorem.",
    ),
    Claim(
        key="frontier.infimum-shares",
        kind="selection",
        title="How vacuous S2 is: the share of starts that reach the infimum",
        statement=(
            "Some starts reach the infimum and some do not, so S2 is neither empty nor without "
            "its condition: counted over separable data, small and random starts, separate and "
            "combined diagonal weights, by the data's size and by what their scores are like."
        ),
        latex=r"0 < \Pr \bigl[ L(t) \to L^* \bigr] < 1",
        citation=derived(
            "Frontier: a count.  With n >= 2 samples lambda of a sample that settles on another "
            "token is exponentially small, and nothing brings it back (THEORY.md 5)."
        ),
        sentences=("S2",),
        assumptions=("optimal-unique", "realisable"),
        rests_on=("flow.orbit",),
        expect="open",
        falsified_by=(
            "No run: without one of either kind it is inconclusive.  The shares have 95\u00a0% "
            "intervals."
        ),
        not_shown=(
            "Shares of other distributions of data and starts.  Runs are counted where they "
            "settle, at margins of 40 nats; the certificate of the tokens selected is not asked."
        ),
    ),
)
