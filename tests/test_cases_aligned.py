"""Aligned problems and starts, both forms, from first principles.

Nothing here calls the code under test to judge it: frames are multiplied out in fractions,
constraints written out from raw tokens, the velocity from the softmax.
"""

from __future__ import annotations

import dataclasses
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checks.aligned_problems import SINGLE_ENTRY, SYMMETRISED
from checks.families import FACTORED
from checks.frames import copies, flips, misalignment, orthogonal
from checks.problems import AttentionProblem, Start
from tests.exact_cases import cases, deltas, fractions, velocity

quiet = settings(max_examples=60, deadline=None, derandomize=True, database=None)
SHAPE = (12, 3, 3)
# Frames are right to 1/2 ulp an entry; U^T G V adds up D = 4 such products on either side:
# (2D + 4) eps = 2.7e-15 relative.  A misaligned problem is off by a tenth or more.
ROUNDING = 1e-14


def diagonal_velocity(problem, k, q):
    """(k', q') of the diagonal flow: the diagonals of the full velocity at diagonal K, Q."""
    force = velocity(problem, np.diag(k), np.diag(q))
    return np.diag(force[0]), np.diag(force[1])


@quiet
@given(st.integers(1, 9), st.integers(0, 3), st.data())
def test_frames_are_correctly_rounded_orthogonal_matrices(size, count, data):
    words = np.array(
        data.draw(st.lists(st.integers(0, 255), min_size=size * count, max_size=size * count)),
        dtype=np.int64,
    ).reshape(count, size)
    exact = [[Fraction(int(a == b)) for b in range(size)] for a in range(size)]
    for word in words:
        along = [(-1) ** (int(w) & 1) * (1 + (int(w) >> 1) % 3) for w in word]
        square = sum(a * a for a in along)
        mirror = [[int(a == b) - Fraction(2 * along[a] * along[b], square)
                   for b in range(size)] for a in range(size)]  # fmt: skip
        exact = [[sum(x * y for x, y in zip(row, column, strict=True))
                  for column in zip(*mirror, strict=True)] for row in exact]  # fmt: skip
    for a in range(size):
        for b in range(size):
            assert sum(exact[a][c] * exact[b][c] for c in range(size)) == int(a == b)
    assert orthogonal(words).tolist() == [[float(entry) for entry in row] for row in exact]


@pytest.mark.parametrize("d", range(1, 18))
def test_flips_cancel_every_cross_term(d):
    sign = flips(d)
    assert sign.shape == (copies(d), d)
    assert (np.abs(sign) == 1).all()
    assert (sign.T @ sign == copies(d) * np.eye(d)).all()
    assert (sign.sum(axis=0) == 0).all()
    # Half as many copies could not do: d columns orthogonal to each other and to 1.
    assert copies(d) // 2 < d + 1


@pytest.mark.parametrize("kind", SINGLE_ENTRY)
def test_single_entry_data(kind):
    for case in cases(f"factored/{kind}/aligned", SHAPE, 40):
        base, full = case.alignment.problem, case.problem
        assert full.realisable
        assert base.realisable
        assert (full.scores == base.scores).all()
        signs = {}
        for i, t, delta, z in deltas(base):
            (j,) = np.nonzero(z)[0]
            assert delta[j] != 0
            assert np.flatnonzero(delta).tolist() == [j]
            signs.setdefault(int(j), set()).add(np.sign(delta[j] * z[j]))
            _, _, long_delta, long_z = deltas(full)[i * 2 + t - (t > full.optimal[i])]
            left, right = case.alignment.left[:, j], case.alignment.right[:, j]
            # Tokens are sums of D = 4 rounded products, of size below 4: 16 eps.
            assert np.abs(long_delta - delta[j] * left).max() < 16 * 2.3e-16
            assert np.abs(long_z - z[j] * right).max() < 16 * 2.3e-16
        assert all(len(found) == 1 for found in signs.values())
        others = np.sort(full.scores, axis=1)[:, :-1]
        tied = (others == others[:, :1]).all()
        assert tied == (kind == "aligned-single")
        assert misalignment(full, case.start, case.alignment) < ROUNDING


def summed(problem, count):
    """Sum of delta z^T over each group of ``count`` samples, in fractions, by token."""
    out = {}
    for i, t, delta, z in deltas(problem):
        total = out.setdefault((i // count, t), np.zeros((problem.dim,) * 2, dtype=object))
        total += np.outer(fractions(delta), fractions(z))
    return out


def test_symmetrised_constraints_sum_to_the_diagonal_ones_exactly():
    for d, n in ((1, 4), (2, 8), (3, 12), (4, 16)):
        for case in cases("factored/symmetrised/aligned-small", (n, 3, d), 10):
            base, count = case.alignment.problem, copies(d)
            total = summed(case.problem, count)
            for i, t, delta, z in deltas(base):
                wanted = np.diag([count * a * b for a, b in zip(fractions(delta), fractions(z),
                                                               strict=True)])  # fmt: skip
                assert (total[i, t] == wanted).all()
            # Control: without one copy they do not.
            fewer = AttentionProblem.of(
                *(
                    np.delete(a, 0, axis=0)
                    for a in (case.problem.tokens, case.problem.queries, case.problem.labels)
                ),
                case.problem.head,
            )
            off = [m - np.diag(np.diag(m)) for m in summed(fewer, fewer.samples).values()]
            assert any((m != 0).any() for m in off)


@pytest.mark.parametrize("kind", [k for k in SYMMETRISED if k != "symmetrised-nonseparable"])
def test_symmetrised_problems_keep_scores_and_frames(kind):
    for case in cases(f"factored/{kind}/{FACTORED[kind][0]}", SHAPE, 10):
        base, full = case.alignment.problem, case.problem
        assert full.samples == base.samples * copies(3)
        assert (full.scores == np.repeat(base.scores, copies(3), axis=0)).all()
        assert full.realisable == base.realisable == (kind != "symmetrised-unrealisable")
        assert full.optimal_lead == base.optimal_lead
        off = misalignment(full, case.start, case.alignment)
        assert off < ROUNDING
        assert (kind == "symmetrised-rotated") or off == 0.0


ALIGNED = [(kind, start) for kind in (*SINGLE_ENTRY, "symmetrised", "symmetrised-rotated")
           for start in ("aligned", "aligned-small", "aligned-random")]  # fmt: skip


def lag(case):
    """How far the full velocity at the start is from the diagonal one, in the start's frames."""
    frames, inside = case.alignment, case.alignment.start
    full = velocity(case.problem, case.start.key, case.start.query)
    short = diagonal_velocity(frames.problem, inside.key, inside.query)
    off = [
        np.abs(frame.T @ moved @ frames.inner - np.diag(wanted)).max()
        for moved, frame, wanted in zip(full, (frames.left, frames.right), short, strict=True)
    ]
    return max(off) / np.abs(full).max()


@pytest.mark.parametrize(("kind", "start"), ALIGNED)
def test_aligned_starts_follow_the_diagonal_flow(kind, start):
    for case in cases(f"factored/{kind}/{start}", SHAPE, 10):
        frames, inside = case.alignment, case.alignment.start
        assert all(abs(k) != abs(q) for k, q in zip(inside.key, inside.query, strict=True))
        key = frames.left @ np.diag(inside.key) @ frames.inner.T
        query = frames.right @ np.diag(inside.query) @ frames.inner.T
        size = np.abs(key).max() + np.abs(query).max()
        assert np.abs(case.start.key - key).max() < ROUNDING * size
        assert np.abs(case.start.query - query).max() < ROUNDING * size
        # Logits of a few hundred are exponents of the softmax: their rounding, 1e-13, is the
        # relative error of lambda; cancelling copies are up to 100 times the force they make.
        assert lag(case) < 1e-11
        # Controls: another R for the query; a sample, or copy of one, left out.
        mixed = Start.factored(case.start.key, case.start.query[:, ::-1], 4)
        assert lag(dataclasses.replace(case, start=mixed)) > 1e-3
        problem = case.problem
        kept = np.arange(1, problem.samples)
        parts = [a[kept] for a in (problem.tokens, problem.queries, problem.labels)]
        fewer = AttentionProblem.of(*parts, problem.head, problem.scores[kept])
        assert lag(dataclasses.replace(case, problem=fewer)) > 1e-4


@pytest.mark.parametrize("kind", ["aligned-single", "symmetrised"])
def test_alignment_sees_an_unaligned_start(kind):
    for case in cases(f"factored/{kind}/random", SHAPE, 40):
        assert case.alignment.start is None
        assert misalignment(case.problem, case.start, case.alignment) > 0.1


def test_misalignment_sees_each_part():
    case = cases("factored/symmetrised-rotated/aligned", SHAPE, 1)[0]
    frames, start, problem = case.alignment, case.start, case.problem
    turned = dataclasses.replace(frames, left=frames.left[:, ::-1])
    assert misalignment(problem, start, turned) > 0.1
    other = Start.factored(start.key, start.query[:, ::-1], problem.dim)
    assert misalignment(problem, other, frames) > 0.1
    single = dataclasses.replace(frames, copies=1)
    assert misalignment(problem, start, single) > 0.1
    zero = Start.factored(np.zeros((4, 2)), np.zeros((4, 2)), 4)
    assert misalignment(problem, zero, frames) < ROUNDING
