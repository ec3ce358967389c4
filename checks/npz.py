"""Reading an ``.npz`` from a stranger: nothing in it is believed before it is checked.

Sizes are read from the headers and bounded before anything is allocated, objects are never
unpickled, and whatever is wrong ends as :class:`checks.problems.BadInput` with one line
that says what is wrong and what to do.  What the arrays mean is ``problem_files``' business.
"""

from __future__ import annotations

import difflib
import io
import math
import struct
import tokenize
import warnings
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.lib import format as npy

from checks.problems import Array, BadInput

MAX_BYTES = 256 * 2**20
"""Most that all arrays of a file may take, as stored or as float64.

The verifier is made for d <= 64 and at most a few hundred margins (THEORY.md 6.5), some
100 kB; 256 MiB is a thousand times that and still fits any machine a few times over."""

MAX_MEMBERS = 64
"""Most entries of an archive: there are eight names that mean anything."""

_MAX_AXES = 3  # tokens has three; no array has more
_CLOSE = 0.8  # difflib ratio: one letter off in a name of five is 0.8 or above
_AGAIN = "write the file again with numpy.savez"
_DAMAGED = f"is damaged or cut short; {_AGAIN}"

# What zip readers of one Python version or another raise on damaged archives.
_ZIP_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    struct.error,
    OSError,
    ValueError,
    RuntimeError,  # encrypted, or of an unknown compression
    OverflowError,
    KeyError,
)
# What numpy's header reader is known to raise: it evaluates a literal of the file's choosing.
_HEADER_ERRORS = (
    EOFError,
    ValueError,
    SyntaxError,
    TypeError,
    KeyError,
    tokenize.TokenError,
    RecursionError,
    MemoryError,
    OverflowError,
)
# Version 3 differs only in the field names of structured arrays, which are refused anyway.
_HEADER_READERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


def read_npz(
    file: Path, required: Mapping[str, str], optional: Mapping[str, str]
) -> tuple[dict[str, Array], tuple[str, ...]]:
    """(the arrays called for, as float64; the names of all others, fit to be printed).

    ``required`` and ``optional`` map an array's name to its shape in words.  Every array has
    at least one entry; non-finite values are let through.  Raises only BadInput, whose text
    does not name the file.
    """
    data = _read_bytes(file)
    if not data:
        raise BadInput("is empty; write it with numpy.savez(FILE, tokens=..., ...)")
    if data.startswith(npy.MAGIC_PREFIX):
        raise BadInput("is a single array (.npy); write all arrays with numpy.savez")
    if not data.startswith(b"PK"):
        raise BadInput("is not an .npz file; write it with numpy.savez(FILE, tokens=..., ...)")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members, others = _members(archive, {**required, **optional})
            missing = [f"{k} {shape}" for k, shape in required.items() if k not in members]
            if missing:
                raise BadInput(f"lacks {', '.join(missing)}; add what is missing with numpy.savez")
            return _load(archive, members, {**required, **optional}), others
    except BadInput:  # a ValueError too: let it pass the list below
        raise
    except _ZIP_ERRORS as error:
        raise BadInput(_DAMAGED) from error


def _read_bytes(file: Path) -> bytes:
    """The file's bytes; one too large, or no regular file at all, is not even opened."""
    try:
        if file.is_dir():
            raise BadInput("is a directory; name a problem file (.npz)")
        if not file.exists():
            raise BadInput("no such file; `marginflow example` writes one to start from")
        if not file.is_file():
            raise BadInput("is not a regular file; name a problem file (.npz)")
        size = file.stat().st_size
        if size > MAX_BYTES:
            raise BadInput(f"is {size} bytes long; at most {MAX_BYTES} are read")
        return file.read_bytes()
    except OSError as error:
        raise BadInput(f"cannot be read ({error.strerror or error})") from error


def _members(
    archive: zipfile.ZipFile, shapes: Mapping[str, str]
) -> tuple[dict[str, zipfile.ZipInfo], tuple[str, ...]]:
    """Array name -> entry for the known arrays, and the names of the others."""
    entries = archive.infolist()
    if len(entries) > MAX_MEMBERS:
        raise BadInput(f"holds {len(entries)} entries; keep to the arrays of one problem")
    members: dict[str, zipfile.ZipInfo] = {}
    others: list[str] = []
    for info in entries:
        name = info.filename.removesuffix(".npy")
        if name not in shapes:
            # An array called Query or atention was meant: without it another run is judged.
            close = difflib.get_close_matches(name.lower()[:64], shapes, n=1, cutoff=_CLOSE)
            if close:
                raise BadInput(f"holds an unknown array {_clip(name)}; did you mean {close[0]}?")
            others.append(_clip(name))
            continue
        if name in members:
            raise BadInput(f"holds {name} twice; {_AGAIN}")
        if info.flag_bits & 0x1:  # the zip format's mark of an encrypted entry
            raise BadInput(f"{name} is encrypted; {_AGAIN}")
        # Of the others Python unpacks a whole block at once, however large.
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise BadInput(f"{name} is compressed in a way numpy never uses; {_AGAIN}")
        members[name] = info
    return members, tuple(others)


def _load(
    archive: zipfile.ZipFile, members: Mapping[str, zipfile.ZipInfo], shapes: Mapping[str, str]
) -> dict[str, Array]:
    """Every member as a float64 array; the total is bounded before any of it is unpacked."""
    budget = MAX_BYTES
    arrays: dict[str, Array] = {}
    for name, info in members.items():
        if info.file_size > budget:
            raise BadInput(f"unpacks to more than {MAX_BYTES} bytes at {name}; give smaller arrays")
        with archive.open(info) as stream:
            # zipfile yields at most file_size bytes, and compares the checksum at their end.
            arrays[name] = _array(name, stream.read(info.file_size + 1), budget, shapes[name])
        budget -= max(info.file_size, arrays[name].nbytes)
    return arrays


def _array(name: str, data: bytes, budget: int, wanted: str) -> Array:
    """The array in the bytes of one ``.npy`` entry, as float64 of at most ``budget`` bytes."""
    stream = io.BytesIO(data)
    shape, fortran, dtype = _header(name, stream)
    if dtype.hasobject:
        raise BadInput(f"{name} holds Python objects, which are never unpickled; give numbers")
    if dtype.kind not in "iuf":
        kind = "structured" if dtype.kind == "V" else _clip(str(dtype))
        raise BadInput(f"{name} has dtype {kind}; give real numbers, e.g. float64")
    if len(shape) > _MAX_AXES:
        raise BadInput(f"{name} has {len(shape)} axes; expected {wanted}")
    if any(type(axis) is not int for axis in shape):  # numpy lets True pass for 1
        raise BadInput(f"{name} is not a numpy array; {_AGAIN}")
    if any(abs(axis) > MAX_BYTES for axis in shape):  # not printed: Python may refuse to
        raise BadInput(f"{name} declares an axis beyond {MAX_BYTES}; expected {wanted}")
    if any(axis < 1 for axis in shape):
        raise BadInput(f"{name} has shape {shape}; expected {wanted}, every axis at least 1")
    size = math.prod(shape)
    if size * max(dtype.itemsize, np.dtype(np.float64).itemsize) > budget:
        raise BadInput(
            f"{name} of shape {shape} goes beyond {MAX_BYTES} bytes; give smaller arrays"
        )
    declared, held = size * dtype.itemsize, len(data) - stream.tell()
    if declared != held:
        raise BadInput(f"{name} declares {declared} bytes and holds {held}: the file {_DAMAGED}")
    flat = np.frombuffer(data, dtype=dtype, offset=stream.tell())
    with np.errstate(over="ignore", invalid="ignore"):  # a long double may become an infinity
        return flat.astype(np.float64).reshape(shape, order="F" if fortran else "C")


def _header(name: str, stream: io.BytesIO) -> tuple[tuple[int, ...], bool, np.dtype]:
    """(shape, Fortran order, dtype) of an ``.npy`` entry; the stream is left at the numbers."""
    try:
        # Python 2 headers and odd literals make numpy and the compiler warn; they are judged
        # by what they say.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _HEADER_READERS[npy.read_magic(stream)](stream)
    except _HEADER_ERRORS as error:
        raise BadInput(f"{name} is not a numpy array; {_AGAIN}") from error


def _clip(name: str) -> str:
    """A name out of a file, fit for one line of a message."""
    return repr(name if len(name) <= 40 else name[:40] + "...")
