"""Test hand-overs on their way, without Kafka and clock: what each test agency waits for, and how old the newest return is."""

from collections import deque
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, NamedTuple

from nrmbus.wire import ids
from nrmbus.wire.envelope import encode_test
from nrmbus.wire.keys.keys import SigningKey
from nrmbus.wire.names import CANARY, TEST_AGENCIES, outbox_of
from nrmbus.wire.record import Record
from nrmbus.wire.registration import Answer

SENDER, RECEIVER = TEST_AGENCIES
SENT: Final = "sent"
RECEIVED: Final = "received"
KEPT: Final = 10
"""Rounds on their way, at most; what comes back later is as good as lost."""


class Due(NamedTuple):
    """The agency that must be handed something next, and the SHA-256 of the record that was written for it."""

    agency: str
    sha256: str


@dataclass(slots=True)
class Round:
    """One hand-over in each partition, sent at *sent* by a monotonic clock; *due* is what is still awaited, by id."""

    sent: float
    due: dict[str, Due] = field(default_factory=dict)


class HandOvers:
    """The rounds of one process, on a bus with so many *partitions*; *keys* are those of the two test agencies."""

    def __init__(self, bus: str, partitions: int, keys: dict[str, SigningKey], began: float) -> None:
        self._bus, self._partitions, self._keys = bus, partitions, keys
        self._rounds = deque[Round](maxlen=KEPT)
        self._newest = began
        """When the newest round that came back was sent; before the first return, when the process began."""
        self.way: float | None = None
        """Seconds that the newest round took that came back; None before the first."""

    def age(self, now: float) -> float:
        """Return the seconds at *now* since the newest round was sent that came back whole."""
        return now - self._newest

    def begin(self, now: float, time: datetime) -> list[Record]:
        """Return the hand-overs of a new round, one for each partition, in their order."""
        begun = Round(now)
        self._rounds.append(begun)
        return [self._written(begun, _subject(each, self._partitions), time) for each in range(self._partitions)]

    def take(self, to: str, answer: Answer, now: float, time: datetime) -> Record | None:
        """Take what the registrar handed over *to* a test agency; return the acknowledgement that is due, if any.

        A hand-over of another process, a repeated one, and one whose record was altered are due by nobody.
        """
        other = TEST_AGENCIES[to]
        for each in self._rounds:
            due = each.due.get(answer.id or "")
            if due != Due(to, answer.sha256) or answer.subject is None or answer.id is None:
                continue
            if (answer.bus, answer.to, answer.code, answer.topic) != (self._bus, to, CANARY, outbox_of(other)):
                return None
            del each.due[answer.id]
            if to == RECEIVER:
                return self._written(each, answer.subject, time, answer.id)
            if not each.due and each.sent >= self._newest:
                self._newest, self.way = each.sent, now - each.sent
            return None
        return None

    def _written(self, of: Round, subject: str, time: datetime, received: str | None = None) -> Record:
        source, step = (RECEIVER, RECEIVED) if received else (SENDER, SENT)
        id = received or ids.new_event_id()
        record = encode_test(source, step, subject, id, time, self._keys[source])
        of.due[id] = Due(TEST_AGENCIES[source], record.digest())
        return record


def _subject(partition: int, partitions: int) -> str:
    """Return a random case reference that belongs to *partition*."""
    while ids.partition_of(subject := ids.new_ref(), partitions) != partition:
        pass
    return subject
