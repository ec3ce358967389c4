"""Negative controls: wrong statements that the checks must find wrong.  Data only.

``sentences`` names the sentences whose checks a control guards, not what it asserts.
"""

from __future__ import annotations

from typing import Final

from theory.claims import Claim
from theory.sentences import derived

_DATA: Final = ("optimal-unique", "separable", "realisable")
_PLANTED: Final = "Nothing of the theorems: only that the check it guards can fail."
_POINT: Final = "One exact point at which the planted identity's residual is not zero."
_PREDICTED: Final = (
    "A certificate that closes for the true limit, whose optimal set misses the planted "
    "margin by the predicted gap."
)

CONTROL_CLAIMS: Final[tuple[Claim, ...]] = (
    Claim(
        key="control.symbolic-sign",
        kind="control",
        title="Margin form with a sign flipped",
        statement="Wrong on purpose: lambda with gamma_il less the average, not the reverse.",
        latex=(
            r"-\nabla_W L \overset{?}{=} \sum_r \lambda_r G_r, \quad \lambda_{il} = \frac{1}{n} "
            r"e^{-\bar\gamma_i} s_{il} (\gamma_{il} - \bar\gamma_i)"
        ),
        citation=derived("The negative of the margin form, which is not zero."),
        sentences=("S1",),
        rests_on=("symbolic.margin-form-combined",),
        expect="falsified",
        falsified_by=_POINT,
        not_shown=_PLANTED,
    ),
    Claim(
        key="control.symbolic-mean",
        kind="control",
        title="Margin form without the mean",
        statement="Wrong on purpose: lambda without the factor 1/n.",
        latex=(
            r"-\nabla_W L \overset{?}{=} \sum_r \lambda_r G_r, \quad \lambda_{il} = "
            r"e^{-\bar\gamma_i} s_{il} (\bar\gamma_i - \gamma_{il})"
        ),
        citation=derived("n times the margin form, which differs for n > 1."),
        sentences=("S1",),
        rests_on=("symbolic.margin-form-combined",),
        expect="falsified",
        falsified_by=_POINT,
        not_shown=_PLANTED,
    ),
    Claim(
        key="control.symbolic-l1-dual",
        kind="control",
        title="The l1 dual written with the l2 dual norm",
        statement=(
            "Wrong on purpose: the duality gap of the l1 SVM with dual value and feasibility "
            "of the l2 problem."
        ),
        latex=(
            r"\|\beta\|_1 - \sum_r \mu_r \overset{?}{=} \|\beta\|_1 - \|\beta\|_2 \, "
            r"\|A^\top \mu\|_2 + \sum_r \mu_r \bigl( (A\beta)_r - 1 \bigr)"
        ),
        citation=derived("The true remainder is beta^T A^T mu, below the product of the norms."),
        sentences=("S3",),
        rests_on=("symbolic.kkt-l1",),
        expect="falsified",
        falsified_by=_POINT,
        not_shown=_PLANTED,
    ),
    Claim(
        key="control.unscaled-gradient",
        kind="control",
        title="A gradient without the mean",
        statement="Wrong on purpose: the margin form without 1/n is the gradient of the loss.",
        latex=r"-\nabla_W L \overset{?}{=} n \, G(\lambda)",
        citation=derived("n times the gradient, which differs where n > 1 and it is not zero."),
        sentences=("S1",),
        assumptions=("optimal-unique", "realisable"),
        rests_on=("symbolic.margin-form-combined",),
        expect="falsified",
        falsified_by="A difference beyond the rounding bound, with the predicted factor n.",
        not_shown=_PLANTED,
    ),
    Claim(
        key="control.sum-of-squares-conserved",
        kind="control",
        title="Conservation of the sum of squares",
        statement="Wrong on purpose: k_j^2 + q_j^2 is constant along the diagonal flow.",
        latex=r"\frac{d}{dt} \bigl( k_j^2 + q_j^2 \bigr) \overset{?}{=} 0",
        citation=derived("Its derivative is 4 k_j q_j (A^T lambda)_j."),
        sentences=("S5",),
        assumptions=("optimal-unique", "realisable"),
        rests_on=("symbolic.margin-form-diagonal",),
        expect="falsified",
        falsified_by="A drift beyond the integrator's error tolerance.",
        not_shown=_PLANTED,
    ),
    Claim(
        key="control.diagonal-attains-l2",
        kind="control",
        title="Separate diagonal weights attain the l2 margin",
        statement=(
            "Wrong on purpose: diagonal key and query, trained separately, attain the best l2 "
            "margin in the limit."
        ),
        latex=(
            r"\frac{\min_r (A\beta)_r}{\|\beta\|_2} \overset{?}{\to} \max_{\|u\|_2 \le 1} "
            r"\min_r (Au)_r"
        ),
        citation=derived("The limit is the l1 optimum, which misses the l2 margin in general."),
        sentences=("S2", "S4"),
        assumptions=(*_DATA, "nonzero-invariant", "infimum-reached"),
        rests_on=("flow.orbit", "symbolic.kkt-l1", "symbolic.kkt-l2"),
        expect="falsified",
        falsified_by=_PREDICTED,
        not_shown=_PLANTED,
    ),
    Claim(
        key="control.combined-attains-l1",
        kind="control",
        title="Combined weights attain the l1 margin",
        statement=(
            "Wrong on purpose: beta, trained as one vector, attains the best l1 margin in the "
            "limit."
        ),
        latex=(
            r"\frac{\min_r (A\beta)_r}{\|\beta\|_1} \overset{?}{\to} \max_{\|u\|_1 \le 1} "
            r"\min_r (Au)_r"
        ),
        citation=derived("The limit is the l2 optimum, which misses the l1 margin in general."),
        sentences=("S2", "S4"),
        assumptions=(*_DATA, "infimum-reached"),
        rests_on=("flow.orbit", "symbolic.kkt-l1", "symbolic.kkt-l2"),
        expect="falsified",
        falsified_by=_PREDICTED,
        not_shown=_PLANTED,
    ),
    Claim(
        key="control.frozen-sign",
        kind="control",
        title="The l1 margin from a start whose signs are frozen",
        statement=(
            "Wrong on purpose: with key and query equal in size and not zero in some "
            "coordinates (c_j = 0), so that the sign of beta_j cannot change, the limit still "
            "attains the best l1 margin over all signs."
        ),
        latex=(
            r"k_j = \pm q_j \ne 0 \;\Rightarrow\; \frac{\min_r (A\beta)_r}{\|\beta\|_1} "
            r"\overset{?}{\to} \max_{\|u\|_1 \le 1} \min_r (Au)_r"
        ),
        citation=derived(
            "One of w+, w- is zero and stays so, hence beta_j keeps its sign: the limit is "
            "the SVM with that sign constraint, if that is still separable."
        ),
        sentences=("S2", "S5"),
        assumptions=(*_DATA, "infimum-reached"),
        rests_on=("flow.orbit", "symbolic.reparameterized-flow", "symbolic.kkt-l1"),
        expect="falsified",
        falsified_by=_PREDICTED,
        not_shown=_PLANTED,
    ),
    Claim(
        key="control.low-rank-start",
        kind="control",
        title="The nuclear margin from too few columns",
        statement=(
            "Wrong on purpose: key and query with one column each, so that their product has "
            "rank one for ever, still attain the best nuclear margin where its optimum is proved "
            "to have a larger rank."
        ),
        latex=(
            r"\operatorname{rank} \begin{pmatrix} K(0) \\ Q(0) \end{pmatrix} < "
            r"\operatorname{rank} W^* \;\Rightarrow\; \frac{\min_r \langle G_r, W "
            r"\rangle}{\|W\|_*} \overset{?}{\to} \max_{\|W\|_* \le 1} \min_r "
            r"\langle G_r, W \rangle"
        ),
        citation=derived(
            "The columns of [K; Q] only mix, so rank W is at most e. Every W near the nuclear "
            "optimum is proved to have a larger rank: minors whose entries weak duality bounds."
        ),
        sentences=("S2", "S6"),
        assumptions=(*_DATA, "infimum-reached"),
        rests_on=("flow.orbit-factored", "symbolic.kkt-factored"),
        expect="falsified",
        falsified_by=(
            "A run that solves the l2 problem of either factor with the other held, while no "
            "weights of its rank come near the nuclear optimum, proved by intervals."
        ),
        not_shown=_PLANTED,
    ),
    Claim(
        key="control.semidefinite-start",
        kind="control",
        title="The nuclear margin from a key that is the query",
        statement=(
            "Wrong on purpose: on data closed under transposition, with K(0) = Q(0), so that W "
            "stays positive semidefinite, the flow still attains the best nuclear margin over "
            "all matrices."
        ),
        latex=(
            r"K(0) = Q(0), \; \{G_r\} = \{G_r^\top\} \;\Rightarrow\; \frac{\min_r \langle "
            r"G_r, W \rangle}{\|W\|_*} \overset{?}{\to} \max_{\|W\|_* \le 1} \min_r "
            r"\langle G_r, W \rangle"
        ),
        citation=derived(
            "At symmetric W a sample and its transposed partner have equal lambda, so G(lambda) "
            "is symmetric and K' = Q': the limit is the SVM of positive semidefinite weights."
        ),
        sentences=("S2", "S6"),
        assumptions=(*_DATA, "infimum-reached"),
        rests_on=("flow.orbit-factored", "symbolic.kkt-factored"),
        expect="falsified",
        falsified_by=_PREDICTED,
        not_shown=_PLANTED,
    ),
    Claim(
        key="control.margin-beyond-optimum",
        kind="control",
        title="A margin just beyond the best one",
        statement=(
            "Wrong on purpose: the diagonal flow attains a normalised margin 1.00005 times the "
            "best l1 margin. A tolerance on the margin gap that is too wide would let it pass."
        ),
        latex=(
            r"\frac{\min_r (A\beta)_r}{\|\beta\|_1} \overset{?}{\to} (1 + 5 \cdot 10^{-5}) "
            r"\max_{\|u\|_1 \le 1} \min_r (Au)_r"
        ),
        citation=derived("No weights exceed the best margin, by weak duality."),
        sentences=("S2", "S3"),
        assumptions=(*_DATA, "nonzero-invariant", "infimum-reached"),
        rests_on=("flow.orbit", "symbolic.kkt-l1"),
        expect="falsified",
        falsified_by=(
            "A run whose own dual bound, recomputed from raw tokens, excludes that margin by "
            "more than the tolerance in force."
        ),
        not_shown=_PLANTED,
    ),
)
