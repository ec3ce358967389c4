#!/usr/bin/env python3
"""Set everything up, then verify the theorems or test the suite.

    python3 run.py verify [ARGUMENT ...]    every argument goes to `marginflow verify`
    python3 run.py test   [ARGUMENT ...]    every argument goes to pytest, after ruff and mypy

It needs Python 3.11 or newer, and a package index for the first run.  tox is installed under
.venv-tox and keeps one environment a command under .tox; later runs reuse both.  Paths in
arguments are relative to this file's folder.

Exit status: that of the command (for verify 0 as expected, 1 falsified, 2 bad usage or input,
3 undecided; see README.md), 2 for a wrong command here, 4 where the set-up failed.
"""

import sys

BAD_USAGE = 2
SETUP_FAILED = 4  # not 1: that means that a claim was falsified

if sys.version_info < (3, 11):  # before anything an older Python does not understand
    sys.stderr.write(
        f"run.py: this is Python {sys.version_info[0]}.{sys.version_info[1]} ({sys.executable})"
        " and 3.11 or newer is needed: start it with a newer one, e.g. python3.11 run.py verify\n"
    )
    sys.exit(SETUP_FAILED)

import hashlib
import importlib.util
import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv-tox"
CONSTRAINTS = ROOT / "constraints.txt"
COMMANDS = ("verify", "test")


class SetupError(Exception):
    """The machine lacks something; the message is the one line to print."""


def main(arguments: list[str]) -> int:
    """Carry out ``run.py`` with these arguments; the exit status."""
    if arguments and arguments[0] in ("-h", "--help"):
        print(__doc__)
        return 0
    if not arguments or arguments[0] not in COMMANDS:
        given = f"not {arguments[0]!r}" if arguments else "and none was given"
        _say(f"the command is verify or test, {given}; python3 run.py --help says more")
        return BAD_USAGE
    command, rest = arguments[0], arguments[1:]
    if rest[:1] == ["--"]:  # as tox wants it; here nothing needs to be kept apart
        rest = rest[1:]
    try:
        python = ensure_tox()
    except SetupError as error:
        _say(str(error))
        return SETUP_FAILED
    tox = [str(python), "-I", "-m", "tox", "run", "-c", str(ROOT / "tox.ini"), "-e", command]
    # In two steps, so that a package index that does not answer is not taken for a verdict.
    if _run([*tox, "--notest"]) != 0:
        _say("the set-up failed, see above; nothing was verified or tested")
        return SETUP_FAILED
    return _run([*tox, "--skip-pkg-install", "--", *rest])


def ensure_tox() -> Path:
    """The Python of an up-to-date .venv-tox, made if need be.  Raises SetupError."""
    python = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    stamp = VENV / "made-from.txt"
    try:
        made_from = _fingerprint()
        # Written last: a set-up that was cut short leaves no stamp and is begun afresh.
        if python.exists() and stamp.is_file() and stamp.read_text("utf-8") == made_from:
            return python
        _say(f"setting up tox in {VENV.name} (once)")
        _make_venv()
        _install_tox(python)
        stamp.write_text(made_from, "utf-8")
    except OSError as error:
        raise SetupError(
            f"the set-up cannot use {error.filename or ROOT}: {error.strerror}"
        ) from error
    return python


def _fingerprint() -> str:
    """Changes with the Python and with the pins: either makes .venv-tox out of date."""
    pins = hashlib.sha256(CONSTRAINTS.read_bytes()).hexdigest()
    return f"{sys.version}\n{sys.base_prefix}\n{VENV}\n{pins}\n"


def _make_venv() -> None:
    if importlib.util.find_spec("ensurepip") is None:
        raise SetupError(
            "this Python cannot make virtual environments, it has no ensurepip"
            " (on Debian or Ubuntu: apt install python3-venv)"
        )
    made = _captured([sys.executable, "-I", "-m", "venv", "--clear", str(VENV)])
    if made.returncode != 0:
        raise SetupError(f"{VENV} could not be made: {_gist(made)}")


def _install_tox(python: Path) -> None:
    log = VENV / "pip.log"
    install = [str(python), "-I", "-m", "pip", "install", "--disable-pip-version-check"]
    done = _captured([*install, "--log", str(log), "-c", str(CONSTRAINTS), "tox"])
    if done.returncode != 0:
        raise SetupError(
            f"pip could not install tox: {_gist(done)} (all of it is in {log};"
            " is the package index or proxy reachable?)"
        )


def _captured(command: list[str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command,
        cwd=ROOT,
        env=_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        check=False,
    )


def _run(command: list[str]) -> int:
    """Run with the terminal's own streams; the exit status as a shell gives it."""
    with subprocess.Popen(command, cwd=ROOT, env=_environment()) as process:
        while True:
            try:
                status = process.wait()
            except KeyboardInterrupt:
                continue  # Ctrl-C reached the child too: let it end in good order
            return status if status >= 0 else 128 - status


def _environment() -> dict[str, str]:
    """This environment, but packages go into the virtual environment whatever pip's settings."""
    return os.environ | {"PIP_USER": "0"}


def _gist(done: "subprocess.CompletedProcess[str]") -> str:
    """The line of its output that says most about why a command failed."""
    lines = [line.strip() for line in done.stdout.splitlines() if line.strip()]
    errors = [line for line in lines if line.lower().startswith("error")]
    return next(iter(errors[:1] or lines[-1:]), f"exit status {done.returncode}")


def _say(line: str) -> None:
    print(f"run.py: {line}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)  # the shell's status for Ctrl-C
