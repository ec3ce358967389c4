"""Problem files: one ``.npz`` (never pickled) holds one problem and, if wanted, one start.

DESIGN.md, "Problem file": ``tokens`` (n, L, d), ``queries`` (n, d), ``labels`` (n,) of +1/-1
in any real numeric dtype, ``head`` (d,); optional ``scores`` (n, L); optional start: ``key``
and ``query``, (d,) for the diagonal model or (d, e) for the factored one, or ``attention``,
(d,) or (d, d), for the combined one.  n >= 1, L >= 2, d >= 1, e >= 1.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from checks.npz import read_npz
from checks.problems import Array, AttentionProblem, BadInput, Model, Start

PROBLEM_ARRAYS: dict[str, str] = {
    "tokens": "(n, L, d)",
    "queries": "(n, d)",
    "labels": "(n,)",
    "head": "(d,)",
}
OPTIONAL_ARRAYS: dict[str, str] = {
    "scores": "(n, L)",
    "key": "(d,) or (d, e)",
    "query": "(d,) or (d, e)",
    "attention": "(d,) or (d, d)",
}


@dataclass(frozen=True, eq=False)
class ProblemFile:
    """What one problem file holds."""

    path: Path
    problem: AttentionProblem
    start: Start | None
    """The start in the file, or None: then starts are to be drawn."""
    ignored: tuple[str, ...] = ()
    """Names (quoted) of arrays that mean nothing to this suite: to be told to the user."""


def read_problem(path: str | os.PathLike[str]) -> ProblemFile:
    """Read and validate a problem file.  Raises only BadInput: one line that names the file.

    Values are rounded to float64, and that problem is the one judged.  Scores that tokens
    and head do not give are let through: they are an unmet assumption, not a bad file.
    """
    file = Path(path)
    try:
        arrays, ignored = read_npz(file, PROBLEM_ARRAYS, OPTIONAL_ARRAYS)
        # A product beyond the largest float is judged by its result; a warning would only
        # come on top of the one line that says so.
        with np.errstate(over="ignore", invalid="ignore"):
            problem = AttentionProblem.of(
                arrays["tokens"],
                arrays["queries"],
                arrays["labels"],
                arrays["head"],
                arrays.get("scores"),
            )
            start = _start(arrays, problem.dim)
            _refuse_overflow(problem, start)
    except BadInput as error:
        raise BadInput(f"{_printable(file)}: {error}") from error
    return ProblemFile(file, problem, start, ignored)


def write_problem(
    path: str | os.PathLike[str], problem: AttentionProblem, start: Start | None = None
) -> None:
    """Write ``problem``, and ``start`` if given, so that read_problem gives both bit for bit.

    The scores are always written: recomputed from tokens on another machine they may differ
    in the last bit, which breaks exact ties (THEORY.md 6.4).  The file appears complete or
    not at all.  Raises BadInput where ``path`` cannot be written.
    """
    file = Path(path)
    arrays = {name: getattr(problem, name) for name in (*PROBLEM_ARRAYS, "scores")}
    if start is not None:
        names = ("attention",) if start.model == "combined" else ("key", "query")
        arrays |= {name: getattr(start, name) for name in names}
    if file.exists() and not file.is_file():  # a device must not be replaced by a file
        raise BadInput(f"{_printable(file)}: is not a regular file; name a file to write")
    part = file.with_name(f"{file.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as stream:  # a stream: given a name, numpy would add ".npz" to it
            np.savez(stream, allow_pickle=False, **arrays)
        part.replace(file)
    except (OSError, ValueError) as error:  # ValueError: a null byte in the path
        with contextlib.suppress(OSError, ValueError):
            part.unlink()
        why = getattr(error, "strerror", None) or str(error)
        raise BadInput(f"{_printable(file)}: cannot be written ({why})") from error


def select_model(file: ProblemFile, requested: Model | None = None) -> Model:
    """The model to run: the start's own; without a start ``requested``, else diagonal.

    Raises BadInput where ``requested`` contradicts the start in the file.
    """
    if file.start is None:
        return requested or "diagonal"
    held = file.start.model
    if requested is not None and requested != held:
        raise BadInput(
            f"{_printable(file.path)}: holds a start of the {held} model, not of the {requested}"
            f" one; drop --model {requested}, or take the start out of the file"
        )
    return held


def _start(arrays: dict[str, Array], dim: int) -> Start | None:
    """The start in the file, if there is one; BadInput if there is half of one, or two."""
    given = [name for name in ("key", "query", "attention") if name in arrays]
    if not given:
        return None
    if given == ["attention"]:
        return Start.combined(arrays["attention"], dim)
    if "attention" in given:
        raise BadInput(f"holds attention beside {given[0]}; give key and query, or attention alone")
    if len(given) == 1:
        other = "query" if given == ["key"] else "key"
        raise BadInput(f"holds {given[0]} without {other}; give both, or neither")
    key, query = arrays["key"], arrays["query"]
    if key.ndim != query.ndim or key.ndim not in (1, 2):
        raise BadInput(
            f"key has shape {key.shape} and query {query.shape}; give both (d,) for the diagonal"
            f" model, or both (d, e) for the factored one"
        )
    return (Start.diagonal if key.ndim == 1 else Start.factored)(key, query, dim)


def _refuse_overflow(problem: AttentionProblem, start: Start | None) -> None:
    """Refuse numbers whose products, which every claim is about, leave the range of float64."""
    # |<G_r, W>| <= 2 max|x| max|z| d^2 where the entries of W are at most 1: it bounds the
    # entries of G_r as well as all sums over them.
    largest = np.abs(problem.tokens).max() * np.abs(problem.queries).max()
    if not np.isfinite(2.0 * problem.dim**2 * largest):
        raise BadInput("tokens times queries overflows; rescale the tokens or the queries")
    if not np.isfinite(problem.score_rounding).all():
        raise BadInput("tokens times head overflows; rescale the tokens or the head")
    if start is not None:
        held = [a for a in (start.key, start.query, start.attention) if a is not None]
        # |K|^2 + |Q|^2 bounds the nuclear norm of K Q^T and every conserved quantity.
        if not np.isfinite(sum(np.square(a).sum() for a in held)):
            names = "attention overflows" if len(held) == 1 else "key and query overflow"
            raise BadInput(f"{names} when squared; start from smaller weights")


def _printable(path: Path) -> str:
    """The path on one line, whatever characters it holds."""
    text = str(path)
    return text if text.isprintable() else repr(text)
