"""One attention problem and one start: validated arrays, named as in THEORY.md's table."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np

Array = np.ndarray
Model = Literal["diagonal", "factored", "combined", "mirror"]


class BadInput(ValueError):
    """An input that no claim can be judged on.  The message says what is wrong and what to do."""


def _floats(name: str, value: object, shape: tuple[int | None, ...]) -> Array:
    """``value`` as a read-only float64 array of the given shape (None: any length)."""
    array = np.asarray(value)
    if array.dtype.kind not in "biuf":
        raise BadInput(f"{name} has dtype {array.dtype}; give a real numeric array")
    if array.ndim != len(shape) or any(
        want is not None and have != want for have, want in zip(array.shape, shape, strict=True)
    ):
        wanted = "(" + ", ".join("any" if s is None else str(s) for s in shape) + ")"
        raise BadInput(f"{name} has shape {array.shape}; expected {wanted}")
    array = np.array(array, dtype=np.float64)
    if not np.isfinite(array).all():
        raise BadInput(f"{name} holds a value that is not finite; remove NaN and infinity")
    array.setflags(write=False)
    return array


@dataclass(frozen=True, eq=False)
class AttentionProblem:
    """Data of one problem: n samples of L tokens in R^d.

    tokens (n, L, d); queries (n, d); labels (n,) of +1/-1; head (d,); scores (n, L),
    gamma_il = y_i <head, x_il>.  Scores are a primitive (THEORY.md 6.4: recomputed from
    tokens they break exact ties); ``realisable`` says whether tokens and head give them.
    """

    tokens: Array
    queries: Array
    labels: Array
    head: Array
    scores: Array

    @classmethod
    def of(
        cls, tokens: object, queries: object, labels: object, head: object, scores: object = None
    ) -> AttentionProblem:
        """Validate and freeze.  Raises :class:`BadInput` with one clear line."""
        x = _floats("tokens", tokens, (None, None, None))
        n, length, d = x.shape
        if n < 1 or length < 2 or d < 1:
            raise BadInput(
                f"tokens has shape {x.shape}; expected (n, L, d) with n >= 1, L >= 2, d >= 1"
            )
        z = _floats("queries", queries, (n, d))
        y = _floats("labels", labels, (n,))
        if not np.isin(y, (-1.0, 1.0)).all():
            raise BadInput("labels holds a value other than +1 and -1")
        v = _floats("head", head, (d,))
        computed = y[:, None] * (x @ v)
        if not np.isfinite(computed).all():
            raise BadInput("tokens times head overflows; rescale the tokens or the head")
        computed.setflags(write=False)
        given = computed if scores is None else _floats("scores", scores, (n, length))
        return cls(x, z, y, v, given)

    @property
    def samples(self) -> int:
        return int(self.tokens.shape[0])

    @property
    def length(self) -> int:
        return int(self.tokens.shape[1])

    @property
    def dim(self) -> int:
        return int(self.tokens.shape[2])

    @cached_property
    def score_rounding(self) -> Array:
        """(n, L): bound on the rounding error of y_i <head, x_il> in float64 (gamma_n bound)."""
        eps = np.finfo(np.float64).eps
        bound = np.abs(self.tokens) @ np.abs(self.head)
        return np.asarray((self.dim + 2) * eps * bound)

    @property
    def realisable(self) -> bool:
        """Do tokens and head give these scores, within rounding?"""
        computed = self.labels[:, None] * (self.tokens @ self.head)
        return bool((np.abs(computed - self.scores) <= self.score_rounding).all())

    @cached_property
    def optimal(self) -> Array:
        """(n,) index of the token of largest score (the first one, where tied)."""
        return np.argmax(self.scores, axis=1)

    @cached_property
    def optimal_lead(self) -> float:
        """min_i of (best - second-best score), less its rounding error: > 0 iff o_i is unique."""
        leads = []
        for gamma, err in zip(self.scores, self.score_rounding, strict=True):
            order = np.argsort(gamma)[::-1]
            first, second = order[0], order[1]
            slack = float(err[first] + err[second])
            leads.append(float(gamma[first] - gamma[second]) - slack)
        return min(leads)

    @cached_property
    def id(self) -> str:
        """Hash of the arrays: equal for equal problems, whatever the start."""
        digest = hashlib.sha256()
        for array in (self.tokens, self.queries, self.labels, self.head, self.scores):
            digest.update(str(array.shape).encode())
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()[:16]


@dataclass(frozen=True, eq=False)
class Constraints:
    """The margins m_r = <G_r, W>, G_r = delta_r z_i^T, of selected tokens alpha.

    delta (R, d): x_{i,alpha_i} - x_il; query (R, d): z_i; sample, token (R,): i and l.
    Only tokens l of *lower* score than alpha_i constrain (THEORY.md 5); for alpha = o these
    are all the others, R = n(L-1).  kappa (R,): ln[(1/n) e^{-gamma_ia}(gamma_ia - gamma_il)].
    low (R, d): what rounding took from delta; delta + low is the difference, exactly.
    """

    delta: Array
    query: Array
    sample: Array
    token: Array
    kappa: Array
    low: Array = field(default_factory=lambda: np.zeros(()))

    def __post_init__(self) -> None:
        object.__setattr__(self, "low", np.broadcast_to(self.low, self.delta.shape))

    @cached_property
    def rows(self) -> Array:
        """(R, d): a_r = delta_r * z_i, rounded, so that m = rows @ beta in the diagonal case."""
        return np.asarray(self.delta * self.query)

    @cached_property
    def row_sizes(self) -> Array:
        """(R, d): |a_r|, for rounding bounds."""
        return np.abs(self.rows)

    @property
    def matrices(self) -> Array:
        """(R, d*d): G_r flattened, so that m = matrices @ W.ravel()."""
        outer = self.delta[:, :, None] * self.query[:, None, :]
        return np.asarray(outer.reshape(len(outer), outer.shape[1] * outer.shape[2]))

    def __len__(self) -> int:
        return len(self.delta)


def constraints_of(problem: AttentionProblem, selected: Array | None = None) -> Constraints:
    """The margin constraints for ``selected`` tokens (n,); default: the optimal ones."""
    alpha = problem.optimal if selected is None else np.asarray(selected)
    chosen = np.take_along_axis(problem.scores, alpha[:, None], axis=1)
    sample, token = np.nonzero(problem.scores < chosen)
    delta, low = _difference(problem.tokens[sample, alpha[sample]], problem.tokens[sample, token])
    gain = chosen[sample, 0] - problem.scores[sample, token]
    kappa = np.log(gain) - chosen[sample, 0] - np.log(problem.samples)
    return Constraints(delta, problem.queries[sample], sample, token, kappa, low)


def rows_for(problem: AttentionProblem, weights: Array) -> Array:
    """(R, D) constraints of the optimal tokens, in the flattened coordinates of these weights: a
    vector (d,), or a matrix (d, d)."""
    constraints = constraints_of(problem)
    return constraints.matrices if weights.ndim == 2 else constraints.rows


def _difference(a: Array, b: Array) -> tuple[Array, Array]:
    """(hi, lo), hi = fl(a - b) and hi + lo = a - b exactly (Knuth's two-sum; no overflow)."""
    high = a - b
    back = high - a
    with np.errstate(invalid="ignore"):  # an overflow is refused where it is used
        return high, (a - (high - back)) - (b + back)


@dataclass(frozen=True, eq=False)
class Start:
    """Initial weights of one run, in one of the four models.

    diagonal: key (d,), query (d,).  factored: key (d, e), query (d, e).
    combined: attention (d,) or (d, d).  mirror: attention (d,), trained by the mirror flow of
    the potential |beta|_p^p/p, p = exponent > 1 (2: gradient flow).  Unused arrays are None.
    """

    model: Model
    key: Array | None = None
    query: Array | None = None
    attention: Array | None = None
    exponent: float = 2.0

    @classmethod
    def diagonal(cls, key: object, query: object, dim: int) -> Start:
        return cls("diagonal", _floats("key", key, (dim,)), _floats("query", query, (dim,)))

    @classmethod
    def factored(cls, key: object, query: object, dim: int) -> Start:
        k = _floats("key", key, (dim, None))
        if k.shape[1] < 1:
            raise BadInput(f"key has shape {k.shape}; expected (d, e) with e >= 1")
        return cls("factored", k, _floats("query", query, (dim, k.shape[1])))

    @classmethod
    def combined(cls, attention: object, dim: int) -> Start:
        shape = (dim,) if np.ndim(np.asarray(attention)) == 1 else (dim, dim)
        return cls("combined", attention=_floats("attention", attention, shape))

    @classmethod
    def mirror(cls, attention: object, exponent: float, dim: int) -> Start:
        if not 1.0 < exponent < np.inf:
            raise BadInput(f"exponent is {exponent}; give a finite number above 1")
        return cls("mirror", attention=_floats("attention", attention, (dim,)), exponent=exponent)

    @property
    def theta(self) -> Array:
        """(d,) theta = sign(beta) |beta|^(p-1), the gradient of the mirror flow's potential."""
        return np.asarray(np.sign(self.weights) * np.abs(self.weights) ** (self.exponent - 1.0))

    def moved(self, u: Array) -> tuple[Array, Array]:
        """(key, query) of diagonal weights where the mirror variable r has moved by u (d,).

        k + q has grown by e^(u/2), k - q fallen by it (derived); what is 0 stays 0 however large
        u, as of a frozen sign: an exponential of its own would overflow there.
        """
        assert self.key is not None and self.query is not None
        plus, minus = self.key + self.query, self.key - self.query
        with np.errstate(divide="ignore"):
            up = np.sign(plus) * np.exp(np.log(np.abs(plus)) + u / 2)
            down = np.sign(minus) * np.exp(np.log(np.abs(minus)) - u / 2)
        return (up + down) / 2, (up - down) / 2

    @property
    def weights(self) -> Array:
        """The attention weights: beta = k * q (d,), W = K Q^T (d, d), or as given."""
        if self.attention is not None:
            return self.attention
        assert self.key is not None and self.query is not None
        if self.model == "diagonal":
            return np.asarray(self.key * self.query)
        return np.asarray(self.key @ self.query.T)
