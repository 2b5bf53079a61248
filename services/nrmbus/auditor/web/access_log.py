"""Access log of the auditor: each question is registered as one ``access.granted`` in the history before it is answered.

The auditor has no desk. It reads the whole history anyway, and finds there its next sequence and the answer of the
registrar. Readings off the record are recorded later, under the time of the reading. Decision records 0010, 0021.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from aiokafka.errors import KafkaError

from nrmbus import telemetry
from nrmbus.auditor.history.history import Entry, History
from nrmbus.auditor.history.live import LiveHistory
from nrmbus.bus.clock import Clock
from nrmbus.events.access import Access, AccessGranted, AccessPurpose
from nrmbus.events.model import Data, Event
from nrmbus.wire import ids
from nrmbus.wire.envelope import encode
from nrmbus.wire.keys.keys import SigningKey
from nrmbus.wire.names import AUDITOR
from nrmbus.wire.record import Record

PATIENCE_SECONDS: Final = 10.0
"""How long the registrar may take; a question that is not registered by then is not answered."""
_EARLIER: Final = timedelta(seconds=1)
"""The least time between a reading off the record and its recording, whatever a stepped clock says."""


class NotOnRecordError(Exception):
    """Raised when a question must not be answered.

    ``code`` is ``unanswered``, the code of the registrar's refusal, or ``not_verified``: then nothing was published.
    """

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True)
class Question:
    """A question; ``subject`` is a case, or the auditor's own number if the question is about no case."""

    actor: str
    purpose: AccessPurpose
    what: Access
    subject: str
    event: str | None = None


@dataclass(frozen=True, slots=True)
class OnRecord:
    """Place of a recorded question in the history."""

    question: Question
    id: str
    partition: int
    number: int
    time: datetime


Send = Callable[[Record, int], Awaitable[object]]
"""Writes a record to a partition of the auditor's outbox, and returns when the broker has stored it."""


class AccessLog:
    """Access log: records questions, and places holds."""

    def __init__(
        self, *, seen: LiveHistory, key: SigningKey, policy: str, partitions: int, clock: Clock, send: Send
    ) -> None:
        """Sign with *key* under *policy*, at the time of *clock*; the registrar's answer is read from *seen*."""
        self.policy: Final = policy
        self._seen, self._key, self._partitions = seen, key, partitions
        self._clock, self._send = clock, send
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._sent: dict[str, int] = {}
        """The sequence under which a reading off the record was sent last, by id."""

    async def record(self, question: Question, *, earlier: tuple[str, datetime] | None = None) -> OnRecord:
        """Record *question*, and return its place in the history.

        *earlier* is the id and the time of a reading off the record, which is recorded once by its id. The event's time is
        that of the reading, and its recorded time is now; two different times mark a reading off the record.

        Raises:
            NotOnRecordError: the question was refused, or not registered within `PATIENCE_SECONDS`, or the history does not verify.
        """
        data = AccessGranted(what=question.what, purpose=question.purpose, event=question.event)
        said = (await self.publish(question.subject, question.actor, data, earlier=earlier)).registration
        return OnRecord(question, said.id, said.partition, said.number, said.time)

    async def publish(
        self, subject: str, actor: str, data: Data, *, earlier: tuple[str, datetime] | None = None
    ) -> Entry:
        """Publish *data* about *subject* for *actor*, and return the registration; *earlier* and errors as of `record`."""
        with suppress(TimeoutError, KafkaError):
            async with self._seen.reading():  # the first time, all of it, which does not count as the registrar's time
                pass
            deadline = asyncio.get_running_loop().time() + PATIENCE_SECONDS
            async with asyncio.timeout_at(deadline):
                await self._turns[subject].acquire()
            try:
                return await self._publish(subject, actor, data, deadline, earlier)
            finally:
                self._turns[subject].release()
        raise NotOnRecordError("unanswered")

    async def _publish(
        self, subject: str, actor: str, data: Data, deadline: float, earlier: tuple[str, datetime] | None
    ) -> Entry:
        id, read = earlier or (ids.new_event_id(int(self._clock.now().timestamp() * 1000)), None)
        while True:
            async with self._seen.reading() as audited:
                due = _last_sequence(audited.history, subject) + 1
                found = _own(audited.history, subject, id) if earlier else None
            if found is not None:  # published before, when its answer was not awaited
                return _registered(found)
            if self._seen.trouble is not None:  # the registration could never be seen, so the reading would not happen
                raise NotOnRecordError("not_verified")
            record = encode(self._event(subject, actor, data, id, due, read), self._key)
            if self._sent.get(id) != due:  # else the record is in the outbox already, from an earlier try
                async with asyncio.timeout_at(deadline):
                    await self._send(record, ids.partition_of(subject, self._partitions))
                if earlier:
                    self._sent[id] = due
            if not await self._seen.until(partial(_has_come, subject, due), deadline):
                raise NotOnRecordError("unanswered")
            async with self._seen.reading() as audited:
                found = _own(audited.history, subject, id)
            if found is not None:
                return _registered(found)
            # A record of an earlier try was registered under this sequence: publish again with the next one.

    def _event(self, subject: str, actor: str, data: Data, id: str, sequence: int, read: datetime | None) -> Event:
        now = self._clock.now()
        with telemetry.produced(data.type, id) as span:
            return Event(
                id=id, source=AUDITOR, type=data.type, version=data.version, subject=subject, recordedtime=now,
                time=min(read, now - _EARLIER) if read else now, sequence=sequence, actor=actor, policy=self.policy,
                data=data, traceparent=span.traceparent,
            )  # fmt: skip


def _own(history: History, subject: str, id: str) -> Entry | None:
    """Return the answer to *id*: the registration, or else the last refusal, or None."""
    ours = [each for each in history.about(subject) if each.registration.source == AUDITOR]
    same = [each for each in ours if each.registration.id == id]
    return next((each for each in reversed(same) if each.said is not None), same[-1] if same else None)


def _registered(found: Entry) -> Entry:
    """Return *found* if it is registered; raise NotOnRecordError if the registrar refused it."""
    if found.registration.verdict == "refused":
        raise NotOnRecordError(found.registration.code or "unanswered")
    return found


def _last_sequence(history: History, subject: str) -> int:
    said = (each.registration for each in history.about(subject))
    return max((each.sequence for each in said if each.source == AUDITOR), default=0)


def _has_come(subject: str, sequence: int, history: History) -> bool:
    return _last_sequence(history, subject) >= sequence
