"""Sessions of the agency's people: rows with the digest of a random id, so that each can be ended, and all of a member.

Memory has every session. A use reaches the ledger at most once a minute, so a kill of the desk ends a session a minute
early at worst, and never late.
"""

import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from hashlib import sha256
from typing import Any, Final, Literal

from sqlalchemy import Connection, Row, bindparam, delete, insert, select, update
from sqlalchemy.exc import SQLAlchemyError

from nrmbus.desk.errors import DeskError
from nrmbus.desk.store import tables
from nrmbus.desk.store.ledger import Ledger
from nrmbus.wire import times

IDLE: Final = timedelta(minutes=15)
"""Time without a use after which a session is over."""
WARNING: Final = timedelta(minutes=2)
"""Time before the end at which the page warns; a session can then be extended."""
LONGEST: Final = timedelta(hours=8)
"""Time after the sign-in at which a session is over, however much it is used."""
_RECORD: Final = timedelta(minutes=1)
_AHEAD: Final = timedelta(minutes=1)
"""Time by which a use may lie ahead: a clock that was set back by more ends every session."""
_REMEMBERED: Final = timedelta(hours=1)

How = Literal["password", "code", "recovery_code", "passkey", "provider"]
"""Means of a sign-in: a password alone (an invented member), a password and a code, a passkey, or the agency's provider."""

_ROWS: Final = tables.sessions.c
_USED: Final = update(tables.sessions).where(_ROWS.digest == bindparam("session")).values(used=bindparam("at"))


@dataclass(slots=True)
class Session:
    """Session of one member at one browser."""

    id: str
    """Names the session in a list; worth nothing in a cookie."""
    digest: str = field(repr=False)
    member: str
    began: datetime
    used: datetime
    how: How
    recorded: datetime
    """Last use that the ledger has."""

    @property
    def ends(self) -> datetime:
        """Return when the session is over unless it is used."""
        return min(self.used + IDLE, self.began + LONGEST)


class Sessions:
    """All sessions at one desk."""

    def __init__(self, ledger: Ledger, now: Callable[[], datetime]) -> None:
        """Read the sessions in *ledger*."""
        self._ledger, self._now = ledger, now
        with ledger.read() as tx:
            self._sessions = {row.digest: _session(row) for row in tx.execute(select(tables.sessions))}

    def look(self, value: str) -> Session | None:
        """Return the session whose cookie has *value*, or None if it is over. The session is not used by this: a page that updates automatically asks, and no person."""
        session = self.last(value)
        return session if session is not None and not self._is_over(session, self._now()) else None

    def goes_on(self, session: Session) -> bool:
        """Return whether *session* was neither ended nor is over."""
        return self._sessions.get(session.digest) is session and not self._is_over(session, self._now())

    @staticmethod
    def _is_over(session: Session, now: datetime) -> bool:
        """Return whether *session* is over; one that was used by a clock ahead is, for good, since nobody knows when that was."""
        if session.used > now + _AHEAD:
            session.used = now - IDLE
        return now >= session.ends

    def last(self, value: str) -> Session | None:
        """Return the session whose cookie has *value*, also one that is over since less than an hour: whose form came late."""
        return self._sessions.get(digest_of(value))

    async def use(self, value: str) -> Session | None:
        """Return the same as `look`, and note that the member is there."""
        session, now = self.look(value), self._now()
        if session is None:
            return None
        session.used = now
        if now - session.recorded >= _RECORD:
            session.recorded = now
            with suppress(SQLAlchemyError, DeskError, OSError):  # a full disk, or a server away, signs nobody out
                async with self._ledger.write() as tx:
                    tx.execute(_USED, {"session": session.digest, "at": times.write(now)})
                    self._ledger.make_nothing_due()
        return session if self.goes_on(session) else None  # it may have been ended while this waited for the ledger

    async def begin(self, member: str, how: How, also: Callable[[Connection], None] = lambda _: None) -> str:
        """Begin a session of *member*, and return the value for its cookie; *also* is done in the same transaction."""
        value, now = secrets.token_urlsafe(32), self._now()
        session = Session(secrets.token_hex(8), digest_of(value), member, now, now, how, now)
        ended = [each for each in self._sessions.values() if self._is_over(each, now)]
        over = [each.digest for each in ended if each.ends + _REMEMBERED <= now]
        row = {"digest": session.digest, "id": session.id, "member": member, "how": how}
        async with self._ledger.write() as tx:
            if over:
                tx.execute(delete(tables.sessions).where(_ROWS.digest.in_(over)))
            tx.execute(insert(tables.sessions), row | dict.fromkeys(("began", "used"), times.write(now)))
            also(tx)
            self._ledger.make_nothing_due()
            self._ledger.then(lambda: self._put(session, over))
        return value

    def _put(self, session: Session, over: list[str]) -> None:
        for each in over:
            self._sessions.pop(each, None)
        self._sessions[session.digest] = session

    async def end(self, session: Session) -> None:
        """End one session."""
        async with self._ledger.write() as tx:
            tx.execute(delete(tables.sessions).where(_ROWS.digest == session.digest))
            self._ledger.make_nothing_due()
            self._ledger.then(partial(self._drop, session.digest))

    def _drop(self, digest: str) -> None:
        self._sessions.pop(digest, None)

    async def end_of(self, member: str | None, id: str) -> None:
        """End the session *id* of *member*, of anybody if None; raise DeskError ``not_found`` if there is none."""
        found = next((each for each in self.everybodys() if each.id == id and member in (None, each.member)), None)
        if found is None:
            raise DeskError("not_found")
        await self.end(found)

    async def end_others(self, session: Session) -> None:
        """End every other session of the same member."""
        async with self._ledger.write() as tx:
            others = (_ROWS.member == session.member) & (_ROWS.digest != session.digest)
            tx.execute(delete(tables.sessions).where(others))
            self._ledger.make_nothing_due()
            self._ledger.then(lambda: self.forget(session.member, but=session.digest))

    def forget(self, member: str, *, but: str = "") -> None:
        """Forget the sessions of *member*, which the ledger has no more."""
        kept = {digest: each for digest, each in self._sessions.items() if each.member != member or digest == but}
        self._sessions = kept

    def everybodys(self) -> list[Session]:
        """Return every session that is not over, the newest first."""
        now = self._now()
        there = [each for each in self._sessions.values() if not self._is_over(each, now)]
        return sorted(there, key=lambda each: each.began, reverse=True)

    def of(self, member: str) -> list[Session]:
        """Return the sessions of *member* that are not over, the newest first."""
        return [each for each in self.everybodys() if each.member == member]


def digest_of(value: str) -> str:
    """Return the digest by which the desk knows a secret that it gave out; the secret itself is not stored."""
    return sha256(value.encode("utf-8", "replace")).hexdigest()


def _session(row: Row[Any]) -> Session:
    began, used = (times.read(each) or datetime.min.replace(tzinfo=UTC) for each in (row.began, row.used))
    return Session(row.id, row.digest, row.member, began, used, row.how, used)
