"""Problem files whose sizes are untrue or too large: refused before they are believed."""

from __future__ import annotations

import pickle
import resource
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from checks.npz import MAX_BYTES
from checks.problem_files import read_problem
from checks.problems import BadInput
from tests.problem_file_fixture import declared, refusal, saved, with_tokens


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
