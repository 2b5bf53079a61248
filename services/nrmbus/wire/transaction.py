"""One signature for all registrations and deliveries of a registrar's transaction, and the proof of each of them.

The statements are leaves of a Merkle tree (RFC 9162 section 2.1); the registrar signs its size and root once. A proved
statement carries this signature and its path to the root, so that it proves itself alone, without the others.

* Leaf: a salt and the bytes that DSSE would sign for the statement alone, which name its kind; hashed behind a zero byte.
* Signed: DSSE's encoding of ``{"root":…,"size":…}`` under the payload type of a transaction.
* Bytes: `_HEAD`, the path, and the statement's canonical JSON up to the end (``wire/README.md``, "Transaction").

A reader gets hashes of its neighbours, and must not find out who else was told, nor how many: a salt makes a guess
impossible, and `Transaction.hide` fills the tree up and sorts its leaves.
"""

from collections.abc import Iterator
from functools import lru_cache
from hashlib import sha256
from itertools import count
from struct import Struct
from typing import Any, Final, Literal, NamedTuple, Self

from nrmbus.wire import base64
from nrmbus.wire.dsse import LIMIT, pae
from nrmbus.wire.errors import WireError
from nrmbus.wire.keys.keys import SigningKey, VerifyKey
from nrmbus.wire.log import merkle

Thing = Literal["registration", "delivery"]

TYPES: Final = {
    "registration": b"application/vnd.nrmbus.registration.v1+json",
    "delivery": b"application/vnd.nrmbus.delivery.v1+json",
}
"""The payload type of each statement that shares a signature."""

MAGIC: Final = b"nrs1"
"""The first bytes of a proved statement, which name this form."""
PATH_LIMIT: Final = 32
"""Longest path: a size has 32 bits."""
ROOTS: Final = 1024
"""Verified roots that a process remembers; a reader meets the statements of a transaction one after another."""

_NUMBERS: Final = {"registration": 1, "delivery": 2}
_ROOT_TYPE: Final = b"application/vnd.nrmbus.transaction.v1+json"
SALT_BYTES: Final = 16
LEAVES: Final = 16
"""Fewest leaves of a tree that hides how many statements it has."""

_HEAD: Final = Struct(">4sB16s64s16sIIB")
"""Form, kind of statement, the kid's 16 bytes, signature, salt, place, size, number of hashes in the path."""
_KID: Final = "ed25519:"
_SALTING: Final = b"nrmbus/salt/v1\0"
_FILLING: Final = b"nrmbus/filling/v1\0"


def _leaf(thing: Thing, body: bytes, salt: bytes) -> bytes:
    return merkle.leaf_hash(salt + pae(TYPES[thing], body))


def _signed_bytes(root: bytes, size: int) -> bytes:
    return pae(_ROOT_TYPE, b'{"root":"%b","size":%d}' % (root.hex().encode(), size))


@lru_cache(maxsize=ROOTS)
def _verified(public: bytes, signature: bytes, root: bytes, size: int) -> None:
    """Verify a root once; an error is not remembered."""
    VerifyKey(public).verify(signature, _signed_bytes(root, size))


def _head(thing: Thing, raw: bytes) -> tuple[tuple[bytes, bytes, bytes, int, int], int]:
    """Return kid, signature, salt, place and size of a proved *thing*, and where its body starts; raises as `Proved.read`."""
    if not _HEAD.size < len(raw) <= LIMIT:
        raise WireError("signature_profile")
    magic, number, kid, signature, salt, place, size, steps = _HEAD.unpack_from(raw)
    if (magic, number) != (MAGIC, _NUMBERS[thing]) or steps > PATH_LIMIT:
        raise WireError("signature_profile")
    start = _HEAD.size + steps * merkle.HASH_BYTES
    if not place < size or steps != merkle.path_length(place, size) or start >= len(raw):
        raise WireError("signature_profile")
    return (kid, signature, salt, place, size), start


def body_of(thing: Thing, raw: bytes) -> bytes:
    """Return the statement of a proved *thing* without its proof, for a reader of a chain of digests; raises as `Proved.read`."""
    return raw[_head(thing, raw)[1] :]


class Proved(NamedTuple):
    """A statement with its proof, unverified: its place in the tree of *size* leaves, and the hashes from the leaf to the root."""

    thing: Thing
    kid: str
    signature: bytes
    salt: bytes
    place: int
    size: int
    path: tuple[bytes, ...]
    body: bytes

    @classmethod
    def read(cls, thing: Thing, raw: bytes) -> Self:
        """Take a proved *thing* apart.

        Raises ``signature_profile`` for another form or another thing, a place outside the tree, and a path that is not
        as long as place and size ask for.
        """
        (kid, signature, salt, place, size), start = _head(thing, raw)
        path = tuple([raw[at : at + merkle.HASH_BYTES] for at in range(_HEAD.size, start, merkle.HASH_BYTES)])
        return cls(thing, _KID + kid.hex(), signature, salt, place, size, path, raw[start:])

    def mapping(self) -> dict[str, Any]:
        """Return the signature over the transaction, and the path from the statement to what was signed, in JSON types.

        The files of evidence and of published figures have it so; the statement itself stands beside it there.
        """
        return {
            "keyid": self.kid,
            "path": [base64.encode(each) for each in self.path],
            "place": self.place,
            "salt": base64.encode(self.salt),
            "sig": base64.encode(self.signature),
            "size": self.size,
        }

    def root(self) -> bytes:
        """Return the root to which the path leads from this statement."""
        found = merkle.root_by_path(self.place, self.size, _leaf(self.thing, self.body, self.salt), self.path)
        if found is None:
            raise WireError("signature_profile")
        return found

    def verify(self, key: VerifyKey) -> None:
        """Return if *key* signed the transaction and the statement is this leaf of it; raises ``signature_invalid`` if not.

        A root that was verified is remembered, so that the next statement of the transaction costs its hashes alone.
        """
        _verified(key.public, self.signature, self.root(), self.size)


class Transaction:
    """The statements of one transaction, and the signature that covers them."""

    __slots__ = ("_leaves", "_levels", "_places", "_salts", "_tail")

    def __init__(self) -> None:
        """Begin without statements."""
        self._leaves: list[bytes] = []
        self._salts: list[bytes] = []
        self._levels: list[list[bytes]] = []
        self._places: list[int] | None = None
        self._tail = b""

    def add(self, thing: Thing, body: bytes, salt: bytes) -> int:
        """Add the next statement, canonical JSON, with 16 bytes of salt; return its number, counted from 0."""
        self._leaves.append(_leaf(thing, body, salt))
        self._salts.append(salt)
        return len(self._leaves) - 1

    def hide(self, secret: bytes) -> None:
        """Fill the tree up to a power of two by leaves that follow from *secret* alone, and sort the leaves.

        So neither size nor place shows how many statements there are, or which belong together. No statement is added
        afterwards.
        """
        said = len(self._leaves)
        due = max(LEAVES, 1 << (said - 1).bit_length())
        leaves = [*self._leaves, *(sha256(_FILLING + secret + each.to_bytes(4)).digest() for each in range(due - said))]
        order = sorted(range(due), key=leaves.__getitem__)
        self._leaves, self._places = [leaves[number] for number in order], [0] * due
        for place, number in enumerate(order):
            self._places[number] = place

    def sign(self, key: SigningKey) -> None:
        """Sign size and root; nothing is added afterwards. Raises ValueError without statements."""
        root = self._grown()
        self._tail = bytes.fromhex(key.kid.removeprefix(_KID)) + key.sign(_signed_bytes(root, len(self._leaves)))

    def is_proved_by(self, proved: Proved) -> bool:
        """Return whether *proved* leads to the root of exactly these statements; if so, take its signature, unverified."""
        if proved.size != len(self._leaves) or proved.root() != self._grown():
            return False
        self._tail = bytes.fromhex(proved.kid.removeprefix(_KID)) + proved.signature
        return True

    def _grown(self) -> bytes:
        if not self._leaves:
            message = "a transaction without statements has nothing to sign"
            raise ValueError(message)
        self._levels = merkle.levels(self._leaves)
        return self._levels[-1][0]

    def proved(self, number: int, thing: Thing, body: bytes) -> bytes:
        """Return the statement *number* with its proof. Raises RuntimeError before `sign`: nothing unsigned may leave."""
        if not self._tail:
            message = "a statement was about to leave unsigned"
            raise RuntimeError(message)
        place = number if self._places is None else self._places[number]
        path = merkle.path(place, self._levels)
        kid, signature = self._tail[:16], self._tail[16:]
        head = (MAGIC, _NUMBERS[thing], kid, signature, self._salts[number], place, len(self._leaves), len(path))
        return b"".join((_HEAD.pack(*head), *path, body))


def salts(secret: bytes) -> Iterator[bytes]:
    """Yield the salts of a registration and of its deliveries, in their order, from a *secret* that no desk knows."""
    return (sha256(_SALTING + secret + number.to_bytes(4)).digest()[:SALT_BYTES] for number in count())


def forget() -> None:
    """Forget every verified root, as a test or a measurement wants it."""
    _verified.cache_clear()
