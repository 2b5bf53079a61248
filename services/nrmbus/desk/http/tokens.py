"""Tokens of the agency's own systems: named, scoped, with an end; stored as a digest, and revocable at once.

The ledger has every token, and memory follows each commit. A token is random and as long as its digest, so a plain
SHA-256 gives nothing away. Whoever may write the ledger can add a token (README, Trusted with what).
"""

import asyncio
import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Annotated, Any, Final

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError
from sqlalchemy import Connection, Row, bindparam, select, update
from sqlalchemy.exc import SQLAlchemyError

from nrmbus.bus.wall_clock import wall_now
from nrmbus.desk.errors import DeskError
from nrmbus.desk.http.limits import A_MINUTE, MOST_A_MINUTE
from nrmbus.desk.http.scopes import LOCAL, SCOPES, Caller, ScopeName
from nrmbus.desk.staff import changes
from nrmbus.desk.staff.changes import Also
from nrmbus.desk.staff.sessions import digest_of
from nrmbus.desk.store import tables
from nrmbus.desk.store.ledger import Ledger, replaced
from nrmbus.events.errors import Problem
from nrmbus.events.model import Frozen, Time
from nrmbus.wire import times

PREFIX: Final = "nrm_"
"""Start of every token, by which a scan for secrets finds one that was published by mistake."""
BEARER: Final = f"Bearer {PREFIX}"
"""Start of the Authorization header of a request with such a token."""
LONGEST: Final = timedelta(days=366)
"""Longest life of a token."""
SOON: Final = timedelta(days=14)
"""Time before the end of a token from which health, status and doctor name it."""
IN_USE: Final = timedelta(days=7)
"""Time since the last use after which nobody misses a token."""
RECORD_SECONDS: Final = 30.0
"""Seconds after which the ledger has the uses so far; a kill loses the later ones."""

_ROW = tables.tokens.c
_ADD: Final = replaced(tables.tokens, *(each.name for each in tables.tokens.columns if not each.primary_key))
_REVOKE: Final = update(tables.tokens).where(_ROW.name == bindparam("token")).values(revoked=bindparam("at"))
_USED: Final = (
    update(tables.tokens)
    .where(_ROW.name == bindparam("token"), _ROW.made == bindparam("of"))
    .values(used=_ROW.used + bindparam("more"), last_used=bindparam("at"))
)


def _no_number(name: str) -> str:
    """Return *name*, unless a member's number could be taken for it: of digits alone. The frozen pattern allows those."""
    if name.isdecimal():
        raise PydanticCustomError("string_pattern_mismatch", "digits alone")
    return name


Name = Annotated[
    str,
    Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$", description="Of the system that gets it; not of digits alone."),
    AfterValidator(_no_number),
]


class NewToken(Frozen):
    """A token as the administrator asks for it."""

    name: Name
    scopes: Annotated[
        tuple[ScopeName, ...], Field(max_length=len(SCOPES), description="None: `/health` and `/metrics` alone.")
    ]
    ends: Annotated[Time, Field(description="At most 366 days from now.")]
    a_minute: Annotated[
        int | None, Field(ge=1, le=MOST_A_MINUTE, description="Requests a minute; left out: what `agency.json` says.")
    ] = None


@dataclass(slots=True)
class _Token:
    """One token that was not revoked, and its uses that the ledger does not have yet."""

    caller: Caller
    made: str
    ends: datetime
    used: int = 0
    last_used: str | None = None
    before: str | None = None
    """The last use that the ledger has."""

    @property
    def newest(self) -> datetime | None:
        """Time of the last use."""
        last = self.last_used or self.before
        return times.read(last) if last else None


class Tokens:
    """The tokens of one desk."""

    def __init__(
        self,
        ledger: Ledger,
        is_local: Callable[[str | None], bool],
        a_minute: int = A_MINUTE,
        now: Callable[[], datetime] = wall_now,
    ) -> None:
        """Read the tokens in *ledger*; *is_local* recognises the token of ``door.json`` in an Authorization header.

        *a_minute* is the limit of a token that has none of its own.
        """
        self._ledger, self._is_local, self._a_minute, self._now = ledger, is_local, a_minute, now
        with ledger.read() as tx:
            rows = tx.execute(select(tables.tokens).where(_ROW.revoked.is_(None))).all()
        self._valid = {row.digest: self._of(row) for row in rows}

    def caller_of(self, authorization: str | None) -> Caller | None:
        """Return the caller with the token of an Authorization header, and count the use; None if no such token is valid."""
        if self._is_local(authorization):
            return LOCAL
        if authorization is None or not authorization.startswith(BEARER):
            return None
        found = self._valid.get(digest_of(authorization.removeprefix("Bearer ")))
        now = self._now()
        if found is None or found.ends <= now:
            return None
        found.used += 1
        found.last_used = times.write(now)
        return found.caller

    def holds(self, caller: Caller) -> bool:
        """Return whether the token of *caller* is still valid: neither revoked nor replaced, nor at its end."""
        return caller is LOCAL or any(
            each.caller is caller and each.ends > self._now() for each in self._valid.values()
        )

    def ending(self, agency: str) -> dict[str, str] | None:
        """Return the token in use that ends next, if it ends soon, with what to do at *agency*; None otherwise."""
        now = self._now()
        used = [each for each in self._valid.values() if (last := each.newest) and last > now - IN_USE]
        found = min((each for each in used if now < each.ends <= now + SOON), key=lambda each: each.ends, default=None)
        if found is None:
            return None
        name, ends = found.caller.name, times.write(found.ends)
        what = f"The token {name}, which a system uses, ends on {ends[:10]}"
        return {
            "token": name,
            "ends": ends,
            "sentence": f"{what}: make another one for the system with nrmbus token add {agency} NAME.",
        }

    async def add(
        self, asked: NewToken, maker: Caller, by: str | None = None, also: Also = lambda _: None
    ) -> dict[str, Any]:
        """Make a token; return it with its row. This is the only time that anybody sees it.

        *by* is the number of the member who asked at a page. *also* is done in the same transaction.

        Raises:
            DeskError: ``token_exists`` if a valid one has the name; ``scope_missing`` if *maker* lacks one of its scopes;
                ``unknown_field`` if it would end before now, too late, or after the token of *maker*; ``token_required``
                if the token of *maker* was revoked meanwhile, or has ended.
        """
        maker.require(*asked.scopes)
        now = self._now()
        who, scopes = by or maker.name, " ".join(each for each in SCOPES if each in asked.scopes)
        token = PREFIX + secrets.token_urlsafe(32)
        row = {
            "name": asked.name, "digest": digest_of(token), "made": times.write(now), "made_by": who,
            "scopes": scopes, "ends": times.write(asked.ends),
            "a_minute": asked.a_minute, "revoked": None, "used": 0, "last_used": None,
        }  # fmt: skip
        async with self._ledger.write() as tx:
            also(tx)
            if not self.holds(maker):  # a revoked token has no end here that would bound the new one
                raise DeskError("token_required")
            mine = next((each for each in self._valid.values() if each.caller == maker), None)
            latest = min(now + LONGEST, mine.ends) if mine else now + LONGEST
            if not now < asked.ends <= latest:
                kind = "greater_than_equal" if asked.ends <= now else "less_than_equal"
                raise DeskError("unknown_field", [Problem("/ends", kind)])
            before = tx.execute(select(tables.tokens).where(_ROW.name == asked.name)).one_or_none()
            if before is not None and self._standing(before) == "valid":
                raise DeskError("token_exists")
            tx.execute(_ADD, row)
            self._note(tx, "token added", who, asked.name, scopes)
            made = tx.execute(select(tables.tokens).where(_ROW.name == asked.name)).one()
            self._ledger.make_nothing_due()
            self._ledger.then(lambda: self._put(made, before))
        return {**self._shown(made), "token": token}

    def _put(self, made: Row[Any], before: Row[Any] | None) -> None:
        if before is not None:
            self._forget(before.digest)
        self._valid[made.digest] = self._of(made)

    def _of(self, row: Row[Any]) -> _Token:
        scopes = frozenset(each for each in SCOPES if each in row.scopes.split())
        caller = Caller(row.name, scopes, self._a_minute if row.a_minute is None else row.a_minute)
        ends = times.read(row.ends) or datetime.min.replace(tzinfo=UTC)
        return _Token(caller, row.made, ends, before=row.last_used)

    def _forget(self, digest: str) -> None:
        self._valid.pop(digest, None)

    async def revoke(self, name: str, by: str, also: Also = lambda _: None) -> dict[str, Any]:
        """Have *by* end a token now, for every later request; return its row. A token that was revoked already stays as it is.

        *also* is done in the same transaction.

        Raises:
            DeskError: ``not_found`` if no token has that name.
        """
        async with self._ledger.write() as tx:
            also(tx)
            self._write_uses(tx)
            row = tx.execute(select(tables.tokens).where(_ROW.name == name)).one_or_none()
            if row is None:
                raise DeskError("not_found")
            if row.revoked is None:
                tx.execute(_REVOKE, {"token": name, "at": times.write(self._now())})
                self._note(tx, "token removed", by, name, "")
                row = tx.execute(select(tables.tokens).where(_ROW.name == name)).one()
                digest = row.digest
                self._ledger.then(lambda: self._forget(digest))
            self._ledger.make_nothing_due()
        return self._shown(row)

    def _note(self, tx: Connection, what: changes.What, by: str, name: str, scopes: str) -> None:
        changes.note(tx, what, at=times.write(self._now()), who=by, of=name, may=scopes)

    def page(self, after: str, limit: int) -> list[dict[str, Any]]:
        """Return the tokens after the name *after*, at most *limit*, without the secret."""
        with self._ledger.read() as tx:
            wanted = select(tables.tokens).where(_ROW.name > after).order_by(_ROW.name).limit(limit)
            return [self._shown(row) for row in tx.execute(wanted)]

    def _shown(self, row: Row[Any]) -> dict[str, Any]:
        since = self._valid.get(row.digest)
        last = since.last_used if since and since.last_used else row.last_used
        shown: dict[str, Any] = {
            "name": row.name, "scopes": row.scopes.split(), "state": self._standing(row), "made": row.made,
            "made_by": row.made_by, "ends": row.ends, "used": row.used + (since.used if since else 0),
        }  # fmt: skip
        more = {"a_minute": row.a_minute, "revoked": row.revoked, "last_used": last}
        return shown | {name: value for name, value in more.items() if value is not None}

    def _standing(self, row: Row[Any]) -> str:
        ends = times.read(row.ends)
        return "revoked" if row.revoked else "valid" if ends is not None and ends > self._now() else "ended"

    async def record_uses(self) -> None:
        """Write the uses so far into the ledger."""
        if any(each.used for each in self._valid.values()):
            async with self._ledger.write() as tx:
                self._write_uses(tx)
                self._ledger.make_nothing_due()

    def _write_uses(self, tx: Connection) -> None:
        for each in self._valid.values():
            if count := each.used:  # a server answers later, and requests go on being counted
                use = {"token": each.caller.name, "of": each.made, "more": count, "at": each.last_used}
                tx.execute(_USED, use)
                self._ledger.then(partial(_written, each, count))

    async def run(self) -> None:
        """Write the uses into the ledger from time to time, and at the end."""
        try:
            while True:
                await asyncio.sleep(RECORD_SECONDS)
                with suppress(SQLAlchemyError):  # tried again in a while
                    await self.record_uses()
        finally:
            with suppress(SQLAlchemyError):
                await self.record_uses()


def _written(token: _Token, count: int) -> None:
    token.used -= count
