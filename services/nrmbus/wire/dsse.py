"""DSSE 1.0.2 (github.com/secure-systems-lab/dsse): the bytes to sign, and the JSON envelope with one Ed25519 signature.

An event's material and most statements of the bus travel in such an envelope; registrations and deliveries share a
signature (`transaction`) and use the encoding of the signed bytes alone.
"""

import re
from typing import Any, Final

from nrmbus.wire import base64, json
from nrmbus.wire.errors import WireError
from nrmbus.wire.keys.keys import SigningKey

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
