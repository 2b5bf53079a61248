"""Check of this machine's clock by the broker's, for a service that may take over: its clock dates what the law counts from.

The broker stamps each record as it appends it. A host sends a record for that into its own topic of requests, where the
operator passes it over.
"""

import time
from typing import Final

from nrmbus.bus.kafka import clients
from nrmbus.bus.reach import Where
from nrmbus.wire.names import requests_of

RECORD: Final = b'{"form":"nrmbus-clock/1"}'
"""The record: it says nothing, and only its time is looked at."""
SKEW_SECONDS: Final = 5.0
"""Difference of the clocks from which a service does not work: legal clocks are told to the second."""
LOOK_SECONDS: Final = 600.0
"""Seconds between two checks while a service runs; meanwhile a clock drifts by milliseconds, and a person may set it."""
_STAMP_SECONDS: Final = 0.001


async def ahead(where: Where, service: str) -> float:
    """Return by how many seconds this machine's clock is at least ahead of the broker's; negative if behind.

    Half of the time between sending and answer is uncertain, and no difference.

    Raises:
        KafkaError: the broker does not answer.
    """
    async with clients.producer(where, client_id=f"{service}-clock") as producer:
        sent = now()
        stored = await producer.send_and_wait(requests_of(service), value=RECORD, partition=0)
        answered = now()
    uncertain = (answered - sent) / 2 + _STAMP_SECONDS
    found = (sent + answered) / 2 - stored.timestamp / 1000
    return 0.0 if abs(found) <= uncertain else found - uncertain if found > 0 else found + uncertain


def is_wrong(seconds: float) -> bool:
    """Return whether a clock that is so many *seconds* ahead must be set before a service works."""
    return abs(seconds) > SKEW_SECONDS


def sentence(seconds: float) -> str:
    """Return for a person what is wrong with a clock that is so many *seconds* ahead, and what to do."""
    which = "ahead of" if seconds > 0 else "behind"
    return (
        f"This host's clock is {abs(seconds):.0f} s {which} the broker's, so the service does not work here: set the "
        "clocks by a time server (timedatectl set-ntp true)."
    )


def now() -> float:
    """Return the wall clock's time in seconds since 1970."""
    return time.time()
