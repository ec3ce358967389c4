"""The claims about real data: open, so that they are reported and never judged.  Data only."""

from __future__ import annotations

from typing import Any, Final

from theory.claims import Citation, Claim


def _claim(key: str, what: str) -> Claim:
    return Claim(
        key=f"data.{key}",
        kind="limit",
        title=f"Real data, {key}: the l1 SVM",
        statement=(
            f"On {what}, gradient flow of diagonal weights trained separately, from five drawn "
            "starts, attains the best l1 margin wherever it reaches the infimum."
        ),
        latex=(
            r"L \to L^* \;\Rightarrow\; \frac{\min_r (A\beta)_r}{\|\beta\|_1} \to "
            r"\max_{\|u\|_1 \le 1} \min_r (Au)_r"
        ),
        citation=Citation(
            "derived; real data",
            "limit.diagonal-l1 on scikit-learn's bundled data: real records and classes, made "
            f"into samples by a rule that `marginflow example {key} FILE.npz` prints and that "
            "looks at no flow.",
        ),
        sentences=("S2",),
        assumptions=(
            "optimal-unique", "separable", "realisable", "nonzero-invariant", "infimum-reached",
        ),
        rests_on=(
            "flow.orbit",
            "symbolic.loss-infimum",
            "symbolic.margin-form-diagonal",
            "symbolic.mirror-form",
            "symbolic.kkt-l1",
        ),
        expect="open",
        falsified_by=(
            "A start that reaches the infimum while its certificate closes for the l2 problem, "
            "whose optimal set misses the l1 margin, proved by an interval."
        ),
        not_shown=(
            "One problem and five starts: an illustration.  Runs that settle on another token "
            "say nothing, nor do data whose l1 and l2 optima have nearly the same l1 margin."
        ),
    )  # fmt: skip


_DATA: Final = ("optimal-unique", "separable", "realisable")


def _on_all(key: str, of: str, title: str, statement: str, latex: str, **more: Any) -> Claim:
    """A claim about drawn problems, ``of``, asked of all four data sets at once."""
    return Claim(
        key=f"data.{key}",
        title=f"Real data, all four sets: {title}",
        statement=f"On all four data sets, from five drawn starts each, {statement}",
        latex=latex,
        citation=Citation(
            "derived; real data",
            f"{of} on scikit-learn's bundled data, made into samples by the rule that "
            "`marginflow example NAME FILE.npz` prints.",
        ),
        expect="open",
        not_shown=(
            "Four problems and five starts each: an illustration.  Runs that reach no infimum, "
            "or data on which the two norms' optima nearly agree, say nothing."
        ),
        **more,
    )


DATA_CLAIMS: Final[tuple[Claim, ...]] = (
    _on_all(
        "combined-l2", "limit.combined-l2", "combined diagonal weights",
        "diagonal weights trained as one vector attain the best l2 margin wherever they reach "
        "the infimum.",
        r"\frac{\min_r (A\beta)_r}{\|\beta\|_2} \to \max_{\|u\|_2 \le 1} \min_r (Au)_r",
        kind="limit", sentences=("S4",), assumptions=(*_DATA, "infimum-reached"),
        rests_on=("flow.orbit", "symbolic.loss-infimum", "symbolic.kkt-l2"),
        falsified_by="A start whose certificate closes for the l1 problem instead.",
    ),
    _on_all(
        "combined-frobenius", "limit.combined-frobenius", "combined full weights",
        "a full matrix W trained as one attains the best Frobenius margin wherever it reaches "
        "the infimum.",
        r"\frac{\min_r \langle G_r, W \rangle}{\|W\|_F} \to \max_{\|V\|_F \le 1} \min_r "
        r"\langle G_r, V \rangle",
        kind="limit", sentences=("S4",), assumptions=(*_DATA, "infimum-reached"),
        rests_on=("flow.orbit", "symbolic.loss-infimum", "symbolic.kkt-l2"),
        falsified_by="A start whose certificate closes for the nuclear problem instead.",
    ),
    _on_all(
        "selection", "selection.selected-svm", "the tokens selected",
        "a settled run of separate diagonal weights attains the best l1 margin of the tokens it "
        "selected, optimal or not.",
        r"\frac{\min_{r \in \alpha} (A^\alpha \beta)_r}{\|\beta\|_1} \to "
        r"\max_{\|u\|_1 \le 1} \min_r (A^\alpha u)_r",
        kind="selection", assumptions=("realisable",),
        rests_on=("flow.orbit", "symbolic.kkt-l1"),
        falsified_by="A settled run whose certificate closes for the l2 problem of its tokens.",
    ),
    _on_all(
        "contrast", "contrast.diagonal", "separate against combined weights",
        "separate diagonal weights attain the l1 margin and miss the l2 one, combined weights "
        "the reverse, wherever both reach the infimum.",
        r"k \circ q \to \text{l1 SVM}, \quad \beta \text{ trained directly} \to \text{l2 SVM}",
        kind="contrast", sentences=("S2", "S4"),
        assumptions=(*_DATA, "nonzero-invariant", "infimum-reached"),
        rests_on=("flow.orbit", "symbolic.kkt-l1", "symbolic.kkt-l2"),
        falsified_by="A pair of runs of which one closes on the other's problem.",
    ),
    _claim("iris", "samples of the iris data (records as tokens)"),
    _claim("digits", "samples of the digits data (rows of an image as tokens)"),
    _claim("wine", "samples of the wine data (records as tokens)"),
    _claim("breast-cancer", "samples of the breast-cancer data (records as tokens)"),
)  # fmt: skip
