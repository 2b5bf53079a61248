"""Signatures of webhooks by Standard Webhooks 1.0.0: Ed25519 (``v1a``), or HMAC-SHA256 (``v1``)."""

import hmac
import json
import secrets
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from hashlib import sha256
from typing import Final, Literal, Self

from nrmbus.wire import base64, ids, times
from nrmbus.wire.keys.keys import SigningKey

Algorithm = Literal["v1a", "v1"]
"""``v1a``: the receiver has only the public key. ``v1``: the receiver has the secret itself."""

ORIGIN: Final = "webhook-request-origin"
"""Header that names the sender, as CloudEvents' webhooks require in the handshake and in each delivery."""

MOST: Final = 4
"""Most secrets that sign at the same time: each makes a request longer."""
_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class Secret:
    """Secret that signs for one endpoint."""

    algorithm: Algorithm
    seed: str = field(repr=False)
    """Base64 of 32 random bytes: the secret of HMAC, or the seed of an Ed25519 key."""
    until: str | None = None
    """Time after which the secret signs no more, once another one has replaced it."""

    @classmethod
    def made(cls, algorithm: Algorithm) -> Self:
        """Return a new random secret."""
        return cls(algorithm, base64.encode(secrets.token_bytes(_BYTES)))

    @property
    def shown(self) -> str:
        """Return what the receiver needs: the public key (``whpk_``), or the secret (``whsec_``)."""
        raw = self._raw
        return f"whpk_{base64.encode(SigningKey(raw).public)}" if self.is_public else f"whsec_{self.seed}"

    @property
    def is_public(self) -> bool:
        """Return whether `shown` may be shown again: a public key is no secret."""
        return self.algorithm == "v1a"

    @property
    def _raw(self) -> bytes:
        return base64.read(self.seed) or b""

    def sign(self, content: bytes) -> str:
        """Return one entry of ``webhook-signature`` for *content*."""
        raw = self._raw
        signed = SigningKey(raw).sign(content) if self.is_public else hmac.digest(raw, content, sha256)
        return f"{self.algorithm},{base64.encode(signed)}"

    def signs_at(self, now: datetime) -> bool:
        """Return whether this secret still signs at *now*."""
        return self.until is None or self.until > times.write(now)


def headers_of(message: str, body: bytes, at: datetime, using: Iterable[Secret]) -> dict[str, str]:
    """Return the three headers that sign *body* as *message* for an attempt *at* this time, with each secret."""
    stamp = str(int(at.timestamp()))
    content = b".".join((message.encode(), stamp.encode(), body))
    signature = " ".join(each.sign(content) for each in using)
    return {"webhook-id": message, "webhook-timestamp": stamp, "webhook-signature": signature}


def message_id(*parts: str) -> str:
    """Return the ``webhook-id`` of what *parts* name: the same on each attempt, and from a restored ledger too."""
    return f"msg_{sha256(b'nrmbus/webhook/v1' + b''.join(map(ids.lp, parts))).hexdigest()[:32]}"


def rotated(held: Iterable[Secret], now: datetime, until: datetime, algorithm: Algorithm) -> tuple[Secret, ...]:
    """Return a new secret before those of *held* that still sign, each of which signs *until* then at most."""
    end = times.write(until)
    kept = (replace(each, until=min(each.until or end, end)) for each in held if each.signs_at(now))
    return (Secret.made(algorithm), *(each for each in kept if each.signs_at(now)))[:MOST]


def written(held: Iterable[Secret]) -> bytes:
    """Write the secrets of an endpoint, to be sealed."""
    return json.dumps([asdict(each) for each in held]).encode()


def read(raw: bytes) -> tuple[Secret, ...]:
    """Read what `written` wrote."""
    return tuple(Secret(**each) for each in json.loads(raw))
