"""Renewal of the own certificate of a desk, or of an auditor elsewhere: request to the operator in time, verification, use.

If the operator's `nrmbus up` runs on the same machine, `nrmbus up` renews the certificate first, and no request is
sent.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Final

from aiokafka import TopicPartition

from nrmbus import telemetry
from nrmbus.bus.errors import NoBus
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.kafka import clients
from nrmbus.bus.periodic import every
from nrmbus.bus.pki import certificate
from nrmbus.bus.reach import Reach, Tls
from nrmbus.directory import renewal
from nrmbus.directory.admission import home_of
from nrmbus.directory.entry import body_of
from nrmbus.directory.errors import DirectoryError
from nrmbus.directory.renewal import Renewal
from nrmbus.wire import json
from nrmbus.wire.keys.keys import SigningKey
from nrmbus.wire.names import ANSWERS, requests_of

LOOK_SECONDS: Final = 60.0
"""Seconds between two looks at the certificate, and at the answers while a request is open."""

AGAIN_SECONDS: Final = 24 * 3600.0
"""Seconds without an answer until the next request."""

_READ_MS: Final = 200


class Renewing:
    """Watch over the certificate of *me*, from the start of its process on; *signing* returns the present signing key."""

    def __init__(self, folder: BusFolder, me: str, signing: Callable[[], SigningKey]) -> None:
        self._folder, self._me, self._signing = folder, me, signing
        self._tls = Tls(home_of(folder, me))
        self._began_with = self._now()
        self._was_due = False
        self._asked: float | None = None

    async def look(self) -> bool:
        """Do all due steps; return whether there is a newer certificate than that of this desk's connections.

        Raises:
            KafkaError: the broker does not answer.
        """
        if self._now() != self._began_with and self._is_usable():
            return True
        if not certificate.is_due(self._tls, certificate.now()):
            self._was_due = False
            return False
        if not self._was_due:  # a renewal on this machine, if there is one, comes before our next look
            self._was_due = True
            return False
        if await self._takes_answer():
            return self._is_usable()
        if self._asked is None or time.monotonic() - self._asked > AGAIN_SECONDS:
            await self._ask()
        return False

    async def _ask(self) -> None:
        me = self._me
        asked = await asyncio.to_thread(renewal.ask, self._folder, me, self._signing())
        async with clients.producer(self._where()) as producer:
            await producer.send_and_wait(requests_of(me), value=json.dumps(body_of(asked)), partition=0)
        self._asked = time.monotonic()
        telemetry.handled("asked", topic=requests_of(me))

    async def _takes_answer(self) -> bool:
        """Look for a certificate among all stored answers: the answer may have come before this desk was started."""
        topic, mine = TopicPartition(ANSWERS, 0), self._me.encode()
        taken = False
        async with clients.reading(self._where(), topic) as (consumer, end):
            while await consumer.position(topic) < end:
                for record in (await consumer.getmany(topic, timeout_ms=_READ_MS)).get(topic, ()):
                    taken |= record.key == mine and await asyncio.to_thread(self._takes, record.value or b"")
        return taken

    def _takes(self, raw: bytes) -> bool:
        try:
            renewal.take(self._folder, self._me, Renewal.parsed(raw))
        except DirectoryError:  # an earlier certificate, or none at all
            return False
        telemetry.handled("renewed", topic=ANSWERS)
        return True

    def _where(self) -> Reach:
        return self._folder.reach(self._tls.home)

    def _now(self) -> bytes:
        try:
            return self._tls.certificate.read_bytes()
        except FileNotFoundError:
            return b""

    def _is_usable(self) -> bool:
        try:
            self._where().context()
        except NoBus:  # key and certificate do not belong together, or not yet
            return False
        return True


async def run(renewing: Renewing, begin_anew: Callable[[], None]) -> None:
    """Watch the certificate until cancelled; call *begin_anew* when there is a newer one. Errors are retried."""

    async def look() -> None:
        if await renewing.look():
            begin_anew()

    def failed(error: Exception) -> None:  # the desk works as long as its certificate does
        telemetry.handled("not_available", topic=ANSWERS, error=type(error).__name__)

    await every(LOOK_SECONDS, look, first=LOOK_SECONDS, failed=failed)
