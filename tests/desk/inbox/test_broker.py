"""FastStream settings that lose nothing: each trap has a check.

A test of FastStream's default behaviour is a canary: it fails when an upgrade changes the default.
"""

import asyncio
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import structlog
from aiokafka import TopicPartition
from faststream.kafka import KafkaBroker, KafkaRouter, TestKafkaBroker
from faststream.middlewares import AckPolicy
from faststream.specification import AsyncAPI

from agencies import town
from desk.given import BED, REF, FakeRegistrar, Offsets, desk_of
from nrmbus.desk.errors import DeskError
from nrmbus.desk.inbox import broker as factory
from nrmbus.desk.inbox import settle
from nrmbus.desk.inbox.broker import check_settings, make_broker, make_inbox
from nrmbus.desk.procedure.handlers import Inbox, join
from nrmbus.desk.procedure.interface import lines_of
from nrmbus.desk.procedure.roles import ROOMS, procedure_of
from nrmbus.shelter import procedure
from nrmbus.wire.record import Record


def bed(registrar: FakeRegistrar) -> Record:
    """Return the special unit's request for a bed."""
    parts = {"coded": {"category": "women"}}
    return registrar.event("special-unit", "shelter.bed_requested", BED, referral=REF, parts=parts, opens=["shelter"])


async def made(home: Path, change: Callable[[KafkaBroker, Inbox], object]) -> None:
    """Make a desk's endpoints, *change* something about them, and run the start-up check."""
    async with desk_of("shelter", home) as given:
        broker = make_broker("127.0.0.1:1", "shelter", given.desk)
        inbox = make_inbox(broker, given.desk)
        change(broker, inbox)
        check_settings(broker, "shelter")


async def test_what_the_factory_makes_passes_its_own_check(tmp_path: Path) -> None:
    """An unaltered desk starts."""
    await made(tmp_path, lambda *_: None)


ALTERED: dict[str, Callable[[KafkaBroker, Inbox], object]] = {
    "acknowledges before the work": lambda _, inbox: setattr(inbox, "ack_policy", AckPolicy.ACK_FIRST),
    "acknowledges what failed": lambda _, inbox: setattr(inbox, "ack_policy", AckPolicy.ACK),
    "commits by itself": lambda _, inbox: inbox._connection_args.update(enable_auto_commit=True),
    "begins at the end": lambda _, inbox: inbox._connection_args.update(auto_offset_reset="latest"),
    "reads what a transaction took back": lambda _, inbox: inbox._connection_args.update(
        isolation_level="read_uncommitted"
    ),
    "is expelled after six seconds": lambda _, inbox: inbox._connection_args.update(session_timeout_ms=6_000),
    "has no stable name in its group": lambda _, inbox: inbox._connection_args.pop("group_instance_id"),
    "has another's name in its group": lambda _, inbox: inbox._connection_args.update(group_instance_id="vac"),
    "answers where a producer says": lambda _, inbox: setattr(inbox, "_no_reply", False),
    "parses as FastStream does": lambda _, inbox: setattr(
        inbox, "_call_options", inbox._call_options._replace(parser=None)
    ),
    "makes topics": lambda broker, _: setattr(broker.config.broker_config, "allow_auto_create_topics", True),
    "has a producer of FastStream's": lambda broker, _: setattr(broker.config.broker_config, "consumer_only", False),
    "has a publisher": lambda broker, _: broker.publisher("nrm.outbox.shelter"),
    "has a second subscriber made elsewhere": lambda broker, _: broker.subscriber(
        "nrm.inbox.shelter", group_id="other"
    ),
    "works on several records at once": lambda broker, _: broker.subscriber(
        "nrm.inbox.shelter", group_id="g", max_workers=4, ack_policy=AckPolicy.NACK_ON_ERROR, no_reply=True
    ),
    "takes batches": lambda broker, _: broker.subscriber("nrm.inbox.shelter", group_id="g", batch=True),
}


@pytest.mark.parametrize("altered", ALTERED)
async def test_a_desk_with_an_altered_setting_does_not_start(altered: str, tmp_path: Path) -> None:
    """Each setting that prevents loss is checked at the place of its effect."""
    with pytest.raises(DeskError, match="settings_drift"):
        await made(tmp_path, ALTERED[altered])


async def test_a_broker_that_logs_by_itself_does_not_start(tmp_path: Path) -> None:
    """FastStream's logger prints the texts of exceptions, which may hold what somebody wrote."""
    async with desk_of("shelter", tmp_path) as given:
        loud = KafkaBroker("127.0.0.1:1", consumer_only=True, allow_auto_create_topics=False)
        make_inbox(loud, given.desk)
        with pytest.raises(DeskError, match="settings_drift"):
            check_settings(loud, "shelter")


def test_canary_a_plain_subscriber_acknowledges_before_the_work() -> None:
    """FastStream's default is at most once."""
    plain = KafkaBroker(logger=None).subscriber("x", group_id="g")

    assert plain.ack_policy is AckPolicy.ACK_FIRST
    assert plain._connection_args["enable_auto_commit"] is True


def test_canary_a_router_does_not_inherit_the_policy() -> None:
    """The subscriber of a router that is declared before its inclusion acknowledges first, whatever the broker's setting."""
    router = KafkaRouter()
    routed = router.subscriber("x", group_id="g")
    broker = KafkaBroker(logger=None, ack_policy=AckPolicy.NACK_ON_ERROR)
    broker.include_router(router)

    assert routed.ack_policy is AckPolicy.ACK_FIRST


async def test_canary_a_header_that_is_no_text_breaks_the_default_parser() -> None:
    """FastStream's own parser raises, and a real broker's record is then lost under every policy."""
    broker = KafkaBroker(logger=None)

    @broker.subscriber("x", group_id="g", ack_policy=AckPolicy.NACK_ON_ERROR)
    async def handler() -> None:
        raise AssertionError("never called")

    async with TestKafkaBroker(broker, connect_only=False):
        registrar = FakeRegistrar(town())
        record = registrar.register(bed(registrar), to="shelter")
        record.headers = (*record.headers, ("x", b"\xff\xfe"))
        with pytest.raises(UnicodeDecodeError):
            await broker.subscribers[0].process_message(record)


async def test_a_header_that_is_no_text_or_null_stops_nothing(tmp_path: Path) -> None:
    """The record is stored with its coordinates and acknowledged; the next one is handled."""
    async with desk_of("shelter", tmp_path) as given:
        registrar = given.registrar
        for bad in (b"\xff\xfe", None):
            record = registrar.register(bed(FakeRegistrar(town())), to="vac")
            record.headers = (*record.headers, ("x", bad))
            await given.hear(record)
            assert record.consumer.committed == 1
        await given.hear(registrar.register(bed(registrar), to="shelter"))

        assert len(await given.rows("events")) == 1


async def test_nobody_can_redirect_what_a_desk_says(tmp_path: Path) -> None:
    """The desk sends nothing to the topic in a `reply_to` header."""
    async with desk_of("shelter", tmp_path) as given:
        record = given.registrar.register(bed(given.registrar), to="shelter")
        record.headers = (*record.headers, ("reply_to", b"nrm.inbox.vac"))
        heard: list[object] = []

        @make_broker("127.0.0.1:1", "vac").subscriber("nrm.inbox.vac")
        async def overhear(body: object) -> None:
            heard.append(body)

        await given.hear(record)

        assert heard == []
        message = await factory.tolerant(record, _original)
        assert message.reply_to == ""


async def _original(record: Any) -> Any:
    from faststream.kafka.message import KafkaAckableMessage  # noqa: PLC0415 - FastStream's default, in miniature
    from faststream.kafka.parser import AioKafkaParser  # noqa: PLC0415 - the same

    return await AioKafkaParser(KafkaAckableMessage, None).parse_message(record)


async def test_a_failing_handler_is_read_again_and_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """NACK_ON_ERROR alone retries thousands of times a second; the desk waits longer before each retry."""
    waits: list[float] = []

    async def waited(seconds: float) -> None:
        waits.append(seconds)

    def broken(*_: Any) -> Any:
        raise ValueError

    async with desk_of("shelter", tmp_path) as given:
        monkeypatch.setattr(procedure, "_asked", broken)
        monkeypatch.setattr(asyncio, "sleep", waited)
        record = given.registrar.register(bed(given.registrar), to="shelter")
        for _ in range(settle.TRIES - 1):
            with pytest.raises(ValueError):  # noqa: PT011 - it has no text
                await given.hear(record)

        assert waits == [settle.FIRST_WAIT * 2**number for number in range(settle.TRIES - 1)]
        assert record.consumer.committed == 0


async def test_an_acknowledgement_that_fails_loses_nothing(tmp_path: Path) -> None:
    """FastStream swallows the error of a commit; the ledger is what counts, so the record is dropped when it comes again."""

    class Unreachable(Offsets):
        async def commit(self, offsets: object) -> None:
            raise ConnectionError

    async with desk_of("shelter", tmp_path) as given:
        record = given.registrar.register(bed(given.registrar), to="shelter")
        record.consumer = Unreachable()
        await given.hear(record)
        await given.hear(record)

        assert len(await given.rows("events")) == 1


async def test_a_handler_cut_by_the_end_of_the_process_is_undone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGTERM in the middle of a record: no part of the record is kept, acknowledged or parked."""

    def cut(*_: Any) -> Any:
        raise asyncio.CancelledError

    async with desk_of("shelter", tmp_path) as given:
        monkeypatch.setattr(procedure, "_asked", cut)
        record = given.registrar.register(bed(given.registrar), to="shelter")
        for _ in range(settle.TRIES + 1):
            with pytest.raises(asyncio.CancelledError):
                await given.hear(record)

        assert await given.rows("events") == await given.rows("parked") == []
        assert (record.consumer.committed, record.consumer.again) == (0, [])


async def test_what_is_known_of_one_message_is_forgotten_at_the_next(tmp_path: Path) -> None:
    """The consume loop is one task: log context bound for one message would appear on the next message's lines."""
    async with desk_of("shelter", tmp_path) as given:
        await given.hear(given.registrar.register(bed(given.registrar), to="shelter"))

        assert structlog.contextvars.get_contextvars() == {}


async def test_reading_goes_on_where_the_ledger_says(tmp_path: Path) -> None:
    """On assignment the consumer is set to the ledger's position before anything is awaited; Kafka's own is not asked."""
    seeks: list[tuple[int, int]] = []

    class Consumer:
        def seek(self, partition: Any, offset: int) -> None:
            seeks.append((partition.partition, offset))

    class Reading:
        consumer = Consumer()

    async with desk_of("shelter", tmp_path) as given:
        record = given.registrar.register(bed(given.registrar), to="shelter")
        await given.hear(record)
        listener = factory.FromTheLedger(given.desk)
        listener.follow(Reading())  # type: ignore[arg-type]  # as much of it as the listener uses
        listener.on_partitions_assigned({TopicPartition("nrm.inbox.shelter", number) for number in (0, 1)})

        assert sorted(seeks) == [(0, record.offset + 1), (1, 0)], "partition 1 was never read: from its beginning"
        assert given.desk.assigned.is_set()


async def test_two_lines_about_one_event_both_act(tmp_path: Path) -> None:
    """Given a child who is reported to guardianship, it has both to do: assign a representative, and decide on best interests."""
    async with desk_of("guardianship", tmp_path) as given:
        to = ["child-commission", "guardianship"]
        flagged = given.registrar.event("school", "safeguard.child_flagged", {"to": to, "basis": "stated_age"})
        await given.hear(given.registrar.register(flagged, to="guardianship"))

        assert [each.kind for each in await given.rows("tasks")] == ["representative", "best_interests"]


@pytest.mark.thorough
@pytest.mark.parametrize("role", ROOMS)
def test_each_handler_is_a_numbered_line_typed_by_what_it_hears(role: str) -> None:
    """Each handler has the name and the text of its line in the procedure; AsyncAPI shows the types that it hears."""
    written = procedure_of(role)
    broker = KafkaBroker(logger=None)
    inbox = broker.subscriber("nrm.inbox.a")
    join(role, inbox)
    *lines, rest = inbox.calls
    specification = AsyncAPI()
    specification.add_broker(broker)
    described = specification.to_specification().to_json()

    assert written is not None
    assert [(call.name, call.description) for call in lines] == [(line.name, line.text) for line in lines_of(written)]
    assert all(re.match(r"\d+\. ", call.description or "") for call in lines)
    assert rest.name == "leave_to_a_person"
    assert "nrm.inbox.a" in described
    assert '"additionalProperties":false' in described, "the published model of what is heard"


def test_several_addresses_are_several_hosts() -> None:
    """FastStream takes a string for the name of one host, commas included, so it is given a list."""
    broker = make_broker("kafka-1.example:9092,kafka-2.example:9092", "vac")

    assert broker._connection_kwargs["bootstrap_servers"] == ["kafka-1.example:9092", "kafka-2.example:9092"]
