"""Problem files that cannot be read or written: one line each, which names what is wrong."""

from __future__ import annotations

import io
import os
import pickle
import stat
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from checks.npz import MAX_MEMBERS
from checks.problem_files import read_problem, write_problem
from checks.problems import AttentionProblem, BadInput
from tests.problem_file_fixture import (
    Arrays,
    declared,
    file_with,
    npy_bytes,
    refusal,
    saved,
    valid_arrays,
    with_tokens,
    zipped,
)

BAD_ARRAYS: list[tuple[str, Arrays, str]] = [
    ("tokens flat", {"tokens": np.ones((3, 4))}, "tokens has shape (3, 4)"),
    ("one token", {"tokens": np.ones((2, 1, 4))}, "L >= 2"),
    ("no sample", {"tokens": np.ones((0, 3, 4))}, "every axis at least 1"),
    ("no dimension", {"tokens": np.ones((2, 3, 0))}, "every axis at least 1"),
    ("axes", {"tokens": np.ones((1, 1, 2, 4))}, "4 axes"),
    ("a number", {"head": np.float64(1)}, "head has shape ()"),
    ("queries", {"queries": np.ones((3, 4))}, "queries has shape (3, 4)"),
    ("head", {"head": np.ones(5)}, "head has shape (5,)"),
    ("labels short", {"labels": np.ones(1)}, "labels has shape (1,)"),
    ("labels 0/1", {"labels": np.array([0, 1])}, "other than +1 and -1"),
    ("labels unsigned", {"labels": np.array([1, 255], np.uint8)}, "other than +1 and -1"),
    ("labels bool", {"labels": np.array([True, True])}, "dtype 'bool'"),
    ("labels words", {"labels": np.array(["+1", "-1"])}, "dtype '<U2'"),
    ("labels NaN", {"labels": np.array([1, np.nan])}, "not finite"),
    ("complex", {"tokens": np.ones((2, 3, 4), complex)}, "dtype 'complex128'"),
    ("dates", {"head": np.zeros(4, "M8[s]")}, "dtype 'datetime64[s]'"),
    ("spans", {"head": np.zeros(4, "m8[s]")}, "dtype 'timedelta64[s]'"),
    ("structured", {"head": np.zeros(4, [("a", "f8")])}, "dtype structured"),
    ("bytes", {"head": np.zeros(4, "S3")}, "dtype '|S3'"),
    ("objects", {"head": np.array([1, "a", None, 2], object)}, "never unpickled"),
    ("NaN", {"queries": np.full((2, 4), np.nan)}, "queries holds a value that is not finite"),
    ("infinity", {"head": np.array([1, np.inf, 0, 0])}, "head holds a value that is not finite"),
    ("long", {"head": np.full(4, np.longdouble("1e4000"))}, "head holds a value that is not"),
    ("score overflow", {"tokens": np.full((2, 3, 4), 1e200), "head": np.full(4, 1e200)}, "head"),
    ("margin overflow", {"tokens": np.full((2, 3, 4), 1e200), "queries": np.full((2, 4), 1e200)},
     "tokens times queries overflows"),
    ("margin overflow in the sum only",
     {"tokens": np.full((2, 3, 4), 1e154), "queries": np.full((2, 4), 1e154)},
     "tokens times queries overflows"),
    ("cancelled overflow",
     {"tokens": np.tile([1.0, -1, 0, 0], (2, 3, 1)) * 1e154, "head": np.full(4, 1.2e154)},
     "tokens times head overflows"),
    ("scores", {"scores": np.ones((2, 4))}, "scores has shape (2, 4)"),
    ("scores NaN", {"scores": np.full((2, 3), np.nan)}, "scores holds a value"),
    ("key alone", {"key": np.ones(4)}, "key without query; give both"),
    ("query alone", {"query": np.ones(4)}, "query without key; give both"),
    ("mixed", {"key": np.ones(4), "query": np.ones((4, 1))}, "both (d,)"),
    ("flat zero", {"key": np.float64(1), "query": np.float64(1)}, "both (d,)"),
    ("cubes", {"key": np.ones((4, 1, 1)), "query": np.ones((4, 1, 1))}, "both (d,)"),
    ("ranks", {"key": np.ones((4, 2)), "query": np.ones((4, 3))}, "query has shape (4, 3)"),
    ("dims", {"key": np.ones(3), "query": np.ones(3)}, "key has shape (3,)"),
    ("empty e", {"key": np.ones((4, 0)), "query": np.ones((4, 0))}, "every axis at least 1"),
    ("two starts", {"key": np.ones(4), "query": np.ones(4), "attention": np.ones(4)},
     "attention beside key"),
    ("attention", {"attention": np.ones((4, 3))}, "attention has shape (4, 3)"),
    ("attention cube", {"attention": np.ones((4, 4, 1))}, "attention has shape (4, 4, 1)"),
    ("attention huge", {"attention": np.full(4, 1e200)}, "attention overflows when squared"),
    ("key huge", {"key": np.full(4, 1e200), "query": np.ones(4)}, "key and query overflow"),
    ("capital", {"Key": np.ones(4), "query": np.ones(4)}, "did you mean key?"),
    ("misspelt", {"atention": np.ones(4)}, "did you mean attention?"),
    ("singular", {"score": np.ones((2, 3))}, "did you mean scores?"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("change", "words"), [b[1:] for b in BAD_ARRAYS], ids=[b[0] for b in BAD_ARRAYS]
)
def test_bad_arrays_are_named(change: Arrays, words: str, tmp_path: Path) -> None:
    assert words in refusal(saved(valid_arrays() | change), tmp_path)


@pytest.mark.parametrize("name", ["tokens", "queries", "labels", "head"])
def test_a_missing_array_is_named_with_its_shape(name: str, tmp_path: Path) -> None:
    arrays = valid_arrays()
    del arrays[name]
    assert refusal(saved(arrays), tmp_path).startswith(f"lacks {name} (")


def test_arrays_without_names_are_all_missing(tmp_path: Path) -> None:
    stream = io.BytesIO()
    np.savez(stream, np.ones(3))
    line = refusal(stream.getvalue(), tmp_path)
    assert all(name in line for name in ("tokens", "queries", "labels", "head"))


def test_other_arrays_are_reported_not_refused(tmp_path: Path) -> None:
    file = file_with(tmp_path, seed=np.array(7), description=np.array(["object", 1], object))
    assert file.ignored == ("'seed'", "'description'")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "is empty"),
        (b"1.0,2.0\n", "is not an .npz file"),
        (b"\x89HDF\r\n\x1a\n" + bytes(100), "is not an .npz file"),
        (pickle.dumps({"tokens": [1.0]}), "is not an .npz file"),
        (npy_bytes("{'descr': '<f8', 'fortran_order': False, 'shape': ()}"), "single array"),
        (b"PK\x05\x06" + bytes(18), "lacks tokens"),  # an archive of nothing
        (saved(valid_arrays())[:-1], "damaged or cut short"),
        (saved(valid_arrays())[:200], "damaged or cut short"),
        (saved(valid_arrays())[10:], "is not an .npz file"),
        (zipped(("readme.txt", b"hello")), "lacks tokens"),
        (with_tokens(b"hello"), "tokens is not a numpy array"),
        (with_tokens(b""), "tokens is not a numpy array"),
        (with_tokens(pickle.dumps([1.0])), "tokens is not a numpy array"),
        (with_tokens(npy_bytes("{'descr': '<f8'}")), "tokens is not a numpy array"),
        (with_tokens(npy_bytes("(" * 9000)), "tokens is not a numpy array"),
        (with_tokens(npy_bytes("{[]: 1}")), "tokens is not a numpy array"),
        (with_tokens(npy_bytes("{1: 2, 'descr': 3, 'shape': 4}")), "tokens is not a numpy array"),
        (with_tokens(npy_bytes("-" * 3000 + "1")), "tokens is not a numpy array"),
        (with_tokens(npy_bytes("-" * 9000 + "1")), "tokens is not a numpy array"),
        (with_tokens(npy_bytes("  1\n 1")), "tokens is not a numpy array"),
        (with_tokens(npy_bytes("'\\d'")), "tokens is not a numpy array"),
        (with_tokens(npy_bytes("{}", version=(3, 0))), "tokens is not a numpy array"),
        (with_tokens(npy_bytes("{}", version=(9, 9))), "tokens is not a numpy array"),
        (zipped(("tokens.npy", b""), ("tokenz.npy", b"")).replace(b"kenz", b"kens"), "twice"),
        (zipped(*[(f"a{i}", b"") for i in range(MAX_MEMBERS + 1)]), "entries"),
        (with_tokens(b"", method=zipfile.ZIP_BZIP2), "compressed in a way numpy never uses"),
        (with_tokens(b"", method=zipfile.ZIP_LZMA), "compressed in a way numpy never uses"),
    ],
)  # fmt: skip
def test_foreign_and_damaged_files(data: bytes, words: str, tmp_path: Path) -> None:
    assert words in refusal(data, tmp_path)


def test_an_encrypted_entry(tmp_path: Path) -> None:
    data = bytearray(saved(valid_arrays()))
    data[data.index(b"PK\x01\x02") + 8] |= 1  # the flag, in the directory's first entry
    assert "tokens is encrypted" in refusal(bytes(data), tmp_path)


def test_a_changed_number_is_caught_by_the_checksum(tmp_path: Path) -> None:
    data = bytearray(saved(valid_arrays()))
    data[data.index(np.float64(0.5).tobytes())] ^= 1  # one bit of one value
    assert "damaged" in refusal(bytes(data), tmp_path)


def test_an_entry_longer_than_the_file(tmp_path: Path) -> None:
    data = bytearray(saved(valid_arrays()))
    at = data.index(b"PK\x01\x02")
    data[at + 20 : at + 28] = struct.pack("<II", 10**6, 10**6)  # stored and unpacked size
    assert "damaged" in refusal(bytes(data), tmp_path)


def test_a_header_of_python_2_reads_without_a_warning(tmp_path: Path) -> None:
    tokens = np.asarray(valid_arrays()["tokens"])
    file = tmp_path / "problem.npz"
    file.write_bytes(with_tokens(declared("(2L, 3L, 4L)") + tokens.tobytes()))
    assert np.array_equal(read_problem(file).problem.tokens, tokens)


def test_paths_that_are_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for name, words in [
        ("", "is a directory"),
        ("absent.npz", "no such file"),
        ("absent/problem.npz", "no such file"),
        ("two\nlines.npz", "no such file"),
        ("null\0byte.npz", "no such file"),
        ("loop", "no such file"),
        ("pipe", "not a regular file"),
        ("n" * 300, "cannot be read"),
    ]:
        with pytest.raises(BadInput, match=words) as caught:
            read_problem(f"{tmp_path}/{name}")
        assert str(caught.value).isprintable()


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    problem = AttentionProblem.of(**valid_arrays())
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "plain").write_bytes(b"")
    for name in ("", "absent/problem.npz", "plain/problem.npz", "null\0byte", "pipe"):
        with pytest.raises(BadInput):
            write_problem(f"{tmp_path}/{name}", problem)
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode), "a device is left as it is"
    assert sorted(os.listdir(tmp_path)) == ["pipe", "plain"]


def test_a_disk_that_fills_up_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "problem.npz"
    file.write_bytes(b"old")

    def full(stream: io.BufferedWriter, **_: object) -> None:
        stream.write(b"half of it")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("checks.problem_files.np.savez", full)
    with pytest.raises(BadInput, match="No space left on device"):
        write_problem(file, AttentionProblem.of(**valid_arrays()))
    assert os.listdir(tmp_path) == ["problem.npz"]
    assert file.read_bytes() == b"old"
