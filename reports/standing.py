"""What may be said of a claim once what it rests on is taken into account.

One table, :data:`STANDINGS`, gives every word its colour, its icon and its legend line, so
that page, graph, legend and summary cannot disagree.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass

from checks.outcomes import Outcome
from reports.evidence import ShownCase
from reports.run import Record, Run
from reports.text import sentences_of


@dataclass(frozen=True)
class Standing:
    """``key`` names the CSS colour and the icon; ``mark`` is the icon in plain text."""

    key: str
    label: str
    mark: str
    meaning: str


STANDINGS: dict[str, Standing] = {
    s.key: s
    for s in (
        Standing("held", "Held", "✓", Outcome.HELD.advice + " All it rests on stands as well."),
        Standing(
            "caught",
            "Caught, as expected",
            "◎",
            "A negative control: a false statement, planted on purpose, was falsified by a "
            "certificate. The check can fail.",
        ),
        Standing(
            "unsupported",
            "Unsupported",
            "○",
            "Its own cases came out as expected, but something it rests on did not, or is missing.",
        ),
        Standing("falsified", "Falsified", "✕", Outcome.FALSIFIED.advice),
        Standing(
            "missed",
            "Control not caught",
            "✕",
            "A false statement came out as held: nothing this check says can be trusted.",
        ),
        Standing("vacuous", "Vacuous", "∅", Outcome.VACUOUS.advice),
        Standing("inconclusive", "Inconclusive", "~", Outcome.INCONCLUSIVE.advice),
        Standing("error", "Error", "!", Outcome.ERROR.advice),
        Standing("not_run", "Not run", "–", Outcome.NOT_RUN.advice),
        Standing(
            "open",
            "Open question",
            "?",
            "Reported as evidence only; nothing is expected and no verdict depends on it.",
        ),
        Standing(
            "partial",
            "Only in part",
            "◐",
            "What ran of this sentence came out as expected, but its substance was not put to "
            "the test: no claim about the flow's limit, or no negative control.",
        ),
        Standing("uncovered", "Not covered in this run", "–", "No claim of this sentence ran."),
    )
}

# The kinds of claim that put a sentence itself to the test, not only its scaffolding; S1
# describes the model and claims no limit.
_SUBSTANCE = ("limit", "rate", "selection", "contrast")
_SUBSTANCE_OF_S1 = (*_SUBSTANCE, "flow")

# Worst first: the standing of a sentence is the first of these that any of its claims has.
_GRAVITY = (
    "falsified", "missed", "error", "vacuous", "inconclusive", "not_run", "unsupported",
)  # fmt: skip


def standings_of(run: Run) -> dict[str, Standing]:
    """Claim key -> standing.  Green ("held", "caught") only if all it rests on is green.

    A dependency that is missing, open, or part of a cycle is not green.
    """
    known = {record.key: record for record in run.records}
    own = {key: _own(record) for key, record in known.items()}
    green: set[str] = set()
    while True:  # grows from the claims that rest on nothing; a cycle never gets in
        more = {
            key
            for key, record in known.items()
            if key not in green
            and own[key] in ("held", "caught")
            and all(needed in green for needed in record.rests_on)
        }
        if not more:
            break
        green |= more
    return {
        key: STANDINGS["unsupported" if word in ("held", "caught") and key not in green else word]
        for key, word in own.items()
    }


def _own(record: Record) -> str:
    """The standing by the record alone."""
    outcome, expect = record.outcome, record.about.expect
    if expect == "open" and outcome in (Outcome.HELD, Outcome.FALSIFIED):
        return "open"
    if outcome is Outcome.HELD:
        if expect == "falsified":
            return "missed"
        return "held" if record.evidence is not None else "unsupported"
    if outcome is Outcome.FALSIFIED and expect == "falsified":
        return "caught" if record.evidence is not None else "unsupported"
    return outcome.word


def unmet(run: Run, record: Record, standings: dict[str, Standing]) -> list[str]:
    """The keys among ``record.rests_on`` that are not green, or not there."""
    return [
        key
        for key in record.rests_on
        if key not in standings or standings[key].key not in ("held", "caught")
    ]


@dataclass(frozen=True)
class SentenceVerdict:
    """One of S1-S6 as its claims leave it.

    ``informative`` sums over the sampled claims expected to hold; ``problems`` is the most
    distinct problems one of them saw (a lower bound for all together), ``fewest`` the
    informative cases of the one that saw the fewest.  ``worst`` is value/tolerance.
    ``worst_case`` is the measurement that ratio is of.  ``seen``: for each quantity measured by a
    principal claim its largest tolerance, beyond which no case would have counted as held.
    ``culprits`` are the keys that give it its standing, where that is not green;
    ``principal`` the claims no other claim of the sentence rests on.
    """

    key: str
    text: str
    standing: Standing
    why: str
    culprits: tuple[str, ...]
    claims: tuple[Record, ...]
    controls: tuple[Record, ...]
    opens: tuple[Record, ...]
    caught: int
    proved: int
    informative: int
    fewest: int
    problems: int
    worst: float | None
    principal: tuple[Record, ...]
    worst_case: ShownCase | None
    seen: tuple[tuple[str, float], ...]

    def words(self, field: str) -> list[str]:
        """The distinct texts of one field of evidence, over the principal claims."""
        said = [getattr(r.evidence, field) for r in self.principal if r.evidence is not None]
        return list(dict.fromkeys(text for text in said if text))

    def limits(self, common: tuple[str, ...]) -> list[str]:
        """What its principal claims say is not shown, each thing once and without ``common``."""
        said = (s for words in self.words("not_shown") for s in sentences_of(words))
        return [s for s in dict.fromkeys(said) if s not in common]

    @property
    def sampled(self) -> int:
        return len(self.claims) - sum(r.about.kind == "symbolic" for r in self.claims)


# Short paraphrases, for a sentence that no file of the run quotes.
_PARAPHRASES = {
    "S1": "The model: gradient flow on the exponential loss, one-layer softmax attention, key "
    "and query trained separately.",
    "S2": "On separable data, when the flow reaches the minimal loss, it implicitly minimises "
    "the nuclear norm of the product of key and query weights.",
    "S3": "The bias is described by a support vector machine in the attention weights.",
    "S4": "In contrast, with key and query combined into one matrix the bias is in the "
    "Frobenius norm.",
    "S5": "For diagonal weights the analysis rests on a reparameterisation and on approximate "
    "KKT conditions of the support vector machine.",
    "S6": "The results extend to general weights whose singular spaces are aligned with the "
    "data features at initialisation.",
}
SENTENCES = tuple(_PARAPHRASES)


def sentence_verdicts(run: Run) -> tuple[SentenceVerdict, ...]:
    """S1 to S6 (and any further sentence a claim names), in order."""
    standings = standings_of(run)
    named = {s for record in run.records for s in record.sentences}
    return tuple(
        _sentence(run, key, standings) for key in (*SENTENCES, *sorted(named - set(SENTENCES)))
    )


def _sentence(run: Run, key: str, standings: dict[str, Standing]) -> SentenceVerdict:
    of_it = [r for r in run.records if key in r.sentences]
    claims = [r for r in of_it if r.about.expect == "held"]
    keys = {r.key for r in claims}
    # A control is of the sentences it names; one that was missed discredits all it rests on.
    controls = [
        r
        for r in run.records
        if r.about.expect == "falsified"
        and (key in r.sentences or (r.outcome is Outcome.HELD and keys & set(r.rests_on)))
    ]
    sampled = [r.verdict for r in claims if r.verdict and r.about.kind != "symbolic"]
    worst = [r.verdict.worst for r in claims if r.verdict and r.verdict.worst is not None]
    standing, why, culprits = _judge(run, key, claims, controls, standings)
    resting = {needed for r in claims for needed in r.rests_on}
    principal = tuple(r for r in claims if r.key not in resting)
    return SentenceVerdict(
        key=key,
        text=run.sentence_texts.get(key) or _PARAPHRASES.get(key, ""),
        standing=standing,
        why=why,
        culprits=culprits,
        claims=tuple(claims),
        controls=tuple(controls),
        opens=tuple(r for r in of_it if r.about.expect == "open"),
        caught=sum(r.outcome is Outcome.FALSIFIED for r in controls),
        proved=sum(r.about.kind == "symbolic" and r.outcome is Outcome.HELD for r in claims),
        informative=sum(v.informative for v in sampled),
        fewest=min((v.informative for v in sampled), default=0),
        problems=max((v.problems for v in sampled), default=0),
        worst=max(worst, default=None),
        principal=principal,
        worst_case=_worst_case(claims),
        seen=_seen(principal),
    )


def common_limits(sentences: tuple[SentenceVerdict, ...]) -> tuple[str, ...]:
    """What the claims of most sentences say is not shown: said once, for all of them."""
    said = Counter(limit for s in sentences for limit in s.limits(()))
    return tuple(limit for limit, n in said.most_common() if 2 * n > len(sentences))


def _worst_case(claims: list[Record]) -> ShownCase | None:
    known = [r.evidence.worst for r in claims if r.evidence is not None and r.evidence.worst]
    return max(known, key=lambda w: math.inf if w.ratio is None else w.ratio, default=None)


def _seen(principal: tuple[Record, ...]) -> tuple[tuple[str, float], ...]:
    largest: dict[str, float] = {}
    for record in principal:
        for used in record.evidence.tolerances if record.evidence is not None else ():
            if used.value is not None and used.value > 0:
                largest[used.name] = max(used.value, largest.get(used.name, 0.0))
    return tuple(largest.items())


def _judge(
    run: Run,
    key: str,
    claims: list[Record],
    controls: list[Record],
    standings: dict[str, Standing],
) -> tuple[Standing, str, tuple[str, ...]]:
    """Green only if every claim is green, every control caught, and no claim can be missing.

    And only if there is a claim of substance and a control: a sentence of which nothing but
    identities ran has not been tested, however well they held.
    """
    missed = any(standings[r.key].key == "missed" for r in controls)
    if not missed and not any(r.verdict for r in claims):
        return STANDINGS["uncovered"], "", ()
    for word in _GRAVITY:
        culprits = tuple(r.key for r in (*claims, *controls) if standings[r.key].key == word)
        if culprits:
            return STANDINGS[word], "because of", culprits
    if not run.complete:
        return STANDINGS["unsupported"], "run.json is missing, so claims may be absent", ()
    if not any(r.about.kind in (_SUBSTANCE_OF_S1 if key == "S1" else _SUBSTANCE) for r in claims):
        return STANDINGS["partial"], "its identities hold; no limit was put to the test", ()
    if not controls:
        return STANDINGS["partial"], "no negative control shows that its checks can fail", ()
    return STANDINGS["held"], "", ()
