"""``nrmbus``, typed in this process. Its commands are built once: each time would cost as much as what they do."""

from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result
from typer.main import get_command

from nrmbus.cli.app import app

_COMMAND: Any = get_command(app)


def typed(*arguments: str | Path, stdin: str | None = None) -> Result:
    """What is printed, and how it ended."""
    return CliRunner().invoke(_COMMAND, [*map(str, arguments)], input=stdin)


def every(command: Any = _COMMAND, before: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Every command that can be typed, by its words."""
    below = getattr(command, "commands", None)
    if below is None:
        return [before]
    return [each for name, one in sorted(below.items()) for each in every(one, (*before, name))]


def command_of(words: tuple[str, ...]) -> Any:
    """The command that is typed with *words*."""
    found = _COMMAND
    for each in words:
        found = found.commands[each]
    return found
