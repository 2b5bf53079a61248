"""Who sits at this desk: the agency, its keys, its ledger, and what it goes by. Handed to everything that acts for it."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from nrmbus.bus.clock import Clock
from nrmbus.desk.procedure.interface import Procedure
from nrmbus.desk.store.ledger import Ledger
from nrmbus.directory import Directory, Identity
from nrmbus.directory.own_entry_watch import Own
from nrmbus.rules import Agency, Rules
from nrmbus.wire import times
from nrmbus.wire.errors import WireError
from nrmbus.wire.keys.keys import SealTo, VerifyKey
from nrmbus.wire.names import REGISTRAR

HeldUp = Literal["entry_not_asked", "directory_stale"]
"""Why a desk sends nothing: the directory has an entry of this agency that it did not ask for, or may be behind."""


async def _nothing_new() -> None:
    return None


def _never() -> bool:
    return False


def _nothing_to_renew() -> None:
    return None


@dataclass(slots=True)
class Seat:
    """One agency's place on one bus."""

    bus: str
    identity: Identity = field(repr=False)
    ledger: Ledger
    directory: Directory
    rules: Rules
    agencies: Mapping[str, Agency]
    clock: Clock
    procedure: Procedure[Any] | None = None
    catch_up: Callable[[], Awaitable[None]] = _nothing_new
    """Reads the directory to its end now: before a key is called unknown."""
    stale: Callable[[], bool] = _never
    """Whether the directory may be behind, so that a key in it may be one that was replaced."""
    renew: Callable[[], None] = _nothing_to_renew
    """Takes the agency's next keys, once they are the ones that the directory names."""
    handed_to: str | None = None
    """The sealing key to which everything that is kept was handed over since this desk started."""
    own: Own | None = None
    """The watch over this agency's own entries in the directory."""
    trouble: str | None = None
    """Why the inbox stands still, as a code; none while it moves."""

    @property
    def me(self) -> str:
        """The agency's id."""
        return self.identity.agency

    @property
    def role(self) -> str | None:
        """The agency's role; none before the directory has it."""
        entry = self.directory.entries.get(self.me)
        return entry.role if entry else None

    def now(self) -> datetime:
        """The bus's time, in UTC, to the second."""
        return self.clock.now()

    def stamp(self) -> str:
        """The bus's time as written on the wire."""
        return times.write(self.clock.now())

    def registrar_key(self, kid: str) -> VerifyKey:
        """The registrar's key *kid*, current or earlier. Raises LookupError when it never had such a key."""
        key = None
        try:
            key = self.directory.any_verify_key(REGISTRAR, kid)
        except WireError:
            key = None
        if key is None:
            raise LookupError
        return key

    @property
    def held_up(self) -> HeldUp | None:
        """Why nothing new is signed and sealed now; none while nothing keeps it."""
        if self.own is not None and self.own.alarm is not None:
            return "entry_not_asked"
        return "directory_stale" if self.stale() else None

    def is_shut_out(self, agency: str) -> bool:
        """Whether *agency* is on the bus and nothing is sealed to it now: it is suspended, or has no key that it confirmed."""
        now = self.now()
        return self.directory.state(agency, now) is not None and self.directory.seal_to(agency, now) is None

    def seal_to(self, agency: str) -> SealTo:
        """The key to seal letters to for *agency* now.

        Raises:
            WireError: ``unknown_recipient`` when the directory has no such agency; ``key_not_current`` for this agency
                itself, when the last of its keys that the directory names was destroyed.
        """
        key = self.directory.seal_to(agency, self.now())
        if agency == self.me:
            return self._own(key)
        if key is None:
            raise WireError("unknown_recipient")
        return key

    def _own(self, current: SealTo | None) -> SealTo:
        # New keys may wait to be confirmed, and what went to the ones before opens until they are destroyed.
        opening, entry = self.identity.opening, self.directory.entries.get(self.me)
        if current is not None and current.kid in opening:
            return current
        named = opening.get(self.directory.kids(entry).sealing) if entry else None
        if named is None and self.identity.sealing.kid in self.identity.interim:
            raise WireError("key_not_current")
        return (named or self.identity.sealing).seal_to
