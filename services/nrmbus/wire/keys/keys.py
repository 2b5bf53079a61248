"""Two kinds of keys: Ed25519 signs, X-Wing (ML-KEM-768 with X25519) opens letters. A repr shows only the kid.

Each purpose has a pair of its own; the directory says which agency has which pair, and since when.
"""

import hashlib
import os
import re
from contextlib import suppress
from typing import Final, Self

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import (
    AEAD,
    KDF,
    KEM,
    MLKEM768X25519PrivateKey,
    MLKEM768X25519PublicKey,
    Suite,
)
from nacl.bindings import crypto_sign, crypto_sign_open, crypto_sign_seed_keypair
from nacl.exceptions import BadSignatureError

from nrmbus.wire.errors import LetterClosed, WireError

SEED_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64
SEALING_PUBLIC_BYTES: Final = 1216
WRAP_BYTES: Final = 1120 + 32 + 16
"""Size of a wrapped content key: encapsulation, key, tag."""

KID_XWING: Final = re.compile(r"xwing:[0-9a-f]{32}")

_MLKEM_PUBLIC_BYTES: Final = 1184
_MLKEM_SEED_BYTES: Final = 64
_XWING_SEED_BYTES: Final = 96
_SUITE: Final = Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)

_P: Final = 2**255 - 19
_ORDER_8_Y: Final = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7
_SMALL_ORDER_Y: Final = frozenset({0, 1, _P - 1, _ORDER_8_Y, _P - _ORDER_8_Y})
"""The y of the eight points of small order (RFC 7748 and RFC 8032 curve); under them a signature fits many messages."""

# Any private key shows whether a public one is of small order: the shared secret is then zero and refused.
_PROBE: Final = X25519PrivateKey.from_private_bytes(b"\x40" * SEED_BYTES)


def _kid(kind: str, public: bytes) -> str:
    return f"{kind}:{hashlib.sha256(public).hexdigest()[:32]}"


def _seed(seed: bytes) -> bytes:
    if len(seed) != SEED_BYTES:
        message = "a key's seed has 32 bytes"
        raise ValueError(message)
    return bytes(seed)


class VerifyKey:
    """An Ed25519 public key (RFC 8032) that is fit to verify with."""

    __slots__ = ("_key", "kid", "public")

    def __init__(self, public: bytes) -> None:
        """Take 32 raw bytes. Raises ``weak_key`` for another length, y >= p, and the points of small order."""
        y = int.from_bytes(public, "little") & (1 << 255) - 1
        if len(public) != SEED_BYTES or y >= _P or y in _SMALL_ORDER_Y:
            raise WireError("weak_key")
        self.public = bytes(public)
        self.kid = _kid("ed25519", self.public)
        self._key = Ed25519PublicKey.from_public_bytes(self.public)

    def verify(self, signature: bytes, message: bytes) -> None:
        """Return if *signature* is this key's over *message*; raises ``signature_invalid`` if not.

        libsodium runs first, because it takes half of OpenSSL's time and accepts no signature that OpenSSL refuses.
        OpenSSL decides the rest: libsodium refuses an R of small order, which RFC 8032 allows.
        """
        if len(signature) != SIGNATURE_BYTES:  # libsodium takes both in one piece, and would cut it elsewhere
            raise WireError("signature_invalid")
        with suppress(BadSignatureError):
            crypto_sign_open(signature + message, self.public)
            return
        with suppress(InvalidSignature):
            self._key.verify(signature, message)
            return
        raise WireError("signature_invalid")

    def __repr__(self) -> str:
        """Show the kid."""
        return f"VerifyKey({self.kid})"


class SigningKey:
    """An Ed25519 pair; at rest it is its 32-byte seed."""

    __slots__ = ("_pair", "kid", "public", "seed")

    def __init__(self, seed: bytes) -> None:
        """Make the pair of *seed* (32 bytes)."""
        self.seed = _seed(seed)
        self.public, self._pair = crypto_sign_seed_keypair(self.seed)
        self.kid = _kid("ed25519", self.public)

    @classmethod
    def from_seed(cls, seed: bytes) -> Self:
        """Make the pair of *seed* (32 bytes)."""
        return cls(seed)

    @classmethod
    def generate(cls) -> Self:
        """Make a fresh pair."""
        return cls(os.urandom(SEED_BYTES))

    @property
    def verify_key(self) -> VerifyKey:
        """The public half."""
        return VerifyKey(self.public)

    def sign(self, message: bytes) -> bytes:
        """Sign *message*: 64 bytes, the same for the same message."""
        return crypto_sign(message, self._pair)[:SIGNATURE_BYTES]

    def __repr__(self) -> str:
        """Show the kid, never the seed."""
        return f"SigningKey({self.kid})"


class SealTo:
    """An X-Wing public key that letters are sealed to: ML-KEM-768 (1,184 bytes), then X25519 (32)."""

    __slots__ = ("_key", "kid", "public")

    def __init__(self, public: bytes) -> None:
        """Take 1,216 raw bytes. Raises ``weak_key`` if either half is no key, or X25519's is of small order or has u >= p.

        RFC 7748 accepts every u, so one key would have two encodings and two kids; the second would look unused.
        """
        key, u = None, int.from_bytes(public[_MLKEM_PUBLIC_BYTES:], "little")
        if len(public) == SEALING_PUBLIC_BYTES and u < _P:
            try:
                x25519 = X25519PublicKey.from_public_bytes(public[_MLKEM_PUBLIC_BYTES:])
                _PROBE.exchange(x25519)
                key = MLKEM768X25519PublicKey(MLKEM768PublicKey.from_public_bytes(public[:_MLKEM_PUBLIC_BYTES]), x25519)
            except ValueError:
                key = None
        if key is None:
            raise WireError("weak_key")
        self._key = key
        self.public = bytes(public)
        self.kid = _kid("xwing", self.public)

    def wrap(self, secret: bytes, info: bytes) -> bytes:
        """Seal *secret* to this key: HPKE base mode (RFC 9180), single shot; return encapsulation and ciphertext."""
        return _SUITE.encrypt(secret, self._key, info)

    def __repr__(self) -> str:
        """Show the kid."""
        return f"SealTo({self.kid})"


class SealingKey:
    """An X-Wing pair; at rest it is its 32-byte seed, expanded by SHAKE256 (draft-connolly-cfrg-xwing-kem)."""

    __slots__ = ("_key", "kid", "public", "seed")

    def __init__(self, seed: bytes) -> None:
        """Make the pair of *seed* (32 bytes)."""
        self.seed = _seed(seed)
        expanded = hashlib.shake_256(self.seed).digest(_XWING_SEED_BYTES)
        mlkem = MLKEM768PrivateKey.from_seed_bytes(expanded[:_MLKEM_SEED_BYTES])
        x25519 = X25519PrivateKey.from_private_bytes(expanded[_MLKEM_SEED_BYTES:])
        self._key = MLKEM768X25519PrivateKey(mlkem, x25519)
        self.public = mlkem.public_key().public_bytes_raw() + x25519.public_key().public_bytes_raw()
        self.kid = _kid("xwing", self.public)

    @classmethod
    def from_seed(cls, seed: bytes) -> Self:
        """Make the pair of *seed* (32 bytes)."""
        return cls(seed)

    @classmethod
    def generate(cls) -> Self:
        """Make a fresh pair."""
        return cls(os.urandom(SEED_BYTES))

    @property
    def seal_to(self) -> SealTo:
        """The public half."""
        return SealTo(self.public)

    def open(self, wrapped: bytes, info: bytes) -> bytes:
        """Open what `SealTo.wrap` sealed with the same *info*; raises ``LetterClosed("key")`` for everything else."""
        secret = None
        try:
            secret = _SUITE.decrypt(wrapped, self._key, info)
        except InvalidTag:
            secret = None
        if secret is None:
            raise LetterClosed("key")
        return secret

    def __repr__(self) -> str:
        """Show the kid, never the seed."""
        return f"SealingKey({self.kid})"
