"""A Kafka record as it lies in a topic, and which headers it may have (CloudEvents Kafka binding, binary mode)."""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from nrmbus.wire.errors import WireError

DATA_LIMIT: Final = 16 * 1024
RECORD_LIMIT: Final = 256 * 1024
LETTER_LIMIT: Final = 240 * 1024
MATERIAL_LIMIT: Final = 8 * 1024
STATEMENT_LIMIT: Final = 64 * 1024
"""Of what the registrar adds: an answer names up to 64 agencies for each of seven parts, and must be readable for ever."""
ATTRIBUTE_LIMIT: Final = 1024

MATERIAL: Final = "ce_dssematerial"
LETTER: Final = "nrm_letter"
REGISTRATION: Final = "nrm_registration"
DELIVERY: Final = "nrm_delivery"
AUDIENCE: Final = "nrm_audience"
ANSWER: Final = "nrm_answer"
SUBMITTED: Final = "nrm_submitted"
"""Where the registrar read a submission, ``topic:offset``: for its own restart, in no leaf and signed by nobody."""
STATEMENTS: Final = frozenset({REGISTRATION, DELIVERY, AUDIENCE, ANSWER, SUBMITTED})
"""Headers that only the registrar writes."""

CORRELATION: Final = "correlation_id"
"""Header that a library may add (FastStream does); nobody signs it and nobody reads it."""

CORE: Final = ("id", "source", "specversion", "type", "datacontenttype", "dataschema", "subject", "time")
"""CloudEvents' own attributes, in the order in which the extension hashes them."""

EXTENSIONS: Final = (
    "recordedtime", "sequence", "actor", "approver", "policy", "legalbasis", "consent", "referral", "incident",
    "correlationid", "causationid", "expectedversion", "dataclassification", "sealeddigest", "traceparent",
)  # fmt: skip
"""Every extension attribute there is, in the order in which they are signed."""


def header_of(attribute: str) -> str:
    """The header that carries *attribute*."""
    return "content-type" if attribute == "datacontenttype" else f"ce_{attribute}"


_TRACEPARENT: Final = header_of("traceparent")
_LIMITS: Final[Mapping[str, int]] = {
    **{header_of(name): ATTRIBUTE_LIMIT for name in CORE + EXTENSIONS},
    CORRELATION: ATTRIBUTE_LIMIT,
    MATERIAL: MATERIAL_LIMIT,
    LETTER: LETTER_LIMIT,
}
_READ_LATER: Final = frozenset({MATERIAL, LETTER})
PRINTABLE: Final = bytes(range(0x20, 0x7F))
"""The characters that a header may have."""


@dataclass(frozen=True, slots=True)
class Record:
    """Key, value and headers. Key or value is null where somebody wrote a record that is no event."""

    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]

    @property
    def traceparent(self) -> str | None:
        """The W3C trace context among its headers, as it stands there; whoever uses it looks at its form."""
        value = next((value for name, value in self.headers if name == _TRACEPARENT), None)
        return value.decode("ascii", "replace") if value else None

    def size(self) -> int:
        """Key, value and headers, in bytes."""
        headers = sum([len(name) + len(value or b"") for name, value in self.headers])
        return len(self.key or b"") + len(self.value or b"") + headers

    def digest(self) -> str:
        """SHA-256 over everything, in lower hex: by it an answer names a record that could not be decoded."""
        pieces = [b"nrmbus/record/v1\0", _counted(self.key), _counted(self.value)]
        for name, value in self.headers:
            pieces += [_counted(name.encode(errors="surrogatepass")), _counted(value)]
        return sha256(b"".join(pieces)).hexdigest()

    def with_header(self, name: str, value: bytes) -> "Record":
        """The same with one more header."""
        return Record(self.key, self.value, (*self.headers, (name, value)))

    def without_letter(self) -> "Record":
        """The event alone: without its letter, and without ``correlation_id``, which nobody signed."""
        kept = tuple([header for header in self.headers if header[0] not in {LETTER, CORRELATION}])
        return Record(self.key, self.value, kept)

    def split(self) -> tuple["Record", dict[str, bytes]]:
        """What the registrar received, and the headers that it added, by name.

        Raises ``header_not_allowed`` if one of these stands twice or is empty, ``too_large`` beyond 64 KiB.
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
    """The headers of a submission, by name.

    Raises ``header_not_allowed`` for one that is unknown, stands twice, is empty, null or not printable ASCII (signature
    and letter are looked at where they are read), ``too_large`` for one beyond its limit.
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
