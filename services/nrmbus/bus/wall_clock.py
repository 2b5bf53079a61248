"""Wall clock: keys, sessions, tokens and files follow it, also on a bus for playing, where the player moves the legal clock."""

from datetime import UTC, datetime

from nrmbus.wire import times


def wall_now() -> datetime:
    """Return the time in UTC, to the second."""
    return datetime.now(UTC).replace(microsecond=0)


def written_now() -> str:
    """Return the same time as it is written on the wire and in the files of a folder."""
    return times.write(wall_now())
