"""A request for a bed, what a desk must have stored of it, rows of no meaning, and what statements cost."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from sqlalchemy import Connection, Engine, event, insert

from agencies import CASE
from desk.given import BED, REF, FakeRegistrar, Given
from nrmbus.desk.store import tables
from nrmbus.wire.record import Record


def bed_request(registrar: FakeRegistrar, *, ref: str = REF, case: str = CASE, category: str = "women") -> Record:
    """Return the special unit's request for a bed."""
    parts = {"coded": {"category": category}}
    return registrar.event(
        "special-unit", "shelter.bed_requested", BED, case=case, referral=ref, parts=parts, opens=["shelter"]
    )


async def outcome(given: Given) -> dict[str, Any]:
    """Return the state that one bed request must have left behind."""
    return {
        "events": [(row.type, row.parts) for row in await given.rows("events")],
        "outbox": [(row.type, row.id) for row in await given.rows("outbox")],
        "positions": [(row.inbox_number, row.next_offset) for row in await given.rows("positions")],
        "tasks": len(await given.rows("tasks")),
        "beds": len(getattr(given.desk.book, "beds", ())),
    }


@contextmanager
def statements() -> Iterator[list[str]]:
    """Yield the statements that any ledger runs within the block."""
    found = list[str]()

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        found.append(" ".join(statement.split()))

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield found
    finally:
        event.remove(Engine, "before_cursor_execute", note)


@contextmanager
def steps(tx: Connection) -> Iterator[list[None]]:
    """Yield a list that gets an entry for each step that SQLite takes for statements of *tx* within the block; none on a server."""
    taken = list[None]()
    if tx.dialect.name != "sqlite":
        yield taken
        return
    driver: Any = tx.connection.driver_connection
    driver.set_progress_handler(partial(taken.append, None), 1)
    try:
        yield taken
    finally:
        driver.set_progress_handler(None, 1)


def put_rows(tx: Connection, numbers: range, *, partition: int = 0, subjects: int = 1) -> None:
    """Store within *tx* deliveries with these *numbers* on *partition* with their events and closed rows of the outbox, of as many *subjects* in turn: rows that nobody signed."""
    of = [{"partition": partition, "inbox_number": n, "number": n, "subject": f"{n % subjects:032x}"} for n in numbers]
    of = [{**each, "source": "ngo-a", "id": f"{partition}/{each['number']}"} for each in of]
    delivery = {"verdict": "registered", "digest": "", "delivery": b"", "registration": b"", "received": ""}
    heard = {
        "type": "",
        "technical": 0,
        "time": "",
        "registered": "",
        "recipients": "[]",
        "headers": b"",
        "value": b"",
        "parts": "[]",
    }
    closed = {"turn": 1, "type": "", "origin": "door", "state": "closed", "asked": "", "clear": b"", "made": ""}
    own = [{"subject": each["subject"], "id": each["id"]} | closed for each in of]
    tx.execute(insert(tables.outbox), own)
    tx.execute(insert(tables.inbox), [each | delivery for each in of])
    tx.execute(insert(tables.events), [each | heard for each in of])
