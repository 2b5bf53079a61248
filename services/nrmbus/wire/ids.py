"""Names and numbers on the wire: event ids, case references, and the partition of a key."""

import hashlib
import os
import re
import struct
import time
from functools import lru_cache
from typing import Final

AGENCY_ID: Final = re.compile(r"[a-z][a-z0-9-]{1,30}")
"""An agency's id, to be matched whole."""

EVENT_ID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[78][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
"""A UUIDv7 or UUIDv8 in lower case, to be matched whole."""

REF: Final = re.compile(r"[0-9a-f]{32}")
"""A case reference or another 128 random bits, to be matched whole."""

DIGEST: Final = re.compile(r"[0-9a-f]{64}")
"""A SHA-256 in lower hex, to be matched whole."""

RESERVED_NAMES: Final = frozenset({"admin", "broker", "kafka", "nrm", "operator", "play", "player"})
"""Parts of the bus itself; no agency may have such an id, because nobody publishes in their name."""

_LP_LIMIT: Final = 0xFFFF
_MARK: Final = len("00000000-0000")


def is_agency(name: str) -> bool:
    """Return True if *name* may be an agency's id: it has the right form and is not reserved."""
    return AGENCY_ID.fullmatch(name) is not None and name not in RESERVED_NAMES


def lp(value: str | bytes) -> bytes:
    """Return the length of *value* as two bytes, big-endian, and the bytes, so that different lists give different bytes.

    Raises ValueError beyond 65,535 bytes; callers bound their values before.
    """
    raw = value.encode() if isinstance(value, str) else value
    if len(raw) > _LP_LIMIT:
        message = "a length-prefixed value has at most 65535 bytes"
        raise ValueError(message)
    return len(raw).to_bytes(2) + raw


def _uuid(sixteen: bytes, version: int) -> str:
    raw = bytearray(sixteen)
    raw[6] = version << 4 | raw[6] & 0x0F
    raw[8] = 0x80 | raw[8] & 0x3F
    text = raw.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def uuid7(milliseconds: int, random_bytes: bytes) -> str:
    """Return a UUIDv7 (RFC 9562 section 5.7) of Unix *milliseconds* and ten *random_bytes*."""
    return _uuid(milliseconds.to_bytes(6) + random_bytes[:10], 7)


def new_event_id(milliseconds: int | None = None) -> str:
    """Return a fresh UUIDv7 of the wall clock, or of *milliseconds* by the caller's clock."""
    now = time.time_ns() // 1_000_000 if milliseconds is None else milliseconds
    return uuid7(now, os.urandom(10))


def derived(agency: str, cause: str, rule: str) -> str:
    """Return a UUIDv8 (RFC 9562 section 5.8) of SHA-256(lp(agency) || lp(cause) || lp(rule)); equal input, equal id."""
    return _uuid(hashlib.sha256(lp(agency) + lp(cause) + lp(rule)).digest()[:16], 8)


def said_by_itself(agency: str, cause: str, rule: str) -> str:
    """Return the id of an event that *agency* publishes automatically because of *cause* by *rule*; stable over restarts.

    *cause* is the causing event's id, or a clock and its due time. The id is `derived`, with the agency's mark as its first
    twelve digits: anybody can compute the id, but no other agency may use it.
    """
    return mark_of(agency) + derived(agency, cause, rule)[_MARK:]


def sealed_again(agency: str, id: str) -> str:
    """Return the id under which the desk of *agency* publishes its event *id* again, sealed for a changed audience."""
    return said_by_itself(agency, id, "audience_changed")


@lru_cache(maxsize=1024)
def mark_of(agency: str) -> str:
    """Return the mark of *agency*: six bytes of SHA-256("nrmbus/said-by/v1" || 0 || lp(agency)), written as in a UUID."""
    text = hashlib.sha256(b"nrmbus/said-by/v1\0" + lp(agency)).hexdigest()
    return f"{text[:8]}-{text[8:12]}"


def mark_in(id: str) -> str | None:
    """Return the first twelve digits of a UUIDv8, which may be an agency's mark; None for another id."""
    return id[:_MARK] if id[_MARK + 1 :].startswith("8") else None


def is_derived(id: str) -> bool:
    """Return True if the event id *id* is a UUIDv8: the event was published automatically."""
    return id[14] == "8"


def new_ref() -> str:
    """Return 128 fresh random bits in lower hex, for a case, an incident or a referral; never derived from a person."""
    return os.urandom(16).hex()


def murmur2(raw: bytes) -> int:
    """Return Kafka's 32-bit murmur2 (``org.apache.kafka.common.utils.Utils.murmur2``), unsigned."""
    multiplier, mask = 0x5BD1E995, 0xFFFFFFFF
    whole = len(raw) & ~3
    h = 0x9747B28C ^ len(raw)
    for (k,) in struct.iter_unpack("<I", raw[:whole]):
        k = k * multiplier & mask  # noqa: PLW2901 - the algorithm mixes each word in place
        k = (k ^ k >> 24) * multiplier & mask  # noqa: PLW2901
        h = (h * multiplier & mask) ^ k
    if tail := raw[whole:]:
        h = (h ^ int.from_bytes(tail, "little")) * multiplier & mask
    h = (h ^ h >> 13) * multiplier & mask
    return h ^ h >> 15


@lru_cache(maxsize=16_384)
def partition_of(key: str, partitions: int) -> int:
    """Return the partition of *key*, by the default of Kafka's Java clients; librdkafka's default differs."""
    return (murmur2(key.encode()) & 0x7FFFFFFF) % partitions
