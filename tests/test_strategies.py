"""The strategies draw specs that decode, one shape a batch, and shrink to simple cases."""

from __future__ import annotations

import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample

from checks.cases import blob_length, decode
from checks.families import FAMILIES
from checks.strategies import batches, specs
from tests.exact_cases import possible

SHAPES = ((2, 2, 1), (2, 3, 2), (3, 3, 4))
quiet = settings(max_examples=60, deadline=None, derandomize=True, database=None)


@quiet
@given(specs("diagonal/separable/separating", SHAPES))
def test_specs_decode(spec):
    assert spec.shape in SHAPES
    assert decode(spec).start_family == "separating"


@quiet
@given(batches("combined/separable/small", SHAPES, max_size=8))
def test_a_batch_has_one_shape(batch):
    assert 1 <= len(batch) <= 8
    assert len({spec.shape for spec in batch}) == 1
    assert {decode(spec).spec for spec in batch} == set(batch)


@quiet
@given(st.data())
def test_every_family_can_be_drawn(data):
    name = data.draw(st.sampled_from(list(FAMILIES)))
    batch = data.draw(batches(name, possible(name), max_size=3))
    assert all(decode(spec).spec.family == name for spec in batch)


def test_the_largest_batch_fits_an_example(monkeypatch):
    name, shape = "diagonal/separable/separating", (5, 4, 8)
    most = 7168 // blob_length(name, shape)
    # Not shrunk: only whether such a batch is ever drawn is asked.
    options = settings(quiet, max_examples=500, phases=[Phase.generate])
    largest = find(batches(name, [shape]), lambda batch: len(batch) >= most, settings=options)
    assert len(largest) == most
    # Control: past what an example may hold (17 blobs, 8,364 bytes) none is ever drawn.
    monkeypatch.setattr("checks.strategies._ENTROPY", 10**6)
    few = settings(options, max_examples=40)
    with pytest.raises(NoSuchExample):
        find(batches(name, [shape], 20), lambda batch: len(batch) >= 17, settings=few)


def test_shrinks_to_zero_bytes():
    options = settings(quiet, max_examples=200)
    spec = find(specs("diagonal/separable/separating", SHAPES), lambda spec: True, settings=options)
    assert spec.shape == SHAPES[0]
    assert spec.blob == bytes(len(spec.blob))
    mixed = find(
        specs("diagonal/separable/separating", SHAPES),
        lambda spec: "mixed-labels" in decode(spec).regions,
        settings=options,
    )
    assert sum(byte != 0 for byte in mixed.blob) == 1


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="no shape"):
        specs("diagonal/separable/small", [])
    with pytest.raises(ValueError, match="max_size"):
        batches("diagonal/separable/small", SHAPES, max_size=0)
    with pytest.raises(ValueError, match="bytes a case"):
        specs("diagonal/separable/small", [(10, 10, 40)])
    with pytest.raises(ValueError, match="no family"):
        specs("diagonal/separable/none", SHAPES)
