"""The catalogue is data one can trust: complete, acyclic, renderable, and free of sympy."""

from __future__ import annotations

import ast
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from math_core import LatexError, LatexToMathML

import theory
from checks import symbolic_checks
from theory.catalogue import ASSUMPTIONS, CLAIMS, SENTENCES, by_key, faults, foundations
from theory.notation import NOTATION

THEORY = Path(theory.__file__ or "").parent
MATHML = LatexToMathML()


def rendered(latex: str) -> str:
    return MATHML.convert_with_local_state(latex, displaystyle=True)


def test_the_catalogue_has_no_fault() -> None:
    assert faults() == []
    assert list(SENTENCES) == ["S1", "S2", "S3", "S4", "S5", "S6"]
    assert all(a.statement.strip() and a.latex.strip() for a in ASSUMPTIONS.values())


PLANTED = {
    "unknown sentence": {"sentences": ("S7",)},
    "unknown assumption": {"assumptions": ("plausible",)},
    "unknown claim": {"rests_on": ("symbolic.nothing",)},
    "in a circle": {"rests_on": ("limit.diagonal-l1",)},
    "not expected to hold": {"rests_on": ("control.symbolic-sign",)},
    "falsified_by is empty": {"falsified_by": " "},
    "not_shown is empty": {"not_shown": ""},
    "only they, are expected": {"expect": "falsified"},
    "a sentence is named twice": {"sentences": ("S1", "S1")},
    "filed under another key": {"key": "flow.orbits"},
}


@pytest.mark.parametrize("words", PLANTED)
def test_a_planted_fault_is_named(words: str) -> None:
    spoilt = {**CLAIMS, "flow.orbit": replace(CLAIMS["flow.orbit"], **PLANTED[words])}
    assert any(words in fault for fault in faults(spoilt))


def test_a_sentence_that_only_a_control_names_is_not_covered() -> None:
    bare = {
        key: replace(claim, sentences=tuple(s for s in claim.sentences if s != "S6"))
        for key, claim in CLAIMS.items()
    }
    key = "control.frozen-sign"
    bare[key] = replace(bare[key], sentences=("S6",))
    assert faults(bare) == ["no claim covers sentence S6"]


def test_duplicate_keys_are_refused() -> None:
    claim = CLAIMS["flow.orbit"]
    with pytest.raises(ValueError, match=r"'flow\.orbit' is defined twice"):
        by_key([claim, claim])


def test_foundations_come_first() -> None:
    for key in CLAIMS:
        order = foundations(key)
        assert order[-1] == key
        for place, name in enumerate(order):
            assert set(CLAIMS[name].rests_on) <= set(order[:place])


def test_limit_claims_rest_on_the_orbit_and_on_algebra() -> None:
    for claim in CLAIMS.values():
        if claim.kind == "limit":
            below = foundations(claim.key)
            # Directly, or through the claim on which it rests.
            assert {"flow.orbit", "flow.orbit-factored"} & set(below)
            assert "flow.gradient" in below
            on_kkt = any(key.startswith("symbolic.kkt") for key in below)
            # One limit is of the loss; all others are of directions, by a margin problem.
            assert on_kkt == (claim.key != "limit.aligned-infimum"), claim.key
            assert on_kkt or "symbolic.alignment" in claim.rests_on


def test_every_symbolic_claim_has_identities_and_the_other_way_round() -> None:
    wanted = {key for key, claim in CLAIMS.items() if claim.kind == "symbolic"}
    wanted |= {key for key in CLAIMS if key.startswith("control.symbolic")}
    assert set(symbolic_checks.claims()) == wanted
    stated = {i.claim for m in MODULES for i in symbolic_checks._module_identities(m)}
    assert stated == wanted


MODULES = sorted({m for modules in symbolic_checks._SOURCES.values() for m in modules})


def test_identity_names_are_distinct_and_none_is_left_out() -> None:
    everything = [i for m in MODULES for i in symbolic_checks._module_identities(m)]
    names = [(i.claim, i.name) for i in everything]
    assert len(set(names)) == len(names)
    measured = [i for key in symbolic_checks.claims() for i in symbolic_checks.identities_of(key)]
    assert {id(i) for i in measured} == {id(i) for i in everything}


@pytest.mark.parametrize("key", [*CLAIMS, *ASSUMPTIONS])
def test_latex_of_claims_and_assumptions_renders(key: str) -> None:
    latex = (CLAIMS | ASSUMPTIONS)[key].latex
    assert rendered(latex).startswith("<math")
    assert "$" not in latex


def test_latex_of_notation_and_derivations_renders() -> None:
    for symbol in NOTATION:
        assert rendered(symbol.latex).startswith("<math")
        assert min(symbol.name, symbol.shape, symbol.meaning)
    for key in symbolic_checks.claims():
        lines = symbolic_checks.derivation(key)
        assert lines
        for words, latex in lines:
            assert words.strip()
            assert rendered(latex).startswith("<math")


def test_latex_that_cannot_render_is_noticed() -> None:
    with pytest.raises(LatexError):
        rendered(r"\nosuchcommand{x}")


def test_listing_the_catalogue_loads_no_heavy_package() -> None:
    program = (
        "import sys, theory.catalogue, theory.notation\n"
        "print([m for m in ('sympy', 'numpy', 'torch', 'cvxpy', 'scipy') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def imported(source: str) -> set[str]:
    """Top-level names of what a module imports, wherever in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.split(".")[0])
    return found


def test_theory_imports_only_sympy_itself_and_the_standard_library() -> None:
    assert imported("def f():\n    import numpy.linalg") == {"numpy"}
    for path in THEORY.glob("*.py"):
        outside = imported(path.read_text("utf-8")) - set(sys.stdlib_module_names)
        assert outside <= {"sympy", "theory"}, path.name
