"""A Kafka cluster of three brokers, each its controller too, in plain text: any one of them may be away."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nrmbus.bus.embedded.embedded import EmbeddedKafka
from nrmbus.bus.folder import BusFolder


@contextmanager
def three_brokers(home: Path) -> Iterator[EmbeddedKafka]:
    """The cluster, all of it running, until the block ends."""
    folder = BusFolder(home / "cluster")
    folder.create(play=True, tls=False, brokers=3)
    kafka = EmbeddedKafka(folder)
    try:
        kafka.fetch()
        kafka.start()
        yield kafka
    finally:
        kafka.stop()
