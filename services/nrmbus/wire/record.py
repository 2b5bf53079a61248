"""Kafka record of a topic, and its allowed headers (CloudEvents Kafka binding, binary mode)."""

from collections.abc import Mapping
from hashlib import sha256
from typing import Final

from nrmbus.events.values import frozen
from nrmbus.wire.errors import WireError

DATA_LIMIT: Final = 16 * 1024
RECORD_LIMIT: Final = 256 * 1024
LETTER_LIMIT: Final = 240 * 1024
MATERIAL_LIMIT: Final = 8 * 1024
STATEMENT_LIMIT: Final = 64 * 1024
"""Limit of each header that the registrar adds: a statement names up to 64 agencies for each of seven parts."""
ATTRIBUTE_LIMIT: Final = 1024

MATERIAL: Final = "ce_dssematerial"
LETTER: Final = "nrm_letter"
REGISTRATION: Final = "nrm_registration"
DELIVERY: Final = "nrm_delivery"
AUDIENCE: Final = "nrm_audience"
ANSWER: Final = "nrm_answer"
SUBMITTED: Final = "nrm_submitted"
"""Place of the submission in its outbox, ``topic:offset``: for the registrar's restart, unsigned and in no leaf."""
STATEMENTS: Final = frozenset({REGISTRATION, DELIVERY, AUDIENCE, ANSWER, SUBMITTED})
"""Headers that only the registrar writes."""

CORRELATION: Final = "correlation_id"
"""Header that a library may add (FastStream does); it is unsigned, and nobody reads it."""

CORE: Final = ("id", "source", "specversion", "type", "datacontenttype", "dataschema", "subject", "time")
"""CloudEvents' own attributes, in the order in which the extension hashes them."""

EXTENSIONS: Final = (
    "recordedtime", "sequence", "actor", "approver", "policy", "legalbasis", "consent", "referral", "incident",
    "correlationid", "causationid", "expectedversion", "dataclassification", "sealeddigest", "traceparent",
)  # fmt: skip
"""All extension attributes, in the order of signing."""


def header_of(attribute: str) -> str:
    """Return the header that carries *attribute*."""
    return "content-type" if attribute == "datacontenttype" else f"ce_{attribute}"


_TRACEPARENT: Final = header_of("traceparent")
_LIMITS: Final[Mapping[str, int]] = {
    **{header_of(name): ATTRIBUTE_LIMIT for name in CORE + EXTENSIONS},
    CORRELATION: ATTRIBUTE_LIMIT,
    MATERIAL: MATERIAL_LIMIT,
    LETTER: LETTER_LIMIT,
}
_NO_PART: Final = frozenset({LETTER, CORRELATION})
"""Headers that are no part of the event itself."""
_READ_LATER: Final = frozenset({MATERIAL, LETTER})
PRINTABLE: Final = bytes(range(0x20, 0x7F))
"""Characters that are allowed in a header."""


@frozen
class Record:
    """Key, value and headers. Key or value is None in a record that is no event."""

    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]

    @property
    def traceparent(self) -> str | None:
        """Return the W3C trace context of the headers, unchecked; None if there is none."""
        value = next((value for name, value in self.headers if name == _TRACEPARENT), None)
        return value.decode("ascii", "replace") if value else None

    def size(self) -> int:
        """Return the size of key, value and headers in bytes."""
        headers = sum([len(name) + len(value or b"") for name, value in self.headers])
        return len(self.key or b"") + len(self.value or b"") + headers

    def digest(self) -> str:
        """Return SHA-256 over the whole record in lower hex; an answer names an undecodable record by this digest."""
        pieces = [b"nrmbus/record/v1\0", _counted(self.key), _counted(self.value)]
        for name, value in self.headers:
            pieces += [_counted(name.encode(errors="surrogatepass")), _counted(value)]
        return sha256(b"".join(pieces)).hexdigest()

    def with_header(self, name: str, value: bytes) -> "Record":
        """Return the record with one more header."""
        return Record(self.key, self.value, (*self.headers, (name, value)))

    def without_letter(self) -> "Record":
        """Return the event alone, without its letter and the unsigned ``correlation_id``."""
        kept = tuple([header for header in self.headers if header[0] not in _NO_PART])
        return Record(self.key, self.value, kept) if len(kept) < len(self.headers) else self

    def split(self) -> tuple["Record", dict[str, bytes]]:
        """Return the record that the registrar received, and the headers that it added, by name.

        Raises ``header_not_allowed`` if an added header is there twice or empty, ``too_large`` beyond 64 KiB.
        """
        added: dict[str, bytes] = {}
        for name, value in self.headers:
            if name in STATEMENTS:
                if name in added or not value:
                    raise WireError("header_not_allowed", header=name)
                if len(value) > STATEMENT_LIMIT:
                    raise WireError("too_large", header=name, limit=STATEMENT_LIMIT)
                added[name] = value
        kept = tuple([header for header in self.headers if header[0] not in STATEMENTS])
        return Record(self.key, self.value, kept), added


def _counted(value: bytes | None) -> bytes:
    return b"\xff\xff\xff\xff" if value is None else len(value).to_bytes(4) + value


def headers_of(record: Record) -> dict[str, bytes]:
    """Return the headers of a submission, by name.

    Raises ``header_not_allowed`` for a header that is unknown, repeated, empty, null or not printable ASCII, and
    ``too_large`` for one beyond its limit. Signature and letter are checked later, when they are read.
    """
    found = dict(record.headers)
    if len(found) != len(record.headers) or not found.keys() <= _LIMITS.keys() or not all(found.values()):
        raise WireError("header_not_allowed")
    small = []
    for name, value in found.items():
        if len(value) > _LIMITS[name]:
            raise WireError("too_large", header=name, limit=_LIMITS[name])
        if name not in _READ_LATER:
            small.append(value)
    if b"".join(small).translate(None, PRINTABLE):
        raise WireError("header_not_allowed")
    return found
