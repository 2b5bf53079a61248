"""Letter of an event: sealed parts, which only the agencies that the Rules name can open.

Each part has a content key of its own (AES-256-GCM), wrapped for each reader by HPKE (RFC 9180, base mode, single shot)
with the hybrid KEM X-Wing, so that a quantum computer cannot open a letter that was copied today. README.md, "Letter",
describes how a part is bound to its event and its reader, and the bytes of the container.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from dataclasses import field as field_of
from hashlib import sha256
from typing import Any, Final, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from nrmbus.events.model import PARTS, Part
from nrmbus.wire import ids, json
from nrmbus.wire.errors import LetterClosed, WireError
from nrmbus.wire.keys.keys import KID_XWING, WRAP_BYTES, SealingKey, SealTo
from nrmbus.wire.record import LETTER_LIMIT

SUITE: Final = "nrm1"
"""The only suite: X-Wing, HKDF-SHA256, AES-256-GCM. Nothing is negotiated."""

PADDED: Final = tuple(kibibytes * 1024 for kibibytes in (1, 4, 16, 64, 128))
"""Padded sizes of a part's plaintext, in bytes: a long story and a short note look alike."""

MAX_READERS: Final = 64
"""Largest number of wraps of a part, as of a list of agencies."""

MAGIC: Final = b"nrl1"
"""The first bytes of a container, which name its form."""

_BEGIN: Final = MAGIC + SUITE.encode()
_HIDDEN: Final = b"\0"
_SHOWN: Final = b"\1"
_CIPHERTEXTS: Final = frozenset(size + 16 for size in PADDED)
_IV: Final = 12
_KEY: Final = 32
_HASH: Final = 32
_LENGTH: Final = 4


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


def commitment(key: bytes) -> bytes:
    """Return the commitment to a content key: AES-GCM alone lets one ciphertext open to two plaintexts under two keys."""
    return sha256(b"nrmbus/commit/v1\0" + key).digest()


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


@dataclass(slots=True)
class Wrap:
    """A part's content key, sealed to one reader. ``raw`` are its bytes in a container, which are hashed."""

    to: str
    kid: str
    w: bytes
    raw: bytes = field_of(default=b"", repr=False, compare=False)
    _digest: bytes = field_of(default=b"", repr=False, compare=False)

    def __post_init__(self) -> None:
        """Write the bytes, unless they were read."""
        self.raw = self.raw or ids.lp(self.to) + ids.lp(self.kid) + self.w

    @property
    def digest(self) -> bytes:
        """Return SHA-256 over reader, key and ciphertext."""
        self._digest = self._digest or sha256(b"nrmbus/wrap/v1\0" + self.raw).digest()
        return self._digest


@dataclass(slots=True)
class Sealed:
    """One part: content, its key for each reader, or, in a copy, only the digest of another reader's wrap."""

    name: Part
    iv: bytes
    ct: bytes
    commit: bytes
    wraps: tuple[Wrap | bytes, ...]
    by: dict[str, Wrap] = field_of(default_factory=dict, repr=False, compare=False)
    """The visible wraps, by reader."""
    head: bytes = field_of(default=b"", repr=False, compare=False)
    """The bytes in a container before the wraps."""
    _digest: bytes = field_of(default=b"", repr=False, compare=False)

    def __post_init__(self) -> None:
        """Write the bytes before the wraps, unless they were read."""
        self.by = {wrap.to: wrap for wrap in self.wraps if isinstance(wrap, Wrap)}
        if not self.head:
            size, count = len(self.ct).to_bytes(_LENGTH), len(self.wraps).to_bytes(1)
            self.head = b"".join((_SHOWN, ids.lp(self.name), self.iv, self.commit, size, self.ct, count))

    @property
    def digest(self) -> bytes:
        """Return SHA-256 over the part; a copy has the same digest."""
        if not self._digest:
            own = ids.lp(self.name) + self.iv + self.commit + sha256(self.ct).digest()
            self._digest = sha256(b"nrmbus/part/v1\0" + own + b"".join(map(_digest, self.wraps))).digest()
        return self._digest

    def wrap_for(self, agency: str) -> Wrap | None:
        """Return the wrap for *agency*; None if there is none."""
        return self.by.get(agency)

    def pieces(self, agency: str | None = None) -> Iterator[bytes]:
        """Yield the bytes of the part in a container, for *agency* with its own wrap alone."""
        yield self.head
        for wrap in self.wraps:
            if isinstance(wrap, Wrap) and agency in (None, wrap.to):
                yield _SHOWN
                yield wrap.raw
            else:
                yield _HIDDEN
                yield _digest(wrap)

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
    return Container(sealed).encoded()


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
        if raw[: len(MAGIC)] == MAGIC and len(raw) >= len(_BEGIN) and raw[: len(_BEGIN)] != _BEGIN:
            raise WireError("suite_unknown")
        sealed = None
        try:
            sealed = _read(raw)
        except (IndexError, ValueError):
            sealed = None
        if sealed is None:  # raised out here: what was caught may hold what came in
            raise LetterClosed("malformed")
        return cls(sealed)

    @property
    def digest(self) -> str:
        """Return ``sealeddigest``: SHA-256 in lower hex, equal for the whole letter and every copy."""
        return sha256(b"nrmbus/letter/v1\0" + b"".join(map(_digest, self.sealed))).hexdigest()

    @property
    def whole(self) -> bool:
        """Return True if every part and every wrap is there."""
        return all(isinstance(part, Sealed) and len(part.by) == len(part.wraps) for part in self.sealed)

    @property
    def parts(self) -> tuple[Part, ...]:
        """Return the names of the visible parts, sorted."""
        return tuple(part.name for part in self.sealed if isinstance(part, Sealed))

    def wraps(self, part: Part) -> dict[str, str]:
        """Return the visible readers of *part*: kid of the key, by agency."""
        return {to: wrap.kid for to, wrap in self._part(part).by.items()}

    def _part(self, name: Part) -> Sealed:
        for part in self.sealed:
            if isinstance(part, Sealed) and part.name == name:
                return part
        raise LetterClosed("missing")

    def encoded(self) -> bytes:
        """Return the bytes for the wire. Raises ``letter_too_large`` beyond 240 KiB."""
        return self._written(None)

    def copy_for(self, agency: str) -> bytes:
        """Return the copy for *agency*: its parts with its own wraps, and digests of the rest, so that ``digest`` is equal."""
        return self._written(agency)

    def _written(self, agency: str | None) -> bytes:
        pieces = [_BEGIN, len(self.sealed).to_bytes(1)]
        for part in self.sealed:
            if isinstance(part, Sealed) and (agency is None or agency in part.by):
                pieces += part.pieces(agency)
            else:
                pieces += (_HIDDEN, _digest(part))
        raw = b"".join(pieces)
        if len(raw) > LETTER_LIMIT:
            raise WireError("letter_too_large", limit=LETTER_LIMIT)
        return raw

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
            if not isinstance(part, Sealed) or (wrap := part.wrap_for(agency)) is None:
                continue
            own = keys.get(wrap.kid)
            if own is None:
                raise LetterClosed("key")
            found[part.name] = part.unwrap(own, wrap, place)
        return found

    def open_with(self, secrets: Mapping[Part, bytes], place: Place) -> dict[Part, dict[str, Any]]:
        """Open parts with their content keys *secrets*; raises as `open`, and ``missing`` for an absent part."""
        return {name: self._part(name).open_with(secret, place) for name, secret in secrets.items()}


# -- reading a container: a size that lies leads beyond the end, or short of it, and one comparison at the end finds both --


def _read(raw: bytes) -> tuple[Sealed | bytes, ...] | None:
    """Return the parts of a container, or None; raise IndexError or ValueError for other bytes that are none."""
    at, count, last = len(_BEGIN) + 1, raw[len(_BEGIN)], ""
    if raw[: len(_BEGIN)] != _BEGIN or not 0 < count <= len(PARTS):
        return None
    found: list[Sealed | bytes] = []
    for _ in range(count):
        if raw[at] == _HIDDEN[0]:
            found.append(raw[at + 1 : at + 1 + _HASH])
            at += 1 + _HASH
            continue
        part, at = _read_part(raw, at)
        if part is None or part.name <= last:
            return None
        found.append(part)
        last = part.name
    return tuple(found) if at == len(raw) else None


def _read_part(raw: bytes, start: int) -> tuple[Sealed | None, int]:
    name, at = _read_text(raw, start + 1)
    iv, commit = raw[at : at + _IV], raw[at + _IV : at + _IV + _HASH]
    at += _IV + _HASH
    size, content = int.from_bytes(raw[at : at + _LENGTH]), at + _LENGTH
    at = content + size
    if raw[start] != _SHOWN[0] or name not in PARTS or size not in _CIPHERTEXTS or not 0 < raw[at] <= MAX_READERS:
        return None, at
    count, head, last = raw[at], raw[start : at + 1], ""
    at += 1
    wraps: list[Wrap | bytes] = []
    for _ in range(count):
        if raw[at] == _HIDDEN[0]:
            wraps.append(raw[at + 1 : at + 1 + _HASH])
            at += 1 + _HASH
            continue
        wrap, at = _read_wrap(raw, at)
        if wrap is None or wrap.to <= last:
            return None, at
        wraps.append(wrap)
        last = wrap.to
    return Sealed(name, iv, raw[content : content + size], commit, tuple(wraps), head=head), at


def _read_wrap(raw: bytes, start: int) -> tuple[Wrap | None, int]:
    to, at = _read_text(raw, start + 1)
    kid, at = _read_text(raw, at)
    end = at + WRAP_BYTES
    if raw[start] != _SHOWN[0] or not ids.AGENCY_ID.fullmatch(to) or not KID_XWING.fullmatch(kid):
        return None, end
    return Wrap(to, kid, raw[at:end], raw[start + 1 : end]), end


def _read_text(raw: bytes, at: int) -> tuple[str, int]:
    """Return a text with two bytes of length before it, and where it ends."""
    end = at + 2 + int.from_bytes(raw[at : at + 2])
    return raw[at + 2 : end].decode("ascii"), end
