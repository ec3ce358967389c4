"""The table of symbols: what each is called in code, its shape and its meaning.  Data only.

n samples, L tokens a sample, d dimensions of a token, e columns of key and query,
R = n(L - 1) margins.  Every other module takes its names from here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Symbol:
    """One row of the table."""

    latex: str
    name: str
    """Its name in code."""
    shape: str
    """Of the array as stored; ``()`` for a number."""
    meaning: str


NOTATION: Final[tuple[Symbol, ...]] = (
    Symbol("X_i", "tokens", "(n, L, d)", "token matrix of sample i, with rows x_il"),
    Symbol("z_i", "queries", "(n, d)", "query of sample i"),
    Symbol("y_i", "labels", "(n,)", "label, +1 or -1"),
    Symbol("v", "head", "(d,)", "fixed linear prediction head"),
    Symbol("K", "key", "(d, e)", "trained weights; vector k of shape (d,) if diagonal"),
    Symbol("Q", "query", "(d, e)", "trained weights; vector q of shape (d,) if diagonal"),
    Symbol("W", "attention", "(d, d)", "attention weights K Q^T; beta = k * q if diagonal"),
    Symbol(r"\gamma_{il}", "scores", "(n, L)", "token scores y_i <v, x_il>"),
    Symbol("o_i", "optimal", "(n,)", "token of largest score, which must be unique"),
    Symbol(r"\alpha_i", "selected", "(n,)", "token a sample's attention settles on"),
    Symbol("m_{il}", "margins", "(R,)", "(x_io - x_il)^T W z_i for l other than o_i"),
    Symbol("G_r", "constraints", "(R, d, d)", "(x_io - x_il) z_i^T, so that m_r = <G_r, W>"),
    Symbol("A", "rows", "(R, d)", "rows (x_io - x_il) * z_i, so that m = A beta if diagonal"),
    Symbol("s_i", "attention_paid", "(n, L)", "softmax of X_i W z_i"),
    Symbol(r"\bar\gamma_i", "output", "(n,)", "the sample's output times its label"),
    Symbol("L", "loss", "()", "(1/n) sum_i exp(-output_i)"),
    Symbol("L^*", "infimum", "()", "(1/n) sum_i exp(-best score of i)"),
    Symbol(r"\lambda_{il}", "multipliers", "(R,)", "the weights of G_r in minus the gradient"),
    Symbol("p", "p", "(R,)", "multipliers normalised to sum to one in size"),
    Symbol(r"\kappa_r", "kappa", "(R,)", "ln[(1/n) exp(-best)(best - score)]: late, "
           "lambda_r = exp(kappa_r - m_r)"),
    Symbol(r"w_\pm", "plus, minus", "(d,)", "(k +- q)/sqrt 2"),
    Symbol("c_j", "invariant", "(d,)", "|k_j^2 - q_j^2|/2 = |w+ w-|, conserved"),
    Symbol("r_j", "mirror", "(d,)", "ln|w+/w-|, so that beta_j = c_j sinh r_j"),
    Symbol("S", "energy", "()", "(|K|^2 + |Q|^2)/2; sum of c_j cosh r_j if diagonal"),
    Symbol(r"\tilde m", "smooth_margin", "()", "-ln sum_r exp(kappa_r - m_r)"),
    Symbol(r"\gamma^*", "best_margin", "()", "largest smallest margin at norm 1"),
    Symbol(r"\tau", "rescaled time", "()", "d tau = (sum_r |lambda_r|) dt"),
)  # fmt: skip
