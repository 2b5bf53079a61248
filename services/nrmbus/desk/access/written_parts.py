"""Which parts of a case's letters have anything in them: names of parts for a report to the person, and no content."""

from typing import Any, Final

from nrmbus.desk.access import break_glass
from nrmbus.desk.desk import Desk
from nrmbus.events.model import PARTS

PURPOSE: Final = "person_request"
"""What the desk opens letters for here."""


async def written(desk: Desk, subject: str) -> list[dict[str, Any]]:
    """Return for each letter of *subject* its event, and for each part that this desk may open whether it is empty.

    A letter that must stay shut, or does not open, is left out: nothing is known of it. The desk opens letters under its
    own name, and commits that first.
    """
    async with desk.seat.ledger.read() as tx:
        rows = (await tx.execute(break_glass.with_letters(desk.seat.me, subject))).all()
    found = []
    for row in rows:
        opened = await break_glass.opened(desk, row, PARTS, PURPOSE)
        if opened:
            parts = {part: bool(fields) for part, fields in opened.items()}
            found.append({"source": row.source, "event": row.id, "parts": parts})
    return found
