"""All logs of a bus: log ingest, log and checkpoints of each partition, and the files that they share.

Every call blocks, on disk or on signatures: in an event loop, call from a thread, one call at a time.
"""

from collections import deque
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

from nrmbus.auditor.errors import LogError
from nrmbus.auditor.log.cosignatures import FILE, Cosigned
from nrmbus.auditor.log.ingest import LogIngest
from nrmbus.auditor.log.log import Log
from nrmbus.auditor.log.publisher import Publisher
from nrmbus.auditor.log.signed_heads import SignedHeads
from nrmbus.auditor.log.starts import Place, Places, check_cosigned, check_record
from nrmbus.directory import Directory, LogIdentity, Published
from nrmbus.wire.log.checkpoint import origin_of
from nrmbus.wire.record import Record


class Logs:
    """Logs in the auditor's folder, from opening to `close`."""

    def __init__(self, home: Path, directory: Directory, partitions: int, shown: Iterable[Published]) -> None:
        """Open or begin the logs below *home*; *shown* are the newest checkpoints in ``nrm.checkpoints`` (`Shown.newest`).

        Raises:
            LogError: as `Log` and `Publisher.remember`.
        """
        self._directory = directory
        identity = LogIdentity.at(home)
        self._heads = SignedHeads(home / "keys" / "heads.db")
        self.cosigned = Cosigned(home / FILE)
        self.ingests: dict[int, LogIngest] = {}
        self.places: dict[int, Places] = {}
        self._publishers: dict[int, Publisher] = {}
        self._kept: dict[int, int] = {}
        origins = {origin_of(directory.bus, number): number for number in range(partitions)}
        self._publishers = {number: Publisher(identity, origin) for origin, number in origins.items()}
        for each in shown:
            if each.checkpoint.origin in origins:
                self._publishers[origins[each.checkpoint.origin]].found(each)
        try:
            for number, publisher in self._publishers.items():
                publisher.remember(self._heads)
                log = Log(home / "logs" / f"p{number}", self._heads, directory.bus, number)
                self.ingests[number] = self._ingest(log)
                self.places[number] = Places(home / "starts" / f"p{number}.json", log.origin)
        except LogError:
            self.close()
            raise

    def _ingest(self, log: Log) -> LogIngest:
        return LogIngest(log, self._directory.registrar_key)

    def places_of(self, partition: int) -> list[Place]:
        """Return the places of *partition* from which a start may read as far as this machine knows, the newest first.

        Raises:
            StartRefused: ``unreadable``.
        """
        return self.places[partition].read()

    def check_start(self, partition: int, place: Place, records: Iterable[Record]) -> None:
        """Check everything that *place* has to fit; *records* begin before it. Raises StartRefused."""
        log = self.ingests[partition].log
        check_cosigned(place, log, self.cosigned, self._directory)
        check_record(place, log, records)

    def begin_at(self, partition: int, place: Place) -> LogIngest:
        """Have *partition* read from the registration of *place* on; return the ingest that compares those before."""
        ingest = self.ingests[partition]
        ingest.begin_after(place.number - 1)
        return self._ingest(ingest.log)

    def keep_place(self, partition: int, offset: int) -> None:
        """Keep the place where *partition* was read to, if the log was signed there."""
        ingest = self.ingests[partition]
        if 0 < ingest.number == ingest.log.signed.size and self._kept.get(partition) != ingest.number:
            self._kept[partition] = ingest.number
            self.places[partition].add(Place(ingest.number, offset))

    def close(self) -> None:
        """Release the logs for other processes; uncommitted registrations are dropped."""
        for each in self.ingests.values():
            each.log.close()
        self.ingests = {}

    @property
    def set_aside(self) -> dict[int, str]:
        """The folder into which damaged files were moved at the start, by partition."""
        return {number: each.log.set_aside for number, each in self.ingests.items() if each.log.set_aside}

    def take(self, records: deque[tuple[int, Record]]) -> None:
        """Take each of *records* (with its partition) into its log, and remove it from the left; raises as `LogIngest.take`."""
        while records:
            number, record = records[0]
            self.ingests[number].take(record)
            records.popleft()

    def commit(self) -> None:
        """Make the taken registrations durable; raises as `Log.commit`."""
        for each in self.ingests.values():
            if each.log.size > each.log.head.size:
                each.log.commit()

    def end(self) -> None:
        """Check, at the end of the topic, that no log reaches further; raises as `LogIngest.end`."""
        for each in self.ingests.values():
            each.end()

    def sign(self, now: datetime, *, closing: bool = False) -> None:
        """Sign the logs that are due at *now*, or, when *closing*, every log that has grown; raises as `Log.sign`."""
        for number, publisher in self._publishers.items():
            log = self.ingests[number].log
            if closing or publisher.is_due(log, now):
                publisher.sign(log, now)

    def unpublished(self) -> list[tuple[bytes, Published]]:
        """Return the records to write to ``nrm.checkpoints``, with their checkpoints."""
        found = [
            publisher.unpublished(self.ingests[number].log, self._heads, self._directory.log_keys())
            for number, publisher in self._publishers.items()
        ]
        return [each for each in found if each is not None]

    def published(self, shown: Published, offset: int) -> None:
        """Note that *shown* is in the topic, before *offset*."""
        self.cosigned.publish([(shown.checkpoint, shown.note)], offset)
        for number, publisher in self._publishers.items():
            if shown.checkpoint.origin == self.ingests[number].log.origin:
                publisher.found(shown)

    @property
    def newest_checkpoint(self) -> datetime | None:
        """The time of the newest published checkpoint of all logs, or None."""
        return max((each.last.time for each in self._publishers.values() if each.last), default=None)

    def state(self) -> dict[str, Any]:
        """Return, by partition, the last number taken, and the committed, signed and co-signed sizes."""
        logs = {str(number): each.log for number, each in self.ingests.items()}
        cosigned = {number: self.cosigned.newest(log.origin, 1) for number, log in logs.items()}
        return {
            "numbers": {str(number): each.number for number, each in self.ingests.items()},
            "size": {number: log.head.size for number, log in logs.items()},
            "signed": {number: log.signed.size for number, log in logs.items()},
            "cosigned": {
                number: {"size": found[0], "witnesses": found[2]} for number, found in cosigned.items() if found
            },
        }
