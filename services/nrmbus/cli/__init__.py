"""Command line, ``nrmbus``."""

import logging
import sys
import warnings
from io import TextIOWrapper
from typing import Final, NoReturn

from nrmbus.bus.errors import BusError
from nrmbus.cli.expected import is_interrupted, told
from nrmbus.host.core_dumps import leave_no_picture
from nrmbus.host.open_files import make_room

_NOT_UTF_8: Final = (
    "A name or a text that was given is not UTF-8: set the terminal to UTF-8, for example with LANG=C.UTF-8. If it is the "
    "name of a file from another system, rename the file."
)


def main() -> None:
    """Run one command; print an error as one sentence on standard error, and exit with status 1."""
    leave_no_picture()
    make_room()
    # Not every terminal has every letter, and a reading may be on record before its content is printed.
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    # Other libraries' loggers print nothing, as in the services: the sentence below names the error.
    logging.basicConfig(level=logging.CRITICAL, handlers=[logging.NullHandler()])
    try:
        from nrmbus.cli.app import app, missing  # noqa: PLC0415 - a plain install has no Typer
    except ModuleNotFoundError as error:
        if error.name not in {"typer", "rich"}:
            raise
        sys.exit(
            f"nrmbus: the commands need the package {error.name}, which is not installed: pip install 'nrmbus[cli]'"
        )
    try:
        app()
    except BusError as error:
        sys.exit(f"nrmbus: {error}")
    except KeyboardInterrupt:
        _end_interrupted()
    except UnicodeError:
        sys.exit(f"nrmbus: {_NOT_UTF_8}")
    except ModuleNotFoundError as error:
        if sentence := missing(error, next((each for each in sys.argv[1:] if not each.startswith("-")), "")):
            sys.exit(f"nrmbus: {sentence}")
        raise
    except Exception as error:
        if is_interrupted(error):
            _end_interrupted()
        if sentence := told(error):
            sys.exit(f"nrmbus: {sentence}")
        raise


def _end_interrupted() -> NoReturn:
    """End as a shell expects of an interrupted program, without asyncio's messages about unclosed resources."""
    warnings.filterwarnings("ignore", "coroutine .* was never awaited", RuntimeWarning)
    sys.exit(130)
