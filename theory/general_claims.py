"""Claims about general key and query matrices: aligned starts (S6) and the frontier.  Data only."""

from __future__ import annotations

from typing import Final

from theory.claims import Claim
from theory.sentences import abstract, derived

_DATA: Final = ("optimal-unique", "separable", "realisable")
_ALIGNED: Final = (*_DATA, "aligned", "nonzero-invariant", "infimum-reached")
_COUNTEREXAMPLE: Final = (
    "A start that reaches the infimum while its certificate closes for a named other problem "
    "whose optimal set misses the claimed margin, proved by an interval."
)
_SAMPLED: Final = (
    "Sampled problems and starts of moderate size in float64 up to a finite norm: evidence, "
    "not a proof."
)
_SYMMETRISED: Final = (
    "Each sample stands with its copies (X D_h, D_h z), D_h over a group of sign matrices: at "
    "diagonal W all copies weigh the same and sum_h (D_h delta)(D_h z)^T is diagonal."
)

GENERAL_CLAIMS: Final[tuple[Claim, ...]] = (
    Claim(
        key="flow.factored-conservation",
        kind="flow",
        title="The invariant of key and query matrices is conserved",
        statement=(
            "A direct integration of K and Q keeps the matrix K^T K - Q^T Q constant, to the "
            "accuracy of the integration and relative to |K|^2 + |Q|^2."
        ),
        latex=r"K(t)^\top K(t) - Q(t)^\top Q(t) = K(0)^\top K(0) - Q(0)^\top Q(0)",
        citation=derived("K^T K' = K^T G Q = Q'^T Q, and the transpose: both sides change alike."),
        sentences=("S6",),
        assumptions=("optimal-unique", "realisable"),
        rests_on=("symbolic.factored-conservation", "flow.gradient"),
        falsified_by="A drift beyond what the integrator's error tolerance accounts for.",
        not_shown="Early orbits only: later the difference is rounding. " + _SAMPLED,
    ),
    Claim(
        key="flow.orbit-factored",
        kind="flow",
        title="The orbit of key and query matrices is gradient flow",
        statement=(
            "Random stretches of every orbit of K and Q, integrated again by an independent "
            "method in rescaled time from the stored state, end at the stored state; the stored "
            "steps are one chain from the start to the weights that are returned."
        ),
        latex=(
            r"\frac{dK}{d\tau} = G(p) Q, \quad \frac{dQ}{d\tau} = G(p)^\top K, \quad "
            r"p = \frac{\lambda}{\sum_r |\lambda_r|}"
        ),
        citation=derived(
            "A positive change of time leaves the orbit unchanged, so two methods started at "
            "one stored state must meet at the next."
        ),
        assumptions=("optimal-unique", "realisable"),
        rests_on=("flow.gradient", "symbolic.factored-step"),
        falsified_by=(
            "A stretch whose end differs beyond the error bounds of both methods, or a chain "
            "that breaks."
        ),
        not_shown="Stretches are sampled; between them the step control is relied on.",
    ),
    Claim(
        key="flow.alignment-preserved",
        kind="flow",
        title="Alignment is preserved",
        statement=(
            "From an aligned start in single-entry form the full key and query matrices stay "
            "diagonal in the frames of the start, along the orbit up to norm 1e6."
        ),
        latex=(
            r"K(0) = U \operatorname{diag}(k) R^\top, \; Q(0) = V \operatorname{diag}(q) R^\top "
            r"\;\Rightarrow\; U^\top K(t) R, \; V^\top Q(t) R \ \text{diagonal}"
        ),
        citation=abstract("S6"),
        sentences=("S6",),
        assumptions=("optimal-unique", "realisable", "aligned"),
        rests_on=("symbolic.alignment", "flow.orbit-factored"),
        falsified_by="An orbit whose off-diagonal part outgrows the rounding it started from.",
        not_shown="The symmetrised form, whose diagonal manifold rounding may leave. " + _SAMPLED,
    ),
    Claim(
        key="flow.symmetrised-reduction",
        kind="flow",
        title="On symmetrised data the full flow is the diagonal flow",
        statement=(
            "On symmetrised data, at every aligned point, the gradient of the loss in the full "
            "K and Q is the gradient of the diagonal problem, carried by the frames."
        ),
        latex=(
            r"-\nabla_K L = U \operatorname{diag}(q \circ A^\top \lambda) R^\top, \quad "
            r"-\nabla_Q L = V \operatorname{diag}(k \circ A^\top \lambda) R^\top"
        ),
        citation=derived(_SYMMETRISED),
        sentences=("S6",),
        assumptions=("optimal-unique", "realisable", "aligned"),
        rests_on=("symbolic.alignment", "flow.gradient"),
        falsified_by="An aligned point at which the two gradients differ beyond rounding.",
        not_shown="Points are sampled along diagonal orbits.",
    ),
    Claim(
        key="limit.aligned-infimum",
        kind="limit",
        title="Aligned starts in single-entry form reach the infimum",
        statement=(
            "On separable data in single-entry form, from every aligned start with c_j > 0 on "
            "the directions used, every sample settles on its optimal token."
        ),
        latex=r"\lim_{t \to \infty} L = L^*",
        citation=derived(
            "Realisable scores are affine in alpha_r along u_j, so the force on sigma_j is a sum "
            "of Cov_s(gamma, alpha) = |v.u_j| Var_s(alpha) > 0 in the sign that its constraints "
            "share: every sigma_j used grows without bound. (Equal scores are not needed.)"
        ),
        sentences=("S6",),
        assumptions=(*_DATA, "aligned", "nonzero-invariant"),
        rests_on=("flow.orbit-factored", "symbolic.alignment"),
        falsified_by="A run settled for good on a token that is not optimal.",
        not_shown=_SAMPLED,
    ),
    Claim(
        key="limit.aligned-single-entry",
        kind="limit",
        title="Aligned starts, single-entry form: the nuclear margin is attained",
        statement=(
            "The full flow of K and Q from an aligned start in single-entry form attains the "
            "best nuclear margin. This form does not discriminate: the limit is optimal in the "
            "Frobenius norm too."
        ),
        latex=(
            r"\frac{\min_r \langle G_r, W \rangle}{\|W\|_*} \to \max_{\|W\|_* \le 1} \min_r "
            r"\langle G_r, W \rangle, \quad W = K Q^\top"
        ),
        citation=abstract("S2", "S3", "S6"),
        sentences=("S2", "S3", "S6"),
        assumptions=_ALIGNED,
        rests_on=("flow.alignment-preserved", "limit.aligned-infimum", "symbolic.kkt-factored"),
        falsified_by=_COUNTEREXAMPLE,
        not_shown="Which norm is minimised: the norms agree on such data. " + _SAMPLED,
    ),
    Claim(
        key="limit.aligned-symmetrised",
        kind="limit",
        title="Aligned starts, symmetrised form: the nuclear margin is attained",
        statement=(
            "The flow of full K and Q on symmetrised data from an aligned start attains the "
            "best nuclear margin. Integrated in aligned coordinates; the margin, the norm and "
            "the certificate are those of the full problem."
        ),
        latex=(
            r"\frac{\min_r \langle G_r, W \rangle}{\|W\|_*} \to \max_{\|W\|_* \le 1} \min_r "
            r"\langle G_r, W \rangle, \quad W = U \operatorname{diag}(k \circ q) V^\top"
        ),
        citation=abstract("S2", "S3", "S6"),
        sentences=("S2", "S3", "S6"),
        assumptions=_ALIGNED,
        rests_on=("flow.symmetrised-reduction", "limit.diagonal-l1", "symbolic.kkt-factored"),
        falsified_by=_COUNTEREXAMPLE,
        not_shown=(
            "That floating-point training stays on the aligned manifold: it may not. " + _SAMPLED
        ),
    ),
    Claim(
        key="contrast.aligned",
        kind="contrast",
        title="Full weights: nuclear margin apart, Frobenius margin together",
        statement=(
            "On symmetrised data whose optima differ by 5 % or more, K and Q trained separately "
            "from an aligned start attain the nuclear margin and miss the Frobenius margin; W "
            "trained directly attains the Frobenius margin and misses the nuclear one."
        ),
        latex=(
            r"K Q^\top \to \text{nuclear SVM}, \quad W \text{ trained directly} \to "
            r"\text{Frobenius SVM}"
        ),
        citation=abstract("S2", "S4", "S6"),
        sentences=("S2", "S4", "S6"),
        assumptions=_ALIGNED,
        rests_on=("limit.aligned-symmetrised", "limit.combined-frobenius"),
        falsified_by="A pair of runs of which one closes on the other's problem.",
        not_shown=_SAMPLED,
    ),
    Claim(
        key="control.aligned-attains-frobenius",
        kind="control",
        title="Aligned separate weights attain the Frobenius margin",
        statement=(
            "Wrong on purpose: full key and query, trained separately from an aligned start on "
            "symmetrised data, attain the best Frobenius margin."
        ),
        latex=(
            r"\frac{\min_r \langle G_r, W \rangle}{\|W\|_F} \overset{?}{\to} "
            r"\max_{\|W\|_F \le 1} \min_r \langle G_r, W \rangle"
        ),
        citation=derived("The limit is the nuclear optimum, which misses the Frobenius margin."),
        sentences=("S2", "S6"),
        assumptions=_ALIGNED,
        rests_on=("flow.symmetrised-reduction",),
        expect="falsified",
        falsified_by="The nuclear certificate closes and its optimal set misses the margin.",
        not_shown="How the true limit behaves: that is limit.aligned-symmetrised.",
    ),
    Claim(
        key="frontier.unaligned-nuclear",
        kind="limit",
        title="Unaligned starts: the nuclear margin, so far always",
        statement=(
            "Frontier, no theorem: the full flow of K and Q from unaligned starts of full rank "
            "attains the best nuclear margin where it reaches the infimum."
        ),
        latex=r"\frac{\min_r \langle G_r, K Q^\top \rangle}{\|K Q^\top\|_*} \overset{?}{\to} "
        r"\gamma^*",
        citation=derived("Frontier: evidence only (THEORY.md 4); no proof is known to us."),
        assumptions=(*_DATA, "infimum-reached"),
        rests_on=("flow.orbit-factored", "symbolic.kkt-factored"),
        expect="open",
        falsified_by=_COUNTEREXAMPLE,
        not_shown="Anything beyond the runs made: this is evidence, and no theorem.",
    ),
    Claim(
        key="frontier.factored-contrast",
        kind="contrast",
        title="Unaligned: separate weights and combined weights part ways",
        statement=(
            "Frontier, no theorem: on data whose optima differ by 5 % or more, K and Q from an "
            "unaligned start attain the nuclear margin and miss the Frobenius margin, W trained "
            "directly the reverse."
        ),
        latex=(r"K Q^\top \overset{?}{\to} \text{nuclear SVM}, \quad W \to \text{Frobenius SVM}"),
        citation=derived("Frontier: evidence only (THEORY.md 4); no proof is known to us."),
        assumptions=(*_DATA, "infimum-reached"),
        rests_on=("frontier.unaligned-nuclear", "limit.combined-frobenius"),
        expect="open",
        falsified_by="A pair of runs of which one closes on the other's problem.",
        not_shown="Anything beyond the runs made: this is evidence, and no theorem.",
    ),
)
