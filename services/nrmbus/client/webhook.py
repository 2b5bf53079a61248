"""Verification of webhooks by Standard Webhooks 1.0.0: HMAC-SHA256 (``v1``) and Ed25519 (``v1a``)."""

import hmac
import json
import re
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final, Literal, TypeAlias

from nrmbus.wire import base64

Headers: TypeAlias = Mapping[str, str] | Iterable[tuple[str | bytes, str | bytes]]
Check: TypeAlias = Callable[[bytes, bytes], bool]
"""Check of a signature against a content."""

TOLERANCE: Final = 300.0
"""Seconds that the time of an attempt may differ from this machine's clock."""
_MOST: Final = 32
"""Signatures that are looked at: a sender has one for each secret that still signs."""
_SECRET_BYTES: Final = range(24, 65)
_KEY_BYTES, _SIGNATURE_BYTES = 32, 64
_ID: Final = re.compile(r"[\x21-\x2d\x2f-\x7e]{1,256}")  # a full stop separates id and time in the signed content
_STAMP: Final = re.compile(r"[0-9]{1,12}")
_HEADERS: Final = ("webhook-id", "webhook-timestamp", "webhook-signature")

_SENTENCES: Final = {
    "headers": "A header of Standard Webhooks is missing, malformed or stands there twice.",
    "timestamp": "The attempt is too old or too new: check this machine's clock, else somebody repeats an old request.",
    "signature": "No signature fits: check that the body is verified as it came, byte for byte, and that the key is this endpoint's.",
    "body": "The signed body is no notice: update nrmbus.",
}


class WebhookRefused(Exception):
    """The request is not what the desk sent, or not now: answer 400 and do nothing. The message repeats nothing of it."""

    def __init__(self, code: Literal["headers", "timestamp", "signature", "body"]) -> None:
        """Name the *code*: the part that does not fit."""
        self.code = code
        super().__init__(_SENTENCES[code])


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """Verified notice: something happened at the desk. It names no person and no case; ask the desk for more."""

    id: str
    """The same at each attempt: a program that has dealt with the id has nothing to do."""
    type: str
    """Type of an event, as ``referral.submitted``, or of a notice of the desk's own, as ``nrmbus.event.refused``."""
    timestamp: str
    """When it happened."""
    data: Mapping[str, Any] = field(repr=False)
    """``id`` of the event, and ``link``: the path at the desk's door that shows it."""


def verify_webhook(
    headers: Headers,
    body: bytes,
    keys: str | Iterable[str],
    *,
    tolerance: float = TOLERANCE,
    now: float | None = None,
) -> Webhook:
    """Return the notice in a request, if a signature in *headers* fits the raw *body* and one of *keys*.

    Args:
        headers: of the request, by name in any case, or as pairs.
        body: as it came, before any JSON is read.
        keys: ``whsec_…`` secrets and ``whpk_…`` public keys of this endpoint; two while the desk changes its key.
        tolerance: seconds that the time of the attempt may differ from *now*.
        now: Unix time; left out, this machine's clock.

    Raises:
        WebhookRefused: for every request that does not fit, however malformed.
        ValueError: a key is none; the message does not repeat it.
        ModuleNotFoundError: a ``whpk_`` key needs the package cryptography or pynacl; the message names the extra.
    """
    checks = [_check(each) for each in ([keys] if isinstance(keys, str) else keys)]
    id, stamp, signatures = _fields(headers)
    if abs((time.time() if now is None else now) - int(stamp)) > tolerance:
        raise WebhookRefused("timestamp")
    content = b".".join((id.encode(), stamp.encode(), bytes(body)))
    fits = [check(signature, content) for kind, signature in signatures for known, check in checks if kind == known]
    if not any(fits):
        raise WebhookRefused("signature")
    return _notice(id, body)


def _fields(headers: Headers) -> tuple[str, str, list[tuple[str, bytes]]]:
    found: dict[str, str] = {}
    for name, value in headers.items() if isinstance(headers, Mapping) else headers:
        lower = _text(name).lower()
        if lower in _HEADERS:
            if lower in found:
                raise WebhookRefused("headers")
            found[lower] = _text(value)
    id, stamp, listed = (found.get(name, "") for name in _HEADERS)
    if not (_ID.fullmatch(id) and _STAMP.fullmatch(stamp)):
        raise WebhookRefused("headers")
    return id, stamp, list(_signatures(listed))


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value


def _signatures(listed: str) -> Iterable[tuple[str, bytes]]:
    for entry in listed.split(" ", _MOST)[:_MOST]:
        kind, _, text = entry.partition(",")
        signature = base64.read(text)
        if signature is not None:  # another spelling is no signature, and no error: a later entry may fit
            yield kind, signature


def _check(key: str) -> tuple[str, Check]:
    """Return the kind of signature that *key* verifies, and its check.

    Raises:
        ValueError: *key* has not the form of a secret or a public key.
    """
    prefix, _, text = key.partition("_")
    raw = base64.read(text) or b""
    if prefix == "whsec" and len(raw) in _SECRET_BYTES:
        return "v1", lambda signature, content: hmac.compare_digest(hmac.digest(raw, content, sha256), signature)
    if prefix == "whpk" and len(raw) == _KEY_BYTES:
        return "v1a", _ed25519(raw)
    raise ValueError("a webhook's key is whsec_ or whpk_ and its bytes in base64") from None


def _ed25519(public: bytes) -> Check:
    with suppress(ModuleNotFoundError):
        from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 - an optional package
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey  # noqa: PLC0415 - the same

        key = Ed25519PublicKey.from_public_bytes(public)
        return lambda signature, content: _holds(InvalidSignature, lambda: key.verify(signature, content))
    with suppress(ModuleNotFoundError):
        from nacl.exceptions import BadSignatureError  # noqa: PLC0415 - the same
        from nacl.signing import VerifyKey  # noqa: PLC0415 - the same

        plain = VerifyKey(public)
        return lambda signature, content: (
            len(signature) == _SIGNATURE_BYTES and _holds(BadSignatureError, lambda: plain.verify(content, signature))
        )
    message = "a whpk_ key needs the package cryptography, which is not installed: pip install 'nrmbus[cli]'"
    raise ModuleNotFoundError(message, name="cryptography") from None


def _holds(wrong: type[Exception], verify: Callable[[], object]) -> bool:
    try:
        verify()
    except wrong:
        return False
    return True


def _notice(id: str, body: bytes) -> Webhook:
    said: Any = None
    with suppress(ValueError, RecursionError):  # its text would show the body
        said = json.loads(bytes(body))
    match said:
        case {"type": str(type_), "timestamp": str(timestamp), "data": dict(data)}:
            return Webhook(id=id, type=type_, timestamp=timestamp, data=data)
        case _:
            raise WebhookRefused("body") from None
