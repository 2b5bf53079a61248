"""What an auditor asks is on record in the same history before it is answered: one ``access.granted`` a question.

The auditor has no desk: it reads the whole history anyway, so the next sequence, and whether its record came back
registered, are read there. What was read off the record while that could not be had is put there afterwards, under the
time of its reading. Decision records 0010, 0021.
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
from nrmbus.auditor.history.live import Seen
from nrmbus.bus.clock import Clock
from nrmbus.events.access import Access, AccessGranted, AccessPurpose
from nrmbus.events.model import Data, Event
from nrmbus.wire import ids
from nrmbus.wire.envelope import encode
from nrmbus.wire.keys.keys import SigningKey
from nrmbus.wire.names import AUDITOR
from nrmbus.wire.record import Record

PATIENCE_SECONDS: Final = 10.0
"""How long the registrar may take; a question that is not on record by then is not answered."""
PURPOSES: Final[tuple[AccessPurpose, ...]] = ("audit", "complaint", "court", "person_request", "incident")
"""Why an auditor reads, of the published list."""
_EARLIER: Final = timedelta(seconds=1)
"""What is put on record afterwards happened at least so long before, whatever a stepped clock says."""


class NotOnRecordError(Exception):
    """Raised when a question must not be answered: ``code`` is ``unanswered``, or why the registrar refused it."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True)
class Question:
    """What somebody wants to see: of *subject*, a case, or the auditor's own number where it is about none."""

    actor: str
    purpose: AccessPurpose
    what: Access
    subject: str
    event: str | None = None


@dataclass(frozen=True, slots=True)
class OnRecord:
    """Where a question stands in the history."""

    question: Question
    id: str
    partition: int
    number: int
    time: datetime


Send = Callable[[Record, int], Awaitable[object]]
"""Writes a record to a partition of the auditor's outbox, and returns when the broker has it."""


class Asking:
    """Puts questions on record."""

    def __init__(self, *, seen: Seen, key: SigningKey, policy: str, partitions: int, clock: Clock, send: Send) -> None:
        """Sign with *key* under *policy*, by *clock*; *seen* is where the answer is read."""
        self.policy: Final = policy
        self._seen, self._key, self._partitions = seen, key, partitions
        self._clock, self._send = clock, send
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._sent: dict[str, int] = {}
        """Of what is put on record afterwards, by id: the sequence under which it was sent last."""

    async def record(self, question: Question) -> OnRecord:
        """Have *question* registered.

        Raises:
            NotOnRecordError: it is not, within `PATIENCE_SECONDS` or at all.
        """
        data = AccessGranted(what=question.what, purpose=question.purpose, event=question.event)
        said = (await self.say(question.subject, question.actor, data)).registration
        return OnRecord(question, said.id, said.partition, said.number, said.time)

    async def afterwards(self, question: Question, id: str, read: datetime) -> OnRecord:
        """Have *question* registered, which was answered off the record at *read*; once, however often it is said under *id*.

        It happened at *read* and is recorded now: that a reading's two times differ says that it was off the record.

        Raises:
            NotOnRecordError: as `record`.
        """
        data = AccessGranted(what=question.what, purpose=question.purpose, event=question.event)
        said = (await self.say(question.subject, question.actor, data, earlier=(id, read))).registration
        return OnRecord(question, said.id, said.partition, said.number, said.time)

    async def say(self, subject: str, actor: str, data: Data, *, earlier: tuple[str, datetime] | None = None) -> Entry:
        """Have *data* registered about *subject*, as *actor* of the auditor says it; raises as `record`.

        *earlier*: the id and the time of what happened before now.
        """
        with suppress(TimeoutError, KafkaError):
            async with self._seen.reading():  # the first time, all of the history: that is not the registrar's time
                pass
            deadline = asyncio.get_running_loop().time() + PATIENCE_SECONDS
            async with asyncio.timeout_at(deadline):
                await self._turns[subject].acquire()
            try:
                return await self._say(subject, actor, data, deadline, earlier)
            finally:
                self._turns[subject].release()
        raise NotOnRecordError("unanswered")

    async def _say(
        self, subject: str, actor: str, data: Data, deadline: float, earlier: tuple[str, datetime] | None
    ) -> Entry:
        id, read = earlier or (ids.new_event_id(int(self._clock.now().timestamp() * 1000)), None)
        while True:
            async with self._seen.reading() as audited:
                due = _last_sequence(audited.history, subject) + 1
                found = _own(audited.history, subject, id) if earlier else None
            if found is not None:  # said before, and its answer was not waited for
                return found
            record = encode(self._event(subject, actor, data, id, due, read), self._key)
            if self._sent.get(id) != due:  # else it lies in the outbox since it was given up, and is only waited for
                async with asyncio.timeout_at(deadline):
                    await self._send(record, ids.partition_of(subject, self._partitions))
                if earlier:
                    self._sent[id] = due
            if not await self._seen.until(partial(_has_come, subject, due), deadline):
                raise NotOnRecordError("unanswered")
            async with self._seen.reading() as audited:
                found = _own(audited.history, subject, id)
            if found is not None:
                if found.registration.verdict == "refused":
                    raise NotOnRecordError(found.registration.code or "unanswered")
                return found
            # What was given up before was registered after all, in this one's place: once more, behind it.

    def _event(self, subject: str, actor: str, data: Data, id: str, sequence: int, read: datetime | None) -> Event:
        now = self._clock.now()
        with telemetry.produced(data.type, id) as span:
            return Event(
                id=id,
                source=AUDITOR,
                type=data.type,
                version=data.version,
                subject=subject,
                time=min(read, now - _EARLIER) if read else now,
                recordedtime=now,
                sequence=sequence,
                actor=actor,
                policy=self.policy,
                data=data,
                traceparent=span.traceparent,
            )


def _own(history: History, subject: str, id: str) -> Entry | None:
    """What became of it: of several answers under one id, that it was registered."""
    same = [
        each for each in history.about(subject) if (each.registration.source, each.registration.id) == (AUDITOR, id)
    ]
    return next((each for each in reversed(same) if each.said is not None), same[-1] if same else None)


def _last_sequence(history: History, subject: str) -> int:
    return max(
        (each.registration.sequence for each in history.about(subject) if each.registration.source == AUDITOR),
        default=0,
    )


def _has_come(subject: str, sequence: int, history: History) -> bool:
    return _last_sequence(history, subject) >= sequence
