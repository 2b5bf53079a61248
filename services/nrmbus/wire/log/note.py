"""Signed notes: C2SP signed-note v1.0.0 (c2sp.org/signed-note@v1.0.0): a text, and lines of who signed it.

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
"""The most bytes of a note."""

MAX_SIGNATURES: Final = 64
"""The most signatures of a note: the log's two and those of as many witnesses as a bus may have; C2SP asks for 16."""

ED25519: Final = 0x01
"""The kind of a key that signs any note."""

KEY_ID_BYTES: Final = 4

_BEFORE_NAME: Final = "— "
_CONTROL: Final = re.compile(r"[\x00-\x09\x0b-\x1f]")
_VKEY: Final = re.compile(r"([^+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/=]+)")


def is_name(name: str) -> bool:
    """Whether *name* may name a key: not empty, without blanks of any script, plus signs and control characters."""
    return bool(name) and "+" not in name and not any(each.isspace() or each < " " for each in name)


def key_id(name: str, kind: int, public: bytes) -> bytes:
    """The four bytes by which, with its name, a key is found: SHA-256(name ‖ 0x0A ‖ kind ‖ public key)[:4]."""
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
        """Give the POSIX seconds that *signature* over *text* says, 0 for none; raises ``signature_invalid``."""


def key_id_of(verifier: Verifier) -> bytes:
    """`key_id` of *verifier*."""
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
    """One signature line: the name and id of a key, and what the key made."""

    name: str
    key_id: bytes
    value: bytes

    def line(self) -> bytes:
        """The line with its newline."""
        return f"{_BEFORE_NAME}{self.name} {base64.encode(self.key_id + self.value)}\n".encode()


def _signature(line: str) -> Signature:
    name, _, written = line.removeprefix(_BEFORE_NAME).partition(" ")
    raw = base64.read(written)
    if not line.startswith(_BEFORE_NAME) or not is_name(name) or raw is None or len(raw) <= KEY_ID_BYTES:
        raise ProofError("note_malformed")
    return Signature(name, raw[:KEY_ID_BYTES], raw[KEY_ID_BYTES:])


@dataclass(frozen=True, slots=True)
class Note:
    """A text, which ends in a newline, and at least one signature. Believe nothing of it before `verified`."""

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
        """This note with *signatures*, each in the place of one that the same key made before."""
        made = {(each.name, each.key_id): each for each in (*self.signatures, *signatures)}
        return type(self)(self.text, tuple(made.values()))

    def bytes(self) -> bytes:
        """Write the note; raises as `parse` where text or signatures would not be read again."""
        raw = self.text + b"\n" + b"".join(each.line() for each in self.signatures)
        if type(self).parse(raw) != self:
            raise ProofError("note_malformed")
        return raw

    def verified(self, known: Iterable[Verifier]) -> list[tuple[Verifier, int]]:
        """Whom of *known* the note is signed by, and when, in POSIX seconds, if the signature says so.

        Signatures of others are ignored. Raises ``signature_invalid`` where one in the name of a known key does not
        fit, and ``note_unsigned`` where there is none.
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
    """Give *name* back if it may name a key; raises ``key_malformed``."""
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
        """Return 0, since such a signature says no time; raises ``signature_invalid``."""
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
