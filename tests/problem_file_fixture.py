"""A sound problem file, and ways to write others, shared by the tests of problem files."""

from __future__ import annotations

import io
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from numpy.lib import format as npy

from checks.problem_files import ProblemFile, read_problem
from checks.problems import BadInput

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


def file_with(folder: Path, **start: object) -> ProblemFile:
    file = folder / "problem.npz"
    file.write_bytes(saved(valid_arrays() | start))
    return read_problem(file)


def declared(shape: str, descr: str = "<f8") -> bytes:
    return npy_bytes(f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}}}")
