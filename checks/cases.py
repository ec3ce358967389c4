"""Cases: one problem, one start, decoded from bytes by one pure function.

Hypothesis draws the bytes, a campaign takes them from a counter-based generator, and a
replay file stores the decoded arrays beside them: whichever door a case comes through, it
is the same case.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any

import numpy as np

from checks.aligned_problems import ALIGNED_PROBLEMS, TURNED, draw_aligned
from checks.blobs import Blob
from checks.factored_starts import draw_aligned_start, draw_factored_start
from checks.families import Family, family
from checks.frames import Alignment
from checks.mirrored_problems import draw_mirrored, draw_mirrored_start
from checks.problem_families import Shape, draw_problem
from checks.problems import Array, AttentionProblem, Start, rows_for
from checks.slack_problems import draw_slack
from checks.start_families import draw_start

RECORD_SCHEMA = 1


@dataclass(frozen=True)
class CaseSpec:
    """What a case is decoded from.  shape (n, L, d): d data coordinates, so dim is d + 1."""

    family: str
    shape: Shape
    blob: bytes

    def to_json(self) -> dict[str, Any]:
        """A JSON object: family, shape as a list, blob in hexadecimal."""
        return {"family": self.family, "shape": list(self.shape), "blob": self.blob.hex()}

    @staticmethod
    def from_json(record: dict[str, Any]) -> CaseSpec:
        """The inverse of :meth:`to_json`.  Raises ValueError on a malformed record."""
        try:
            n, length, d = (int(size) for size in record["shape"])
            return CaseSpec(str(record["family"]), (n, length, d), bytes.fromhex(record["blob"]))
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"not the record of a case: {error!r}") from error


@dataclass(frozen=True, eq=False)
class Case:
    """A decoded case.

    witness: a direction with every optimal-token margin positive, known by construction:
    (dim,), or (dim, dim) for full weights; None where the family enforces nothing.
    regions: labels of the parts of the input space the case lies in.
    alignment: frames and diagonal problem where the data are aligned (S6), else None; its
    ``start`` is None where the start is not aligned with them.
    """

    problem: AttentionProblem
    start: Start
    witness: Array | None
    regions: tuple[str, ...]
    start_family: str
    spec: CaseSpec = field(repr=False)
    alignment: Alignment | None = field(default=None, repr=False)

    @cached_property
    def _inputs(self) -> dict[str, float]:
        problem, start = self.problem, self.start
        rows = rows_for(problem, start.weights)
        out = {
            "samples": float(problem.samples),
            "tokens": float(problem.length),
            "dim": float(problem.dim),
            "score lead": problem.optimal_lead,
        }
        # Singular values at the rounding level of the largest are zeros (rank deficiency).
        values = np.linalg.svd(rows, compute_uv=False) if len(rows) else np.zeros(1)
        floor = values[0] * max(rows.shape) * np.finfo(np.float64).eps
        kept = values[values > floor]
        out["condition"] = float(kept[0] / kept[-1]) if len(kept) else 1.0
        if self.witness is not None and len(rows):
            margins = rows @ self.witness.ravel()
            sizes = np.linalg.norm(rows, axis=1) * np.linalg.norm(self.witness)
            out["witness margin"] = float((margins / sizes).min())
        if start.key is not None and start.query is not None:
            k, q = start.key, start.query
            norm = float(np.sqrt((k * k).sum() + (q * q).sum()))
            diagonal = self.alignment.start if self.alignment is not None else start
            if diagonal is not None and diagonal.model == "diagonal":
                assert diagonal.key is not None and diagonal.query is not None
                k, q = diagonal.key, diagonal.query
                out["least invariant"] = float(np.abs((k - q) * (k + q)).min() / 2.0)
        else:
            norm = float(np.linalg.norm(start.weights))
        out["log10 start norm"] = float(np.log10(norm)) if norm > 0 else -np.inf
        return out

    def inputs(self) -> dict[str, float]:
        """Descriptors for histograms.

        samples, tokens, dim; score lead (best minus second best, least over samples);
        condition (largest over smallest nonzero singular value of the constraint rows);
        witness margin (least cosine between the witness and a row; only with a witness);
        log10 start norm (of (k, q) stacked, or of W); least invariant (min_j c_j; diagonal
        model and aligned starts only).
        """
        return dict(self._inputs)


def _build(parts: Family, spec: CaseSpec, blob: Blob) -> Case:
    alignment = None
    if parts.problem in ALIGNED_PROBLEMS:
        drawn, alignment, base = draw_aligned(blob, parts.problem, spec.shape)
    elif parts.problem == "mirrored":
        drawn, factor = draw_mirrored(blob, spec.shape)
    elif parts.problem == "slack":
        drawn = draw_slack(blob, spec.shape)
    else:
        drawn = draw_problem(blob, parts.problem, spec.shape, parts.full)
    if alignment is not None and parts.aligned:
        turned = parts.problem in TURNED
        start, alignment, regions = draw_aligned_start(blob, parts.start, alignment, base, turned)
    elif parts.start == "key-is-query":
        start, regions = draw_mirrored_start(blob, drawn, factor)
    elif parts.model == "factored":
        start, regions = draw_factored_start(blob, parts.start, drawn)
    else:
        start, regions = draw_start(blob, parts.start, drawn, parts.model)
    blob.finish()
    if parts.exponent is not None:
        start = Start.mirror(start.weights, parts.exponent, drawn.problem.dim)
    words = (*drawn.regions, *regions)
    return Case(drawn.problem, start, drawn.witness, words, parts.start, spec, alignment)


@cache
def blob_length(name: str, shape: Shape) -> int:
    """How many bytes a case of this family and shape is decoded from.

    Raises ValueError for an unknown family or a shape that it cannot have.
    """
    parts = family(name)
    parts.check_shape(shape)
    blob = Blob(None)
    _build(parts, CaseSpec(name, shape, b""), blob)
    return blob.position


def decode(spec: CaseSpec) -> Case:
    """The case that ``spec`` stands for: pure, and total on blobs of the right length.

    Raises ValueError for an unknown family, a shape it cannot have, or a blob whose length
    is not ``blob_length(spec.family, spec.shape)``.
    """
    wanted = blob_length(spec.family, spec.shape)
    if len(spec.blob) != wanted:
        raise ValueError(f"the blob has {len(spec.blob)} bytes; {spec.family} wants {wanted}")
    return _build(family(spec.family), spec, Blob(spec.blob))


def campaign_specs(
    claim: str, name: str, shape: Shape, seed: int, indices: Iterable[int]
) -> list[CaseSpec]:
    """The specs of the campaign's cases ``indices`` (each >= 0) for one claim and family.

    Philox keyed by the SHA-256 of claim, family, shape and seed, with the case's index in
    the high half of the counter: a case depends on its own index alone, not on the chunk it
    is drawn in.  Raw output is used, which NumPy keeps stable across versions.
    """
    length = blob_length(name, shape)
    text = "\0".join([claim, name, repr(tuple(shape)), str(seed)])
    key = np.frombuffer(hashlib.sha256(text.encode()).digest()[:16], dtype="<u8")
    specs = []
    for index in indices:
        if index < 0:
            raise ValueError(f"case index {index} is negative")
        raw = np.random.Philox(key=key, counter=[0, 0, index, 0]).random_raw(-(-length // 8))
        specs.append(CaseSpec(name, shape, raw.astype("<u8").tobytes()[:length]))
    return specs


def _hex(array: Array | None) -> Any:
    """Nested lists of ``float.hex`` strings; None stays None."""
    if array is None:
        return None
    return float(array).hex() if array.ndim == 0 else [_hex(part) for part in array]


def _unhex(value: Any) -> Array | None:
    if value is None:
        return None

    def floats(part: Any) -> Any:
        return [floats(p) for p in part] if isinstance(part, list) else float.fromhex(part)

    return np.array(floats(value), dtype=np.float64)


_PROBLEM = ("tokens", "queries", "labels", "head", "scores")
_START = ("key", "query", "attention")
_FRAMES = ("left", "right", "inner")


def case_record(case: Case) -> dict[str, Any]:
    """A JSON object that holds the arrays themselves, bit for bit, beside the spec."""
    return {
        "schema": RECORD_SCHEMA,
        "spec": case.spec.to_json(),
        "model": case.start.model,
        "start_family": case.start_family,
        "regions": list(case.regions),
        "problem": _problem_record(case.problem),
        "start": _start_record(case.start),
        "witness": _hex(case.witness),
        "alignment": _alignment_record(case.alignment),
    }


def _problem_record(problem: AttentionProblem) -> dict[str, Any]:
    return {name: _hex(getattr(problem, name)) for name in _PROBLEM}


def _start_record(start: Start) -> dict[str, Any]:
    arrays = {name: _hex(getattr(start, name)) for name in _START}
    return arrays if start.model != "mirror" else {**arrays, "exponent": start.exponent.hex()}


def _alignment_record(alignment: Alignment | None) -> dict[str, Any] | None:
    if alignment is None:
        return None
    return {
        **{name: _hex(getattr(alignment, name)) for name in _FRAMES},
        "copies": alignment.copies,
        "problem": _problem_record(alignment.problem),
        "start": None if alignment.start is None else _start_record(alignment.start),
    }


def _problem_of(record: dict[str, Any]) -> AttentionProblem:
    return AttentionProblem.of(*(_unhex(record[name]) for name in _PROBLEM))


def _start_of(record: dict[str, Any], model: str, dim: int) -> Start:
    key, query, attention = (_unhex(record[name]) for name in _START)
    if model == "combined":
        return Start.combined(attention, dim)
    if model == "diagonal":
        return Start.diagonal(key, query, dim)
    if model == "mirror":
        return Start.mirror(attention, float.fromhex(record["exponent"]), dim)
    return Start.factored(key, query, dim)


def _alignment_of(record: dict[str, Any] | None) -> Alignment | None:
    if record is None:
        return None
    left, right, inner = (_unhex(record[name]) for name in _FRAMES)
    if left is None or right is None or inner is None:
        raise ValueError("not the record of a case: an alignment without frames")
    problem = _problem_of(record["problem"])
    start = record["start"] and _start_of(record["start"], "diagonal", problem.dim)
    return Alignment(left, right, inner, int(record["copies"]), problem, start)


def case_from_record(record: dict[str, Any]) -> Case:
    """The case of a replay record, from its arrays (the blob is kept, never decoded).

    Raises ValueError (BadInput among them) on a malformed record.
    """
    try:
        if record["schema"] != RECORD_SCHEMA:
            raise ValueError(f"schema {record['schema']!r}; expected {RECORD_SCHEMA}")
        problem = _problem_of(record["problem"])
        start = _start_of(record["start"], record["model"], problem.dim)
        return Case(
            problem,
            start,
            _unhex(record["witness"]),
            tuple(str(region) for region in record["regions"]),
            str(record["start_family"]),
            CaseSpec.from_json(record["spec"]),
            # Absent from records written before there were aligned cases.
            _alignment_of(record.get("alignment")),
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"not the record of a case: {error!r}") from error
