"""Every assumption a claim may rest on, as data.  No sympy.

A check binds to each key a function that returns a *signed margin*: positive where the
assumption is met, in the units its statement names.
"""

from __future__ import annotations

from typing import Final

from theory.claims import Assumption

ASSUMPTION_LIST: Final[tuple[Assumption, ...]] = (
    Assumption(
        key="optimal-unique",
        scope="problem",
        statement=(
            "In every sample one token has a strictly larger score than all others. "
            "Margin: the smallest lead of a best score over the second best, less the "
            "rounding error of the scores."
        ),
        latex=r"\min_i \min_{l \ne o_i} (\gamma_{i o_i} - \gamma_{il}) > 0",
    ),
    Assumption(
        key="separable",
        scope="problem",
        statement=(
            "Some attention weights W separate the optimal token of every sample from the "
            "others. Margin: the best normalised margin in the claim's norm (lower end of "
            "its certified interval where met, upper end where not)."
        ),
        latex=(
            r"\gamma^* = \max_{N(W) \le 1} \min_r \langle G_r, W \rangle > 0, \quad "
            r"G_r = (x_{i o_i} - x_{il}) z_i^\top"
        ),
    ),
    Assumption(
        key="realisable",
        scope="problem",
        statement=(
            "The scores are those the tokens and the head give. Margin: the rounding error "
            "bound of the scores less the largest difference, so that exact agreement is met "
            "by the bound itself."
        ),
        latex=r"\gamma_{il} = y_i \, v^\top x_{il}",
    ),
    Assumption(
        key="nonzero-invariant",
        scope="start",
        statement=(
            "No coordinate that matters starts with key and query equal in size: c_j > 0 for "
            "every j whose column of the constraints is not zero. Margin: the smallest such "
            "c_j, less its rounding error."
        ),
        latex=r"\min_{j : A_{\cdot j} \ne 0} c_j > 0, \quad c_j = \tfrac{1}{2} | k_j^2 - q_j^2 |",
        control="control.frozen-sign",
    ),
    Assumption(
        key="infimum-reached",
        scope="trajectory",
        statement=(
            "Gradient flow achieves the minimal loss value: the loss tends to its infimum, so "
            "every sample's attention goes to its optimal token. A property of the trajectory, "
            "decided by the certificate of the tokens it settles on, not by how slow it looks. "
            "Margin: smallest margin m_r, positive and growing where the infimum is reached."
        ),
        latex=(
            r"\lim_{t \to \infty} L = L^* = \frac{1}{n} \sum_{i=1}^{n} e^{-\gamma_{i o_i}}, \quad "
            r"\text{that is, every } s_{i o_i} \to 1"
        ),
    ),
    Assumption(
        key="aligned",
        scope="start",
        statement=(
            "The singular spaces of key and query are aligned with the data at the start: in "
            "the frames U, V of the start, every constraint the flow meets along its orbit is "
            "diagonal (entry by entry, or summed over the symmetric copies of a sample). "
            "Margin: the tolerance of the off-diagonal part less its relative size."
        ),
        latex=(
            r"K(0) = U \operatorname{diag}(k) R^\top, \; "
            r"Q(0) = V \operatorname{diag}(q) R^\top, \; "
            r"U^\top G(\lambda) V \ \text{diagonal along the orbit}"
        ),
    ),
    Assumption(
        key="equal-scores",
        scope="problem",
        statement=(
            "Within each sample all tokens but the optimal one have the same score. Margin: "
            "the rounding error of the scores less their largest spread, so that exact ties "
            "are met by the bound itself."
        ),
        latex=r"\gamma_{il} = \gamma_{il'} \quad \text{for all } l, l' \ne o_i",
    ),
    Assumption(
        key="full-stack-rank",
        scope="start",
        statement=(
            "The stacked start [K(0); Q(0)] has full rank 2d (which needs e of at least 2d): "
            "the matrix analogue of c_j > 0. Margin: its smallest singular value relative to "
            "its largest, less a rounding allowance."
        ),
        latex=r"\operatorname{rank} \begin{pmatrix} K(0) \\ Q(0) \end{pmatrix} = 2d",
        control="control.low-rank-start",
    ),
    Assumption(
        key="loss-below-barrier",
        scope="start",
        statement=(
            "The loss starts so near its infimum that no sample's output can be at its "
            "second-best score: that alone would cost more. Margin: 1 less the loss's excess over "
            "that cost."
        ),
        latex=(
            r"L(0) - L^* < \frac{1}{n} \min_i e^{-\gamma_{i o_i}} \bigl( e^{b_i} - 1 \bigr), "
            r"\quad b_i = \gamma_{i o_i} - \max_{l \ne o_i} \gamma_{il}"
        ),
    ),
)
