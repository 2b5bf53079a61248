"""Signed statements of the bus: one canonical JSON object, signed for one purpose.

No key serves two purposes, and the payload type in the signed bytes names the kind of statement, so that none can pass
for another. Registrations and deliveries of a transaction share one signature (`transaction`); every other statement has
a DSSE envelope of its own (`dsse`).
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, TypeGuard

from nrmbus.wire import dsse, json, transaction
from nrmbus.wire.errors import WireError
from nrmbus.wire.keys.keys import SigningKey, VerifyKey
from nrmbus.wire.transaction import Proved

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
    "snapshot",
    "backup",
]

LIMIT: Final = dsse.LIMIT
"""Largest size of a statement with its signature, in bytes."""


def payload_type(thing: Thing) -> str:
    """Return the DSSE payload type of a *thing*."""
    return f"application/vnd.nrmbus.{thing}.v1+json"


def sign_bytes(thing: Thing, payload: bytes, key: SigningKey) -> bytes:
    """Sign canonical JSON bytes that the caller keeps, as the registrar keeps the leaf.

    A registration or delivery becomes the one leaf of a transaction; `transaction.Transaction` signs many at once.
    """
    if _is_shared(thing):
        alone = transaction.Transaction()
        alone.add(thing, payload, bytes(transaction.SALT_BYTES))
        alone.sign(key)
        return alone.proved(0, thing, payload)
    return dsse.wrap(payload_type(thing), payload, key)


def sign(thing: Thing, body: Mapping[str, Any], key: SigningKey) -> bytes:
    """Sign *body* as a *thing*; raises ``json_invalid`` as `json.dumps` does."""
    return sign_bytes(thing, json.dumps(body), key)


def body_of(thing: Thing, raw: bytes) -> bytes:
    """Return the payload of a signed *thing* unverified, for a reader that checks a chain of digests instead.

    Raises ``signature_profile`` for another form or another thing.
    """
    if _is_shared(thing):
        return transaction.body_of(thing, raw)
    payload, _, _ = dsse.unwrap(payload_type(thing), raw)
    return payload


def verify_bytes(thing: Thing, raw: bytes, key_of: Callable[[str], VerifyKey]) -> tuple[bytes, str]:
    """Return the signed payload of *raw* and the kid of the key that verified it.

    *key_of* finds the key of a kid; a LookupError of it becomes ``key_not_current``. Raises ``signature_profile`` for
    another form or another thing, ``signature_invalid`` for another signature.
    """
    if _is_shared(thing):
        found = proved(thing, raw, key_of)
        return found.body, found.kid
    payload, kid, signature = dsse.unwrap(payload_type(thing), raw)
    _known(key_of, kid).verify(signature, dsse.pae(payload_type(thing).encode(), payload))
    return payload, kid


def proved(thing: transaction.Thing, raw: bytes, key_of: Callable[[str], VerifyKey] | None = None) -> Proved:
    """Return a registration or delivery with its proof, verified if *key_of* is given; raises as `verify_bytes`."""
    found = Proved.read(thing, raw)
    if key_of is not None:
        found.verify(_known(key_of, found.kid))
    return found


def _is_shared(thing: Thing) -> TypeGuard[transaction.Thing]:
    return thing in transaction.TYPES


def _known(key_of: Callable[[str], VerifyKey], kid: str) -> VerifyKey:
    key = None
    try:
        key = key_of(kid)
    except LookupError:
        key = None  # a KeyError would show the kid of the input
    if key is None:
        raise WireError("key_not_current")
    if key.kid != kid:
        raise WireError("signature_invalid")
    return key


def verify(thing: Thing, raw: bytes, key_of: Callable[[str], VerifyKey]) -> tuple[dict[str, Any], str]:
    """Return the body of a signed *thing* and the kid of the key that verified it; errors as `verify_bytes`.

    A payload must be canonical JSON, so that each statement has one digest; another is ``json_invalid``.
    """
    payload, kid = verify_bytes(thing, raw, key_of)
    body = json.loads(payload, limit=LIMIT)
    if json.dumps(body) != payload:
        raise WireError("json_invalid")
    return body, kid
