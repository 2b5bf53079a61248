"""Decision of a witness about a checkpoint: is this the known log, grown by appending only?

C2SP tlog-witness v1.0.0, on a topic instead of HTTP. Pure: the input is the knowledge of a log, the output a decision
or a code. A witness that decides wrongly signs two histories, so a record that does not connect is an alarm, never
skipped.
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
"""Reason why a record of ``nrm.checkpoints`` is an alarm."""

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
    """Alarm for a person: a checkpoint that is not co-signed.

    ``code`` is of the closed list `AlarmCode`. ``origin`` is the log whose signature was verified; None if no log of
    this bus signed, so that the alarm concerns no log.
    """

    def __init__(self, code: AlarmCode, origin: str | None = None) -> None:
        """Store the *code*, and the log with verified signatures."""
        self.code: AlarmCode = code
        self.origin = origin
        self.sentence = SENTENCES[code]
        super().__init__(f"{code}: {self.sentence}")


@dataclass(frozen=True, slots=True)
class Submitted:
    """Checkpoint submitted for co-signing: signed by its log, not yet compared with anything."""

    checkpoint: Checkpoint
    old: int
    """Previously published size of the log; the proof starts there."""
    proof: tuple[bytes, ...]
    note: bytes

    @property
    def digest(self) -> bytes:
        """Return the SHA-256 of the note, to tell a repeated record from a new signature of the same tree."""
        return sha256(self.note).digest()

    @classmethod
    def believed(cls, raw: bytes | None, bus: str, keys: Iterable[LogKeys]) -> Self:
        """Read an add-checkpoint body and verify the signature of a log of *bus*, with both keys of a pair of *keys*.

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
    """Knowledge of a log: *checked* is the newest checked tree, *signed* the newest tree ever co-signed.

    The two differ after a restore, while checkpoints are read again: reading may not pass *signed* without meeting it.
    """

    checked: Checkpoint
    signed: Checkpoint
    earlier: tuple[bytes, bytes | None] | None = None
    """Root and note digest stored for the submitted size; no digest if the tree was only co-signed."""

    @classmethod
    def nothing(cls, origin: str) -> Self:
        """Return the knowledge of a log that was never seen: the empty tree, where every proof starts."""
        empty = Checkpoint(origin, 0, merkle.EMPTY)
        return cls(empty, empty)


def follows(submitted: Submitted, known: Known) -> bool:
    """Return whether *submitted* is the next step of the *known* log; False if it was checked before.

    Raises:
        Alarm: ``root_differs``, ``tree_shrank``, ``gap`` or ``consistency_invalid``, with the log's name.
    """
    new, checked, signed = submitted.checkpoint, known.checked, known.signed
    root, digest = known.earlier or (new.root, None)
    if new.root != root:
        raise Alarm("root_differs", new.origin)
    if digest is not None:
        if new.size < checked.size and submitted.digest != digest:  # a new signature, after that of a larger tree
            raise Alarm("tree_shrank", new.origin)
        return False
    if new.size < checked.size:
        raise Alarm("tree_shrank", new.origin)
    # Pass the signed size only by a step that ends there: else no proof shows that the new tree begins with the signed one.
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
    """Return the checkpoint co-signed by one of *witnesses* (this desk's own keys), and the time; None if not co-signed."""
    with suppress(ProofError):
        note = Note.parse(raw or b"")
        times = [time for _, time in note.verified(witnesses)]
        checkpoint = Checkpoint.parse(note.text)
        if place_of(checkpoint.origin)[0] == bus:
            return checkpoint, max(times)
    return None
