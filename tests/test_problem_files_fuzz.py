"""Problem files of arbitrary bytes, headers and arrays: nothing but BadInput escapes."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from checks.problem_files import read_problem
from checks.problems import BadInput
from tests.problem_file_fixture import npy_bytes, saved, valid_arrays, with_tokens


def survives(data: bytes) -> None:
    """Reading ``data`` gives a problem or BadInput; anything else fails the test."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "problem.npz"
        file.write_bytes(data)
        held, line = None, ""
        try:
            held = read_problem(file)
        except BadInput as error:
            line = str(error)
    if held is None:
        assert line
        assert line.isprintable()
        assert len(line) < len(folder) + 1_000, "a line, not a page"
    else:
        assert np.isfinite(held.problem.tokens).all()
        assert np.isin(held.problem.labels, (-1.0, 1.0)).all()


@given(data=st.binary(max_size=2_000), prefix=st.sampled_from([b"", b"PK\x03\x04", b"\x93NUMPY"]))
def test_arbitrary_bytes(data: bytes, prefix: bytes) -> None:
    survives(prefix + data)


FULL = saved(valid_arrays() | {"key": np.ones((4, 2)), "query": np.ones((4, 2))})
SHORT = saved(valid_arrays(), compressed=True)


@given(
    whole=st.sampled_from([FULL, SHORT]),
    changes=st.lists(
        st.tuples(st.floats(0, 1, exclude_max=True), st.integers(1, 255)), min_size=1, max_size=8
    ),
    cut=st.one_of(st.none(), st.floats(0, 1)),
)
@example(whole=FULL, changes=[(0.0, 255)], cut=None)
def test_damaged_files(whole: bytes, changes: list[tuple[float, int]], cut: float | None) -> None:
    data = bytearray(whole)
    for place, bits in changes:
        data[int(place * len(data))] ^= bits
    survives(bytes(data if cut is None else data[: int(cut * len(data))]))


def test_every_single_byte_of_the_directory_and_headers() -> None:
    """Exhaustive where fuzzing is thin: the zip directory, byte by byte, three values each."""
    at = SHORT.index(b"PK\x01\x02")
    for place in range(at, len(SHORT)):
        for bits in (0x01, 0x80, 0xFF):
            data = bytearray(SHORT)
            data[place] ^= bits
            survives(bytes(data))


@given(
    header=st.one_of(
        st.text(st.characters(max_codepoint=255), max_size=200),
        st.builds(
            "{{'descr': {!r}, 'fortran_order': {!r}, 'shape': {!r}}}".format,
            st.one_of(
                st.sampled_from(["<f8", "|O", "<U4", "|V8", "?", "<c16", "junk"]),
                st.text(max_size=5),
            ),
            st.one_of(st.booleans(), st.integers()),
            st.lists(st.integers(-(2**70), 2**70), max_size=5).map(tuple),
        ),
    ),
    body=st.binary(max_size=200),
    version=st.sampled_from([(1, 0), (2, 0), (3, 0)]),
)
def test_arbitrary_headers(header: str, body: bytes, version: tuple[int, int]) -> None:
    entry = npy_bytes(header.encode("latin1", "replace").decode("latin1"), body, version)
    survives(with_tokens(entry))


@pytest.mark.filterwarnings("ignore:Stored array in format 3")  # numpy's, on writing it here
@given(
    name=st.sampled_from(["tokens", "queries", "labels", "head", "scores", "key", "attention"]),
    array=hnp.arrays(
        st.one_of(hnp.scalar_dtypes(), hnp.unicode_string_dtypes(), hnp.array_dtypes(max_size=2)),
        hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4),
    ),
)
def test_arbitrary_arrays(name: str, array: np.ndarray) -> None:
    survives(saved(valid_arrays() | {name: array, **({"query": array} if name == "key" else {})}))
