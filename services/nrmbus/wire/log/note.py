"""Signed notes of C2SP signed-note v1.0.0 (c2sp.org/signed-note@v1.0.0): a text with lines of signatures.

Stricter where the text leaves room: base64 has one spelling, and there is a limit to size and signatures.
"""

import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, Protocol, Self

from nrmbus.wire import base64
from nrmbus.wire.errors import ProofError, WireError
from nrmbus.wire.keys.keys import SigningKey, VerifyKey

LIMIT: Final = 256 * 1024
"""Largest size of a note, in bytes."""

MAX_SIGNATURES: Final = 1024
"""Largest number of signatures: two of the log, and one of each witness of a large bus; C2SP asks for 16.

So many Ed25519 co-signatures fit into `LIMIT` with the longest name that an agency may have.
"""

ED25519: Final = 0x01
"""The kind of a key that signs any note."""

KEY_ID_BYTES: Final = 4

_BEFORE_NAME: Final = "— "
_CONTROL: Final = re.compile(r"[\x00-\x09\x0b-\x1f]")
_VKEY: Final = re.compile(r"([^+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/=]+)")


def is_name(name: str) -> bool:
    """Return True if *name* may name a key: not empty, without white space, plus signs and control characters."""
    return bool(name) and "+" not in name and not any(each.isspace() or each < " " for each in name)


def key_id(name: str, kind: int, public: bytes) -> bytes:
    """Return the key id, which finds a key together with its name: SHA-256(name ‖ 0x0A ‖ kind ‖ public key)[:4]."""
    return sha256(name.encode() + b"\n" + bytes([kind]) + public).digest()[:KEY_ID_BYTES]


class Verifier(Protocol):
    """A public key under a name, for one kind of signatures."""

    @property
    def name(self) -> str:
        """The key's name."""

    @property
    def kind(self) -> int:
        """The signature type identifier byte."""

    @property
    def public(self) -> bytes:
        """The raw public key."""

    def verify(self, text: bytes, signature: bytes) -> int:
        """Return the time of *signature* over *text* in POSIX seconds, 0 for none; raises ``signature_invalid``."""


def key_id_of(verifier: Verifier) -> bytes:
    """Return the `key_id` of *verifier*."""
    return key_id(verifier.name, verifier.kind, verifier.public)


def vkey(verifier: Verifier) -> str:
    """Write *verifier* as a verifier key: ``name+key id in hex+base64(kind ‖ public key)``."""
    material = base64.encode(bytes([verifier.kind]) + verifier.public)
    return f"{verifier.name}+{key_id_of(verifier).hex()}+{material}"


def parse_vkey(text: str) -> tuple[str, int, bytes]:
    """Read a verifier key: name, kind and public key. Raises ``key_malformed``, also where the key id does not fit."""
    match = _VKEY.fullmatch(text)
    material = base64.read(match[3]) if match and is_name(match[1]) else None
    if match is None or not material:
        raise ProofError("key_malformed")
    name, kind, public = match[1], material[0], material[1:]
    if key_id(name, kind, public).hex() != match[2]:
        raise ProofError("key_malformed")
    return name, kind, public


@dataclass(frozen=True, slots=True)
class Signature:
    """Signature line: name and id of a key, and its signature."""

    name: str
    key_id: bytes
    value: bytes

    def line(self) -> bytes:
        """Return the line with its newline."""
        return f"{_BEFORE_NAME}{self.name} {base64.encode(self.key_id + self.value)}\n".encode()


def _signature(line: str) -> Signature:
    name, _, written = line.removeprefix(_BEFORE_NAME).partition(" ")
    raw = base64.read(written)
    if not line.startswith(_BEFORE_NAME) or not is_name(name) or raw is None or len(raw) <= KEY_ID_BYTES:
        raise ProofError("note_malformed")
    return Signature(name, raw[:KEY_ID_BYTES], raw[KEY_ID_BYTES:])


@dataclass(frozen=True, slots=True)
class Note:
    """Text that ends in a newline, with at least one signature. Trust it only after `verified`."""

    text: bytes
    signatures: tuple[Signature, ...]

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        """Read a note; raises ``note_malformed`` or ``note_too_large``."""
        if len(raw) > LIMIT:
            raise ProofError("note_too_large")
        decoded = None
        with suppress(UnicodeDecodeError):
            decoded = raw.decode()
        if decoded is None or _CONTROL.search(decoded):
            raise ProofError("note_malformed")
        text, separator, lines = decoded.rpartition("\n\n")
        if not separator or not lines.endswith("\n"):
            raise ProofError("note_malformed")
        signatures = lines.removesuffix("\n").split("\n")
        if len(signatures) > MAX_SIGNATURES:
            raise ProofError("note_too_large")
        return cls((text + "\n").encode(), tuple(_signature(line) for line in signatures))

    def signed(self, *signatures: Signature) -> Self:
        """Return this note with *signatures*; each replaces an earlier one of the same key."""
        made = {(each.name, each.key_id): each for each in (*self.signatures, *signatures)}
        return type(self)(self.text, tuple(made.values()))

    def bytes(self) -> bytes:
        """Write the note; raises as `parse` where text or signatures would not be read again."""
        raw = self.text + b"\n" + b"".join(each.line() for each in self.signatures)
        if type(self).parse(raw) != self:
            raise ProofError("note_malformed")
        return raw

    def verified(self, known: Iterable[Verifier]) -> list[tuple[Verifier, int]]:
        """Return the keys of *known* that signed the note, each with its time in POSIX seconds, 0 for none.

        Signatures of unknown keys are ignored. Raises ``signature_invalid`` if a signature of a known key does not fit,
        and ``note_unsigned`` if there is none.
        """
        by_name = {(verifier.name, key_id_of(verifier)): verifier for verifier in known}
        found = [
            (verifier, verifier.verify(self.text, each.value))
            for each in self.signatures
            if (verifier := by_name.get((each.name, each.key_id))) is not None
        ]
        if not found:
            raise ProofError("note_unsigned")
        return found


def named(name: str) -> str:
    """Return *name* if it may name a key; else raise ``key_malformed``."""
    if not is_name(name):
        raise ProofError("key_malformed")
    return name


class Ed25519Verifier:
    """An Ed25519 key that verifies notes of any text (kind 0x01)."""

    __slots__ = ("_key", "kind", "name", "public")

    def __init__(self, name: str, public: bytes) -> None:
        """Take 32 raw bytes; raises ``key_malformed``, also for a weak key."""
        key = None
        with suppress(WireError):
            key = VerifyKey(public)
        if key is None:
            raise ProofError("key_malformed")
        self._key, self.name, self.kind, self.public = key, named(name), ED25519, key.public

    def verify(self, text: bytes, signature: bytes) -> int:
        """Return 0, because such a signature has no time; raises ``signature_invalid``."""
        with suppress(WireError):
            self._key.verify(signature, text)
            return 0
        raise ProofError("signature_invalid")


class Ed25519Signer:
    """An Ed25519 pair that signs notes of any text (kind 0x01)."""

    __slots__ = ("_key", "verifier")

    def __init__(self, name: str, key: SigningKey) -> None:
        """Sign with *key* under *name*."""
        self._key = key
        self.verifier = Ed25519Verifier(name, key.public)

    def sign(self, text: bytes) -> Signature:
        """Sign *text*."""
        return Signature(self.verifier.name, key_id_of(self.verifier), self._key.sign(text))
