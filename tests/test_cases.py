"""The decoder: total, pure, every byte used; campaigns and replay records bit for bit."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given, settings

from checks.cases import (
    CaseSpec,
    blob_length,
    campaign_specs,
    case_from_record,
    case_record,
    decode,
)
from checks.families import FAMILIES
from tests.exact_cases import any_specs, cases, possible, replay_arrays


def test_zero_bytes_decode_everywhere():
    for name in FAMILIES:
        assert possible(name), name
        for shape in possible(name):
            case = decode(CaseSpec(name, shape, bytes(blob_length(name, shape))))
            n, length, d = shape
            assert case.problem.tokens.shape == (n, length, d + 1)


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(any_specs())
def test_decoder_is_total_and_pure(spec):
    case = decode(spec)
    assert case_record(case) == case_record(decode(spec))
    for value in case.inputs().values():
        # Weights that are all zero have log10 norm -inf; nothing else may be infinite or NaN.
        assert np.isfinite(value) or (value == -np.inf and not case.start.weights.any())
    # Mirrored queries carry the score lead of their mirror image.
    assert (case.problem.queries[:, -1] == 0).all() != ("/mirrored/" in spec.family)
    if FAMILIES[spec.family].problem != "unconstrained":
        assert case.problem.queries[:, :-1].any(axis=1).all()


def test_lengths_shapes_and_names_are_checked():
    name, shape = "diagonal/separable/separating", (2, 3, 2)
    good = bytes(blob_length(name, shape))
    for blob in (b"", good[:-1], good + b"\0"):
        with pytest.raises(ValueError, match="wants"):
            decode(CaseSpec(name, shape, blob))
    with pytest.raises(ValueError, match="no family is called"):
        decode(CaseSpec("diagonal/separable", shape, good))
    for bad_name, bad_shape in (
        (name, (0, 3, 2)),
        (name, (2, 1, 2)),
        ("diagonal/one-sample/small", (2, 3, 2)),
        ("diagonal/nonseparable/small", (1, 3, 2)),
        ("diagonal/trap/trapped", (2, 2, 2)),
        ("combined/trap/trapped", (3, 3, 2)),
        ("diagonal/contrary/frozen", (2, 3, 1)),
    ):
        with pytest.raises(ValueError, match="shape"):
            blob_length(bad_name, bad_shape)


@pytest.mark.parametrize(
    "name",
    [f"diagonal/{p}/small" for p in ("separable", "near-tied", "tied", "nonseparable")]
    + [f"diagonal/{p}/random" for p in ("equal-scores", "unconstrained", "unrealisable")]
    + [f"diagonal/separable/{s}" for s in ("separating", "conflicting", "degenerate")]
    + ["diagonal/contrary/frozen", "diagonal/trap/trapped"]
    + ["combined/separable/separating", "combined-diagonal/separable/small"]
    + [f"factored/separable/{s}" for s in ("small", "separating", "wide", "wide-separating")]
    + ["factored/low-rank/rank-one", "factored/trap/trapped", "factored/aligned-single/aligned"]
    + ["factored/aligned-general/aligned-small", "factored/symmetrised-rotated/aligned-random"]
    + ["factored/mirrored/key-is-query"],
)
def test_every_byte_matters(name):
    shape = {"symmetrised-rotated": (4, 3, 2), "mirrored": (4, 2, 2)}.get(
        name.split("/")[1], (2, 3, 2)
    )
    length = blob_length(name, shape)
    rng = np.random.default_rng(0)
    pending = set(range(length))
    # A byte may be idle for one style of data or one kind of witness: 80 tries of each.
    for _ in range(80):
        base = rng.integers(0, 256, length, dtype=np.uint8)
        before = replay_arrays(decode(CaseSpec(name, shape, base.tobytes())))
        for position in sorted(pending):
            other = base.copy()
            other[position] ^= rng.integers(1, 256, dtype=np.uint8)
            if replay_arrays(decode(CaseSpec(name, shape, other.tobytes()))) != before:
                pending.discard(position)
        if not pending:
            break
    assert not pending


def test_campaign_does_not_depend_on_its_chunks():
    name, shape = "diagonal/separable/random", (3, 3, 4)
    whole = campaign_specs("claim", name, shape, 7, range(40))
    parts = [campaign_specs("claim", name, shape, 7, range(a, a + 8)) for a in range(32, -8, -8)]
    assert whole == [spec for part in reversed(parts) for spec in part]
    assert campaign_specs("claim", name, shape, 7, [39, 3]) == [whole[39], whole[3]]
    # Neighbours read different stretches of the stream, not one stretch shifted by a block.
    assert whole[0].blob[32:64] != whole[1].blob[:32]
    for other in (
        campaign_specs("other", name, shape, 7, range(1)),
        campaign_specs("claim", name, shape, 8, range(1)),
        campaign_specs("claim", "diagonal/separable/small", shape, 7, range(1)),
    ):
        shared = min(len(other[0].blob), len(whole[0].blob))
        assert other[0].blob[:shared] != whole[0].blob[:shared]
    with pytest.raises(ValueError, match="negative"):
        campaign_specs("claim", name, shape, 7, [-1])


def test_campaign_bytes_are_pinned():
    """Old seeds must keep meaning the same cases: a changed stream is a breaking change."""
    spec = campaign_specs("claim", "diagonal/separable/random", (2, 2, 1), 0, [5])[0]
    assert spec.blob[:8].hex() == "4f78919603423272"


def test_distinct_draws_are_distinct_problems():
    for name in ("diagonal/separable/separating", "combined/separable/small"):
        assert len({case.problem.id for case in cases(name, (3, 3, 4), 200)}) == 200


@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(any_specs())
def test_records_round_trip_bit_for_bit(spec):
    assert CaseSpec.from_json(json.loads(json.dumps(spec.to_json()))) == spec
    case = decode(spec)
    back = case_from_record(json.loads(json.dumps(case_record(case))))
    assert replay_arrays(back) == replay_arrays(case)
    assert back.problem.id == case.problem.id
    assert (back.witness is None) == (case.witness is None)
    if case.witness is not None:
        assert back.witness.tobytes() == case.witness.tobytes()
    for name in ("regions", "start_family", "spec"):
        assert getattr(back, name) == getattr(case, name)
    assert back.start.model == case.start.model


def test_replay_takes_the_arrays_not_the_blob():
    case = cases("diagonal/separable/separating", (2, 3, 2), 1)[0]
    record = case_record(case)
    record["spec"]["blob"] = "00"
    assert replay_arrays(case_from_record(record)) == replay_arrays(case)
    record["problem"]["tokens"][0][0][0] = (1.5).hex()
    assert case_from_record(record).problem.tokens[0, 0, 0] == 1.5


@pytest.mark.parametrize("broken", ["schema", "spec", "problem", "start", "regions", "model"])
def test_malformed_records_are_refused(broken):
    record = case_record(cases("diagonal/separable/small", (2, 3, 2), 1)[0])
    without = {key: value for key, value in record.items() if key != broken}
    with pytest.raises(ValueError, match="not the record of a case"):
        case_from_record(without)


def test_malformed_numbers_are_refused():
    record = case_record(cases("diagonal/separable/small", (2, 3, 2), 1)[0])
    record["problem"]["labels"][0] = "zero"
    with pytest.raises(ValueError, match="hexadecimal"):
        case_from_record(record)
    with pytest.raises(ValueError, match="not the record of a case"):
        CaseSpec.from_json({"family": "x", "shape": [1, 2], "blob": ""})


def test_specs_and_cases_are_frozen():
    case = cases("diagonal/separable/small", (2, 3, 2), 1)[0]
    with pytest.raises(dataclasses.FrozenInstanceError):
        case.spec.blob = b""
    with pytest.raises(ValueError, match="read-only"):
        case.problem.tokens[0, 0, 0] = 1.0
