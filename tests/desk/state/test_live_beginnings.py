"""A desk whose ledger is deleted, on a real broker: it catches up, publishes again, and everybody can see the loss."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.records_to_delete import RecordsToDelete
from typer.testing import CliRunner

from brokers import Broker
from desk.live import LiveBus, live, signal_of
from desk.test_live import CASE, CONSENT, REF, REFERRAL, TWO, about, quiet, topic
from nrmbus.bus.folder import BusFolder
from nrmbus.cli import health as healths
from nrmbus.cli.app import app
from nrmbus.cli.operate import service_faults
from nrmbus.wire.envelope import decode
from patience import LONGEST_WAIT

pytestmark = [pytest.mark.broker, pytest.mark.slow]

NEXT = about(
    "consent.refused", {"purposes": CONSENT["purposes"], "given_by": "individual", "receivers": ["special-unit"]}
)


async def played(bus: LiveBus) -> None:
    """Publish a referral with a letter, and have the unit acknowledge it."""
    async with bus.door("ngo-a") as ngo, bus.door("special-unit") as unit:
        said = [
            await ngo.publish(signal_of(CASE), wait=LONGEST_WAIT),
            await ngo.publish(about("consent.given", CONSENT), wait=LONGEST_WAIT),
            await ngo.publish(
                about("referral.submitted", REFERRAL, ref=REF, to=["special-unit"], legal_basis="CoM 21/2008 art. 7", sealed={"name": "Alina Example"}),
                wait=20,
            ),
            await unit.publish(about("referral.acknowledged", {"receipt_no": "SU-1", "duty_role": "duty_officer"}, ref=REF), wait=LONGEST_WAIT),
        ]  # fmt: skip
    assert [answer["verdict"] for answer in said] == ["registered"] * len(said)
    await quiet(bus, *TWO)


async def without_ledger(bus: LiveBus, agency: str) -> None:
    """Stop the desk, delete its ledger, start the desk again and wait until it is ready."""
    await asyncio.to_thread(bus.kill, agency)
    for path in bus.folder.agency(agency).ledger.parent.glob("ledger.sqlite*"):
        path.unlink()
    bus.start(agency)
    await quiet(bus, *TWO)


async def shown(bus: LiveBus, agency: str) -> list[dict[str, Any]]:
    """Return the inbox of a desk, without the rows' numbers."""
    async with bus.door(agency) as door:
        return [{**event, "row": 0} for event in (await door.inbox())["events"]]


async def ids_in_outbox(bus: LiveBus, agency: str) -> list[str]:
    """Return the ids of all events in an outbox topic, in order."""
    return [decode(record.without_letter()).id for record in await topic(bus, f"nrm.outbox.{agency}")]


async def findings(folder: BusFolder) -> dict[str, str]:
    """Return code and first sentence of each finding that the doctor has when it asks desks and services."""
    return {each.code: each.what for each in service_faults.of_services(folder, await healths.ask_all(folder))}


@pytest.mark.parametrize("agency", ["special-unit", pytest.param("ngo-a", marks=pytest.mark.slow)])
async def test_a_desk_without_its_ledger_reads_its_inbox_again(broker: Broker, agency: str) -> None:
    """The desk hears the same events in order, repeats nothing, continues its numbers, and reports the loss."""
    async with live(broker, TWO, run=list(TWO)) as bus:
        await played(bus)
        before, said = await shown(bus, agency), await ids_in_outbox(bus, agency)
        assert await findings(bus.folder) == {}

        await without_ledger(bus, agency)

        assert await shown(bus, agency) == before
        assert await ids_in_outbox(bus, agency) == said
        async with bus.door(agency) as door:
            health, tasks = await door.health(), (await door.tasks())["tasks"]
            word = NEXT if agency == "ngo-a" else about("referral.accepted", {"next_step": "reception"}, ref=REF)
            answer = await door.publish(word, wait=LONGEST_WAIT)
        assert (health["ledger_lost"]["missing"], health["trouble"]) == (0, None)
        assert health["ledger_lost"]["sentence"] in [task.get("sentence") for task in tasks]
        assert answer["verdict"] == "registered"
        assert len(await ids_in_outbox(bus, agency)) == len(said) + 1
        assert await findings(bus.folder) == {"ledger_lost": f"{agency} lost its ledger."}
        assert "The ledger of this desk was gone" in await asyncio.to_thread(inbox_of, bus.folder.path, agency)


def inbox_of(data: Path, agency: str) -> str:
    """Return the command line's output for an inbox."""
    done = CliRunner().invoke(app, ["inbox", agency, "--data", str(data)])
    assert done.exit_code == 0, done.output
    return done.output


@pytest.mark.slow
@pytest.mark.broken_trail("anomalies", reason="the oldest records of an inbox are deleted, as Kafka does after 30 days")
async def test_what_the_broker_has_no_more_is_said_to_be_missing(broker: Broker) -> None:
    """The desk begins at the first record that is left, shows the case as incomplete, and finds its own number again."""
    async with live(broker, TWO, run=list(TWO)) as bus:
        await played(bus)
        await asyncio.to_thread(bus.kill, "ngo-a")
        partition = TopicPartition("nrm.inbox.ngo-a", 0)
        admin = AIOKafkaAdminClient(bootstrap_servers=bus.folder.bootstrap)
        await admin.start()
        try:
            await admin.delete_records({partition: RecordsToDelete(before_offset=4)})
        finally:
            await admin.close()
        bus.start("ngo-a")
        await bus.ready("ngo-a")

        await without_ledger(bus, "ngo-a")

        async with bus.door("ngo-a") as door:
            lost, case = (await door.health())["ledger_lost"], await door.case(CASE)
            answer = await door.publish(NEXT, wait=LONGEST_WAIT)
        assert lost["missing"] > 0
        assert lost["since"] in lost["sentence"]
        assert (case["incomplete"], "status" in case) == (True, False)
        assert (answer["verdict"], answer["events"][0]["sequence"]) == ("registered", 4)


async def test_the_doctor_names_who_is_not_ready(broker: Broker) -> None:
    """A desk that does not answer and a desk that stands still are both named; "nothing is wrong" is never reported."""
    async with live(broker, TWO, run=list(TWO)) as bus:
        asked = await healths.ask_all(bus.folder)
        assert {"registrar", *TWO} <= asked.keys()
        stuck = {**(asked["ngo-a"] or {}), "ready": False, "trouble": "inbox_gap"}
        found = list(service_faults.of_services(bus.folder, {"ngo-a": stuck, "special-unit": None}))

        assert [(each.code, each.what) for each in found] == [
            ("not_ready", "ngo-a is not ready."),
            ("not_answering", "special-unit does not answer."),
        ]
        assert "A delivery is missing" in found[0].why
        assert all(each.serious for each in found)
