"""Several signatures over one statement: DSSE's signed bytes, with a list of who signed."""

from collections.abc import Iterable, Mapping

from nrmbus.directory.entry import Signature
from nrmbus.wire import base64, dsse, statement
from nrmbus.wire.errors import WireError
from nrmbus.wire.keys.keys import SigningKey, VerifyKey


def _signed(thing: statement.Thing, payload: bytes) -> bytes:
    return dsse.pae(statement.payload_type(thing).encode(), payload)


def sign(thing: statement.Thing, payload: bytes, key: SigningKey) -> Signature:
    """Return one more signature over *payload* as a *thing*."""
    return Signature(keyid=key.kid, sig=base64.encode(key.sign(_signed(thing, payload))))


def holding(
    thing: statement.Thing, payload: bytes, signatures: Iterable[Signature], keys: Mapping[str, VerifyKey]
) -> tuple[str, ...] | None:
    """Return the kids of *signatures*, in order, with repetitions; empty if one has an unknown key, or does not verify."""
    found = []
    for each in signatures:
        key, raw = keys.get(each.keyid), base64.read(each.sig)
        if key is None or raw is None:
            return None
        try:
            key.verify(raw, _signed(thing, payload))
        except WireError:
            return None
        found.append(each.keyid)
    return tuple(found)
