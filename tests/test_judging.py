"""Pieces of the judgement that a wrong start would never meet in a good case."""

from __future__ import annotations

import numpy as np

from checks.judging import frozen_orthant
from checks.problems import Start


def test_the_frozen_orthant_is_what_the_invariants_say() -> None:
    """c_j = 0: k = q freezes beta_j >= 0, k = -q <= 0, k = q = 0 both; else beta_j is free."""
    key, query = [1.0, -2.0, 0.0, 0.5, 0.0], [1.0, 2.0, 0.0, -0.25, 1.0]
    found = frozen_orthant(Start.diagonal(key, query, 5))
    assert found is not None
    assert np.array_equal(found, [1.0, -1.0, np.nan, 0.0, 0.0], equal_nan=True)
    alone = frozen_orthant(Start.diagonal([0.0, 2.0], [0.0, 1.0], 2))
    assert alone is not None
    assert np.array_equal(alone, [np.nan, 0.0], equal_nan=True)
    assert frozen_orthant(Start.diagonal(key[3:], query[3:], 2)) is None
    assert frozen_orthant(Start.combined([1.0, 0.0], 2)) is None
    assert frozen_orthant(Start.factored(np.eye(2), np.eye(2), 2)) is None
