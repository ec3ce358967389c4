"""Hostile input: whatever is typed or read, one clear line, and nothing is written elsewhere."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from checks import campaign, own_data, runner
from checks.cases import campaign_specs, case_from_record, case_record, decode
from checks.cli import main
from checks.outcomes import CaseResult, Outcome
from checks.problem_files import write_problem
from checks.problems import BadInput

ROOT = Path(__file__).resolve().parent.parent


def sober(result: Result, most: int = 1) -> None:
    """No traceback; a refusal is one line (at most, of many files)."""
    ended = result.exception is None or isinstance(result.exception, SystemExit)
    assert ended, repr(result.exception)
    assert result.exit_code in (0, 1, 2, 3)
    assert "Traceback" not in result.output
    if result.exit_code == 2 and not result.stderr.startswith("Usage:"):
        assert result.stdout == ""
        lines = result.stderr.splitlines()
        assert 1 <= len(lines) <= most, result.stderr
        assert all(line.startswith("marginflow: ") for line in lines)


# --- the command line -----------------------------------------------------------------------

COMMANDS = ("verify", "check", "list", "explain", "replay", "audit", "report", "example", "extract")
_WORDS = st.one_of(
    st.sampled_from(
        [*COMMANDS, "--profile", "quick", "--seed", "0", "--out", "out", "--device", "cpu", "cuda",
         "--workers", "--cluster", "--resume", "--time-limit", "10m", "--fail-fast", "--model",
         "diagonal", "--starts", "--json", "--html", "p.npz", "bad.npz", "case.json", ".", "-h",
         "--version", "limit.diagonal-l1", "symbolic.kkt-l1", "iris", "random", "--", "-", "",
         "--data", "data", "--weights", "--inputs", "/dev/null", "/dev/zero", "no/such/place"]
    ),
    st.text(max_size=12),
    st.integers().map(str),
    st.floats().map(str),
)  # fmt: skip


def _checked(path: Path, *rest: Any, **more: Any) -> dict[str, Any]:
    """In the place of a flow: the file is read for good, and judged by nothing."""
    own_data.read_problem(path)
    raise BadInput(f"{path}: not judged in this test")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a good problem, a bad one and a case; no command measures anything."""
    folder = tmp_path_factory.mktemp("place")
    case = decode(campaign_specs("h", "diagonal/separable/separating", (3, 3, 4), 0, [0])[0])
    write_problem(folder / "p.npz", case.problem)
    (folder / "bad.npz").write_bytes(b"PK\x03\x04 and no more")
    (folder / "data").mkdir()
    (folder / "case.json").write_text(json.dumps({**case_record(case), "claim": "limit.none"}))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(campaign, "run", lambda *_: [])
        patch.setattr(own_data, "check", _checked)
        yield folder


@settings(max_examples=400)
@given(arguments=st.lists(_WORDS, max_size=7))
def test_no_command_line_ends_in_a_traceback(place: Path, arguments: list[str]) -> None:
    sober(CliRunner().invoke(main, arguments), max(len(arguments), 1))


@settings(max_examples=200)
@given(command=st.sampled_from(COMMANDS), rest=st.lists(_WORDS, max_size=5))
def test_no_subcommand_ends_in_a_traceback(place: Path, command: str, rest: list[str]) -> None:
    sober(
        CliRunner().invoke(main, [command, *rest]), len(rest) if command == "check" and rest else 1
    )


# --- case files --------------------------------------------------------------------------------

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
    | st.sampled_from(["0x1p0", "nan", "inf", "0x1p+99999", "0x1p1023", "diagonal/x", "-1"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner,
                                                               max_size=2),
    max_leaves=6,
)  # fmt: skip


def _places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every path into a JSON value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(
        value, list) else ()  # fmt: skip
    return [at, *(path for key, part in inner for path in _places(part, (*at, key)))]


def _changed(value: Any, path: tuple[Any, ...], to: Any) -> Any:
    if not path:
        return to
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = _changed(value[path[0]], path[1:], to)
    return copy


@pytest.fixture(scope="module")
def record() -> dict[str, Any]:
    """A case file with a certificate, as small as can be."""
    case = decode(campaign_specs("h", "diagonal/separable/separating", (2, 2, 1), 0, [0])[0])
    certificate = {
        "norm": "l1", "selected": case.problem.optimal.tolist(), "primal": ["0x1p0"] * 2,
        "dual": [{"sample": 0, "token": 0, "weight": "0x1p0"}], "gap": "0x1p0",
    }  # fmt: skip
    return {
        **case_record(case), "claim": "limit.diagonal-l1", "profile": "quick", "seed": 0,
        "outcome": "held", "reason": "", "measurement": None, "certificate": certificate,
    }  # fmt: skip


@pytest.mark.parametrize("command", ["replay", "audit"])
@settings(max_examples=150, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_no_case_file_ends_in_a_traceback(
    command: str, record: dict[str, Any], tmp_path_factory: pytest.TempPathFactory,
    data: st.DataObject,
) -> None:  # fmt: skip
    """Up to three values of a sound record are replaced by any JSON."""
    changed: Any = record
    for _ in range(data.draw(st.integers(1, 3))):
        changed = _changed(changed, data.draw(st.sampled_from(_places(changed))), data.draw(_JSON))
    file = tmp_path_factory.getbasetemp() / "fuzzed.json"
    file.write_text(json.dumps(changed))
    with pytest.MonkeyPatch.context() as patch:
        # The case is decoded for good; the flow itself is not followed.
        patch.setattr(runner, "replay", _decoded)
        sober(CliRunner().invoke(main, [command, str(file)]))


def _decoded(record: dict[str, Any], device: str = "cpu") -> CaseResult:
    campaign.CLAIMS[record["claim"]]
    case_from_record(record).inputs()
    return CaseResult(Outcome.HELD, "", "p", {})


# --- where the output goes ------------------------------------------------------------------


def _listed(stdout: int) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "checks.cli", "list"]
    return subprocess.run(
        command, cwd=ROOT, stdout=stdout, stderr=subprocess.PIPE, text=True, check=False
    )


def test_output_that_nobody_reads_ends_the_command_in_silence() -> None:
    """As `marginflow list | head -1` does; status 1 would say that a claim was falsified."""
    reader, writer = os.pipe()
    os.close(reader)
    done = _listed(writer)
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
def test_output_that_cannot_be_written_is_one_line() -> None:
    with open("/dev/full", "w") as full:
        done = _listed(full.fileno())
    assert done.returncode == 2
    assert done.stderr == "marginflow: cannot write the output: No space left on device\n"


@pytest.mark.parametrize("size", [1e-310, 1e17, 1e300])
def test_numbers_of_any_size_are_judged_or_refused(size: float, tmp_path: Path) -> None:
    """Far beyond any rounding: the softmax saturates at once, or never leaves its start."""
    rng = np.random.default_rng(0)
    arrays = {"tokens": size * rng.normal(size=(2, 3, 4)), "queries": rng.normal(size=(2, 4)),
              "labels": np.array([1, -1]), "head": rng.normal(size=4)}  # fmt: skip
    file = tmp_path / "p.npz"
    np.savez(file, **arrays)
    done = subprocess.run(
        [sys.executable, "-m", "checks.cli", "check", str(file), "--starts", "1", "--json"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode in (0, 2, 3), done.stderr
    assert "Traceback" not in done.stderr
    if done.returncode != 2:
        (run,) = json.loads(done.stdout)["runs"]
        assert run["outcome"] != "falsified"
        # Nothing was bounded: then nothing is claimed of the selected tokens either.
        assert run["dual_gap"] is not None or run["selected_outcome"] != "held"


# --- memory, and what is written --------------------------------------------------------------

_LIMITED = """
import resource, sys
from checks import problem_files, problems
resource.setrlimit(resource.RLIMIT_AS, (2**31, 2**31))
try:
    problem_files.read_problem(sys.argv[1])
except problems.BadInput as error:
    print(error)
"""


@pytest.mark.parametrize("kind", ["declares", "bomb"])
def test_a_file_that_asks_for_terabytes_is_refused_within_2_gib(kind: str, tmp_path: Path) -> None:
    """1e12 elements declared, or 300 MB of zeros in a file of 300 kB."""
    import zipfile

    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (10000, 10000, 10000), }"
    npy = b"\x93NUMPY\x01\x00" + (len(header) + 1).to_bytes(2, "little") + header + b"\n"
    file = tmp_path / "huge.npz"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("tokens.npy", "w") as entry:
            entry.write(npy)
            for _ in range(300 if kind == "bomb" else 0):
                entry.write(bytes(1_000_000))
        for name in ("queries", "labels", "head"):
            archive.writestr(f"{name}.npy", npy)
    done = subprocess.run(
        [sys.executable, "-c", _LIMITED, str(file)], cwd=ROOT, text=True, capture_output=True,
        check=True,
    )  # fmt: skip
    assert "huge.npz" in done.stdout
    assert "smaller arrays" in done.stdout


@pytest.mark.slow
def test_nothing_is_written_outside_out(tmp_path: Path) -> None:
    """In a home of its own, with every folder that programs like to write to."""
    home, out = tmp_path / "home", tmp_path / "out"
    home.mkdir()
    (home / "tmp").mkdir()
    case = decode(campaign_specs("h", "diagonal/separable/separating", (3, 3, 4), 0, [0])[0])
    write_problem(home / "p.npz", case.problem, case.start)
    before = sorted(home.rglob("*"))
    environment = {**os.environ, "HOME": str(home), "TMPDIR": str(home / "tmp"),
                   "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}  # fmt: skip
    for name in [name for name in environment if name.startswith("XDG_")]:
        del environment[name]
    for arguments in (
        ["verify", "control.unscaled-gradient", "--out", str(out), "--workers", "1"],
        ["check", "p.npz", "--json"],
        ["report", str(out)],
    ):
        done = subprocess.run(
            [sys.executable, "-m", "checks.cli", *arguments], cwd=home, env=environment, text=True,
            capture_output=True, check=False,
        )  # fmt: skip
        assert done.returncode in (0, 3), done.stderr
        assert sorted(home.rglob("*")) == before, arguments
    assert (out / "index.html").is_file()
