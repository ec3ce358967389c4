"""``marginflow extract``: one attention head of a trained network as a problem file.

The network scores token x for query z by <W_k x + b_k, W_q z + b_q>/sqrt(e), with W_k, W_q the
(e, D) rows of one head.  In the notation of THEORY.md 1 that is x'^T K Q^T z' with
K = [W_k b_k]^T/e^(1/4), Q = [W_q b_q]^T/e^(1/4) and x' = (x, 1), z' = (z, 1): exact, biases
included; without biases the constant coordinate is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from checks.npz import read_npz
from checks.problem_files import read_problem, write_problem
from checks.problems import Array, AttentionProblem, BadInput, Start

MAX_BYTES = 8 * 2**30
"""Largest file of weights that is opened: one layer of any common model is far below it."""
INPUTS = {"tokens": "(n, L, D)", "queries": "(n, D)", "labels": "(n,)"}
"""What enters the attention layer (after its normalisation), and the labels."""
NOT_JUDGED = (
    "the network was trained with steps, not by gradient flow, and all its weights together: "
    "embeddings, values and the read-out moved while key and query did, and here they are fixed",
    "any mask, normalisation or residual path around the layer is left out",
    "alignment (S6) is not met by trained weights: unaligned factored weights are a frontier "
    "claim, without a theorem",
)
"""What no number in a problem file can tell, in words, for whoever extracts one."""


@dataclass(frozen=True)
class Names:
    """Names of the weights in the file.  key and query, or both in packed (3D, D): query first.

    value (E, D), output (D, E), readout (D,): the head v = W_v^T W_o^T readout where the inputs
    hold none; E = heads * e.
    """

    key: str | None = None
    query: str | None = None
    packed: str | None = None
    value: str | None = None
    output: str | None = None
    readout: str | None = None


def extract(
    weights: Path, inputs: Path, file: Path, names: Names, head: int = 0, heads: int = 1
) -> AttentionProblem:
    """Write head number ``head`` of ``heads`` with these inputs as a factored problem to file.

    Raises BadInput, one line, where something is missing or does not fit.
    """
    if not 0 <= head < heads:
        raise BadInput(f"there is no head {head} of {heads}; the first is 0")
    tensors = read_weights(weights)
    try:
        arrays, _ = read_npz(inputs, INPUTS, {"head": "(D,)"})
    except BadInput as error:
        raise BadInput(f"{inputs}: {error}") from error
    dim = arrays["tokens"].shape[-1]
    try:
        key, query = _key_and_query(tensors, names, dim, head, heads)
        readout = _readout(tensors, names, dim, head, heads, arrays.get("head"))
    except BadInput as error:
        raise BadInput(f"{weights}: {error}") from error
    tokens, queries = arrays["tokens"], arrays["queries"]
    if key.shape[0] > dim:  # biases: a constant coordinate, which the read-out does not see
        if tokens.ndim != 3 or queries.ndim != 2:
            raise BadInput(f"{inputs}: tokens must be (n, L, D) and queries (n, D)")
        tokens, queries = (np.pad(a, [(0, 0)] * (a.ndim - 1) + [(0, 1)], constant_values=1.0)
                           for a in (tokens, queries))  # fmt: skip
        readout = np.append(readout, 0.0)
    try:
        problem = AttentionProblem.of(tokens, queries, arrays["labels"], readout)
        start = Start.factored(key, query, problem.dim)
    except BadInput as error:
        raise BadInput(f"{inputs}: {error}") from error
    write_problem(file, problem, start)
    return read_problem(file).problem  # refused at once if no check could read it


def read_weights(file: Path) -> Mapping[str, torch.Tensor]:
    """Name -> tensor of a safetensors file or a torch state dict (weights only, never unpickled).

    Raises BadInput.
    """
    try:
        size = file.stat().st_size
    except OSError as error:
        raise BadInput(f"{file}: cannot be read ({error.strerror or error})") from error
    if not file.is_file():
        raise BadInput(f"{file}: is not a regular file; name a state dict or .safetensors file")
    if size > MAX_BYTES:
        raise BadInput(f"{file}: is {size} bytes long; at most {MAX_BYTES} are read")
    loaded: object
    load: Callable[[Path], object]
    if file.suffix == ".safetensors":
        try:
            from safetensors.torch import load_file
        except ImportError as error:
            raise BadInput(
                f"{file}: it takes safetensors: pip install 'marginflow[extract]'"
            ) from error
        load = load_file
    else:
        load = _state_dict
    try:
        loaded = load(file)
    except Exception as error:  # whatever two foreign parsers raise on a foreign file
        raise BadInput(
            f"{file}: is not a file of weights that can be read safely ({type(error).__name__});"
            " save a state dict: torch.save(model.state_dict(), FILE), or safetensors"
        ) from error
    found = {k: v for k, v in loaded.items() if isinstance(v, torch.Tensor)} if isinstance(
        loaded, dict) else {}  # fmt: skip
    if not found:
        raise BadInput(f"{file}: holds no named tensors; save a state dict")
    return found


def _state_dict(file: Path) -> object:
    return torch.load(file, map_location="cpu", weights_only=True)


def _tensor(tensors: Mapping[str, torch.Tensor], name: str, axes: int) -> Array:
    if name not in tensors:
        known = ", ".join(sorted(tensors)[:20])
        raise BadInput(f"holds no {name!r}; it holds {known}")
    tensor = tensors[name]
    if tensor.ndim != axes or not tensor.is_floating_point():
        raise BadInput(f"{name} has shape {tuple(tensor.shape)}; expected {axes} axes of floats")
    return np.asarray(tensor.detach().to(torch.float64).numpy())


def _key_and_query(
    tensors: Mapping[str, torch.Tensor], names: Names, dim: int, head: int, heads: int
) -> tuple[Array, Array]:
    """(d, e) each: K and Q of the head, d = dim + 1 where there are biases."""
    if names.packed is not None:
        packed = _with_bias(tensors, names.packed, "bias")
        if packed.shape[0] % 3:
            raise BadInput(f"{names.packed} has {packed.shape[0]} rows, no multiple of 3")
        query, key, _ = np.split(packed, 3)
    elif names.key is not None and names.query is not None:
        key, query = (_with_bias(tensors, name, "bias") for name in (names.key, names.query))
    else:
        raise BadInput("name --key and --query, or --packed")
    if key.shape[1] != query.shape[1]:  # only one of them has a bias: the other's is 0
        width = max(key.shape[1], query.shape[1])
        key, query = (np.pad(a, [(0, 0), (0, width - a.shape[1])]) for a in (key, query))
    for name, rows in (("key", key), ("query", query)):
        if rows.shape[0] % heads or rows.shape[1] - dim not in (0, 1):
            raise BadInput(
                f"{name} has shape {rows.shape}; expected rows for {heads} heads and {dim} columns"
            )
    key, query = (np.split(rows, heads)[head] for rows in (key, query))
    if key.shape != query.shape:
        raise BadInput(f"key has shape {key.shape} and query {query.shape}; they must agree")
    scale = key.shape[0] ** 0.25
    return key.T / scale, query.T / scale


def _with_bias(tensors: Mapping[str, torch.Tensor], name: str, word: str) -> Array:
    """Rows of the weight, with its bias, if any, as a last column."""
    rows = _tensor(tensors, name, 2)
    bias = name.removesuffix("weight") + word if name.endswith("weight") else ""
    if bias not in tensors:
        return rows
    column = _tensor(tensors, bias, 1)
    if len(column) != len(rows):
        raise BadInput(f"{bias} has {len(column)} entries for {len(rows)} rows of {name}")
    return np.column_stack((rows, column)) if np.any(column) else rows


def _readout(
    tensors: Mapping[str, torch.Tensor], names: Names, dim: int, head: int, heads: int,
    given: Array | None,
) -> Array:  # fmt: skip
    """(D,) v: the inputs' own, or what value, output and read-out make of a token."""
    parts = (names.value, names.output, names.readout)
    if given is not None:
        if any(parts):
            raise BadInput("the inputs hold a head already; drop --value, --output, --readout")
        return given
    if names.value is None or names.output is None or names.readout is None:
        raise BadInput("the inputs hold no head (D,): add it, or --value, --output and --readout")
    value, output = _tensor(tensors, names.value, 2), _tensor(tensors, names.output, 2)
    readout = tensors.get(names.readout)
    if readout is not None and readout.ndim == 2 and readout.shape[0] == 1:
        tensors = {**tensors, names.readout: readout[0]}
    column = _tensor(tensors, names.readout, 1)
    if value.shape[0] % heads or output.shape[1] != value.shape[0] or value.shape[1] != dim:
        raise BadInput(f"value {value.shape} and output {output.shape} do not fit {heads} heads")
    if output.shape[0] != len(column):
        raise BadInput(f"read-out has {len(column)} entries for {output.shape[0]} rows of output")
    rows = np.split(np.arange(value.shape[0]), heads)[head]
    return np.asarray(column @ output[:, rows] @ value[rows])


def describe(problem: AttentionProblem, file: Path) -> str:
    """What was written, and what to keep in mind, in lines for a terminal."""
    rows = problem.samples * (problem.length - 1)
    lead = "unique" if problem.optimal_lead > 0 else "NOT unique: S2 says nothing of this file"
    return "\n".join(
        [
            f"wrote {file}: {problem.samples} samples, {problem.length} tokens, dimension "
            f"{problem.dim}, {rows} constraints; optimal tokens {lead}",
            *(f"  not judged: {line}" for line in NOT_JUDGED),
            f"next: marginflow check {file}",
        ]
    )
