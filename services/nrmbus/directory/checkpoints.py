"""Checkpoints as the directory lets them be believed: which keys a log of the bus signs with."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

from nrmbus.directory.keys import LogKeys
from nrmbus.wire.errors import ProofError
from nrmbus.wire.log.checkpoint import Checkpoint, place_of
from nrmbus.wire.log.note import Note


@dataclass(frozen=True, slots=True)
class Published:
    """A checkpoint that the logs of this bus have signed: ``note`` is the signed text, ``time`` what it says of when."""

    checkpoint: Checkpoint
    note: bytes
    time: datetime

    @classmethod
    def read(cls, note: bytes, bus: str, pairs: Iterable[LogKeys]) -> Self:
        """Read a signed checkpoint of *bus*, which both keys of one of *pairs* must have signed.

        Raises:
            ProofError: as `Note.parse`, `Note.verified` and `Checkpoint.parse`; ``origin_differs`` or
                ``log_signature_missing``.
        """
        parsed = Note.parse(note)
        checkpoint = Checkpoint.parse(parsed.text)
        if place_of(checkpoint.origin)[0] != bus:
            raise ProofError("origin_differs")
        under = [pair.verifiers(checkpoint.origin) for pair in pairs]
        signed = {each.public: time for each, time in parsed.verified([each for pair in under for each in pair])}
        for pair in under:
            if {each.public for each in pair} <= signed.keys():
                return cls(checkpoint, note, datetime.fromtimestamp(signed[pair[1].public], UTC))
        raise ProofError("log_signature_missing")
