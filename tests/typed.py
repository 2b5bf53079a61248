"""``nrmbus``, typed in this process. Each command is loaded once."""

from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result
from typer.main import get_command

from nrmbus.cli.app import COMMANDS, app, loaded

_COMMAND: Any = get_command(app)


def typed(*arguments: str | Path, stdin: str | None = None) -> Result:
    """Run a command; return its output and how it ended."""
    return CliRunner().invoke(_COMMAND, [*map(str, arguments)], input=stdin)


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
