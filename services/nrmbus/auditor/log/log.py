"""Merkle log of one partition: registrations in number order, their tree, and its signed checkpoints.

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
        """Open the log in *folder*, or begin it; *heads* stores the last signed checkpoint.

        Raises:
            LogError: as `StoredTree`; ``split_view`` if the tree on disk is not the signed one, and ``state_damaged``
                if *heads* does not hold a checkpoint of this log.
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
        """The number of appended registrations, which is the number of the last one."""
        return self._tree.size

    @property
    def head(self) -> Checkpoint:
        """The committed tree, unsigned."""
        return self._tree.head

    @property
    def signed(self) -> Checkpoint:
        """The tree that was signed last; the empty tree before the first signature."""
        return self._signed

    @property
    def reaches_signed(self) -> bool:
        """True if the appended registrations reach the signed size."""
        return self._signed.size <= self.size

    @property
    def has_caught_up(self) -> bool:
        """True if the committed registrations reach the signed size; until then nothing new can be signed."""
        return self._signed.size <= self.head.size

    @property
    def set_aside(self) -> str | None:
        """The folder into which damaged files were moved when the log was opened, or None."""
        return self._tree.set_aside

    def close(self) -> None:
        """Release the log for other processes; uncommitted registrations are dropped."""
        self._tree.close()

    def append(self, registration: Registration) -> None:
        """Append the next registration, whose signature the caller has verified.

        Raises:
            LogError: ``foreign``, ``gap``, ``duplicate``, ``out_of_turn``, ``chain_broken`` or ``leaf_too_large``, with
                the number of the registration; nothing has changed then.
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
        """Return whether the appended registration *number* is *leaf*; raises IndexError past the end, and ``state_damaged``."""
        return self._tree.leaf_hash(number - 1) == merkle.leaf_hash(leaf)

    def begins_with(self, checkpoint: Checkpoint) -> bool:
        """Return whether the tree of the size of *checkpoint* has its root; raises ``state_damaged``."""
        if checkpoint.origin != self.origin or not 0 < checkpoint.size <= self.size:
            return False
        return self._tree.root(checkpoint.size) == checkpoint.root

    def commit(self) -> None:
        """Make the appended registrations durable.

        Raises ``split_view`` if the history up to the signed size is not the signed one.
        """
        if not self._met_signed:
            self._met_signed = self._meets(self._signed)
        self._tree.commit(self._signed.size)

    def sign(self, key: Ed25519Signer, lasting: Cosigner, time: int) -> bytes:
        """Commit, sign the tree with both keys of the log at *time* (POSIX seconds), and return the note.

        The note is stored as signed before it is returned. Both keys have the log's origin as their name.

        Raises:
            LogError: ``tail_cut`` or ``split_view`` if the tree would contradict an earlier signature; nothing is signed.
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
        """Return the committed leaf of *number*; raises IndexError past the end, and ``state_damaged``."""
        return next(self._tree.entries(number - 1, number))

    def inclusion_proof(self, number: int, size: int) -> list[bytes]:
        """Return the proof that the registration *number* is in the tree of *size*; raises as `merkle.inclusion_proof`."""
        return merkle.inclusion_proof(number - 1, self._within(size), self._tree.node)

    def consistency_proof(self, old: int, new: int) -> list[bytes]:
        """Return the proof that the tree of size *new* begins with the tree of size *old*; raises as `merkle.consistency_proof`."""
        return merkle.consistency_proof(old, self._within(new), self._tree.node)

    def check(self) -> None:
        """Compare every file with the leaves, and the leaves with the signed tree.

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
        """Return whether the tree reaches the *signed* size; raises ``split_view`` if the trees differ there."""
        if self.size < signed.size:
            return False
        if self._tree.root(signed.size) != signed.root:
            raise LogError("split_view", self.origin, number=signed.size)
        return True


def _checkpoint(note: bytes, origin: str) -> Checkpoint:
    """Return the checkpoint in *note*; raises ``state_damaged`` if it is not one of *origin*."""
    with suppress(ProofError):
        signed = Checkpoint.parse(Note.parse(note).text)
        if signed.origin == origin:
            return signed
    raise LogError("state_damaged", origin)
