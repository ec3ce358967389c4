"""The claims about real data: open, so that they are reported and never judged.  Data only."""

from __future__ import annotations

from typing import Final

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


DATA_CLAIMS: Final[tuple[Claim, ...]] = (
    _claim("iris", "samples of the iris data (records as tokens)"),
    _claim("digits", "samples of the digits data (rows of an image as tokens)"),
    _claim("wine", "samples of the wine data (records as tokens)"),
    _claim("breast-cancer", "samples of the breast-cancer data (records as tokens)"),
)
