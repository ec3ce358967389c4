"""Problem files: what is written comes back, and the start in a file names its model."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from checks.problem_files import read_problem, select_model, write_problem
from checks.problems import AttentionProblem, BadInput, Start
from tests.problem_file_fixture import Arrays, file_with, saved, valid_arrays

# --- what is written comes back ----------------------------------------------------------

SIZES = st.integers(1, 3)
# Half of the largest exponent: products of two stay finite, so no file is refused for it.
ENTRIES = st.floats(-1e140, 1e140, allow_nan=False)


@st.composite
def problems(draw: st.DrawFn) -> AttentionProblem:
    n, length, d = draw(SIZES), draw(SIZES) + 1, draw(SIZES)
    array = lambda *shape: draw(hnp.arrays(np.float64, shape, elements=ENTRIES))  # noqa: E731
    labels = draw(hnp.arrays(np.int8, (n,), elements=st.sampled_from([-1, 1])))
    scores = array(n, length) if draw(st.booleans()) else None
    return AttentionProblem.of(array(n, length, d), array(n, d), labels, array(d), scores)


@st.composite
def starts(draw: st.DrawFn, d: int) -> Start | None:
    e = draw(SIZES)
    array = lambda *shape: draw(hnp.arrays(np.float64, shape, elements=ENTRIES))  # noqa: E731
    match draw(st.sampled_from(["none", "diagonal", "factored", "vector", "matrix"])):
        case "diagonal":
            return Start.diagonal(array(d), array(d), d)
        case "factored":
            return Start.factored(array(d, e), array(d, e), d)
        case "vector":
            return Start.combined(array(d), d)
        case "matrix":
            return Start.combined(array(d, d), d)
    return None


def same_bits(a: np.ndarray | None, b: np.ndarray | None) -> bool:
    if a is None or b is None:
        return a is b
    return a.shape == b.shape and a.tobytes() == b.tobytes()


@given(data=st.data())
def test_round_trip_is_bit_for_bit(data: st.DataObject) -> None:
    problem = data.draw(problems(), label="problem")
    start = data.draw(starts(problem.dim), label="start")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "problem.dat"  # the name is kept, whatever its suffix
        write_problem(file, problem, start)
        assert os.listdir(folder) == ["problem.dat"], "no partial file stays behind"
        back = read_problem(file)
    for name in ("tokens", "queries", "labels", "head", "scores"):
        assert same_bits(getattr(problem, name), getattr(back.problem, name)), name
    assert (back.start is None) == (start is None)
    if start is not None and back.start is not None:
        assert back.start.model == start.model
        for name in ("key", "query", "attention"):
            assert same_bits(getattr(start, name), getattr(back.start, name)), name


@given(
    dtype=st.sampled_from(["<f8", ">f8", "<f4", "<f2", "<i8", ">i4", "i1", "g"]),
    order=st.sampled_from("CF"),
    compressed=st.booleans(),
)
def test_every_real_dtype_and_order_reads_as_float64(
    dtype: str, order: str, compressed: bool
) -> None:
    plain = valid_arrays()
    tokens = (np.asarray(plain["tokens"]) * 8).astype(dtype, order=order)  # integers: exact
    data = saved(plain | {"tokens": tokens, "labels": np.array([1, -1], dtype)}, compressed)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "problem.npz"
        file.write_bytes(data)
        problem = read_problem(file).problem
    assert problem.tokens.dtype == np.float64
    assert np.array_equal(problem.tokens, tokens.astype(np.float64))
    assert np.array_equal(problem.labels, [1.0, -1.0])


def test_given_scores_are_kept_even_where_tokens_do_not_give_them(tmp_path: Path) -> None:
    file = tmp_path / "problem.npz"
    file.write_bytes(saved(valid_arrays() | {"scores": np.ones((2, 3))}))
    problem = read_problem(file).problem
    assert np.array_equal(problem.scores, np.ones((2, 3)))
    assert not problem.realisable


# --- which model --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "model"),
    [
        ({}, "diagonal"),
        ({"key": np.ones(4), "query": np.zeros(4)}, "diagonal"),
        ({"key": np.ones((4, 1)), "query": np.zeros((4, 1))}, "factored"),
        ({"key": np.ones((4, 9)), "query": np.zeros((4, 9))}, "factored"),
        ({"attention": np.ones(4)}, "combined"),
        ({"attention": np.ones((4, 4))}, "combined"),
    ],
)
def test_the_model_follows_from_the_start(start: Arrays, model: str, tmp_path: Path) -> None:
    file = file_with(tmp_path, **start)
    assert (file.start.model if file.start else "diagonal") == model
    assert select_model(file) == model
    for requested in ("diagonal", "factored", "combined"):
        if requested == model or not start:
            assert select_model(file, requested) == requested
        else:
            with pytest.raises(BadInput, match=f"start of the {model} model"):
                select_model(file, requested)


def test_a_square_key_is_factored_weights_not_vectors(tmp_path: Path) -> None:
    file = file_with(tmp_path, key=np.eye(4), query=np.eye(4))
    assert file.start is not None
    assert file.start.weights.shape == (4, 4)
