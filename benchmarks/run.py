"""All benchmarks, one after the other, into one table to read and one file for scripts.

    python benchmarks/run.py [--out build/bench] [--only oracle_speed flow_speed]

Writes DIR/bench.md (the tables as printed, and the machine) and DIR/bench.json (by script), and
the pictures of flow_growth beside them.
Ends with the status of the first script that failed.  Timings mean something only on a machine
that does nothing else.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
SCRIPTS: dict[str, list[str]] = {
    "oracle_speed": [],
    "flow_speed": ["--batch", "64", "1024"],
    "flow_peers": ["--problems", "2", "--seconds", "2", "--batch", "64", "--grid", "1"],
    "flow_growth": ["--plots", "{out}"],
}
"""Script -> its arguments; {out}: the directory written to."""
LIBRARIES = ("numpy", "scipy", "torch", "cvxpy", "clarabel", "highspy")


def machine() -> dict[str, Any]:
    return {
        "platform": platform.platform(),
        "processor": platform.machine(),
        "python": platform.python_version(),
        **{name: version(name) for name in LIBRARIES},
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("build/bench"), help="directory")
    parser.add_argument("--only", nargs="+", choices=list(SCRIPTS), default=list(SCRIPTS))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    record: dict[str, Any] = {"machine": machine()}
    pages = ["# Benchmarks\n", ", ".join(f"{k} {v}" for k, v in record["machine"].items()) + "\n"]
    status = 0
    for name in options.only:
        numbers = options.out / f"{name}.json"
        words = [word.format(out=options.out) for word in SCRIPTS[name]]
        command = [sys.executable, str(HERE / f"{name}.py"), *words, "--json", str(numbers)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
        print(done.stdout, flush=True)
        status = status or done.returncode
        if done.returncode == 0:
            record[name] = json.loads(numbers.read_text(encoding="utf-8"))
            table = [line for line in done.stdout.splitlines() if line.startswith("|") or not line]
            pages += [f"## {name}\n", *table, ""]
    (options.out / "bench.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    (options.out / "bench.md").write_text("\n".join(pages) + "\n", encoding="utf-8")
    return status


if __name__ == "__main__":
    sys.exit(main())
