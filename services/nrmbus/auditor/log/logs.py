"""All logs of a bus: each partition's reading, log and checkpoints, and the files that they share.

Everything here blocks, on disk or on signatures; whoever runs an event loop calls it in a thread, one call at a time.
"""

from collections import deque
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

from nrmbus.auditor.errors import LogError
from nrmbus.auditor.log.cosignatures import Cosigned
from nrmbus.auditor.log.ingest import LogIngest
from nrmbus.auditor.log.log import Log
from nrmbus.auditor.log.publisher import Publisher
from nrmbus.auditor.log.signed_heads import SignedHeads
from nrmbus.directory import Directory, LogIdentity, Published
from nrmbus.wire.log.checkpoint import origin_of
from nrmbus.wire.names import REGISTRAR
from nrmbus.wire.record import Record


class Logs:
    """The logs in the auditor's folder, from opening to `close`."""

    def __init__(self, home: Path, directory: Directory, partitions: int, shown: Iterable[Published]) -> None:
        """Open or begin the logs below *home*; *shown* is what ``nrm.checkpoints`` holds.

        Raises:
            LogError: as `Log` and `Publisher.remember`.
        """
        self._directory = directory
        identity = LogIdentity.at(home)
        self._heads = SignedHeads(home / "keys" / "heads.db")
        self.cosigned = Cosigned(home / "cosigned.db")
        self.readings: dict[int, LogIngest] = {}
        self._publishers: dict[int, Publisher] = {}
        origins = {origin_of(directory.bus, number): number for number in range(partitions)}
        self._publishers = {number: Publisher(identity, origin) for origin, number in origins.items()}
        for each in shown:
            if each.checkpoint.origin in origins:
                self._publishers[origins[each.checkpoint.origin]].found(each)
                self.cosigned.publish(each.checkpoint, each.note)
        try:
            for number, publisher in self._publishers.items():
                publisher.remember(self._heads)
                log = Log(home / "logs" / f"p{number}", self._heads, directory.bus, number)
                self.readings[number] = LogIngest(log, lambda kid: directory.any_verify_key(REGISTRAR, kid))
        except LogError:
            self.close()
            raise

    def close(self) -> None:
        """Let another process have the logs; what was not committed is dropped."""
        for each in self.readings.values():
            each.log.close()
        self.readings = {}

    @property
    def set_aside(self) -> dict[int, str]:
        """By partition, the folder into which a damaged state was put at the start."""
        return {number: each.log.set_aside for number, each in self.readings.items() if each.log.set_aside}

    def take(self, records: deque[tuple[int, Record]]) -> None:
        """Take each of *records*, with its partition, off the left once it is in its log; raises as `LogIngest.take`."""
        while records:
            number, record = records[0]
            self.readings[number].take(record)
            records.popleft()

    def commit(self) -> None:
        """Have on disk what was taken; raises as `Log.commit`."""
        for each in self.readings.values():
            if each.log.size > each.log.head.size:
                each.log.commit()

    def end(self) -> None:
        """Say that the topic was read to its end; raises as `LogIngest.end`."""
        for each in self.readings.values():
            each.end()

    def sign(self, now: datetime, *, closing: bool = False) -> None:
        """Sign what is due at *now*, and at *closing* whatever is new; raises as `Log.sign`."""
        for number, publisher in self._publishers.items():
            log = self.readings[number].log
            if closing or publisher.is_due(log, now):
                publisher.sign(log, now)

    def unpublished(self) -> list[tuple[bytes, Published]]:
        """The records that are to be written to ``nrm.checkpoints``, and what they show."""
        found = [
            publisher.unpublished(self.readings[number].log, self._heads, self._directory.log_keys())
            for number, publisher in self._publishers.items()
        ]
        return [each for each in found if each is not None]

    def published(self, said: Published) -> None:
        """Note that *said* stands in the topic."""
        self.cosigned.publish(said.checkpoint, said.note)
        for number, publisher in self._publishers.items():
            if said.checkpoint.origin == self.readings[number].log.origin:
                publisher.found(said)

    def state(self) -> dict[str, Any]:
        """By partition: the last number taken, the size that is committed, the one that was signed, the one co-signed."""
        logs = {str(number): each.log for number, each in self.readings.items()}
        cosigned = {number: self.cosigned.newest(log.origin, 1) for number, log in logs.items()}
        return {
            "numbers": {str(number): each.number for number, each in self.readings.items()},
            "size": {number: log.head.size for number, log in logs.items()},
            "signed": {number: log.signed.size for number, log in logs.items()},
            "cosigned": {
                number: {"size": found[0], "witnesses": found[2]} for number, found in cosigned.items() if found
            },
        }
