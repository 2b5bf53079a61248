"""Dispatcher of notices: looks at each commit for what people are to be told, and hands the mails over."""

import json
import random
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, time, timedelta
from typing import Any, Final

from sqlalchemy import Connection, Row

from nrmbus import telemetry
from nrmbus.bus.wall_clock import wall_now
from nrmbus.desk.desk import Desk
from nrmbus.desk.duties import Duties
from nrmbus.desk.looking import LOOK_SECONDS, keep_looking
from nrmbus.desk.staff.members import Member, Members, is_address
from nrmbus.desk.store.ledger import open_task
from nrmbus.desk.web.notices import happened, mail, store
from nrmbus.desk.web.notices.happened import Notice
from nrmbus.desk.web.notices.sender import Outcome, Post, Unreachable, post
from nrmbus.desk.web.notices.settings import MailSettings
from nrmbus.desk.web.notices.store import Mail, Place
from nrmbus.desk.webhooks import schedule
from nrmbus.wire import times

GATHERED: Final = timedelta(seconds=10)
"""Time for which a notice waits for others: what happens at the same time is one mail."""
DAILY: Final = time(8)
"""When those who want one mail a day get it, in the country's time."""
PATIENCE: Final = timedelta(minutes=15)
"""Time of nothing but failures after which an administrator is told."""
PRUNE_SECONDS: Final = 3_600.0

TASKS: Final = {
    "mail_refused": "The mail server refused the address of a colleague for good, so this colleague gets no more notices:"
    " correct the address, then have notices switched on again on the page of the account.",
    "mail_failed": "Notices could not be mailed in ten attempts over three days: look at `smtp` in agency.json and at the"
    " mail server. Later notices are tried as usual.",
}
"""Tasks for the administrator, with their sentences."""


class Notices:
    """Notices of one desk."""

    def __init__(
        self,
        desk: Desk,
        members: Callable[[], Members],
        settings: MailSettings,
        *,
        may_send: Callable[[], bool] = lambda: True,
        now: Callable[[], datetime] = wall_now,
        jitter: Callable[[float, float], float] = random.uniform,
        unread: Callable[[], Iterable[str] | None] = tuple,
    ) -> None:
        """Tell the *members* of the agency over the mail server of *settings*, while *may_send*.

        *unread* gives the ids of the anonymous messages that nobody has opened; None while they cannot be read.

        *now* is the time of the wall's clock, by which mails are sent; duties follow the bus's clock.
        """
        self._desk, self._seat, self._members, self._settings = desk, desk.seat, members, settings
        self._may_send, self._now, self._jitter = may_send, now, jitter
        self._duties = Duties(desk)
        self._unread, self._told = unread, frozenset[str]()
        """Keys of the anonymous messages that were told since the start; a row of an earlier start is not written again."""
        self._pruned: datetime | None = None
        self.failing: tuple[str, str] | None = None
        """Since when the mail server takes nothing, and why; None after a success."""

    async def run(self) -> None:
        """Tell what there is to tell until cancelled."""
        await keep_looking(self._seat.ledger, self.once)

    async def once(self) -> float:
        """Write what happened since, send what is due, and return after how many seconds to look again."""
        await self._prune()
        if await self._look():
            return 0.0
        if not self._may_send():
            return LOOK_SECONDS
        await self._send()
        return self._pause()

    def failure(self) -> dict[str, str] | None:
        """Return since when the mail server takes nothing, in a sentence too; None while it works, and in the first minutes."""
        since = times.read(self.failing[0]) if self.failing else None
        if self.failing is None or since is None or self._now() - since < PATIENCE:
            return None
        with self._seat.ledger.read() as tx:
            count = store.count(tx)
        return {
            "since": self.failing[0],
            "sentence": f"The mail server has taken no notice since {since:%Y-%m-%d %H:%M} UTC ({self.failing[1]}), and {count}"
            " wait: look at `smtp` in agency.json, and at the mail server.",
        }

    async def _prune(self) -> None:
        now = self._now()
        if self._pruned is None or (now - self._pruned).total_seconds() >= PRUNE_SECONDS:
            self._pruned = now
            await self._seat.ledger.together(lambda tx: store.prune(tx, times.write(now - store.KEPT)))

    # -- what happened -------------------------------------------------------------------------------------------------

    async def _look(self) -> bool:
        """Write the rows of what happened since the last look; return whether there is more."""
        now = self._seat.now()
        with self._seat.ledger.read() as tx:
            again = store.let_through(tx)
            rows = store.at(tx, again)
            behind, place = self._duties.look(tx, {row.subject for row in rows}), store.place(tx)
            again = [each for each in again if each <= self._duties.read_to]
            if place is None:  # events from before the first start are no news
                found, moved = list[Notice](), Place(store.newest(tx), now)
            else:
                known = [row for row in rows if row.position in again]
                found, moved = self._found(tx, place, now, known, behind=behind)
        waiting = self._waiting()
        found += [each for each in waiting or () if each.key not in self._told]
        if place is None or found or again or moved.heard != place.heard or moved.at < place.at:
            wanted = self._rows(found)
            await self._seat.ledger.together(lambda tx: self._keep(tx, moved, wanted, again))
        if waiting is not None:
            self._told = frozenset(each.key for each in waiting)
        return behind or len(again) == store.AT_A_TIME

    def _waiting(self) -> list[Notice] | None:
        """Return a notice for each anonymous message that nobody has opened; None while they cannot be read."""
        unread = self._unread()
        return None if unread is None else list(happened.of_messages(self._seat, unread))

    def _found(
        self, tx: Connection, place: Place, now: datetime, again: Iterable[Any], *, behind: bool
    ) -> tuple[list[Notice], Place]:
        """Return the notices of the events that the duties know, and of the time since *place* once they know all; and the next place.

        The events of *again* may be from before *place*: no notice of the same key is written twice.
        """
        rows = [*again, *store.heard(tx, place.heard, self._duties.read_to)]
        found = list(happened.of_events(self._seat, tx, self._duties, rows, now))
        heard = max(place.heard, self._duties.read_to)
        if behind:
            return found, Place(heard, place.at)
        # A place in the future is of a clock that was ahead; the key of a notice keeps it from being told twice.
        found += happened.of_time(self._seat, tx, self._duties, min(place.at, now), now)
        return found, Place(heard, now)

    def _keep(
        self, tx: Connection, place: Place, rows: Iterable[tuple[str, str, str, str]], again: Iterable[int]
    ) -> None:
        store.put(tx, rows)
        store.move(tx, place)
        store.looked_at(tx, again)

    def _rows(self, found: Iterable[Notice]) -> list[tuple[str, str, str, str]]:
        """Return member, kind, key and due time of each notice for each member who wants to be told."""
        everybody = {each.number: each for each in self._members().everybody()}
        at_once, daily = times.write(self._now() + GATHERED), times.write(self._next_daily())
        return [
            (each.number, notice.kind, notice.key, daily if each.notices == "daily" else at_once)
            for notice in found
            for each in self._whom(notice, everybody)
        ]

    @staticmethod
    def _whom(notice: Notice, everybody: Mapping[str, Member]) -> Iterable[Member]:
        """Return the member whom *notice* is for, if it is one who is told; else everybody who is told."""
        own = everybody.get(notice.to or "")
        if own is not None and _is_told(own, notice.kind):
            return (own,)
        return (each for each in everybody.values() if _is_told(each, notice.kind))

    def _next_daily(self) -> datetime:
        now = self._now()
        zone = self._seat.rules.profile_at(now).zone
        here = now.astimezone(zone)
        today = datetime.combine(here.date(), DAILY, zone)
        return (today if today > here else datetime.combine(here.date() + timedelta(days=1), DAILY, zone)).astimezone(
            UTC
        )

    # -- sending -------------------------------------------------------------------------------------------------------

    async def _send(self) -> None:
        """Hand over every mail that is due, one after the other."""
        await self._hasten()
        now = times.write(self._now())
        with self._seat.ledger.read() as tx:
            due = [member for member, at in store.waiting(tx) if at <= now]
        left: list[Mail] = []
        for member in due:
            taken = await self._seat.ledger.together(lambda tx, member=member: self._taken(tx, member, now))  # type: ignore[misc]  # one argument, and a default
            if taken is not None:
                left.append(taken)
        if not left:
            return
        try:
            async with post(self._settings) as server:
                while left:
                    await self._deliver(server, left[0])
                    left.pop(0)
        except Unreachable as error:
            self._failed(error.code)
            for each in left:  # none of them is tried: the next one would wait as long
                await self._settle(each, Outcome("failed", error.code))

    async def _hasten(self) -> None:
        """Make each row due as if it were written now whose time lies further ahead: the clock was wrong when it was written."""
        now, daily = self._now(), self._next_daily()
        once_a_day = {each.number for each in self._members().everybody() if each.notices == "daily"}

        def latest(row: Row[Any]) -> datetime:
            if row.mail is not None:
                longest: timedelta = schedule.DELAYS[row.attempts] * schedule.JITTER[1]
                return now + longest
            return daily if row.member in once_a_day else now + GATHERED

        with self._seat.ledger.read() as tx:
            ahead = {row.id: due for row in store.opened(tx) if row.due > (due := times.write(latest(row)))}
        if ahead:
            await self._seat.ledger.together(lambda tx: store.hasten(tx, ahead))

    def _taken(self, tx: Connection, member: str, now: str) -> Mail | None:
        """Return the mail that is to leave for *member*; rows of somebody who is not told any more, or of what has passed, are dropped."""
        taken = store.taken(tx, member, now)
        if taken is not None and not self._kinds(taken):
            self._drop(tx, taken, now)
            return None
        return taken

    def _drop(self, tx: Connection, taken: Mail, at: str) -> None:
        """Close the rows of a mail that is not sent; a member who is not told any more may have been the only one to get them."""
        store.close(tx, taken.id, "dropped", at)
        member = self._members().find(taken.member)
        self._pass_on(tx, [row for row in taken.rows if member is None or not _is_told(member, row.kind)])

    def _pass_on(self, tx: Connection, rows: Iterable[Row[Any]]) -> None:
        """Write the notices of *rows* for everybody who is told; nobody gets a second one of the same key."""
        store.put(tx, self._rows([Notice(row.kind, row.key) for row in rows]))

    def _kinds(self, taken: Mail) -> set[mail.Kind]:
        """Return what the mail still has to say: nothing about a duty that has ended, nothing to who wants no mail."""
        member = self._members().find(taken.member)
        if member is None:
            return set()
        waiting = self._waiting()
        hold = happened.still_hold(self._seat, self._duties, self._seat.now()) | {each.key for each in waiting or ()}
        # A message that was opened meanwhile is better told than one that nobody knows of.
        lasting = mail.LASTING if waiting is not None else mail.LASTING | {"message"}
        rows = [row for row in taken.rows if row.kind in lasting or row.key in hold]
        return {row.kind for row in rows if _is_told(member, row.kind)}

    async def _deliver(self, server: Post, taken: Mail) -> None:
        kinds, member = self._kinds(taken), self._members().find(taken.member)
        at = times.read(taken.at)
        if not kinds or member is None or member.email is None or at is None:
            await self._seat.ledger.together(lambda tx: self._drop(tx, taken, times.write(self._now())))
            return
        if not is_address(member.email):  # an earlier release took any text with an @
            await self._settle(taken, Outcome("refused", "malformed"))
            return
        written = mail.composed(self._settings, member.email, member.language, kinds, id=taken.id, at=at)
        outcome = await server.send(written)
        if outcome.state == "failed":
            self._failed(outcome.code)
        else:
            self.failing = None
        await self._settle(taken, outcome)

    def _failed(self, code: str) -> None:
        self.failing = self.failing or (times.write(self._now()), code)
        telemetry.handled("mail_failed", code=code)

    async def _settle(self, taken: Mail, outcome: Outcome) -> None:
        now = self._now()
        at = times.write(now)
        if outcome.state == "refused":
            telemetry.handled("mail_failed", code=outcome.code)
            await self._members().change(
                taken.member, notices="none", also=lambda tx: self._refused(tx, taken, at, outcome.code)
            )
        elif outcome.state == "sent":
            await self._seat.ledger.together(lambda tx: store.close(tx, taken.id, "sent", at))
        else:
            factor = self._jitter(*schedule.JITTER)
            await self._seat.ledger.together(lambda tx: self._again(tx, taken, now, factor, outcome.code))

    def _refused(self, tx: Connection, taken: Mail, at: str, code: str) -> None:
        store.close(tx, taken.id, "refused", at, code)
        self._pass_on(tx, taken.rows)
        self._tell(tx, "mail_refused", taken.id, member=taken.member)

    def _again(self, tx: Connection, taken: Mail, now: datetime, factor: float, code: str) -> None:
        due = schedule.next_try(taken.attempts + 1, now, factor)
        if due is not None:
            store.again(tx, taken.id, taken.attempts + 1, times.write(due), code)
            return
        store.close(tx, taken.id, "exhausted", times.write(now), code)
        self._tell(tx, "mail_failed", times.write(now)[:10])  # one a day

    def _tell(self, tx: Connection, kind: str, key: str, **about: Any) -> None:
        said = json.dumps({"sentence": TASKS[kind], **about})
        open_task(tx, opened=self._seat.stamp(), subject="", event_id=f"notices/{key}", kind=kind, about=said)

    def _pause(self) -> float:
        """Return after how many seconds a mail is due, or a duty's time comes."""
        now, here = self._now(), self._seat.now()
        with self._seat.ledger.read() as tx:
            dues = [times.read(at) for _, at in store.waiting(tx)]
        moment = happened.next_moment(self._duties, here)
        lefts = [(due - now).total_seconds() for due in dues if due is not None]
        if moment is not None:
            lefts.append((moment - here).total_seconds())
        return min(LOOK_SECONDS, max(min(lefts, default=LOOK_SECONDS), 0.1))


def _is_told(member: Member, kind: mail.Kind) -> bool:
    """Return whether *member* works on what a notice of *kind* is about, has an address, and wants mail."""
    works = member.standing == "active" and ("intake" if kind == "message" else "read_cases") in member.permissions
    return works and member.email is not None and member.notices != "none"
