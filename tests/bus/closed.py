"""A closed bus for tests: its own broker over TLS only, certificates for a few members, and clients made by hand."""

import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from aiokafka.client import AIOKafkaClient

from nrmbus.bus.embedded.embedded import EmbeddedKafka
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.kafka import topics
from nrmbus.bus.kafka.gate import Gate
from nrmbus.bus.pki.authority import Authority
from nrmbus.bus.pki.certificate import LIFE
from nrmbus.bus.reach import Reach

SERVICES = ("registrar", "timekeeper", "auditor", "statistics")
AGENCIES = ("ngo-a", "police")
EVERYBODY = (*SERVICES, *AGENCIES)
PARTITIONS = 2


class Closed:
    """A running bus that lets nobody in without a certificate."""

    def __init__(self, folder: BusFolder, kafka: EmbeddedKafka) -> None:
        self.folder, self.kafka = folder, kafka
        self.authority, self.gate = Authority(folder), Gate(folder)

    def home(self, who: str) -> Path:
        """The folder of *who*. Not where services have theirs: nothing that they would write is on this bus."""
        return self.folder.path / "holders" / who

    def reach(self, who: str) -> Reach:
        """The broker as *who* comes to it."""
        return self.folder.reach(self.home(who))

    def admit(self, *everybody: str, life: timedelta = LIFE) -> None:
        """Topics, certificates and rights for *everybody*."""
        settings = self.folder.settings
        known = sorted({*EVERYBODY, *everybody})
        topics.apply(self.folder.as_operator, known, settings.partitions, play=settings.play)
        for who in everybody:
            self.authority.equip(who, self.home(who), life=life)
        self.gate.apply()


@contextmanager
def running(home: Path) -> Iterator[Closed]:
    """A closed bus with its data below *home*, with `EVERYBODY` on it, until the end of the block."""
    folder = BusFolder(home / "closed")
    folder.create(play=True, partitions=PARTITIONS, tls=True)
    kafka = EmbeddedKafka(folder)
    kafka.fetch()
    kafka.start()
    try:
        bus = Closed(folder, kafka)
        bus.admit(*EVERYBODY)
        yield bus
    finally:
        kafka.stop()


@asynccontextmanager
async def speaking(where: Reach, context: ssl.SSLContext | None = None) -> AsyncIterator[Any]:
    """One connection to the broker on which requests are sent as they are, with no client's own ideas about them."""
    given = where.settings() if context is None else {"security_protocol": "SSL", "ssl_context": context}
    client = AIOKafkaClient(**{"bootstrap_servers": where.bootstrap, **given}, request_timeout_ms=5_000)
    try:
        await client.bootstrap()
        yield lambda request: client.send(client.get_random_node(), request)
    finally:
        await client.close()
