"""``python -m tests.planted [NAME ...]``: plant by plant, each in a process of its own.

Writes reports/static/planted.json (schema: reports/planted.py), which the report shows.  NAMEs
alone renew their own rows.  Exit status 1 where a plant survives.
"""

from __future__ import annotations

import argparse
import json
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from tests.planted import PLANTS, what
from tests.planted.hints import HINTS
from tests.planted.trial import run

FILE = Path(__file__).resolve().parents[2] / "reports" / "static" / "planted.json"


def trial(name: str, limit: float, claims: tuple[str, ...]) -> dict[str, Any]:
    """What ``tests.planted.trial`` says of the plant, in a process that ends with it.

    Forked: this one has loaded the suite, and neither plants nor measures anything.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("fork")) as alone:
        return asdict(alone.submit(run, name, limit, list(claims)).result())


def row(name: str, limit: float) -> dict[str, Any]:
    """The table's row for one plant."""
    return {"name": name, "what": what(PLANTS[name]), **trial(name, limit, HINTS[name])}


def write(rows: dict[str, dict[str, Any]], file: Path) -> None:
    """In the order of ``PLANTS``; the same bytes for the same rows."""
    ordered = [rows[name] for name in PLANTS if name in rows]
    text = json.dumps({"schema": 1, "rows": ordered}, indent=1, ensure_ascii=False)
    file.write_text(text + "\n", encoding="utf-8")


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.planted", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="plants (default: all)")
    parser.add_argument(
        "--limit", type=float, default=300.0, metavar="SECONDS",
        help="how long the claims that no hint names are tried (default: 300; 0: not at all)",
    )  # fmt: skip
    parser.add_argument("--out", type=Path, default=FILE, help="default: the report's table")
    given = parser.parse_args(arguments)
    unknown = sorted(set(given.names) - set(PLANTS))
    if unknown:
        parser.error(f"no plant is called {', '.join(unknown)}")
    rows: dict[str, dict[str, Any]] = {}
    if given.names and given.out.is_file():
        rows = {r["name"]: r for r in json.loads(given.out.read_text(encoding="utf-8"))["rows"]}
    wanted = given.names or list(PLANTS)
    for name in wanted:
        rows[name] = row(name, given.limit)
        _say(rows[name])
        write(rows, given.out)
    # What the small profile leaves undecided of sound code, too, kills nothing.
    doubtful = sorted({rows[n]["by"] for n in wanted if rows[n]["killed"]})
    sound = trial("", 0.0, tuple(doubtful))["others"] if doubtful else {}
    for name in wanted:
        weak = {sound.get(rows[name]["by"]), "vacuous", "inconclusive"}
        if rows[name]["by"] in sound and rows[name]["outcome"] in weak:
            rows[name]["killed"] = False
            rows[name]["reason"] += " (the small profile does not decide this claim)"
            _say(rows[name])
    write(rows, given.out)
    survivors = [name for name in wanted if not rows[name]["killed"]]
    print(f"{len(wanted) - len(survivors)} of {len(wanted)} killed; {survivors or 'none'} survive")
    return 1 if survivors else 0


def _say(found: dict[str, Any]) -> None:
    word = "killed" if found["killed"] else "SURVIVED"
    print(
        f"{found['name']:30} {word:9} {found['seconds'] or 0:6.1f} s  {found['by'] or '-'}: "
        f"{found['outcome']} {found['reason'][:100]}",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
