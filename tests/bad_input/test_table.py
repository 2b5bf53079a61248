"""Bad input gets an answer with a code and without an echo, and blocks nothing behind it."""

import asyncio
from collections.abc import Iterator
from itertools import chain
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.producer import message_accumulator
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy
from confluent_kafka import Producer

from bad_input.bombs import answered
from bad_input.forged import FORGED, Forged
from bad_input.forged import batch as forged
from bad_input.given import CANARY, PARTITIONS, Fate, Post, posted
from bad_input.rows import TABLE, Row, partition_of
from brokers import Broker
from canaries import holds
from nrmbus.play.trail import check
from nrmbus.wire.keys.keys import SealingKey
from nrmbus.wire.record import Record

pytestmark = pytest.mark.broker

JUNK = 10_000
BOMB = 32 * 1024 * 1024


@pytest.fixture(scope="module", name="bus")
def _bus(kafka: Broker) -> Iterator[tuple[Post, SealingKey]]:
    with posted(kafka) as bus:
        yield bus


@pytest.fixture(name="post")
def _post(bus: tuple[Post, SealingKey]) -> Post:
    return bus[0]


def told(fate: Fate) -> tuple[str, str | None]:
    """The verdict and its code."""
    return fate.verdict, fate.code


def left_nothing(post: Post) -> bool:
    """Return whether every topic but the outboxes, and every log line, is free of the sent content."""
    return not any(holds(each, CANARY) for each in (*post.written, post.log().encode()))


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_bad_input_is_answered_and_stalls_nothing(row: Row, post: Post) -> None:
    """One row of the table: answer and code, coordinates and digest, a good event behind it, and no echo."""
    record = row.make(post)
    fate = post.submit(record, row.owner, partition_of(post, row, record))

    assert told(fate) == (row.verdict, row.code)
    if fate.answer is None:
        assert fate.registration is not None
        assert fate.registration["rule"]
        assert fate.registration["article"]
    else:
        assert fate.answer["to"] == row.owner
        assert fate.answer["sha256"] == record.digest()
    post.goes_on()
    assert left_nothing(post)


def test_a_letter_sealed_to_a_retired_key_is_refused(bus: tuple[Post, SealingKey]) -> None:
    """The special unit has a new key by now: a letter to the old key would stay shut, or open to a thief."""
    post, retired = bus
    fate = post.submit(post.referral(post.ready_to_refer(), retired=retired))

    assert told(fate) == ("refused", "key_not_current")
    post.goes_on()


def test_the_same_letter_sealed_as_is_right_goes_through(post: Post) -> None:
    """The rows above fail for what they say and nothing else: without it, the referral is registered and delivered."""
    record = post.referral(post.ready_to_refer())
    fate = post.submit(record)
    event = dict(record.headers)["ce_id"].decode()

    assert told(fate) == ("registered", None)
    post.until(lambda: ("special-unit", event) in post.delivered, "the referral was not delivered")


def test_a_letter_refused_for_its_recipients_reached_none(post: Post) -> None:
    """P2: not even entitled agencies get a copy of a letter that was sealed to the wrong agencies."""
    refused = post.referral(post.ready_to_refer(), readers=("special-unit", "vac"))
    event = dict(refused.headers)["ce_id"].decode()
    post.submit(refused)
    post.goes_on()

    assert not [agency for agency, id in post.delivered if id == event and agency != "ngo-a"]


class _NotUtf8(str):
    """A name that goes over the wire as bytes that are not UTF-8."""

    __slots__ = ()

    def encode(self, *_how: Any) -> bytes:
        return b"x-\xff\xfe-" + CANARY.encode()


def test_a_header_name_that_is_not_utf8_is_set_aside(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    """No client sends such a record and every client fails on it: the registrar quarantines the record and handles its neighbours."""
    monkeypatch.setattr(message_accumulator, "DefaultRecordBatchBuilder", _DefaultRecordBatchBuilderPy)
    good = [post.signal(), post.signal()]
    bad = post.signal()

    async def sent() -> int:
        async with AIOKafkaProducer(bootstrap_servers=post.folder.bootstrap) as producer:
            batch = producer.create_batch()
            for each, more in ((good[0], []), (bad, [(_NotUtf8("x"), b"1")]), (good[1], [])):
                batch.append(key=each.key, value=each.value, timestamp=None, headers=[*each.headers, *more])
            lies = await producer.send_batch(batch, "nrm.outbox.ngo-a", partition=0)
            return int((await lies).offset)

    offset = asyncio.run(sent())

    assert told(post.fate(("nrm.outbox.ngo-a", 0, offset + 1))) == ("quarantined", "header_not_allowed")
    fates = [told(post.fate(("nrm.outbox.ngo-a", 0, offset + turn))) for turn in (0, 2)]
    right = [
        ("registered", None) if post.partition_of(each) == 0 else ("quarantined", "wrong_partition") for each in good
    ]
    assert fates == right
    post.goes_on()
    assert left_nothing(post)


def test_a_batch_that_no_client_would_make_is_set_aside(post: Post) -> None:
    """The broker takes the record, and the client would fail or lose its position: every record is answered at its offset."""
    broker, topic = post.folder.bootstrap, "nrm.outbox.ngo-l"
    start = post.send(Record(b"x", b"", ()), "ngo-l", 0)[2] + 1
    for each in FORGED.values():
        assert answered(broker, topic, 0, forged([each])) == 0
    assert answered(broker, topic, 0, forged([Forged(delta=1), Forged(delta=1), Forged(delta=-1)])) == 0

    fates = [told(post.fate((topic, 0, start + turn))) for turn in range(len(FORGED) + 3)]

    assert {verdict for verdict, _ in fates} == {"quarantined"}
    assert {code for _, code in fates} == {"header_not_allowed"}
    post.goes_on("ngo-l")


@pytest.mark.parametrize("values", [[bytes(BOMB)], [bytes(BOMB // 64)] * 64], ids=["one record", "64 records"])
def test_a_gzip_bomb_does_not_get_into_an_outbox(post: Post, values: list[bytes]) -> None:
    """Some 30 KiB on the wire, below every limit, and 32 MiB when unpacked: the broker unpacks it and refuses it."""
    bomb = Producer(
        {
            "bootstrap.servers": post.folder.bootstrap, "message.max.bytes": 100_000_000, "compression.type": "gzip",
            "batch.size": 100_000_000, "linger.ms": 300, "retries": 0, "log_level": 0,
        }
    )  # fmt: skip

    with pytest.raises(AssertionError, match="MSG_SIZE_TOO_LARGE"):
        post.put([Record(b"x", value, ()) for value in values], "ngo-a", 0, bomb)
    post.goes_on()


def test_a_compressed_event_is_an_event(post: Post) -> None:
    """Compression as such is nobody's fault: the broker unpacks the batch, and the event is registered."""
    zipped = Producer({"bootstrap.servers": post.folder.bootstrap, "compression.type": "gzip", "log_level": 0})
    record = post.signal()
    (where,) = post.put([record], "ngo-a", post.partition_of(record), zipped)

    assert told(post.fate(where)) == ("registered", None)


@pytest.mark.slow
def test_another_agencys_event_passes_a_flood_of_junk(post: Post) -> None:
    """Ten thousand bad records in a row in one outbox: most still wait when a good event of another agency is registered."""
    junk = [
        [Record(b"x", b"%d " % turn + CANARY.encode(), ()) for turn in range(JUNK // PARTITIONS)]
        for _ in range(PARTITIONS)
    ]
    before = len(post.fates)
    lies = [post.put(each, "ngo-l", partition) for partition, each in enumerate(junk)]
    post.read()
    waiting = JUNK - (len(post.fates) - before)
    post.goes_on("ngo-a")
    behind = JUNK - (len(post.fates) - before)

    assert waiting > JUNK / 2, "the flood was over before it began"
    assert behind > JUNK / 4, "the good event stood in line"
    post.until(lambda: all(each in post.fates for each in chain(*lies)), "junk without an answer")
    assert {told(post.fates[each]) for each in chain(*lies)} == {("quarantined", "signature_profile")}
    assert left_nothing(post)


def test_after_all_this_the_history_is_whole(post: Post) -> None:
    """P1: numbers, chains and inboxes of everything that was registered on the way; nothing is lost, nothing twice."""
    found = check(post.folder.bootstrap, post.good)

    assert not found.any, found
    assert found.registered > len(TABLE)
    assert found.refused + found.sealed_again >= sum(row.verdict == "refused" for row in TABLE)
