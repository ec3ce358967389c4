"""Which check measures which claim: names only, imported when a claim is run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from checks.outcomes import CaseResult
from theory.catalogue import CLAIMS, faults


class RegistryError(ValueError):
    """A check for an unknown claim, or a second one for the same claim."""


@dataclass(frozen=True)
class Check:
    """measure and stream as "module:attribute".

    The stream names a ``streams.Stream`` (drawn cases) or a ``given.Given`` (given ones);
    None: symbolic, there are no cases.
    """

    claim: str
    measure: str
    stream: str | None

    def load(self) -> Callable[..., list[CaseResult]]:
        return resolve(self.measure)

    def cases(self) -> Any:
        """The Stream, the Given, or None."""
        return resolve(self.stream) if self.stream else None


CHECKS: dict[str, Check] = {}


def register(claim: str, measure: str, cases: str | None = None) -> Check:
    """Bind a check to a claim of the catalogue; refuses unknown keys and duplicates."""
    if claim not in CLAIMS:
        raise RegistryError(f"no claim of the catalogue is called {claim!r}")
    if claim in CHECKS:
        raise RegistryError(f"claim {claim!r} has a check already: {CHECKS[claim].measure}")
    CHECKS[claim] = Check(claim, measure, cases)
    return CHECKS[claim]


def resolve(name: str) -> Any:
    """The attribute "module:attribute" names."""
    module, _, attribute = name.partition(":")
    return getattr(import_module(module), attribute)


def ordered(keys: Sequence[str] | None = None) -> list[Check]:
    """Checks of the given claims (all), foundations first; refuses a faulty catalogue."""
    found = faults()
    if found:
        raise RegistryError("; ".join(found))
    done: dict[str, Check] = {}

    def visit(key: str) -> None:
        for below in CLAIMS[key].rests_on:
            visit(below)
        if key in CHECKS:
            done.setdefault(key, CHECKS[key])

    for key in CLAIMS:
        visit(key)
    wanted = set(CHECKS) if keys is None else set(keys)
    return [check for key, check in done.items() if key in wanted]


def _register_all() -> None:
    for key, claim in CLAIMS.items():
        if claim.kind == "symbolic" or key.startswith("control.symbolic"):
            register(key, "checks.symbolic_checks:measure")
    for key, measure, stream in (
        ("flow.gradient", "flow_checks:gradient", "VECTOR_FIELDS"),
        ("flow.loss-decreases", "flow_checks:loss_decreases", "DIAGONAL_EARLY"),
        ("flow.conservation", "flow_checks:conservation", "DIAGONAL_EARLY"),
        ("flow.mirror-identity", "flow_checks:mirror_identity", "DIAGONAL_EARLY"),
        ("flow.orbit", "flow_checks:orbit", "ORBITS"),
        ("limit.diagonal-l1", "limit_checks:diagonal_l1", "DIAGONAL_LIMIT"),
        ("limit.combined-l2", "limit_checks:diagonal_l2", "COMBINED_DIAGONAL_LIMIT"),
        ("limit.combined-frobenius", "limit_checks:combined_frobenius", "COMBINED_LIMIT"),
        ("limit.kkt-primal-feasibility", "kkt_checks:kkt_primal_feasibility", "DIAGONAL_KKT"),
        ("limit.kkt-dual-feasibility", "kkt_checks:kkt_dual_feasibility", "DIAGONAL_KKT"),
        ("limit.kkt-complementarity", "kkt_checks:kkt_complementarity", "DIAGONAL_KKT"),
        ("limit.trajectory-certificate", "kkt_checks:trajectory_certificate", "DIAGONAL_KKT"),
        ("limit.kkt-stationarity", "rate_checks:kkt_stationarity", "STATIONARITY"),
        ("limit.one-sample", "limit_checks:diagonal_l1", "ONE_SAMPLE"),
        ("rate.monotone-margin", "rate_checks:monotone_margin", "LATE"),
        ("selection.selected-svm", "selection_checks:diagonal", "SELECTION"),
        (
            "selection.selected-svm-combined",
            "selection_checks:combined_diagonal",
            "SELECTION_COMBINED",
        ),
        ("selection.selected-svm-frobenius", "selection_checks:combined", "SELECTION_FULL"),
        ("selection.selected-svm-aligned", "selection_checks:aligned", "SELECTION_ALIGNED"),
        ("frontier.selected-nuclear", "selection_checks:factored", "FRONTIER_SELECTION"),
        ("contrast.diagonal", "contrast_checks:diagonal", "CONTRAST"),
        ("flow.factored-conservation", "factored_checks:conservation", "FACTORED_EARLY"),
        ("flow.orbit-factored", "factored_checks:orbit", "FACTORED_ORBITS"),
        ("flow.alignment-preserved", "aligned_checks:alignment_preserved", "ALIGNED_FLOW"),
        ("flow.symmetrised-reduction", "aligned_checks:symmetrised_reduction", "SYMMETRISED_FIELD"),
        ("limit.aligned-infimum", "aligned_checks:infimum", "ALIGNED_EVERY"),
        ("limit.aligned-single-entry", "aligned_checks:single_entry", "ALIGNED_SINGLE"),
        ("limit.aligned-symmetrised", "aligned_checks:symmetrised_nuclear", "SYMMETRISED"),
        ("contrast.aligned", "contrast_checks:aligned", "SYMMETRISED_CONTRAST"),
        (
            "control.aligned-attains-frobenius",
            "aligned_checks:symmetrised_frobenius",
            "SYMMETRISED_CERTAIN",
        ),
        ("frontier.unaligned-nuclear", "limit_checks:factored_nuclear", "FRONTIER"),
        ("frontier.factored-contrast", "contrast_checks:factored", "FRONTIER_CONTRAST"),
        ("control.unscaled-gradient", "flow_checks:unscaled_gradient", "VECTOR_FIELDS"),
        ("control.sum-of-squares-conserved", "flow_checks:sum_of_squares", "DIAGONAL_EARLY"),
        ("control.diagonal-attains-l2", "limit_checks:diagonal_l2", "DIAGONAL_CERTAIN"),
        ("control.combined-attains-l1", "limit_checks:combined_l1", "COMBINED_CERTAIN"),
        ("control.frozen-sign", "limit_checks:frozen_sign", "FROZEN"),
        ("control.low-rank-start", "structural_checks:low_rank_start", "LOW_RANK"),
        ("control.semidefinite-start", "structural_checks:semidefinite_start", "MIRRORED"),
        ("control.margin-beyond-optimum", "control_checks:beyond_optimum", "DIAGONAL_CERTAIN"),
        ("control.gradient-slightly-off", "control_checks:near_gradient", "NEAR_GRADIENTS"),
        ("control.orbit-slightly-fast", "control_checks:fast_orbit", "FAST_ORBITS"),
        ("control.selection-recalled", "control_checks:recalled", "RECALLED"),
    ):
        register(key, f"checks.{measure}", f"checks.streams:{stream}")
    for key, measure, stream in (
        ("limit.full-stack", "limit_checks:factored_nuclear", "FULL_STACK"),
        (
            "control.full-stack-attains-frobenius",
            "limit_checks:combined_frobenius",
            "FULL_STACK_CERTAIN",
        ),
        ("rate.saddle-escape", "saddle_checks:escape", "SADDLES"),
        ("frontier.atlas", "atlas_checks:atlas", "ATLAS"),
        ("neighbour.prompt", "limit_checks:diagonal_l2", "PROMPT"),
        ("control.prompt-attains-l1", "limit_checks:combined_l1", "PROMPT_CERTAIN"),
        ("neighbour.embedding", "neighbour_checks:embedding", "EMBEDDING"),
        ("neighbour.classifier", "limit_checks:diagonal_l2", "CLASSIFIER"),
        ("control.classifier-attains-l1", "limit_checks:combined_l1", "CLASSIFIER_CERTAIN"),
        ("neighbour.diagonal-network", "limit_checks:diagonal_l1", "NETWORK"),
        ("control.diagonal-network-attains-l2", "limit_checks:diagonal_l2", "NETWORK_CERTAIN"),
        ("neighbour.mirror-l1.5", "neighbour_checks:mirror_l15", "MIRROR_15"),
        ("control.mirror-l1.5-attains-l3", "neighbour_checks:mirror_l3", "MIRROR_15_CERTAIN"),
        ("neighbour.mirror-l2", "limit_checks:diagonal_l2", "MIRROR_2"),
        ("control.mirror-l2-attains-l1", "limit_checks:combined_l1", "MIRROR_2_CERTAIN"),
        ("neighbour.mirror-l3", "neighbour_checks:mirror_l3", "MIRROR_3"),
        ("control.mirror-l3-attains-l1.5", "neighbour_checks:mirror_l15", "MIRROR_3_CERTAIN"),
        ("control.combined-attains-nuclear", "limit_checks:factored_nuclear", "FULL_CERTAIN"),
    ):
        register(key, f"checks.{measure}", f"checks.neighbour_streams:{stream}")
    for key, measure, stream in (
        ("rate.monotone-margin-factored", "rate_checks:monotone_margin", "LATE_FACTORED"),
        ("rate.cosine-factored", "rate_checks:kkt_stationarity", "COSINE_FACTORED"),
        ("rate.combined-offset", "offset_checks:offset", "OFFSET"),
        ("control.combined-offset-beyond", "offset_checks:beyond", "OFFSET_CERTAIN"),
        ("rate.regret-diagonal", "regret_checks:regret", "REGRET_DIAGONAL"),
        ("rate.regret-combined", "regret_checks:regret", "REGRET_COMBINED"),
        ("rate.mean-gap-diagonal", "gap_checks:mean_gap", "MEAN_DIAGONAL"),
        ("rate.mean-gap-combined", "gap_checks:mean_gap", "REGRET_COMBINED"),
        ("rate.slack-attained", "gap_checks:slack", "SLACK"),
        ("control.mean-gap-diagonal", "gap_checks:mean_gap_of_the_other", "MEAN_DIAGONAL_CERTAIN"),
        ("control.mean-gap-combined", "gap_checks:mean_gap_of_the_other", "MEAN_COMBINED_CERTAIN"),
        ("control.slack-forgotten", "gap_checks:slack_forgotten", "SLACK_CERTAIN"),
        ("rate.dual-window", "regret_checks:window", "DUAL_WINDOW"),
        ("control.regret-diagonal", "regret_checks:regret_beyond", "REGRET_DIAGONAL_CERTAIN"),
        ("control.regret-combined", "regret_checks:regret_beyond", "REGRET_COMBINED_CERTAIN"),
        ("control.dual-window", "regret_checks:window_beyond", "REGRET_DIAGONAL_CERTAIN"),
        ("rate.time-scale-diagonal", "clock_checks:time_scale", "TIME_DIAGONAL"),
        ("rate.time-scale-combined", "clock_checks:time_scale", "TIME_COMBINED"),
        ("control.time-scale", "clock_checks:halved", "TIME_CERTAIN"),
        ("limit.loss-barrier", "barrier_checks:below_barrier", "BARRIER_DIAGONAL"),
        ("limit.loss-barrier-combined", "barrier_checks:below_barrier", "BARRIER_COMBINED"),
        ("control.loss-barrier-sum", "barrier_checks:below_sum", "BARRIER_CERTAIN"),
        ("frontier.infimum-shares", "share_checks:shares", "SHARES"),
    ):
        register(key, f"checks.{measure}", f"checks.rate_streams:{stream}")
    for name in ("IRIS", "DIGITS", "WINE", "BREAST_CANCER"):
        key = f"data.{name.lower().replace('_', '-')}"
        register(key, "checks.limit_checks:diagonal_l1", f"checks.data_checks:{name}")
    for key, measure, stream in (
        ("data.combined-l2", "limit_checks:diagonal_l2", "EVERY_VECTOR"),
        ("data.combined-frobenius", "limit_checks:combined_frobenius", "EVERY_MATRIX"),
        ("data.selection", "selection_checks:diagonal", "EVERY"),
        ("data.contrast", "contrast_checks:diagonal", "EVERY"),
    ):
        register(key, f"checks.{measure}", f"checks.data_checks:{stream}")


_register_all()
