"""``junit.xml``: one test case a claim, for dashboards that know nothing of verdicts."""

from __future__ import annotations

import re
from xml.etree import ElementTree as Xml

from checks.outcomes import Outcome
from reports.run import Record, Run

_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit_of(run: Run) -> str:
    """JUnit XML.  passed: as expected, or open.  failure: another outcome than expected.
    error: the check itself failed.  skipped: not run.  Properties say the outcome itself."""
    root = Xml.Element("testsuites", name="marginflow")
    for kind in dict.fromkeys(record.about.kind for record in run.records):
        records = [record for record in run.records if record.about.kind == kind]
        suite = Xml.SubElement(root, "testsuite", name=kind)
        counts = dict.fromkeys(("failure", "error", "skipped"), 0)
        for record in records:
            word = _word(record)
            if word:
                counts[word] += 1
            suite.append(_case(record, word))
        suite.set("tests", str(len(records)))
        for name, attribute in (
            ("failure", "failures"), ("error", "errors"), ("skipped", "skipped"),
        ):  # fmt: skip
            suite.set(attribute, str(counts[name]))
        suite.set("time", f"{sum(_seconds(record) for record in records):.3f}")
    Xml.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + Xml.tostring(root, "unicode") + "\n"


def _word(record: Record) -> str:
    """The element that marks a claim which did not pass; "" for one that did."""
    if record.outcome is Outcome.NOT_RUN:
        return "skipped"
    if record.outcome is Outcome.ERROR:
        return "error"
    expected = record.about.expect in ("open", record.outcome.word)
    return "" if expected else "failure"


def _case(record: Record, word: str) -> Xml.Element:
    case = Xml.Element(
        "testcase", classname=f"marginflow.{record.about.kind}", name=_clean(record.key),
        time=f"{_seconds(record):.3f}",
    )  # fmt: skip
    properties = Xml.SubElement(case, "properties")
    v = record.verdict
    said: dict[str, object] = {"outcome": record.outcome.word, "expect": record.about.expect}
    if v is not None:
        said |= {"informative": v.informative, "problems": v.problems, "worst": v.worst,
                 "seed": v.seed, "profile": v.profile, "case": v.case}  # fmt: skip
    for name, value in said.items():
        if value is not None:
            Xml.SubElement(properties, "property", name=name, value=_clean(str(value)))
    if word:
        message = f"{record.outcome.word}, expected {record.about.expect}: {record.reason}"
        attributes = {"message": _clean(message)}
        if word != "skipped":
            attributes["type"] = record.outcome.word
        Xml.SubElement(case, word, attributes).text = _clean(record.advice)
    return case


def _seconds(record: Record) -> float:
    return 0.0 if record.verdict is None else record.verdict.seconds


def _clean(text: str) -> str:
    """``text`` without the characters that no XML may hold."""
    return _NOT_XML.sub("\ufffd", text)
