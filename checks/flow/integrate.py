"""The one loop: early steps until every sample has settled, late steps until it is certain,
and back again where a token of higher score returns.

Every row has its own step and its own time; rows that are done leave the batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from checks.flow import implicit, shallow
from checks.flow.combined import CombinedGeometry, VectorGeometry
from checks.flow.early import Early
from checks.flow.factored import FactoredGeometry
from checks.flow.geometries import DiagonalGeometry, Geometry
from checks.flow.late import Late, hand_over
from checks.flow.ledger import Ledger
from checks.flow.mirror import MirrorGeometry
from checks.flow.mirrored import MirroredGeometry, keeps_key_as_query
from checks.flow.orbit import Orbit
from checks.flow.phases import next_phase
from checks.flow.probes import Probe
from checks.flow.rows import Rows
from checks.flow.settings import Settings
from checks.problems import AttentionProblem, Start


@dataclass(frozen=True)
class Batch:
    """Problems of one shape and their starts, on a device: float64 throughout."""

    tokens: Tensor
    queries: Tensor
    scores: Tensor
    geometry: Geometry

    @classmethod
    def of(
        cls, problems: Sequence[AttentionProblem], starts: Sequence[Start], device: str = "cpu"
    ) -> Batch:
        """Stack problems and starts of one shape and one model."""

        def stack(arrays: list[np.ndarray]) -> Tensor:
            return torch.tensor(np.stack(arrays), dtype=torch.float64, device=device)

        tokens = stack([p.tokens for p in problems])
        queries = stack([p.queries for p in problems])
        scores = stack([p.scores for p in problems])
        rows = Rows.of(tokens, queries, scores.argmax(-1))
        geometry: Geometry
        if starts[0].model == "combined":
            weights = stack([s.weights for s in starts])
            kind = VectorGeometry.of if weights.dim() == 2 else CombinedGeometry
            geometry = kind(rows, weights)
            return cls(tokens, queries, scores, geometry)
        if starts[0].model == "mirror":
            exponents = stack([np.array([s.exponent]) for s in starts])
            geometry = MirrorGeometry.of(rows, stack([s.theta for s in starts]), exponents)
            return cls(tokens, queries, scores, geometry)
        key = stack([np.asarray(s.key) for s in starts])
        query = stack([np.asarray(s.query) for s in starts])
        if starts[0].model == "diagonal":
            geometry = DiagonalGeometry.of(rows, key, query)
        else:
            tied = [keeps_key_as_query(p, s) for p, s in zip(problems, starts, strict=True)]
            geometry = MirroredGeometry.of(FactoredGeometry(rows, key, query), tied)
        return cls(tokens, queries, scores, geometry)


@torch.inference_mode()
def integrate(
    problems: Sequence[AttentionProblem],
    starts: Sequence[Start],
    settings: Settings,
    probes: Sequence[Probe] = (),
    device: str = "cpu",
    tightness: Sequence[float] | None = None,
) -> Orbit:
    """Follow gradient flow from each start of each problem (all of one shape, one model).

    tightness: factor on the tolerances of each run, 1 unless given.
    """
    count = len(problems)
    factors = [1.0] * count if tightness is None else list(tightness)
    if count == 1:
        # A batch of one takes other kernels and other bits (research/determinism.md).
        problems, starts, factors = [*problems] * 2, [*starts] * 2, factors * 2
    batch = Batch.of(problems, starts, device)
    ledger = Ledger(batch.geometry, batch.scores, probes, count, factors)
    _follow(batch, ledger, settings)
    return _orbit(ledger, batch)


def _follow(batch: Batch, ledger: Ledger, settings: Settings) -> None:
    """Early steps, late ones while the size is moderate, implicit ones: every row by its own way
    through them."""
    scores = batch.scores
    unsettled = Early(ledger, scores, settings)
    near, far = (Late(ledger, scores, settings, m.method(settings)) for m in (shallow, implicit))
    unsettled.admit(torch.arange(len(scores), device=scores.device))
    while (phase := next_phase((unsettled, near, far))) is not None:
        onward, back = phase.run()
        unsettled.admit(back)
        if phase is unsettled:
            rows = hand_over(ledger, batch.tokens, batch.queries, scores, onward, settings)
            small = ledger.geometry.select(rows).log_size(ledger.y[rows]) < near.method.limit
            near.admit(rows[small])
            onward = rows[~small]
        far.admit(onward)


def _orbit(ledger: Ledger, batch: Batch) -> Orbit:
    n, length = batch.scores.shape[1:]

    def array(t: Tensor) -> np.ndarray:
        return np.asarray(t[: ledger.count].cpu().numpy())

    norms = ledger.geometry.norm_of(ledger.direction)
    return Orbit(
        norm=ledger.geometry.norm,
        status=ledger.status[: ledger.count],
        selected=array(ledger.selected),
        settled=array(ledger.settled),
        direction=array(ledger.direction / norms.unsqueeze(-1)),
        log_norm=array(ledger.log_norm),
        log_time=array(ledger.log_time),
        primal=array(ledger.primal),
        dual=array(ledger.dual),
        dual_weights=array(ledger.dual_weights).reshape(-1, n, length),
        weights_p=array(ledger.p).reshape(-1, n, length),
        worst_error=array(ledger.worst_error),
        error_sum=array(ledger.error_sum),
        early_steps=array(ledger.early_steps),
        late_steps=array(ledger.late_steps),
        rejected=array(ledger.rejected),
        tau=array(ledger.tau),
    )
