"""Gate before everything that costs something: proof of work or a wait, and a bound for each address."""

import hashlib
import time
from collections.abc import Callable
from typing import Final

from nrmbus.bus.rate_limit import AddressPace, Pace, Rate
from nrmbus.public.slips import LASTS, Kind, Slip, Slips

BITS: Final = 16
"""Leading zero bits of a proof: 65,536 tries on average, some seconds of an old phone while its owner types."""
WAITS: Final[dict[Kind, float]] = {"write": 20.0, "ask": 8.0}
"""Seconds that a form without a proof must have been open: most people take longer to fill it in."""
FROM_ONE: Final[dict[Kind, Rate]] = {"write": Rate(8, 1 / 300), "ask": Rate(12, 1 / 60)}
"""Bound of one address; many people may share an address of a mobile network."""
WITHOUT_PROOF: Final = Rate(40, 1 / 5)
"""Bound of all requests without a proof together."""

_PROOF: Final = 20
_MOST_SPENT: Final = 100_000
_EVERYBODY: Final = "everybody"


def proves(slip: str, proof: str, bits: int = BITS) -> bool:
    """Return whether *proof* is a number whose digest with *slip* begins with *bits* zeros."""
    if not (0 < len(proof) <= _PROOF and proof.isascii() and proof.isdecimal()):
        return False
    digest = hashlib.sha256(f"{slip}.{proof}".encode()).digest()
    return int.from_bytes(digest[:4]) >> (32 - bits) == 0


class Gate:
    """Lets a request through, or says for how many seconds it must wait."""

    def __init__(self, slips: Slips, clock: Callable[[], float] = time.monotonic) -> None:
        """Open slips with *slips*."""
        self._slips, self._clock = slips, clock
        self._free = Pace(WITHOUT_PROOF)
        self._spent: dict[bytes, tuple[float, bytes]] = {}
        """By slip, until when it is remembered, and for which words its proof was taken."""
        self._paces = {kind: AddressPace(rate) for kind, rate in FROM_ONE.items()}

    def wait(self, kind: Kind, slip: Slip, sealed: str, proof: str, address: str | None, words: bytes = b"") -> float:
        """Return 0 and count the request, or the seconds until it may come again.

        A proof is good for the *words* that it came with first, a digest of them; with others the request is one without.
        """
        now = self._clock()
        pace = self._paces[kind]
        is_proved = proves(sealed, proof) and self._is_new(slip, words)
        waits = [pace.wait(address, now)]
        if not is_proved:
            waits += [WAITS[kind] - slip.age, self._free.wait(_EVERYBODY, now)]
        if (longest := max(waits)) > 0:
            return longest
        pace.took(address, now)
        if not is_proved:
            self._free.took(_EVERYBODY, 1, now)
        elif words:
            self._spent[slip.once] = now + LASTS[kind], words
        return 0.0

    def spend(self, slip: Slip) -> bool:
        """Return whether *slip* is used for the first time; it is good for one question."""
        if slip.once in self._spent or not self._is_new(slip, b""):
            return False
        self._spent[slip.once] = self._clock() + LASTS["ask"], b""
        return True

    def _is_new(self, slip: Slip, words: bytes) -> bool:
        """Return whether *slip* was used for nothing but *words*, and there is room to remember it."""
        if len(self._spent) >= _MOST_SPENT:
            now = self._clock()
            self._spent = {once: found for once, found in self._spent.items() if found[0] > now}
        found = self._spent.get(slip.once)
        return len(self._spent) < _MOST_SPENT if found is None else found[1] == words
