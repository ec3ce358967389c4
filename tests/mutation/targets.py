"""What is mutated, and which tests are likely to see it: the quick ones first, then more."""

from __future__ import annotations

from typing import NamedTuple


class Tests(NamedTuple):
    """first: run on every mutant.  more: on those that survive.  Files, or tests of a file."""

    first: tuple[str, ...]
    more: tuple[str, ...]


def _files(*names: str) -> tuple[str, ...]:
    return tuple(f"tests/test_{name}.py" for name in names)


def _identities(*claims: str) -> Tests:
    """Of a module that states the identities of these claims."""
    proofs = "tests/test_theory_proofs.py::test_every_identity_is_proved"
    return Tests(
        tuple(f"{proofs}[symbolic.{claim}]" for claim in claims),
        _files("theory_catalogue", "theory_proofs", "theory_derivatives"),
    )


TARGETS: dict[str, Tests] = {
    "theory.alignment": _identities("alignment", "factored-step"),
    "theory.attention": _identities("softmax-jacobian", "loss-infimum", "margin-form-combined"),
    "theory.factored_kkt": _identities("kkt-reparameterized", "kkt-factored"),
    "theory.gradient_flow": _identities("margin-form-combined", "margin-form-diagonal",
                                        "margin-form-factored", "diagonal-conservation"),
    "theory.identities": _identities("kkt-l1"),
    "theory.kkt": _identities("kkt-l1", "kkt-l2"),
    "theory.late_flow": _identities("monotone-margin"),
    "theory.margin_problems": _identities("kkt-l1", "kkt-l2", "kkt-factored"),
    "theory.rate_identities": _identities("rates"),
    "theory.reparameterization": _identities("reparameterized-flow", "mirror-form"),
    "checks.flow.weights": Tests(
        _files("flow_weights"), _files("flow_early", "flow_integrate", "flow_factored")
    ),
    "checks.flow.geometries": Tests(
        _files("flow_geometries", "flow_implicit", "flow_implicit_steps"),
        _files("flow_integrate", "flow_early", "flow_fidelity"),
    ),
    "checks.flow.factored": Tests(
        _files("flow_geometries", "flow_factored"),
        _files("flow_factored_orbits", "flow_implicit", "flow_implicit_steps", "flow_devices"),
    ),
    "checks.flow.combined": Tests(
        _files("flow_geometries", "flow_implicit", "flow_implicit_steps"),
        _files("flow_integrate", "flow_early", "flow_fidelity"),
    ),
    "checks.judging": Tests(
        _files("judging", "kkt_selection", "near_controls"),
        _files("flow_tenth", "neighbours", "runner"),
    ),
    "checks.kkt_checks": Tests(_files("kkt_selection"), _files("runner")),
    "checks.svm": Tests(_files("svm"), _files("separability", "lying_solvers", "l1_faces")),
    "checks.certificates": Tests(_files("certificates"), _files("svm", "lying_solvers", "rivals")),
    "checks.audit": Tests(
        _files("audit", "audit_case_files"), _files("oracle_extremes", "power_margins")),
}  # fmt: skip
"""Module -> its tests.  Claims are data, which mutants of this kind cannot make wrong."""
