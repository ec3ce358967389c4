"""``verdicts.tex``: the verdicts as a table for a paper's appendix (booktabs, longtable)."""

from __future__ import annotations

import re

from reports.run import Run
from reports.standing import Standing, standings_of
from reports.typeset import GREEK, characters

_SPECIAL = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", '"': r"\textquotedbl{}",
    "ℓ": r"$\ell$", "β": r"$\beta$", "γ": r"$\gamma$", "‖": r"$\Vert$", "–": "--", "−": "$-$",
}  # fmt: skip
_SPECIAL |= {letter: rf"$\{name}$" for name, letter in GREEK.items()}
_SPECIAL |= {
    "≤": r"$\le$", "≥": r"$\ge$", "→": r"$\to$", "⇒": r"$\Rightarrow$", "×": r"$\times$",
    "⁻": "$^{-}$", "\u0303": r"\textasciitilde{}",
} | {power: f"$^{{{i}}}$" for i, power in enumerate("⁰¹²³⁴⁵⁶⁷⁸⁹")}  # fmt: skip
_NORM = re.compile(r"\$\\ell\$(1\.5|[123p])(?!\w)")
_HEAD = r"""%% By marginflow report; do not edit.  Needs \usepackage{array,booktabs,longtable}.
{\footnotesize\setlength{\tabcolsep}{4pt}\def\arraystretch{1.15}\setlength{\LTcapwidth}{\linewidth}%%
\begin{longtable}{@{}>{\raggedright}p{3.6em}>{\raggedright}p{6.4em}%%
>{\raggedright}p{\dimexpr\linewidth-24em-10\tabcolsep\relax}rrr@{}}
\caption{Verdicts of marginflow, %s.  \emph{Worst}: largest measured value over its tolerance.}\\
\toprule
Of & Verdict & Claim & Informative & Problems & Worst \\
\midrule
\endfirsthead
\toprule
Of & Verdict & Claim & Informative & Problems & Worst \\
\midrule
\endhead
\bottomrule
\endfoot
"""


def latex_of(run: Run) -> str:
    """A longtable with one row a claim; every text is escaped, non-ASCII letters kept."""
    standings = standings_of(run)
    lines = [_HEAD % escape(_provenance(run))]
    for record in run.records:
        v = record.verdict
        cells = [
            ", ".join(record.sentences) or "derived",
            _verdict(standings[record.key], record.outcome.word),
            record.title,
        ]
        numbers = ["--"] * 3 if v is None else [
            str(v.informative), str(v.problems), _number(v.worst),
        ]  # fmt: skip
        lines.append(" & ".join([*map(_set, cells), *numbers]) + r" \\" + "\n")
    return "".join(lines) + "\\end{longtable}}\n"


def _provenance(run: Run) -> str:
    verdicts = run.verdicts
    profiles = sorted({v.profile for v in verdicts if v.profile})
    seeds = sorted({str(v.seed) for v in verdicts})
    versions = sorted({v.versions.get("marginflow", "") for v in verdicts} - {""})
    parts = [("version", versions), ("profile", profiles), ("seed", seeds)]
    return "; ".join(f"{name} {', '.join(values)}" for name, values in parts if values) or "no run"


def _verdict(standing: Standing, outcome: str) -> str:
    return f"open ({outcome})" if standing.key == "open" else standing.label.lower()


def _number(value: float | None) -> str:
    if value is None:
        return "--"
    mantissa, _, exponent = f"{value:.1e}".partition("e")
    if -3 <= int(exponent) < 4:
        return f"{value:.2g}" if value < 100 else f"{value:.0f}"
    return rf"${mantissa}\cdot 10^{{{int(exponent)}}}$"


def _set(text: str) -> str:
    """``text`` as LaTeX, what it writes of mathematics in ASCII set as the page sets it."""
    return _NORM.sub(r"$\\ell_{\1}$", escape(characters(text)))


def escape(text: str) -> str:
    """``text`` as literal LaTeX on one line."""
    return "".join(_SPECIAL.get(c, c) for c in " ".join(text.split()))
