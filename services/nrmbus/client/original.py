"""A desk may cast an event to another version; the original is beside it, so that anybody can verify its publisher."""

from collections.abc import Callable, Mapping
from typing import Any

try:
    from nrmbus.wire.envelope import Signed, decode
    from nrmbus.wire.keys.keys import VerifyKey
    from nrmbus.wire.registration import Registration, verify_registration
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] not in {"cryptography", "nacl"}:
        raise
    message = "verify_original needs the package cryptography, which is not installed: pip install 'nrmbus[cli]'"
    raise ModuleNotFoundError(message, name=error.name) from None
from nrmbus.wire import base64
from nrmbus.wire.errors import WireError
from nrmbus.wire.names import REGISTRAR
from nrmbus.wire.record import Record


def verify_original(row: Mapping[str, Any], key_of: Callable[[str, str], VerifyKey]) -> Signed:
    """Return the event that the source of an inbox *row* signed, if its signature, the registrar's and the row fit together.

    Args:
        row: an event as ``Received.row`` has it, with its ``original``.
        key_of: the public key of an agency (or ``registrar``) by its id and the key's, as the directory has it:
            `nrmbus.directory.Directory.any_verify_key`. It raises LookupError or WireError where there is none.

    Returns:
        The envelope: ``type``, ``version``, ``data`` (bytes) and all else as published, whatever the row was cast to.

    Raises:
        WireError: ``signature_invalid`` when a byte is not as signed, or the row is about another event;
            ``key_not_current`` when there is no such key; ``unreadable`` or another code when it is no event at all.
    """
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
