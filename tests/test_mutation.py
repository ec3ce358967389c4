"""Mutants: they are what they are called, tests see them, and those that survive are justified."""

from __future__ import annotations

import ast
import datetime
import subprocess
import sys
from pathlib import Path

import pytest

from tests.mutation import operators, results
from tests.mutation.equivalent import EQUIVALENT, HARMLESS
from tests.mutation.operators import Mutant, mutants, mutated, sample
from tests.mutation.targets import TARGETS

SOURCE = '''
"""No docstring is mutated."""
BOUND = 1e-3
def f(x: int, *, n: int = 2) -> float:
    if x < 3 and not x:
        raise ValueError(f"{x + 1} is 0")
    word = "a" + "b", x.sum(1), x.amax(dim=-1, keepdim=True).flatten(-2)
    return max(zip(x[0, 1:], -x, strict=True)) @ x / 4 if x is not None else True
'''


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "small.py").write_text(SOURCE)
    monkeypatch.setattr(operators, "ROOT", tmp_path)
    return tmp_path


def test_every_operator_makes_its_mutants_and_text_is_left_alone(small: Path) -> None:
    found = [(m.operator, m.name.split(" | ")[2]) for m in mutants("small")]
    body = "max(zip({}, {}, strict=True)) @ x {} if {} else {}"
    usual = ("x[0, 1:]", "-x", "/ 4", "x is not None", "True")

    def whole(place: int, other: str) -> str:
        return body.format(*usual[:place], other, *usual[place + 1 :])

    assert sorted(found) == sorted(
        [
            ("constant", "0.002"),
            ("constant", "3"),
            ("boolean", "x < 3 or not x"),
            ("comparison", "x <= 3 and (not x)"),
            ("comparison", "x >= 3 and (not x)"),
            ("constant", "x < 4 and (not x)"),
            ("boolean", "x < 3 and (not not x)"),
            ("arithmetic", whole(2, "* 4")),
            ("constant", whole(2, "/ 5")),
            ("comparison", whole(3, "x is None")),
            ("index", whole(0, "x[1, 1:]")),
            ("index", whole(0, "x[0, 2:]")),
            ("sign", whole(1, "+x")),
            ("boolean", whole(4, "False")),
        ]
    )


def test_a_mutant_is_one_edit_of_the_tree_and_is_called_after_it(small: Path) -> None:
    before = ast.unparse(ast.parse(SOURCE))
    for mutant in mutants("small"):
        old, new = mutant.name.split(" | ")[1:3]
        after = ast.unparse(mutated(mutant))
        assert after != before
        assert after == before.replace(old, new, 1)


def test_names_are_unique_and_outlive_what_is_written_around_them(small: Path) -> None:
    names = [m.name for m in mutants("small")]
    assert len(set(names)) == len(names)
    (small / "small.py").write_text(f"import os\n\n\ndef g():\n    return os\n{SOURCE}")
    assert [m.name for m in mutants("small")] == names
    drawn = {m.name for m in sample(["small"], 5, 7)}
    assert len(drawn) == 5
    (small / "small.py").write_text(f"{SOURCE}\nclass New:\n    size = 3\n")
    # One more mutant takes at most one place.
    assert len(drawn & {m.name for m in sample(["small"], 5, 7)}) >= 4
    assert drawn != {m.name for m in sample(["small"], 5, 8)}


PROBE = """
import sys
from tests.mutation import trial
from tests.mutation.operators import mutants, mutated

def told(source):
    def work():
        from checks import tolerances
        return eval(source, {"tolerances": tolerances}), "said"
    return work

twice = next(m for m in mutants("checks.tolerances") if "-52" in m.name)
wrong = "tolerances.EPS != 2.0**-52"
sound = trial.run("checks.tolerances", None, told(wrong), 60)
planted = trial.run("checks.tolerances", mutated(twice), told(wrong), 60)
broken = trial.run("checks.tolerances", None, told("1/0"), 60)
endless = trial.run("checks.tolerances", None, told("any(iter(int, 1))"), 3)
assert "checks.tolerances" not in sys.modules
print(sound.outcome, planted.outcome, broken.outcome, broken.by, endless.outcome, sep=",")
"""


def test_a_trial_runs_the_mutant_and_nothing_else_does() -> None:
    done = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, check=True)
    assert done.stdout == "survived,killed,killed,ZeroDivisionError: division by zero,timeout\n"


def test_the_map_names_modules_and_tests_that_there_are() -> None:
    for module, tests in TARGETS.items():
        assert operators.source_of(module).is_file()
        for test in (*tests.first, *tests.more):
            file, _, name = test.partition("::")
            text = (operators.ROOT / file).read_text("utf-8")
            assert f"def {name.partition('[')[0]}" in text


def test_every_survivor_is_justified_and_no_justification_is_left_over() -> None:
    found = results.read()
    assert found, "python -m tests.mutation has not been run on this version"
    assert set(results.survivors(found)) == set(EQUIVALENT)
    reasons = (*EQUIVALENT.values(), *HARMLESS.values())
    assert all(reason.endswith(".") and len(reason) > 30 for reason in reasons)
    # Those of a night are mutants of this version, too.
    modules = {name.partition(":")[0] for name in HARMLESS}
    assert set(HARMLESS) <= {m.name for module in modules for m in operators.mutants(module)}


def test_the_score_in_contributing_is_that_of_the_results() -> None:
    text = (operators.ROOT / "CONTRIBUTING.md").read_text("utf-8")
    assert results.score(results.read()) in " ".join(text.split())


@pytest.mark.nightly
def test_five_errors_a_night_are_seen() -> None:
    """The seed is the date: ``python -m tests.mutation --plant DATE`` plants them again."""
    command = [sys.executable, "-m", "tests.mutation", "--plant", str(datetime.date.today())]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_mutants_of_the_suite_compile() -> None:
    drawn: list[Mutant] = results.drawn()
    assert len(drawn) == results.COUNT
    for mutant in drawn[::20]:
        compile(mutated(mutant), "mutant", "exec", dont_inherit=True)
