"""What goes out: signed checkpoints as ``nrm.checkpoints`` carries them, and when the next one is due.

A record is a `AddCheckpoint`; its old size is that of the record before it of the same log, so that its readers miss none.
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
    """What a record of the topic says; none where no log of *bus* signed it: that says nothing about one."""
    with suppress(ProofError):
        return Published.read(AddCheckpoint.parse(value or b"").note, bus, pairs)
    return None


class Publisher:
    """One log's checkpoints: signs what is due, and knows what was published."""

    def __init__(self, identity: LogIdentity, origin: str) -> None:
        """Begin with nothing published."""
        self._keys = identity.signers(origin)
        self._origin = origin
        self.last: Published | None = None
        """What stands last in the topic."""

    @property
    def _size(self) -> int:
        return self.last.checkpoint.size if self.last else 0

    def found(self, said: Published) -> None:
        """Note what stands in the topic."""
        if self.last is None or said.checkpoint.size > self.last.checkpoint.size:
            self.last = said

    def remember(self, heads: SignedHeads) -> None:
        """Have *heads* know what was published, should it be older than that: what was shown is never contradicted.

        Raises ``split_view`` where *heads* holds another tree of the same size.
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
        """Whether there is something new to sign, and the last checkpoint lies an hour or more before *now*."""
        return log.size > log.signed.size and (self.last is None or now - self.last.time >= EVERY)

    def sign(self, log: Log, now: datetime) -> None:
        """Sign the tree as it stands, if it has grown; raises as `Log.sign`. Never at a time before that of the last one."""
        time = now if self.last is None else max(now, self.last.time)
        if log.size > log.signed.size and time.timestamp() >= 1:
            log.sign(*self._keys, int(time.timestamp()))

    def unpublished(self, log: Log, heads: SignedHeads, pairs: Iterable[LogKeys]) -> tuple[bytes, Published] | None:
        """The record that is to be written next, and what it shows; none where what was signed last stands in the topic.

        Raises ProofError where no pair of the directory has signed it.
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
