"""Wrong versions of the claims about rates and about where the infimum is reached.  Data only."""

from __future__ import annotations

from typing import Final

from theory.claims import Claim
from theory.sentences import derived

_DATA: Final = ("optimal-unique", "separable", "realisable")
_PLANTED: Final = "Nothing of the theorems: only that the check it guards can fail."

RATE_CONTROLS: Final[tuple[Claim, ...]] = (
    Claim(
        key="control.combined-offset-beyond",
        kind="control",
        title="An offset with a margin just beyond the best one",
        statement=(
            "Wrong on purpose: late, 1.05 gamma*|W| - m~ never rises along the flow of combined "
            "weights."
        ),
        latex=r"\frac{d}{d\tau} \bigl( 1.05 \, \gamma^* \|W\| - \tilde m \bigr) \overset{?}{\le} 0",
        citation=derived("Where |G| and <W, G>/|W| are near gamma*, it rises at 0.05 gamma*^2."),
        sentences=("S4",),
        assumptions=(*_DATA, "infimum-reached"),
        rests_on=("flow.orbit", "symbolic.rates"),
        expect="falsified",
        falsified_by=(
            "Two successive states between which it rises by ten times what the step error allows."
        ),
        not_shown=_PLANTED,
    ),
    Claim(
        key="control.regret-diagonal",
        kind="control",
        title="A bounded summed gap to a margin beyond the best one, separate weights",
        statement=(
            "Wrong on purpose: the summed gap of m~/S to 1.25 gamma* stays below the constants of "
            "rate.regret-diagonal."
        ),
        latex=(
            r"\int \Bigl( 1.25 \, \gamma^* - \frac{\tilde m}{S} \Bigr) d\tau \overset{?}{\le} "
            r"\text{const} + C \int \frac{d\tau}{S}"
        ),
        citation=derived("m~/S never exceeds gamma*: the sum grows like 0.25 gamma* tau."),
        assumptions=(*_DATA, "nonzero-invariant", "infimum-reached"),
        rests_on=("flow.orbit", "rate.regret-diagonal"),
        expect="falsified",
        falsified_by="An orbit that breaks it by more than ten times its steps' local errors.",
        not_shown=_PLANTED,
    ),
    Claim(
        key="control.regret-combined",
        kind="control",
        title="A bounded summed gap to a margin beyond the best one, combined weights",
        statement=(
            "Wrong on purpose: the summed gap of m~/|W| to 1.25 gamma* stays below the constants "
            "of rate.regret-combined."
        ),
        latex=(
            r"\int \Bigl( 1.25 \, \gamma^* - \frac{\tilde m}{\|W\|} \Bigr) d\tau "
            r"\overset{?}{\le} \text{const} + C \int \frac{d\tau}{\|W\|}"
        ),
        citation=derived(
            "m~/|W| never exceeds gamma*: the sum grows like tau, its bound like ln tau."
        ),
        assumptions=(*_DATA, "infimum-reached"),
        rests_on=("flow.orbit", "rate.regret-combined"),
        expect="falsified",
        falsified_by="An orbit that breaks it by more than ten times its steps' local errors.",
        not_shown=_PLANTED,
    ),
    Claim(
        key="control.dual-window",
        kind="control",
        title="A dual window that stays above a margin beyond the best one",
        statement=("Wrong on purpose: no window of r falls below 1.25 gamma*."),
        latex=(
            r"1.25 \, \gamma^* \overset{?}{\le} "
            r"\frac{\|r(\tau) - r(\tau_0)\|_\infty}{2 (\tau - \tau_0)}"
        ),
        citation=derived("The window tends to gamma*: its excess is a constant over its length."),
        assumptions=(*_DATA, "nonzero-invariant", "infimum-reached"),
        rests_on=("flow.orbit", "rate.dual-window"),
        expect="falsified",
        falsified_by="An orbit that breaks it by more than ten times its steps' local errors.",
        not_shown=_PLANTED,
    ),
    Claim(
        key="control.mean-gap-diagonal",
        kind="control",
        title="Separate weights at the combined flow's rate",
        statement="Wrong on purpose: the mean gap of separate weights falls like ln S/S.",
        latex=(
            r"\frac{1}{\tau - \tau_0} \int \Bigl( \gamma^* - \frac{\tilde m}{S} \Bigr) d\tau "
            r"\overset{?}{=} \Theta \Bigl( \frac{\ln S}{S} \Bigr)"
        ),
        citation=derived("The sum of the gap never falls, and tau is about ln S/(2 gamma*)."),
        assumptions=(*_DATA, "nonzero-invariant", "infimum-reached"),
        rests_on=("flow.orbit", "rate.mean-gap-diagonal"),
        expect="falsified",
        falsified_by="A fitted exponent off by half again what the true one's band allows.",
        not_shown=_PLANTED,
    ),
    Claim(
        key="control.mean-gap-combined",
        kind="control",
        title="Combined weights at the separate flow's rate",
        statement="Wrong on purpose: the mean gap of combined weights falls like 1/ln |W| only.",
        latex=(
            r"\frac{1}{\tau - \tau_0} \int \Bigl( \gamma^* - \frac{\tilde m}{\|W\|} \Bigr) d\tau "
            r"\overset{?}{=} \Theta \Bigl( \frac{1}{\ln \|W\|} \Bigr)"
        ),
        citation=derived("Its sum grows like ln |W| at most, and tau is about |W|/gamma*."),
        sentences=("S4",),
        assumptions=(*_DATA, "infimum-reached"),
        rests_on=("flow.orbit", "rate.mean-gap-combined"),
        expect="falsified",
        falsified_by="A fitted exponent off by half again what the true one's band allows.",
        not_shown=_PLANTED,
    ),
    Claim(
        key="control.slack-forgotten",
        kind="control",
        title="A gap that closes like one over the norm, whatever the dual slack",
        statement=(
            "Wrong on purpose: on problems with a coordinate of dual slack delta <= 1/2, the gap "
            "of separate weights falls like 1/S."
        ),
        latex=r"\gamma^* - \frac{\tilde m}{S} \overset{?}{=} \Theta \bigl( S^{-1} \bigr)",
        citation=derived("It falls like S^-delta."),
        assumptions=(*_DATA, "nonzero-invariant", "infimum-reached"),
        rests_on=("flow.orbit", "rate.slack-attained"),
        expect="falsified",
        falsified_by="A fitted exponent off by half again what the true one's band allows.",
        not_shown=_PLANTED,
    ),
    Claim(
        key="control.time-scale",
        kind="control",
        title="Half of the combined flow's time scale",
        statement="Wrong on purpose: m~ - ln t tends to ln(gamma*^2/2) for combined weights.",
        latex=r"\tilde m - \ln t \overset{?}{\to} \ln \tfrac12 \gamma^{*2}",
        citation=derived("It tends to ln gamma*^2: the miss is ln 2."),
        sentences=("S4",),
        assumptions=(*_DATA, "infimum-reached"),
        rests_on=("flow.gradient", "rate.time-scale-combined"),
        expect="falsified",
        falsified_by="A run whose time scale misses that limit by half again its derived bound.",
        not_shown=_PLANTED,
    ),
    Claim(
        key="control.loss-barrier-sum",
        kind="control",
        title="A barrier of all samples together",
        statement=(
            "Wrong on purpose: separate diagonal weights reach the infimum from every start whose "
            "loss exceeds it by less than twice what all samples together would add at their "
            "second-best scores."
        ),
        latex=(
            r"L(0) - L^* < \frac{2}{n} \sum_i e^{-\gamma_{i o_i}} \bigl( e^{b_i} - 1 \bigr) "
            r"\;\overset{?}{\Rightarrow}\; L(t) \to L^*"
        ),
        citation=derived("Samples that all sit on their second-best tokens need not leave them."),
        sentences=("S2",),
        assumptions=("optimal-unique", "separable", "realisable", "nonzero-invariant"),
        rests_on=("flow.orbit", "limit.loss-barrier"),
        expect="falsified",
        falsified_by="A start below that barrier of which a sample settles on another token.",
        not_shown=_PLANTED,
    ),
)
