"""Signed statements of the bus: one canonical JSON object in a DSSE envelope, with its purpose in the signed bytes.

DSSE 1.0.2 (github.com/secure-systems-lab/dsse). No key serves two purposes, and the payload type names the kind of
statement, so that none can pass for another.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

from nrmbus.wire import base64, json
from nrmbus.wire.errors import WireError
from nrmbus.wire.keys.keys import SigningKey, VerifyKey

Thing = Literal[
    "registration",
    "delivery",
    "directory",
    "directory-head",
    "admission",
    "request",
    "erasure",
    "answer",
    "publication",
    "certificate",
]

LIMIT: Final = 64 * 1024
"""Largest size of a statement with its signature, in bytes."""

_SPELLED: Final = re.compile(
    rb'\{"payload":"([A-Za-z0-9+/=]+)","payloadType":"([!#-\[\]-~]+)",'
    rb'"signatures":\[\{"keyid":"(ed25519:[0-9a-f]{32})","sig":"([A-Za-z0-9+/]{86}==)"\}\]\}'
)
"""DSSE envelope in the spelling of `wrap`, which is RFC 8785."""


def pae(payload_type: bytes, payload: bytes) -> bytes:
    """Return DSSE's pre-authentication encoding, the bytes to sign."""
    return b"DSSEv1 %d %b %d %b" % (len(payload_type), payload_type, len(payload), payload)


def wrap(payload_type: str, payload: bytes, key: SigningKey) -> bytes:
    """Sign *payload* and put both into a DSSE JSON envelope without blanks."""
    signature = base64.encode(key.sign(pae(payload_type.encode(), payload)))
    # As `json.dumps` would write it; every value here is base64 or a name of ours.
    return (
        f'{{"payload":"{base64.encode(payload)}","payloadType":"{payload_type}",'
        f'"signatures":[{{"keyid":"{key.kid}","sig":"{signature}"}}]}}'
    ).encode()


def unwrap(payload_type: str, raw: bytes) -> tuple[bytes, str, bytes]:
    """Take a DSSE envelope apart, unverified: payload, keyid, signature.

    Raises ``signature_profile`` unless it is exactly one Ed25519 signature over *payload_type* with no further member.
    """
    spelled = _SPELLED.fullmatch(raw) if len(raw) <= LIMIT else None
    payload, named, kid, signature = spelled.groups() if spelled else _members(raw)
    if named != payload_type.encode():
        raise WireError("signature_profile")
    return base64.decode(payload, "signature_profile"), kid.decode(), base64.decode(signature, "signature_profile")


def _members(raw: bytes) -> tuple[bytes, ...]:
    # Other libraries write blanks, or another order.
    envelope: dict[str, Any] = {}
    try:
        envelope = json.loads(raw, limit=LIMIT)
    except WireError:
        envelope = {}
    spelled = _SPELLED.fullmatch(json.dumps(envelope))
    if spelled is None:
        raise WireError("signature_profile")
    return spelled.groups()


def payload_type(thing: Thing) -> str:
    """Return the DSSE payload type of a *thing*."""
    return f"application/vnd.nrmbus.{thing}.v1+json"


def sign_bytes(thing: Thing, payload: bytes, key: SigningKey) -> bytes:
    """Sign canonical JSON bytes that the caller keeps, as the registrar keeps the leaf."""
    return wrap(payload_type(thing), payload, key)


def sign(thing: Thing, body: Mapping[str, Any], key: SigningKey) -> bytes:
    """Sign *body* as a *thing*; return a DSSE envelope. Raises ``json_invalid`` as `json.dumps` does."""
    return sign_bytes(thing, json.dumps(body), key)


def body_of(thing: Thing, raw: bytes) -> bytes:
    """Return the payload of a signed *thing* unverified, for a reader that checks a chain of digests instead.

    Raises ``signature_profile`` for another form or another thing.
    """
    payload, _, _ = unwrap(payload_type(thing), raw)
    return payload


def verify_bytes(thing: Thing, raw: bytes, key_of: Callable[[str], VerifyKey]) -> tuple[bytes, str]:
    """Return the signed payload of *raw* and the kid of the key that verified it.

    *key_of* finds the key of a kid; a LookupError of it becomes ``key_not_current``. Raises ``signature_profile`` for
    another form or another thing, ``signature_invalid`` for another signature.
    """
    payload, kid, signature = unwrap(payload_type(thing), raw)
    key = None
    try:
        key = key_of(kid)
    except LookupError:
        key = None  # a KeyError would show the kid of the input
    if key is None:
        raise WireError("key_not_current")
    if key.kid != kid:
        raise WireError("signature_invalid")
    key.verify(signature, pae(payload_type(thing).encode(), payload))
    return payload, kid


def verify(thing: Thing, raw: bytes, key_of: Callable[[str], VerifyKey]) -> tuple[dict[str, Any], str]:
    """Return the body of a signed *thing* and the kid of the key that verified it; errors as `verify_bytes`.

    A payload must be canonical JSON, so that each statement has one digest; another is ``json_invalid``.
    """
    payload, kid = verify_bytes(thing, raw, key_of)
    body = json.loads(payload, limit=LIMIT)
    if json.dumps(body) != payload:
        raise WireError("json_invalid")
    return body, kid
