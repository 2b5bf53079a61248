"""Log ingest: the next registration becomes a leaf; any other record stops the ingest and is named."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from agencies import BUS, NOW
from auditor.altered_topics import HISTORIES, REWRITTEN, Alter, reading_of, taken
from auditor.evidence.given import ORIGIN, Evidence
from auditor.given import refused
from nrmbus.auditor.errors import LogCode
from nrmbus.auditor.log.ingest import LogIngest
from nrmbus.auditor.log.log import Log
from nrmbus.auditor.log.publisher import Publisher
from nrmbus.auditor.log.signed_heads import SignedHeads
from nrmbus.directory import LogIdentity
from nrmbus.registrar.shard import Shard
from nrmbus.wire import statement
from nrmbus.wire.record import REGISTRATION, Record
from nrmbus.wire.registration import Registration
from registrar.given import Bus, check_history


class Audited:
    """A history in memory, and the folder that its log is in."""

    def __init__(self, home: Path) -> None:
        """Five registrations: the third was refused."""
        self.bus = Bus()
        self.shard: Shard = self.bus.shard()
        self.bus.signal(self.shard)
        self.bus.consents(self.shard, "vac")
        self.bus.say(self.shard, "vac", "plan.completed", {"outcome": "achieved"})
        self.bus.consents(self.shard, "fund")
        self.bus.signal(self.shard, case="cd" * 16)
        self.history = self.bus.history
        self.home = home
        self.heads = SignedHeads(home / "heads.db")
        self.publisher = Publisher(LogIdentity.at(home / "auditor"), ORIGIN)
        self.log: Log | None = None

    def reading(self) -> LogIngest:
        """Return a log ingest that begins, as after a start."""
        self.close()
        self.log = Log(self.home / "log", self.heads, BUS, 0)
        return LogIngest(self.log, {self.bus.key.kid: self.bus.key.verify_key}.__getitem__)

    def close(self) -> None:
        """Close the log, as an ending process does."""
        if self.log:
            self.log.close()
            self.log = None

    def read(self, records: list[Record]) -> LogIngest:
        """Read *records* after a start, and commit."""
        reading = self.reading()
        for each in records:
            reading.take(each)
        reading.log.commit()
        return reading


def body_of(record: Record) -> bytes:
    """Return the leaf in a record."""
    return statement.body_of("registration", dict(record.headers)[REGISTRATION])


@pytest.fixture(name="audited")
def _audited(tmp_path: Path) -> Iterator[Audited]:
    audited = Audited(tmp_path)
    yield audited
    audited.close()
    check_history(audited.bus, audited.shard)


def test_every_registration_is_a_leaf_refusals_too(audited: Audited) -> None:
    """The leaf of number n is the registration as the registrar signed it."""
    reading = audited.read(audited.history)
    reading.end()

    assert reading.number == reading.log.size == len(audited.history) == 5
    leaves = [reading.log.registration(number) for number in range(1, 6)]
    assert leaves == [body_of(each) for each in audited.history]
    assert [Registration.parse(leaf).verdict for leaf in leaves].count("refused") == 1


def test_after_a_start_the_topic_is_read_again_and_goes_on(audited: Audited) -> None:
    """Registrations in the log are compared, later ones are appended."""
    audited.read(audited.history[:3])
    reading = audited.read(audited.history)
    reading.end()

    assert (reading.number, reading.log.size) == (5, 5)


BY_ITS_OWN_NUMBER = {"gap", "duplicate", "out_of_turn", "chain_broken", "foreign"}
"""Codes that name the number in the record; the others name the number that was due."""


@pytest.fixture(name="evidence", scope="module")
def _evidence(tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    return Evidence(tmp_path_factory.mktemp("evidence"))


@pytest.mark.parametrize(("alter", "code"), [row[1:3] for row in HISTORIES], ids=[row[0] for row in HISTORIES])
def test_any_record_but_the_next_registration_stops_the_reading(
    evidence: Evidence, tmp_path: Path, alter: Alter, code: LogCode
) -> None:
    """Partition and number are named; earlier records are in the log, and the record is not."""
    true = evidence.bus.history
    records = list(true)
    alter(records, evidence)
    with closing(Log(tmp_path / "log", SignedHeads(tmp_path / "heads.db"), BUS, 0)) as log:
        reading = reading_of(log, evidence)

        error = refused(code, taken, reading, records)

        number = reading.number + 1
        if code in BY_ITS_OWN_NUMBER:
            number = Registration.parse(body_of(records[reading.number])).number
        assert (error.origin, error.number) == (ORIGIN, number)
        assert reading.number == log.size
        assert all(log.holds(at, body_of(each)) for at, each in enumerate(true[: log.size], 1))


@pytest.mark.parametrize(("alter", "code"), [row[1:] for row in REWRITTEN], ids=[row[0] for row in REWRITTEN])
def test_a_topic_that_is_not_what_the_log_holds_is_noticed_at_the_next_start(
    evidence: Evidence, tmp_path: Path, alter: Alter, code: LogCode
) -> None:
    """Every signature is the registrar's, but the log remembers the earlier history, and still has it."""
    records = list(evidence.bus.history)
    alter(records, evidence)
    heads = SignedHeads(tmp_path / "heads.db")
    with closing(Log(tmp_path / "log", heads, BUS, 0)) as log:
        taken(reading_of(log, evidence), evidence.bus.history)
        log.commit()
    with closing(Log(tmp_path / "log", heads, BUS, 0)) as log:
        refused(code, taken, reading_of(log, evidence), records)

        assert log.head == evidence.log.head


def test_a_topic_that_lost_its_tail_is_noticed_at_its_end(audited: Audited) -> None:
    """The log reaches further than the topic."""
    audited.read(audited.history)
    reading = audited.read(audited.history[:3])

    assert refused("tail_cut", reading.end).number == 4


def test_a_topic_that_lost_what_was_signed_is_noticed_though_the_log_was_restored(audited: Audited) -> None:
    """Topic and log from one old backup agree with each other; what was signed does not agree with them."""
    signing = audited.read(audited.history)
    audited.publisher.sign(signing.log, NOW)
    audited.close()
    (audited.home / "log").rename(audited.home / "lost")
    reading = audited.read(audited.history[:3])

    assert refused("tail_cut", reading.end).number == 5
