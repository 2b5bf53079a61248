"""Failed attempts to sign in within the last minutes, by name and in total. Names that nobody has count as others do.

A name is stored as a digest under a random key that is sealed to the desk, so the rows tell nobody what was typed.
"""

import hmac
import secrets
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Final

from sqlalchemy import delete, insert, select
from sqlalchemy.exc import SQLAlchemyError

from nrmbus.desk.errors import DeskError
from nrmbus.desk.state import book
from nrmbus.desk.state.context import Seat
from nrmbus.desk.store import tables
from nrmbus.web.folding import folded
from nrmbus.wire import times

OF_NAME: Final = 5
"""Failures with one name after which nobody may try the name for a while."""
OF_ALL: Final = 100
"""Failures with all names together after which nobody may try any; who is signed in, or has a passkey, goes on."""
WITHIN: Final = timedelta(minutes=15)

_ROWS: Final = tables.sign_in_failures.c
_KEY: Final = "staff/names"


class Attempts:
    """Failures to sign in at one desk, in memory and in the ledger; attempts under way count as failed."""

    def __init__(self, seat: Seat, now: Callable[[], datetime]) -> None:
        """Read the failures in the ledger of *seat*."""
        self._seat, self._now = seat, now
        self._under_way = Counter[str]()
        raw, _ = book.load(seat, _KEY)
        self._key, self._is_kept = raw or secrets.token_bytes(32), raw is not None
        with seat.ledger.read() as tx:
            rows = tx.execute(select(_ROWS.who, _ROWS.at).order_by(_ROWS.id)).all()
        self._failed = [(row.who, times.read(row.at) or datetime.min.replace(tzinfo=UTC)) for row in rows]

    def who(self, name: str) -> str:
        """Return the digest under which *name* is counted."""
        return hmac.new(self._key, folded(name).encode("utf-8", "replace"), sha256).hexdigest()[:32]

    def allows(self, who: str) -> bool:
        """Return whether *who* may try now."""
        recent = [each for each, _ in self._recent(self._now())]
        own = recent.count(who) + self._under_way[who]
        return own < OF_NAME and len(recent) + self._under_way.total() < OF_ALL

    def _recent(self, now: datetime) -> list[tuple[str, datetime]]:
        """Return the failures that count at *now*; those of a clock that was further ahead than `WITHIN` would lock for ever."""
        return [each for each in self._failed if abs(now - each[1]) < WITHIN]

    @contextmanager
    def trying(self, who: str) -> Iterator[None]:
        """Count an attempt of *who* as failed while the block runs, so that many at the same time are no more guesses."""
        self._under_way[who] += 1
        try:
            yield
        finally:
            self._under_way[who] -= 1
            self._under_way += Counter()  # without those at zero

    async def failed(self, who: str) -> None:
        """Record a failed attempt of *who*; while the ledger cannot be written, memory alone counts it."""
        now = self._now()
        self._failed = [*self._recent(now), (who, now)]
        with suppress(SQLAlchemyError, DeskError, OSError):
            async with self._seat.ledger.write() as tx:
                if not self._is_kept:
                    book.store(self._seat, tx, _KEY, self._key)
                old, ahead = (times.write(each) for each in (now - WITHIN, now + WITHIN))
                tx.execute(delete(tables.sign_in_failures).where((_ROWS.at <= old) | (_ROWS.at >= ahead)))
                tx.execute(insert(tables.sign_in_failures), {"who": who, "at": times.write(now)})
                self._seat.ledger.make_nothing_due()
                self._seat.ledger.then(self._keep)

    def _keep(self) -> None:
        self._is_kept = True

    async def succeeded(self, who: str) -> None:
        """Forget the failures of *who*, who has signed in."""
        if any(each == who for each, _ in self._failed):
            async with self._seat.ledger.write() as tx:
                tx.execute(delete(tables.sign_in_failures).where(_ROWS.who == who))
                self._seat.ledger.make_nothing_due()
                self._seat.ledger.then(lambda: self._forget(who))

    def _forget(self, who: str) -> None:
        self._failed = [each for each in self._failed if each[0] != who]
