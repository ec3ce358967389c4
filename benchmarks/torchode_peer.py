"""torchode on a batch of the problems of flow_peers.py; imported by it, and needs torchode.

The raw weights y = [k, q] in s = ln(1 + t), float64, gradients free of cancellation; its own steps
for each row, as its documentation has it: a step method, an IntegralController, an
AutoDiffAdjoint.  Not compiled: what ends a run (the gap, the clock) is seen from within it.  Of a
batch of 256 to s = 50, torch.compile of the solver took 17 s and made 14 s into 10 (tried once,
on a busy machine); of the flow alone, it was slower than none.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
import torch
from flow_speed import Stop
from torch import Tensor

from checks.problems import Array

FAR = 1e12


def flow(tokens: Tensor, queries: Tensor, scores: Tensor) -> Callable[[Tensor, Tensor], Tensor]:
    """(s (B,), y (B, 2d)) -> dy/ds of B problems, as checks.flow.reference has it for one."""
    rise = scores[..., :, None] - scores[..., None, :]
    sign, log_rise = torch.sign(rise), torch.log(torch.abs(rise))
    log_samples = float(np.log(tokens.shape[1]))

    def velocity(s: Tensor, y: Tensor) -> Tensor:
        key, query = y.chunk(2, dim=1)
        logits = (tokens * (queries * (key * query)[:, None])[:, :, None]).sum(-1)
        log_s = torch.log_softmax(logits, -1)
        gbar = (log_s.exp() * scores).sum(-1)[:, :, None, None]
        size = log_s[..., :, None] + log_s[..., None, :] + log_rise - gbar
        top = size.amax((1, 2, 3))
        share = (size - top[:, None, None, None]).exp()
        pull = (share * sign).sum(-1)
        ascent = ((pull[..., None] * tokens).sum(2) * queries).sum(1)
        clock = 0.5 * share.sum((1, 2, 3))
        # The cut keeps trial steps from overflowing, as in flow_speed.
        rate = torch.exp((top + clock.log() - log_samples + s).clamp(max=300.0)) / clock
        return rate[:, None] * torch.cat((query * ascent, key * ascent), 1)

    return velocity


@torch.no_grad()
def solve(
    method: str, setting: dict[str, Any], arrays: dict[str, Array], index: list[int],
    target: float, budget: float,
) -> tuple[list[float], list[float], str]:  # fmt: skip
    """Smallest gap of each problem in ``index``, the batch's seconds until then, and how it ended.

    arrays: tokens (B, n, L, d), queries (B, n, d), scores (B, n, L), start (B, 2d) of the batch;
    rows (B, R, d) and gamma (B,) of the problems in ``index``.  Ends when all of these are at
    ``target`` or after ``budget`` seconds.  Raises ImportError where there is no torchode.
    """
    import torchode as to

    tensors = {name: torch.tensor(value) for name, value in arrays.items()}
    velocity = flow(tensors["tokens"], tensors["queries"], tensors["scores"])
    rows, gamma = tensors["rows"][index], tensors["gamma"][index]
    best, at = np.full(len(index), np.inf), np.zeros(len(index))

    def watched(s: Tensor, y: Tensor) -> Tensor:
        beta = y[index].unflatten(1, (2, -1)).prod(1)
        margins = (rows * beta[:, None]).sum(-1).amin(-1)
        gaps = (1 - margins / beta.abs().sum(-1) / gamma).numpy()
        now = time.perf_counter() - began
        better = (gaps < best) & (best > target)
        best[better], at[better] = gaps[better], now
        if now > budget or (best <= target).all():
            raise Stop
        return velocity(s, y)

    term = to.ODETerm(watched)
    step = getattr(to, method)(term=term)
    controller = to.IntegralController(atol=setting["atol"], rtol=setting["rtol"], term=term)
    solver = to.AutoDiffAdjoint(step, controller.double())
    begin = torch.zeros(len(tensors["start"]), dtype=torch.float64)
    problem = to.InitialValueProblem(
        y0=tensors["start"], t_start=begin, t_end=torch.full_like(begin, FAR)
    )
    note = ""
    began = time.perf_counter()
    with suppress(Stop):
        status = solver.solve(problem).status
        note = f"gave up after {time.perf_counter() - began:.1f} s, status {status.max()}"
    return best.tolist(), at.tolist(), note
