"""Who sits at this desk: the agency, its keys, its ledger, and what it goes by. Handed to everything that acts for it."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from nrmbus.bus.clock import Clock
from nrmbus.desk.ledger import Ledger
from nrmbus.desk.procedure import Procedure
from nrmbus.directory import Directory, Identity
from nrmbus.rules import Agency, Rules
from nrmbus.wire import times
from nrmbus.wire.errors import WireError
from nrmbus.wire.keys import SealTo, VerifyKey

REGISTRAR: Final = "registrar"


async def _nothing_new() -> None:
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

    def seal_to(self, agency: str) -> SealTo:
        """The key to seal letters to for *agency* now.

        Raises:
            WireError: ``unknown_recipient`` when the directory has no such agency.
        """
        if agency == self.me:
            return self.identity.sealing.seal_to
        key = self.directory.seal_to(agency, self.now())
        if key is None:
            raise WireError("unknown_recipient")
        return key
