"""Checkpoints: size and root of a log, by C2SP tlog-checkpoint v1.0.0 (c2sp.org/tlog-checkpoint@v1.0.0).

Stricter: extension lines are refused, since a witness says nothing about them. The origin names bus and partition, so
no checkpoint reads as one of another bus, of another partition, or of a bus for playing.
"""

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Self

from nrmbus.wire import base64
from nrmbus.wire.errors import ProofError
from nrmbus.wire.log import merkle
from nrmbus.wire.log.note import ED25519, Note, Verifier

MAX_SIZE: Final = 2**63 - 1

COSIGNATURE_ED25519: Final = 0x04
COSIGNATURE_MLDSA44: Final = 0x06

_ORIGIN: Final = re.compile(r"nrmbus/((?:play-)?[0-9a-f]{16})/p(0|[1-9][0-9]{0,8})")
_TEXT: Final = re.compile(r"([^\n]+)\n(0|[1-9][0-9]{0,18})\n([A-Za-z0-9+/=]{44})\n")
_OLD: Final = re.compile(rb"old (0|[1-9][0-9]{0,18})")

MAX_PROOF: Final = 63
"""Largest number of hashes in a consistency proof, by C2SP tlog-witness."""


def origin_of(bus: str, partition: int) -> str:
    """Return the origin of the log of one partition: ``nrmbus/<bus>/p<partition>``."""
    return f"nrmbus/{bus}/p{partition}"


def place_of(origin: str) -> tuple[str, int]:
    """Return bus and partition in *origin*; raises ``origin_differs`` for another kind of log."""
    match = _ORIGIN.fullmatch(origin)
    if match is None:
        raise ProofError("origin_differs")
    return match[1], int(match[2])


def witness_name(bus: str, agency: str) -> str:
    """Return the name of an agency's witness keys: ``nrmbus/<bus>/witness/<agency>``."""
    return f"nrmbus/{bus}/witness/{agency}"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The tree of a log at one size: origin, number of leaves, root (32 bytes)."""

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> bytes:
        """Return the text of the note."""
        return f"{self.origin}\n{self.size}\n{base64.encode(self.root)}\n".encode()

    @classmethod
    def parse(cls, text: bytes) -> Self:
        """Read the text of a note; raises ``checkpoint_malformed``, also for a wrong root of the empty tree."""
        match = None
        with suppress(UnicodeDecodeError):
            match = _TEXT.fullmatch(text.decode())
        root = base64.read(match[3]) if match else None
        if match is None or root is None or len(root) != merkle.HASH_BYTES:
            raise ProofError("checkpoint_malformed")
        read = cls(match[1], int(match[2]), root)
        if read.size > MAX_SIZE or (read.size == 0 and root != merkle.EMPTY):
            raise ProofError("checkpoint_malformed")
        return read

    def follows(self, older: Self, proof: Sequence[bytes]) -> None:
        """Return if this is the same log as *older*, grown by appending only; a witness checks this before it co-signs.

        Raises ``origin_differs``, and ``tree_shrank``, ``root_differs`` or ``consistency_invalid``.
        """
        if self.origin != older.origin:
            raise ProofError("origin_differs")
        merkle.verify_consistency(older.size, self.size, older.root, self.root, proof)


@dataclass(frozen=True, slots=True)
class AddCheckpoint:
    """The body of an add-checkpoint request of C2SP tlog-witness v1.0.0, which is a record of ``nrm.checkpoints``.

    ``old N``, the consistency proof from N, an empty line, the signed checkpoint. Nothing of it is verified yet.
    """

    old: int
    """Size of the log's checkpoint before; the proof begins there."""
    proof: tuple[bytes, ...]
    note: bytes

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        """Read a body, not yet its note; raises ``body_malformed``."""
        head, separator, note = raw.partition(b"\n\n")
        old, *lines = head.split(b"\n")
        match = _OLD.fullmatch(old)
        proof = tuple(hash for line in lines if (hash := base64.read(line)) and len(hash) == merkle.HASH_BYTES)
        if match is None or not separator or len(proof) != len(lines) or len(proof) > MAX_PROOF:
            raise ProofError("body_malformed")
        return cls(int(match[1]), proof, note)

    def bytes(self) -> bytes:
        """Write the body."""
        lines = [f"old {self.old}\n", *(f"{base64.encode(each)}\n" for each in self.proof), "\n"]
        return "".join(lines).encode() + self.note


@dataclass(frozen=True, slots=True)
class Believed:
    """A checkpoint that a policy accepts, and when each witness co-signed it, in POSIX seconds, by name."""

    checkpoint: Checkpoint
    witnesses: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Policy:
    """Signatures that a checkpoint needs: of every key of *log*, and of at least *quorum* witnesses.

    The names of the log's keys are its origin. A witness is a name: with an Ed25519 and an ML-DSA-44 key it counts
    once. Raises ``policy_invalid`` for a repeated key, a key of a wrong kind, no log, and a quorum above the number of
    witnesses.
    """

    log: tuple[Verifier, ...]
    witnesses: tuple[Verifier, ...]
    quorum: int

    def __post_init__(self) -> None:
        """Refuse a policy that would count a signature twice."""
        names = {each.name for each in self.witnesses}
        keys = [each.public for each in (*self.log, *self.witnesses)]
        if (
            len({each.name for each in self.log}) != 1
            or len(set(keys)) != len(keys)
            or names & {each.name for each in self.log}
            or any(each.kind not in {ED25519, COSIGNATURE_MLDSA44} for each in self.log)
            or any(each.kind not in {COSIGNATURE_ED25519, COSIGNATURE_MLDSA44} for each in self.witnesses)
            or not 0 <= self.quorum <= len(names)
        ):
            raise ProofError("policy_invalid")

    def believe(self, raw: bytes) -> Believed:
        """Read a signed checkpoint, and return it if this policy accepts it.

        A co-signature without a time (0) does not count: it does not state that the witness saw no larger tree.

        Raises:
            ProofError: as `Note.parse`, `Note.verified` and `Checkpoint.parse`; ``origin_differs``,
                ``log_signature_missing``, or ``quorum_missing`` with ``have`` and ``need``.
        """
        note = Note.parse(raw)
        signed = note.verified((*self.log, *self.witnesses))
        checkpoint = Checkpoint.parse(note.text)
        if checkpoint.origin != self.log[0].name:
            raise ProofError("origin_differs")
        if not {each.public for each in self.log} <= {each.public for each, _ in signed}:
            raise ProofError("log_signature_missing")
        times: dict[str, int] = {}
        for verifier, time in signed:
            if time and verifier.name != checkpoint.origin:
                times[verifier.name] = max(time, times.get(verifier.name, 0))
        if len(times) < self.quorum:
            raise ProofError("quorum_missing", have=len(times), need=self.quorum)
        return Believed(checkpoint, times)
