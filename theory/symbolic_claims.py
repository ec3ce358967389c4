"""The claims proved by exact algebra, from the loss on.  Data only, no sympy."""

from __future__ import annotations

from typing import Final

from theory.claims import Claim
from theory.sentences import derived

_FINITE: Final = (
    "The proof is exact, with every entry a free symbol, but for the stated finite sizes "
    "(n, L, d); that the identity is the same for other sizes is not proved here."
)
_RESIDUAL: Final = (
    "One exact point (rational, or enclosed by an interval) at which the identity's residual "
    "is not zero."
)

SYMBOLIC_CLAIMS: Final[tuple[Claim, ...]] = (
    Claim(
        key="symbolic.softmax-jacobian",
        kind="symbolic",
        title="Jacobian of the softmax",
        statement=(
            "The derivative of the l-th softmax output with respect to the j-th logit is "
            "s_l (1[l = j] - s_j), and the outputs sum to one."
        ),
        latex=r"\frac{\partial s_l}{\partial a_j} = s_l (\delta_{lj} - s_j), \quad \sum_l s_l = 1",
        citation=derived("Quotient rule applied to exp(a_l) / sum_j exp(a_j)."),
        sentences=("S1",),
        falsified_by=_RESIDUAL,
        not_shown=_FINITE,
    ),
    Claim(
        key="symbolic.margin-form-combined",
        kind="symbolic",
        title="Margin form of the gradient, combined weights",
        statement=(
            "The negative gradient of the loss in the attention matrix W is the sum of the "
            "constraint matrices G_r with weights lambda_r, and for W = diag(beta) it is the "
            "transposed constraint rows times lambda; the loss in tokens and head is the loss "
            "in scores."
        ),
        latex=(
            r"-\nabla_W L = G(\lambda) = \sum_r \lambda_r G_r, \quad \lambda_{il} = "
            r"\frac{1}{n} e^{-\bar\gamma_i} s_{il} (\bar\gamma_i - \gamma_{il}), \quad "
            r"-\nabla_\beta L = A^\top \lambda"
        ),
        citation=derived(
            "Chain rule through the softmax; the attention paid sums to one, so any token, "
            "here the optimal one, may be subtracted from all."
        ),
        sentences=("S1", "S4"),
        rests_on=("symbolic.softmax-jacobian",),
        falsified_by=_RESIDUAL,
        not_shown=_FINITE,
    ),
    Claim(
        key="symbolic.margin-form-diagonal",
        kind="symbolic",
        title="Margin form of the gradient, diagonal weights trained separately",
        statement=(
            "With K = diag(k) and Q = diag(q) the flow of the loss is k' = q * (A^T lambda), "
            "q' = k * (A^T lambda), entry by entry."
        ),
        latex=r"\dot k = q \circ A^\top \lambda, \quad \dot q = k \circ A^\top \lambda",
        citation=derived("Product rule applied to beta = k * q in the margin form."),
        sentences=("S1", "S5"),
        rests_on=("symbolic.margin-form-combined",),
        falsified_by=_RESIDUAL,
        not_shown=_FINITE,
    ),
    Claim(
        key="symbolic.margin-form-factored",
        kind="symbolic",
        title="Margin form of the gradient, key and query matrices",
        statement="The flow of the loss in (K, Q) is K' = G(lambda) Q, Q' = G(lambda)^T K.",
        latex=r"\dot K = G(\lambda) Q, \quad \dot Q = G(\lambda)^\top K",
        citation=derived("Product rule applied to W = K Q^T in the margin form."),
        sentences=("S1",),
        rests_on=("symbolic.margin-form-combined",),
        falsified_by=_RESIDUAL,
        not_shown=_FINITE,
    ),
    Claim(
        key="symbolic.loss-infimum",
        kind="symbolic",
        title="The infimum of the loss, and the sign of lambda",
        statement=(
            "The loss exceeds L* everywhere and tends to it exactly if every optimal token's "
            "attention tends to one; once a sample's output exceeds its second-best score, "
            "none of its lambda is negative."
        ),
        latex=(
            r"L - L^* = \frac{1}{n} \sum_i e^{-\gamma_{i o_i}} "
            r"\bigl( e^{\gamma_{i o_i} - \bar\gamma_i} - 1 \bigr), \quad "
            r"\gamma_{i o_i} - \bar\gamma_i = \sum_{l \ne o_i} s_{il} "
            r"(\gamma_{i o_i} - \gamma_{il}) > 0"
        ),
        citation=derived(
            "Both identities are exact. Sign: s > 0, the lead of the best score is positive, "
            "and exp(x) - 1 > 0 for x > 0. Limit: the second sum lies between the smallest "
            "and the largest lead times 1 - s_o."
        ),
        sentences=("S2",),
        falsified_by=_RESIDUAL,
        not_shown=_FINITE + " Whether a trajectory reaches the infimum is another question.",
    ),
    Claim(
        key="symbolic.diagonal-conservation",
        kind="symbolic",
        title="Conserved quantity of the diagonal flow",
        statement="Along the diagonal flow k_j^2 - q_j^2 is constant for every j.",
        latex=r"\frac{d}{dt} \bigl( k_j^2 - q_j^2 \bigr) = 0",
        citation=derived("2 k k' - 2 q q' = 2 (k q - q k) A^T lambda = 0, from the loss."),
        sentences=("S5",),
        rests_on=("symbolic.margin-form-diagonal",),
        falsified_by=_RESIDUAL,
        not_shown=_FINITE,
    ),
    Claim(
        key="symbolic.factored-conservation",
        kind="symbolic",
        title="Conserved quantity of the flow of key and query matrices",
        statement="Along the flow of (K, Q) the matrix K^T K - Q^T Q is constant.",
        latex=r"\frac{d}{dt} \bigl( K^\top K - Q^\top Q \bigr) = 0",
        citation=derived("K'^T K + K^T K' = Q^T G^T K + K^T G Q is the same for Q."),
        sentences=("S6",),
        rests_on=("symbolic.margin-form-factored",),
        falsified_by=_RESIDUAL,
        not_shown=_FINITE,
    ),
    Claim(
        key="symbolic.reparameterized-flow",
        kind="symbolic",
        title="The diagonal flow in the coordinates w+ and w-",
        statement=(
            "With w+ = (k + q)/sqrt 2 and w- = (k - q)/sqrt 2 the flow decouples: "
            "w+' = w+ * (A^T lambda), w-' = -w- * (A^T lambda); beta and the invariant are "
            "(w+^2 - w-^2)/2 and w+ w-."
        ),
        latex=(
            r"w_\pm = \frac{k \pm q}{\sqrt{2}}, \quad \dot w_\pm = \pm w_\pm \circ A^\top \lambda, "
            r"\quad \beta = \tfrac{1}{2} (w_+^2 - w_-^2), \quad w_+ w_- = \tfrac{1}{2} (k^2 - q^2)"
        ),
        citation=derived("Add and subtract the two lines of the diagonal flow."),
        sentences=("S5",),
        rests_on=("symbolic.margin-form-diagonal",),
        falsified_by=_RESIDUAL,
        not_shown=_FINITE,
    ),
    Claim(
        key="symbolic.mirror-form",
        kind="symbolic",
        title="Mirror form of the diagonal flow",
        statement=(
            "With r = ln|w+/w-| and c = |w+ w-| > 0: beta = c sinh r, r' = 2 A^T lambda, half "
            "the squared norm of (k, q) is the sum of c cosh r, and it is at least the l1 norm "
            "of beta."
        ),
        latex=(
            r"\beta_j = c_j \sinh r_j, \quad \dot r = 2 A^\top \lambda, \quad "
            r"S = \sum_j c_j \cosh r_j = \tfrac{1}{2} (\|k\|^2 + \|q\|^2) \ge \|\beta\|_1"
        ),
        citation=derived(
            "Logarithmic derivative of the decoupled flow. c_j cosh r_j -+ beta_j are the "
            "squares of w- and w+, so not negative."
        ),
        sentences=("S5",),
        rests_on=("symbolic.reparameterized-flow",),
        falsified_by=_RESIDUAL,
        not_shown=_FINITE + " It says nothing where some c_j = 0.",
    ),
    Claim(
        key="symbolic.kkt-l1",
        kind="symbolic",
        title="KKT conditions and dual of the l1 SVM",
        statement=(
            "The KKT conditions of min ||beta||_1 s.t. A beta >= 1 are max_j |(A^T mu)_j| <= 1 "
            "with equality on the support, mu >= 0 and complementarity; the duality gap is a "
            "sum of products that are not negative, and for every p in the simplex the "
            "normalised margin is at most the largest |(A^T p)_j|."
        ),
        latex=(
            r"\min_{A\beta \ge 1} \|\beta\|_1 = \max_{\mu \ge 0, \, \|A^\top \mu\|_\infty \le 1} "
            r"\sum_r \mu_r, \quad \frac{\min_r (A\beta)_r}{\|\beta\|_1} \le \|A^\top p\|_\infty"
        ),
        citation=derived(
            "Lagrangian with beta split into b+ - b-. The gap of a feasible pair is the sum of "
            "its complementarity products; strong duality of a feasible linear programme with "
            "finite value is a theorem of linear programming, relied on, not proved here."
        ),
        sentences=("S3", "S5"),
        falsified_by=_RESIDUAL,
        not_shown=_FINITE,
    ),
    Claim(
        key="symbolic.kkt-l2",
        kind="symbolic",
        title="KKT conditions and dual of the l2 and Frobenius SVM",
        statement=(
            "The KKT point of min ||W||^2/2 s.t. <G_r, W> >= 1 is W = G(mu); primal minus dual "
            "value is half the squared distance of W to G(mu) plus the complementarity "
            "products; the normalised margin is at most the norm of G(p)."
        ),
        latex=(
            r"W = G(\mu), \quad \tfrac{1}{2} \|W\|^2 - \bigl( \textstyle\sum_r \mu_r - "
            r"\tfrac{1}{2} \|G(\mu)\|^2 \bigr) = \tfrac{1}{2} \|W - G(\mu)\|^2 + "
            r"\sum_r \mu_r (\langle G_r, W \rangle - 1)"
        ),
        citation=derived(
            "Lagrangian minimised in W. Cauchy-Schwarz through Lagrange's identity: the "
            "difference is a sum of squares."
        ),
        sentences=("S3", "S4"),
        falsified_by=_RESIDUAL,
        not_shown=_FINITE,
    ),
    Claim(
        key="symbolic.kkt-reparameterized",
        kind="symbolic",
        title="KKT conditions in the coordinates w+ and w-",
        statement=(
            "The flow of w is the gradient of the lambda-weighted margin; the KKT conditions of "
            "min (|w+|^2 + |w-|^2)/2 s.t. A (w+^2 - w-^2)/2 >= 1, together with dual "
            "feasibility, are those of the l1 SVM, and without it they are not: a KKT point "
            "with twice the optimal value is exhibited."
        ),
        latex=(
            r"w_+ \circ (1 - A^\top \mu) = 0, \quad w_- \circ (1 + A^\top \mu) = 0, \quad "
            r"\mu_r (m_r - 1) = 0, \quad m = \tfrac{1}{2} A (w_+^2 - w_-^2)"
        ),
        citation=derived(
            "Substituting b+- = w+-^2/2 turns objective and constraints into those of the l1 "
            "problem; the Lagrangian's gradient is a product, so a vanishing w satisfies it "
            "whatever the multiplier."
        ),
        sentences=("S3", "S5"),
        rests_on=("symbolic.reparameterized-flow", "symbolic.kkt-l1"),
        falsified_by=_RESIDUAL,
        not_shown=_FINITE,
    ),
    Claim(
        key="symbolic.kkt-factored",
        kind="symbolic",
        title="KKT conditions in key and query, and the nuclear norm",
        statement=(
            "The KKT conditions of min (|K|^2 + |Q|^2)/2 s.t. <G_r, K Q^T> >= 1 are "
            "K = G(mu) Q, Q = G(mu)^T K; the smallest (|K|^2 + |Q|^2)/2 over K Q^T = W is the "
            "nuclear norm of W; the normalised margin is at most the largest singular value of "
            "G(p)."
        ),
        latex=(
            r"K = G(\mu) Q, \quad Q = G(\mu)^\top K, \quad \min_{K Q^\top = W} "
            r"\tfrac{1}{2} (\|K\|^2 + \|Q\|^2) = \|W\|_*, \quad "
            r"\frac{\min_r \langle G_r, W \rangle}{\|W\|_*} \le \|G(p)\|_{\mathrm{op}}"
        ),
        citation=derived(
            "Given an SVD W = U S V^T (its existence is cited), half the squared norms less "
            "<U V^T, K Q^T> is half a squared norm of U^T K - V^T Q. The trace inequality "
            "(von Neumann) follows from the same completion of squares with G(p)'s SVD."
        ),
        sentences=("S2", "S3"),
        rests_on=("symbolic.margin-form-factored",),
        falsified_by=_RESIDUAL,
        not_shown=_FINITE + " It does not say that gradient flow finds the global KKT point.",
    ),
    Claim(
        key="symbolic.alignment",
        kind="symbolic",
        title="Alignment is preserved",
        statement=(
            "From an aligned start the flow of (K, Q) stays aligned and is the diagonal flow of "
            "its singular coordinates: where every G_r is diagonal in the frames of the start, "
            "and where it is so only after summing over the sign-flipped copies of a sample."
        ),
        latex=(
            r"K = U \operatorname{diag}(k) R^\top, \; Q = V \operatorname{diag}(q) R^\top "
            r"\;\Rightarrow\; U^\top \dot K R = \operatorname{diag}(q \circ A^\top \lambda), \; "
            r"V^\top \dot Q R = \operatorname{diag}(k \circ A^\top \lambda)"
        ),
        citation=derived(
            "U^T G(lambda) V is diagonal, and commutes the frames past K and Q. For the copies: "
            "at diagonal weights all copies have equal lambda, and the sum over all flips of "
            "(D delta)(D z)^T keeps the diagonal only."
        ),
        sentences=("S6",),
        rests_on=("symbolic.margin-form-factored", "symbolic.margin-form-diagonal"),
        falsified_by=_RESIDUAL,
        not_shown=_FINITE + " The aligned manifold may be unstable in floating point.",
    ),
    Claim(
        key="symbolic.monotone-margin",
        kind="symbolic",
        title="The smooth margin over the squared norm never falls",
        statement=(
            "In the late flow, where p = softmax(kappa - m), the smooth margin m~ and "
            "S = |w|^2/2 obey d ln m~ / d ln S = (p^T m / m~) / cos^2 of the angle between w and "
            "its velocity; the right side is at least one where kappa >= 0 and m~ > 0. So with "
            "w = (w+, w-) and with w = [K; Q]."
        ),
        latex=(
            r"\frac{d \ln \tilde m}{d \ln S} = \frac{p^\top m / \tilde m}{\cos^2 \angle(w, \dot w)}"
            r" \ge 1, \quad \tilde m = -\ln \sum_r e^{\kappa_r - m_r}, \quad S = \tfrac{1}{2} "
            r"\|w\|^2"
        ),
        citation=derived(
            "The gradient of m~ in m is p and w' is the gradient of p^T m in w, so m~' = |w'|^2; "
            "Euler gives S' = 2 p^T m. p^T m - m~ = p^T kappa + entropy(p) >= 0, and cos^2 <= 1 "
            "by Lagrange's identity."
        ),
        rests_on=("symbolic.reparameterized-flow", "symbolic.margin-form-factored"),
        falsified_by=_RESIDUAL,
        not_shown=_FINITE + " The late form of lambda is a limit of the flow, exact only there.",
    ),
    Claim(
        key="symbolic.factored-step",
        kind="symbolic",
        title="The exact step of key and query under constant p",
        statement=(
            "While p is constant, with G = U S V^T, the step of [K; Q] by cosh and sinh of S "
            "solves K' = G Q, Q' = G^T K and conserves K^T K - Q^T Q exactly."
        ),
        latex=(
            r"U^\top K_\Delta = \cosh(\Delta \Sigma) U^\top K_0 + \sinh(\Delta \Sigma) V^\top Q_0, "
            r"\quad V^\top Q_\Delta = \sinh(\Delta \Sigma) U^\top K_0 + \cosh(\Delta \Sigma) "
            r"V^\top Q_0"
        ),
        citation=derived("Exponential of the symmetric block matrix; cosh^2 - sinh^2 = 1."),
        rests_on=("symbolic.margin-form-factored",),
        falsified_by=_RESIDUAL,
        not_shown=_FINITE + " It says nothing of how p should be chosen within a step.",
    ),
)
