"""Load in the scenarios' words: submissions that the Rules accept, signed as a desk would sign them, as many as wanted.

Each case is a signal and then consents given and refused in turn: events without a letter, of one agency, in sequence.
Used by the chaos run, the benchmark and the registrar's tests, so that all three speak of the same events.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from nrmbus.directory import Identity
from nrmbus.events.case import SignalRecorded
from nrmbus.events.consent import ConsentGiven, ConsentRefused
from nrmbus.events.model import Data, Event
from nrmbus.wire import ids
from nrmbus.wire.envelope import Record, encode
from nrmbus.wire.names import outbox_of

POLICY = "az@2022-04-29"


@dataclass(frozen=True, slots=True)
class Submission:
    """One signed event, and where it goes."""

    agency: str
    id: str
    subject: str
    sequence: int
    partition: int
    record: Record

    @property
    def topic(self) -> str:
        """The outbox of its sender."""
        return outbox_of(self.agency)


@dataclass(slots=True)
class Agency:
    """A sender of load: keys, cases, and the progress of each case."""

    identity: Identity
    receiver: str
    cases: Sequence[str]
    sequences: dict[str, int] = field(default_factory=dict)

    def submit(self, subject: str, now: datetime, partitions: int) -> Submission:
        """Return the next event of *subject*."""
        sequence = self.sequences.get(subject, 0) + 1
        self.sequences[subject] = sequence
        data, agency, partition = self._data(sequence), self.identity.agency, ids.partition_of(subject, partitions)
        event = Event(
            id=ids.new_event_id(), source=agency, type=data.type, version=1, subject=subject, time=now, recordedtime=now,
            sequence=sequence, actor="S-0001", policy=POLICY, data=data,
        )  # fmt: skip
        return Submission(agency, event.id, subject, sequence, partition, encode(event, self.identity.signing))

    def _data(self, sequence: int) -> Data:
        if sequence == 1:
            return SignalRecorded(
                detector="ngo_outreach", child=False, urgency="normal", detected_abroad=False, basis=("indicators",)
            )
        if sequence % 2:
            return ConsentRefused(purposes=("information_sharing",), receivers=(self.receiver,), given_by="individual")
        return ConsentGiven(
            purposes=("information_sharing",), receivers=(self.receiver,), given_by="individual", form="written"
        )


def stream(agencies: Sequence[Agency], now: datetime, partitions: int, *, count: int) -> Iterator[Submission]:
    """Yield *count* submissions, agencies and their cases in turn."""
    start = now - timedelta(seconds=1)
    for turn in range(count):
        agency = agencies[turn % len(agencies)]
        yield agency.submit(agency.cases[(turn // len(agencies)) % len(agency.cases)], start, partitions)
