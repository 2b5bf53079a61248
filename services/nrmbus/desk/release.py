"""A person lets a case's parked records through: the same bytes by the same handlers, in the order in which they came."""

from faststream.kafka.message import FAKE_CONSUMER
from sqlalchemy import Row, select

from nrmbus.desk import tables
from nrmbus.desk.cases import unpack
from nrmbus.desk.desk import Desk
from nrmbus.desk.handlers import Inbox
from nrmbus.desk.receive import Released
from nrmbus.wire.record import DELIVERY, REGISTRATION


async def release(desk: Desk, inbox: Inbox, subject: str) -> int:
    """Handle what is parked of *subject* until it is empty or one fails again; how many records are left."""
    while True:
        row = await _first(desk, subject)
        if row is None:
            break
        try:
            await inbox.process_message(_released(row, f"nrm.inbox.{desk.seat.me}"))
        except Exception:  # noqa: BLE001 - undone, and on record as retried; the person hears how many are left
            return await _left(desk, subject)
    async with desk.seat.ledger.write():  # nothing of the case can come in between
        left = await _left(desk, subject)
        if not left:
            desk.parked.discard(subject)
    return left


async def _first(desk: Desk, subject: str) -> Row | None:  # type: ignore[type-arg]  # columns of two tables
    parked, events, inbox = tables.parked, tables.events, tables.inbox
    rows = (
        select(events, inbox.c.registration, inbox.c.delivery)
        .join(parked, parked.c.position == events.c.position)
        .join(inbox, (inbox.c.partition == events.c.partition) & (inbox.c.inbox_number == events.c.inbox_number))
        .where(parked.c.subject == subject)
    )
    async with desk.seat.ledger.read() as tx:
        return (await tx.execute(rows.order_by(parked.c.id).limit(1))).first()


async def _left(desk: Desk, subject: str) -> int:
    async with desk.seat.ledger.read() as tx:
        return len((await tx.scalars(select(tables.parked.c.id).where(tables.parked.c.subject == subject))).all())


def _released(row: Row, topic: str) -> Released:  # type: ignore[type-arg]  # the same
    record = unpack(row.subject, row.headers, row.value, row.letter)
    statements = ((REGISTRATION, row.registration), (DELIVERY, row.delivery))
    return Released(
        topic=topic,
        partition=row.partition,
        offset=row.inbox_number,
        timestamp=0,
        key=row.subject.encode(),
        value=row.value,
        headers=(*record.headers, *statements),
        position=row.position,
        consumer=FAKE_CONSUMER,
    )
