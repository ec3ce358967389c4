"""Mutants that survive, each with the reason why it is no error."""

from __future__ import annotations

EQUIVALENT: dict[str, str] = {
    "theory.factored_kkt:_stuck_point | problem.margins[0].subs(best) | "
    "problem.margins[1].subs(best) | 0": (
        "All rows are b_1 + 2 b_2 >= 1 at this point, so all margins are the same expression."
    ),
    "checks.flow.factored:_Modes.divided_differences | gap.clamp_min(1e-08) | "
    "gap.clamp_min(2e-08) | 0": (
        "Gaps between 1e-8 and 2e-8 get a mean that is 5e-9 off, in a matrix that Newton's "
        "method only iterates with: what it converges to does not change."
    ),
    "checks.certificates:lower_bound | not 0.0 < total < float('inf') | not 0.0 <= total "
    "< float('inf') | 0": (
        "Where the sum is 0 the bound comes out as max(0, down(0 / size)) = 0, or as the 0 "
        "of a size that is not positive: the early return only says so sooner."
    ),
    "theory.attention:_softmax_identities | (vector('v', 2), sp.Symbol('y', real=True)) | "
    "(vector('v', 2), sp.Symbol('y', real=False)) | 0": (
        "The one identity with this label is linear in it, so true of any number."
    ),
    "theory.reparameterization:_mirror_identities | symbolic_problem(samples=2, length=3, "
    "dim=2) | symbolic_problem(samples=2, length=4, dim=2) | 0": (
        "The same identities for problems of four tokens a sample in the place of three: as "
        "true, and more work."
    ),
    "checks.audit:_realisable | Fraction(2 * len(head) + 4, 1 << 52) * sum((abs(t) for t "
    "in terms)) | Fraction(2 * len(head) + 4, 2 << 52) * sum((abs(t) for t in terms)) | 0": (
        "Half of the room for rounding, which is itself twice what a dot product of float64 "
        "loses: every file that this suite writes still passes, and fewer others do."
    ),
    "checks.kkt_checks:_primal_feasibility | run.curve[np.isfinite(run.curve[:, 2])] | "
    "run.curve[np.isfinite(run.curve[:, 3])] | 0": (
        "Primal and dual certificates of a state are written together: both are finite, or "
        "neither is."
    ),
    "checks.judging:discriminates | floor >= needed | floor > needed | 0": (
        "Two floats that are equal to the last bit: the rival's floor is then exactly the "
        "bound, and either answer is right to rounding."
    ),
    "checks.certificates:lower_bound | not 0.0 < total < float('inf') | not 0.0 < total "
    "<= float('inf') | 0": (
        "A sum that is infinite has an infinite or undefined pull: the next line returns 0 for it."
    ),
    "theory.late_flow:identities | (1, 2) | (1, 3) | 0": (
        "The same identity for matrices of another size: as true."
    ),
    "theory.rate_identities:_clock | sp.symbols('m m1 m2', positive=True) | sp.symbols('m "
    "m1 m2', positive=False) | 0": (
        "The identity is one of real numbers' algebra and needs no sign: proved without the "
        "assumption too."
    ),
    "theory.alignment:_single_entry_from_loss | (0, 0) | (0, 1) | 0": (
        "Another token called optimal: lambda of a sample sums to zero whichever it is "
        "counted from, and the tokens are free symbols."
    ),
    "checks.flow.geometries:DiagonalGeometry.velocity_jacobian | self._halves(y, "
    "torch.zeros_like(y[:, 0])) | self._halves(y, torch.zeros_like(y[:, 1])) | 0": (
        "Zeros of the same shape, whichever column they are shaped after: every state has "
        "two or more."
    ),
    "theory.reparameterization:positive_vector | "
    "sp.ImmutableMatrix([sp.Symbol(f'{name}_{j + 1}', positive=True) for j in "
    "range(size)]) | sp.ImmutableMatrix([sp.Symbol(f'{name}_{j + 1}', positive=False) for "
    "j in range(size)]) | 0": (
        "The prover reduces roots and logarithms itself and asks sympy for no sign: proved "
        "without the assumption too."
    ),
    "checks.flow.factored: | 1e-06 | 2e-06 | 0": (
        "Where directions of Z count as lost: the rounding they carry is 1e-10 or half of "
        "it, both far below the tolerance of a step."
    ),
    "checks.judging: | 10.0 | 20.0 | 0": (
        "By how much a tolerance is exceeded before a case is falsified: chosen, not "
        "derived; larger is more cautious, and undecided in between."
    ),
    "checks.kkt_checks:_bracket | outside > 0 | outside >= 0 | 0": (
        "Two intervals that share one float: no refutation either way needs it, and none was seen."
    ),
    "checks.flow.geometries:Geometry.margins | self.scaled_margins(y, "
    "torch.zeros_like(y[:, 0])) | self.scaled_margins(y, torch.zeros_like(y[:, 1])) | 0": (
        "Zeros of the same shape, whichever column they are shaped after: every state has "
        "two or more."
    ),
    "theory.alignment:_single_entry_from_loss | tokens.append((best, best - shift[0] * "
    "axis[i], best - shift[1] * axis[i])) | tokens.append((best, best - shift[1] * "
    "axis[i], best - shift[1] * axis[i])) | 0": (
        "Two tokens moved alike: a special case of the same identity, as true."
    ),
    "checks.flow.factored:_Modes.divided_differences | torch.where(gap > 1e-08, "
    "-torch.expm1(-safe) / safe, 1 - gap / 2) | torch.where(gap >= 1e-08, "
    "-torch.expm1(-safe) / safe, 1 - gap / 2) | 0": (
        "One float decides between two formulas that agree there to 1e-16."
    ),
    "checks.audit:gap_from_raw | [old + weight * s for old, s in zip(push[i], rows[i, "
    "token], strict=True)] | [old - weight * s for old, s in zip(push[i], rows[i, token], "
    "strict=True)] | 0": ("The push enters by its norm alone, which is that of its negative."),
    "checks.kkt_checks:_primal_feasibility | over > judging.MISS * measured[0].tolerance "
    "| over >= judging.MISS * measured[0].tolerance | 0": (
        "Ten times a tolerance to the last bit: falsified or undecided, both say that it is "
        "exceeded."
    ),
    "checks.audit:_realisable | abs(Fraction(y) * sum(terms) - Fraction(score)) > slack | "
    "abs(Fraction(y) * sum(terms) - Fraction(score)) >= slack | 0": (
        "A score that is off by the bound for rounding to the last bit of a fraction: in or out."
    ),
    "checks.judging:compare | upper * claimed.upper < 1 - EPS | upper * claimed.upper <= "
    "1 - EPS | 0": (
        "Two floats that are equal to the last bit: the dual bound then is below the "
        "optimum by one rounding."
    ),
    "theory.gradient_flow:_diagonal_identities | symbolic_problem(samples=2, length=3, "
    "dim=2) | symbolic_problem(samples=2, length=4, dim=2) | 0": (
        "The same identities for problems of four tokens a sample in the place of three: as "
        "true, and more work."
    ),
    "checks.judging:compare | gap <= tolerance.value | gap < tolerance.value | 0": (
        "A gap that is the tolerance to the last bit: held or undecided."
    ),
    "checks.kkt_checks:_dual_feasibility | run.direction.ravel() / "
    "np.abs(run.direction).sum() | run.direction.ravel() * np.abs(run.direction).sum() | "
    "0": (
        "Directions of diagonal weights have l1 norm 1 already: to divide by it or to "
        "multiply changes a rounding."
    ),
    "theory.margin_problems:l2_problem | 3 | 4 | 0": (
        "The same problem in four dimensions in the place of three: its identities are as true."
    ),
    "checks.kkt_checks:_complementarity | residual > judging.MISS * bound | residual >= "
    "judging.MISS * bound | 0": (
        "Ten times a bound to the last bit: falsified or undecided, both say that it is exceeded."
    ),
    "theory.alignment:_step_identities | sp.Symbol('Delta', real=True) | "
    "sp.Symbol('Delta', real=False) | 0": (
        "The exponential series of a matrix does not ask whether the step is real: proved "
        "without the assumption too."
    ),
    "checks.flow.factored:_Modes.divided_differences | torch.where(gap > 1e-08, "
    "-torch.expm1(-safe) / safe, 1 - gap / 2) | torch.where(gap > 1e-08, "
    "-torch.expm1(-safe) / safe, 1 - gap * 2) | 0": (
        "At gaps below 1e-8 both are 1 to 2e-8, in a matrix that Newton's method only "
        "iterates with."
    ),
    "theory.late_flow:identities | (1, 2) | (2, 2) | 0": (
        "The same identity for matrices of another size: as true."
    ),
    "checks.audit:_root_up | max(0, 200 + value.denominator.bit_length() - "
    "value.numerator.bit_length()) // 2 | max(1, 200 + value.denominator.bit_length() - "
    "value.numerator.bit_length()) // 2 | 0": (
        "An odd number of places is halved downwards: 1 // 2 is 0 // 2."
    ),
    "checks.judging:discriminates | norm_of(rival.solution, claimed.norm) < needed | "
    "norm_of(rival.solution, claimed.norm) <= needed | 0": (
        "Two floats that are equal to the last bit: a first look that saves the proof, "
        "which decides."
    ),
    "checks.kkt_checks:_complementarity | 1e-09 * float(margins.max() / smallest) | 1e-09 "
    "/ float(margins.max() / smallest) | 0": (
        "A stricter tolerance for what Newton's method leaves; p is solved for more closely "
        "than is allowed, and sound runs meet it."
    ),
    "checks.kkt_checks:_dual_feasibility | excess < -tolerance.value | excess <= "
    "-tolerance.value | 0": (
        "A float that is minus the tolerance to the last bit: falsified or undecided."
    ),
    "checks.audit:_cube_root_up | range(60) | range(61) | 0": (
        "One more round of an iteration that has converged to the last of the digits kept."
    ),
    "checks.flow.weights:_Pulls.of | x.amin() > _NEAR | x.amin() >= _NEAR | 0": (
        "At an attention of e^-600 itself the sums as written and those in units of the largest "
        "are the same to rounding."
    ),
}
"""Name (``operators.Mutant``) -> why no test can see it, or why none needs to."""

HARMLESS: dict[str, str] = {
    "checks.audit:_root_up | Fraction(math.isqrt(whole) + 1, 1 << places) | "
    "Fraction(math.isqrt(whole) + 2, 1 << places) | 0": (
        "A root rounded up by two units of 2^-100 in the place of one: above the true one, and "
        "closer than the 2^-90 that is promised."
    ),
}
"""The same of errors that a night planted: beside the 400, and read when it said so."""
