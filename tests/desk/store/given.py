"""A request for a bed, what a desk must have stored of it, and the statements that a ledger runs."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Engine, event

from agencies import CASE
from desk.given import BED, REF, FakeRegistrar, Given
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
