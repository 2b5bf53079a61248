"""ML-DSA-44 pairs (FIPS 204): signatures that outlive quantum computers. A repr shows only the kid."""

import hashlib
import os
from contextlib import suppress
from typing import Final, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey, MLDSA44PublicKey

from nrmbus.wire.errors import WireError
from nrmbus.wire.keys.keys import SEED_BYTES

PUBLIC_BYTES: Final = 1312
SIGNATURE_BYTES: Final = 2420


def _kid(public: bytes) -> str:
    return f"mldsa44:{hashlib.sha256(public).hexdigest()[:32]}"


class MLDSA44VerifyKey:
    """An ML-DSA-44 public key."""

    __slots__ = ("_key", "kid", "public")

    def __init__(self, public: bytes) -> None:
        """Take 1,312 raw bytes; raises ``weak_key`` for another length."""
        if len(public) != PUBLIC_BYTES:
            raise WireError("weak_key")
        self.public = bytes(public)
        self.kid = _kid(self.public)
        self._key = MLDSA44PublicKey.from_public_bytes(self.public)

    def verify(self, signature: bytes, message: bytes) -> None:
        """Return if *signature* is this key's over *message*, with no context; raises ``signature_invalid`` if not."""
        with suppress(InvalidSignature):
            self._key.verify(signature, message)
            return
        raise WireError("signature_invalid")

    def __repr__(self) -> str:
        """Show the kid."""
        return f"MLDSA44VerifyKey({self.kid})"


class MLDSA44SigningKey:
    """An ML-DSA-44 pair; at rest it is its 32-byte seed."""

    __slots__ = ("_key", "kid", "public", "seed")

    def __init__(self, seed: bytes) -> None:
        """Make the pair of *seed* (32 bytes)."""
        self.seed = bytes(seed)
        self._key = MLDSA44PrivateKey.from_seed_bytes(self.seed)
        self.public = self._key.public_key().public_bytes_raw()
        self.kid = _kid(self.public)

    @classmethod
    def generate(cls) -> Self:
        """Make a fresh pair."""
        return cls(os.urandom(SEED_BYTES))

    def sign(self, message: bytes) -> bytes:
        """Sign *message*: 2,420 bytes, others each time (the hedged variant of FIPS 204)."""
        return self._key.sign(message)

    def __repr__(self) -> str:
        """Show the kid, never the seed."""
        return f"MLDSA44SigningKey({self.kid})"
