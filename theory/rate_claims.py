"""Derived claims about how fast.  Data only."""

from __future__ import annotations

from typing import Final

from theory.claims import Claim
from theory.sentences import derived

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
)
