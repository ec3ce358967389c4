"""Draws shared by the tests of plots and text: how many, and finite numbers."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st

QUICK = settings(deadline=None, derandomize=True, database=None, max_examples=200)
FINITE = st.floats(-1e300, 1e300)
