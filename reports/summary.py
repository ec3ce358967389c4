"""``summary.md``: the verdicts as Markdown, for a job summary or a merge request."""

from __future__ import annotations

import re

from reports.run import Run
from reports.standing import sentence_verdicts, standings_of
from reports.text import count, number


def summary_of(run: Run) -> str:
    """Markdown with a table of sentences and a table of claims; every cell is escaped."""
    standings = standings_of(run)
    lines = ["# marginflow: verdicts", ""]
    lines += [f"> {_cell(note)}\n" for note in run.notes]
    lines += [
        "| Sentence | Verdict | Informative cases | Distinct problems | Worst / tolerance |",
        "| :-- | :-- | --: | --: | --: |",
    ]
    for s in sentence_verdicts(run):
        problems = f"≥ {count(s.problems)}" if s.problems else "–"
        said = f"{s.standing.mark} {s.standing.label}" + (
            f": {s.why} {', '.join(s.culprits)}" if s.why else ""
        )
        lines.append(_row(s.key, said, count(s.informative), problems, number(s.worst)))
    if run.records:
        lines += [
            "",
            "| Claim | Kind | Verdict | Informative | Problems | Worst / tolerance | Replay |",
            "| :-- | :-- | :-- | --: | --: | --: | :-- |",
        ]
    for record in run.records:
        v, standing = record.verdict, standings[record.key]
        row = _row(
            record.key,
            record.about.kind,
            f"{standing.mark} {standing.label}" + _open_word(standing.key, record.outcome.word),
            "–" if v is None else count(v.informative),
            "–" if v is None else count(v.problems),
            "–" if v is None else number(v.worst),
            v.case if v is not None and v.case else "",
        )
        lines.append(row)
    return "\n".join(lines) + "\n"


def _open_word(standing: str, outcome: str) -> str:
    return f" ({outcome})" if standing == "open" else ""


def _row(*cells: str) -> str:
    return "| " + " | ".join(_cell(cell) for cell in cells) + " |"


def _cell(text: str) -> str:
    """``text`` as literal Markdown on one line: no markup, mention, link or cell border."""
    flat = " ".join(text.split())
    flat = flat.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    flat = re.sub(r"([\\`*_\[\]|~#!$])", r"\\\1", flat)
    return flat.replace("@", "@\u200b").replace("://", ":\u200b//")
