"""The claims of the fixture's run: a few of each kind, one of them open, and their sentences."""

from __future__ import annotations

from typing import Any

SENTENCE_TEXTS = {
    "S1": "We study gradient flow on the exponential loss for a classification problem with a "
    "one-layer softmax attention model, where the key and query weight matrices are trained "
    "separately.",
    "S2": "Under a separability assumption on the data, we show that when gradient flow achieves "
    "the minimal loss value, it further implicitly minimizes the nuclear norm of the product of "
    "the key and query weight matrices.",
    "S3": "Such implicit regularization can be described by a Support Vector Machine (SVM) problem "
    "with respect to the attention weights.",
    "S4": "This finding contrasts with prior results showing that the gradient descent induces an "
    "implicit regularization on the Frobenius norm on the product weight matrix when the key and "
    "query matrices are combined into a single weight matrix for training.",
    "S5": "For diagonal key and query matrices, our analysis builds upon the reparameterization "
    "technique and exploits approximate KKT conditions of the SVM associated with the "
    "classification data.",
    "S6": "Moreover, the results are extended to general weights configurations given proper "
    "alignment of the weight matrices' singular spaces with the data features at initialization.",
}


# key, kind, sentences, rests_on, expect, title, statement, latex
CLAIMS: list[tuple[str, str, list[str], list[str], str, str, str, str]] = [
    (
        "gradient-margin-form", "symbolic", ["S1"], [], "held",
        "The gradient is a combination of margin constraints",
        "The negative gradient of the loss in the combined weights is a combination of the "
        "constraint matrices, with weights that are products of attention paid and score gained.",
        r"-\nabla_W L = \sum_r \lambda_r G_r, \qquad \lambda_{il} = \frac1n e^{-\bar\gamma_i}"
        r"s_{il}\left(\bar\gamma_i - \gamma_{il}\right)",
    ),
    (
        "softmax-jacobian", "symbolic", ["S1"], [], "held", "Jacobian of the softmax",
        "The Jacobian of the softmax is the covariance of its own distribution.",
        r"\frac{\partial s_i}{\partial u_i} = \operatorname{diag}(s_i) - s_i s_i^\top",
    ),
    (
        "loss-decreases", "flow", ["S1"], ["gradient-margin-form"], "held",
        "The loss decreases along the flow",
        "Along gradient flow the loss never increases, beyond the computed rounding bound.",
        r"\frac{\mathrm{d}}{\mathrm{d}t} L(K,Q) = -\|\nabla L\|_F^2 \le 0",
    ),
    (
        "diagonal-conservation", "symbolic", ["S5"], ["gradient-margin-form"], "held",
        "Conserved differences", "With diagonal weights every difference of squares is conserved.",
        r"\frac{\mathrm{d}}{\mathrm{d}t}\left(k_j^2 - q_j^2\right) = 0",
    ),
    (
        "mirror-identity", "flow", ["S5"], ["diagonal-conservation"], "held", "Mirror form",
        "The attention weights are the hyperbolic sine of a linearly moving variable.",
        r"\beta_j = c_j \sinh r_j, \qquad \dot r = 2A^\top\lambda",
    ),
    (
        "svm-duality-l1", "symbolic", ["S3"], [], "held", "Dual of the margin problem",
        "The best normalised margin equals the least dual norm over the simplex.",
        r"\gamma^* = \max_{\|\beta\|_1\le 1}\min_r\,(A\beta)_r = \min_{p\in\Delta}"
        r"\left\|A^\top p\right\|_\infty",
    ),
    (
        "limit-direction-l1", "limit", ["S2", "S3"],
        ["mirror-identity", "svm-duality-l1", "loss-decreases"], "held",
        "Separate diagonal weights reach the best ℓ1 margin",
        "If the loss tends to its infimum, the normalised margin tends to the best one in the "
        "ℓ1 norm of the attention weights.",
        r"L \to L^* \;\Longrightarrow\; \frac{\min_r (A\beta)_r}{\|\beta\|_1} \to \gamma^*",
    ),
    (
        "kkt-dual-feasibility", "limit", ["S5"], ["limit-direction-l1"], "held",
        "Approximate KKT: dual feasibility and complementarity",
        "The normalised multipliers of the flow become feasible for the dual problem.",
        r"\frac{\|A^\top p\|_\infty}{\gamma^*} - 1 \to 0, \qquad"
        r"\sum_r p_r\left(\frac{m_r}{m_{\min}} - 1\right) \le \frac{C}{m_{\min}}",
    ),
    (
        "limit-direction-l2", "contrast", ["S4"], ["gradient-margin-form", "loss-decreases"],
        "held", "Combined weights reach the best Frobenius margin",
        "With one combined matrix the normalised margin tends to the best one in the Frobenius "
        "norm.", r"\frac{\min_r\langle G_r, W\rangle}{\|W\|_F} \to \gamma^*_F",
    ),
    (
        "aligned-nuclear", "limit", ["S6"], ["limit-direction-l1"], "held",
        "Aligned starts reach the best nuclear margin",
        "From a start whose singular spaces are aligned with the data, the normalised margin "
        "tends to the best one in the nuclear norm.",
        r"\frac{\min_r\langle G_r, W\rangle}{\|W\|_*} \to \gamma^*_*",
    ),
    (
        "control-l1-is-l2", "control", ["S2", "S3"], ["limit-direction-l1"], "falsified",
        "False: separate weights reach the best ℓ2 margin",
        "The limit theorem with the wrong norm.", r"\frac{\min_r m_r}{\|\beta\|_2} \to \gamma_2^*",
    ),
    (
        "control-l2-is-l1", "control", ["S4"], ["limit-direction-l2"], "falsified",
        "False: combined weights reach the best ℓ1 margin",
        "The contrast with the wrong norm.", r"\frac{\min_r m_r}{\|\beta\|_1} \to \gamma_1^*",
    ),
    (
        "control-unscaled-gradient", "control", ["S1"], ["gradient-margin-form"], "falsified",
        "False: the gradient without its mean", "The margin form without the factor 1/n.",
        r"-\nabla_W L = n\sum_r \lambda_r G_r",
    ),
    (
        "control-frozen-sign", "control", ["S5"], ["mirror-identity"], "falsified",
        "False: a start with k = q finds the optimum", "The limit theorem without c_j > 0.",
        r"c_j = 0 \;\Longrightarrow\; \operatorname{sign}\beta_j \text{ is free}",
    ),
    (
        "frontier-unaligned", "rate", ["S6"], ["aligned-nuclear"], "open",
        "Unaligned starts", "Generic starts reach the best nuclear margin as well.",
        r"\frac{\min_r\langle G_r, W\rangle}{\|W\|_*} \to \gamma^*_*",
    ),
]  # fmt: skip


def many_claims(number: int) -> list[tuple[Any, ...]]:
    """``number`` claims, by repeating CLAIMS under new keys."""
    claims = []
    for i in range(number):
        key, kind, sentences, rests_on, *rest = CLAIMS[i % len(CLAIMS)]
        tag = "" if i < len(CLAIMS) else f"-{i // len(CLAIMS)}"
        claims.append((key + tag, kind, sentences, [r + tag for r in rests_on], *rest))
    known = {c[0] for c in claims}
    return [(k, kind, s, [r for r in rests if r in known], *x) for k, kind, s, rests, *x in claims]
