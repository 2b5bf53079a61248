"""From the topic into the log: what is in order is a leaf, and whatever else comes stops the reading and is named."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from auditor.given import refused
from nrmbus.auditor.errors import LogCode
from nrmbus.auditor.heads import SignedHeads
from nrmbus.auditor.log import Log
from nrmbus.auditor.publishing import Publisher
from nrmbus.auditor.reading import Reading
from nrmbus.directory import LogIdentity
from nrmbus.registrar.shard import Shard
from nrmbus.wire import statement
from nrmbus.wire.checkpoint import origin_of
from nrmbus.wire.keys import SigningKey
from nrmbus.wire.record import AUDIENCE, MATERIAL, REGISTRATION, Record
from nrmbus.wire.registration import Registration, sign_registration
from registrar.given import BUS, NOW, Bus, check_history

ORIGIN = origin_of(BUS, 0)
OTHER_BUS = "play-fedcba9876543210"
STRANGER = SigningKey.from_seed(bytes(32))


class Audited:
    """A history in memory, and the folder that its log is in."""

    def __init__(self, home: Path) -> None:
        """Five registrations: the third was refused."""
        self.bus = Bus(home)
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

    def reading(self) -> Reading:
        """A reading that begins, as after a start."""
        self.close()
        self.log = Log(self.home / "log", self.heads, BUS, 0)
        return Reading(self.log, {self.bus.key.kid: self.bus.key.verify_key}.__getitem__)

    def close(self) -> None:
        """As a process that ends."""
        if self.log:
            self.log.close()
            self.log = None

    def read(self, records: list[Record]) -> Reading:
        """Read *records* after a start, and commit."""
        reading = self.reading()
        taken(reading, records)
        reading.log.commit()
        return reading

    def resigned(self, at: int, key: SigningKey | None = None, **fields: Any) -> Record:
        """The record of number *at* with other *fields* in its registration, signed as well as can be."""
        record = self.history[at - 1]
        registration = Registration.parse(statement.body_of("registration", header(record, REGISTRATION)))
        altered = Registration.model_validate(registration.model_dump() | fields)
        return with_header(record, REGISTRATION, sign_registration(altered, key or self.bus.key))


def header(record: Record, name: str) -> bytes:
    """The value of one header."""
    return dict(record.headers)[name]


def with_header(record: Record, name: str, value: bytes) -> Record:
    """*record* with another *value* in one header; without the header, if it is empty."""
    headers = [(each, value if each == name else old) for each, old in record.headers]
    return Record(record.key, record.value, tuple((each, new) for each, new in headers if new))


def taken(reading: Reading, records: list[Record]) -> None:
    """Have *reading* take *records*."""
    for each in records:
        reading.take(each)


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
    assert leaves == [statement.body_of("registration", header(each, REGISTRATION)) for each in audited.history]
    assert [Registration.parse(leaf).verdict for leaf in leaves].count("refused") == 1


def test_after_a_start_the_topic_is_read_again_and_goes_on(audited: Audited) -> None:
    """What the log holds is compared, what it does not hold is appended."""
    audited.read(audited.history[:3])
    reading = audited.read(audited.history)
    reading.end()

    assert (reading.number, reading.log.size) == (5, 5)


Alter = Callable[[Audited, list[Record]], object]


def _put(at: int, made: Callable[[Audited, Record], Record]) -> Alter:
    return lambda audited, records: records.__setitem__(at, made(audited, records[at]))


BROKEN: list[tuple[str, Alter, LogCode, int]] = [
    ("taken out", lambda _, records: records.pop(1), "gap", 3),
    ("head cut", lambda _, records: records.pop(0), "gap", 2),
    ("twice", lambda _, records: records.insert(2, records[1]), "duplicate", 2),
    ("two changed places", lambda _, records: records.insert(1, records.pop(2)), "gap", 3),
    ("other previous", _put(2, lambda audited, _: audited.resigned(3, previous="0" * 64)), "chain_broken", 3),
    ("other number", _put(2, lambda audited, _: audited.resigned(3, number=9)), "gap", 9),
    ("other bus", _put(2, lambda audited, _: audited.resigned(3, bus=OTHER_BUS)), "foreign", 3),
    ("other partition", _put(2, lambda audited, _: audited.resigned(3, partition=1)), "foreign", 3),
    ("signed by a stranger", _put(2, lambda audited, _: audited.resigned(3, STRANGER)), "signature_invalid", 3),
    (
        "signature altered",
        _put(2, lambda _, each: with_header(each, REGISTRATION, altered_signature(header(each, REGISTRATION)))),
        "signature_invalid",
        3,
    ),
    (
        "signed as another thing",
        _put(2, lambda audited, each: with_header(each, REGISTRATION, statement.sign_bytes("delivery", statement.body_of("registration", header(each, REGISTRATION)), audited.bus.key))),
        "unreadable",
        3,
    ),
    ("no registration", _put(2, lambda _, each: with_header(each, REGISTRATION, b"")), "unreadable", 3),
    ("two registrations", _put(2, lambda _, each: each.with_header(REGISTRATION, b"{}")), "unreadable", 3),
    ("nothing at all", _put(2, lambda _, __: Record(None, None, ())), "unreadable", 3),
    ("other data", _put(1, lambda _, each: Record(each.key, b"{}", each.headers)), "envelope_altered", 2),
    ("other attribute", _put(1, lambda _, each: with_header(each, "ce_actor", b"S-2")), "envelope_altered", 2),
    ("no signature of the sender", _put(1, lambda _, each: with_header(each, MATERIAL, b"")), "envelope_altered", 2),
    (
        "the envelope of another event",
        _put(3, lambda audited, each: Record(each.key, audited.history[1].value, tuple((name, dict(audited.history[1].headers).get(name, value) if name not in {REGISTRATION, AUDIENCE} else value) for name, value in each.headers))),
        "envelope_altered",
        4,
    ),
    ("what was refused", _put(2, lambda _, each: each.with_header("ce_id", b"x")), "envelope_altered", 3),
    ("what was refused, its data", _put(2, lambda _, each: Record(each.key, b"{}", each.headers)), "envelope_altered", 3),
    ("other audience", _put(1, lambda audited, each: with_header(each, AUDIENCE, header(audited.history[0], AUDIENCE))), "audience_altered", 2),
    ("no audience", _put(1, lambda _, each: with_header(each, AUDIENCE, b"")), "audience_altered", 2),
]  # fmt: skip


def altered_signature(raw: bytes) -> bytes:
    """The envelope with another first character in its signature."""
    before, _, signature = raw.partition(b'"sig":"')
    return before + b'"sig":"' + (b"B" if signature[:1] == b"A" else b"A") + signature[1:]


@pytest.mark.parametrize(("alter", "code", "number"), [row[1:] for row in BROKEN], ids=[row[0] for row in BROKEN])
def test_whatever_is_not_the_next_registration_stops_the_reading(
    audited: Audited, alter: Alter, code: LogCode, number: int
) -> None:
    """Partition and number are named, nothing of it is in the log, and what came before it is."""
    records = list(audited.history)
    alter(audited, records)
    reading = audited.reading()

    error = refused(code, taken, reading, records)

    assert (error.origin, error.number) == (ORIGIN, number)
    assert reading.number == reading.log.size < 5
    leaves = [reading.log.holds(at + 1, statement.body_of("registration", header(each, REGISTRATION))) for at, each in enumerate(audited.history[: reading.log.size])]  # fmt: skip
    assert all(leaves)


REWRITTEN: list[tuple[str, Alter, LogCode, int]] = [
    ("taken out", lambda _, records: records.pop(1), "gap", 3),
    ("head cut", lambda _, records: records.pop(0), "gap", 2),
    ("twice", lambda _, records: records.insert(2, records[1]), "duplicate", 2),
    ("rewritten", _put(1, lambda audited, _: audited.resigned(2, envelope="e" * 64)), "out_of_turn", 2),
    ("unreadable", _put(1, lambda _, __: Record(None, None, ())), "unreadable", 2),
]


@pytest.mark.parametrize(("alter", "code", "number"), [row[1:] for row in REWRITTEN], ids=[row[0] for row in REWRITTEN])
def test_a_topic_that_is_not_what_the_log_holds_is_noticed_at_the_next_start(
    audited: Audited, alter: Alter, code: LogCode, number: int
) -> None:
    """Though every signature in it is the registrar's: the log remembers what stood there."""
    before = audited.read(audited.history).log.head
    records = list(audited.history)
    alter(audited, records)
    reading = audited.reading()

    assert refused(code, taken, reading, records).number == number
    assert reading.log.head == before


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
