"""Errors that a command expects: they end it with one sentence."""

import sys

from nrmbus.bus.errors import BusError
from nrmbus.bus.kafka.failures import sentence_of


def told(error: Exception) -> str | None:
    """Return the sentence that `main` prints for *error*; None if `main` has none."""
    # Not imported: a command that raises the error has loaded the module, whose packages a small install lacks.
    directory = sys.modules.get("nrmbus.directory.errors")
    is_ours = isinstance(error, BusError) or (directory and isinstance(error, directory.DirectoryError))
    return str(error) if is_ours else sentence_of(error)


def is_interrupted(error: BaseException) -> bool:
    """Return whether a Ctrl-C caused *error*: a Ctrl-C while asyncio closes the loop makes the closing fail."""
    behind = [error]
    for each in behind:  # the list grows meanwhile
        behind += [one for one in (each.__cause__, each.__context__) if one is not None and one not in behind]
    return any(isinstance(each, KeyboardInterrupt) for each in behind)
