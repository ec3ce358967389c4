"""Planted errors are caught by ``marginflow verify``: the suite's own negative controls.

Every plant (tests/planted.py) goes through the command line, in process, on a small profile.
A plant counts as caught only by the outcome *and the reason* written beside it; without any
plant the same profile exits 0 for the same claims, so it is the plant that is seen.

Exit status 1 where an identity or a certificate is contradicted; 3 where the run shows no
more than that nothing was verified (assumptions not judged, certificates that do not close).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from checks import budgets, streams
from checks.budgets import Budget
from checks.cli import main
from checks.flow import reference
from checks.flow.settings import Settings
from tests import planted
from tests.planted import Plant
from theory.catalogue import CLAIMS

pytestmark = pytest.mark.slow

TINY = Budget(
    "quick", cases=12, search=1, search_batch=2, chunk=64, violators=3, audited=0.05, stretches=4,
    informative=4, problems=4,
    settings=Settings(gap=1e-5, horizon=150.0, early_steps=600, late_steps=300),
)  # fmt: skip
"""Enough for every claim below to be HELD on sound code: at this gap most runs close in time."""
_SMALL = ((2, 3, 3), (4, 3, 6))
_ORBITS = (
    streams.Source("diagonal/separable/separating"),
    streams.Source("combined-diagonal/separable/random"),
)


@pytest.fixture(autouse=True)
def _tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """The quick profile shrunk, and every stream cut to two shapes."""
    monkeypatch.setitem(budgets.PROFILES, "quick", TINY)
    for name, stream in list(vars(streams).items()):
        if isinstance(stream, streams.Stream):
            # Twelve cases need not hold every kind of problem that a profile must see.
            small = replace(stream, shapes=_SMALL, share=1.0, must_see=())
            monkeypatch.setattr(streams, name, small)
    # Every row of these is audited, stretch by stretch: a third of the cases will do.
    orbits = replace(streams.ORBITS, sources=_ORBITS, share=1 / 3)
    monkeypatch.setattr(streams, "ORBITS", orbits)
    # Honest stretches take 3,000 evaluations at most; planted ones would use up all 50,000.
    monkeypatch.setattr(reference, "_EVALUATIONS", 5_000)


@dataclass(frozen=True)
class Caught:
    """A plant, and by which claim, with which outcome and words, it must be caught."""

    plant: Plant
    status: int
    by: dict[str, tuple[str, str]]
    """Claim -> outcome, and what its reason must contain."""


_ORBIT = {"flow.orbit": ("falsified", "deviation of a stretch")}
_GRADIENT = {"flow.gradient": ("falsified", "gradient difference")}
_DISJOINT = {
    "limit.trajectory-certificate": (
        "falsified",
        "the orbit's certificate and the solver's interval do not meet",
    )
}


def _unrecognised(assumption: str) -> tuple[str, str]:
    return "error", f"cases that violate {assumption} were not recognised as vacuous"


PLANTS = {
    caught.plant.__name__: caught
    for caught in (
        Caught(planted.gradient_sign, 1, _GRADIENT),
        Caught(planted.missing_mean, 1, _GRADIENT),
        Caught(planted.constraint_token, 1, _GRADIENT),
        Caught(planted.engine_token, 1, _GRADIENT),
        # The oracle answers for another norm: the flow is seen to solve "the other" problem.
        Caught(
            planted.oracle_norm, 1, {"limit.combined-l2": ("falsified", "closes on the l2 problem")}
        ),
        Caught(planted.oracle_norm_mislabelled, 1, _DISJOINT),
        # What the engine believes of its own norm is not believed: only its bracket stays open.
        Caught(
            planted.engine_norm,
            3,
            {"limit.trajectory-certificate": ("inconclusive", "the orbit's bracket is open")},
        ),
        Caught(planted.audit_norm, 1, _DISJOINT),
        Caught(
            planted.late_steps_long,
            1,
            {**_ORBIT, "limit.diagonal-l1": _unrecognised("infimum-reached")},
        ),
        Caught(planted.quadratic_mirror, 1, _ORBIT),
        Caught(planted.stale_weights, 1, _ORBIT),
        Caught(
            planted.solution_as_trajectory,
            1,
            {
                "flow.orbit": ("falsified", "no step was stored"),
                "limit.diagonal-l1": _unrecognised("infimum-reached"),
            },
        ),
        # A loose tolerance lets wrong margins pass: so a margin wrong by little is claimed.
        Caught(planted.loose_tolerance, 1, {"control.margin-beyond-optimum": ("held", "")}),
        Caught(
            planted.optimal_unique_ignored,
            3,
            {"limit.combined-l2": _unrecognised("optimal-unique")},
        ),
        Caught(planted.realisable_ignored, 3, {"limit.combined-l2": _unrecognised("realisable")}),
        Caught(planted.separable_ignored, 3, {"limit.combined-l2": _unrecognised("separable")}),
        Caught(planted.infimum_ignored, 3, {"limit.combined-l2": _unrecognised("infimum-reached")}),
        Caught(
            planted.nonzero_invariant_ignored,
            3,
            {"limit.diagonal-l1": _unrecognised("nonzero-invariant")},
        ),
    )
}


def verify(claims: list[str], directory: Path) -> tuple[int, dict[str, dict]]:
    """Exit status of ``marginflow verify``, and the verdict lines by claim."""
    arguments = ["verify", *claims, "--out", str(directory), "--workers", "1"]
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code in (0, 1, 3), done.output
    lines = (directory / "verdicts.jsonl").read_text().splitlines()
    verdicts = {record["claim"]: record for record in map(json.loads, lines)}
    assert set(verdicts) == set(claims)
    return done.exit_code, verdicts


def test_without_a_plant_the_small_profile_is_satisfied(tmp_path: Path) -> None:
    claims = sorted({claim for caught in PLANTS.values() for claim in caught.by})
    status, verdicts = verify(claims, tmp_path)
    assert {c: v["outcome"] for c, v in verdicts.items()} == {c: CLAIMS[c].expect for c in claims}
    assert status == 0


# Constraint rows that vanish by the plant make 0/0 in a descriptor, a warning outside pytest.
@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")
@pytest.mark.parametrize("name", PLANTS)
def test_every_planted_error_is_caught(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    caught = PLANTS[name]
    caught.plant(monkeypatch)
    status, verdicts = verify(list(caught.by), tmp_path)
    for claim, (outcome, words) in caught.by.items():
        assert verdicts[claim]["outcome"] == outcome, verdicts[claim]["reason"]
        assert words in verdicts[claim]["reason"]
    assert status == caught.status


@pytest.mark.parametrize("name", ["late_steps_long", "solution_as_trajectory"])
def test_no_case_is_held_on_an_orbit_that_is_no_flow(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both end on the SVM's optimum: only the fidelity of the orbit tells them from the flow."""
    PLANTS[name].plant(monkeypatch)
    verify(["limit.diagonal-l1"], tmp_path)
    evidence = json.loads((tmp_path / "evidence" / "limit.diagonal-l1.json").read_text())
    assert evidence["counts"]["held"] == 0
    assert any(reason.startswith("fidelity:") for reason in evidence["reasons"])
