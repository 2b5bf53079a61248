"""Signed payload of an envelope: the payload of ``dssematerial``.

CloudEvents ``extensions/verifiability.md`` (July 2026): a digest of the core attributes and the data, a digest of the
signed extension attributes, and the names of these, in their order.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from hashlib import sha256
from typing import Any, Final

from nrmbus.wire import base64, json
from nrmbus.wire.errors import WireError
from nrmbus.wire.record import CORE, EXTENSIONS, MATERIAL_LIMIT, header_of

PAYLOAD_TYPE: Final = "https://cloudevents.io/verifiability/dsse/v0.1"

_CORE_HEADERS: Final = tuple(map(header_of, CORE))
_EXTENSION_HEADERS: Final = tuple((name, header_of(name)) for name in EXTENSIONS)
_MEMBERS: Final = {"core", "ext", "signedextattrs"}
_HASH_BYTES: Final = 32


@lru_cache(maxsize=8_192)
def _hash(value: str) -> bytes:
    # Sources, types, policies, people and cases come again and again, and looking one up is cheaper than hashing it.
    return sha256(value.encode()).digest()


def signed_names(headers: Mapping[str, str]) -> list[str]:
    """Return the extension attributes in *headers*, in the order of signing."""
    return [name for name, header in _EXTENSION_HEADERS if header in headers]


def payload(headers: Mapping[str, str], data: bytes, names: Sequence[str]) -> bytes:
    """Return the payload to sign, as canonical JSON, of an event's *headers* and *data*; *names* are ``signedextattrs``.

    Each attribute has the one form of its type, so its text is hashed as it is. The extension counts an absent attribute
    as empty; this bus accepts no empty one.
    """
    get = headers.get
    core = [_hash(get(header, "")) for header in _CORE_HEADERS]
    ext = [_hash(get(f"ce_{name}", "")) for name in names]
    core_digest = base64.encode(sha256(b"".join(core) + sha256(data).digest()).digest())
    ext_digest = base64.encode(sha256(b"".join(ext)).digest())
    listed = '","'.join(names)
    return f'{{"core":"{core_digest}","ext":"{ext_digest}","signedextattrs":["{listed}"]}}'.encode()


def fits(signed: bytes, headers: Mapping[str, str], data: bytes) -> bool:
    """Return True if the payload *signed* has the digests of *headers* and *data*.

    Raises ``signature_profile`` unless *signed* is a payload of this profile: both digests, exactly the present extension
    attributes in order, and no further member.
    """
    names = signed_names(headers)
    due = payload(headers, data, names)
    # Every desk writes one spelling; other libraries may write blanks or another order.
    return signed == due or _read(signed, names) == json.loads(due, limit=MATERIAL_LIMIT)


def _read(signed: bytes, names: Sequence[str]) -> dict[str, Any]:
    material: dict[str, Any] = {}
    try:
        material = json.loads(signed, limit=MATERIAL_LIMIT)
    except WireError:
        material = {}
    if material.keys() != _MEMBERS or material["signedextattrs"] != names:
        raise WireError("signature_profile")
    for name in ("core", "ext"):
        written = material[name]
        if not isinstance(written, str) or len(base64.decode(written, "signature_profile")) != _HASH_BYTES:
            raise WireError("signature_profile")
    return material
