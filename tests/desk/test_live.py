"""Desks on a real broker, each a process of its own, with the real registrar between them."""

import asyncio
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from aiokafka import TopicPartition
from sqlalchemy import create_engine, text

from brokers import Broker
from desk.live import LiveBus, live, log_of, signal_of
from nrmbus.bus.kafka import clients
from nrmbus.bus.private_files import write_json
from nrmbus.client import verify_original
from nrmbus.client.door import Door
from nrmbus.directory.admission import read_directory
from nrmbus.wire.names import inbox_of
from nrmbus.wire.record import DELIVERY, Record
from nrmbus.wire.statement import body_of
from patience import LONGEST_WAIT, PATIENCE, eventually

pytestmark = pytest.mark.broker

TWO = {"ngo-a": "ngo_outreach", "special-unit": "special_unit"}
CASE = "ab" * 16
REF = "cd" * 16
CONSENT = {
    "purposes": ["services", "information_sharing"],
    "receivers": ["special-unit"],
    "given_by": "individual",
    "form": "written",
}
REFERRAL = {
    "mode": "referral",
    "reason": "FormalIdentification",
    "urgency": "emergency",
    "services": [],
    "child": False,
}


def about(type_: str, data: dict[str, Any], case: str = CASE, **more: Any) -> dict[str, Any]:
    """Return an event for a door."""
    return {"type": type_, "case": case, "actor": "S-1", "data": data} | more


async def quiet(bus: LiveBus, *names: str) -> dict[str, dict[str, Any]]:
    """Wait until the desks have nothing open and have read all that their inboxes have; return their health.

    What a desk's reader has not asked for yet is no lag to it, so the broker is asked how far each inbox goes.
    """
    found: dict[str, dict[str, Any]] = {}
    for name in names:
        last = await _last_number(bus, name)
        found[name] = await bus.until(
            name,
            lambda health, last=last: (
                health["ready"]
                and not health["outbox_open"]
                and not health["lag"]
                and health["inbox"].get("0", 0) >= last
            ),
        )
    return found


async def _last_number(bus: LiveBus, name: str) -> int:
    """Return the number of the last delivery to an agency on partition 0, 0 if there is none."""
    told = (dict(each.headers).get(DELIVERY) for each in await topic(bus, inbox_of(name)))
    return max((int(json.loads(body_of("delivery", each))["inbox_number"]) for each in told if each), default=0)


async def delivered(bus: LiveBus, name: str, deliveries: int) -> None:
    """Wait until a desk has taken so many deliveries: a consumer that has not asked yet does not know of a lag."""
    await bus.until(name, lambda health: sum(health["inbox"].values()) >= deliveries)


def rows(bus: LiveBus, agency: str, query: str) -> list[tuple[Any, ...]]:
    """Return rows of a desk's ledger, as another process reads them."""
    engine = create_engine(f"sqlite:///{bus.folder.agency(agency).ledger}")
    with engine.connect() as connection:
        found = [tuple(row) for row in connection.execute(text(query))]
    engine.dispose()
    return found


async def topic(bus: LiveBus, name: str) -> list[Record]:
    """Return all records on partition 0 of a topic."""
    found: list[Record] = []
    async with clients.reading(bus.folder.bootstrap, TopicPartition(name, 0)) as (consumer, end):
        while await consumer.position(TopicPartition(name, 0)) < end:
            for records in (await consumer.getmany(timeout_ms=500)).values():
                found += [Record(each.key, each.value, tuple(each.headers)) for each in records]
    return found


async def test_two_desks_hand_over_one_referral(broker: Broker) -> None:
    """Signal, consent, referral and answer go through the real registrar; both desks show the same case and read only theirs."""
    async with live(broker, TWO, run=list(TWO)) as bus, bus.door("ngo-a") as ngo, bus.door("special-unit") as unit:
        said = [
            await ngo.publish(signal_of(CASE), wait=LONGEST_WAIT),
            await ngo.publish(about("consent.given", CONSENT), wait=LONGEST_WAIT),
            await ngo.publish(
                about(
                    "referral.submitted", REFERRAL, ref=REF, to=["special-unit"], legal_basis="CoM 21/2008 art. 7",
                    sealed={"name": "CANARY-desk-name", "facts": "CANARY-desk-facts"},
                ),
                wait=20,
            ),
            await unit.publish(about("referral.acknowledged", {"receipt_no": "SU-1", "duty_role": "duty_officer"}, ref=REF), wait=LONGEST_WAIT),
            await unit.publish(about("referral.accepted", {"next_step": "reception"}, ref=REF), wait=LONGEST_WAIT),
        ]  # fmt: skip
        await quiet(bus, *TWO)

        assert [answer["verdict"] for answer in said] == ["registered"] * 5
        heard = (await unit.inbox(opened=True, actor="S-1"))["events"]
        assert [event["type"] for event in heard] == ["case.signal_recorded", "consent.given", "referral.submitted"]
        assert [event.get("letter", {}).get("identity") for event in heard] == [
            None,
            None,
            {"name": "CANARY-desk-name"},
        ]
        assert "story" not in heard[0]["letter"], "an adult's story stays shut until she has agreed"
        assert [event["type"] for event in (await ngo.inbox())["events"]] == [
            "referral.acknowledged",
            "referral.accepted",
        ]
        shown = [await door.case(CASE) for door in (ngo, unit)]
        assert [case["status"] for case in shown] == ["REFERRED"] * 2
        assert [task["kind"] for task in (await unit.tasks())["tasks"]].count("duty_officer") == 1
        where = [path for path in bus.folder.path.rglob("*") if path.is_file() and b"CANARY-desk" in path.read_bytes()]
        kafka = [
            path
            for path in broker.kafka.folder.kafka.rglob("*")
            if path.is_file() and b"CANARY-desk" in path.read_bytes()
        ]
        assert (where, kafka) == ([], [])


@pytest.mark.slow
async def test_desks_killed_again_and_again_lose_and_double_nothing(kafka: Broker) -> None:
    """SIGKILL at any moment, desks and finally the broker, while events flow: each event arrives once, answered and closed."""
    # Use a separate broker: a stable member gets its old assignment back, and the tests before had one partition.
    async with live(kafka, TWO, run=list(TWO), partitions=3) as bus:
        cases = [f"{number:02x}" * 16 for number in range(24)]
        for number, case in enumerate(cases):
            body = signal_of(case) | {"id": f"01890000-0000-7000-8000-{number:012x}"}
            await until_taken(bus, body)
            if number % 4 == 3:
                name = ("ngo-a", "special-unit")[number // 4 % 2]
                bus.kill(name)
                bus.start(name)
        await quiet(bus, *TWO)
        await asyncio.to_thread(kafka.kafka.kill)
        async with bus.door("ngo-a") as ngo:
            away = await ngo.publish(signal_of("ff" * 16), wait=0.5)
        await asyncio.to_thread(kafka.kafka.restart)
        await quiet(bus, *TWO)

        await delivered(bus, "ngo-a", 50)  # 25 receipts for its own events, and 25 for opened letters
        assert away["verdict"] == "pending", "what is said while the broker is away waits in the ledger"
        async with bus.door("special-unit") as unit:
            heard = (await unit.inbox(limit=1000))["events"]
        assert sorted(event["case"] for event in heard) == [*cases, "ff" * 16]
        assert rows(bus, "ngo-a", "SELECT DISTINCT state, verdict FROM outbox") == [("closed", "registered")]
        assert rows(
            bus, "special-unit", "SELECT count(*), count(DISTINCT subject || id) FROM outbox WHERE origin = 'receipt'"
        ) == [(25, 25)]
        assert rows(bus, "ngo-a", "SELECT count(*) FROM events WHERE type = 'letter.opened'") == [(25,)]
        assert (
            rows(bus, "ngo-a", "SELECT count(*) FROM set_aside")
            == rows(bus, "ngo-a", "SELECT count(*) FROM parked")
            == [(0,)]
        )


async def until_taken(bus: LiveBus, body: dict[str, Any]) -> None:
    """Publish at the NGO's door until it answers, as after a cut connection; the id makes all tries one event."""
    await bus.until("ngo-a", lambda health: health["live"])
    async with bus.door("ngo-a") as door:
        await door.publish(body)


async def test_a_desk_told_to_end_ends_at_once(broker: Broker) -> None:
    """SIGTERM: within two seconds, by that signal and no error, whatever is under way."""
    async with live(broker, TWO, run=["ngo-a"]) as bus:
        async with bus.door("ngo-a") as door:
            await door.publish(signal_of(CASE))
            hanging = asyncio.create_task(door.publish(signal_of("ef" * 16), wait=LONGEST_WAIT))
            await eventually(
                "both wait for an answer", lambda: rows(bus, "ngo-a", "SELECT count(*) FROM outbox") == [(2,)]
            )
            seconds = await asyncio.to_thread(bus.kill, "ngo-a", signal.SIGTERM)
            await asyncio.gather(hanging, return_exceptions=True)

        assert bus.status("ngo-a") in {0, -signal.SIGTERM}
        assert seconds < 2.0


@pytest.mark.slow
async def test_a_record_with_a_header_that_is_no_text_delays_nothing(broker: Broker) -> None:
    """Junk, also with headers that break FastStream's parser, does not stop the inbox: the good records are handled."""
    async with live(broker, TWO, run=list(TWO)) as bus:
        async with bus.door("ngo-a") as ngo, clients.producer(bus.folder.bootstrap) as producer:
            await ngo.publish(signal_of(CASE), wait=LONGEST_WAIT)
            for bad in (b"\xff\xfe", None):
                await producer.send_and_wait(
                    "nrm.inbox.special-unit",
                    b"junk",
                    key=b"\xff",
                    headers=[("x", bad), ("reply_to", b"nrm.outbox.ngo-a")],
                )
            await ngo.publish(signal_of("ef" * 16), wait=LONGEST_WAIT)
        health = await quiet(bus, *TWO)

        async with bus.door("special-unit") as unit:
            assert [event["case"] for event in (await unit.inbox())["events"]] == [CASE, "ef" * 16]
        assert health["special-unit"]["set_aside"] == 2
        assert len(await topic(bus, "nrm.outbox.ngo-a")) == 2


@pytest.mark.slow
async def test_what_lies_in_the_outbox_is_what_the_ledger_says_was_sent(broker: Broker) -> None:
    """An answer finds its row by the digest of a whole record, with ordered headers, even if the rest is unreadable."""
    async with live(broker, TWO, run=["ngo-a"]) as bus:
        async with bus.door("ngo-a") as door:
            await door.publish(signal_of(CASE), wait=LONGEST_WAIT)
        sent = await topic(bus, "nrm.outbox.ngo-a")

        assert [(each.digest(),) for each in sent] == rows(bus, "ngo-a", "SELECT digest FROM outbox")


@pytest.mark.slow
async def test_junk_in_its_own_outbox_is_answered_to_the_desk(broker: Broker) -> None:
    """A foreign record in the agency's outbox becomes a task for its people, and nothing stops."""
    async with live(broker, TWO, run=["ngo-a"]) as bus:
        async with clients.producer(bus.folder.bootstrap) as producer:
            await producer.send_and_wait("nrm.outbox.ngo-a", b"junk", key=b"x")
        async with bus.door("ngo-a") as door:
            assert (await door.publish(signal_of(CASE), wait=LONGEST_WAIT))["verdict"] == "registered"
            await quiet(bus, "ngo-a")
            assert [task["kind"] for task in (await door.tasks())["tasks"]] == ["not_ours", "ask_first"]
        assert "junk" not in log_of(bus.folder, "ngo-a")


@pytest.mark.slow
async def test_a_desk_is_one_stable_member_of_its_group(broker: Broker) -> None:
    """A killed and restarted desk has its inbox back at once: the broker waits for no dead member."""
    async with live(broker, TWO, run=["special-unit"]) as bus:
        bus.kill("special-unit")
        bus.start("special-unit")
        loop = asyncio.get_running_loop()
        started = loop.time()
        await bus.ready("special-unit")

        assert loop.time() - started < clients.settings("desk")["session_timeout_ms"] / 1000


NEWER = REFERRAL | {"services": [{"code": "safe_shelter", "time_frame": "24_hours"}]}
REFERRED: dict[str, Any] = {"ref": REF, "to": ["special-unit"], "legal_basis": "CoM 21/2008 art. 7"}


def declare(bus: LiveBus, agency: str, speaks: dict[str, int]) -> None:
    """Write the versions of an agency's system into its own file, which the desk reads at the start."""
    path = bus.folder.agency(agency).agency_json
    write_json(path, json.loads(path.read_bytes()) | {"speaks": speaks})


@pytest.mark.slow
async def test_each_agency_is_told_in_the_version_that_it_speaks(broker: Broker) -> None:
    """The NGO's new system publishes version 2; the unit's old one gets version 1 and a list of the losses, or FHIR; the original verifies."""
    async with live(broker, TWO) as bus:
        declare(bus, "ngo-a", {"referral.submitted": 2})
        settings = bus.folder.agency("special-unit").agency_json
        write_json(settings, json.loads(settings.read_bytes()) | {"edge": ["fhir", "cloudevents"]})
        bus.start(*TWO)
        await bus.ready(*TWO)
        async with bus.door("ngo-a") as ngo, bus.door("special-unit") as unit:
            await ngo.publish(signal_of(CASE), wait=LONGEST_WAIT)
            await ngo.publish(about("consent.given", CONSENT), wait=LONGEST_WAIT)
            sealed = {"interpreter": ["rus", "tur"], "name": "Alina Example"}
            said = await ngo.publish(about("referral.submitted", NEWER, **REFERRED, sealed=sealed), wait=LONGEST_WAIT)
            await delivered(bus, "special-unit", 3)
            await quiet(bus, *TWO)
            *_, heard = (await unit.inbox(opened=True, actor="S-1"))["events"]
            (fhir,) = (await unit.get("/fhir/Task", status="requested"))["entry"]
            tasks = [task["kind"] for task in (await unit.tasks())["tasks"]]
        async with Door.of(bus.folder.agency("special-unit").path, speaks={"referral.submitted": 2}) as newer:
            *_, as_said = (await newer.inbox(opened=True, actor="S-1"))["events"]
        directory = await read_directory(bus.folder)

    assert said["verdict"] == "registered"
    assert (heard["published"], heard["version"], heard["data"]["services"]) == (2, 1, ["safe_shelter"])
    assert heard["letter"]["coded"] == {"interpreter": "rus"}
    assert [each["pointer"] for each in heard["lost"]] == ["/data/services/0/time_frame", "/letter/interpreter/1"]
    assert (as_said["version"], as_said["data"]["services"]) == (2, NEWER["services"])
    assert as_said["letter"]["coded"] == {"interpreter": ["rus", "tur"]}
    assert fhir["resource"]["for"]["identifier"]["value"] == CASE, "an adapter above the door of a running desk"
    assert tasks.count("duty_officer") == 1
    for row in (heard, as_said):
        assert json.loads(verify_original(row, directory.any_verify_key).data)["services"] == NEWER["services"]


@pytest.mark.slow
async def test_what_an_earlier_release_did_not_know_goes_on_by_itself_after_the_upgrade(broker: Broker) -> None:
    """The case waits in order while others go on; killed again and again, the upgraded desk loses and doubles nothing."""
    async with live(broker, TWO, run=["ngo-a"]) as bus:
        bus.start_earlier("special-unit")
        await bus.ready("special-unit")
        async with bus.door("ngo-a") as ngo, bus.door("special-unit") as unit:
            await ngo.publish(signal_of(CASE), wait=LONGEST_WAIT)
            await ngo.publish(about("consent.given", CONSENT), wait=LONGEST_WAIT)
            newer = about("referral.submitted", NEWER, **REFERRED, version=2, sealed={"name": "Alina Example"})
            said = await ngo.publish(newer, wait=LONGEST_WAIT)
            await ngo.publish(about("consent.given", CONSENT | {"form": "oral"}), wait=LONGEST_WAIT)
            await ngo.publish(signal_of("ef" * 16), wait=LONGEST_WAIT)
            await delivered(bus, "special-unit", 5)
            await quiet(bus, *TWO)
            before = await unit.case(CASE)
            shown = (await unit.inbox(opened=True, actor="S-1"))["events"]
        receipts = "SELECT count(*) FROM outbox WHERE origin = 'receipt'"
        told = rows(bus, "special-unit", receipts)
        for patience in (0.5, 1.0, 1.5):
            bus.kill("special-unit")
            bus.start("special-unit")
            await asyncio.sleep(patience)
        bus.kill("special-unit")
        bus.start("special-unit")
        await quiet(bus, *TWO)
        async with bus.door("special-unit") as unit:
            after, heard = await unit.case(CASE), (await unit.inbox(opened=True, actor="S-1"))["events"]
            tasks = [(task["kind"], task["event"]) for task in (await unit.tasks())["tasks"]]
        done = rows(bus, "special-unit", receipts)
        left = rows(bus, "special-unit", "SELECT count(*) FROM parked")

    assert before["parked_because"].items() >= {"error": "UnknownVersion", "published": 2, "waiting": 2}.items()
    assert [event.get("unknown", False) for event in shown] == [False, False, True, False, False]
    assert [event.get("parked", False) for event in shown] == [False, False, True, True, False]
    assert (after["parked"], left) == (False, [(0,)])
    assert [event["version"] for event in heard] == [1] * 5
    assert heard[2]["letter"]["identity"] == {"name": "Alina Example"}
    assert done == [(told[0][0] + 1,)], "the sender hears once that the letter opened"
    assert [each for each in tasks if each[1] == said["id"]] == [("duty_officer", said["id"])]


@pytest.mark.slow
async def test_a_desk_that_cannot_speak_what_it_declares_says_so_and_does_not_start(broker: Broker) -> None:
    """The desk ends with a sentence that names the type, not with a traceback."""
    async with live(broker, TWO) as bus:
        declare(bus, "ngo-a", {"referral.submitted": 999})
        run: list[str | Path] = [
            sys.executable,
            "-c",
            "from nrmbus.cli import main; main()",
            "run",
            "ngo-a",
            "--data",
            bus.folder.path,
        ]
        process = await asyncio.create_subprocess_exec(*run, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        async with asyncio.timeout(PATIENCE):
            _, said = await process.communicate()

    assert process.returncode == 1
    assert b"The desk of ngo-a does not start" in said
    assert b"/speaks/referral.submitted unknown_version" in said
    assert b"Traceback" not in said
