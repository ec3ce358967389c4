"""General weights: frames, aligned starts of both forms, and the exact step.

Rotations are parametrised by the tangent of half their angle, which covers all but one; a
reflection is a sign of a singular coordinate, and those are free.
"""

from __future__ import annotations

from itertools import product

import sympy as sp

from theory.attention import SymbolicProblem, inner, loss, matrix, vector, weighted
from theory.gradient_flow import diagonal_flow
from theory.identities import Identity


def rotation(name: str) -> sp.MatrixBase:
    """A free rotation of the plane, (2, 2), rational in its one symbol."""
    t = sp.Symbol(name, real=True)
    cosine, sine = (1 - t**2) / (1 + t**2), 2 * t / (1 + t**2)
    return sp.ImmutableMatrix([[cosine, -sine], [sine, cosine]])


def identities() -> list[Identity]:
    """Alignment is preserved (both forms), and the exact step of [K; Q]."""
    return [*_single_entry_identities(), *_symmetrised_identities(), *_step_identities()]


def _single_entry_identities() -> list[Identity]:
    claim = "symbolic.alignment"
    left, right, inner_frame = rotation("a"), rotation("b"), rotation("c")
    k, q = vector("k", 2), vector("q", 2)
    key = left * sp.diag(*k) * inner_frame.T
    query = right * sp.diag(*q) * inner_frame.T
    used = (0, 1, 1)  # direction j of each constraint; both occur
    alpha, zeta, multiplier = vector("alpha", 3), vector("zeta", 3), vector("lambda", 3)
    matrices = [alpha[r] * zeta[r] * left[:, j] * right[:, j].T for r, j in enumerate(used)]
    force = weighted(list(multiplier), matrices)
    strength = [
        sp.Add(*(multiplier[r] * alpha[r] * zeta[r] for r in range(3) if used[r] == j))
        for j in range(2)
    ]
    token, target = vector("x", 2), vector("z", 2)
    free_key, free_query = matrix("K", 2, 2), matrix("Q", 2, 2)
    return [
        Identity(
            claim=claim,
            name="single-entry",
            statement=(
                "If every G_r is alpha zeta u_j v_j^T in the frames of the start, the velocity "
                "is diagonal in those frames and is the diagonal flow's; any lambda."
            ),
            latex=(
                r"U^\top G(\lambda) Q R = \operatorname{diag}(q \circ A^\top \lambda), \quad "
                r"V^\top G(\lambda)^\top K R = \operatorname{diag}(k \circ A^\top \lambda)"
            ),
            left=sp.Matrix.vstack(
                left.T * force * query * inner_frame, right.T * force.T * key * inner_frame
            ),
            right=sp.Matrix.vstack(
                sp.diag(*(a * b for a, b in zip(q, strength, strict=True))),
                sp.diag(*(a * b for a, b in zip(k, strength, strict=True))),
            ),
        ),
        Identity(
            claim=claim,
            name="frames",
            statement=(
                "Logits depend on tokens, queries and weights only through their coordinates "
                "in orthogonal frames, so the frames may be taken to be the axes."
            ),
            latex=(
                r"(U^\top x)^\top (U^\top K R) (V^\top Q R)^\top (V^\top z) = x^\top K Q^\top z"
            ),
            left=inner(
                left.T * token,
                (left.T * free_key * inner_frame)
                * (right.T * free_query * inner_frame).T
                * right.T
                * target,
            ),
            right=inner(token, free_key * free_query.T * target),
        ),
        _only_if(left, right),
        _single_entry_from_loss(),
    ]


def _only_if(left: sp.MatrixBase, right: sp.MatrixBase) -> Identity:
    """The converse: diagonal for every lambda, so each G_r is (lambda = e_r), has one entry."""
    entries = left.T * vector("delta", 2) * (right.T * vector("z", 2)).T
    return Identity(
        claim="symbolic.alignment",
        name="single-entry-only",
        statement=(
            "G_r = delta_r z_r^T has rank one in any frames: two nonzero entries on the diagonal "
            "of U^T G_r V would make two off it nonzero. So G(lambda) is diagonal for every "
            "lambda only if each U^T G_r V has at most one nonzero entry, on the diagonal."
        ),
        latex=(
            r"(U^\top G_r V)_{ii} \, (U^\top G_r V)_{jj} = (U^\top G_r V)_{ij} \, "
            r"(U^\top G_r V)_{ji}"
        ),
        left=sp.ImmutableMatrix([[entries[0, 0] * entries[1, 1]]]),
        right=sp.ImmutableMatrix([[entries[0, 1] * entries[1, 0]]]),
    )


def _diagonal_velocity(
    problem: SymbolicProblem, k: sp.MatrixBase, q: sp.MatrixBase
) -> sp.MatrixBase:
    """[K'; Q'] (4, 2) from the loss in all entries of K and Q, at K = diag(k), Q = diag(q)."""
    step = sp.Symbol("epsilon", real=True)
    found = []
    for moved in range(8):
        entry = sp.zeros(4, 2)
        entry[moved] = step
        key, query = sp.diag(*k) + entry[:2, :], sp.diag(*q) + entry[2:, :]
        found.append(-sp.diff(loss(problem, key * query.T), step).subs(step, 0))
    return sp.ImmutableMatrix(4, 2, found)


def _single_entry_from_loss() -> Identity:
    """Axis-aligned data with free tokens x_io: tokens differ along one axis a sample."""
    scores = [[sp.Symbol(f"gamma_{i + 1}{m + 1}", real=True) for m in range(3)] for i in range(2)]
    axis = [sp.Matrix([1, 0]), sp.Matrix([0, 1])]
    tokens = []
    for i in range(2):
        best, shift = vector(f"x_{i + 1}", 2), vector(f"alpha_{i + 1}", 2)
        tokens.append((best, best - shift[0] * axis[i], best - shift[1] * axis[i]))
    problem = SymbolicProblem(
        tokens=tuple(tokens),
        queries=tuple(sp.Symbol(f"zeta_{i + 1}", real=True) * axis[i] for i in range(2)),
        scores=tuple(tuple(row) for row in scores),
        optimal=(0, 0),
    )
    k, q = vector("k", 2), vector("q", 2)
    k_dot, q_dot = diagonal_flow(problem, k, q)
    return Identity(
        claim="symbolic.alignment",
        name="single-entry-from-loss",
        statement=(
            "With axis-aligned data the gradient of the loss in the full K and Q at diagonal "
            "K, Q is diagonal and equals that of the loss in k and q; n = 2, L = 3."
        ),
        latex=r"\dot K = \operatorname{diag}(\dot k), \; \dot Q = \operatorname{diag}(\dot q)",
        left=_diagonal_velocity(problem, k, q),
        right=sp.Matrix.vstack(sp.diag(*k_dot), sp.diag(*q_dot)),
    )


def _symmetrised_identities() -> list[Identity]:
    claim = "symbolic.alignment"
    flips = [sp.diag(*signs) for signs in product((1, -1), repeat=2)]
    base = tuple(vector(f"x_{m + 1}", 2) for m in range(3))
    target = vector("z", 2)
    scores = tuple(sp.Symbol(f"gamma_{m + 1}", real=True) for m in range(3))
    single = SymbolicProblem((base,), (target,), (scores,), (0,))
    copies = SymbolicProblem(
        tokens=tuple(tuple(flip * x for x in base) for flip in flips),
        queries=tuple(flip * target for flip in flips),
        scores=(scores,) * len(flips),
        optimal=(0,) * len(flips),
    )
    k, q = vector("k", 2), vector("q", 2)
    k_dot, q_dot = diagonal_flow(single, k, q)
    delta, aim = vector("delta", 3), vector("z", 3)
    signs_list = list(product((1, -1), repeat=3))
    total = sp.zeros(3, 3)
    for signs in signs_list:
        flip = sp.diag(*signs)
        total += flip * delta * (flip * aim).T
    hadamard = sp.Matrix([[1, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]])
    wide, wide_aim = vector("delta", 4), vector("z", 4)
    averaged = sp.zeros(4, 4)
    for h in range(4):
        flip = sp.diag(*hadamard[h, :])
        averaged += flip * wide * (flip * wide_aim).T
    return [
        Identity(
            claim=claim,
            name="symmetrised-from-loss",
            statement=(
                "One sample and its copies under all sign flips: at diagonal K, Q the gradient "
                "of the copies' loss in the full K, Q is the diagonal flow of the one sample; "
                "L = 3, d = e = 2, four copies."
            ),
            latex=r"\dot K = \operatorname{diag}(\dot k), \; \dot Q = \operatorname{diag}(\dot q)",
            left=_diagonal_velocity(copies, k, q),
            right=sp.Matrix.vstack(sp.diag(*k_dot), sp.diag(*q_dot)),
        ),
        Identity(
            claim=claim,
            name="all-flips",
            statement="The sum over all 2^d flips keeps the diagonal; d = 3.",
            latex=r"\sum_h (D_h \delta)(D_h z)^\top = 2^d \operatorname{diag}(\delta \circ z)",
            left=total,
            right=8 * sp.diag(*delta.multiply_elementwise(aim)),
        ),
        Identity(
            claim=claim,
            name="hadamard-flips",
            statement="So does the sum over the rows of a Hadamard matrix; d = 4, four copies.",
            latex=r"\sum_h (D_h \delta)(D_h z)^\top = d \, \operatorname{diag}(\delta \circ z)",
            left=averaged,
            right=4 * sp.diag(*wide.multiply_elementwise(wide_aim)),
        ),
    ]


def exact_step(
    left: sp.MatrixBase,
    singular: sp.MatrixBase,
    right: sp.MatrixBase,
    key: sp.MatrixBase,
    query: sp.MatrixBase,
    time: sp.Expr,
) -> tuple[sp.MatrixBase, sp.MatrixBase]:
    """(K, Q) after ``time`` under constant G = U diag(singular) V^T, from (key, query)."""
    cosh = sp.diag(*(sp.cosh(time * s) for s in singular))
    sinh = sp.diag(*(sp.sinh(time * s) for s in singular))
    key_part, query_part = left.T * key, right.T * query
    return (
        left * (cosh * key_part + sinh * query_part),
        right * (sinh * key_part + cosh * query_part),
    )


def _step_identities() -> list[Identity]:
    claim = "symbolic.factored-step"
    left, right, singular = rotation("a"), rotation("b"), vector("sigma", 2)
    key, query = matrix("K", 2, 2), matrix("Q", 2, 2)
    time = sp.Symbol("Delta", real=True)
    force = left * sp.diag(*singular) * right.T
    k_now, q_now = exact_step(left, singular, right, key, query, time)
    k_start, q_start = exact_step(left, singular, right, key, query, sp.Integer(0))
    return [
        Identity(
            claim=claim,
            name="solves-the-flow",
            statement="The derivative of the step in Delta is (G Q, G^T K); d = e = 2.",
            latex=r"\frac{d}{d\Delta} K_\Delta = G Q_\Delta, \quad \frac{d}{d\Delta} Q_\Delta = "
            r"G^\top K_\Delta",
            left=sp.Matrix.vstack(k_now.diff(time), q_now.diff(time)),
            right=sp.Matrix.vstack(force * q_now, force.T * k_now),
            steps=(
                (
                    "Insert the singular value decomposition of G.",
                    r"\frac{d}{d\Delta} \bigl( U^\top K \bigr) = \Sigma \, V^\top Q, \quad "
                    r"\frac{d}{d\Delta} \bigl( V^\top Q \bigr) = \Sigma \, U^\top K",
                ),
            ),
        ),
        Identity(
            claim=claim,
            name="starts-at-the-start",
            statement="At Delta = 0 the step is the identity.",
            latex=r"K_0 = K, \quad Q_0 = Q",
            left=sp.Matrix.vstack(k_start, q_start),
            right=sp.Matrix.vstack(key, query),
        ),
        Identity(
            claim=claim,
            name="conserves",
            statement="K^T K - Q^T Q is the same before and after the step.",
            latex=r"K_\Delta^\top K_\Delta - Q_\Delta^\top Q_\Delta = K^\top K - Q^\top Q",
            left=k_now.T * k_now - q_now.T * q_now,
            right=key.T * key - query.T * query,
        ),
    ]
