"""Neighbouring theorems, on the same engine and oracles: each with its own control.  Data only."""

from __future__ import annotations

from typing import Final

from theory.claims import Citation, Claim
from theory.sentences import derived

_DATA: Final = ("optimal-unique", "separable", "realisable")
_REACHED: Final = (*_DATA, "infimum-reached")
_APART: Final = (*_DATA, "nonzero-invariant", "infimum-reached")
_COUNTEREXAMPLE: Final = (
    "A start that reaches the infimum while its certificate closes for a named other problem "
    "whose optimal set misses the claimed margin, proved by an interval."
)
_SAMPLED: Final = (
    "Sampled problems and starts of moderate size in float64 up to a finite norm: evidence, "
    "not a proof.  Flows; discrete steps are not simulated."
)
_PLANTED: Final = "Nothing of the theorems: only that the check it guards can fail."
_MIRROR: Final = Citation(
    "arXiv 2410.14581",
    "Mirror descent on softmax attention, with the p-th power of the l_p norm as its potential, "
    "converges in direction to the hard-margin SVM with an l_p-norm objective.  Here mirror flow "
    "on diagonal weights: (sign(beta) |beta|^(p-1))' = A^T lambda.",
)
_EMBEDDED: Final = (
    "One sample whose other tokens have equal scores: lambda_l = (const) s_o s_l, s_l/s_o = "
    "e^-m_l, so p is proportional to e^-m, as for the loss sum_r exp(-<a_r, beta>): one orbit, "
    "another clock."
)


def _attains(norm: str, weights: str = r"\beta") -> str:
    """LaTeX: the normalised margin of ``weights`` tends to the best one in the l_norm norm."""
    return (
        rf"\frac{{\min_r \langle a_r, {weights} \rangle}}{{\|{weights}\|_{{{norm}}}}} \to "
        rf"\max_{{\|u\|_{{{norm}}} \le 1}} \min_r \langle a_r, u \rangle"
    )


def _pair(
    name: str,
    title: str,
    model: str,
    norms: tuple[str, str],
    citation: Citation,
    assumptions: tuple[str, ...],
    rests_on: tuple[str, ...],
) -> tuple[Claim, Claim]:
    """A neighbour's limit claim in norms[0], and the same claimed in norms[1]: its control."""
    norm, other = norms
    return (
        Claim(
            key=f"neighbour.{name}",
            kind="limit",
            title=title,
            statement=(
                f"If {model} is trained and the loss tends to its infimum, "
                f"the normalised margin tends to the best l{norm} margin."
            ),
            latex=_attains(norm),
            citation=citation,
            assumptions=assumptions,
            rests_on=("flow.orbit", *rests_on),
            falsified_by=_COUNTEREXAMPLE,
            not_shown=_SAMPLED,
        ),
        Claim(
            key=f"control.{name}-attains-l{other}",
            kind="control",
            title=f"The wrong norm: {title[0].lower()}{title[1:]}, with l{other}",
            statement=(
                f"Wrong on purpose: if {model} is trained, the normalised margin tends to the "
                f"best l{other} margin."
            ),
            latex=_attains(other),
            citation=derived(f"The limit is the l{norm} optimum, which misses the l{other} one."),
            assumptions=assumptions,
            rests_on=("flow.orbit", *rests_on),
            expect="falsified",
            falsified_by=(
                "A certificate that closes for the true limit, whose optimal set misses the "
                "planted margin by the predicted gap."
            ),
            not_shown=_PLANTED,
        ),
    )


_TOGETHER: Final = ("symbolic.loss-infimum", "symbolic.margin-form-combined", "symbolic.kkt-l2")


def _mirror(exponent: str, other: str) -> tuple[Claim, Claim]:
    model = f"a vector of diagonal weights, by the mirror flow of |beta|_{exponent}^{exponent},"
    return _pair(
        f"mirror-l{exponent}", f"Mirror flow, p = {exponent}: the l{exponent} SVM", model,
        (exponent, other), _MIRROR, _REACHED, _TOGETHER,
    )  # fmt: skip


_SEPARATE: Final = (
    "symbolic.loss-infimum", "symbolic.margin-form-diagonal", "symbolic.mirror-form",
    "symbolic.kkt-l1",
)  # fmt: skip

NEIGHBOUR_CLAIMS: Final[tuple[Claim, ...]] = (
    *_pair(
        "prompt",
        "A prompt vector trained alone: the l2 token SVM",
        "only a prompt vector, whose inner products with a sample's tokens are the attention "
        "logits,",
        ("2", "1"),
        Citation(
            "arXiv 2306.13596",
            "Max-margin token selection: gradient descent on the prompt vector of softmax "
            "attention converges in direction to the vector of least Euclidean norm that "
            "separates the selected tokens from the others.  Here the keys are the tokens' "
            "data coordinates and every query is the scalar 1.",
        ),
        _REACHED,
        _TOGETHER,
    ),
    Claim(
        key="neighbour.embedding",
        kind="flow",
        title="One sample with equal scores is a linear classifier",
        statement=(
            "For one sample whose non-optimal tokens have equal scores, the gradient of the "
            "attention loss in the weights, together or apart, is a positive multiple of that of "
            "the exponential loss of a linear classifier with data x_o - x_l: the orbits agree."
        ),
        latex=(
            r"-\nabla_\beta L = c(\beta) \sum_l e^{-\langle x_o - x_l, \beta \rangle} "
            r"(x_o - x_l), \quad c(\beta) > 0"
        ),
        citation=derived(_EMBEDDED),
        assumptions=("optimal-unique", "realisable", "equal-scores"),
        rests_on=("symbolic.margin-form-combined", "symbolic.margin-form-diagonal"),
        falsified_by="Weights at which the two gradients differ in direction beyond rounding.",
        not_shown="Weights are sampled.",
    ),
    *_pair(
        "classifier",
        "A linear classifier with exponential loss: the l2 SVM",
        "a linear classifier with exponential loss",
        ("2", "1"),
        Citation(
            "arXiv 1710.10345",
            "The implicit bias of gradient descent on separable data: with exponential loss the "
            "predictor converges in direction to the hard-margin l2 SVM.  " + _EMBEDDED,
        ),
        _REACHED,
        ("neighbour.embedding", *_TOGETHER),
    ),
    *_pair(
        "diagonal-network",
        "A two-layer diagonal linear network: the l1 SVM",
        "a linear classifier beta = k * q, two layers of a diagonal linear network, with "
        "exponential loss",
        ("1", "2"),
        Citation(
            "arXiv 2007.06738",
            "Two-layer diagonal linear networks with exponential loss: the predictor of "
            "gradient flow converges in direction to the l1 SVM (the rich limit).  " + _EMBEDDED,
        ),
        _APART,
        ("neighbour.embedding", *_SEPARATE),
    ),
    *_mirror("1.5", "3"),
    *_mirror("2", "1"),
    *_mirror("3", "1.5"),
    Claim(
        key="control.combined-attains-nuclear",
        kind="control",
        title="The wrong norm: combined weights, with the nuclear norm",
        statement=(
            "Wrong on purpose: the full matrix W, trained as one, attains the best nuclear "
            "margin, as key and query trained apart are said to."
        ),
        latex=(
            r"\dot W = G(\lambda) \;\Rightarrow\; \frac{\min_r \langle G_r, W \rangle}{\|W\|_*} "
            r"\overset{?}{\to} \max_{\|V\|_* \le 1} \min_r \langle G_r, V \rangle"
        ),
        citation=Citation(
            "arXiv 2308.16898",
            "Transformers as support vector machines: parameterised by W, attention converges in "
            "direction to the SVM of least Frobenius norm (limit.combined-frobenius); by key and "
            "query, with vanishing regularisation, to that of least nuclear norm.",
        ),
        assumptions=_REACHED,
        rests_on=("limit.combined-frobenius",),
        expect="falsified",
        falsified_by=(
            "A certificate that closes for the Frobenius problem, whose optimal set misses the "
            "nuclear margin by the predicted gap."
        ),
        not_shown=_PLANTED,
    ),
)
