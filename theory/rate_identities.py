"""The algebra behind the rates: combined speeds, the offset, Gibbs' inequality, the clock."""

from __future__ import annotations

import sympy as sp

from theory.attention import inner, matrix, squared_norm, vector
from theory.identities import Identity
from theory.late_flow import late_weights

_CLAIM = "symbolic.rates"


def identities() -> list[Identity]:
    """Every identity that the claims about rates rest on."""
    return [*_combined_speeds(), _offset(), *_gibbs(), _clock()]


def _combined_speeds() -> list[Identity]:
    """m~' = |G|^2 and (|W|^2/2)' = p^T m under W' = G(p), three constraints, W in R^2."""
    rows, weights, kappa = matrix("A", 3, 2), vector("w", 2), vector("kappa", 3)
    margins = rows * weights
    p, smooth = late_weights(kappa, margins)
    pull = rows.T * p
    gain = sp.Add(*(sp.diff(smooth, x) * v for x, v in zip(weights, pull, strict=True)))
    return [
        Identity(
            claim=_CLAIM,
            name="combined-smooth-margin-speed",
            statement="Combined weights: dm~/dtau = |G(p)|^2; 3 constraints in dimension 2.",
            latex=r"\frac{d\tilde m}{d\tau} = \| G(p) \|^2",
            left=gain,
            right=squared_norm(pull),
        ),
        Identity(
            claim=_CLAIM,
            name="combined-energy-speed",
            statement="Combined weights: d(|W|^2/2)/dtau = p^T m; 3 constraints in dimension 2.",
            latex=r"\frac{d}{d\tau} \tfrac12 \|W\|^2 = \langle W, G(p) \rangle = p^\top m",
            left=inner(weights, pull),
            right=inner(p, margins),
        ),
    ]


def _offset() -> Identity:
    margin, size, speed, work = sp.symbols("gamma N g a", positive=True)
    return Identity(
        claim=_CLAIM,
        name="offset-falls",
        statement=(
            "(gamma N - m~)' with N' = a/N, a = <W, G>, m~' = g^2 is minus a sum of two products "
            "of nonnegative factors, as g >= gamma (weak duality) and a <= N g (Cauchy-Schwarz)."
        ),
        latex=(
            r"\gamma^* \frac{\langle W, G \rangle}{\|W\|} - \|G\|^2 = -\|G\| (\|G\| - \gamma^*) - "
            r"\gamma^* \Bigl( \|G\| - \frac{\langle W, G \rangle}{\|W\|} \Bigr)"
        ),
        left=margin * work / size - speed**2,
        right=-speed * (speed - margin) - margin * (speed - work / size),
    )


def _gibbs() -> list[Identity]:
    c, grown = sp.symbols("c1:4", positive=True), sp.symbols("rho1:4", positive=True)
    first, second = sp.symbols("u1 u2", positive=True)
    u = (first, second, 1 - first - second)
    total = sp.Add(*(a * b / 2 for a, b in zip(c, grown, strict=True)))
    share = [a * b / (2 * total) for a, b in zip(c, grown, strict=True)]
    size = sp.Add(*(a * (b + 1 / b) / 2 for a, b in zip(c, grown, strict=True)))
    # ln(c e^r/(2 T)) written out, so that the logarithms of products are those of factors.
    log_share = [
        sp.log(a) + sp.log(b) - sp.log(2) - sp.log(total) for a, b in zip(c, grown, strict=True)
    ]
    left = (
        sp.log(total)
        - sp.Add(*(w * sp.log(b) for w, b in zip(u, grown, strict=True)))
        - sp.Add(*(w * (sp.log(a) - sp.log(2) - sp.log(w)) for w, a in zip(u, c, strict=True)))
    )
    return [
        Identity(
            claim=_CLAIM,
            name="gibbs",
            statement=(
                "ln T - <u, r> - sum u_j ln(c_j/2u_j) is the relative entropy of u to the shares "
                "c_j e^{r_j}/2T, T = sum c_j e^{r_j}/2, u in the simplex; three coordinates."
            ),
            latex=(
                r"\ln T - \langle u, r \rangle - \sum_j u_j \ln \frac{c_j}{2 u_j} = \sum_j u_j "
                r"\ln \frac{u_j}{\pi_j} \ge 0, \quad \pi_j = \frac{c_j e^{r_j}}{2T}"
            ),
            left=left,
            right=sp.Add(
                *(w * (sp.log(w) - share_) for w, share_ in zip(u, log_share, strict=True))
            ),
        ),
        Identity(
            claim=_CLAIM,
            name="shares-sum-to-one",
            statement="The shares c_j e^{r_j}/2T sum to one, so the relative entropy is >= 0.",
            latex=r"\sum_j \pi_j = 1",
            left=sp.Add(*share),
            right=sp.Integer(1),
        ),
        Identity(
            claim=_CLAIM,
            name="size-above",
            statement="S = sum c_j cosh r_j exceeds T by sum c_j e^{-r_j}/2 >= 0.",
            latex=r"S - T = \sum_j \tfrac{c_j}{2} e^{-r_j}",
            left=size - total,
            right=sp.Add(*(a / (2 * b) for a, b in zip(c, grown, strict=True))),
        ),
    ]


def _clock() -> Identity:
    smooth, speed, change = sp.symbols("m m1 m2", positive=True)
    clock = sp.exp(smooth) / speed
    rate = sp.diff(clock, smooth) * speed + sp.diff(clock, speed) * change
    return Identity(
        claim=_CLAIM,
        name="clock",
        statement="e^m~/m~' grows at t' = e^m~ times 1 - m~''/m~'^2.",
        latex=(
            r"\frac{d}{d\tau} \frac{e^{\tilde m}}{\tilde m'} = e^{\tilde m} \Bigl( 1 - "
            r"\frac{\tilde m''}{\tilde m'^2} \Bigr)"
        ),
        left=rate,
        right=sp.exp(smooth) * (1 - change / speed**2),
    )
