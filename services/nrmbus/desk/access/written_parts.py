"""Names of the parts of a case's letters that have content, for a report to the person; never the content."""

from typing import Any, Final

from nrmbus.desk.access import break_glass
from nrmbus.desk.desk import Desk
from nrmbus.events.model import PARTS

PURPOSE: Final = "person_request"
"""Purpose of the desk's openings here."""


async def written(desk: Desk, subject: str) -> list[dict[str, Any]]:
    """Return each letter's event in *subject*, and for each part that may open whether the part has content.

    A letter that must stay closed, or does not open, is left out. The desk opens letters under its own name, and
    commits each opening first.
    """
    with desk.seat.ledger.read() as tx:
        rows = tx.execute(break_glass.with_letters(desk.seat.me, subject)).all()
    found = []
    for row in rows:
        opened = await break_glass.opened(desk, row, PARTS, PURPOSE)
        if opened:
            parts = {part: bool(fields) for part, fields in opened.items()}
            found.append({"source": row.source, "event": row.id, "parts": parts})
    return found
