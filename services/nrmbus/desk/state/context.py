"""Context of a desk: agency, keys, ledger, directory, rules and clock."""

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

HeldUp = Literal["entry_not_asked", "directory_stale"]
"""Reasons why a desk sends nothing: an entry that this agency did not request, or a directory that may be behind."""


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
    """Reads the directory to its end, before a key counts as unknown."""
    stale: Callable[[], bool] = _never
    """Tells if the directory may be behind; then a key there may already have been replaced."""
    renew: Callable[[], None] = _nothing_to_renew
    """Takes the agency's next keys into use, once the directory names them."""
    handed_to: str | None = None
    """Sealing key to which all stored secrets were handed over since this desk started."""
    own: Own | None = None
    """The watch over this agency's own entries in the directory."""
    troubles: dict[int, str] = field(default_factory=dict)
    """By partition, the code of the reason why the inbox has stopped there."""

    @property
    def trouble(self) -> str | None:
        """Code of the reason why the inbox has stopped in a partition; None while every one is read."""
        return next(iter(self.troubles.values()), None)

    @property
    def me(self) -> str:
        """Return the agency's id."""
        return self.identity.agency

    @property
    def role(self) -> str | None:
        """Return the agency's role, or None if the directory does not have the agency yet."""
        entry = self.directory.entries.get(self.me)
        return entry.role if entry else None

    def now(self) -> datetime:
        """Return the bus's time, in UTC, to the second."""
        return self.clock.now()

    def stamp(self) -> str:
        """Return the bus's time as written on the wire."""
        return times.write(self.clock.now())

    def registrar_key(self, kid: str) -> VerifyKey:
        """Return the registrar's key *kid*, current or earlier. Raises LookupError if there never was such a key."""
        key = None
        try:
            key = self.directory.registrar_key(kid)
        except WireError:
            key = None
        if key is None:
            raise LookupError
        return key

    @property
    def held_up(self) -> HeldUp | None:
        """Return the reason why no new event is signed and sealed now; None if there is none."""
        if self.own is not None and self.own.alarm is not None:
            return "entry_not_asked"
        return "directory_stale" if self.stale() else None

    def is_shut_out(self, agency: str) -> bool:
        """Return whether *agency* is on the bus but cannot get letters now: suspended, or without a confirmed key."""
        now = self.now()
        return self.directory.state(agency, now) is not None and self.directory.seal_to(agency, now) is None

    def seal_to(self, agency: str) -> SealTo:
        """Return the key to which letters for *agency* are sealed now.

        Raises:
            WireError: ``unknown_recipient`` if the directory has no such agency; ``key_not_current`` for this agency
                itself, if its last key in the directory was destroyed.
        """
        key = self.directory.seal_to(agency, self.now())
        if agency == self.me:
            return self._own(key)
        if key is None:
            raise WireError("unknown_recipient")
        return key

    def _own(self, current: SealTo | None) -> SealTo:
        # New keys may wait for confirmation; letters to the earlier keys open until these are destroyed.
        opening, entry = self.identity.opening, self.directory.entries.get(self.me)
        if current is not None and current.kid in opening:
            return current
        named = opening.get(self.directory.kids(entry).sealing) if entry else None
        if named is None and self.identity.sealing.kid in self.identity.interim:
            raise WireError("key_not_current")
        return (named or self.identity.sealing).seal_to
