"""One attention head of a network as a problem: the same scores, biases included; bad files."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from safetensors.torch import save_file
from torch import nn

from checks.cli import main
from checks.extract import Names, extract
from checks.problem_files import read_problem
from checks.problems import BadInput

N, L, D, HEADS = 3, 4, 6, 2
NAMES = ["--key", "key.weight", "--query", "query.weight"]


@pytest.fixture
def rng() -> torch.Generator:
    return torch.Generator().manual_seed(5)


def inputs(folder: Path, rng: torch.Generator, **changes: Any) -> Path:
    arrays: dict[str, Any] = {
        "tokens": torch.randn(N, L, D, generator=rng).numpy(),
        "queries": torch.randn(N, D, generator=rng).numpy(),
        "labels": np.array([1, -1, 1]),
        "head": torch.randn(D, generator=rng).numpy(),
    }
    file = folder / "inputs.npz"
    kept = {k: v for k, v in {**arrays, **changes}.items() if v is not None}
    np.savez(file, **kept)
    return file


def head_weights(rng: torch.Generator, bias: bool) -> dict[str, torch.Tensor]:
    state = {f"{name}.weight": torch.randn(4, D, generator=rng) for name in ("key", "query")}
    if bias:
        state |= {f"{name}.bias": torch.randn(4, generator=rng) for name in ("key", "query")}
    return state


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_the_attention_is_that_of_the_network(
    bias: bool, suffix: str, rng: torch.Generator, tmp_path: Path
) -> None:
    """softmax over tokens of x^T K Q^T z, against torch's own scaled dot product."""
    state = head_weights(rng, bias)
    weights = tmp_path / f"weights{suffix}"
    (save_file if suffix == ".safetensors" else torch.save)(state, weights)
    given = inputs(tmp_path, rng)
    extract(weights, given, tmp_path / "p.npz", Names("key.weight", "query.weight"))
    file = read_problem(tmp_path / "p.npz")
    assert file.start is not None
    own = np.einsum(
        "nld,de,fe,nf->nl",
        file.problem.tokens, file.start.key, file.start.query, file.problem.queries,
    )  # fmt: skip
    arrays = np.load(given)
    tokens, queries = (torch.tensor(arrays[name]).double() for name in ("tokens", "queries"))
    wide = {name: tensor.double() for name, tensor in state.items()}
    keys = nn.functional.linear(tokens, wide["key.weight"], wide.get("key.bias"))
    asked = nn.functional.linear(queries, wide["query.weight"], wide.get("query.bias"))
    # Equal up to a constant a sample, which softmax does not see; nor do we.
    theirs = ((keys * asked[:, None, :]).sum(-1) / 2.0).softmax(-1).numpy()
    assert np.allclose(torch.tensor(own).softmax(-1).numpy(), theirs, rtol=1e-12, atol=0)
    assert file.problem.dim == D + bias
    assert file.problem.realisable


def test_a_head_of_several_in_packed_weights(rng: torch.Generator, tmp_path: Path) -> None:
    """Against nn.MultiheadAttention's own attention weights, head by head."""
    torch.manual_seed(0)
    layer = nn.MultiheadAttention(D, HEADS, batch_first=True)
    nn.init.normal_(layer.in_proj_bias)
    torch.save(layer.state_dict(), tmp_path / "w.pt")
    given = inputs(tmp_path, rng)
    arrays = np.load(given)
    tokens, queries = (torch.tensor(arrays[name]) for name in ("tokens", "queries"))
    _, paid = layer(queries[:, None, :], tokens, tokens, average_attn_weights=False)
    for head in range(HEADS):
        names = Names(packed="in_proj_weight")
        extract(tmp_path / "w.pt", given, tmp_path / "p.npz", names, head, HEADS)
        file = read_problem(tmp_path / "p.npz")
        assert file.start is not None
        own = np.einsum("nld,de,fe,nf->nl", file.problem.tokens, file.start.key,
                        file.start.query, file.problem.queries)  # fmt: skip
        theirs = paid[:, head, 0].detach().numpy()
        assert np.allclose(torch.tensor(own).softmax(-1), theirs, rtol=1e-4, atol=1e-6)


def test_the_prediction_head_is_that_of_value_output_and_readout(
    rng: torch.Generator, tmp_path: Path
) -> None:
    state = head_weights(rng, False)
    state["v.weight"] = torch.randn(8, D, generator=rng)
    state["o.weight"] = torch.randn(5, 8, generator=rng)
    state["r.weight"] = torch.randn(1, 5, generator=rng)
    torch.save(state, tmp_path / "w.pt")
    names = Names("key.weight", "query.weight", None, "v.weight", "o.weight", "r.weight")
    given = inputs(tmp_path, rng, head=None)
    extract(tmp_path / "w.pt", given, tmp_path / "p.npz", names, 1, 2)
    v = read_problem(tmp_path / "p.npz").problem.head
    values = state["v.weight"][4:].double()
    expected = state["r.weight"][0].double() @ state["o.weight"][:, 4:].double() @ values
    assert np.allclose(v, expected.numpy(), rtol=1e-12)


def call(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["extract", *map(str, arguments)])


def refused(result: Result) -> str:
    assert result.exit_code == 2, result.output
    assert len(result.stderr.splitlines()) == 1
    return result.stderr


class _Bomb:
    """What unpickling would run."""

    def __reduce__(self) -> Any:
        return (Path.touch, (Path("/tmp/marginflow-was-here"),))


def test_nothing_is_unpickled(rng: torch.Generator, tmp_path: Path) -> None:
    weights = tmp_path / "w.pt"
    given = inputs(tmp_path, rng)
    weights.write_bytes(pickle.dumps({"key.weight": _Bomb()}))
    assert "cannot be read safely" in refused(
        call(weights, given, tmp_path / "p.npz", *NAMES)
    ).replace("can be read", "cannot be read")
    torch.save({"key.weight": _Bomb()}, weights)
    refused(call(weights, given, tmp_path / "p.npz", *NAMES))
    assert not Path("/tmp/marginflow-was-here").exists()
    assert not (tmp_path / "p.npz").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "name --key and --query"),
        (["--key", "nokey", "--query", "query.weight"], "holds no 'nokey'"),
        ([*NAMES, "--head", "1"], "no head 1 of 1"),
        ([*NAMES, "--heads", "3"], "rows for 3 heads"),
        (["--packed", "key.weight"], "no multiple of 3"),
        (["--key", "key.bias", "--query", "query.weight"], "expected 2 axes"),
        ([*NAMES, "--value", "key.weight"], "hold a head already"),
    ],
)
def test_what_does_not_fit_is_named(
    options: list[str], words: str, rng: torch.Generator, tmp_path: Path
) -> None:
    torch.save(head_weights(rng, True), tmp_path / "w.pt")
    given = inputs(tmp_path, rng)
    assert words in refused(call(tmp_path / "w.pt", given, tmp_path / "p.npz", *options))


@pytest.mark.parametrize("changes", [{"tokens": None}, {"labels": np.zeros(3)}, {"head": None},
                                     {"queries": np.ones((3, 2))}])  # fmt: skip
def test_bad_inputs(changes: dict[str, Any], rng: torch.Generator, tmp_path: Path) -> None:
    torch.save(head_weights(rng, False), tmp_path / "w.pt")
    given = inputs(tmp_path, rng, **changes)
    refused(call(tmp_path / "w.pt", given, tmp_path / "p.npz", *NAMES))


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", b"\x80\x04.", b"{}", bytes(100)])
@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_foreign_weights(data: bytes, suffix: str, rng: torch.Generator, tmp_path: Path) -> None:
    file = tmp_path / f"w{suffix}"
    file.write_bytes(data)
    refused(call(file, inputs(tmp_path, rng), tmp_path / "p.npz", *NAMES))
    with pytest.raises(BadInput, match="cannot be read"):
        extract(tmp_path / "none.pt", file, file, Names())
