"""Letter of an event: sealed parts, which only the agencies that the Rules name can open.

Each part has a content key of its own (AES-256-GCM), wrapped for each reader by HPKE (RFC 9180, base mode, single shot)
with the hybrid KEM X-Wing, so that a quantum computer cannot open a letter that was copied today. README.md, "Letter",
describes how a part is bound to its event and its reader.
"""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from itertools import pairwise
from typing import Any, Final, Self, cast

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from nrmbus.events.model import PARTS, Part
from nrmbus.wire import base64, ids, json
from nrmbus.wire.errors import LetterClosed, WireError
from nrmbus.wire.keys.keys import KID_XWING, WRAP_BYTES, SealingKey, SealTo
from nrmbus.wire.record import LETTER_LIMIT, PRINTABLE

SUITE: Final = "nrm1"
"""The only suite: X-Wing, HKDF-SHA256, AES-256-GCM. Nothing is negotiated."""

PADDED: Final = tuple(kibibytes * 1024 for kibibytes in (1, 4, 16, 64, 128))
"""Padded sizes of a part's plaintext, in bytes: a long story and a short note look alike."""

MAX_READERS: Final = 64
"""Largest number of wraps of a part, as of a list of agencies."""

_CIPHERTEXTS: Final = tuple(size + 16 for size in PADDED)
_IV: Final = 12
_KEY: Final = 32
_LENGTH: Final = 4
_HEX_DIGEST: Final = ids.DIGEST


def padded(plain: bytes) -> bytes:
    """Return four bytes of length (big-endian), *plain*, and zeros up to the next size. Raises ``letter_too_large``."""
    whole = len(plain).to_bytes(_LENGTH) + plain
    for size in PADDED:
        if len(whole) <= size:
            return whole.ljust(size, b"\0")
    raise WireError("letter_too_large", limit=PADDED[-1])


def unpadded(whole: bytes) -> bytes:
    """Undo `padded`; raises ``LetterClosed("malformed")`` for a length that does not fit and for padding that is not zero."""
    end = _LENGTH + int.from_bytes(whole[:_LENGTH])
    if end > len(whole) or whole[end:].strip(b"\0"):
        raise LetterClosed("malformed")
    return whole[_LENGTH:end]


def commitment(key: bytes) -> str:
    """Return the commitment to a content key: AES-GCM alone lets one ciphertext open to two plaintexts under two keys."""
    return sha256(b"nrmbus/commit/v1\0" + key).hexdigest()


@dataclass(frozen=True, slots=True)
class Place:
    """Event that a letter belongs to; its parts do not open in another event."""

    bus: str
    source: str
    id: str
    subject: str

    def aad(self, part: Part) -> bytes:
        """Return the additional data of a part's content."""
        return b"nrmbus/part-aad/v1\0" + self._bound(part)

    def info(self, part: Part, to: str, kid: str) -> bytes:
        """Return the HPKE info of a part's wrapped key."""
        return b"nrmbus/hpke/v1\0" + self._bound(part) + ids.lp(to) + ids.lp(kid)

    def _bound(self, part: Part) -> bytes:
        return b"".join(map(ids.lp, (self.bus, self.source, self.id, self.subject, part)))


@dataclass(frozen=True)
class Wrap:
    """A part's content key, sealed to one reader."""

    to: str
    kid: str
    w: bytes

    @cached_property
    def digest(self) -> bytes:
        """Return SHA-256 over reader, key and ciphertext."""
        return sha256(b"nrmbus/wrap/v1\0" + ids.lp(self.to) + ids.lp(self.kid) + self.w).digest()

    @cached_property
    def body(self) -> dict[str, Any]:
        """The JSON object."""
        return {"kid": self.kid, "to": self.to, "w": base64.encode(self.w)}


@dataclass(frozen=True)
class Sealed:
    """One part: content, its key for each reader, or, in a copy, only the digest of another reader's wrap."""

    name: Part
    iv: bytes
    ct: bytes
    commit: str
    wraps: tuple[Wrap | bytes, ...]

    @cached_property
    def digest(self) -> bytes:
        """Return SHA-256 over the part; a copy has the same digest."""
        own = b"nrmbus/part/v1\0" + ids.lp(self.name) + self.iv + bytes.fromhex(self.commit) + sha256(self.ct).digest()
        return sha256(own + b"".join(_digest(wrap) for wrap in self.wraps)).digest()

    def wrap_for(self, agency: str) -> Wrap | None:
        """Return the wrap for *agency*; None if there is none."""
        return next((wrap for wrap in self.wraps if isinstance(wrap, Wrap) and wrap.to == agency), None)

    def copy_for(self, agency: str) -> "Sealed | bytes":
        """Return the copy of the part for *agency*: with its own wrap, or else the digest alone."""
        own = self.wrap_for(agency)
        if own is None:
            return self.digest
        wraps = tuple(wrap if wrap is own else _digest(wrap) for wrap in self.wraps)
        return Sealed(self.name, self.iv, self.ct, self.commit, wraps)

    @cached_property
    def body(self) -> dict[str, Any]:
        """The JSON object."""
        return {
            "commit": self.commit,
            "ct": base64.encode(self.ct),
            "iv": base64.encode(self.iv),
            "name": self.name,
            "wraps": [_body(wrap) for wrap in self.wraps],
        }

    def unwrap(self, key: SealingKey, wrap: Wrap, place: Place) -> bytes:
        """Return the part's content key, which *wrap* holds for *key*; raises `LetterClosed`."""
        secret = key.open(wrap.w, place.info(self.name, wrap.to, wrap.kid))
        self._check(secret)
        return secret

    def _check(self, secret: bytes) -> None:
        # Checked before opening: a second key that fits the tag would show another plaintext.
        if len(secret) != _KEY or commitment(secret) != self.commit:
            raise LetterClosed("malformed")

    def open(self, key: SealingKey, wrap: Wrap, place: Place) -> dict[str, Any]:
        """Open the part with *key* and its *wrap*; raises `LetterClosed`."""
        return self.open_with(self.unwrap(key, wrap, place), place)

    def open_with(self, secret: bytes, place: Place) -> dict[str, Any]:
        """Open with the content key *secret*; raises `LetterClosed`."""
        self._check(secret)
        plain, fields = None, None
        try:
            plain = AESGCM(secret).decrypt(self.iv, self.ct, place.aad(self.name))
        except InvalidTag:
            plain = None
        if plain is None:
            raise LetterClosed("key")
        try:
            fields = json.loads(unpadded(plain), limit=PADDED[-1])
        except WireError:
            fields = None
        if fields is None:
            raise LetterClosed("malformed")
        return fields


def _digest(item: Wrap | Sealed | bytes) -> bytes:
    return item if isinstance(item, bytes) else item.digest


def _body(item: Wrap | Sealed | bytes) -> dict[str, Any]:
    return {"digest": item.hex()} if isinstance(item, bytes) else item.body


def seal(
    parts: Mapping[Part, Mapping[str, Any]],
    audience: Mapping[Part, Iterable[tuple[str, SealTo]]],
    *,
    bus: str,
    source: str,
    id: str,
    subject: str,
) -> bytes:
    """Seal each of *parts* (empty ones too) to its *audience*, always with the sender; return the container.

    *audience* pairs an agency with its current key. Raises ``letter_too_large`` for a part beyond 128 KiB or a container
    beyond 240 KiB, ``json_invalid`` for fields that are no JSON of this bus, ValueError for a part without the sender.
    """
    place = Place(bus, source, id, subject)
    sealed = tuple(_seal(part, parts[part], dict(audience.get(part, ())), place) for part in sorted(parts))
    return Container(sealed).json()


def _seal(part: Part, fields: Mapping[str, Any], readers: Mapping[str, SealTo], place: Place) -> Sealed:
    if place.source not in readers:
        raise ValueError("a letter is sealed to its sender too, or nobody could prove what it said")
    if part not in PARTS or len(readers) > MAX_READERS:
        raise ValueError("a letter has the parts of the published language, each for at most 64 readers")
    key, iv = os.urandom(_KEY), os.urandom(_IV)
    ct = AESGCM(key).encrypt(iv, padded(json.dumps(fields)), place.aad(part))
    wraps = tuple(
        Wrap(to, seal_to.kid, seal_to.wrap(key, place.info(part, to, seal_to.kid)))
        for to, seal_to in sorted(readers.items())
    )
    return Sealed(part, iv, ct, commitment(key), wraps)


@dataclass(frozen=True, slots=True)
class Container:
    """Letter in transit: whole from its sender, or a copy with one reader's parts and digests of all other parts."""

    sealed: tuple[Sealed | bytes, ...]

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        """Read a container.

        Raises:
            WireError: ``letter_too_large``, ``suite_unknown``, or ``letter_malformed`` (as `LetterClosed`).
        """
        if len(raw) > LETTER_LIMIT:
            raise WireError("letter_too_large", limit=LETTER_LIMIT)
        body: dict[str, Any] | None = None
        try:
            body = None if raw.translate(None, PRINTABLE) else json.loads(raw, limit=LETTER_LIMIT)
        except WireError:
            body = None
        if body is None or body.keys() != {"suite", "parts"} or not isinstance(body["parts"], list):
            raise LetterClosed("malformed")
        if body["suite"] != SUITE:
            raise WireError("suite_unknown")
        if not 0 < len(body["parts"]) <= len(PARTS):
            raise LetterClosed("malformed")
        sealed = tuple([_hidden(item) or _sealed(item) for item in body["parts"]])
        _in_order([part.name for part in sealed if isinstance(part, Sealed)])
        return cls(sealed)

    @property
    def digest(self) -> str:
        """Return ``sealeddigest``: SHA-256 in lower hex, equal for the whole letter and every copy."""
        return sha256(b"nrmbus/letter/v1\0" + b"".join(map(_digest, self.sealed))).hexdigest()

    @property
    def whole(self) -> bool:
        """Return True if every part and every wrap is there."""
        return all(
            isinstance(part, Sealed) and all(isinstance(wrap, Wrap) for wrap in part.wraps) for part in self.sealed
        )

    @property
    def parts(self) -> tuple[Part, ...]:
        """Return the names of the visible parts, sorted."""
        return tuple(part.name for part in self.sealed if isinstance(part, Sealed))

    def wraps(self, part: Part) -> dict[str, str]:
        """Return the visible readers of *part*: kid of the key, by agency."""
        return {wrap.to: wrap.kid for wrap in self._part(part).wraps if isinstance(wrap, Wrap)}

    def _part(self, name: Part) -> Sealed:
        for part in self.sealed:
            if isinstance(part, Sealed) and part.name == name:
                return part
        raise LetterClosed("missing")

    def json(self) -> bytes:
        """Return the bytes for the wire. Raises ``letter_too_large`` beyond 240 KiB."""
        raw = json.dumps({"parts": [_body(part) for part in self.sealed], "suite": SUITE})
        if len(raw) > LETTER_LIMIT:
            raise WireError("letter_too_large", limit=LETTER_LIMIT)
        return raw

    def copy_for(self, agency: str) -> bytes:
        """Return the copy for *agency*: its parts with its own wraps, and digests of the rest, so that ``digest`` is equal."""
        copies = [part.copy_for(agency) if isinstance(part, Sealed) else part for part in self.sealed]
        return Container(tuple(copies)).json()

    def open(
        self,
        agency: str,
        key: SealingKey | Mapping[str, SealingKey],
        *,
        bus: str,
        source: str,
        id: str,
        subject: str,
    ) -> dict[Part, dict[str, Any]]:
        """Open every part that is sealed to *agency*, with its key, or its keys by kid; return ``{}`` if there is none.

        Raises:
            LetterClosed: ``key`` (the letter is sealed to another key, or belongs to another event), ``malformed`` (the
                opened part is no content of a letter). One failed part closes all.
        """
        place = Place(bus, source, id, subject)
        return self.open_with(self.unwrap(agency, key, place), place)

    def unwrap(self, agency: str, key: SealingKey | Mapping[str, SealingKey], place: Place) -> dict[Part, bytes]:
        """Return the content keys of the parts that are sealed to *agency*. Raises as `open`."""
        keys = {key.kid: key} if isinstance(key, SealingKey) else key
        found: dict[Part, bytes] = {}
        for part in self.sealed:
            wrap = part.wrap_for(agency) if isinstance(part, Sealed) else None
            if wrap is None:
                continue
            own = keys.get(wrap.kid)
            if own is None:
                raise LetterClosed("key")
            sealed = cast("Sealed", part)
            found[sealed.name] = sealed.unwrap(own, wrap, place)
        return found

    def open_with(self, secrets: Mapping[Part, bytes], place: Place) -> dict[Part, dict[str, Any]]:
        """Open parts with their content keys *secrets*; raises as `open`, and ``missing`` for an absent part."""
        return {name: self._part(name).open_with(secret, place) for name, secret in secrets.items()}


def _in_order(names: list[str]) -> None:
    if any(later <= earlier for earlier, later in pairwise(names)):
        raise LetterClosed("malformed")


def _hidden(item: Any) -> bytes | None:
    match item:
        case {"digest": str() as digest} if len(item) == 1 and _HEX_DIGEST.fullmatch(digest):
            return bytes.fromhex(digest)
    return None


def _bytes(text: str, *sizes: int) -> bytes:
    raw = base64.read(text)
    if raw is None or len(raw) not in sizes:
        raise LetterClosed("malformed")
    return raw


def _sealed(item: Any) -> Sealed:
    match item:
        case {
            "name": str() as name,
            "iv": str() as iv,
            "ct": str() as ct,
            "commit": str() as commit,
            "wraps": [*wraps],
        } if len(item) == 5 and name in PARTS and _HEX_DIGEST.fullmatch(commit) and 0 < len(wraps) <= MAX_READERS:
            read = tuple([_hidden(wrap) or _wrap(wrap) for wrap in wraps])
            _in_order([wrap.to for wrap in read if isinstance(wrap, Wrap)])
            return Sealed(name, _bytes(iv, _IV), _bytes(ct, *_CIPHERTEXTS), commit, read)
    raise LetterClosed("malformed")


def _wrap(item: Any) -> Wrap:
    match item:
        case {"to": str() as to, "kid": str() as kid, "w": str() as w} if (
            len(item) == 3 and ids.AGENCY_ID.fullmatch(to) and KID_XWING.fullmatch(kid)
        ):
            return Wrap(to, kid, _bytes(w, WRAP_BYTES))
    raise LetterClosed("malformed")
