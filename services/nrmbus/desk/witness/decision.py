"""What a witness decides about a checkpoint: does it show the log that it knows, grown by appending only.

C2SP tlog-witness v1.0.0, on a topic instead of HTTP. Pure: what is known of a log comes in, a decision or a code goes out.
A witness that decides wrongly signs two histories, so whatever does not connect is an alarm, never skipped.
"""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from types import MappingProxyType
from typing import Final, Literal, Self

from nrmbus.directory import LogKeys, Published
from nrmbus.wire.errors import PROOF_SENTENCES, ProofCode, ProofError
from nrmbus.wire.log import merkle
from nrmbus.wire.log.checkpoint import AddCheckpoint, Checkpoint, place_of
from nrmbus.wire.log.note import Note, Verifier

AlarmCode = ProofCode | Literal["gap"]
"""Why a record of ``nrm.checkpoints`` is an alarm."""

SENTENCES: Final[Mapping[AlarmCode, str]] = MappingProxyType(
    dict[AlarmCode, str](
        [
            *PROOF_SENTENCES.items(),
            ("gap", "The record does not begin where the one before it ended: a checkpoint is missing between them."),
        ]
    )
)
"""One sentence a code."""


class Alarm(Exception):
    """A checkpoint that is not co-signed, for a person to look at.

    ``code`` is of the closed list `AlarmCode`. ``origin`` is the log that really signed it; none where no log of this bus
    did, so that it says nothing about one.
    """

    def __init__(self, code: AlarmCode, origin: str | None = None) -> None:
        """Name the *code*, and the log whose signatures hold."""
        self.code: AlarmCode = code
        self.origin = origin
        self.sentence = SENTENCES[code]
        super().__init__(f"{code}: {self.sentence}")


@dataclass(frozen=True, slots=True)
class Submitted:
    """A checkpoint that its log asks to have co-signed: signed by the log, and not yet held against anything."""

    checkpoint: Checkpoint
    old: int
    """The size that the log published before; the proof leads from there."""
    proof: tuple[bytes, ...]
    note: bytes

    @property
    def digest(self) -> bytes:
        """SHA-256 of the note: tells a repeated record from the same tree signed another time."""
        return sha256(self.note).digest()

    @classmethod
    def believed(cls, raw: bytes | None, bus: str, keys: Iterable[LogKeys]) -> Self:
        """Read an add-checkpoint body and verify that a log of *bus* has signed it, with both keys of one pair of *keys*.

        Raises:
            Alarm: ``body_malformed``, ``note_malformed``, ``note_too_large``, ``checkpoint_malformed``,
                ``origin_differs``, ``note_unsigned``, ``signature_invalid`` or ``log_signature_missing``.
        """
        code: AlarmCode
        try:
            body = AddCheckpoint.parse(raw or b"")
            return cls(Published.read(body.note, bus, keys).checkpoint, body.old, body.proof, body.note)
        except ProofError as error:
            code = error.code
        raise Alarm(code)


@dataclass(frozen=True, slots=True)
class Known:
    """What a desk knows of a log: *checked* as far as it read, *signed* as far as it ever co-signed.

    They differ while it reads again, after a ledger was restored: what it signed is the limit that no reading passes.
    """

    checked: Checkpoint
    signed: Checkpoint
    earlier: tuple[bytes, bytes | None] | None = None
    """Of the submitted size, if it is on record: its root, and the digest of the note unless it was only co-signed."""

    @classmethod
    def nothing(cls, origin: str) -> Self:
        """Of a log that was never seen: it begins without leaves, and so does every proof."""
        empty = Checkpoint(origin, 0, merkle.EMPTY)
        return cls(empty, empty)


def follows(submitted: Submitted, known: Known) -> bool:
    """Whether *submitted* is the next step of the log that is *known*; false for one that was checked before.

    Raises:
        Alarm: ``root_differs``, ``tree_shrank``, ``gap`` or ``consistency_invalid``; it names the log.
    """
    new, checked, signed = submitted.checkpoint, known.checked, known.signed
    root, digest = known.earlier or (new.root, None)
    if new.root != root:
        raise Alarm("root_differs", new.origin)
    if digest is not None:
        if new.size < checked.size and submitted.digest != digest:  # signed anew, after a larger tree was
            raise Alarm("tree_shrank", new.origin)
        return False
    if new.size < checked.size:
        raise Alarm("tree_shrank", new.origin)
    # Past what was signed only by way of it: else nothing shows that the new tree begins with that one.
    if submitted.old != checked.size or checked.size < signed.size < new.size:
        raise Alarm("gap", new.origin)
    code: AlarmCode | None = None
    try:
        new.follows(checked, submitted.proof)
    except ProofError as error:
        code = error.code
    if code is not None:
        raise Alarm(code, new.origin)
    return True


def signed_before(raw: bytes | None, bus: str, witnesses: Iterable[Verifier]) -> tuple[Checkpoint, int] | None:
    """The checkpoint that one of the *witnesses*, this desk's own keys, has co-signed, and when; none if none did."""
    with suppress(ProofError):
        note = Note.parse(raw or b"")
        times = [time for _, time in note.verified(witnesses)]
        checkpoint = Checkpoint.parse(note.text)
        if place_of(checkpoint.origin)[0] == bus:
            return checkpoint, max(times)
    return None
