"""A release of figures in a file, as commands are given it."""

from pathlib import Path

from nrmbus.bus.errors import BusError
from nrmbus.events.errors import Invalid
from nrmbus.events.figures import Release


def read_release(file: Path) -> Release:
    """Return the release in *file*.

    Raises:
        BusError: the file cannot be read, or is no release.
    """
    try:
        return Release.read(file.read_bytes().strip())
    except OSError as error:
        raise BusError(f"{file} cannot be read: {error.strerror}.") from None
    except Invalid:
        raise BusError(f"{file} is no release of figures: give a file that --format json wrote.") from None
