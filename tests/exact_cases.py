"""Ways to draw cases and to judge them in exact arithmetic, for the tests of the decoder.

Nothing here is shared with the decoder or the constraint builder: margins, invariants and
opposite constraints are recomputed in fractions from the raw arrays.
"""

from __future__ import annotations

import dataclasses
from fractions import Fraction

import numpy as np
from hypothesis import strategies as st
from scipy.optimize import linprog

from checks.cases import Case, CaseSpec, blob_length, campaign_specs, decode
from checks.families import FAMILIES

SHAPES = ((1, 2, 1), (1, 3, 2), (2, 2, 1), (2, 3, 2), (3, 3, 4), (4, 4, 3), (4, 3, 1), (2, 2, 4))
GOOD = ("separable", "near-tied", "equal-scores", "contrary", "trap")


def possible(name, shapes=SHAPES):
    """The shapes among ``shapes`` that the family can have."""
    out = []
    for shape in shapes:
        try:
            FAMILIES[name].check_shape(shape)
        except ValueError:
            continue
        out.append(shape)
    return out


def cases(name, shape, count, seed=0):
    return [decode(spec) for spec in campaign_specs("tests", name, shape, seed, range(count))]


def exactly(size):
    return {"min_size": size, "max_size": size}


def any_specs():
    """Specs of every family and shape, blobs without structure."""
    return (
        st.sampled_from([(name, shape) for name in FAMILIES for shape in possible(name)])
        .flatmap(lambda pair: st.tuples(st.just(pair), st.binary(**exactly(blob_length(*pair)))))
        .map(lambda drawn: CaseSpec(*drawn[0], drawn[1]))
    )


def fractions(array):
    if np.ndim(array) == 0:
        return Fraction(float(array))
    return [fractions(part) for part in array]


def exact_levels(problem, weights):
    """[i][l] x_il^T W z_i in fractions; weights (dim,) or (dim, dim)."""
    x, z, w = (fractions(a) for a in (problem.tokens, problem.queries, weights))
    if np.ndim(weights) == 1:
        h = [[wj * zj for wj, zj in zip(w, zi, strict=True)] for zi in z]
    else:
        h = [[sum(a * b for a, b in zip(row, zi, strict=True)) for row in w] for zi in z]
    return [
        [sum(a * b for a, b in zip(token, hi, strict=True)) for token in xi]
        for xi, hi in zip(x, h, strict=True)
    ]


def exact_margins(problem, weights, chosen=None):
    """Margins of the tokens of best *given* score (or ``chosen``) over all others."""
    scores = problem.scores.tolist()
    out = []
    for i, levels in enumerate(exact_levels(problem, weights)):
        o = scores[i].index(max(scores[i])) if chosen is None else int(chosen[i])
        out += [levels[o] - level for t, level in enumerate(levels) if t != o]
    return out


def exact_invariants(start):
    """k_j^2 - q_j^2 in fractions."""
    return [
        k * k - q * q for k, q in zip(fractions(start.key), fractions(start.query), strict=True)
    ]


def opposite_pair(problem):
    """Is some constraint matrix G_r exactly -G_s?  (Then no W satisfies both.)"""
    x, z = fractions(problem.tokens), fractions(problem.queries)
    scores = problem.scores.tolist()
    seen = set()
    for i, row in enumerate(scores):
        o = row.index(max(row))
        for t in range(len(row)):
            if t != o:
                delta = [a - b for a, b in zip(x[i][o], x[i][t], strict=True)]
                seen.add(tuple(a * b for a in delta for b in z[i]))
    return any(tuple(-g for g in matrix) in seen for matrix in seen)


def attention(problem, weights):
    """(n, L) softmax of the levels."""
    z = problem.queries
    h = z @ weights.T if weights.ndim == 2 else z * weights
    levels = np.einsum("ild,id->il", problem.tokens, h)
    e = np.exp(levels - levels.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def rows(problem):
    """(R, dim) constraint rows of the diagonal model, written out."""
    out = []
    for i, o in enumerate(np.argmax(problem.scores, axis=1)):
        others = [t for t in range(problem.length) if t != o]
        out += [(problem.tokens[i, o] - problem.tokens[i, t]) * problem.queries[i] for t in others]
    return np.array(out)


def best_l1_margin(a, sign=None):
    """max of min(a b) over |b|_1 <= 1, with b_j of the given sign where sign_j is not 0."""
    r, d = a.shape
    sign = np.zeros(d) if sign is None else sign
    bounds = [(0, 0 if s < 0 else None) for s in sign] + [(0, 0 if s > 0 else None) for s in sign]
    out = linprog(
        np.ones(2 * d), A_ub=-np.hstack([a, -a]), b_ub=-np.ones(r), bounds=bounds, method="highs"
    )
    assert out.status == 0, out.message
    return 1.0 / out.fun


def touched(problem):
    return (rows(problem) != 0).any(axis=0)


def integer_cases(name, shape, count):
    """Campaign draws with the byte that picks the style of the data, the first, set to 0."""
    specs = campaign_specs("tests", name, shape, 0, range(count))
    return [decode(dataclasses.replace(spec, blob=b"\0" + spec.blob[1:])) for spec in specs]


def stays(problem, weights, chosen, barrier):
    """Is the loss at the start below what any sample must pay to leave its token?"""
    s = attention(problem, weights)
    at = problem.scores[np.arange(problem.samples), chosen]
    lost = (s * (at[:, None] - problem.scores)).sum(axis=1)
    excess = (np.exp(-at) * np.expm1(lost)).sum()
    return excess < (np.exp(-at) * np.expm1(barrier)).min()


def replay_arrays(case: Case):
    problem, start = case.problem, case.start
    arrays = (problem.tokens, problem.queries, problem.labels, problem.scores)
    weights = (start.key, start.query, start.attention)
    return [a.tobytes() for a in (*arrays, *weights) if a is not None]


def walk(case, steps):
    """Tokens held after explicit Euler steps of combined weights, attention scaled to one."""
    problem, w = case.problem, case.start.weights.copy()
    x, z, gamma = problem.tokens, problem.queries, problem.scores
    size = (np.abs(x).sum(axis=2).max() * np.abs(z).sum(axis=1).max()) ** 2
    n = problem.samples
    for _ in range(steps):
        s = attention(problem, w)
        held = s.argmax(axis=1)
        better = np.einsum("im,ilm->il", s, gamma[:, None, :] - gamma[:, :, None])
        pull = s * better * np.exp(-(s * gamma).sum(axis=1))[:, None]
        pull[np.arange(n), held] = 0.0
        delta = x[np.arange(n), held][:, None, :] - x
        if w.ndim == 2:
            g = np.einsum("il,ild,ie->de", pull, delta, z)
        else:
            g = np.einsum("il,ild,id->d", pull, delta, z)
        w = w + g / (np.abs(pull).sum() * size)
    return attention(problem, w).argmax(axis=1)


def deltas(problem):
    """[(sample, token, x_io - x_il, z_i)] for l != o_i, written out."""
    out = []
    for i, row in enumerate(problem.scores):
        o = int(np.argmax(row))
        for t in range(problem.length):
            if t != o:
                out.append((i, t, problem.tokens[i, o] - problem.tokens[i, t], problem.queries[i]))
    return out


def velocity(problem, key, query):
    """(K', Q') = (G(lambda) Q, G(lambda)^T K), written out from softmax and scores."""
    s, g = attention(problem, key @ query.T), problem.scores
    mean = (s * g).sum(axis=1)
    # gamma-bar - gamma_l from pairs: the two are equal to rounding where s_l is nearly 1.
    above = np.einsum("im,ilm->il", s, g[:, None, :] - g[:, :, None])
    pull = np.exp(-mean)[:, None] * s * above / problem.samples
    force = np.zeros((problem.dim,) * 2)
    for i, t, delta, z in deltas(problem):
        force += pull[i, t] * np.outer(delta, z)
    return force @ query, force.T @ key
