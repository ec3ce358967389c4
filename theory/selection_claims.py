"""Selection claims: what a settled run solves, whatever it selected (THEORY.md 5).  Data only."""

from __future__ import annotations

from typing import Final

from theory.claims import Claim
from theory.sentences import derived

_SAMPLED: Final = (
    "Sampled problems and starts of moderate size in float64 up to a finite norm: evidence, "
    "not a proof."
)
_ANOTHER: Final = (
    "A run settled by the selected problem's own solution whose certificate closes for another "
    "problem."
)
_UNDECIDED: Final = "Runs that have not settled, or whose selection cannot be decided. " + _SAMPLED

SELECTION_CLAIMS: Final[tuple[Claim, ...]] = (
    Claim(
        key="selection.selected-svm",
        kind="selection",
        title="A settled run solves the problem of the tokens it selected",
        statement=(
            "Whatever tokens the flow of separate diagonal weights settles on, its direction "
            "attains the best l1 margin of the problem of those tokens over the tokens of lower "
            "score."
        ),
        latex=(
            r"\frac{\min_{l : \gamma_{il} < \gamma_{i\alpha_i}} (x_{i\alpha_i} - x_{il})^\top W "
            r"z_i}{N(W)} \to \gamma^*_\alpha, \quad \alpha_i = \arg\max_l s_{il}"
        ),
        citation=derived(
            "Tokens of higher score push with e^{-m_h}, exponentially less than the margins "
            "that bind, so the late flow is that of the selected problem (cf. locally optimal "
            "tokens, arXiv 2306.13596, 2308.16898)."
        ),
        assumptions=("realisable",),
        rests_on=("flow.orbit",),
        falsified_by=_ANOTHER,
        not_shown=_UNDECIDED,
    ),
    Claim(
        key="selection.selected-svm-combined",
        kind="selection",
        title="So does a settled run of combined weights, in the l2 norm",
        statement=(
            "Whatever tokens the flow of combined diagonal weights settles on, its direction "
            "attains the best l2 margin of the problem of those tokens."
        ),
        latex=r"\frac{\min_r (A_\alpha \beta)_r}{\|\beta\|_2} \to \gamma^*_\alpha",
        citation=derived("As for separate weights, with W' = G(p)."),
        sentences=("S4",),
        assumptions=("realisable",),
        rests_on=("flow.orbit",),
        falsified_by=_ANOTHER,
        not_shown=_UNDECIDED,
    ),
    Claim(
        key="selection.selected-svm-frobenius",
        kind="selection",
        title="So does a settled run of W trained directly, in the Frobenius norm",
        statement=(
            "Whatever tokens the flow of the full matrix W settles on, its direction attains the "
            "best Frobenius margin of the problem of those tokens."
        ),
        latex=r"\frac{\min_r \langle G_r^\alpha, W \rangle}{\|W\|_F} \to \gamma^*_\alpha",
        citation=derived("As for combined diagonal weights, with W' = G(p)."),
        sentences=("S4",),
        assumptions=("realisable",),
        rests_on=("flow.orbit",),
        falsified_by=_ANOTHER,
        not_shown=_UNDECIDED,
    ),
    Claim(
        key="selection.selected-svm-aligned",
        kind="selection",
        title="So does a settled run of aligned key and query, in the nuclear norm",
        statement=(
            "Whatever tokens the flow of full K and Q settles on, from an aligned start on "
            "symmetrised data, its direction attains the best nuclear margin of the problem of "
            "those tokens. Integrated in aligned coordinates, judged on the full problem."
        ),
        latex=r"\frac{\min_r \langle G_r^\alpha, K Q^\top \rangle}{\|K Q^\top\|_*} \to "
        r"\gamma^*_\alpha",
        citation=derived(
            "All differences of a sample's tokens, summed over its copies, are diagonal in the "
            "frames: the selected problem is aligned like the optimal one, its nuclear optimum "
            "the l1 optimum of the diagonal form."
        ),
        sentences=("S6",),
        assumptions=("realisable", "aligned", "nonzero-invariant"),
        rests_on=("flow.symmetrised-reduction", "selection.selected-svm"),
        falsified_by=_ANOTHER,
        not_shown=_UNDECIDED,
    ),
    Claim(
        key="frontier.selected-nuclear",
        kind="selection",
        title="Unaligned key and query: the nuclear margin of the tokens selected",
        statement=(
            "Frontier, no theorem: whatever tokens the flow of K and Q settles on from an "
            "unaligned start, its direction attains the best nuclear margin of their problem."
        ),
        latex=r"\frac{\min_r \langle G_r^\alpha, K Q^\top \rangle}{\|K Q^\top\|_*} "
        r"\overset{?}{\to} \gamma^*_\alpha",
        citation=derived("Frontier: evidence only (THEORY.md 4); no proof is known to us."),
        assumptions=("realisable",),
        rests_on=("flow.orbit-factored", "symbolic.kkt-factored"),
        expect="open",
        falsified_by=_ANOTHER,
        not_shown="Anything beyond the runs made: this is evidence, and no theorem.",
    ),
    Claim(
        key="limit.loss-barrier",
        kind="selection",
        title="A start of low loss reaches the infimum: separate diagonal weights",
        statement=(
            "On separable data separate diagonal weights reach the infimum from every start "
            "whose loss exceeds its infimum by less than what any one sample would add at its "
            "second-best score."
        ),
        latex=(
            r"L(0) - L^* < \frac{1}{n} \min_i e^{-\gamma_{i o_i}} \bigl( e^{b_i} - 1 "
            r"\bigr) \;\Rightarrow\; L(t) \to L^*"
        ),
        citation=derived(
            "A sample whose output is at most its second-best score adds the barrier to L - L* "
            "alone, and L never rises: so every output stays above that score for ever.  Then "
            "lambda > 0, and every s_io is bounded below.  If L did not tend to L*, sum lambda "
            "would be bounded below: <u, r>, and with it ln S, grows linearly in rescaled time; "
            "but p^T m is bounded (s ln 1/s <= 1/e), so S' = 2 p^T m lets S grow linearly at most."
        ),
        sentences=("S2",),
        assumptions=(
            "optimal-unique",
            "separable",
            "realisable",
            "nonzero-invariant",
            "loss-below-barrier",
        ),
        rests_on=("flow.orbit", "symbolic.rates", "symbolic.loss-infimum"),
        falsified_by="A start below the barrier of which a sample settles on another token.",
        not_shown="That the barrier is needed. Runs are followed until every sample has settled.",
    ),
    Claim(
        key="limit.loss-barrier-combined",
        kind="selection",
        title="A start of low loss reaches the infimum: combined weights",
        statement=(
            "On separable data combined weights reach the infimum from every start "
            "whose loss exceeds its infimum by less than what any one sample would add at its "
            "second-best score."
        ),
        latex=(
            r"L(0) - L^* < \frac{1}{n} \min_i e^{-\gamma_{i o_i}} \bigl( e^{b_i} - 1 "
            r"\bigr) \;\Rightarrow\; L(t) \to L^*"
        ),
        citation=derived(
            "A sample whose output is at most its second-best score adds the barrier to L - L* "
            "alone, and L never rises: so every output stays above that score for ever.  Then "
            "lambda > 0, and every s_io is bounded below.  If L did not tend to L*, sum lambda "
            "would be bounded below: |W| >= <U*, W> grows linearly in rescaled time; but p^T m is "
            "bounded (s ln 1/s <= 1/e), so (|W|^2)' = 2 p^T m lets |W| grow like a square root."
        ),
        sentences=("S2",),
        assumptions=("optimal-unique", "separable", "realisable", "loss-below-barrier"),
        rests_on=("flow.orbit", "symbolic.loss-infimum"),
        falsified_by="A start below the barrier of which a sample settles on another token.",
        not_shown="That the barrier is needed. Runs are followed until every sample has settled.",
    ),
)
