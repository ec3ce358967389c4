"""The claims about trajectories: what holds along the flow, and in the limit.  Data only."""

from __future__ import annotations

from typing import Final

from theory.claims import Citation, Claim
from theory.sentences import PAPER, SENTENCES, abstract, derived

_DATA: Final = ("optimal-unique", "separable", "realisable")
_DIAGONAL: Final = (*_DATA, "nonzero-invariant", "infimum-reached")
_COMBINED: Final = (*_DATA, "infimum-reached")

_SAMPLED: Final = (
    "Sampled problems and starts of moderate size in float64 up to a finite norm: evidence, "
    "not a proof."
)
_COUNTEREXAMPLE: Final = (
    "A start that reaches the infimum while its certificate closes for a named other problem "
    "whose optimal set misses the claimed margin, proved by an interval."
)

FLOW_CLAIMS: Final[tuple[Claim, ...]] = (
    Claim(
        key="flow.gradient",
        kind="flow",
        title="The margin form is the gradient of the loss",
        statement=(
            "In all three models the margin form, evaluated in float64, is the negative "
            "gradient that automatic differentiation gives of a separately written loss."
        ),
        latex=(
            r"-\nabla_W L = G(\lambda), \quad \dot K = G(\lambda) Q, \; \dot Q = G(\lambda)^\top K,"
            r" \quad \dot k = q \circ A^\top \lambda, \; \dot q = k \circ A^\top \lambda"
        ),
        citation=abstract("S1"),
        sentences=("S1",),
        assumptions=("optimal-unique", "realisable"),
        rests_on=(
            "symbolic.margin-form-combined",
            "symbolic.margin-form-diagonal",
            "symbolic.margin-form-factored",
        ),
        falsified_by="A point at which the two gradients differ beyond their rounding bound.",
        not_shown="Points are sampled; the exact identity is the symbolic claims' matter.",
    ),
    Claim(
        key="flow.loss-decreases",
        kind="flow",
        title="The loss never increases along the flow",
        statement="Along every orbit the loss is nonincreasing, up to rounding of the loss.",
        latex=r"\dot w = -\nabla_w L \;\Rightarrow\; \dot L = -\|\nabla_w L\|^2 \le 0",
        citation=abstract("S1"),
        sentences=("S1",),
        assumptions=("optimal-unique", "realisable"),
        rests_on=("flow.gradient",),
        falsified_by="Two successive snapshots whose loss rises beyond its rounding bound.",
        not_shown=_SAMPLED,
    ),
    Claim(
        key="flow.conservation",
        kind="flow",
        title="The diagonal invariant is conserved",
        statement=(
            "A direct integration of k and q keeps k_j^2 - q_j^2 constant, to the accuracy of "
            "the integration and relative to |k|^2 + |q|^2."
        ),
        latex=r"k_j(t)^2 - q_j(t)^2 = k_j(0)^2 - q_j(0)^2",
        citation=abstract("S5"),
        sentences=("S5",),
        assumptions=("optimal-unique", "realisable"),
        rests_on=("symbolic.diagonal-conservation", "flow.gradient"),
        falsified_by="A drift beyond what the integrator's error tolerance accounts for.",
        not_shown=_SAMPLED,
    ),
    Claim(
        key="flow.mirror-identity",
        kind="flow",
        title="The flow is its mirror form",
        statement=(
            "A direct integration of k and q agrees with beta_j = c_j sinh r_j, "
            "r(t) = r(0) + 2 A^T times the integral of lambda, up to the signs of w+ and w-."
        ),
        latex=(
            r"k_j q_j = \sigma_j c_j \sinh \Bigl( r_j(0) + 2 \bigl( A^\top \textstyle\int_0^t "
            r"\lambda \, dt' \bigr)_j \Bigr), \quad \sigma_j = 1"
        ),
        citation=abstract("S5"),
        sentences=("S5",),
        assumptions=("optimal-unique", "realisable", "nonzero-invariant"),
        rests_on=("symbolic.mirror-form", "flow.gradient"),
        falsified_by="A difference beyond the error bounds of both integrations.",
        not_shown=_SAMPLED,
    ),
    Claim(
        key="flow.orbit",
        kind="flow",
        title="The orbit the engine returns is gradient flow",
        statement=(
            "Random stretches of every audited orbit, integrated again by an independent "
            "method in rescaled time from the stored state, end at the stored state; beyond "
            "the norm that method reaches, the mirror or conservation identity holds with "
            "recomputed weights p."
        ),
        latex=(
            r"\frac{dw}{d\tau} = \frac{1}{\sum_r |\lambda_r|} \bigl( -\nabla_w L \bigr), \quad "
            r"d\tau = \sum_r |\lambda_r| \, dt"
        ),
        citation=derived(
            "A positive change of time leaves the orbit unchanged, so two methods started at "
            "one stored state must meet at the next."
        ),
        assumptions=("optimal-unique", "realisable"),
        rests_on=("flow.gradient", "symbolic.mirror-form", "symbolic.factored-step"),
        falsified_by=(
            "A stretch whose end differs beyond the error bounds of both methods; planted "
            "steppers (steps too long, wrong potential, an optimum returned as a trajectory, p "
            "of the wrong time) must come out so."
        ),
        not_shown="Stretches are sampled; between them the step control is relied on.",
    ),
)

LIMIT_CLAIMS: Final[tuple[Claim, ...]] = (
    Claim(
        key="limit.diagonal-l1",
        kind="limit",
        title="Diagonal weights trained separately: the l1 SVM",
        statement=(
            "If the loss tends to its infimum, the normalised margin of beta = k * q tends to "
            "the best l1 margin, the nuclear norm of a diagonal matrix being the l1 norm."
        ),
        latex=(
            r"L \to L^* \;\Rightarrow\; \frac{\min_r (A\beta)_r}{\|\beta\|_1} \to \gamma^* = "
            r"\max_{\|u\|_1 \le 1} \min_r (Au)_r"
        ),
        citation=abstract("S2", "S3", "S5"),
        sentences=("S2", "S3", "S5"),
        assumptions=_DIAGONAL,
        rests_on=(
            "flow.orbit",
            "symbolic.loss-infimum",
            "symbolic.margin-form-diagonal",
            "symbolic.mirror-form",
            "symbolic.kkt-l1",
            "symbolic.kkt-reparameterized",
        ),
        falsified_by=_COUNTEREXAMPLE,
        not_shown=_SAMPLED + " Trajectories that settle on another token say nothing of it.",
    ),
    Claim(
        key="limit.combined-l2",
        kind="limit",
        title="Diagonal weights trained as one vector: the l2 SVM",
        statement=(
            "If beta itself is trained and the loss tends to its infimum, the normalised "
            "margin tends to the best l2 margin, the Frobenius norm of a diagonal matrix being "
            "the l2 norm."
        ),
        latex=(
            r"\dot\beta = A^\top \lambda, \; L \to L^* \;\Rightarrow\; "
            r"\frac{\min_r (A\beta)_r}{\|\beta\|_2} \to \max_{\|u\|_2 \le 1} \min_r (Au)_r"
        ),
        citation=abstract("S4"),
        sentences=("S4",),
        assumptions=_COMBINED,
        rests_on=(
            "flow.orbit",
            "symbolic.loss-infimum",
            "symbolic.margin-form-combined",
            "symbolic.kkt-l2",
        ),
        falsified_by=_COUNTEREXAMPLE,
        not_shown=_SAMPLED,
    ),
    Claim(
        key="limit.combined-frobenius",
        kind="limit",
        title="Combined weights: the Frobenius SVM",
        statement=(
            "If the full matrix W is trained as one and the loss tends to its infimum, the "
            "normalised margin tends to the best Frobenius margin."
        ),
        latex=(
            r"\dot W = G(\lambda), \; L \to L^* \;\Rightarrow\; "
            r"\frac{\min_r \langle G_r, W \rangle}{\|W\|_F} \to \max_{\|V\|_F \le 1} \min_r "
            r"\langle G_r, V \rangle"
        ),
        citation=Citation(
            f"{PAPER}; arXiv 2308.16898", f"S4: {SENTENCES['S4']} The prior work is 2308.16898."
        ),
        sentences=("S4",),
        assumptions=_COMBINED,
        rests_on=(
            "flow.orbit",
            "symbolic.loss-infimum",
            "symbolic.margin-form-combined",
            "symbolic.kkt-l2",
        ),
        falsified_by=_COUNTEREXAMPLE,
        not_shown=_SAMPLED,
    ),
    Claim(
        key="limit.kkt-primal-feasibility",
        kind="limit",
        title="Approximate KKT: primal feasibility in the limit",
        statement=(
            "If the loss tends to its infimum, the diagonal flow's weights, scaled to the l1 "
            "SVM's optimal norm, become feasible: by how much they violate a constraint is at "
            "most the gap to the dual bound of the same state, and both tend to 0."
        ),
        latex=(
            r"1 - \frac{\min_r (A\beta)_r}{\gamma^* \|\beta\|_1} \le 1 - \frac{\min_r (A\beta)_r}"
            r"{\|\beta\|_1 \, \|A^\top p\|_\infty} \to 0"
        ),
        citation=abstract("S5"),
        sentences=("S5",),
        assumptions=_DIAGONAL,
        rests_on=("flow.orbit", "symbolic.loss-infimum", "symbolic.kkt-l1"),
        falsified_by=(
            "A late state whose violation exceeds the gap to its own dual bound, or a run that "
            "closes on another problem."
        ),
        not_shown=_SAMPLED,
    ),
    Claim(
        key="limit.kkt-dual-feasibility",
        kind="limit",
        title="Approximate KKT: dual feasibility in the limit",
        statement=(
            "If the loss tends to its infimum, the multipliers p that the diagonal flow carries "
            "become dual feasible for the l1 SVM: the largest entry of |A^T p|, for the best of "
            "the instantaneous and averaged p, tends to the best margin from above."
        ),
        latex=(
            r"\gamma^* \le \| A^\top \bar p \|_\infty \to \gamma^*, \quad "
            r"\bar p = \frac{1}{\tau - \tau_0} \int_{\tau_0}^{\tau} p \, d\tau', \quad "
            r"p = \lambda / \textstyle\sum_r \lambda_r"
        ),
        citation=abstract("S5"),
        sentences=("S5",),
        assumptions=_DIAGONAL,
        rests_on=(
            "flow.orbit",
            "symbolic.loss-infimum",
            "symbolic.margin-form-diagonal",
            "symbolic.mirror-form",
            "symbolic.kkt-l1",
        ),
        falsified_by=(
            "A dual bound that stays above the certified optimum by more than the derived "
            "bound for its window and horizon."
        ),
        not_shown=_SAMPLED + " p itself need not converge where the dual is not unique.",
    ),
    Claim(
        key="limit.kkt-complementarity",
        kind="limit",
        title="Approximate KKT: complementarity in the limit",
        statement=(
            "Late in the diagonal flow the multipliers sit on the smallest margins: the "
            "p-weighted excess of the margins over the smallest is at most C, so that relative "
            "to the smallest margin it vanishes."
        ),
        latex=(
            r"\sum_r p_r \Bigl( \frac{m_r}{m_{\min}} - 1 \Bigr) \le \frac{C}{m_{\min}}, \quad "
            r"C = \ln R + \max_r \kappa_r - \min_r \kappa_r"
        ),
        citation=abstract("S5"),
        sentences=("S5",),
        assumptions=_DIAGONAL,
        rests_on=(
            "flow.orbit",
            "symbolic.loss-infimum",
            "symbolic.margin-form-diagonal",
            "symbolic.kkt-l1",
            "symbolic.monotone-margin",
        ),
        falsified_by=(
            "A late state whose complementarity residual exceeds C / m_min beyond the error of "
            "the late form of lambda."
        ),
        not_shown=_SAMPLED,
    ),
    Claim(
        key="limit.trajectory-certificate",
        kind="limit",
        title="Every orbit certifies the SVM's optimum",
        statement=(
            "The normalised margin of an orbit's weights, from below, and the dual norm of "
            "its multipliers, from above, bracket the optimum that an independent solver "
            "certifies."
        ),
        latex=(
            r"\frac{\min_r \langle G_r, W(\tau) \rangle}{N(W(\tau))} \le \gamma^* \le "
            r"N^{\circ}(G(p)), \quad p \ge 0, \; \textstyle\sum_r p_r = 1"
        ),
        citation=abstract("S3"),
        sentences=("S3",),
        assumptions=_DATA,
        rests_on=(
            "flow.orbit",
            "symbolic.kkt-l1",
            "symbolic.kkt-l2",
            "symbolic.kkt-factored",
        ),
        falsified_by=(
            "A bracket, rounded outwards, that is disjoint from the solver's certified interval."
        ),
        not_shown=(
            "Weak duality makes the bracket valid whatever the orbit: it tests the data path "
            "from tokens to margins and the solver, and how tightly it closes is reported."
        ),
    ),
)
