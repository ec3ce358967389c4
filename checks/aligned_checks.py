"""Claims about aligned starts of full key and query matrices (S6; THEORY.md 4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from checks import flow_checks, instead, judging, limit_checks, runs, svm, tolerances
from checks.cases import Case
from checks.certificates import OracleFailure
from checks.context import Context
from checks.flow import integrate
from checks.flow.probes import Recorder, Stretch
from checks.flow.reference import Reference, ReferenceFailure, lsoda
from checks.frames import Alignment
from checks.judging import Judged
from checks.limit_checks import Prepared, Target, unmet, vacuous
from checks.outcomes import CaseResult, Measurement, Outcome
from checks.problems import Array, Start, constraints_of
from checks.runs import Run


def follow(cases: Sequence[Case], context: Context) -> list[Run]:
    """Runs of the full flow from aligned starts, integrated in aligned coordinates.

    The diagonal flow of ``case.alignment`` is the full flow in the frames of the start
    (flow.symmetrised-reduction); direction, selection and dual weights are carried back to
    the full problem, where margins and norms are recomputed from its raw tokens.

    Where alignment itself is dropped there is nothing but the full flow to follow.
    """
    if context.dropped == "aligned":
        return limit_checks.follow(cases, context)
    forms = [_form(case) for case in cases]
    budget = context.budget
    followed = runs.follow(
        [form.problem for form, _ in forms], [start for _, start in forms],
        budget.settings, budget.audited, budget.stretches, context.device,
    )  # fmt: skip
    return [
        _lifted(case, form, run)
        for case, (form, _), run in zip(cases, forms, followed, strict=True)
    ]


class NotAligned(ValueError):
    """The case has no aligned start, in whose frames the claim speaks."""


def _form(case: Case) -> tuple[Alignment, Start]:
    """The diagonal form of an aligned case; NotAligned where there is none."""
    if case.alignment is None or case.alignment.start is None:
        raise NotAligned("the case has no aligned start")
    return case.alignment, case.alignment.start


def _lifted(case: Case, form: Alignment, run: Run) -> Run:
    share = np.repeat(run.dual_weights, form.copies, axis=0) / form.copies
    return replace(
        run,
        problem=case.problem,
        start=case.start,
        norm="nuclear",
        selected=np.repeat(run.selected, form.copies),
        direction=form.lift(run.direction),
        dual_weights=share,
        p=np.repeat(run.p, form.copies, axis=0) / form.copies,
    )


_BOTH = Target("nuclear", "frobenius", discriminates=False)
"""Single-entry data: the limit is optimal in either norm (THEORY.md 4)."""


def single_entry(cases: Sequence[Case], context: Context) -> list[CaseResult]:
    """limit.aligned-single-entry (S2, S3, S6): the full K and Q, integrated as they are."""
    return limit_checks.measure(cases, _BOTH, context, limit_checks.direction, _as_they_are)


def _as_they_are(cases: Sequence[Case], context: Context) -> list[Run]:
    """Runs of the full K and Q; with frozen signs, which their rounding would mend, of the form."""
    if context.dropped == "nonzero-invariant":
        return follow(cases, context)
    return limit_checks.follow(cases, context)


def symmetrised_nuclear(cases: Sequence[Case], context: Context) -> list[CaseResult]:
    """limit.aligned-symmetrised (S2, S3, S6)."""
    return limit_checks.measure(
        cases, Target("nuclear", "frobenius"), context, limit_checks.direction, follow
    )


def symmetrised_frobenius(cases: Sequence[Case], context: Context) -> list[CaseResult]:
    """control.aligned-attains-frobenius: the other norm's margin claimed."""
    return limit_checks.measure(
        cases, Target("frobenius", "nuclear"), context, limit_checks.direction, follow
    )


_MISSED = "samples not on their optimal token"


def infimum(cases: Sequence[Case], context: Context) -> list[CaseResult]:
    """limit.aligned-infimum (derived): every sample of single-entry data ends on its best token."""
    results = limit_checks.measure(cases, _BOTH, context, _reaches, _as_they_are)
    if context.dropped != "separable":
        return results
    return [_never(found) if found.reason == "separable is unmet" else found for found in results]


def _never(found: CaseResult) -> CaseResult:
    """Data that are proved not to be separable: some sample misses its best token for ever."""
    counted = Measurement(_MISSED, 1.0, 0.0, "at least one: a verified Farkas vector")
    reason = "no weights put every sample on its optimal token: a verified Farkas vector"
    return replace(found, outcome=Outcome.FALSIFIED, reason=reason, measurements=(counted,))


def _reaches(run: Run, prepared: Prepared, context: Context) -> Judged:
    if not run.fidelity.ok:
        return Judged(Outcome.INCONCLUSIVE, f"fidelity: {run.fidelity.fault}")
    if context.dropped == "nonzero-invariant":
        orthant = instead.orthant_of(run, prepared.case)
        if not isinstance(orthant, Judged):
            return Judged(Outcome.VACUOUS, instead.RIGHT)  # it separates: nothing is in the way
    if run.settled and instead.on_a_best(run):
        lower, upper = judging.from_raw(run, "nuclear")
        # Settled on the optimal tokens, and the certificate shows the margins growing there.
        measured = Measurement(_MISSED, 0.0, 0.0, "a count: none may be left")
        return Judged(Outcome.HELD, "", (measured,), lower, upper)
    if not run.settled:
        return Judged(Outcome.INCONCLUSIVE, f"{run.status.word}: {run.status.advice}")
    elsewhere = int((run.selected != run.problem.optimal).sum())
    measured = Measurement(_MISSED, float(elsewhere), 0.0, "a count: none may be left")
    try:
        solution = svm.solve_svm(constraints_of(run.problem, run.selected), "nuclear")
    except OracleFailure as failure:
        return Judged(Outcome.INCONCLUSIVE, f"oracle: {failure}", (measured,))
    tolerance = tolerances.margin_gap(context.budget.settings).value
    closed = 1 - solution.lower * judging.from_raw(run, "nuclear")[0] <= tolerance
    if closed and judging.stays(run, solution):
        reason = "the run is settled for good on a token that is not optimal"
        return Judged(Outcome.FALSIFIED, reason, (measured,))
    return Judged(Outcome.INCONCLUSIVE, "the selection is not decided", (measured,))


_PRESERVED_UP_TO = float(np.log(1e6))


def alignment_preserved(cases: Sequence[Case], context: Context) -> list[CaseResult]:
    """flow.alignment-preserved (S6): the full K and Q, stored states, off-diagonal part."""
    checked = [(case, *unmet(case, context.assumptions)) for case in cases]
    ready = [case for case, _, missing in checked if not missing]
    recorder = Recorder(range(len(ready)))
    if ready:
        integrate.integrate(
            [c.problem for c in ready], [c.start for c in ready], context.budget.settings,
            [recorder], context.device,
        )  # fmt: skip
    rows = {id(case): row for row, case in enumerate(ready)}
    out = []
    for case, margins, missing in checked:
        if missing:
            out.append(vacuous(case, margins, missing))
            continue
        stored = recorder.stretches[rows[id(case)]]
        seen = [s for s in stored if s.log_norm <= _PRESERVED_UP_TO]
        off = max((_off_diagonal(case, s) for s in seen), default=0.0)
        # Every step rounds each entry by a few eps of |Z|; a perturbation grows at most like
        # |Z| itself, the fastest direction, so relative to |Z| the roundings only add up.
        allowed = 16 * tolerances.EPS * case.problem.dim * (len(seen) + 10)
        because = "16 eps d a step: rounding adds up, and grows no faster than |Z|"
        measured = Measurement("off-diagonal part", off, allowed, because)
        grown = bool(seen and seen[-1].log_norm > 1.0)
        out.append(flow_checks.decide(case, margins, [measured], grown))
    return out


def _off_diagonal(case: Case, stretch: Stretch) -> float:
    """Off-diagonal part of U^T K R and V^T Q R at a stored state, relative to |Z|."""
    form, _ = _form(case)
    key, query = stretch.after[:-1].reshape(2, case.problem.dim, -1)
    inner = form.inner[:, : key.shape[1]] if form.inner.shape[1] != key.shape[1] else form.inner
    turned = np.concatenate((form.left.T @ key @ inner, form.right.T @ query @ inner))
    size = case.problem.dim
    off = turned.reshape(2, size, -1) * (1 - np.eye(size, turned.shape[1]))
    return float(np.linalg.norm(off) / np.linalg.norm(turned))


_POINTS = (0.0, 1.0, 3.0)
"""Rescaled times on the diagonal orbit at which the two gradients are compared."""


def symmetrised_reduction(cases: Sequence[Case], context: Context) -> list[CaseResult]:
    """flow.symmetrised-reduction (S6): autograd of the full loss at aligned points, carried."""
    out = []
    for case in cases:
        margins, missing = unmet(case, context.assumptions)
        if missing:
            out.append(vacuous(case, margins, missing))
            continue
        form, start = _form(case)
        worst = max(
            (_gradient_difference(case, form, state) for state in _states(form, start)),
            key=lambda m: m.ratio,
        )
        out.append(flow_checks.decide(case, margins, [worst], True))
    return out


def _states(form: Alignment, start: Start) -> list[tuple[Array, Array]]:
    """(k, q) along the diagonal orbit, by the reference integrator on raw weights.

    Where that gives up the states up to there are used: the start's is always among them.
    """
    reference = Reference(form.problem, "diagonal", (form.problem.dim,))
    raw = np.concatenate((np.asarray(start.key), np.asarray(start.query)))
    states, at = [], 0.0
    for time in _POINTS:
        try:
            raw = lsoda(reference.velocity, raw, time - at) if time > at else raw
        except ReferenceFailure:
            break
        at = time
        states.append((raw[: form.problem.dim], raw[form.problem.dim :]))
    return states


def _gradient_difference(case: Case, form: Alignment, state: tuple[Array, Array]) -> Measurement:
    key, query = state
    turned = Start.factored(
        form.left * key @ form.inner.T, form.right * query @ form.inner.T, case.problem.dim
    )
    full = flow_checks.autograd(case.problem, turned)
    flat = flow_checks.autograd(form.problem, Start.diagonal(key, query, form.problem.dim))
    carried = (form.left * flat[0] @ form.inner.T, form.right * flat[1] @ form.inner.T)
    error = max(float(np.abs(a - b).max()) for a, b in zip(full, carried, strict=True))
    allowed = flow_checks.gradient_rounding(case.problem, turned)
    return Measurement("gradient difference", error, allowed.value, allowed.because)
