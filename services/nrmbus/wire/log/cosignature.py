"""Cosignatures on checkpoints: C2SP tlog-cosignature v1.0.1 (Ed25519) and v1.1.0-rc.1 (ML-DSA-44, c2sp.org, June 2026).

A cosignature states that its witness saw this log grow by appending only, and when. With Ed25519 it does not name the
witness, so each key serves one name. With ML-DSA-44 it names witness and log, and outlives classical signatures.
"""

from contextlib import suppress
from typing import Final

from nrmbus.wire.errors import ProofError, WireError
from nrmbus.wire.keys.keys import SigningKey, VerifyKey
from nrmbus.wire.log.checkpoint import COSIGNATURE_ED25519, COSIGNATURE_MLDSA44, Checkpoint
from nrmbus.wire.log.mldsa import MLDSA44SigningKey, MLDSA44VerifyKey
from nrmbus.wire.log.note import ED25519, Ed25519Verifier, Signature, Verifier, key_id_of, named, parse_vkey

MAX_TIME: Final = 253_402_300_799
"""Latest time of a cosignature, in POSIX seconds: the last that `times` can write, 9999-12-31T23:59:59Z."""

_TIME_BYTES: Final = 8
_LABEL: Final = b"subtree/v1\n\0"
_MAX_NAME_BYTES: Final = 255


def _opaque(text: str) -> bytes:
    """TLS presentation language: ``opaque <1..2^8-1>``."""
    raw = text.encode()
    if not 1 <= len(raw) <= _MAX_NAME_BYTES:
        raise ProofError("checkpoint_malformed")
    return bytes([len(raw)]) + raw


def message(kind: int, name: str, text: bytes, time: int) -> bytes:
    """Return the bytes to sign for a cosignature of *kind* under *name*, at *time* (POSIX seconds), on the checkpoint *text*.

    Raises ``checkpoint_malformed`` if *text* is no checkpoint.
    """
    checkpoint = Checkpoint.parse(text)
    if kind == COSIGNATURE_ED25519:
        return b"cosignature/v1\ntime %d\n" % time + text
    numbers = [each.to_bytes(8, "big") for each in (time, 0, checkpoint.size)]
    return b"".join(
        (_LABEL, _opaque(name), numbers[0], _opaque(checkpoint.origin), numbers[1], numbers[2], checkpoint.root)
    )


class CosignatureVerifier:
    """A public key whose cosignatures are known: kind 0x04 for Ed25519, 0x06 for ML-DSA-44."""

    __slots__ = ("_key", "kind", "name", "public")

    def __init__(self, name: str, key: VerifyKey | MLDSA44VerifyKey) -> None:
        """Take the *key* of *name*; raises ``key_malformed`` if nobody may be named so."""
        if len(name.encode()) > _MAX_NAME_BYTES:
            raise ProofError("key_malformed")
        self._key, self.name, self.public = key, named(name), key.public
        self.kind = COSIGNATURE_ED25519 if isinstance(key, VerifyKey) else COSIGNATURE_MLDSA44

    def verify(self, text: bytes, signature: bytes) -> int:
        """Return the time of the cosignature in POSIX seconds, 0 for none.

        Raises ``signature_invalid``, and ``checkpoint_malformed`` if *text* is no checkpoint.
        """
        time = int.from_bytes(signature[:_TIME_BYTES], "big")
        signed = message(self.kind, self.name, text, time)
        with suppress(WireError):
            self._key.verify(signature[_TIME_BYTES:], signed)
            if time <= MAX_TIME:
                return time
        raise ProofError("signature_invalid")


class Cosigner:
    """A pair that co-signs checkpoints under a name: a witness, or, with ML-DSA-44, a log's second signature."""

    __slots__ = ("_key", "verifier")

    def __init__(self, name: str, key: SigningKey | MLDSA44SigningKey) -> None:
        """Co-sign with *key* under *name*; raises ``key_malformed`` if nobody may be named so."""
        self._key = key
        public = VerifyKey(key.public) if isinstance(key, SigningKey) else MLDSA44VerifyKey(key.public)
        self.verifier = CosignatureVerifier(name, public)

    def cosign(self, text: bytes, time: int) -> Signature:
        """State that the checkpoint *text* was the largest tree seen at *time*, in POSIX seconds, from 1.

        The caller has checked `Checkpoint.follows` and stored the checkpoint before. Raises ``checkpoint_malformed``.
        """
        if not 1 <= time <= MAX_TIME:
            raise ValueError("a cosignature says a time after 1970")
        name, kind = self.verifier.name, self.verifier.kind
        made = time.to_bytes(_TIME_BYTES, "big") + self._key.sign(message(kind, name, text, time))
        return Signature(name, key_id_of(self.verifier), made)


def verifier(vkey: str) -> Verifier:
    """Read a verifier key of any kind that is used here (0x01, 0x04, 0x06); raises ``key_malformed``."""
    name, kind, public = parse_vkey(vkey)
    if kind == ED25519:
        return Ed25519Verifier(name, public)
    with suppress(WireError):
        if kind == COSIGNATURE_ED25519:
            return CosignatureVerifier(name, VerifyKey(public))
        if kind == COSIGNATURE_MLDSA44:
            return CosignatureVerifier(name, MLDSA44VerifyKey(public))
    raise ProofError("key_malformed")
