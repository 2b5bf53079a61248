"""Publisher of signed checkpoints in ``nrm.checkpoints``, and the time when the next one is due.

A record is an `AddCheckpoint`. Its old size is the size in the previous record of the same log, so that readers miss none.
"""

from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Final

from nrmbus.auditor.errors import LogError
from nrmbus.auditor.log.log import Log
from nrmbus.auditor.log.signed_heads import SignedHeads
from nrmbus.directory import LogIdentity, LogKeys, Published
from nrmbus.wire.errors import ProofError
from nrmbus.wire.log.checkpoint import AddCheckpoint, Checkpoint, place_of
from nrmbus.wire.log.note import Note

EVERY: Final = timedelta(hours=1)
"""How long a registration waits, at most, until a checkpoint covers it."""


def published(value: bytes | None, bus: str, pairs: Iterable[LogKeys]) -> Published | None:
    """Return the checkpoint in a record of the topic, or None if no log of *bus* signed the record."""
    with suppress(ProofError):
        return Published.read(AddCheckpoint.parse(value or b"").note, bus, pairs)
    return None


class Publisher:
    """Checkpoints of one log: signs them when due, and knows which are published."""

    def __init__(self, identity: LogIdentity, origin: str) -> None:
        """Begin with nothing published."""
        self._keys = identity.signers(origin)
        self._origin = origin
        self.last: Published | None = None
        """The last checkpoint in the topic."""
        self._signed_at: datetime | None = None
        """When this process last signed, by the clock as it was then."""

    @property
    def _size(self) -> int:
        return self.last.checkpoint.size if self.last else 0

    def found(self, shown: Published) -> None:
        """Note a checkpoint that is in the topic."""
        if self.last is None or shown.checkpoint.size > self.last.checkpoint.size:
            self.last = shown

    def remember(self, heads: SignedHeads) -> None:
        """Store the published checkpoint in *heads* if *heads* is older, so that the log never contradicts a published tree.

        Raises ``split_view`` if *heads* holds another tree of the same size.
        """
        if self.last is None:
            return
        shown = self.last.checkpoint
        with heads.turn(self._origin) as turn:
            signed = None if turn.last is None else Checkpoint.parse(Note.parse(turn.last).text)
            if signed is not None and signed.size == shown.size and signed.root != shown.root:
                raise LogError("split_view", self._origin, number=shown.size)
            if signed is None or signed.size < shown.size:
                turn.signed = self.last.note

    def is_due(self, log: Log, now: datetime) -> bool:
        """Return whether the log has grown since it was signed, and the last checkpoint is an hour or more before *now*.

        A clock that was ahead and was set back makes nobody wait as long as it was ahead: then an hour of this process counts.
        """
        if log.size <= log.signed.size:
            return False
        if self.last is None or now - self.last.time >= EVERY:
            return True
        is_ahead, before = now < self.last.time, self._signed_at
        return is_ahead and (before is None or not timedelta(0) <= now - before < EVERY)

    def sign(self, log: Log, now: datetime) -> None:
        """Sign the tree if it has grown, never at a time before the last checkpoint; raises as `Log.sign`."""
        self._signed_at = now
        time = now if self.last is None else max(now, self.last.time)
        if log.size > log.signed.size and time.timestamp() >= 1:
            log.sign(*self._keys, int(time.timestamp()))

    def unpublished(self, log: Log, heads: SignedHeads, pairs: Iterable[LogKeys]) -> tuple[bytes, Published] | None:
        """Return the next record for the topic with its checkpoint, or None if the last signed one is there already.

        Raises ProofError if no pair of the directory's keys signed the checkpoint.
        """
        if log.signed.size <= self._size or not log.has_caught_up:
            return None
        note = heads.last(self._origin)
        if note is None:
            return None
        proof = log.consistency_proof(self._size, log.signed.size)
        return AddCheckpoint(self._size, tuple(proof), note).bytes(), Published.read(
            note, place_of(self._origin)[0], pairs
        )
