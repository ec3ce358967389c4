"""``index.html``: one self-contained file, no request to anything."""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from checks.outcomes import exit_status
from reports import bars, plots, text
from reports.anchors import lasting, short
from reports.compact import compact
from reports.compare import Change, changes_of, told
from reports.dropped import dropped_table
from reports.evidence import Assumption, Evidence
from reports.fields import BadReport
from reports.graph import claim_graph
from reports.icons import mask
from reports.junit import junit_of
from reports.latex import latex_of
from reports.mathml import formula, prose
from reports.planted import read_planted
from reports.portraits import phase_portrait
from reports.run import Run, read_run
from reports.shared import shared_limits, shared_reasons
from reports.standing import STANDINGS, common_limits, sentence_verdicts, standings_of, unmet
from reports.summary import summary_of

_HERE = Path(__file__).parent
_FACES = (  # file, family, weight, style; licence in static/OFL.txt
    ("stix-two-text-400-normal", "STIX Two Text", 400, "normal"),
    ("stix-two-text-600-normal", "STIX Two Text", 600, "normal"),
    ("stix-two-math-subset", "STIX Two Math", 400, "normal"),
)

LARGEST = 1_000_000
"""Bytes of a page: a megabyte, as browsers and servers count it."""
SPARED = (
    "histograms, attention and singular values of negative controls",
    "the numbers of the shown cases",
    "curves of further cases beside the worst",
    "close-ups of negative controls and open claims",
    "inputs of negative controls and open claims",
)
"""What a page with too many claims leaves to the evidence files, in this order."""


def build(directory: Path, old: Path | None = None) -> Path:
    """Write DIR's index.html, summary.md, junit.xml and verdicts.tex; the first one's path.

    old: another run's directory; the page then says what changed since.  Reads verdicts.jsonl,
    evidence/*.json and run.json, any of which may be missing: what an empty or interrupted run
    left gives a page that says so.  Raises BadReport (a ValueError, one line) if DIR is not
    there or one of its files is damaged.
    """
    directory = Path(directory)
    run = read_run(directory)
    changes = None if old is None else changes_of(run, read_run(Path(old)))
    write(directory / "summary.md", summary_of(run))
    write(directory / "junit.xml", junit_of(run))
    write(directory / "verdicts.tex", latex_of(run))
    return write(directory / "index.html", page_within(run, changes))


def compare(directory: Path, old: Path) -> str:
    """What changed from ``old`` to ``directory``, one line each.  Raises BadReport as build."""
    return told(changes_of(read_run(Path(directory)), read_run(Path(old))))


def page_within(run: Run, changes: tuple[Change, ...] | None = None, largest: int = LARGEST) -> str:
    """The page with as little as possible of ``SPARED`` left out to stay within ``largest``."""
    for spared in range(len(SPARED) + 1):
        page = page_of(run, changes, SPARED[:spared])
        if len(page.encode("utf-8", errors="replace")) <= largest:
            break
    return page


def page_of(
    run: Run, changes: tuple[Change, ...] | None = None, spared: tuple[str, ...] = ()
) -> str:
    """The whole page as text; changes: since an earlier run, or None where none was named.

    spared: those of ``SPARED`` that it leaves to the files beside it, and says so.
    """
    standings = standings_of(run)
    sentences = sentence_verdicts(run)
    shown = {s.key for s in (*standings.values(), *(s.standing for s in sentences))}
    verdicts = run.verdicts
    anchor = short("c", (r.key for r in run.records))
    assumed = _assumed(run)
    limits, reasons = shared_limits(run), shared_reasons(run)
    return render(
        "index.html.j2",
        run=run,
        standings=standings,
        sentences=sentences,
        graph=claim_graph(run, anchor),
        headline=headline(run),
        used=[s for s in STANDINGS.values() if s.key in shown],
        anchor=anchor,
        lasting_anchor=lasting("c", anchor),
        sentence_anchor=lasting("s", (s.key for s in sentences)),
        assumption_anchor=short("a", assumed),
        lasting_assumption_anchor=lasting("a", assumed),
        limits=limits,
        limit_anchor=short("l", limits),
        reasons=reasons,
        reason_anchor=short("r", reasons),
        unmet=lambda record: unmet(run, record, standings),
        rests_upon=_rests_upon(run),
        status=_status(run),
        versions=_merged_versions(run),
        profiles=sorted({v.profile for v in verdicts if v.profile}),
        seeds=sorted({v.seed for v in verdicts}),
        seconds=sum(v.seconds for v in verdicts),
        quotes=lambda evidence: _quotes(evidence, run),
        changes=changes,
        spared=[name in spared for name in SPARED],
        left_out=spared,
        common=common_limits(sentences),
        planted=read_planted(),
        dropped=dropped_table(run),
        real=[r for r in run.records if r.key.startswith("data.")],
        assumed=assumed,
    )


def headline(run: Run) -> str:
    """The run in one sentence, from the verdicts alone."""
    if not run.records:
        return "Nothing was verified."
    standings = standings_of(run)
    judged = [standings[r.key] for r in run.records if r.about.expect != "open"]
    held = sum(s.key == "held" for s in judged)
    caught = sum(s.key == "caught" for s in judged)
    good = f"{held} held, {text.plural(caught, 'negative control')} caught"
    if held + caught == len(judged):
        return f"All {len(judged)} judged claims came out as expected: {good}."
    rest = [
        f"{n} {s.label.lower()}"
        for s in STANDINGS.values()
        if s.key not in ("held", "caught") and (n := judged.count(s))
    ]
    return f"{held + caught} of {len(judged)} judged claims stand: {good}. Not so: " + (
        ", ".join(rest) + "."
    )


def render(template: str, **values: Any) -> str:
    """``template`` with everything escaped that this package did not make itself."""
    script = (_HERE / "static" / "page.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return compact(
        _environment()
        .get_template(template)
        .render(
            style=Markup(_style()),
            fonts=Markup(_font_faces()),
            script=Markup(script),
            script_hash=digest,
            all_standings=STANDINGS,
            icon=lambda key: Markup(mask(key)),
            frames=plots.Frames(),
            **values,
        )
    )


def write(path: Path, content: str) -> Path:
    """Write ``content`` as UTF-8 with one kind of line end; BadReport if that fails."""
    try:
        # lone surrogates are legal in JSON and not in UTF-8
        path.write_bytes(content.encode("utf-8", errors="replace"))
    except OSError as error:
        raise BadReport(f"{path}: cannot be written ({error.strerror})") from error
    return path


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(
        number=text.number,
        count=text.count,
        plural=text.plural,
        duration=text.duration,
        formula=formula,
        prose=prose,
        line_plot=plots.line_plot,
        missing_points=plots.missing_points,
        span=plots.span,
        histogram=bars.histogram,
        bars=bars,
        phase_portrait=phase_portrait,
        arrays=text.arrays,
        axis_label=text.axis_label,
        opening=text.opening,
        sentences_of=text.sentences_of,
        ratio_place=plots.ratio_place,
    )
    return environment


@cache
def _style() -> str:
    """The style sheet without its comments, and without space that separates nothing."""
    sheet = (_HERE / "static" / "style.css").read_text(encoding="utf-8")
    sheet = re.sub(r"\s+", " ", re.sub(r"/\*.*?\*/", "", sheet, flags=re.DOTALL))
    return re.sub(r" ?([{};,]) ?|(?<=:) ", r"\1", sheet).replace(";}", "}")


@cache
def _font_faces() -> str:
    faces = []
    for name, family, weight, style in _FACES:
        data = base64.b64encode((_HERE / "static" / f"{name}.woff2").read_bytes()).decode()
        faces.append(
            f'@font-face{{font-family:"{family}";font-weight:{weight};font-style:{style};'
            f'src:url("data:font/woff2;base64,{data}") format("woff2")}}'
        )
    return "".join(faces)


def _status(run: Run) -> int | None:
    """What ``verify`` exits with; None where the files do not add up to one whole run."""
    whole = all(r.verdict is not None and not r.conflict for r in run.records)
    return exit_status(run.verdicts) if run.records and whole else None


def _assumed(run: Run) -> dict[str, Assumption]:
    """Every assumption of the run once, by its key, in the order of the claims."""
    found: dict[str, Assumption] = {}
    for record in run.records:
        for a in record.evidence.assumptions if record.evidence is not None else ():
            found.setdefault(a.key, a)
    return found


def _quotes(evidence: Evidence, run: Run) -> bool:
    """Is the citation nothing but the sentences that the first table shows already?"""
    shown = [f"{key}: {run.sentence_texts.get(key, '')}" for key in evidence.sentences]
    return bool(shown) and evidence.citation == " ".join(shown)


def _rests_upon(run: Run) -> dict[str, list[str]]:
    """Key -> the claims that rest on it."""
    back: dict[str, list[str]] = {record.key: [] for record in run.records}
    for record in run.records:
        for needed in record.rests_on:
            if needed in back:
                back[needed].append(record.key)
    return back


def _merged_versions(run: Run) -> list[tuple[str, str]]:
    """(name, version), sorted; several versions of one thing are all shown."""
    found: dict[str, set[str]] = {}
    for record in run.records:
        for source in (record.verdict, record.evidence):
            for name, version in (source.versions if source else {}).items():
                found.setdefault(name, set()).add(version)
    return [(name, ", ".join(sorted(found[name]))) for name in sorted(found)]
