"""Export of evidence by the running auditor, from the history in memory, the logs' proofs and the best checkpoint."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from nrmbus.auditor.evidence.file import Source, evidence_of, head_of
from nrmbus.auditor.history.history import Entry
from nrmbus.auditor.log.cosignatures import Cosigned
from nrmbus.auditor.log.logs import Logs
from nrmbus.directory import Directory
from nrmbus.wire.log.checkpoint import origin_of

PATIENCE_SECONDS: Final = 10.0
"""How long the log may take to have what was just registered: it commits every second."""
LOOK_SECONDS: Final = 0.2


@dataclass(frozen=True, slots=True)
class Export:
    """One export: the *entries* of a case up to a moment, by the *directory* and the *policy* of the bus."""

    case: str
    entries: Sequence[Entry]
    directory: Directory
    policy: str
    made: str

    async def written(self, logs: Logs, turn: asyncio.Lock) -> bytes | None:
        """Return the evidence, or None if the log has nothing of the case yet. *turn* is held while *logs* are read.

        Raises:
            LogError: ``state_damaged`` of a log.
        """
        until = asyncio.get_running_loop().time() + PATIENCE_SECONDS
        while True:
            async with turn:
                raw = await asyncio.to_thread(self._written, logs)
            if raw is not None or asyncio.get_running_loop().time() >= until:
                return raw
            await asyncio.sleep(LOOK_SECONDS)

    def _written(self, logs: Logs) -> bytes | None:
        first: dict[int, int] = {}
        for each in self.entries:
            first.setdefault(each.registration.partition, each.registration.number)
        notes = {partition: self._best(logs, partition, number) for partition, number in first.items()}
        # A log that is made again from the history has fewer for a while than its checkpoint.
        have = {partition: logs.ingests[partition].log.head.size for partition in notes}
        if any(not first[each] <= head_of(note).size <= have[each] for each, note in notes.items()):
            return None
        source = Source(
            bus=self.directory.bus,
            policy=self.policy,
            made=self.made,
            entries=self.entries,
            logs={partition: logs.ingests[partition].log for partition in notes},
            checkpoints=notes,
            directory=self.directory.signed,
        )
        return evidence_of(self.case, source)

    def _best(self, logs: Logs, partition: int, number: int) -> bytes:
        """Return the best checkpoint that covers *number*, or the head that nobody has signed yet."""
        found = checkpoints(logs.cosigned, self.directory, partition)
        return fitting(found, number) or logs.ingests[partition].log.head.text


def fitting(best_first: Iterable[bytes], first: int) -> bytes | None:
    """Return the best checkpoint that covers the registration *first*, or None if no checkpoint covers it."""
    return next((each for each in best_first if head_of(each).size >= first), None)


def checkpoints(cosigned: Cosigned, directory: Directory, partition: int) -> Sequence[bytes]:
    """Return the published checkpoints of *partition*, the best first.

    The best is the newest that more than half of the witnesses have co-signed; then come those with fewer.
    """
    most = len({each.name for each in directory.witnesses()}) // 2 + 1
    origin = origin_of(directory.bus, partition)
    found = [cosigned.newest(origin, least) for least in range(most, -1, -1)]
    return [each[1] for each in found if each]
