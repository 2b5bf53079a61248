"""The log of one partition: its registrations in number order, their tree, and the checkpoints that are signed of it.

The leaf of number n is at index n - 1. Nothing here knows Kafka: the same registrations give the same files.
"""

from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from nrmbus.auditor.errors import LogError
from nrmbus.auditor.log.signed_heads import SignedHeads
from nrmbus.auditor.log.tree import StoredTree
from nrmbus.wire.errors import ProofError
from nrmbus.wire.log import merkle
from nrmbus.wire.log.checkpoint import Checkpoint, origin_of
from nrmbus.wire.log.cosignature import Cosigner
from nrmbus.wire.log.note import Ed25519Signer, Note
from nrmbus.wire.registration import NOTHING_BEFORE, Registration


class Log:
    """One partition's history as a Merkle log."""

    def __init__(self, folder: Path, heads: SignedHeads, bus: str, partition: int) -> None:
        """Open the log in *folder*, or begin it; *heads* knows what was signed of it before.

        Raises:
            LogError: as `StoredTree`; ``split_view`` where the tree on disk is not the one that was signed, and
                ``state_damaged`` where *heads* has something else than a checkpoint of this log.
        """
        self.origin = origin_of(bus, partition)
        self._place = bus, partition
        self._heads = heads
        self._tree = StoredTree(folder, self.origin)
        self._previous = NOTHING_BEFORE
        try:
            note = heads.last(self.origin)
            self._signed = Checkpoint(self.origin, 0, merkle.EMPTY) if note is None else _checkpoint(note, self.origin)
            for last in self._tree.entries(max(0, self.size - 1), self.size):
                self._previous = sha256(last).hexdigest()
            self._met_signed = self._meets(self._signed)
            self._tree.commit(self._signed.size)
            if note is not None:
                self._tree.publish(note)
        except LogError:
            self.close()
            raise

    @property
    def size(self) -> int:
        """How many registrations were appended; the next one has the number after it."""
        return self._tree.size

    @property
    def head(self) -> Checkpoint:
        """The tree as it is committed, unsigned."""
        return self._tree.head

    @property
    def signed(self) -> Checkpoint:
        """The tree that was signed last; the empty one before that."""
        return self._signed

    @property
    def reaches_signed(self) -> bool:
        """Whether what was appended reaches as far as what was signed."""
        return self._signed.size <= self.size

    @property
    def has_caught_up(self) -> bool:
        """Whether what is committed reaches as far as what was signed; until then nothing new can be signed."""
        return self._signed.size <= self.head.size

    @property
    def set_aside(self) -> str | None:
        """The folder into which a damaged state was put when the log was opened."""
        return self._tree.set_aside

    def close(self) -> None:
        """Let another process have the log; what was not committed is dropped."""
        self._tree.close()

    def append(self, registration: Registration) -> None:
        """Take the next registration, whose signature the caller has verified.

        Raises:
            LogError: ``foreign``, ``gap``, ``duplicate``, ``out_of_turn``, ``chain_broken`` or ``leaf_too_large``, with
                its number; nothing has changed then.
        """
        number, leaf = registration.number, registration.json()
        if (registration.bus, registration.partition) != self._place:
            raise LogError("foreign", self.origin, number=number)
        if number > self.size + 1:
            raise LogError("gap", self.origin, number=number)
        if number <= self.size:
            raise LogError("duplicate" if self.holds(number, leaf) else "out_of_turn", self.origin, number=number)
        if registration.previous != self._previous:
            raise LogError("chain_broken", self.origin, number=number)
        self._tree.append(leaf)
        self._previous = sha256(leaf).hexdigest()

    def holds(self, number: int, leaf: bytes) -> bool:
        """Whether the registration *number*, which was appended, is *leaf*; raises IndexError, and ``state_damaged``."""
        return self._tree.leaf_hash(number - 1) == merkle.leaf_hash(leaf)

    def commit(self) -> None:
        """Have on disk, for good, what was appended.

        Raises ``split_view`` where the history, read again up to what was signed, is not what was signed.
        """
        if not self._met_signed:
            self._met_signed = self._meets(self._signed)
        self._tree.commit(self._signed.size)

    def sign(self, key: Ed25519Signer, lasting: Cosigner, time: int) -> bytes:
        """Commit, and sign the tree by both keys of the log at *time* (POSIX seconds): the note.

        It is on record as signed before it comes back. Both keys' names are the log's origin.

        Raises:
            LogError: ``tail_cut`` or ``split_view`` where it would contradict what was signed before; nothing is signed.
        """
        self.commit()
        text = self.head.text
        with self._heads.turn(self.origin) as turn:
            if turn.last is not None:
                last = _checkpoint(turn.last, self.origin)
                if not self._meets(last):
                    raise LogError("tail_cut", self.origin, number=last.size)
            turn.signed = Note(text, (key.sign(text), lasting.cosign(text, time))).bytes()
        self._signed = self.head
        self._tree.commit(self._signed.size)
        self._tree.publish(turn.signed)
        return turn.signed

    def registration(self, number: int) -> bytes:
        """The leaf of *number*, of what is committed; raises IndexError where there is none, and ``state_damaged``."""
        return next(self._tree.entries(number - 1, number))

    def inclusion_proof(self, number: int, size: int) -> list[bytes]:
        """What shows that the registration *number* is in the tree of *size*; raises as `merkle.inclusion_proof`."""
        return merkle.inclusion_proof(number - 1, self._within(size), self._tree.node)

    def consistency_proof(self, old: int, new: int) -> list[bytes]:
        """What shows that the tree of *new* begins with that of *old*; raises as `merkle.consistency_proof`."""
        return merkle.consistency_proof(old, self._within(new), self._tree.node)

    def check(self) -> None:
        """Hold every file against the leaves, and the leaves against what was signed.

        Raises:
            LogError: ``state_damaged``, ``tail_cut`` or ``split_view``.
        """
        self._tree.check()
        if not self._meets(self._signed):
            raise LogError("tail_cut", self.origin, number=self._signed.size)

    def _within(self, size: int) -> int:
        if size > self.size:
            raise IndexError("the tree is not that large")
        return size

    def _meets(self, signed: Checkpoint) -> bool:
        """Whether the tree reaches as far as what was *signed*; raises ``split_view`` if it is another one there."""
        if self.size < signed.size:
            return False
        if self._tree.root(signed.size) != signed.root:
            raise LogError("split_view", self.origin, number=signed.size)
        return True


def _checkpoint(note: bytes, origin: str) -> Checkpoint:
    """What was signed last; raises ``state_damaged`` where it is not a checkpoint of *origin*."""
    with suppress(ProofError):
        signed = Checkpoint.parse(Note.parse(note).text)
        if signed.origin == origin:
            return signed
    raise LogError("state_damaged", origin)
