"""Mutants that survive, each with the reason why it is no error."""

from __future__ import annotations

EQUIVALENT: dict[str, str] = {
    "theory.factored_kkt:_stuck_point | problem.margins[0].subs(best) | "
    "problem.margins[1].subs(best) | 0": (
        "All rows are b_1 + 2 b_2 >= 1 at this point, so all margins are the same expression."
    ),
    "checks.flow.factored:_Modes.divided_differences | gap.clamp_min(1e-08) | "
    "gap.clamp_min(2e-08) | 0": (
        "Gaps between 1e-8 and 2e-8 get a mean that is 5e-9 off, in a matrix that Newton's method "
        "only iterates with: what it converges to does not change."
    ),
    "checks.certificates:lower_bound | not 0.0 < total < float('inf') | "
    "not 0.0 <= total < float('inf') | 0": (
        "Where the sum is 0 the bound comes out as max(0, down(0 / size)) = 0, or as the 0 of a "
        "size that is not positive: the early return only says so sooner."
    ),
    "theory.attention:_softmax_identities | (vector('v', 2), sp.Symbol('y', real=True)) | "
    "(vector('v', 2), sp.Symbol('y', real=False)) | 0": (
        "The one identity with this label is linear in it, so true of any number."
    ),
}
"""Name (``operators.Mutant``) -> why no test can see it, or why none needs to."""
