"""Start of a new ledger: the first known delivery of its inbox, and the resulting gaps.

If an agency received anything before its ledger was made, an earlier ledger was lost. Kafka keeps an inbox for 30
days, so the desk reads these records again, from the first delivery of an unbroken chain. Letters wait until the
inbox has been read to its end: an erasure or a withdrawal may follow them.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from aiokafka import ConsumerRecord, TopicPartition
from sqlalchemy import Connection, select

from nrmbus import telemetry
from nrmbus.bus.kafka import clients
from nrmbus.bus.reach import Where
from nrmbus.desk.state.context import Seat
from nrmbus.desk.store import tables
from nrmbus.desk.store.ledger import Beginning, Ledger, Position, open_task
from nrmbus.events.case import OPENING
from nrmbus.wire import times
from nrmbus.wire.errors import WireError
from nrmbus.wire.names import inbox_of
from nrmbus.wire.record import DELIVERY, REGISTRATION
from nrmbus.wire.registration import Delivery, Registration, verify_delivery, verify_registration

TASK: Final = "ledger_lost"
"""Kind of the task for a lost ledger, and the name of the loss in `/health`."""

_GONE: Final = (
    "It does not know what it had not sent yet, who had read which letter, and which tasks were done: compare with the "
    "agency's own files. If there is a backup of the ledger from the last 30 days: wait until nrmbus status shows no unanswered "
    "event, stop the desk, put the backup in place ({}), and start again."
)
_OF_A_FILE: Final = "nrmbus restore DIR --part ledger --agency AGENCY"
_OF_A_SERVER: Final = "by the own means of its PostgreSQL server"
INCOMPLETE: Final = (
    "The ledger of this desk was lost and the beginning of this case with it, so status, version and deadlines are not "
    "shown: the registrar and the auditor know them, and every event is judged by the whole case."
)
_EVENTS = tables.events.c
_LOOK_MS: Final = 200


async def look(seat: Seat, where: Where, partitions: int) -> None:
    """Note, for a ledger that has read nothing yet, where the unbroken chain of deliveries begins on each of *partitions*.

    Call before the inbox is read. Nothing is noted if the inbox was always empty.
    """
    if seat.ledger.positions or seat.ledger.beginnings or _has_published(seat.ledger):
        return
    topic = inbox_of(seat.me)
    asking = clients.reader(where)
    await asking.start()
    try:
        ends = await clients.ends(asking, [TopicPartition(topic, each) for each in range(partitions)])
    finally:
        await asking.stop()
    found = {each: await _beginning(seat, where, each) for each, end in ends.items() if end}
    if not found:
        return
    lost = any(is_known for _, _, is_known in found.values())
    async with seat.ledger.write() as tx:
        for each, (beginning, position, _) in found.items():
            seat.ledger.begin(tx, each.partition, replace(beginning, noticed=seat.stamp(), lost=lost))
            if position is not None:
                seat.ledger.advance(each.partition, position)
    if lost:
        telemetry.handled("alarm", code=TASK)


def _has_published(ledger: Ledger) -> bool:
    """Return whether something waits or was sent: then the inbox was empty when the ledger began, which is no new one."""
    with ledger.read() as tx:
        return tx.execute(select(tables.outbox.c.seq).limit(1)).first() is not None


async def _beginning(seat: Seat, where: Where, partition: TopicPartition) -> tuple[Beginning, Position | None, bool]:
    """Return where the chain on *partition* begins, from where to read, and whether a desk of this agency read it before."""
    start: tuple[int, Delivery, Registration] | None = None
    last, is_known, first = 0, False, None
    async with clients.reading(where, partition) as (consumer, end):
        while await consumer.position(partition) < end:
            for record in (await consumer.getmany(partition, timeout_ms=_LOOK_MS)).get(partition, ()):
                first = record.offset if first is None else first
                read = _delivered(seat, record)
                if read is None:
                    continue
                delivery, registration = read
                is_known = is_known or registration.source == seat.me
                # A repeated receipt has an earlier number. After a gap the chain starts again: the part before is not complete.
                if start is None or delivery.inbox_number > last + 1:
                    start = record.offset, delivery, registration
                last = max(last, delivery.inbox_number)
    if start is None:
        return Beginning(until=end), None, is_known or first is None
    offset, delivery, registration = start
    number, since = delivery.inbox_number, times.write(registration.time)
    beginning = Beginning(inbox_number=number, previous=delivery.previous, since=since, until=end)
    return beginning, Position(number - 1, delivery.previous, offset), is_known or number > 1


def _delivered(seat: Seat, record: ConsumerRecord) -> tuple[Delivery, Registration] | None:
    headers = dict(record.headers)
    try:
        delivery = verify_delivery(headers[DELIVERY], seat.registrar_key)
        registration = verify_registration(headers[REGISTRATION], seat.registrar_key)
    except (KeyError, TypeError, WireError):
        return None
    fits = (delivery.bus, delivery.to, delivery.partition) == (seat.bus, seat.me, record.partition)
    return (delivery, registration) if fits and delivery.registration == registration.digest else None


def is_read_again(ledger: Ledger, partition: int, offset: int) -> bool:
    """Return whether the record at *offset* lay in the inbox when a ledger began that had read nothing."""
    beginning = ledger.beginnings.get(partition)
    return beginning is not None and offset < beginning.until


def begins_with(ledger: Ledger, delivery: Delivery) -> bool:
    """Return whether *delivery* is the ledger's first one on a partition that was empty when the ledger began."""
    beginning = ledger.beginnings.get(delivery.partition)
    return beginning is not None and beginning.inbox_number is None


def is_begun(ledger: Ledger) -> bool:
    """Return whether the first delivery is known on each partition whose inbox was not empty when the ledger began."""
    return all(each.inbox_number is not None for each in ledger.beginnings.values())


def begin_with(ledger: Ledger, tx: Connection, delivery: Delivery, registration: Registration) -> None:
    """Note within *tx* that the chain begins with *delivery*."""
    known, number, since = ledger.beginnings[delivery.partition], delivery.inbox_number, times.write(registration.time)
    lost = known.lost or number > 1
    first = replace(known, inbox_number=number, previous=delivery.previous, since=since, lost=lost)
    ledger.begin(tx, delivery.partition, first)


def is_before(ledger: Ledger, partition: int, inbox_number: int) -> bool:
    """Return whether the delivery *inbox_number* came before the first one that this ledger knows."""
    beginning = ledger.beginnings.get(partition)
    return beginning is not None and beginning.inbox_number is not None and inbox_number < beginning.inbox_number


def is_incomplete(ledger: Ledger, tx: Connection, subject: str) -> bool:
    """Return whether events of the case *subject* may have come before the first delivery that this ledger knows."""
    if not any(each.missing != 0 for each in ledger.beginnings.values()):
        return False
    first = select(_EVENTS.type, _EVENTS.partition).where(_EVENTS.subject == subject).order_by(_EVENTS.position)
    row = tx.execute(first.limit(1)).first()
    beginning = ledger.beginnings.get(row.partition) if row is not None else None
    return row is not None and beginning is not None and beginning.missing != 0 and row.type not in OPENING


def shown(ledger: Ledger) -> Mapping[str, Any] | None:
    """Return the entry of `/health` for a lost ledger, or None if no ledger was lost.

    ``since`` is the time from which the desk knows every delivery, None if nothing is missing; ``missing`` counts the
    deliveries that the broker no longer has, None if the count is unknown.
    """
    lost = [each for each in ledger.beginnings.values() if each.lost or each.missing]
    if not lost:
        return None
    noticed = min(each.noticed for each in lost)
    gone = [each for each in lost if each.missing != 0]
    since = max((each.since or each.noticed for each in gone), default=None)
    missing = None if any(each.missing is None for each in gone) else sum(each.missing or 0 for each in gone)
    return {"noticed": noticed, "since": since, "missing": missing, "sentence": _sentence(ledger, noticed, since)}


def _sentence(ledger: Ledger, noticed: str, since: str | None) -> str:
    gone = _GONE.format(_OF_A_FILE if isinstance(ledger.place, Path) else _OF_A_SERVER)
    begins = f"The ledger of this desk was gone on {noticed}, and the desk reads its inbox again"
    if since is None:
        return f"{begins} from the first record: nothing that it was told is missing. {gone}"
    return (
        f"{begins} from the first record that the broker still has: it knows nothing that it was told before {since}, and "
        f"shows cases that may have begun before as incomplete. {gone}"
    )


async def tell(seat: Seat) -> None:
    """Open the task that the ledger was lost, once the inbox has been read to where it ended at the start."""
    ledger = seat.ledger
    if (found := shown(ledger)) is None:
        return
    about = json.dumps({"code": TASK, **{name: found[name] for name in ("sentence", "since", "missing")}})
    async with ledger.write() as tx:
        open_task(tx, opened=seat.stamp(), subject="", event_id=f"{TASK}/{found['noticed']}", kind=TASK, about=about)
