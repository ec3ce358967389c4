"""The ``marginflow`` command.  Light to start: what a subcommand needs is imported by it."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

# Before numpy or torch are loaded, here and in every worker: one thread, one code path
# (research/determinism.md), so that the same seed gives the same bits.
for _name, _value in (
    ("OMP_NUM_THREADS", "1"),
    ("MKL_NUM_THREADS", "1"),
    ("OPENBLAS_NUM_THREADS", "1"),
    ("MKL_CBWR", "AVX2,STRICT"),
):
    os.environ.setdefault(_name, _value)

import click  # noqa: E402

from checks.command import BAD_INPUT, Bad, Group, leave  # noqa: E402


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="marginflow", prog_name="marginflow")
def main() -> None:
    """Verify theorems about the implicit bias of gradient flow in softmax attention."""


def _known(keys: tuple[str, ...]) -> list[str]:
    from difflib import get_close_matches

    from theory.catalogue import CLAIMS

    for key in keys:
        if key not in CLAIMS:
            near = get_close_matches(key, CLAIMS, 1, 0.5)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise Bad(f"no claim is called {key!r}{hint} (marginflow list names them all)")
    return list(dict.fromkeys(keys))


@main.command("list")
def list_claims() -> None:
    """Name every claim: key, kind, what is expected, sentences, title."""
    from theory.catalogue import CLAIMS

    width = max(map(len, CLAIMS))
    for claim in CLAIMS.values():
        sentences = ",".join(claim.sentences) or "-"
        click.echo(f"{claim.key:{width}}  {claim.expect:9}  {sentences:9}  {claim.title}")


@main.command()
@click.argument("key")
def explain(key: str) -> None:
    """Show one claim: statement, source sentence, assumptions, derivation."""
    from checks import symbolic_checks
    from theory.catalogue import ASSUMPTIONS, CLAIMS, SENTENCES

    claim = CLAIMS[_known((key,))[0]]
    lines = [f"{claim.key}: {claim.title}", "", claim.statement, "", f"  {claim.latex}", ""]
    lines += [f"kind      {claim.kind}", f"expected  {claim.expect}"]
    lines += [f"source    {claim.citation.source}: {claim.citation.text}"]
    lines += [f"{s:9} {SENTENCES[s]}" for s in claim.sentences]
    lines += [f"rests on  {below}" for below in claim.rests_on]
    for name in claim.assumptions:
        assumption = ASSUMPTIONS[name]
        lines += ["", f"assumes   {name} (of the {assumption.scope}): {assumption.statement}"]
    lines += ["", f"Falsified by: {claim.falsified_by}", f"Not shown: {claim.not_shown}"]
    if key in symbolic_checks.claims():
        lines += ["", "Derivation:"]
        for words, latex in symbolic_checks.derivation(key):
            lines += [f"  {words}", f"      {latex}"]
    click.echo("\n".join(lines))


def _seconds(_: Any, __: Any, value: str | None) -> float | None:
    """A time such as 90, 90s, 10m, 1.5h, in seconds."""
    if value is None:
        return None
    factor = {"s": 1.0, "m": 60.0, "h": 3600.0}.get(value[-1:])
    try:
        seconds = float(value[:-1] if factor else value) * (factor or 1.0)
    except ValueError:
        seconds = -1.0
    if not 0 < seconds < float("inf"):
        raise click.BadParameter(f"{value!r} is no time; write 90s, 10m or 1h")
    return seconds


@main.command()
@click.argument("keys", nargs=-1)
@click.option("--profile", type=click.Choice(["quick", "full", "deep"]), default="quick")
@click.option("--seed", type=click.IntRange(min=0), default=0, help="Same seed, same verdicts.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("reports/out"))
@click.option("--device", type=click.Choice(["cpu", "cuda"]), default="cpu")
@click.option("--workers", type=click.IntRange(min=1), help="Processes; default: one a core.")
@click.option("--cluster", metavar="ADDRESS", help="A dask scheduler, such as tcp://HOST:8786.")
@click.option("--resume", is_flag=True, help="Go on with what OUT holds already.")
@click.option(
    "--time-limit",
    callback=_seconds,
    metavar="10m",
    help="Begin nothing after it; claims take turns.",
)
@click.option("--data", metavar="DIR", help="Judge your own problem files in DIR (.npz).")
@click.option("--fail-fast", is_flag=True, help="Stop at the first claim not as expected.")
def verify(
    keys: tuple[str, ...],
    profile: str,
    seed: int,
    out: Path,
    device: str,
    workers: int | None,
    cluster: str | None,
    resume: bool,
    time_limit: float | None,
    data: str | None,
    fail_fast: bool,
) -> None:
    """Check claims (all, or KEYs) and write a report to OUT."""
    wanted = _known(keys)
    if cluster is not None and workers is not None:
        raise Bad("--cluster and --workers exclude each other; a cluster has its own workers")
    if os.path.exists(out) and not os.path.isdir(out):  # pathlib's raise for a name too long
        raise Bad(f"--out {out} is a file; name a directory")
    import reports
    from checks import campaign
    from checks.outcomes import exit_status
    from checks.problems import BadInput
    from checks.store import StoreDamaged, StoreFailed
    from checks.workers import ClusterFailed

    if device == "cuda":
        import torch

        if not torch.cuda.is_available():
            raise Bad("--device cuda: torch finds no CUDA device; use --device cpu")
    order = campaign.Order(
        tuple(wanted), profile, seed, str(out), device,
        workers or len(os.sched_getaffinity(0)), resume, time_limit, fail_fast,
        cluster, data,
    )  # fmt: skip
    try:
        verdicts = campaign.run(order, " ".join(["marginflow", *sys.argv[1:]]), reports.build)
    except ClusterFailed as error:
        raise Bad(f"--cluster {cluster}: {error}") from error
    except (BadInput, StoreDamaged, StoreFailed, reports.BadReport) as error:
        raise Bad(str(error)) from error
    except BrokenPipeError:  # of stdout, not of a file
        raise
    except OSError as error:
        what = error.filename or out
        raise Bad(f"cannot write to {what}: {error.strerror or error}") from error
    left = [v.claim for v in verdicts if v.outcome.word == "not_run"]
    if left:
        click.echo(f"not run: {', '.join(left)}")
    click.echo(f"report: {out / 'index.html'}")
    leave(exit_status(verdicts))


@main.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--model", type=click.Choice(["diagonal", "factored", "combined"]))
@click.option("--starts", type=click.IntRange(min=0), help="Starts to draw beside the file's own.")
@click.option("--seed", type=click.IntRange(min=0), default=0)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--html", type=click.Path(path_type=Path), help="Write a page about this problem.")
def check(
    files: tuple[Path, ...],
    model: str | None,
    starts: int | None,
    seed: int,
    as_json: bool,
    html: Path | None,
) -> None:
    """Judge the theorem on your own problem FILES (.npz).

    With --json every file is one line.  Of several files the most serious exit status counts:
    1 falsified, 2 bad input (the other files are judged all the same), 3 not judged, 0 held.
    """
    from checks import own_data
    from checks.outcomes import dumps
    from checks.problems import BadInput

    if html is not None and len(files) > 1:
        raise Bad("--html makes the page of one problem; name one file")
    statuses = set()
    for file in files:
        try:
            result = own_data.check(file, model, starts, seed, pictures=html is not None)
        except BadInput as error:
            Bad(str(error)).show()
            statuses.add(BAD_INPUT)
            continue
        if html is not None:
            import reports

            try:
                reports.problem_page(result, html)
            except OSError as error:
                raise Bad(f"cannot write {html}: {error.strerror or error}") from error
        shown = {key: value for key, value in result.items() if key != "page"}
        click.echo(dumps(shown) if as_json else own_data.summary(shown))
        statuses.add({"falsified": 1, "held": 0}.get(result["outcome"], 3))
    leave(next(status for status in (1, BAD_INPUT, 3, 0) if status in statuses))


def _record(file: Path) -> dict[str, Any]:
    """The JSON object in a case file; one line where there is none."""
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise Bad(f"{file}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise Bad(f"{file}: not a case file: {error}") from error
    if not isinstance(record, dict) or "claim" not in record:
        raise Bad(f"{file}: not a case file; marginflow verify writes them to OUT/cases")
    return record


@main.command()
@click.argument("file", type=click.Path(path_type=Path))
def replay(file: Path) -> None:
    """Run a recorded case again; 0 if its outcome comes out again."""
    record = _record(file)
    from checks import runner
    from checks.outcomes import Outcome

    try:
        Outcome.of(record["outcome"])  # nothing to compare with is found out before the run
        result = runner.replay(record)
    except (KeyError, TypeError, ValueError) as error:
        raise Bad(f"{file}: damaged case file: {error}") from error
    click.echo(f"{record['claim']}: recorded {record['outcome']}, now {result.outcome.word}")
    if result.reason:
        click.echo(f"  {result.reason}")
    for m in result.measurements:
        click.echo(f"  {m.name}: {m.value:.6g}, tolerance {m.tolerance:.3g} ({m.because})")
    leave(0 if result.outcome.word == record["outcome"] else 1)


@main.command()
@click.argument("file", type=click.Path(path_type=Path))
def audit(file: Path) -> None:
    """Re-verify a case file's certificate from its raw tokens, in rationals."""
    record = _record(file)
    from checks.audit import BadCase, audit_case

    if record.get("certificate") is None:
        raise Bad(f"{file}: this case carries no certificate to audit")
    try:
        stands, why = audit_case(record)
    except BadCase as error:
        raise Bad(f"{file}: {error}") from error
    click.echo(f"{'stands' if stands else 'does NOT stand'}: {why}")
    leave(0 if stands else 1)


@main.command()
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("--figures", is_flag=True, help="Write every plot to DIRECTORY/figures too.")
@click.option("--compare", "old", type=click.Path(path_type=Path), help="Say what changed since.")
def report(directory: Path, figures: bool, old: Path | None) -> None:
    """Rebuild the page and its companions in DIRECTORY from the recorded evidence."""
    import reports

    try:
        page = reports.build(directory, old)
        if figures:
            click.echo(f"figures: {len(reports.export(directory))} in {directory / 'figures'}")
        if old is not None:
            click.echo(reports.compare(directory, old))
    except reports.BadReport as error:
        raise Bad(str(error)) from error
    click.echo(f"report: {page}")


@main.command()
@click.argument("weights", type=click.Path(path_type=Path))
@click.argument("inputs", type=click.Path(path_type=Path))
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--key", metavar="NAME", help="The key's weight (E, D) in WEIGHTS.")
@click.option("--query", metavar="NAME", help="The query's weight (E, D).")
@click.option("--packed", metavar="NAME", help="Instead: query, key and value in one (3D, D).")
@click.option("--head", type=click.IntRange(min=0), default=0, help="Which head, from 0.")
@click.option("--heads", type=click.IntRange(min=1), default=1, help="How many there are.")
@click.option("--value", metavar="NAME", help="Value weight (E, D), for the prediction head.")
@click.option("--output", metavar="NAME", help="Output weight (D, E).")
@click.option("--readout", metavar="NAME", help="Linear read-out (D,) or (1, D).")
def extract(
    weights: Path, inputs: Path, file: Path, head: int, heads: int, **names: str | None
) -> None:
    """Write one attention head of a network as a problem FILE.

    WEIGHTS: a torch state dict or .safetensors.  INPUTS: an .npz of what enters the attention
    layer, tokens (n, L, D) and queries (n, D), with labels (n,) of +1/-1 and the linear
    prediction head (D,), unless --value, --output and --readout give it.
    """
    from checks import extract as extraction
    from checks.problems import BadInput

    try:
        problem = extraction.extract(weights, inputs, file, extraction.Names(**names), head, heads)
    except BadInput as error:
        raise Bad(str(error)) from error
    click.echo(extraction.describe(problem, file))


@main.command()
@click.argument("name", type=click.Choice(["iris", "digits", "breast-cancer", "wine", "random"]))
@click.argument("file", type=click.Path(path_type=Path))
def example(name: str, file: Path) -> None:
    """Write a problem FILE.npz from real data (or random), and say by which rule."""
    from checks import examples
    from checks.given import Unavailable
    from checks.problem_files import write_problem
    from checks.problems import BadInput

    try:
        made = examples.example(name)
        write_problem(file, made.problem)
    except (BadInput, Unavailable) as error:
        raise Bad(str(error)) from error
    click.echo(examples.describe(made))
    click.echo(f"wrote {file}: marginflow check {file}")


if __name__ == "__main__":
    main()
