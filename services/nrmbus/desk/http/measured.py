"""Numbers of a desk for its metrics that are not part of its health: ages, letters, webhooks, the sealing key's end."""

import time
from datetime import datetime
from typing import Any, Final, get_args

from sqlalchemy import Connection, func, literal_column, select

from nrmbus.bus.vitals import know_codes
from nrmbus.desk.errors import DeskCode
from nrmbus.desk.letters.letters import DESK
from nrmbus.desk.state.context import Seat
from nrmbus.desk.store import tables
from nrmbus.desk.webhooks import store as webhooks
from nrmbus.events.document import DocumentChunkSent
from nrmbus.rules import refusal_codes
from nrmbus.wire import times

AGAIN_SECONDS: Final = 60.0
"""Shortest time between two counts of the unopened letters, each of which reads the whole ledger."""

_OUTBOX, _EVENTS, _READS = tables.outbox.c, tables.events.c, tables.reads.c
_OLDEST: Final = select(func.min(_OUTBOX.made)).where(
    (_OUTBOX.state == literal_column("'waiting'")) | (_OUTBOX.state == literal_column("'signed'"))
)


def oldest_open(tx: Connection) -> str | None:
    """Return when the oldest event without an answer was made; None if there is none."""
    made: str | None = tx.scalar(_OLDEST)
    return made


def _age(since: str | None, now: datetime) -> float:
    began = times.read(since) if since else None
    return max(0.0, (now - began).total_seconds()) if began else 0.0


class Measured:
    """Numbers of the desk at one *seat*."""

    def __init__(self, seat: Seat) -> None:
        """Have the codes of the desk's rules counted by name; nothing is read yet."""
        know_codes([*get_args(DeskCode), *refusal_codes()])
        self._seat = seat
        self._unopened: int | None = None
        self._counted = (-1, 0.0)
        """The ledger's commits, and the monotonic time, at the last count of the letters."""

    def facts(self) -> dict[str, Any]:
        """Return the numbers; one that is unknown is None."""
        seat, now = self._seat, self._seat.now()
        with seat.ledger.read() as tx:
            made = oldest_open(tx)
            stopped, untold = webhooks.stopped(tx), webhooks.oldest(tx)
        ends = seat.directory.sealing_ends(seat.me, now)
        return {
            "outbox_oldest": _age(made, now),
            "webhooks_stopped": stopped,
            "webhook_oldest": _age(untold, now),
            "letters_unopened": self._letters(),
            "sealing_key_left": (ends - now).total_seconds() if ends else None,
        }

    def _letters(self) -> int | None:
        """Return the number of letters from others that no person has opened, though a person may."""
        count, now = self._seat.ledger.count, time.monotonic()
        if self._unopened is None or (count != self._counted[0] and now - self._counted[1] >= AGAIN_SECONDS):
            received = select(_EVENTS.subject, _EVENTS.source, _EVENTS.id).where(
                _EVENTS.letter.is_not(None), _EVENTS.shut.is_(None), _EVENTS.source != self._seat.me,
                _EVENTS.type != DocumentChunkSent.type,  # a document is read under its announcement
            )  # fmt: skip
            opened = select(_READS.subject, _READS.source, _READS.event).where(_READS.who != DESK)
            with self._seat.ledger.read() as tx:
                self._unopened = tx.scalar(select(func.count()).select_from(received.except_(opened).subquery()))
            self._counted = (count, now)
        return self._unopened
