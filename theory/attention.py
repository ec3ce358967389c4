"""The model: scores, softmax, loss, margins, with every entry a free real symbol.

Names and shapes follow :mod:`theory.notation`.  Nothing here starts from the margin form:
the loss L = (1/n) sum_i exp(-output_i) is the only definition of the flow.
"""

from __future__ import annotations

from dataclasses import dataclass

import sympy as sp

from theory.identities import Identity


@dataclass(frozen=True, eq=False)
class SymbolicProblem:
    """n samples of L tokens in R^d, scores a primitive (see ``realised-scores``).

    ``optimal`` says which token is called o_i; no identity needs it to have the largest
    score, only the signs do.
    """

    tokens: tuple[tuple[sp.MatrixBase, ...], ...]
    """(n, L) column vectors (d, 1)."""
    queries: tuple[sp.MatrixBase, ...]
    """(n,) column vectors (d, 1)."""
    scores: tuple[tuple[sp.Expr, ...], ...]
    """(n, L)."""
    optimal: tuple[int, ...]

    @property
    def samples(self) -> int:
        return len(self.queries)

    @property
    def length(self) -> int:
        return len(self.scores[0])

    @property
    def dim(self) -> int:
        return int(self.queries[0].rows)

    def pairs(self) -> list[tuple[int, int]]:
        """(i, l) with l other than o_i, in the order of the flattened index r."""
        return [
            (i, token)
            for i in range(self.samples)
            for token in range(self.length)
            if token != self.optimal[i]
        ]


def vector(name: str, size: int) -> sp.MatrixBase:
    """A column of free real symbols name_1, ..., name_size."""
    return sp.ImmutableMatrix([sp.Symbol(f"{name}_{j + 1}", real=True) for j in range(size)])


def matrix(name: str, rows: int, columns: int) -> sp.MatrixBase:
    """A matrix of free real symbols name_ab."""
    return sp.ImmutableMatrix(
        rows, columns, lambda a, b: sp.Symbol(f"{name}_{a + 1}{b + 1}", real=True)
    )


def symbolic_problem(samples: int = 2, length: int = 3, dim: int = 2) -> SymbolicProblem:
    """A problem of free symbols; o_i alternates between the first and the last token."""
    return SymbolicProblem(
        tokens=tuple(
            tuple(vector(f"x_{i + 1}{token + 1}", dim) for token in range(length))
            for i in range(samples)
        ),
        queries=tuple(vector(f"z_{i + 1}", dim) for i in range(samples)),
        scores=tuple(
            tuple(sp.Symbol(f"gamma_{i + 1}{token + 1}", real=True) for token in range(length))
            for i in range(samples)
        ),
        optimal=tuple((length - 1) * (i % 2) for i in range(samples)),
    )


def inner(a: sp.MatrixBase, b: sp.MatrixBase) -> sp.Expr:
    """The sum of the entrywise products: <a, b> for vectors, tr(a^T b) for matrices."""
    return sp.Add(*(x * y for x, y in zip(a, b, strict=True)))


def squared_norm(a: sp.MatrixBase) -> sp.Expr:
    """The sum of squared entries."""
    return inner(a, a)


def squared_minors(a: sp.MatrixBase, b: sp.MatrixBase) -> sp.Expr:
    """sum over i < j of (a_i b_j - a_j b_i)^2: |a|^2 |b|^2 - <a, b>^2, by Lagrange."""
    size = len(a)
    return sp.Add(
        *((a[i] * b[j] - a[j] * b[i]) ** 2 for i in range(size) for j in range(i + 1, size))
    )


def softmax(logits: list[sp.Expr]) -> list[sp.Expr]:
    """exp(a_l) / sum_j exp(a_j)."""
    total = sp.Add(*(sp.exp(a) for a in logits))
    return [sp.exp(a) / total for a in logits]


def attention_paid(
    problem: SymbolicProblem, sample: int, attention: sp.MatrixBase
) -> list[sp.Expr]:
    """s_i = softmax of x_il^T W z_i over l; ``attention`` is W (d, d)."""
    direction = attention * problem.queries[sample]
    return softmax([inner(token, direction) for token in problem.tokens[sample]])


def output(problem: SymbolicProblem, sample: int, attention: sp.MatrixBase) -> sp.Expr:
    """The sample's output times its label, sum_l s_il gamma_il."""
    paid = attention_paid(problem, sample, attention)
    return sp.Add(*(s * g for s, g in zip(paid, problem.scores[sample], strict=True)))


def loss(problem: SymbolicProblem, attention: sp.MatrixBase) -> sp.Expr:
    """L = (1/n) sum_i exp(-output_i), as a function of the entries of W (d, d)."""
    total = sp.Add(*(sp.exp(-output(problem, i, attention)) for i in range(problem.samples)))
    return total / problem.samples


def infimum(problem: SymbolicProblem) -> sp.Expr:
    """L* = (1/n) sum_i exp(-gamma_io)."""
    best = (g[o] for g, o in zip(problem.scores, problem.optimal, strict=True))
    return sp.Add(*(sp.exp(-g) for g in best)) / problem.samples


def constraints(problem: SymbolicProblem) -> list[sp.MatrixBase]:
    """G_r = (x_io - x_il) z_i^T, each (d, d), in the order of ``pairs``."""
    return [
        (problem.tokens[i][problem.optimal[i]] - problem.tokens[i][token]) * problem.queries[i].T
        for i, token in problem.pairs()
    ]


def rows(problem: SymbolicProblem) -> sp.MatrixBase:
    """A (R, d): row r is the diagonal of G_r."""
    return sp.ImmutableMatrix([list(g.diagonal()) for g in constraints(problem)])


def multipliers(problem: SymbolicProblem, attention: sp.MatrixBase) -> list[sp.Expr]:
    """lambda_il = (1/n) exp(-output_i) s_il (output_i - gamma_il), in the order of ``pairs``.

    Negative where a token other than o_i has a score above the sample's average.
    """
    found = []
    for i, token in problem.pairs():
        average = output(problem, i, attention)
        paid = attention_paid(problem, i, attention)[token]
        gain = average - problem.scores[i][token]
        found.append(sp.exp(-average) * paid * gain / problem.samples)
    return found


def weighted(weights: list[sp.Expr], matrices: list[sp.MatrixBase]) -> sp.MatrixBase:
    """G(lambda) = sum_r lambda_r G_r."""
    total = sp.zeros(*matrices[0].shape)
    for weight, g in zip(weights, matrices, strict=True):
        total += weight * g
    return sp.ImmutableMatrix(total)


def identities() -> list[Identity]:
    """The softmax Jacobian, the scores, and the infimum of the loss with the sign of lambda."""
    return [*_softmax_identities(), *_infimum_identities()]


def _softmax_identities() -> list[Identity]:
    logits = list(vector("a", 3))
    paid = softmax(logits)
    jacobian = sp.Matrix(3, 3, lambda m, j: sp.diff(paid[m], logits[j]))
    stated = sp.Matrix(3, 3, lambda m, j: paid[m] * (sp.KroneckerDelta(m, j) - paid[j]))
    tokens = [vector(f"x_{token + 1}", 2) for token in range(3)]
    head, label = vector("v", 2), sp.Symbol("y", real=True)
    mixed = tokens[0] * paid[0] + tokens[1] * paid[1] + tokens[2] * paid[2]
    return [
        Identity(
            claim="symbolic.softmax-jacobian",
            name="jacobian",
            statement="ds_l/da_j = s_l (1[l = j] - s_j), three tokens.",
            latex=r"\frac{\partial s_l}{\partial a_j} = s_l (\delta_{lj} - s_j)",
            left=jacobian,
            right=stated,
            steps=(
                ("Differentiate the quotient.", r"s_l = \frac{e^{a_l}}{\sum_j e^{a_j}}"),
                (
                    "The numerator gives the first term, the denominator the second.",
                    r"\frac{\partial s_l}{\partial a_j} = \delta_{lj} s_l - s_l s_j",
                ),
            ),
        ),
        Identity(
            claim="symbolic.softmax-jacobian",
            name="sums-to-one",
            statement="The outputs sum to one, so the Jacobian's columns sum to zero.",
            latex=r"\sum_l s_l = 1",
            left=sp.Add(*paid),
            right=sp.Integer(1),
        ),
        Identity(
            claim="symbolic.margin-form-combined",
            name="realised-scores",
            statement="Label times output v^T X^T s is the average of the scores y v^T x_l.",
            latex=r"y \, v^\top X^\top s = \sum_l s_l \, (y \, v^\top x_l)",
            left=label * inner(head, mixed),
            right=sp.Add(*(s * label * inner(head, x) for s, x in zip(paid, tokens, strict=True))),
        ),
    ]


def _infimum_identities() -> list[Identity]:
    problem = symbolic_problem()
    attention = matrix("W", 2, 2)
    gaps, leads, averages, sandwiched, slack = [], [], [], [], []
    bound = sp.Symbol("g", real=True)
    for i, (scores, o) in enumerate(zip(problem.scores, problem.optimal, strict=True)):
        paid = attention_paid(problem, i, attention)
        others = [token for token in range(problem.length) if token != o]
        lead = sp.Add(*(paid[token] * (scores[o] - scores[token]) for token in others))
        leads.append(lead)
        averages.append(scores[o] - output(problem, i, attention))
        gaps.append(sp.exp(-scores[o]) * (sp.exp(lead) - 1))
        sandwiched.append(averages[i] - bound * (1 - paid[o]))
        slack.append(
            sp.Add(*(paid[token] * (scores[o] - scores[token] - bound) for token in others))
        )
    return [
        Identity(
            claim="symbolic.loss-infimum",
            name="loss-gap",
            statement=(
                "L - L* as a sum of positive terms: exp(x) - 1 > 0 as x, an average of positive "
                "leads, is positive."
            ),
            latex=(
                r"L - L^* = \frac{1}{n} \sum_i e^{-\gamma_{io}} "
                r"\Bigl( e^{\sum_l s_{il} (\gamma_{io} - \gamma_{il})} - 1 \Bigr)"
            ),
            left=loss(problem, attention) - infimum(problem),
            right=sp.Add(*gaps) / problem.samples,
        ),
        Identity(
            claim="symbolic.loss-infimum",
            name="lead",
            statement="The best score leads the average by a sum of products of positives.",
            latex=r"\gamma_{io} - \bar\gamma_i = \sum_{l \ne o} s_{il} (\gamma_{io} - \gamma_{il})",
            left=sp.Matrix(averages),
            right=sp.Matrix(leads),
        ),
        Identity(
            claim="symbolic.loss-infimum",
            name="sandwich",
            statement=(
                "For g the smallest lead the right side is not negative, for g the largest not "
                "positive: the loss tends to L* exactly if every s_io tends to one."
            ),
            latex=(
                r"\gamma_{io} - \bar\gamma_i - g \, (1 - s_{io}) = \sum_{l \ne o} s_{il} "
                r"(\gamma_{io} - \gamma_{il} - g)"
            ),
            left=sp.Matrix(sandwiched),
            right=sp.Matrix(slack),
        ),
        _sign_identity(problem, attention),
    ]


def _sign_identity(problem: SymbolicProblem, attention: sp.MatrixBase) -> Identity:
    """lambda_r over a positive factor is (output - second) + (second - score)."""
    second = [sp.Symbol(f"gamma_{i + 1}second", real=True) for i in range(problem.samples)]
    factors, right = [], []
    for i, token in problem.pairs():
        average = output(problem, i, attention)
        paid = attention_paid(problem, i, attention)[token]
        factors.append(sp.exp(-average) * paid / problem.samples)
        right.append(
            factors[-1] * (average - second[i])
            + factors[-1] * (second[i] - problem.scores[i][token])
        )
    return Identity(
        claim="symbolic.loss-infimum",
        name="multiplier-sign",
        statement=(
            "lambda is a positive factor times two terms, both not negative once the output "
            "exceeds the second-best score."
        ),
        latex=(
            r"\lambda_{il} = \frac{1}{n} e^{-\bar\gamma_i} s_{il} \bigl[ (\bar\gamma_i - "
            r"\gamma_{i,2}) + (\gamma_{i,2} - \gamma_{il}) \bigr]"
        ),
        left=sp.Matrix(multipliers(problem, attention)),
        right=sp.Matrix(right),
    )
