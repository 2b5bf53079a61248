"""Slips: what a form carries from one page to the next, sealed by a key that this process alone has, in memory.

A slip stands in a hidden field, never in an address and in no cookie. It ends with the process, and after its hours.
"""

import os
import struct
import time
from collections.abc import Callable
from typing import Final, Literal, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from nrmbus.wire import base64

Kind = Literal["write", "ask", "pass"]
LASTS: Final[dict[Kind, float]] = {"write": 4 * 3600.0, "ask": 4 * 3600.0, "pass": 30 * 60.0}
"""Seconds: a form may lie open for hours; somebody who has shown her code is let in for half an hour."""

_IV: Final = 12
_MOST: Final = 400


class Slip(NamedTuple):
    """An opened slip: the seconds since it was given out, its content, and bytes that no other slip has."""

    age: float
    body: bytes
    once: bytes


class Slips:
    """Seals and opens slips."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Make a key for as long as this process lives."""
        self._key, self._clock = AESGCM(AESGCM.generate_key(256)), clock

    def seal(self, kind: Kind, body: bytes = b"") -> str:
        """Return a new slip."""
        iv, since = os.urandom(_IV), struct.pack(">d", self._clock())
        return base64.encode(iv + self._key.encrypt(iv, since + body, kind.encode()))

    def open(self, kind: Kind, text: str) -> Slip | None:
        """Return the slip in *text*; None if it is none of this process, of another kind, or too old."""
        raw = base64.read(text) if len(text) <= _MOST else None
        if raw is None or len(raw) <= _IV:
            return None
        try:
            whole = self._key.decrypt(raw[:_IV], raw[_IV:], kind.encode())
        except InvalidTag:
            return None
        age = self._clock() - struct.unpack(">d", whole[:8])[0]
        return Slip(age, whole[8:], raw[:_IV]) if age <= LASTS[kind] else None
