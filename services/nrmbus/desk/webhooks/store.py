"""Endpoints, deliveries and attempts in the ledger. Every function works within a transaction of its caller.

An endpoint has a place: the last row of the ledger for which deliveries were made. The transaction that moves the place also
writes the delivery, and the transaction that records the answer closes the delivery. So a killed desk goes on, and repeats at
most deliveries without a recorded answer, under the same ``webhook-id``.
"""

import json
import re
import secrets
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    bindparam,
    delete,
    exists,
    func,
    insert,
    or_,
    select,
    update,
)

from nrmbus.desk.state.context import Seat
from nrmbus.desk.store import tables
from nrmbus.desk.store.ledger import open_task
from nrmbus.desk.webhooks import notices, schedule
from nrmbus.desk.webhooks.attempt import Attempt
from nrmbus.desk.webhooks.notices import Notice, Place
from nrmbus.wire import times

State = Literal["active", "paused", "disabled", "removed"]
DeliveryState = Literal["open", "delivered", "exhausted", "cancelled"]

OPEN_AT_MOST: Final = 1_000
"""Deliveries of one endpoint that are written ahead; what happens later waits in the ledger where it stands."""
KEPT: Final = timedelta(days=30)
"""Time for which closed deliveries are kept: as long as an inbox."""

TASKS: Final = {
    "webhook_paused": "A webhook of this agency has failed for five days and is paused: mend its receiver. The desk tries it"
    " once a day; `nrmbus webhook ping` tries it at once. Nothing is lost: after an answer everything is sent.",
    "webhook_gone": "The receiver of a webhook answered 410, so the webhook is disabled: remove it, or mend the receiver and give"
    " `nrmbus webhook enable`.",
    "webhook_secret_lost": "The secret of a webhook was sealed to a key that is destroyed, so the webhook is disabled: give"
    " `nrmbus webhook rotate`, give the new key to the receiver, then give `nrmbus webhook enable`.",
    "webhook_exhausted": "A webhook was not taken in ten attempts over three days: mend its receiver, then give"
    " `nrmbus webhook recover`.",
    "webhook_recovered": "A webhook that failed is taken again; nothing needs to be done.",
}
"""Tasks about endpoints, with their sentences."""

_ID: Final = re.compile("[0-9a-f]{16}")
_MESSAGE: Final = re.compile("msg_[0-9a-f]{32}")
_HOOKS, _ROWS, _TRIES, _TASKS = tables.webhooks.c, tables.deliveries.c, tables.attempts.c, tables.tasks.c
_EARLIER: Final = tables.deliveries.alias("earlier")
_THERE: Final = select(tables.webhooks).where(_HOOKS.state != "removed").order_by(_HOOKS.id)
_OF_HOOK: Final = select(tables.webhooks).where(_HOOKS.id == bindparam("webhook"))
_CHANGE: Final = update(tables.webhooks).where(_HOOKS.id == bindparam("webhook"))
_OF_ID: Final = select(tables.deliveries).where(_ROWS.id == bindparam("delivery"))
_SETTLE: Final = update(tables.deliveries).where(_ROWS.id == bindparam("delivery"))
_TRIED: Final = insert(tables.attempts)
_KNOWN: Final = select(_ROWS.message).where(
    _ROWS.webhook == bindparam("webhook"), _ROWS.message.in_(bindparam("messages", expanding=True))
)
# A delivery is due when it is written, so one that was never tried and is due later comes from a clock that was ahead.
_DUE: Final = (
    select(tables.deliveries)
    .where(
        _ROWS.webhook == bindparam("webhook"), _ROWS.state == "open",
        or_(_ROWS.due <= bindparam("now"), _ROWS.attempts == 0),
    )
    .order_by(_ROWS.due, _ROWS.id).limit(bindparam("limit"))
)  # fmt: skip
_DUE_IN_ORDER: Final = _DUE.where(
    ~exists().where(
        _EARLIER.c.webhook == _ROWS.webhook, _EARLIER.c.state == "open",
        _EARLIER.c.subject == _ROWS.subject, _EARLIER.c.id < _ROWS.id,
    )
)  # fmt: skip
_NEXT: Final = select(func.min(_ROWS.due)).where(
    _ROWS.webhook == bindparam("webhook"), _ROWS.state == "open", _ROWS.due > bindparam("now")
)
_STOPPED: Final = select(func.count()).select_from(tables.webhooks).where(_HOOKS.state.in_(("paused", "disabled")))
_OLDEST: Final = select(func.min(_ROWS.time)).where(_ROWS.state == "open")
_TAKEN: Final = select(func.max(_ROWS.closed)).where(_ROWS.webhook == bindparam("webhook"), _ROWS.state == "delivered")
_OPEN: Final = (
    select(func.count())
    .select_from(tables.deliveries)
    .where(_ROWS.webhook == bindparam("webhook"), _ROWS.state == "open")
)


def endpoints(tx: Connection) -> list[Row[Any]]:
    """Return every endpoint that was not removed."""
    return list(tx.execute(_THERE).all())


def endpoint(tx: Connection, webhook: str) -> Row[Any] | None:
    """Return one endpoint; None if there is none, or if it was removed."""
    if _ID.fullmatch(webhook) is None:  # a server's text takes not every character of an address
        return None
    row = tx.execute(_OF_HOOK, {"webhook": webhook}).first()
    return None if row is None or row.state == "removed" else row


def last_taken(tx: Connection, webhook: str) -> str | None:
    """Return when the receiver of an endpoint last took a delivery; None if it took none in `KEPT`."""
    found: str | None = tx.execute(_TAKEN, {"webhook": webhook}).scalar()
    return found


def add(tx: Connection, url: str, types: Sequence[str], *, in_order: bool, at: str) -> str:
    """Add an endpoint that is sent what happens from now on; return its id."""
    webhook, place = secrets.token_hex(8), notices.newest(tx)
    row = {
        "id": webhook, "url": url, "types": json.dumps(list(types)), "in_order": int(in_order), "state": "active", "since": at,
        "heard": place.heard, "answered": place.answered, "tasked": place.tasked,
    }  # fmt: skip
    tx.execute(insert(tables.webhooks), row)
    return webhook


def change(tx: Connection, webhook: str, **values: Any) -> None:
    """Change columns of an endpoint."""
    tx.execute(_CHANGE, {"webhook": webhook, **values})


def remove(tx: Connection, webhook: str, at: str) -> None:
    """Remove an endpoint: its open deliveries are cancelled, its address is forgotten; the log of what was sent stays."""
    change(tx, webhook, state="removed", since=at, url="")
    open_ones = update(tables.deliveries).where(_ROWS.webhook == webhook, _ROWS.state == "open")
    tx.execute(open_ones.values(state="cancelled", closed=at))


def enable(tx: Connection, webhook: str, at: str) -> None:
    """Have an endpoint served again: everything open is due now, and its attempts are counted from the start."""
    change(tx, webhook, state="active", since=at, failing=None, failed=None, held=None)
    open_ones = update(tables.deliveries).where(_ROWS.webhook == webhook, _ROWS.state == "open")
    tx.execute(open_ones.values(due=at, attempts=0))


# -- what is to be sent ------------------------------------------------------------------------------------------------


def place_of(row: Row[Any]) -> Place:
    """Return the place up to which the ledger was looked at for an endpoint."""
    return Place(row.heard, row.answered, row.tasked)


def may_take(tx: Connection, row: Row[Any], newest: Place) -> bool:
    """Return whether deliveries of what happened up to *newest* may be written for the endpoint *row*: it is active, and has room."""
    return row.state == "active" and place_of(row) != newest and waiting(tx, row.id) < OPEN_AT_MOST


def take(seat: Seat, tx: Connection, now: str) -> bool:
    """Write the deliveries of what happened since, for each active endpoint; return whether there is more."""
    newest, more = notices.newest(tx), False
    for row in endpoints(tx):
        if not may_take(tx, row, newest):
            continue
        found, place = notices.after(seat, tx, place_of(row))
        types = json.loads(row.types)
        put(tx, row.id, (each for each in found if notices.wanted(types, each)), now)
        change(tx, row.id, heard=place.heard, answered=place.answered, tasked=place.tasked)
        more = more or place != newest
    return more


def put(tx: Connection, webhook: str, found: Iterable[Notice], now: str) -> int:
    """Write the deliveries of *found*, due now; what has a delivery already keeps it. Return how many are new."""
    rows = [_row_of(webhook, each, now) for each in found]
    known = (
        set(tx.scalars(_KNOWN, {"webhook": webhook, "messages": [each["message"] for each in rows]})) if rows else ()
    )
    new = [each for each in rows if each["message"] not in known]
    if new:
        tx.execute(insert(tables.deliveries), new)
    return len(new)


def _row_of(webhook: str, notice: Notice, due: str) -> dict[str, Any]:
    return {
        "webhook": webhook, "message": notice.message, "type": notice.type, "subject": notice.subject, "about": notice.about,
        "place": notice.place, "time": notice.time, "state": "open", "due": due,
    }  # fmt: skip


def due(tx: Connection, row: Row[Any], now: str, limit: int) -> list[Row[Any]]:
    """Return deliveries of the endpoint *row* that are due; in order, only the first open one of each case."""
    found = tx.execute(_DUE_IN_ORDER if row.in_order else _DUE, {"webhook": row.id, "now": now, "limit": limit})
    return list(found.all())


def next_due(tx: Connection, webhook: str, now: str) -> str | None:
    """Return when a delivery of an endpoint is due next."""
    found: str | None = tx.scalar(_NEXT, {"webhook": webhook, "now": now})
    return found


# -- what became of it -------------------------------------------------------------------------------------------------


def settle(seat: Seat, tx: Connection, delivery: int, attempt: Attempt, now: datetime, factor: float) -> State:
    """Record an *attempt* of a delivery, and what follows for it and its endpoint; return the endpoint's state.

    *factor* is the jitter of the next attempt.
    """
    at, row = times.write(now), tx.execute(_OF_ID, {"delivery": delivery}).one()
    webhook = tx.execute(_OF_HOOK, {"webhook": row.webhook}).one()
    _tried(tx, delivery, attempt, at)
    hold = schedule.retry_after(attempt.headers.get("retry-after"), now)
    if attempt.is_success:
        _close(tx, delivery, "delivered", at, row.attempts + 1)
        return _succeeded(seat, tx, webhook, at)
    if row.state == "open":  # else it was removed meanwhile
        again = schedule.next_try(row.attempts + 1, now, factor, hold)
        if again is None:
            _close(tx, delivery, "exhausted", at, row.attempts + 1)
        else:
            tx.execute(_SETTLE, {"delivery": delivery, "attempts": row.attempts + 1, "due": times.write(again)})
        return _failed(seat, tx, webhook, attempt.status, now, hold, is_last=again is None)
    return webhook.state  # type: ignore[no-any-return]  # a column of text


def pinged(seat: Seat, tx: Connection, webhook: str, attempt: Attempt, notice: Notice, now: datetime) -> State:
    """Record a ping. A paused endpoint that answers goes on; one that does not is pinged again in a day."""
    at, row = times.write(now), tx.execute(_OF_HOOK, {"webhook": webhook}).one()
    state = "delivered" if attempt.is_success else "exhausted"
    values = _row_of(webhook, notice, at) | {"state": state, "closed": at, "attempts": 1}
    _tried(tx, tx.execute(insert(tables.deliveries).returning(_ROWS.id), values).scalar_one(), attempt, at)
    if attempt.is_success:
        return _succeeded(seat, tx, row, at)
    if row.state == "paused":
        change(tx, webhook, held=times.write(now.replace(microsecond=0) + schedule.PROBE))
    return row.state  # type: ignore[no-any-return]  # the same


def _tried(tx: Connection, delivery: int, attempt: Attempt, at: str) -> None:
    row = {"status": attempt.status, "error": attempt.error, "milliseconds": attempt.milliseconds}
    tx.execute(_TRIED, {"delivery": delivery, "at": at, **row})


def _close(tx: Connection, delivery: int, state: DeliveryState, at: str, attempts: int) -> None:
    tx.execute(_SETTLE, {"delivery": delivery, "state": state, "closed": at, "attempts": attempts})


def _succeeded(seat: Seat, tx: Connection, row: Row[Any], at: str) -> State:
    state: State = row.state
    if state in {"disabled", "removed"}:  # by the answer to another request, or by a person
        return state
    if state == "paused":
        enable(tx, row.id, at)
    if row.failing is not None or row.told:
        change(tx, row.id, failing=None, failed=None, told=0)
    if row.told:
        about = _TASKS.event.startswith(f"webhook/{row.id}/", autoescape=True)
        told = update(tables.tasks).where(_TASKS.done.is_(None), _TASKS.kind.in_(TASKS), about)
        tx.execute(told.values(done=seat.stamp()))
        tell(seat, tx, row.id, "webhook_recovered", seat.stamp())
    return "active"


def _failed(
    seat: Seat,
    tx: Connection,
    row: Row[Any],
    status: int | None,
    now: datetime,
    hold: timedelta | None,
    *,
    is_last: bool,
) -> State:
    at, earlier = times.write(now), (row.failing and times.read(row.failing), row.failed and times.read(row.failed))
    since = schedule.failing_since(*earlier, now)
    values: dict[str, Any] = {"failing": times.write(since), "failed": at}
    if (until := schedule.held_until(status, now, hold)) is not None:
        values["held"] = times.write(until)
    kind = "webhook_exhausted" if is_last else None
    if status == schedule.GONE:
        values |= {"state": "disabled", "since": at}
        kind = "webhook_gone"
    elif row.state == "active" and schedule.is_given_up(since, now):
        values |= {"state": "paused", "since": at, "held": times.write(now + schedule.PROBE)}
        kind = "webhook_paused"
    change(tx, row.id, **values)
    if kind is not None:
        tell(seat, tx, row.id, kind, times.write(since))
    state: State = values.get("state", row.state)
    return state


def tell(seat: Seat, tx: Connection, webhook: str, kind: str, key: str) -> None:
    """Open the task *kind* about an endpoint, once for each *key*."""
    about = json.dumps({"webhook": webhook, "sentence": TASKS[kind]})
    open_task(tx, opened=seat.stamp(), subject="", event_id=f"webhook/{webhook}/{key}", kind=kind, about=about)
    if kind != "webhook_recovered":
        change(tx, webhook, told=1)


# -- again -------------------------------------------------------------------------------------------------------------


def resend(tx: Connection, webhook: str, message: str, at: str) -> bool:
    """Have one delivery sent again, whatever became of it; return False if there is none."""
    if _MESSAGE.fullmatch(message) is None:
        return False
    one = update(tables.deliveries).where(
        _ROWS.webhook == webhook, _ROWS.message == message, _ROWS.type != notices.PING
    )
    return bool(tx.execute(one.values(state="open", due=at, attempts=0, closed=None)).rowcount)


def recover(
    seat: Seat, tx: Connection, *, row: Row[Any], place: Place, since: str, until: str | None, at: str
) -> tuple[int, Place]:
    """Write the deliveries of the next notices behind *place*, since *since* and before *until*; return how many, and the next place."""
    found, following = notices.after(seat, tx, place)
    types = json.loads(row.types)
    fit = (
        each
        for each in found
        if since <= each.time and (until is None or each.time < until) and notices.wanted(types, each)
    )
    return put(tx, row.id, fit, at), following


def reopen(tx: Connection, webhook: str, since: str, until: str | None, at: str, *, delivered: bool) -> int:
    """Have what was given up sent again, of notices since *since* and before *until*; *delivered*: the rest too. Return how many."""
    states = ("exhausted", "cancelled", *(("delivered",) if delivered else ()))
    within = [_ROWS.webhook == webhook, _ROWS.time >= since, _ROWS.type != notices.PING]
    within += [] if until is None else [_ROWS.time < until]
    again = update(tables.deliveries).where(*within, _ROWS.state.in_(states))
    return tx.execute(again.values(state="open", due=at, attempts=0, closed=None)).rowcount


def prune(tx: Connection, before: str) -> None:
    """Remove deliveries that were closed *before* then, and endpoints that were removed and have none."""
    old = select(_ROWS.id).where(_ROWS.closed.is_not(None), _ROWS.closed < before)
    tx.execute(delete(tables.attempts).where(_TRIES.delivery.in_(old)))
    tx.execute(delete(tables.deliveries).where(_ROWS.id.in_(old)))
    left = exists().where(_ROWS.webhook == _HOOKS.id)
    tx.execute(delete(tables.webhooks).where(_HOOKS.state == "removed", ~left))


# -- looking -----------------------------------------------------------------------------------------------------------


def stopped(tx: Connection) -> int:
    """Return the number of endpoints that are sent nothing: paused after failures, or disabled."""
    return tx.scalar(_STOPPED) or 0


def oldest(tx: Connection) -> str | None:
    """Return when the oldest thing happened that an endpoint was not told yet; None if nothing is open."""
    found: str | None = tx.scalar(_OLDEST)
    return found


def waiting(tx: Connection, webhook: str) -> int:
    """Return the number of open deliveries of an endpoint."""
    return tx.scalar(_OPEN, {"webhook": webhook}) or 0


def log(
    tx: Connection, hook: Row[Any], only: Iterable[ColumnElement[bool]], *, after: int, limit: int
) -> list[dict[str, Any]]:
    """Return deliveries of the endpoint *hook* behind the cursor *after* that fulfil *only*, each with its attempts.

    An open delivery has a time at which it is due only if the endpoint is served.
    """
    served = hook.state == "active"
    of_hook = select(tables.deliveries).where(_ROWS.webhook == hook.id, _ROWS.id > after, *only)
    rows = tx.execute(of_hook.order_by(_ROWS.id).limit(limit)).all()
    tried: dict[int, list[dict[str, Any]]] = {row.id: [] for row in rows}
    of_rows: Select[Any] = select(tables.attempts).where(_TRIES.delivery.in_(tried)).order_by(_TRIES.id)
    for row in tx.execute(of_rows):
        what = {"status": row.status, "error": row.error}
        tried[row.delivery].append({"at": row.at, **what, "milliseconds": row.milliseconds})
    return [
        {
            "delivery": row.id, "message": row.message, "type": row.type, "id": row.about, "time": row.time,
            "state": row.state, "due": row.due if served and row.state == "open" else None, "attempts": tried[row.id],
        }
        for row in rows
    ]  # fmt: skip
