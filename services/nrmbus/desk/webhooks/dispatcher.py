"""Dispatcher of webhooks: looks at each commit for what is to be sent, and sends it; one task for each request.

The dispatcher itself never waits for the network, and an endpoint has a few requests under way at most: an endpoint that is
slow or dead delays neither the others nor the desk.
"""

import asyncio
import random
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Connection, Row, delete
from sqlalchemy.exc import SQLAlchemyError

from nrmbus import telemetry
from nrmbus.bus.wall_clock import wall_now
from nrmbus.desk.errors import DeskCode, DeskError
from nrmbus.desk.looking import LOOK_SECONDS, keep_looking
from nrmbus.desk.state import book
from nrmbus.desk.state.context import Seat
from nrmbus.desk.store import tables
from nrmbus.desk.webhooks import notices, schedule, signing, store
from nrmbus.desk.webhooks.attempt import ANSWER_BYTES, CONNECTIONS, Attempt, Fault
from nrmbus.desk.webhooks.egress import Egress
from nrmbus.desk.webhooks.notices import Notice
from nrmbus.desk.webhooks.signing import ORIGIN, Algorithm, Secret
from nrmbus.wire import json, times
from nrmbus.wire.errors import WireError

if TYPE_CHECKING:
    from nrmbus.desk.webhooks.sender import Sender

Within = Callable[[Connection], None]
"""First step of a transaction, which is undone if the step raises."""

PRUNE_SECONDS: Final = 3_600.0
CONFIRM_SECONDS: Final = 10.0
"""Seconds that a receiver has to answer the handshake, and the challenge after it: the person who adds a webhook waits for both."""
MOST: Final = 32
"""Most endpoints of one agency."""
GRACE_AT_MOST: Final = timedelta(days=7)
"""Longest time for which an earlier secret signs beside the new one."""
_CHALLENGE: Final = "nrmbus.challenge"
_FAULTY: Final[Mapping[Fault, str]] = {
    "timeout": "No answer came in time.",
    "not_resolved": "The name of the receiver has no address.",
    "address_refused": "The desk does not send to this address.",
    "certificate": "The receiver's certificate has ended, is of another name, or is of an authority that is not trusted here.",
    "unreachable": "Nothing listens at this address.",
    "no_http": "The receiver does not speak HTTP there, or no TLS at an https address.",
}
"""Reasons why a receiver did not confirm, for a person."""


def _sender(url: str, egress: Egress) -> "Sender":
    """Return connections to *url*. A desk without endpoints needs no HTTP client, and does not load one."""
    from nrmbus.desk.webhooks.sender import Sender  # noqa: PLC0415 - loads httpx

    return Sender(url, egress)


@dataclass(slots=True)
class _Line:
    """Connection to one endpoint, and what is under way there."""

    sender: "Sender"
    secrets: tuple[Secret, ...]
    under_way: set[int] = field(default_factory=set)
    width: int = CONNECTIONS
    """Most requests at the same time: 1 after a failure, twice as many after each success."""
    pinging: bool = False
    until: float = 0.0
    """Monotonic time before which nothing is sent, because the ledger did not take a result."""


class Webhooks:
    """Webhooks of one desk."""

    def __init__(
        self,
        seat: Seat,
        egress: Egress,
        *,
        may_send: Callable[[], bool] = lambda: True,
        now: Callable[[], datetime] = wall_now,
        jitter: Callable[[float, float], float] = random.uniform,
    ) -> None:
        """Send as *egress* allows, while *may_send*: another process may have put this one out.

        *now* is the time of the wall's clock, since receivers compare it with theirs; the bus's clock may be another one.
        """
        self._seat, self._egress, self._may_send = seat, egress, may_send
        self._now, self._jitter = now, jitter
        self._lines: dict[str, _Line] = {}
        self._tasks = set[asyncio.Task[None]]()
        self._added = asyncio.Event()
        """Cleared while there is no endpoint: then commits are none of this task's business."""
        self._pruned = -PRUNE_SECONDS

    # -- sending -------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Send what is due until cancelled."""
        self._added.set()
        try:
            await keep_looking(self._seat.ledger, self._look)
        finally:
            await self.close()

    async def close(self) -> None:
        """End every request and connection. What has no recorded answer is sent again by the next process."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for line in self._lines.values():
            await line.sender.close()
        self._lines.clear()

    async def _look(self) -> float:
        with suppress(TimeoutError):
            async with asyncio.timeout(PRUNE_SECONDS):
                await self._added.wait()
        try:
            return await self.once()
        except Exception:
            self._added.set()
            raise

    async def once(self) -> float:
        """Write the deliveries of what happened, begin those that are due, and return after how many seconds to look again."""
        await self._prune()
        self._added.clear()
        with self._seat.ledger.read() as tx:
            rows, newest = store.endpoints(tx), notices.newest(tx)
            has_room = any(store.may_take(tx, row, newest) for row in rows)
        if not rows:
            return 0.0
        self._added.set()
        if not self._may_send():
            return LOOK_SECONDS
        pause = LOOK_SECONDS
        if has_room:
            now = times.write(self._now())
            more = await self._seat.ledger.together(lambda tx: store.take(self._seat, tx, now))
            pause = 0.0 if more else pause
        for row in rows:
            pause = min(pause, await self._begin(row))
        return pause

    async def _prune(self) -> None:
        if time.monotonic() - self._pruned >= PRUNE_SECONDS:
            self._pruned = time.monotonic()
            before = times.write(self._now() - store.KEPT)
            await self._seat.ledger.together(lambda tx: store.prune(tx, before))

    async def _begin(self, row: Row[Any]) -> float:
        """Begin what is due to the endpoint *row*; return after how many seconds something may be due."""
        now = self._now()
        if row.state == "disabled" or (row.state == "paused" and row.held is None):
            return LOOK_SECONDS
        line = await self._line(row)
        if line is None:
            return LOOK_SECONDS
        waits = max(line.until - time.monotonic(), _left(row.held, now))
        if waits > 0:
            return waits
        if row.state == "paused":
            if not line.pinging:
                line.pinging = True
                self._start(self._probe(row.id, line))
            return LOOK_SECONDS
        free = line.width - len(line.under_way)
        if free <= 0:
            return LOOK_SECONDS  # the end of a request is a commit, which leads to the next look
        with self._seat.ledger.read() as tx:
            found = store.due(tx, row, times.write(now), line.width + len(line.under_way))
            following = store.next_due(tx, row.id, times.write(now))
        for each in [one for one in found if one.id not in line.under_way][:free]:
            line.under_way.add(each.id)
            self._start(self._deliver(row.id, line, each))
        return max(_left(following, now), 0.1) if following else LOOK_SECONDS

    def _start(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            telemetry.handled("not_available", error=type(error).__name__)

    async def _deliver(self, webhook: str, line: _Line, row: Row[Any]) -> None:
        """Send one delivery and record what came of it."""
        is_recorded = False
        try:
            attempt = await self._sent(line, row.message, self._body(row))
            line.width = min(CONNECTIONS, line.width * 2) if attempt.is_success else 1
            now, factor = self._now(), self._jitter(*schedule.JITTER)
            state = await self._seat.ledger.together(
                lambda tx: store.settle(self._seat, tx, row.id, attempt, now, factor)
            )
            is_recorded = True
            self._say(webhook, state, attempt)
        finally:
            line.under_way.discard(row.id)
            if not is_recorded:  # it may have been sent, and nothing says so: it is sent again, but not at once
                line.until = time.monotonic() + LOOK_SECONDS

    def _body(self, row: Row[Any]) -> bytes:
        return notices.body_of(row.type, row.time, row.about, row.place, self._seat.ledger.id)

    async def _sent(self, line: _Line, message: str, body: bytes) -> Attempt:
        return await line.sender.post(self._headers(line.secrets, message, body), body)

    def _headers(self, secrets: Sequence[Secret], message: str, body: bytes) -> dict[str, str]:
        now = self._now()
        signed = signing.headers_of(message, body, now, [each for each in secrets if each.signs_at(now)])
        return {**signed, ORIGIN: self._origin, "content-type": "application/json"}

    @property
    def _origin(self) -> str:
        return f"{self._seat.me}.nrmbus"

    def _say(self, webhook: str, state: str, attempt: Attempt) -> None:
        if not attempt.is_success:
            code = attempt.error or str(attempt.status)
            telemetry.handled("webhook_failed", id=webhook, code=code, milliseconds=attempt.milliseconds)
        if state == "paused":
            telemetry.handled("webhook_paused", id=webhook)
        elif state == "disabled":
            telemetry.handled("webhook_disabled", id=webhook)

    async def _line(self, row: Row[Any]) -> _Line | None:
        """Return the connection to an endpoint; None if its secret can be read no more, which becomes a task."""
        if row.id not in self._lines:
            # A rotation meanwhile would find no line, and this one would keep the old secrets.
            async with self._seat.ledger.without_writers():
                raw, _ = book.load(self._seat, _book_of(row.id))
                if raw is not None:
                    self._lines.setdefault(row.id, _Line(_sender(row.url, self._egress), signing.read(raw)))
            if raw is None:
                at = times.write(self._now())
                await self._seat.ledger.together(lambda tx: self._lost(tx, row.id, at))
                return None
        return self._lines[row.id]

    def _lost(self, tx: Connection, webhook: str, at: str) -> None:
        if store.endpoint(tx, webhook) is not None:  # else it was removed meanwhile, and its secret with it
            store.change(tx, webhook, state="disabled", since=at)
            store.tell(self._seat, tx, webhook, "webhook_secret_lost", at)

    async def _forget(self, webhook: str) -> None:
        line = self._lines.pop(webhook, None)
        if line is not None:
            await line.sender.close()

    # -- for the administrator: *within* is done first in the transaction of the change ----------------------------------

    async def add(
        self,
        url: str,
        types: Sequence[str],
        *,
        in_order: bool,
        algorithm: Algorithm,
        within: Within = lambda _: None,
    ) -> tuple[str, Secret]:
        """Add an endpoint whose receiver confirms that it wants to be told; return its id and its secret.

        Raises:
            DeskError: ``webhook_address_refused``, ``webhook_not_confirmed``, ``webhooks_full``; whatever *within* raises.
        """
        secret = Secret.made(algorithm)
        await self._confirmed(url, secret)
        raw, at = signing.written([secret]), times.write(self._now())

        def added(tx: Connection) -> str:
            within(tx)
            if len(store.endpoints(tx)) >= MOST:
                raise DeskError("webhooks_full")
            webhook = store.add(tx, url, types, in_order=in_order, at=at)
            book.store(self._seat, tx, _book_of(webhook), raw)
            return webhook

        webhook = await self._seat.ledger.together(added)
        self._added.set()
        return webhook, secret

    async def _confirmed(self, url: str, secret: Secret) -> None:
        """Ask the receiver: by the handshake of CloudEvents' webhooks, or else by a challenge that it sends back."""
        sender = _sender(url, self._egress)
        try:
            asked = await sender.post({ORIGIN: self._origin}, b"", method="OPTIONS", seconds=CONFIRM_SECONDS)
            if asked.error is not None:
                code: DeskCode = (
                    "webhook_address_refused" if asked.error == "address_refused" else "webhook_not_confirmed"
                )
                raise _unconfirmed(asked, code)
            if asked.is_success and asked.headers.get("webhook-allowed-origin") in {"*", self._origin}:
                return
            message, challenge = _random_id(), _random_id()
            said = {"type": _CHALLENGE, "timestamp": times.write(self._now()), "data": {"challenge": challenge}}
            headers = self._headers([secret], message, body := json.dumps(said))
            answer = await sender.post(headers, body, seconds=CONFIRM_SECONDS)
            if not answer.is_success or _challenge_in(answer.body) != challenge:
                raise _unconfirmed(answer)
        finally:
            await sender.close()

    async def rotate(
        self, webhook: str, grace: timedelta, algorithm: Algorithm | None, within: Within = lambda _: None
    ) -> tuple[Secret, ...]:
        """Give an endpoint a new secret; earlier ones sign beside it for the time of *grace*. Return all, the new one first."""
        now = self._now()
        until = now + min(grace, GRACE_AT_MOST)

        def rotated(tx: Connection) -> tuple[Secret, ...]:
            within(tx)
            _there(tx, webhook)
            raw, _ = book.load_within(self._seat, tx, _book_of(webhook))
            held = signing.read(raw) if raw is not None else ()
            new = signing.rotated(held, now, until, algorithm or (held[0].algorithm if held else "v1a"))
            book.store(self._seat, tx, _book_of(webhook), signing.written(new))
            return new

        new = await self._seat.ledger.together(rotated)
        if (line := self._lines.get(webhook)) is not None:
            line.secrets = new
        return new

    def secrets(self, webhook: str) -> tuple[Secret, ...]:
        """Return the secrets of an endpoint that still sign, the newest first; none if they can be read no more."""
        raw, _ = book.load(self._seat, _book_of(webhook))
        now = self._now()
        return tuple(each for each in (signing.read(raw) if raw else ()) if each.signs_at(now))

    async def remove(self, webhook: str, within: Within = lambda _: None) -> None:
        """Remove an endpoint with its secret; what is under way ends."""
        at = times.write(self._now())

        def removed(tx: Connection) -> None:
            within(tx)
            _there(tx, webhook)
            store.remove(tx, webhook, at)
            tx.execute(delete(tables.book).where(tables.book.c.procedure == _book_of(webhook)))

        await self._seat.ledger.together(removed)
        await self._forget(webhook)

    async def enable(self, webhook: str, within: Within = lambda _: None) -> None:
        """Have a paused or disabled endpoint served again."""
        at = times.write(self._now())

        def enabled(tx: Connection) -> None:
            within(tx)
            _there(tx, webhook)
            store.enable(tx, webhook, at)

        await self._seat.ledger.together(enabled)

    async def ping(self, webhook: str) -> Attempt:
        """Send a ping at once; a paused endpoint that answers goes on.

        Raises:
            DeskError: ``not_found``, ``webhook_address_refused``.
        """
        with self._seat.ledger.read() as tx:
            row = _there(tx, webhook)
        line = await self._line(row)
        if line is None:
            raise DeskError("webhook_secret_lost")
        now, id = self._now(), _random_id()
        notice = Notice(id, notices.PING, "", id, times.write(now))
        body = notices.body_of(notice.type, notice.time, notice.about, None, self._seat.ledger.id)
        attempt = await self._sent(line, id, body)
        at = self._now()
        state = await self._seat.ledger.together(lambda tx: store.pinged(self._seat, tx, webhook, attempt, notice, at))
        self._say(webhook, state, attempt)
        return attempt

    async def _probe(self, webhook: str, line: _Line) -> None:
        try:
            with suppress(SQLAlchemyError, DeskError):
                await self.ping(webhook)
        finally:
            line.pinging = False

    async def resend(self, webhook: str, message: str, within: Within = lambda _: None) -> None:
        """Have one delivery sent again. Raises DeskError ``not_found``."""
        at = times.write(self._now())

        def again(tx: Connection) -> None:
            within(tx)
            _there(tx, webhook)
            if not store.resend(tx, webhook, message, at):
                raise DeskError("not_found")

        await self._seat.ledger.together(again)

    async def recover(
        self, webhook: str, since: str, until: str | None, *, delivered: bool, within: Within = lambda _: None
    ) -> int:
        """Have everything sent that happened since *since*, before *until*, and was not delivered; *delivered*: this too."""
        at = times.write(self._now())
        with self._seat.ledger.read() as tx:
            row, place = _there(tx, webhook), notices.before(tx, since)

        # Each transaction looks whether it is still there: nobody would send or prune what is written for a removed one.
        def reopened(tx: Connection) -> int:
            within(tx)
            _there(tx, webhook)
            return store.reopen(tx, webhook, since, until, at, delivered=delivered)

        def page(tx: Connection, place: notices.Place) -> tuple[int, notices.Place]:
            within(tx)
            _there(tx, webhook)
            return store.recover(self._seat, tx, row=row, place=place, since=since, until=until, at=at)

        count = await self._seat.ledger.together(reopened)
        while True:  # page by page: a long history stops nobody else from writing
            some, following = await self._seat.ledger.together(partial(page, place=place))
            if following == place:
                return count
            count, place = count + some, following


def _book_of(webhook: str) -> str:
    return f"webhook/{webhook}"


def _unconfirmed(answer: Attempt, code: DeskCode = "webhook_not_confirmed") -> DeskError:
    """Return the error for a receiver that gave this *answer* instead of its consent."""
    if code != "webhook_not_confirmed":
        return DeskError(code, safe={"answer": answer.error})
    came = f"The receiver answered {answer.status}." if answer.error is None else _FAULTY[answer.error]
    return DeskError(code, detail=came, safe={"answer": answer.error or answer.status})


def _random_id() -> str:
    return signing.message_id(Secret.made("v1").seed)


def _there(tx: Connection, webhook: str) -> Row[Any]:
    row = store.endpoint(tx, webhook)
    if row is None:
        raise DeskError("not_found")
    return row


def _left(until: str | None, now: datetime) -> float:
    time = times.read(until) if until else None
    return (time - now).total_seconds() if time else 0.0


def _challenge_in(body: bytes) -> object:
    """Return the challenge that an answer has: as the member of a JSON object."""
    try:
        return json.loads(body, limit=ANSWER_BYTES).get("challenge")
    except WireError:
        return None
