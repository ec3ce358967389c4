"""Problem files: what is written comes back, and whatever else is read ends as one line."""

from __future__ import annotations

import io
import os
import pickle
import resource
import stat
import struct
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.lib import format as npy

from checks.npz import MAX_BYTES, MAX_MEMBERS
from checks.problem_files import ProblemFile, read_problem, select_model, write_problem
from checks.problems import AttentionProblem, BadInput, Start

Arrays = dict[str, object]


def valid_arrays() -> Arrays:
    """A problem of two samples, three tokens, dimension four, all numbers exact."""
    tokens = np.arange(24.0).reshape(2, 3, 4) / 8 - 1
    return {
        "tokens": tokens,
        "queries": np.array([[1.0, 2, 0, -1], [0.5, 0, 1, 1]]),
        "labels": np.array([1, -1]),
        "head": np.array([1.0, 0, -2, 0.5]),
    }


def saved(arrays: Arrays, compressed: bool = False) -> bytes:
    stream = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(stream, **arrays)
    return stream.getvalue()


def refusal(data: bytes, folder: Path) -> str:
    """The one line with which these bytes are refused."""
    file = folder / "problem.npz"
    file.write_bytes(data)
    with pytest.raises(BadInput) as caught:
        read_problem(file)
    line = str(caught.value)
    assert line.startswith(f"{file}: ")
    assert line.isprintable(), "one line, fit for a terminal"
    return line.removeprefix(f"{file}: ")


def zipped(*members: tuple[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return stream.getvalue()


def npy_bytes(header: str, body: bytes = b"", version: tuple[int, int] = (1, 0)) -> bytes:
    """An ``.npy`` entry with this header, true or not."""
    text = header.encode("latin1") + b"\n"
    length = struct.pack("<H" if version == (1, 0) else "<I", len(text))
    return npy.MAGIC_PREFIX + bytes(version) + length + text + body


def with_tokens(entry: bytes, method: int = zipfile.ZIP_STORED) -> bytes:
    """A problem file whose tokens entry is ``entry``; the rest is sound."""
    members = [("tokens.npy", entry)]
    for name, value in valid_arrays().items():
        if name != "tokens":
            stream = io.BytesIO()
            np.save(stream, np.asarray(value))
            members.append((f"{name}.npy", stream.getvalue()))
    return zipped(*members, method=method)


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


def file_with(folder: Path, **start: object) -> ProblemFile:
    file = folder / "problem.npz"
    file.write_bytes(saved(valid_arrays() | start))
    return read_problem(file)


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


# --- bad input: one line each ---------------------------------------------------------------

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


# --- sizes are refused before they are believed -----------------------------------------------


def declared(shape: str, descr: str = "<f8") -> bytes:
    return npy_bytes(f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}}}")


def bomb() -> bytes:
    """A quarter of a megabyte that unpacks to more than may be read."""
    header = declared(f"({MAX_BYTES // 8}, 1, 1)")
    return with_tokens(header + bytes(MAX_BYTES), method=zipfile.ZIP_DEFLATED)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (with_tokens(declared("(1000000, 1000, 1000)")), "goes beyond"),
        (with_tokens(declared("(1000000000000, 2, 1)")), "axis beyond"),
        (with_tokens(declared(f"({hex(16**4000)}, 2, 1)")), "axis beyond"),
        (with_tokens(declared(f"(-{hex(16**4000)}, 2, 1)")), "axis beyond"),
        (with_tokens(declared(f"({MAX_BYTES // 2}, 2, 1)", "i1") + bytes(9)), "goes beyond"),
        (with_tokens(declared("(4, 3, 2)")), "declares 192 bytes and holds 0"),
        (with_tokens(declared("(1, 2, 1)") + bytes(17)), "declares 16 bytes and holds 17"),
        (with_tokens(declared("(-1, 2, 1)")), "every axis at least 1"),
        (with_tokens(declared("(True, 3, 4)") + bytes(96)), "not a numpy array"),
        (with_tokens(declared(str((1,) * 40))), "40 axes"),
        (with_tokens(declared("(99999999999,)", "<U0")), "dtype"),
        (with_tokens(declared("(2, 3, 4)", "|O") + pickle.dumps([1.0])), "never unpickled"),
    ],
)
def test_untrue_headers(data: bytes, words: str, tmp_path: Path) -> None:
    assert words in refusal(data, tmp_path)


def test_a_zip_bomb_is_refused_without_unpacking(tmp_path: Path) -> None:
    data = bomb()
    assert len(data) < MAX_BYTES / 500, "it is a bomb: small on disk"
    file = tmp_path / "bomb.npz"
    file.write_bytes(data)
    script = (
        "import resource, sys\n"
        "from checks.problem_files import BadInput, read_problem\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try:\n"
        "    read_problem(sys.argv[1])\n"
        "except BadInput as error:\n"
        "    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, error)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", script, str(file)], capture_output=True, text=True, check=True
    )
    grown, line = run.stdout.split(maxsplit=1)
    assert "unpacks to more than" in line
    unit = 1024 if sys.platform != "darwin" else 1  # ru_maxrss: kB, on macOS bytes
    # An eighth of what unpacking would take; reading the file itself takes a thousandth.
    assert int(grown) * unit < MAX_BYTES / 8


def test_many_arrays_share_one_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    d = 1_000
    arrays = {"queries": np.ones((1, d)), "labels": np.ones(1), "head": np.ones(d)}
    data = saved(arrays | {"tokens": np.ones((1, 2, d))}, compressed=True)
    monkeypatch.setattr("checks.npz.MAX_BYTES", 40_000)  # the arrays take 32,008 bytes
    file = tmp_path / "problem.npz"
    file.write_bytes(data)
    assert read_problem(file).problem.dim == d
    monkeypatch.setattr("checks.npz.MAX_BYTES", 20_000)  # more than any of them takes
    line = refusal(data, tmp_path)
    assert "20000 bytes" in line


def test_a_directory_that_lies_about_sizes_is_damaged(tmp_path: Path) -> None:
    """The bomb again, its directory claiming small entries: no more than claimed is unpacked."""
    data = bytearray(bomb())
    at = data.index(b"PK\x01\x02")
    data[at + 24 : at + 28] = struct.pack("<I", 1000)  # uncompressed size
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert refusal(bytes(data), tmp_path)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    unit = 1024 if sys.platform != "darwin" else 1
    assert grown * unit < MAX_BYTES / 8


def test_a_file_too_long_is_not_opened(tmp_path: Path) -> None:
    file = tmp_path / "long.npz"
    with file.open("wb") as stream:
        stream.truncate(MAX_BYTES + 1)  # sparse: takes no room
    with pytest.raises(BadInput, match="bytes long"):
        read_problem(file)


# --- nothing but BadInput escapes ----------------------------------------------------------


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
