"""How the ``marginflow`` command ends: one line for whatever is wrong, and an exit status."""

from __future__ import annotations

import os
import sys
from typing import Any, NoReturn

import click

BAD_INPUT = 2
PIPE_CLOSED = 141
"""128 + SIGPIPE, as a shell says of any program: no verdict is meant by it."""


class Bad(click.ClickException):
    """Bad usage or bad input: one line on stderr, exit status 2."""

    exit_code = BAD_INPUT

    def show(self, file: Any = None) -> None:
        click.echo(f"marginflow: {_line(self.format_message())}", err=True)


def _line(text: str) -> str:
    """On one line, whatever a user typed or click lists."""
    return " ".join(text.split())


class Group(click.Group):
    """A group whose usage errors are one line, too."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:  # whoever read the output wants no more of it; click would say 1
            _silence()
            leave(PIPE_CLOSED)

    def main(self, *args: Any, **kwargs: Any) -> NoReturn:
        try:
            # Not standalone, click returns the status of an Exit instead of exiting with it.
            sys.exit(super().main(*args, **{**kwargs, "standalone_mode": False}) or 0)
        except click.exceptions.NoArgsIsHelpError as error:
            error.show()
            sys.exit(BAD_INPUT)
        except click.UsageError as error:
            hint = f" (see {error.ctx.command_path} --help)" if error.ctx else ""
            click.echo(f"marginflow: {_line(error.format_message())}{hint}", err=True)
            sys.exit(BAD_INPUT)
        except click.ClickException as error:
            error.show()
            sys.exit(error.exit_code)
        except (click.Abort, KeyboardInterrupt):
            click.echo("marginflow: interrupted; nothing that was finished is lost", err=True)
            sys.exit(130)
        except OSError as error:  # on stdout: every command says of its files itself
            _silence()
            click.echo(f"marginflow: cannot write the output: {error.strerror}", err=True)
            sys.exit(BAD_INPUT)


def _silence() -> None:
    """What stdout still holds goes nowhere, or the interpreter would try again as it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def leave(status: int) -> NoReturn:
    raise click.exceptions.Exit(status)
