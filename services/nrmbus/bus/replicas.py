"""Names of the processes of one service: `registrar` and, standing by on the same machine, `registrar.2`."""

from typing import Final

from nrmbus import environment

PLACES: Final = "abcdefgh"
"""Letters of the places on one machine, one for each process of a service."""


def replica(service: str, number: int) -> str:
    """Return the name of the *number*-th process of *service*; the first has the service's own. No agency's id has a dot."""
    return service if number == 1 else f"{service}.{number}"


def parted(name: str) -> tuple[str, int]:
    """Return service and number of the process *name*; undoes `replica`."""
    service, _, number = name.partition(".")
    return (service, int(number)) if number.isdecimal() and 1 < int(number) <= len(PLACES) else (name, 1)


def place_of(number: int, host: str | None = None) -> str:
    """Return the place of the *number*-th process, under which Kafka knows it: no two processes of a bus may have the same.

    *host* is the name of a standby host, which has at least two letters and so is no letter of `PLACES`.
    """
    machine = environment.PLACE.get() or host
    return replica(machine, number) if machine else PLACES[number - 1]


def turn_of(name: str) -> str:
    """Return under which name the process *name* waits for its turn; a desk waits for its lease under its own."""
    return f"{name}.turn"
