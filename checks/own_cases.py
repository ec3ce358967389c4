"""``verify --data DIR``: the cases that a folder of problem files gives to a claim.

A claim applies to a file where the claim is about the file's model: the start's own, or any
of the models without aligned frames where the file holds no start and starts are drawn.
"""

from __future__ import annotations

import hashlib
import struct
from functools import cache
from pathlib import Path

from checks import own_data, registry
from checks.cases import Case, CaseSpec
from checks.families import FAMILIES
from checks.given import Given
from checks.problem_files import ProblemFile, read_problem
from checks.problems import BadInput, Model, Start
from checks.streams import Stream
from theory.catalogue import CLAIMS

MOST_FILES = 1000
"""Problem files of one folder: each is read, and run, for every claim that applies."""
NEEDED = 1
"""Informative cases that HELD takes: a user's files are what they are, and the claims open."""
_MODELS: dict[str, Model] = {
    "diagonal": "diagonal",
    "combined-diagonal": "combined",
    "combined": "combined",
    "factored": "factored",
}
"""Model as families spell it -> as problem files do."""
_BLOB = struct.Struct("<QI")
"""The end of a case's bytes, after the digest of its file: seed, number of the drawn start."""


def files(directory: str) -> list[Path]:
    """The problem files of a folder, by name.  Raises BadInput where there are none."""
    folder = Path(directory)
    if not folder.is_dir():
        raise BadInput(f"{directory}: is not a directory; name a folder of problem files (.npz)")
    found = sorted(folder.glob("*.npz"))
    if not found:
        raise BadInput(f"{directory}: holds no problem file (.npz)")
    if len(found) > MOST_FILES:
        raise BadInput(f"{directory}: holds {len(found)} problem files; at most {MOST_FILES}")
    return found


@cache
def _read(path: Path, digest: bytes) -> ProblemFile:
    file = read_problem(path)
    own_data.refuse_size(file.problem, path)
    return file


def _digest(path: Path) -> bytes:
    try:
        return hashlib.sha256(path.read_bytes()).digest()
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror or error})") from error


def _models(stream: Stream) -> list[str]:
    return list(dict.fromkeys(FAMILIES[source.family].model for source in stream.sources))


def _held(start: Start) -> str:
    """The start's model as families spell it."""
    if start.model == "combined":
        return "combined" if start.weights.ndim == 2 else "combined-diagonal"
    return start.model


def applies(claim: str, directory: str) -> bool:
    """Is the claim about any of the folder's problems?  Raises BadInput for a bad file.

    Never a control, whose cases are made to refute it, nor a claim about aligned starts: a
    file has no frames.
    """
    stream = registry.CHECKS[claim].cases()
    if not isinstance(stream, Stream) or CLAIMS[claim].kind == "control":
        return False
    return bool(given(directory, stream).specs(0))


def given(directory: str, stream: object) -> Given:
    """The folder's cases for a claim with this stream: every file's start, or drawn ones."""

    def specs(seed: int) -> list[CaseSpec]:
        if not isinstance(stream, Stream) or FAMILIES[stream.sources[0].family].aligned:
            return []
        one_sample = all(samples == 1 for samples, _, _ in stream.shapes)
        return [
            spec
            for path in files(directory)
            for spec in _specs(path, _models(stream), one_sample, seed)
        ]

    return Given(specs, lambda spec: _decode(Path(directory), spec), NEEDED)


def _specs(path: Path, models: list[str], one_sample: bool, seed: int) -> list[CaseSpec]:
    digest = _digest(path)
    file = _read(path, digest)
    problem = file.problem
    shape = (problem.samples, problem.length, problem.dim)
    if one_sample and problem.samples > 1:
        return []
    if file.start is not None:
        models = [model for model in models if model == _held(file.start)]
    count = 1 if file.start is not None else own_data.DEFAULT_STARTS
    return [
        CaseSpec(f"{model}/{path.name}", shape, digest + _BLOB.pack(seed, index))
        for model in models
        for index in range(count)
    ]


def _decode(directory: Path, spec: CaseSpec) -> Case:
    model, _, name = spec.family.partition("/")
    size = hashlib.sha256().digest_size
    digest, (seed, index) = spec.blob[:size], _BLOB.unpack(spec.blob[size:])
    file = _read(directory / name, digest)
    if file.start is not None:
        return Case(file.problem, file.start, None, (), "given", spec)
    full = model in ("combined", "factored")
    starts = own_data.draw_starts(file.problem, _MODELS[model], full, 0, index + 1, seed)
    return Case(file.problem, starts[index], None, (), "drawn", spec)
