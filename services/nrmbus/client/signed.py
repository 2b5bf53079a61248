"""Verification of an event as its agency signed it, which needs cryptography."""

from collections.abc import Callable, Mapping
from typing import Any

from nrmbus.wire import base64
from nrmbus.wire.envelope import Signed, decode
from nrmbus.wire.errors import WireError
from nrmbus.wire.keys.keys import VerifyKey
from nrmbus.wire.names import REGISTRAR
from nrmbus.wire.record import Record
from nrmbus.wire.registration import Registration, verify_registration


def verified(row: Mapping[str, Any], key_of: Callable[[str, str], VerifyKey]) -> Signed:
    """Return the event in an inbox *row*, as `nrmbus.client.verify_original` says."""
    signed, statement = _read(row)
    signed.verify(_key(key_of, signed.source, signed.kid))
    registration = verify_registration(statement, lambda kid: _key(key_of, REGISTRAR, kid))
    if not _is_about(registration, signed) or _shown(row) != _of(registration, signed):
        raise WireError("signature_invalid")
    return signed


def _read(row: Mapping[str, Any]) -> tuple[Signed, bytes]:
    record, statement = None, b""
    try:
        original = row["original"]
        headers = tuple((name, value.encode("ascii")) for name, value in original["headers"].items())
        value, statement = (base64.decode(original[name], "unreadable") for name in ("value", "registration"))
        record = Record(original["headers"]["ce_subject"].encode("ascii"), value, headers)
    except (KeyError, TypeError, AttributeError, UnicodeEncodeError):
        record = None  # the error's text would show what came
    if record is None:
        raise WireError("unreadable")
    return decode(record), statement


def _key(key_of: Callable[[str, str], VerifyKey], agency: str, kid: str) -> VerifyKey:
    key = None
    try:
        key = key_of(agency, kid)
    except LookupError:
        key = None  # the same
    if key is None:
        raise WireError("key_not_current")
    return key


def _is_about(registration: Registration, signed: Signed) -> bool:
    named = (registration.source, registration.subject, registration.id, registration.envelope, registration.key)
    return registration.verdict == "registered" and named == (
        signed.source, signed.subject, signed.id, signed.digest, signed.kid,
    )  # fmt: skip


def _shown(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(row.get(name) for name in ("number", "id", "type", "published", "case", "source"))


def _of(registration: Registration, signed: Signed) -> tuple[Any, ...]:
    return (registration.number, signed.id, signed.type, signed.version, signed.subject, signed.source)
