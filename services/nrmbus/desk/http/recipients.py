"""Agencies in a request: each must be in the directory; for a typing error the answer has the nearest ids.

Ids of agencies are public on the bus, so these are no secret; the received id is never repeated.
"""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

from aiokafka.errors import KafkaError

from nrmbus.desk.errors import DeskError
from nrmbus.desk.http.request import Asked, agencies_in
from nrmbus.desk.state.context import Seat
from nrmbus.events.errors import Problem
from nrmbus.events.nearest import nearest

CODE: Final = "unknown_recipient"

_PATIENCE: Final = 2.0
"""Seconds for reading new entries of the directory."""


async def see(seat: Seat, asked: Asked) -> None:
    """Check that every agency in *asked*, as recipient or in a consent, is in the directory.

    Before an agency counts as unknown, the directory is read to its end: the admission may be new.

    Raises:
        DeskError: ``unknown_recipient``, with a pointer and the nearest ids for each missing agency.
    """
    if not any(_problems(seat, asked)):
        return
    with suppress(KafkaError, TimeoutError):  # without the broker, the known entries decide
        async with asyncio.timeout(_PATIENCE):
            await seat.catch_up()
    if problems := tuple(_problems(seat, asked)):
        raise DeskError(CODE, problems)


def _problems(seat: Seat, asked: Asked) -> Iterator[Problem]:
    for pointer, agency in agencies_in(asked):
        if _is_unknown(seat, agency):
            yield Problem(pointer, CODE, nearest=nearest(agency, _admitted(seat)))


def _is_unknown(seat: Seat, agency: str) -> bool:
    return seat.directory.state(agency, seat.now()) is None


def _admitted(seat: Seat) -> Iterator[str]:
    now = seat.now()
    return (agency for agency in seat.directory.entries if seat.directory.state(agency, now) == "admitted")
