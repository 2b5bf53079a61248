"""The ledger of a desk on a server of the test's own."""

from pathlib import Path

from agencies import BUS
from nrmbus.desk.store.ledger import Ledger, Position
from postgres import Server

DUE = Position(inbox_number=1, digest="1" * 64, next_offset=1)


async def opened(server: Server, path: Path) -> Ledger:
    """Return the ledger of a desk, without patience for another one."""
    place = await server.at(path)
    return await Ledger.open(place, bus=BUS, agency="vac", patience=0.0)


async def opened_again(ledger: Ledger) -> Ledger:
    """Open the same ledger once more."""
    return await Ledger.open(ledger.place, bus=BUS, agency="vac", patience=0.0)


async def advanced(ledger: Ledger) -> None:
    """Commit that partition 0 was read to `DUE`."""
    async with ledger.write():
        ledger.advance(0, DUE)
