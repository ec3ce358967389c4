"""Example problems, four of them from real data, each made by a rule that looks at no flow.

The records, their classes and the pixels are real (scikit-learn's bundled data); how they
become samples of an attention problem is this module's rule, told by :func:`describe`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from checks import assumptions
from checks.given import Unavailable
from checks.problems import Array, AttentionProblem, BadInput, Start, constraints_of
from checks.separability import separability

NAMES = ("iris", "digits", "breast-cancer", "wine", "random")
MOST_SAMPLES = 10
"""Candidates looked at: with them all, ``marginflow check`` stays within a minute a file."""
GRID = 1024.0
"""Tokens, queries and head are rounded to multiples of 1/GRID (1e-3 of a standard deviation):
the file does not depend on the last bits of a fit or a mean, scores are exact in float64 (sums
of a few dozen products of integers below 2^20, in units of 2^-20), rational oracles are fast."""
MISSING = "scikit-learn is not installed: pip install 'marginflow[examples]'"
_RANDOM_KEY = 20240308699
"""Philox key of ``random``: any fixed number; this one is the paper's."""


@dataclass(frozen=True, eq=False)
class Example:
    """A problem, the rule that made it, and why it has that many samples."""

    name: str
    problem: AttentionProblem
    rule: tuple[str, ...]
    stopped: str


@dataclass(frozen=True)
class _Records:
    """A table of records as a source: a sample is a query record and the next four as tokens."""

    loader: str
    plus: tuple[int, ...]
    minus: tuple[int, ...]
    split: str


_TOKENS = 4
_TABLES = {
    "iris": _Records("load_iris", (2,), (1,), "virginica +1, versicolor -1 (setosa left out)"),
    "breast-cancer": _Records("load_breast_cancer", (1,), (0,), "benign +1, malignant -1"),
    "wine": _Records("load_wine", (0,), (1, 2), "cultivar 0 +1, cultivars 1 and 2 -1"),
}


@cache
def example(name: str) -> Example:
    """The example called ``name`` (one of NAMES); ValueError for another name.

    Raises :class:`Unavailable` where scikit-learn, which all but ``random`` need, is missing.
    """
    if name not in NAMES:
        raise ValueError(f"no example is called {name!r}; there are {', '.join(NAMES)}")
    if name == "random":
        candidates, rule = _random()
    elif name == "digits":
        candidates, rule = _digits()
    else:
        candidates, rule = _records(_TABLES[name])
    problem, stopped = largest_separable(candidates)
    return Example(name, problem, rule, stopped)


def largest_separable(candidates: AttentionProblem) -> tuple[AttentionProblem, str]:
    """The longest prefix of the candidate samples that meets S2's assumptions on the data.

    Separable by diagonal weights, proved, and optimal tokens unique beyond rounding.  A
    prefix of such a prefix is one, too: the first failure ends the search.  Returns it with
    the words for why it ends there; BadInput where even one sample fails.
    """
    found, why = None, ""
    for count in range(1, candidates.samples + 1):
        prefix = _prefix(candidates, count)
        if not prefix.optimal_lead > 0:
            why = f"with {count} a sample's optimal token is not unique"
            break
        answer = separability(constraints_of(prefix), full=False).answer
        if answer != "separable":
            why = f"{count} are {answer}"
            break
        found = prefix
    if found is None:
        raise BadInput(f"no sample can be used: {why}")
    return found, why or f"all {candidates.samples} candidates are"


def _prefix(problem: AttentionProblem, count: int) -> AttentionProblem:
    return AttentionProblem.of(
        problem.tokens[:count], problem.queries[:count], problem.labels[:count], problem.head
    )


def _sklearn(loader: str) -> tuple[Array, Array]:
    """(data, target) of a data set that scikit-learn brings with it."""
    try:
        from sklearn import datasets
    except ImportError as error:
        raise Unavailable(MISSING) from error
    data, target = getattr(datasets, loader)(return_X_y=True)
    return np.asarray(data, np.float64), np.asarray(target)


def _fit_head(records: Array, labels: Array) -> Array:
    """(d,) logistic regression without intercept (the model has none), L2 penalty 1."""
    from sklearn.linear_model import LogisticRegression

    # Far below 1/GRID, to which the strictly convex problem's one solution is then rounded.
    fit = LogisticRegression(fit_intercept=False, tol=1e-10, max_iter=10_000)
    return _on_grid(fit.fit(records, labels).coef_[0])


def _on_grid(values: Array) -> Array:
    return np.asarray(np.round(values * GRID) / GRID)


def _alternating(labels: Array) -> Array:
    """Indices in data order, classes in turn +, -, +, -, until one class runs out."""
    plus, minus = np.flatnonzero(labels > 0), np.flatnonzero(labels < 0)
    both = min(len(plus), len(minus))
    return np.stack([plus[:both], minus[:both]], axis=1).ravel()


def _standardised(data: Array, fitted: Array, axes: tuple[int, ...]) -> Array:
    """By mean and standard deviation over the records that fit the head; constants are 0."""
    mean, deviation = data[fitted].mean(axes), data[fitted].std(axes)
    return _on_grid((data - mean) / np.where(deviation > 0, deviation, 1.0))


def _records(table: _Records) -> tuple[AttentionProblem, tuple[str, ...]]:
    data, target = _sklearn(table.loader)
    used = np.isin(target, (*table.plus, *table.minus))
    data, labels = data[used], np.where(np.isin(target[used], table.plus), 1.0, -1.0)
    fitted = np.arange(len(data)) % 2 == 0
    data = _standardised(data, fitted, (0,))
    head = _fit_head(data[fitted], labels[fitted])
    data, labels = data[~fitted], labels[~fitted]
    order = _alternating(labels)
    count = min(MOST_SAMPLES, len(order) // (_TOKENS + 1))
    blocks = order[: count * (_TOKENS + 1)].reshape(count, _TOKENS + 1)
    candidates = AttentionProblem.of(data[blocks[:, 1:]], data[blocks[:, 0]],
                                     labels[blocks[:, 0]], head)  # fmt: skip
    return candidates, (
        f"classes: {table.split}",
        "every second record fits the head (logistic regression, no intercept) and gives mean "
        "and standard deviation; the other records become samples",
        f"sample: in data order, classes in turn, five records each: the first is the query, its "
        f"class the label; the next {_TOKENS}, two of either class, are the tokens",
    )


def _digits() -> tuple[AttentionProblem, tuple[str, ...]]:
    data, target = _sklearn("load_digits")
    images, labels = data.reshape(-1, 8, 8), np.where(target % 2 == 0, 1.0, -1.0)
    fitted = np.arange(len(images)) % 2 == 0
    images = _standardised(images, fitted, (0, 1))
    means = _on_grid(images.mean(axis=1))
    head = _fit_head(means[fitted], labels[fitted])
    order = np.flatnonzero(~fitted)[_alternating(labels[~fitted])][:MOST_SAMPLES]
    candidates = AttentionProblem.of(images[order], means[order], labels[order], head)
    return candidates, (
        "classes: even digits +1, odd digits -1",
        "every second image fits the head (logistic regression on the mean row, which uniform "
        "attention gives; no intercept) and gives mean and standard deviation of a row's pixels",
        "sample: in data order, classes in turn, one image each: its eight rows of eight pixels "
        "are the tokens, its mean row the query, its class the label",
    )


def _random() -> tuple[AttentionProblem, tuple[str, ...]]:
    n, length, d = MOST_SAMPLES, 3, 6
    # Raw output, which NumPy keeps stable across versions: multiples of 1/GRID in [-1, 1).
    raw = np.random.Philox(key=_RANDOM_KEY).random_raw(n * (length + 1) * d + d)
    values = (raw >> np.uint64(53)).astype(np.float64) / GRID - 1.0
    head, vectors = values[:d], values[d:].reshape(n, length + 1, d)
    labels = np.where(np.arange(n) % 2 == 0, 1.0, -1.0)
    return AttentionProblem.of(vectors[:, 1:], vectors[:, 0], labels, head), (
        "tokens, queries and head: uniform in [-1, 1), drawn once and for all; labels in turn",
    )


def describe(made: Example) -> str:
    """The rule and how each assumption of S2 and S6 fares, in lines for a terminal."""
    p = made.problem
    rows = p.samples * (p.length - 1)
    lines = [
        f"{made.name}: {p.samples} samples, {p.length} tokens, dimension {p.dim}, "
        f"{rows} constraints",
        *(f"  {line}" for line in made.rule),
        f"  samples: the longest run of candidates (at most {MOST_SAMPLES}) that diagonal weights "
        f"separate, with unique optimal tokens: {p.samples} ({made.stopped}); no flow is looked at",
        f"  rounded to multiples of 1/{GRID:.0f}",
        "assumptions:",
    ]
    return "\n".join([*lines, *(f"  {key}: {fate}" for key, fate in _fates(p))])


def _fates(problem: AttentionProblem) -> Sequence[tuple[str, str]]:
    """(assumption key, what becomes of it on these data)."""
    no_start = Start.combined(np.zeros(problem.dim), problem.dim)

    def margin(key: str) -> float:
        return assumptions.BEFORE[key](problem, no_start)

    met: Callable[[float], str] = lambda value: "met" if value > 0 else "UNMET"  # noqa: E731
    lead, agreement = margin("optimal-unique"), margin("realisable")
    spread = _spread(problem)
    equal = "met" if spread == 0 else (
        f"UNMET (scores of non-optimal tokens differ by up to {spread:.3g}): nothing promises "
        "that the flow reaches the infimum"
    )  # fmt: skip
    return (
        ("optimal-unique", f"{met(lead)} (least lead {lead:.3g})"),
        ("separable", "met by diagonal weights, by choice of the samples"),
        ("realisable", f"{met(agreement)}: the scores are those of tokens and head"),
        ("equal-scores", equal),
        ("nonzero-invariant", "of the start: the starts that marginflow check draws meet it"),
        ("infimum-reached", "of the trajectory: judged run by run; where unmet, S2 is vacuous"),
        ("aligned", f"of full-weight starts: {_alignment(problem)}"),
    )


def _spread(problem: AttentionProblem) -> float:
    """Largest difference of scores among the non-optimal tokens of a sample."""
    kept = np.arange(problem.length) != problem.optimal[:, None]
    others = problem.scores[kept].reshape(problem.samples, -1)
    return float(np.ptp(others, axis=1).max())


def _alignment(problem: AttentionProblem) -> str:
    """Could any frames make every G_r one diagonal entry?  They need all z_i, and all delta_r,
    parallel or orthogonal in pairs (THEORY.md 4, single-entry form)."""
    constraints = constraints_of(problem)
    if all(_in_frame(v) for v in (problem.queries, constraints.delta)):
        return "possible entry by entry"
    return (
        "UNMET entry by entry (queries or token differences are neither parallel nor "
        "orthogonal): S6 says nothing of --model factored here"
    )


def _in_frame(vectors: Array) -> bool:
    """Are these vectors pairwise parallel or orthogonal, within rounding?"""
    sizes = np.linalg.norm(vectors, axis=1)
    units = vectors[sizes > 0] / sizes[sizes > 0, None]
    cosines = np.abs(units @ units.T)
    slack = 4 * vectors.shape[1] * np.finfo(np.float64).eps  # gamma_n of the sums, both norms
    return bool(((cosines <= slack) | (cosines >= 1 - slack)).all())
