"""Runs with their fidelity record: the only door through which checks see the engine."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from checks.flow import chain, fidelity, integrate
from checks.flow.mirror_audit import MirrorAuditor
from checks.flow.orbit import Orbit, Status
from checks.flow.probes import Curve, Probe, Recorder, Stretch
from checks.flow.settings import Settings
from checks.problems import Array, AttentionProblem, Start

TIGHT = 0.1
"""Factor on both tolerances of the second run of a sampled row (DESIGN.md, fidelity)."""


@dataclass(frozen=True)
class Fidelity:
    """Whether an orbit may count as gradient flow.

    worst_error: largest accepted local error over its bound.  audited: stretches of this
    very row that were integrated again (0 unless it was sampled); deviation: the largest
    among them, over its bound (``fidelity.Audit.bound``).  own: the fault found in this row;
    fault: its own, or the batch's (empty: none).
    """

    worst_error: float
    audited: int
    deviation: float
    own: str
    fault: str
    drift: float | None = None
    """Relative drift of the conserved quantity up to norm 1e6, recomputed from stored states
    (None: not sampled, or nothing is conserved).  Diagonal: structural, so no evidence."""

    @property
    def ok(self) -> bool:
        return not self.fault

    @property
    def record(self) -> dict[str, float]:
        """What the evidence keeps of it (``outcomes.CaseResult.fidelity``)."""
        return {
            "local_error": self.worst_error,
            "stretches": self.audited,
            "deviation": self.deviation,
        }


@dataclass(frozen=True)
class Run:
    """One run: a row of ``Orbit`` (names and scales as there), its curve and its fidelity.

    curve (k, 4), k <= 64: log_norm, log_time, primal, dual (the last two NaN while early).
    """

    problem: AttentionProblem
    start: Start
    norm: str
    status: Status
    selected: Array
    settled: bool
    direction: Array
    log_norm: float
    log_time: float
    primal: float
    dual: float
    dual_weights: Array
    p: Array
    steps: int
    curve: Array
    fidelity: Fidelity

    @property
    def reached(self) -> bool:
        """Did every sample settle on its optimal token, so that L -> L*?  (Once lambda >= 0
        the smooth margin grows without bound: THEORY.md 3, monotone margin.)"""
        return self.settled and bool((self.selected == self.problem.optimal).all())

    @property
    def own_gap(self) -> float:
        """1 - primal/dual: bounds the margin gap of the selected problem from above."""
        return 1 - self.primal / self.dual


def seed_of(problem: AttentionProblem, start: Start) -> int:
    """A seed that belongs to the case, not to its place in a batch."""
    text = problem.id.encode() + start.weights.tobytes()
    return int.from_bytes(hashlib.sha256(text).digest()[:8], "little")


def follow(
    problems: Sequence[AttentionProblem],
    starts: Sequence[Start],
    settings: Settings,
    audited: float = 0.05,
    stretches: int = 8,
    device: str = "cpu",
    probes: Sequence[Probe] = (),
) -> list[Run]:
    """Integrate a batch of one shape and model; audit a share of it (at least one row).

    The sampled rows are run again at tolerance/10 in the same batch, their stored orbits
    are checked to be chains from the start, and ``stretches`` steps of each are integrated
    again by an independent method.  A fault in one sampled row is a fault of all rows: the
    engine, not the row, is on trial.  probes: more of them; rows past the last one are twins.
    """
    count = len(problems)
    if count == 0:
        return []
    seeds = [seed_of(p, s) for p, s in zip(problems, starts, strict=True)]
    sampled = sorted(range(count), key=seeds.__getitem__)[: max(1, round(audited * count))]
    curve, recorder = Curve(), Recorder(sampled)
    orbit = integrate.integrate(
        [*problems, *(problems[i] for i in sampled)],
        [*starts, *(starts[i] for i in sampled)],
        settings,
        probes=[curve, recorder, *probes],
        device=device,
        tightness=[1.0] * count + [TIGHT] * len(sampled),
    )
    records = {
        row: _record(
            _auditor(problems[row], starts[row], orbit.selected[row]),
            recorder.stretches[row],
            orbit,
            row,
            count + place,
            np.random.Generator(np.random.Philox(key=seeds[row])),
            stretches,
        )
        for place, row in enumerate(sampled)
    }
    faults = [record.own for record in records.values() if record.own]
    # A start near a separatrix may change its mind at tolerance/10: that is the case's own
    # doubt.  A second sampled row in doubt makes it the batch's.
    doubts = [fault for fault in faults if fault == OTHER_TOKENS]
    fault = next((fault for fault in faults if fault != OTHER_TOKENS or len(doubts) > 1), "")
    return [
        _run(orbit, row, problems[row], starts[row], curve.row(row), records.get(row), fault)
        for row in range(count)
    ]


def _record(
    auditor: fidelity.Auditor,
    stored: list[Stretch],
    orbit: Orbit,
    row: int,
    tight: int,
    rng: np.random.Generator,
    stretches: int,
) -> Fidelity:
    """Audit one sampled row: its twin at tolerance/10, its chain, random stretches of it."""
    fault = _disagreement(orbit, row, tight)
    # A start that is settled, or flat, from the first moment on has no steps to show.
    if stored or orbit.early_steps[row] + orbit.late_steps[row] > 0:
        fault = fault or _broken(auditor, stored, orbit, row)
    elif orbit.status[row] is not Status.FLAT:
        fault = fault or chain.NO_STEP
    leaps, others = audits(auditor, stored, rng, stretches)
    done = [*leaps, *others]
    if not all(audit.passed for audit in done):
        fault = fault or NOT_THE_FLOW
    if orbit.status[row] is Status.CLOSED and not leaps:
        fault = fault or NO_LATE_AUDIT
    drift = chain.drift(auditor.start, stored)
    worst = float(orbit.worst_error[row])
    return Fidelity(worst, len(done), worst_deviation(done), fault, fault, drift)


def _auditor(problem: AttentionProblem, start: Start, selected: Array) -> fidelity.Auditor:
    kind = MirrorAuditor if start.model == "mirror" else fidelity.Auditor
    return kind(problem, start, selected)


OTHER_TOKENS = "a run at tolerance/10 selects other tokens"
NOT_THE_FLOW = "an audited stretch is not gradient flow"
NO_LATE_AUDIT = "the certificate closed, but no late step could be audited"


def audits(
    auditor: fidelity.Auditor, stored: list[Stretch], rng: np.random.Generator, count: int
) -> tuple[list[fidelity.Audit], list[fidelity.Audit]]:
    """``count`` audits of random stretches, (leaps, others).

    Half of them go to implicit steps, however few: such leaps could fake a limit.  A run that ends
    before there are any has its late steps in their place.  Of the others, the first late step is
    always among them: there p takes another form.
    """
    order = rng.permutation(len(stored)).tolist()
    # The auditor knows the tokens of the last late phase; deep steps of one before it, which a
    # token came back in, are of others.
    last = 1 + max((i for i, stretch in enumerate(stored) if not stretch.late), default=-1)
    known = [i for i in order if i >= last or not fidelity.is_deep(stored[i])]
    leaps = [i for i in known if stored[i].implicit] or [i for i in known if stored[i].late]
    done = _audits(auditor, [stored[i] for i in leaps], count // 2)
    if not done:
        # Deep ones may feel rounding, every one of them; the first, in raw weights, do not.
        raw = [stored[i] for i in leaps if not fidelity.is_deep(stored[i])]
        done = _audits(auditor, raw, count // 2)
    taken = set(leaps)
    others = sorted((i for i in known if i not in taken), key=lambda i: i != last)
    return done, _audits(auditor, [stored[i] for i in others], count - len(done))


def worst_deviation(done: Sequence[fidelity.Audit]) -> float:
    """The largest deviation over its own bound; 0 where nothing was audited."""
    return max((float(audit.deviation or 0.0) / audit.bound for audit in done), default=0.0)


def _audits(auditor: fidelity.Auditor, stored: list[Stretch], count: int) -> list[fidelity.Audit]:
    """The first ``count`` audits that come to an answer; at most 4 count are tried."""
    done: list[fidelity.Audit] = []
    for stretch in stored[: 4 * count]:
        audit = auditor.audit(stretch)
        if audit.deviation is not None:
            done.append(audit)
        if len(done) == count:
            break
    return done


def _disagreement(orbit: Orbit, row: int, tight: int) -> str:
    """Compare a run with itself at tolerance/10: the same tokens, the same certified end."""
    if not (orbit.settled[row] and orbit.settled[tight]):
        return ""
    if not np.array_equal(orbit.selected[row], orbit.selected[tight]):
        return OTHER_TOKENS
    if Status.CLOSED in (orbit.status[row], orbit.status[tight]):
        # Both certificates bracket one optimum, whatever the depth at which they stopped.
        low = max(orbit.primal[row], orbit.primal[tight])
        high = min(orbit.dual[row], orbit.dual[tight])
        if low > high * (1 + 1e-12):  # rounding of both ends, 1e-13 at most
            return "a run at tolerance/10 certifies another margin"
    return ""


def _broken(auditor: fidelity.Auditor, stored: list[Stretch], orbit: Orbit, row: int) -> str:
    """Are the stored steps one chain from the start to the direction that was returned?"""
    fault = chain.chain_breaks(stored, auditor.initial())
    if fault or not orbit.settled[row]:
        return fault
    end = auditor.weights_at(stored[-1].after)
    deviation = np.abs(end / np.abs(end).max() - _peak(orbit.direction[row])).max()
    if deviation > fidelity.STEP_BOUND:
        return chain.NO_END
    return ""


def _peak(direction: Array) -> Array:
    return np.asarray(direction / np.abs(direction).max())


def _run(
    orbit: Orbit,
    row: int,
    problem: AttentionProblem,
    start: Start,
    curve: Array,
    record: Fidelity | None,
    fault: str,
) -> Run:
    worst = float(orbit.worst_error[row])
    if worst > 1:
        fault = fault or "a step was accepted beyond its local error bound"
    own = Fidelity(worst, 0, 0.0, "", fault)
    if record is not None:
        own = replace(record, fault=record.own or fault)
    shape = start.weights.shape
    return Run(
        problem=problem,
        start=start,
        norm=orbit.norm,
        status=orbit.status[row],
        selected=orbit.selected[row],
        settled=bool(orbit.settled[row]),
        direction=orbit.direction[row].reshape(shape),
        log_norm=float(orbit.log_norm[row]),
        log_time=float(orbit.log_time[row]),
        primal=float(orbit.primal[row]),
        dual=float(orbit.dual[row]),
        dual_weights=orbit.dual_weights[row],
        p=orbit.weights_p[row],
        steps=int(orbit.early_steps[row] + orbit.late_steps[row]),
        curve=curve,
        fidelity=own,
    )
