"""Agencies that a request names: each must be in the directory, and a slip is answered with the nearest ids there are.

Ids of agencies are public on the bus, so naming some gives nothing away; the id that came in is never repeated.
"""

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Final

from aiokafka.errors import KafkaError

from nrmbus.desk.errors import DeskError
from nrmbus.desk.http.request import Asked
from nrmbus.desk.state.context import Seat
from nrmbus.events.errors import Problem
from nrmbus.events.nearest import nearest

CODE: Final = "unknown_recipient"

_PATIENCE: Final = 2.0
"""Seconds for reading what the directory has that this desk has not seen yet."""


async def see(seat: Seat, asked: Asked) -> None:
    """See that each agency to which *asked* turns, and each that its consent is about, is in the directory.

    The directory is read to its end before an agency is called unknown: it may have been admitted a moment ago.

    Raises:
        DeskError: ``unknown_recipient``, with a pointer and the nearest ids for each agency that is not there.
    """
    if not any(_problems(seat, asked)):
        return
    with suppress(KafkaError, TimeoutError):  # without the broker, what is known of the directory decides
        async with asyncio.timeout(_PATIENCE):
            await seat.catch_up()
    if problems := tuple(_problems(seat, asked)):
        raise DeskError(CODE, problems)


def _problems(seat: Seat, asked: Asked) -> Iterator[Problem]:
    there = {"/to": asked.to, "/data/to": asked.data.get("to"), "/data/receivers": asked.data.get("receivers")}
    for pointer, named in there.items():
        for place, agency in enumerate(_listed(named)):
            if _is_unknown(seat, agency):
                yield Problem(f"{pointer}/{place}", CODE, nearest=nearest(agency, _admitted(seat)))


def _is_unknown(seat: Seat, agency: str) -> bool:
    return seat.directory.state(agency, seat.now()) is None


def _admitted(seat: Seat) -> Iterator[str]:
    now = seat.now()
    return (agency for agency in seat.directory.entries if seat.directory.state(agency, now) == "admitted")


def _listed(value: object) -> Iterable[str]:
    return value if isinstance(value, list | tuple) else ()
