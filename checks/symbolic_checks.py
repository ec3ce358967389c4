"""The symbolic claims and their controls: every identity of a claim, proved or disproved."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Final

from checks.outcomes import CaseResult, Measurement, Outcome
from checks.proofs import DEFAULT_BUDGET, Proof, Result, prove
from theory.identities import Identity

_SOURCES: Final[dict[str, tuple[str, ...]]] = {
    "symbolic.softmax-jacobian": ("attention",),
    "symbolic.margin-form-combined": ("attention", "gradient_flow"),
    "symbolic.margin-form-diagonal": ("gradient_flow",),
    "symbolic.margin-form-factored": ("gradient_flow",),
    "symbolic.loss-infimum": ("attention",),
    "symbolic.diagonal-conservation": ("gradient_flow",),
    "symbolic.factored-conservation": ("gradient_flow",),
    "symbolic.reparameterized-flow": ("reparameterization",),
    "symbolic.mirror-form": ("reparameterization",),
    "symbolic.monotone-margin": ("late_flow",),
    "symbolic.rates": ("rate_identities",),
    "symbolic.kkt-l1": ("kkt",),
    "symbolic.kkt-l2": ("kkt",),
    "symbolic.kkt-reparameterized": ("factored_kkt",),
    "symbolic.kkt-factored": ("factored_kkt",),
    "symbolic.alignment": ("alignment",),
    "symbolic.factored-step": ("alignment",),
    "control.symbolic-sign": ("planted",),
    "control.symbolic-mean": ("planted",),
    "control.symbolic-l1-dual": ("planted",),
}
"""Claim -> the modules of ``theory`` that state its identities."""

_OUTCOMES: Final = {
    Result.PROVED: Outcome.HELD,
    Result.DISPROVED: Outcome.FALSIFIED,
    Result.UNDECIDED: Outcome.INCONCLUSIVE,
}
_BECAUSE: Final = "an identity leaves no residual: exact algebra, so no rounding to allow for"


def claims() -> tuple[str, ...]:
    """The keys of the claims that have identities here."""
    return tuple(_SOURCES)


@cache
def _module_identities(module: str) -> tuple[Identity, ...]:
    return tuple(import_module(f"theory.{module}").identities())


def identities_of(claim_key: str) -> tuple[Identity, ...]:
    """The identities of one claim, in order.  KeyError for a claim that has none."""
    return tuple(
        identity
        for module in _SOURCES[claim_key]
        for identity in _module_identities(module)
        if identity.claim == claim_key
    )


def measure(claim_key: str, budget: int = DEFAULT_BUDGET) -> list[CaseResult]:
    """One result an identity: HELD if proved, FALSIFIED if disproved, else INCONCLUSIVE.

    ``budget`` counts products of terms (see :mod:`checks.proofs`).  KeyError for a claim
    that has no identities.
    """
    return [_case(identity, prove(identity, budget)) for identity in identities_of(claim_key)]


def _case(identity: Identity, proof: Proof) -> CaseResult:
    spec: dict[str, object] = {"identity": identity.name}
    if proof.point:
        spec["point"] = proof.point
    value = float("nan") if proof.result is Result.UNDECIDED else proof.distance
    return CaseResult(
        outcome=_OUTCOMES[proof.result],
        reason=proof.reason,
        problem_id=identity.name,
        spec=spec,
        measurements=(Measurement("residual", value, 0.0, _BECAUSE),),
        inputs={"entries": float(proof.entries), "operations": float(proof.operations)},
    )


def derivation(claim_key: str) -> list[tuple[str, str]]:
    """The claim's derivation as (words, LaTeX): each identity after the steps to it.

    KeyError for a claim that has no identities.
    """
    lines: list[tuple[str, str]] = []
    for identity in identities_of(claim_key):
        lines += identity.steps
        lines.append((identity.statement, identity.latex))
    return lines
