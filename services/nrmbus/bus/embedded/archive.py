"""Archive of Kafka's loaded and linked classes, with which the broker starts in 0.7 s instead of 2.

The archive is Java's ahead-of-time cache (JEP 483, 514), written at the end of a rehearsal run. Every installation of the
same Java runtime uses the same archive, so that another ``.venv`` needs no rehearsal. Java itself ignores an archive of
another runtime, class path or jar. An altered archive is recognised by the digest beside it.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from nrmbus.bus.errors import KafkaFailed
from nrmbus.bus.kafka import clients
from nrmbus.bus.private_files import PRIVATE_FILE, write_private
from nrmbus.bus.reach import Where, reach

SECONDS: Final = 30.0
_REHEARSED: Final = "with TLS and access rules"
"""Content of the rehearsal; another rehearsal makes another archive."""
NONE: Final = "none"
"""Stands in the digest's file where a rehearsal made no archive: it is not tried again at each start."""


class Archive:
    """The archive for one Java command line, in the cache beside the jars."""

    def __init__(self, cache: Path, java: Sequence[str]) -> None:
        """Name it by *java*, the command line up to the program: another runtime, option or class path is another archive.

        A property (``-D``) changes no class, and is not part of the name.
        """
        options = [each for each in java[1:] if not each.startswith("-D")]
        key = hashlib.sha256("\0".join([_runtime_of(java[0]), *options, _REHEARSED]).encode()).hexdigest()[:12]
        self.path = cache / f"classes-{key}.aot"
        self._digest = self.path.with_suffix(".sha256")

    @property
    def rehearsed(self) -> bool:
        """True after a rehearsal, successful or not."""
        return self._noted() is not None and (self.path.exists() or self._noted() == NONE)

    def options(self) -> list[str]:
        """Return Java's options to start from the archive, or none without an archive. An altered archive is removed."""
        if not self.path.exists():
            return []
        if hashlib.sha256(self.path.read_bytes()).hexdigest() != self._noted():
            self.path.unlink()
            return []
        return [f"-XX:AOTCache={self.path}"]

    def recording(self) -> list[str]:
        """Return Java's options that write the archive when the program ends."""
        self.path.unlink(missing_ok=True)
        return [f"-XX:AOTCacheOutput={self.path}"]

    def keep(self) -> None:
        """Record the digest of the archive; if the rehearsal wrote none, record that no archive is used from now on."""
        if self.path.exists():
            self.path.chmod(PRIVATE_FILE)
            write_private(self._digest, hashlib.sha256(self.path.read_bytes()).hexdigest().encode())
        else:
            write_private(self._digest, NONE.encode())
        # Java's intermediate file, which is left if Java was killed before it wrote the archive.
        self.path.with_suffix(".aot.config").unlink(missing_ok=True)

    def _noted(self) -> str | None:
        return self._digest.read_text() if self._digest.exists() else None


def _runtime_of(java: str) -> str:
    """Return what the runtime of the program *java* says of its build, or *java* itself where it says nothing."""
    release = Path(java).parent.parent / "release"
    return release.read_text(encoding="utf-8") if release.exists() else java


def rehearse(where: Where) -> None:
    """Make a broker load the classes that every bus needs: make a topic, run a transaction, feed a group.

    Raises:
        KafkaFailed: it could not.
    """
    from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition  # noqa: PLC0415 - only here
    from confluent_kafka.admin import NewTopic  # noqa: PLC0415 - only here

    quiet = {**reach(where).confluent(), "log_level": 0}
    try:
        admin = clients.admin(where)  # kept: without a name it would be gone before it answers
        admin.create_topics([NewTopic("rehearsal", 1, 1)])["rehearsal"].result(SECONDS)
        producer = Producer({**quiet, "transactional.id": "rehearsal"})
        consumer = Consumer({**quiet, "group.id": "rehearsal", "auto.offset.reset": "earliest"})
        producer.init_transactions(SECONDS)
        consumer.subscribe(["rehearsal"])
        producer.begin_transaction()
        producer.produce("rehearsal", b"record")
        producer.flush(SECONDS)
        producer.send_offsets_to_transaction(
            [TopicPartition("rehearsal", 0, 0)], consumer.consumer_group_metadata(), SECONDS
        )
        producer.commit_transaction(SECONDS)
        consumer.poll(SECONDS)
        consumer.commit(asynchronous=False)
        consumer.close()
    except KafkaException:
        raise KafkaFailed("Kafka did not take part in its rehearsal.") from None
