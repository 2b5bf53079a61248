"""Receipt codes: 16 digits with which a person without an account comes back. No code is ever stored.

A code gives two things by argon2id: the reference under which her messages are found, and the key pair that opens the
answers. A thief of the file has to try codes, each at the same cost.
"""

import re
import secrets
import unicodedata
from dataclasses import dataclass, field
from typing import Final

from nacl.pwhash import argon2id

from nrmbus.wire.keys.keys import SEED_BYTES, SealingKey

DIGITS: Final = 16
"""Digits of a code; the last one is a check digit, so that nine of ten guesses and each mistyped digit cost nothing."""
SALT_BYTES: Final = argon2id.SALTBYTES
PASSES: Final = 5
MEMORY: Final = 128 * 1024 * 1024
"""argon2id's passes and memory in bytes: 0.25 s of one core on the machine on which this was measured (decision 0058)."""

_REF_BYTES: Final = 16
_CODE: Final = re.compile(rf"[0-9]{{{DIGITS}}}")
_BETWEEN: Final = ("Z", "P", "C")
"""Categories of what may stand between digits: spaces, dashes and other punctuation, and invisible marks."""
_MINUS: Final = "\u2212"


def new() -> str:
    """Return a new code: 15 random digits (2^49.8) and the check digit."""
    digits = f"{secrets.randbelow(10 ** (DIGITS - 1)):0{DIGITS - 1}d}"
    return digits + _check_digit(digits)


def read(typed: str) -> str | None:
    """Return the code in what a person *typed*; None if it cannot be a code.

    Digits of every script count. Spaces, dashes, and the invisible marks that a copy brings along do not matter.
    """
    kept = (each for each in typed if each != _MINUS and not unicodedata.category(each).startswith(_BETWEEN))
    digits = "".join(str(unicodedata.decimal(each, each)) for each in kept)
    if not _CODE.fullmatch(digits) or _check_digit(digits[:-1]) != digits[-1]:
        return None
    return digits


def shown(code: str) -> str:
    """Return *code* in groups of four, as it is written down."""
    return " ".join(code[at : at + 4] for at in range(0, DIGITS, 4))


def _check_digit(digits: str) -> str:
    """Return the check digit of ISO/IEC 7064 MOD 11,10: it finds each wrong digit and most exchanged neighbours."""
    left = 10
    for each in digits:
        left = ((int(each) + left) % 10 or 10) * 2 % 11
    return str((11 - left) % 10)


@dataclass(frozen=True, slots=True)
class Holder:
    """A code's holder: the reference of her messages, and the key that opens the answers to her."""

    ref: str
    key: SealingKey = field(repr=False)

    @classmethod
    def of_code(cls, code: str, salt: bytes) -> "Holder":
        """Derive reference and key from *code* and the file's *salt*. Takes a third of a second, without Python's lock."""
        raw = argon2id.kdf(_REF_BYTES + SEED_BYTES, code.encode(), salt, opslimit=PASSES, memlimit=MEMORY)
        return cls.of_raw(raw)

    @classmethod
    def of_raw(cls, raw: bytes) -> "Holder":
        """Return the holder of these derived bytes, as `raw` gives them."""
        return cls(raw[:_REF_BYTES].hex(), SealingKey(raw[_REF_BYTES:]))

    @property
    def raw(self) -> bytes:
        """Return reference and seed, for a pass that this process alone can read."""
        return bytes.fromhex(self.ref) + self.key.seed
