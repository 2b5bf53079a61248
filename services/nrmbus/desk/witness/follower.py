"""Process of the witness: follows ``nrm.checkpoints``, and co-signs logs that grow by appending only.

Before a witness signs, earlier signatures are read from two places: the ledger, and the desk's own topic. A ledger
restored from a backup is behind; the topic is not.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime
from typing import Final

from aiokafka import TopicPartition

from nrmbus import telemetry
from nrmbus.bus.kafka import clients
from nrmbus.bus.periodic import every
from nrmbus.bus.reach import Where
from nrmbus.desk.state.context import Seat
from nrmbus.desk.witness import cosignatures, decision
from nrmbus.desk.witness.decision import Alarm, Submitted
from nrmbus.wire import base64, times
from nrmbus.wire.log.checkpoint import witness_name
from nrmbus.wire.log.cosignature import Cosigner
from nrmbus.wire.log.note import Note
from nrmbus.wire.names import CHECKPOINTS, witness_of

LOOK_MS: Final = 1_000
"""Milliseconds to wait for a checkpoint before checking again if this desk may sign."""

AGAIN_SECONDS: Final = 2.0
BEGIN_SECONDS: Final = 3.0
"""Seconds before the first look: hourly checkpoints can wait until every desk of a machine has started."""

_UNKNOWN_KEY: Final = {"note_unsigned", "log_signature_missing"}

Sent = tuple[int, bytes | None]
"""Offset and value of a record."""


class Witness:
    """Witness of one desk. *may_sign* says whether the desk has read its inbox to the end."""

    def __init__(self, seat: Seat, may_sign: Callable[[], bool]) -> None:
        self._seat, self._ledger, self._may_sign = seat, seat.ledger, may_sign
        self._cosigner = Cosigner(witness_name(seat.bus, seat.me), seat.identity.witness)
        self._own = base64.encode(seat.identity.witness.public)
        self._recalled = False
        self._looked = -1
        """Count of the ledger's commits at the last look with nothing to sign."""

    @property
    def own_topic(self) -> str:
        """Return the topic of this desk's co-signatures."""
        return witness_of(self._seat.me)

    @property
    def cosigns(self) -> bool:
        """Return whether this desk co-signs now: inbox and own topic are read, and the directory has its key."""
        entry = self._seat.directory.entries.get(self._seat.me)
        return self._recalled and entry is not None and entry.witness == self._own and self._may_sign()

    def next_offset(self, topic: str) -> int:
        """Return the offset at which reading *topic* continues."""
        with self._ledger.read() as tx:
            return cosignatures.next_offset(tx, topic)

    async def recall(self, sent: Iterable[Sent]) -> None:
        """Store all new records of this desk's own topic; signing is allowed only after this."""
        seat, records = self._seat, list(sent)
        own = (*seat.directory.witnesses(seat.me), self._cosigner.verifier)
        async with self._ledger.write() as tx:
            for offset, raw in records:
                found = decision.signed_before(raw, seat.bus, own)
                alarm, size = None if found else Alarm("signature_invalid"), None
                if found is not None:
                    checkpoint, time = found
                    size = checkpoint.size
                    try:
                        at = times.write(datetime.fromtimestamp(time, UTC))
                        cosignatures.recall(tx, checkpoint, raw or b"", at)
                    except Alarm as caught:
                        alarm = caught
                if alarm is not None:
                    source, stamp = f"{self.own_topic}/{offset}", seat.stamp()
                    cosignatures.keep_alarm(tx, alarm, source=source, record=raw or b"", size=size, at=stamp)
            if records:
                cosignatures.advance(tx, self.own_topic, records[-1][0] + 1)
        self._recalled = True

    def interrupted(self) -> None:
        """Sign nothing until the topics are followed again, this desk's own first."""
        self._recalled = False

    async def take(self, offset: int, raw: bytes | None) -> bool:
        """Check the next record of ``nrm.checkpoints``; return False while the directory names no log, to read it again."""
        submitted, alarm = self._read(raw)
        if alarm is not None and alarm.code in _UNKNOWN_KEY:  # the directory may say more by now
            await self._seat.catch_up()
            submitted, alarm = self._read(raw)
        if not self._seat.directory.log_keys():
            return False
        size, at = submitted.checkpoint.size if submitted else None, self._seat.stamp()
        outcome = "checked"
        async with self._ledger.write() as tx:
            if submitted is not None:
                try:
                    known = cosignatures.known(tx, submitted.checkpoint.origin, submitted.checkpoint.size)
                    if decision.follows(submitted, known):
                        cosignatures.keep_checked(tx, submitted, offset, at)
                    else:
                        outcome = "known"
                except Alarm as caught:
                    alarm = caught
            if alarm is not None:
                source, outcome = f"{CHECKPOINTS}/{offset}", "alarm"
                cosignatures.keep_alarm(tx, alarm, source=source, record=raw or b"", size=size, at=at)
            cosignatures.advance(tx, CHECKPOINTS, offset + 1)
        code = {"code": alarm.code} if alarm else {}
        telemetry.handled(outcome, topic=CHECKPOINTS, offset=offset, **code)
        return True

    def _read(self, raw: bytes | None) -> tuple[Submitted | None, Alarm | None]:
        try:
            return Submitted.believed(raw, self._seat.bus, self._seat.directory.log_keys()), None
        except Alarm as alarm:
            return None, alarm

    async def sign(self) -> None:
        """Co-sign the newest checked tree of each log; each co-signature is stored before sending."""
        time, count = int(self._seat.now().timestamp()), self._ledger.count
        if not self.cosigns or time < 1 or self._looked == count:  # before any tick, a stepped clock shows no time
            return
        with self._ledger.read() as tx:
            due = cosignatures.due(tx)
        if not due:
            self._looked = count
            return
        async with self._ledger.write() as tx:
            for checkpoint in cosignatures.due(tx):
                cosigned = Note(checkpoint.text, (self._cosigner.cosign(checkpoint.text, time),))
                cosignatures.keep_signed(tx, checkpoint, cosigned.bytes(), self._seat.stamp())

    async def send(self, publish: Callable[[bytes], Awaitable[None]]) -> None:
        """Send the stored co-signatures by *publish*, which returns after the broker's acknowledgement. Idempotent."""
        with self._ledger.read() as tx:
            unsent = cosignatures.unsent(tx)
        for row in unsent:
            await publish(row.cosignature)
            async with self._ledger.write() as tx:
                cosignatures.keep_sent(tx, row.origin, row.size)
            telemetry.handled("cosigned", topic=self.own_topic, size=row.size)


async def run(witness: Witness, where: Where) -> None:
    """Run the witness until cancelled. Errors are retried: the desk's other work goes on."""

    async def look() -> None:
        await _recall(witness, where)
        await _follow(witness, where)

    def failed(error: Exception) -> None:  # no record of a topic that concerns no case may stop a desk
        witness.interrupted()
        telemetry.handled("not_available", topic=CHECKPOINTS, error=type(error).__name__)

    await every(AGAIN_SECONDS, look, first=BEGIN_SECONDS, failed=failed)


async def _recall(witness: Witness, where: Where) -> None:
    own, sent = TopicPartition(witness.own_topic, 0), list[Sent]()
    start = witness.next_offset(witness.own_topic)
    async with clients.reading(where, own, offset=start) as (consumer, end):
        while await consumer.position(own) < end:
            for records in (await consumer.getmany(own, timeout_ms=LOOK_MS)).values():
                sent += [(record.offset, record.value) for record in records]
    await witness.recall(sent)


async def _follow(witness: Witness, where: Where) -> None:
    async def publish(note: bytes) -> None:
        async with clients.producer(where) as producer:  # once an hour, so no connection is kept
            await producer.send_and_wait(witness.own_topic, value=note, partition=0)

    topic = TopicPartition(CHECKPOINTS, 0)
    start = witness.next_offset(CHECKPOINTS)
    async with clients.reading(where, topic, offset=start, watcher=True) as (consumer, _):
        while True:
            for records in (await consumer.getmany(topic, timeout_ms=LOOK_MS)).values():
                for record in records:
                    if not await witness.take(record.offset, record.value):
                        consumer.seek(topic, record.offset)
                        await asyncio.sleep(AGAIN_SECONDS)
                        break
            end = consumer.highwater(topic)
            if end is not None and await consumer.position(topic) >= end:  # the newest tree of each log, none before it
                await witness.sign()
            await witness.send(publish)
