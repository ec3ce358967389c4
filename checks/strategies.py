"""Hypothesis strategies: they draw :class:`~checks.cases.CaseSpec`, never arrays.

Bytes shrink best (and the decoder sends small bytes to simple cases), and a spec is what a
replay file holds.
"""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st

from checks.cases import CaseSpec, blob_length
from checks.problem_families import Shape

_ENTROPY = 7168
"""Bytes a batch may take: Hypothesis stops an example at 8,192 and discards it; an eighth is
left for its own choices."""


def specs(name: str, shapes: Sequence[Shape]) -> st.SearchStrategy[CaseSpec]:
    """Specs of one family, of any of the shapes.  Put the simplest shape first.

    Raises ValueError for an unknown family, no shape, or a shape it cannot have.
    """
    return _shapes(name, shapes).flatmap(lambda shape: _spec(name, shape))


def batches(
    name: str, shapes: Sequence[Shape], max_size: int = 32
) -> st.SearchStrategy[tuple[CaseSpec, ...]]:
    """1 .. max_size specs of one family and *one* shape, drawn once for the batch.

    Fewer than ``max_size`` where a larger batch would exceed what an example may hold.
    Raises ValueError as :func:`specs` does.
    """
    if max_size < 1:
        raise ValueError(f"max_size is {max_size}; expected at least 1")

    def of_shape(shape: Shape) -> st.SearchStrategy[tuple[CaseSpec, ...]]:
        most = max(1, min(max_size, _ENTROPY // blob_length(name, shape)))
        return st.integers(1, most).flatmap(lambda size: st.tuples(*[_spec(name, shape)] * size))

    return _shapes(name, shapes).flatmap(of_shape)


def _shapes(name: str, shapes: Sequence[Shape]) -> st.SearchStrategy[Shape]:
    if not shapes:
        raise ValueError("no shape to draw from")
    for shape in shapes:
        if blob_length(name, shape) > _ENTROPY:
            raise ValueError(f"shape {shape} takes more than {_ENTROPY} bytes a case: {name}")
    return st.sampled_from(list(shapes))


def _spec(name: str, shape: Shape) -> st.SearchStrategy[CaseSpec]:
    length = blob_length(name, shape)
    return st.binary(min_size=length, max_size=length).map(lambda blob: CaseSpec(name, shape, blob))
