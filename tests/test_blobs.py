"""The byte reader and its maps: total, exact, simple at zero, spread as documented."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import pytest

from checks.blobs import Blob, normal_like, signs, zigzag

WORDS = np.arange(65536)


def test_reads_in_order_and_to_the_end():
    blob = Blob(bytes([1, 2, 0, 3, 9]))
    assert blob.words(1).tolist() == [1]
    assert blob.words(1, 1, width=2).tolist() == [[2]]
    with pytest.raises(ValueError, match="expected 3"):
        blob.finish()
    assert blob.pick(2) == 1
    with pytest.raises(ValueError, match="at least 6"):
        blob.words(2)
    whole = Blob(b"ab")
    whole.words(2)
    whole.finish()


def test_counting_reads_zeros():
    blob = Blob(None)
    assert not blob.words(3, 2, width=2).any()
    assert blob.pick(7) == 0
    blob.finish()
    assert blob.position == 13


def test_small_words_are_simple():
    assert zigzag(np.arange(5)).tolist() == [0, -1, 1, -2, 2]
    assert sorted(zigzag(WORDS).tolist()) == list(range(-32768, 32768))
    assert signs(np.arange(3)).tolist() == [1.0, -1.0, 1.0]
    assert normal_like(np.array([0]))[0] == 0


def test_normal_like_is_exact_and_nearly_normal():
    values = np.sort(normal_like(WORDS))
    assert (values * 2.0**16 == np.round(values * 2.0**16)).all()
    assert np.abs(values).max() < 3.2
    # Linear between knots 1/256 apart, themselves rounded to 2^-8: half of that, plus the
    # curvature of the quantile function over a cell, below 2e-3 inside the central 90 %.
    levels = np.arange(0.05, 0.95, 0.01)
    exact = np.array([NormalDist().inv_cdf(p) for p in levels])
    assert np.abs(values[(levels * 65536).astype(int)] - exact).max() < 2**-9 + 2e-3
    # No holes: in the middle the steps are 1/(65536 * 0.4), knots may bend them by half.
    middle = values[16384:49152]
    assert np.diff(middle).max() < 2 / (65536 * 0.3)
    assert abs(values.mean()) < 1e-3
    # Tails cut at 1/1024 lose a little variance.
    assert 0.97 < values.std() < 1.0
