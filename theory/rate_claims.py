"""Derived claims about how fast.  Data only."""

from __future__ import annotations

from typing import Final

from theory.claims import Claim
from theory.sentences import derived

_DATA: Final = ("optimal-unique", "separable", "realisable")
_DIAGONAL: Final = (*_DATA, "nonzero-invariant", "infimum-reached")
_SAMPLED: Final = (
    "Sampled problems and starts of moderate size in float64 up to a finite norm: evidence, "
    "not a proof."
)

RATE_CLAIMS: Final[tuple[Claim, ...]] = (
    Claim(
        key="symbolic.rates",
        kind="symbolic",
        title="The algebra behind the rates",
        statement=(
            "Under W' = G(p): m~' = |G|^2, (|W|^2/2)' = p^T m, and gamma*|W| - m~ never rises; "
            "ln sum c_j e^{r_j}/2 is <u, r> + sum u_j ln(c_j/2u_j) plus a relative entropy "
            "(Gibbs); e^m~/m~' grows like t up to m~''/m~'^2."
        ),
        latex=(
            r"\tilde m' = \|G\|^2, \quad \bigl( \gamma^* \|W\| - \tilde m \bigr)' \le 0, \quad "
            r"\ln S \ge \langle u, r \rangle + \sum_j |u_j| \ln \frac{c_j}{2 |u_j|}"
        ),
        citation=derived(
            "p is the gradient of m~ in the margins; weak duality gives |G| >= gamma*; relative "
            "entropy is not negative."
        ),
        rests_on=("symbolic.monotone-margin",),
        falsified_by="One exact point at which an identity's residual is not zero.",
        not_shown="Sizes beyond those each identity names.",
    ),
    Claim(
        key="rate.monotone-margin-factored",
        kind="rate",
        title="The normalised smooth margin never falls, for matrices too",
        statement=(
            "Late, with m~ > 0, the smooth margin over S = (|K|^2 + |Q|^2)/2 is nondecreasing "
            "along the flow of separate matrices K and Q, aligned or not."
        ),
        latex=r"\frac{d \ln \tilde m}{d \ln S} = \frac{p^\top m / \tilde m}{\cos^2 \angle(Z, Z')} "
        r"\ge 1, \quad Z = [K; Q]",
        citation=derived(
            "Z' = [G(p)Q; G(p)^T K]: S' = 2 p^T m, m~' = |Z'|^2 and <Z, Z'> = 2 p^T m, so the "
            "diagonal argument holds word for word; p^T m >= m~ since entropy >= 0."
        ),
        assumptions=("realisable",),
        rests_on=("flow.orbit-factored", "symbolic.monotone-margin"),
        falsified_by="Two successive states between which ln(m~/S) falls beyond the step error.",
        not_shown=_SAMPLED,
    ),
    Claim(
        key="rate.combined-offset",
        kind="rate",
        title="Combined weights: the margin's gap is O(1/|W|)",
        statement=(
            "Late, gamma*|W| - m~ never rises along the flow of combined weights that reach the "
            "infimum, so gamma* - m~/|W| is at most (gamma*|W(0)| - m~(0))/|W|, pointwise."
        ),
        latex=(
            r"\frac{d}{d\tau} \bigl( \gamma^* \|W\| - \tilde m \bigr) \le 0, \quad \gamma^* - "
            r"\frac{\tilde m}{\|W\|} \le \frac{\gamma^* \|W_0\| - \tilde m_0}{\|W\|}"
        ),
        citation=derived(
            "|W|' = <W, G>/|W| <= |G| and m~' = |G|^2 with |G| >= gamma* (weak duality), so the "
            "derivative is at most |G|(gamma* - |G|) <= 0."
        ),
        sentences=("S4",),
        assumptions=(*_DATA, "infimum-reached"),
        rests_on=("flow.orbit", "symbolic.rates"),
        falsified_by=(
            "Two successive states between which gamma*|W| - m~ rises by ten times what the "
            "step error allows."
        ),
        not_shown=_SAMPLED,
    ),
    Claim(
        key="rate.cosine-factored",
        kind="rate",
        title="Weights and velocity align in the mean, for matrices too",
        statement=(
            "Along the flow of separate matrices K and Q that reaches the infimum, aligned or "
            "not, the residual 1/cos^2 - 1 between Z = [K; Q] and Z', summed over ln S, stays "
            "below ln(gamma*/gamma~(0)), gamma* the best nuclear margin."
        ),
        latex=(
            r"\int \Bigl( \frac{1}{\cos^2 \angle(Z, Z')} - 1 \Bigr) \, d \ln S \le "
            r"\ln \frac{\gamma^*}{\tilde\gamma(\tau_0)}"
        ),
        citation=derived(
            "d ln(m~/S)/d ln S is at least 1/cos^2 - 1, and m~/S, which starts at gamma~(0), "
            "never exceeds min_r m_r/|W|_* <= gamma*, as S = |Z|^2/2 >= |K Q^T|_*."
        ),
        assumptions=(*_DATA, "infimum-reached"),
        rests_on=("flow.orbit-factored", "rate.monotone-margin-factored"),
        falsified_by="An orbit whose sum exceeds the bound by more than the sum's own error.",
        not_shown="Pointwise convergence of the residual, or that the limit is the nuclear "
        "optimum: only its mean is bounded. " + _SAMPLED,
    ),
    Claim(
        key="rate.regret-diagonal",
        kind="rate",
        title="Separate diagonal weights: the summed gap is bounded",
        statement=(
            "Late, with the infimum reached, the integral of gamma* - m~/S over rescaled time "
            "stays below constants of its first state plus C times the integral of 1/S: the mean "
            "gap is O(1/tau) = O(1/ln S)."
        ),
        latex=(
            r"\int_{\tau_0}^{\tau} \Bigl( \gamma^* - \frac{\tilde m}{S} \Bigr) d\tau \le "
            r"\tfrac12 \Bigl[ \ln S_0 - \langle u, r_0 \rangle - \sum_j |u_j| \ln "
            r"\frac{c_j}{2 |u_j|} \Bigr] + C \int \frac{d\tau}{S}"
        ),
        citation=derived(
            "u the optimal direction, |u|_1 = 1: <u, r>' = 2<u, A^T p> >= 2 gamma*; ln S >= "
            "<u, r> + sum |u_j| ln(c_j/2|u_j|) (Gibbs); S' = 2 p^T m, and p^T m - m~ <= C = ln R "
            "+ max kappa - min kappa.  m~/S never falls: left-end sums bound the integral."
        ),
        assumptions=_DIAGONAL,
        rests_on=("flow.orbit", "rate.monotone-margin", "symbolic.rates", "symbolic.mirror-form"),
        falsified_by=(
            "An orbit whose right-end sum exceeds the constants by more than ten times what the "
            "local errors of its steps add up to."
        ),
        not_shown=_SAMPLED,
    ),
    Claim(
        key="rate.regret-combined",
        kind="rate",
        title="Combined weights: the summed gap is bounded by a logarithm",
        statement=(
            "Late, with the infimum reached, the integral of gamma* - m~/|W| over rescaled time "
            "stays below |W(0)| - <U*, W(0)> plus C times the integral of 1/|W|, which grows like "
            "ln |W|: the mean gap is O(ln |W|/|W|)."
        ),
        latex=(
            r"\int_{\tau_0}^{\tau} \Bigl( \gamma^* - \frac{\tilde m}{\|W\|} \Bigr) d\tau "
            r"\le \|W_0\| - \langle U^*, W_0 \rangle + C \int \frac{d\tau}{\|W\|}"
        ),
        citation=derived(
            "<U*, W>' = <U*, G(p)> >= gamma*, |W|' = p^T m/|W|, |W| >= <U*, W>, and p^T m - m~ "
            "<= C = ln R + max kappa - min kappa.  m~/|W| never falls."
        ),
        sentences=("S4",),
        assumptions=(*_DATA, "infimum-reached"),
        rests_on=("flow.orbit", "symbolic.rates"),
        falsified_by=(
            "An orbit whose right-end sum exceeds the constants by more than ten times what the "
            "local errors of its steps add up to."
        ),
        not_shown=_SAMPLED,
    ),
    Claim(
        key="rate.mean-gap-diagonal",
        kind="rate",
        title="Separate diagonal weights: the mean gap is one over the logarithm of the norm",
        statement=(
            "Late, with the infimum reached, the mean of gamma* - m~/S over rescaled time falls "
            "like 1/ln S and no faster: its exponent, fitted over ln S up to S = e^3000, is -1."
        ),
        latex=(
            r"\frac{1}{\tau - \tau_0} \int_{\tau_0}^{\tau} \Bigl( \gamma^* - "
            r"\frac{\tilde m}{S} \Bigr) d\tau = \Theta \Bigl( \frac{1}{\ln S} \Bigr)"
        ),
        citation=derived(
            "The integral never falls and stays below the regret bound, so it keeps to a band; "
            "ln S grows at 2 p^T m/S, and p^T m is between m~ and m~ + C."
        ),
        assumptions=_DIAGONAL,
        rests_on=("flow.orbit", "rate.regret-diagonal", "rate.monotone-margin"),
        falsified_by="A fitted exponent off by half again what the derived band allows.",
        not_shown="The pointwise gap, which falls faster (rate.slack-attained). " + _SAMPLED,
    ),
    Claim(
        key="rate.mean-gap-combined",
        kind="rate",
        title="Combined weights: the mean gap is one over the norm, up to its logarithm",
        statement=(
            "Late, with the infimum reached, the mean of gamma* - m~/|W| over rescaled time falls "
            "like 1/|W|, up to the factor ln |W| of its bound: its exponent, fitted over |W| up "
            "to e^13, is -1."
        ),
        latex=(
            r"\frac{1}{\tau - \tau_0} \int_{\tau_0}^{\tau} \Bigl( \gamma^* - "
            r"\frac{\tilde m}{\|W\|} \Bigr) d\tau = O \Bigl( \frac{\ln \|W\|}{\|W\|} \Bigr)"
        ),
        citation=derived(
            "The integral never falls and stays below the regret bound, which grows like ln |W|; "
            "|W| grows at p^T m/|W|, and p^T m is between m~ and m~ + C."
        ),
        sentences=("S4",),
        assumptions=(*_DATA, "infimum-reached"),
        rests_on=("flow.orbit", "rate.regret-combined"),
        falsified_by="A fitted exponent off by half again what the derived band allows.",
        not_shown=_SAMPLED,
    ),
    Claim(
        key="rate.slack-attained",
        kind="rate",
        title="The gap itself can fall as slowly as the norm to the minus dual slack",
        statement=(
            "On problems with a coordinate of dual slack delta (|A^T p|_j = (1 - delta) gamma* "
            "for all p), separate diagonal weights with the infimum reached have a gap "
            "gamma* - m~/S that falls like S^-delta: its fitted exponent is -delta."
        ),
        latex=(
            r"|A^\top p|_j = (1 - \delta) \gamma^* \;\Rightarrow\; \gamma^* - "
            r"\frac{\tilde m}{S} = \Theta \bigl( S^{-\delta} \bigr)"
        ),
        citation=derived(
            "r_j moves by 2 (1 - delta) gamma* tau whatever p is, and 2 gamma* tau - ln S is "
            "between 0 and twice the regret bound: beta_j is a share S^-delta of S, which costs "
            "delta gamma* of margin each.  All else that costs margin falls faster."
        ),
        assumptions=_DIAGONAL,
        rests_on=("flow.orbit", "rate.regret-diagonal", "symbolic.mirror-form"),
        falsified_by="A fitted exponent off by half again what the derived band allows.",
        not_shown="Problems whose duals move the slack coordinate unevenly. " + _SAMPLED,
    ),
    Claim(
        key="rate.dual-window",
        kind="rate",
        title="How fast the mirror variable moves certifies the margin, and how well",
        statement=(
            "Late, with the infimum reached, half the speed at which r moves over any window is "
            "an upper bound on the best l1 margin, and exceeds it by constants of the window's "
            "first state over its length."
        ),
        latex=(
            r"\gamma^* \le \frac{\|r(\tau) - r(\tau_0)\|_\infty}{2 (\tau - \tau_0)} \le "
            r"\gamma^* + \frac{\ln (2 S_0/\min_j c_j) + \|r_0\|_\infty + 2 C \int d\tau/S}"
            r"{2 (\tau - \tau_0)}"
        ),
        citation=derived(
            "r moves by 2 A^T of the mean of p, which is in the simplex: weak duality.  "
            "|r_j| <= ln(2S/c_j), and S' = 2 p^T m <= 2 (gamma* S + C) since m~ <= gamma* S."
        ),
        assumptions=_DIAGONAL,
        rests_on=("flow.orbit", "symbolic.mirror-form", "symbolic.kkt-l1"),
        falsified_by=(
            "A window outside its two bounds by more than ten times what the local errors of its "
            "steps add up to."
        ),
        not_shown=_SAMPLED,
    ),
    Claim(
        key="rate.time-scale-diagonal",
        kind="rate",
        title="Physical time, separate diagonal weights: L - L* falls like 1/(2 gamma* t ln t)",
        statement=(
            "With the infimum reached, m~ - ln t - ln m~ tends to ln 2 gamma*, m~ being the "
            "smooth margin and -ln(L - L*): at a finite time it is as near as the extremes of "
            "d e^m~/dt over the last stretch allow.  The raw gradient is integrated in ln t."
        ),
        latex=(
            r"\tilde m - \ln t - \ln \tilde m \to \ln 2 \gamma^*, \quad "
            r"L - L^* \sim e^{-\tilde m} \sim \frac{1}{2 \gamma^* \, t \ln t}"
        ),
        citation=derived(
            "d e^m~/dt = |Z'|^2 = sum (k_j^2 + q_j^2)(A^T p)_j^2, between 2 (p^T m)^2/S and "
            "2 S |A^T p|_inf^2, and both over m~ tend to 2 gamma* as the certificate closes; "
            "L - L* = sum lambda_r up to e^-m_min."
        ),
        assumptions=_DIAGONAL,
        rests_on=("flow.gradient", "symbolic.rates", "limit.diagonal-l1"),
        falsified_by="A run whose time scale misses its limit by half again its derived bound.",
        not_shown=_SAMPLED,
    ),
    Claim(
        key="rate.time-scale-combined",
        kind="rate",
        title="Physical time, combined weights: L - L* falls like 1/(gamma*^2 t)",
        statement=(
            "With the infimum reached, m~ - ln t tends to ln gamma*^2, m~ being the smooth "
            "margin and -ln(L - L*): at a finite time it is as near as |G(p)|^2 has come to "
            "gamma*^2 over the last stretch.  The raw gradient is integrated in ln t."
        ),
        latex=(
            r"\tilde m - \ln t \to \ln \gamma^{*2}, \quad L - L^* \sim e^{-\tilde m} \sim "
            r"\frac{1}{\gamma^{*2} \, t}"
        ),
        citation=derived(
            "d e^m~/dt = |G(p)|^2 >= gamma*^2 by weak duality, and it never rises: "
            "(|G|^2)' = -2 Var_p(A A^T p) <= 0."
        ),
        sentences=("S4",),
        assumptions=(*_DATA, "infimum-reached"),
        rests_on=("flow.gradient", "symbolic.rates", "limit.combined-l2"),
        falsified_by="A run whose time scale misses its limit by half again its derived bound.",
        not_shown=_SAMPLED,
    ),
)
