"""Passwords: Argon2id hashes, made in a thread, and the rules of a good one.

The parameters are the second recommended option of RFC 9106 (section 4). At most two hashes are made at a time, so that
no crowd of strangers takes the machine's memory.
"""

import asyncio
import secrets
import unicodedata
from functools import cache
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from argon2 import PasswordHasher

LEAST: Final = 12
"""The fewest characters of a password (NIST SP 800-63B: 8 with a second factor; one or the other may be missing here)."""
MOST: Final = 256
_DIFFERENT: Final = 5
_ALPHABET: Final = "ABCDEFGHJKMNPQRSTVWXYZ23456789"
"""Without I, L, O, U, 0 and 1, which are mistaken for others when somebody reads them out."""
_GROUPS: Final = 4

Weakness = Literal["short", "long", "plain", "name", "same"]
"""Reasons why a password is refused: too short, too long, few different characters, a name, or the one-time password."""


@cache
def hasher() -> "PasswordHasher":
    """Return the hasher; a test may put a cheap one in its place."""
    from argon2 import PasswordHasher  # noqa: PLC0415 - a desk that nobody signs in at needs no memory for it

    return PasswordHasher(time_cost=3, memory_cost=64 * 1024, parallelism=4)


class Passwords:
    """Work on passwords, two at a time."""

    def __init__(self) -> None:
        self._at_a_time = asyncio.Semaphore(2)

    async def hashed(self, password: str) -> str:
        """Return the hash of *password* for the ledger."""
        async with self._at_a_time:
            return await asyncio.to_thread(hasher().hash, prepared(password))

    async def fits(self, known: str | None, password: str) -> bool:
        """Return whether *password* has the hash *known*; without a hash it takes as long, and the answer is no."""
        async with self._at_a_time:
            return await asyncio.to_thread(_fits, known, prepared(password))


def is_outdated(known: str) -> bool:
    """Return whether the hash *known* has other parameters than those of today."""
    return hasher().check_needs_rehash(known)


def _fits(known: str | None, password: str) -> bool:
    from argon2.exceptions import Argon2Error, InvalidHashError  # noqa: PLC0415 - as in `hasher`

    nobody = _of_nobody()  # made at the first try of all, of whatever name: its length tells nothing
    try:
        hasher().verify(known or nobody, password)
    except (Argon2Error, InvalidHashError):
        return False
    return known is not None


@cache
def _of_nobody() -> str:
    return hasher().hash(secrets.token_urlsafe(32))


def prepared(password: str) -> str:
    """Return *password* in one form (NFKC): the same keys give other code points on other systems."""
    return unicodedata.normalize("NFKC", password[: 2 * MOST]).strip()


def weakness(password: str, *known: str) -> Weakness | None:
    """Return why *password* is refused, or None if it is good; *known* are names that everybody knows."""
    text = prepared(password)
    if len(text) < LEAST:
        return "short"
    if len(text) > MOST:
        return "long"
    if len(set(text.casefold())) < _DIFFERENT:
        return "plain"
    rest = text.casefold()
    for each in known:
        rest = rest.replace(each.casefold(), "") if each else rest
    return "name" if len(rest) < LEAST // 2 else None


def one_time() -> str:
    """Return a random password for a first sign-in, which can be read out: four groups of four, 78 bits."""
    return "-".join("".join(secrets.choice(_ALPHABET) for _ in range(4)) for _ in range(_GROUPS))


def as_one_time(typed: str) -> str:
    """Return what was *typed* in the form of `one_time`: capitals, spaces and dashes do not count."""
    plain = "".join(each for each in typed[:MOST].upper() if each.isalnum())
    return "-".join(plain[at : at + 4] for at in range(0, len(plain), 4))
