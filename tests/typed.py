"""``nrmbus``, typed in this process. Each command is loaded once."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import Any
from unittest import mock

from click.testing import CliRunner, Result
from typer.main import get_command

from nrmbus import cli
from nrmbus.cli.app import COMMANDS, app, loaded

_COMMAND: Any = get_command(app)


def typed(*arguments: str | Path, stdin: str | None = None) -> Result:
    """Run a command; return its output and how it ended."""
    return CliRunner().invoke(_COMMAND, [*map(str, arguments)], input=stdin)


@dataclass(frozen=True)
class Done:
    """How a command ended, and what it printed."""

    returncode: int
    stdout: str
    stderr: str


def run(*arguments: str | Path, given: str = "") -> Done:
    """Run ``nrmbus`` as a process does, with *given* on standard input: errors become a sentence and an exit status."""
    out, wrong = TextIOWrapper(BytesIO(), encoding="utf-8"), TextIOWrapper(BytesIO(), encoding="utf-8")
    with (
        mock.patch.object(sys, "argv", ["nrmbus", *map(str, arguments)]),
        mock.patch.object(sys, "stdin", TextIOWrapper(BytesIO(given.encode()), encoding="utf-8")),
        mock.patch.object(cli, "leave_no_picture"),
        _loggers_as_before(),
        redirect_stdout(out),
        redirect_stderr(wrong),
    ):
        status: int | str | None = None
        try:
            cli.main()
        except SystemExit as exit_:
            status = exit_.code
        if isinstance(status, str):  # Python prints it when the process ends
            print(status, file=wrong)
            status = 1
    return Done(status or 0, _text(out), _text(wrong))


@contextmanager
def _loggers_as_before() -> Iterator[None]:
    """Undo what the command sets at the root of the loggers, where pytest listens."""
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    try:
        yield
    finally:
        root.setLevel(level)
        root.handlers[:] = handlers


def _text(printed: TextIOWrapper) -> str:
    printed.flush()
    return printed.buffer.getvalue().decode()  # type: ignore[attr-defined, no-any-return]  # a BytesIO


def every(command: Any = None, before: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Return the words of each command that can be typed."""
    below = _below(command)
    return [each for name, one in sorted(below.items()) for each in every(one, (*before, name))] if below else [before]


def command_of(words: tuple[str, ...]) -> Any:
    """Return the command that is typed with *words*."""
    found = None
    for each in words:
        found = _below(found)[each]
    return found


def _below(command: Any) -> dict[str, Any]:
    """Return the commands of a group, or of ``nrmbus`` itself if *command* is None."""
    return {name: loaded(name) for name in COMMANDS} if command is None else getattr(command, "commands", {})
