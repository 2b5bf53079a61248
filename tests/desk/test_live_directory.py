"""A desk on a real broker and the directory: unrequested entries, stale heads, and lost keys."""

import asyncio
import json
import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from brokers import Broker
from desk.live import STARTS, LiveBus, live, signal_of
from desk.test_live import CASE, CONSENT, REFERRAL, REFERRED, TWO, about
from nrmbus.bus.embedded.ports import free_ports
from nrmbus.bus.errors import BusError
from nrmbus.bus.private_files import write_json
from nrmbus.bus.wall_clock import wall_now
from nrmbus.cli.membership import agency
from nrmbus.client.door import Door
from nrmbus.client.errors import DoorError
from nrmbus.directory import Identity, Operator, admission, commands, joining
from nrmbus.directory.admission import read_directory
from nrmbus.directory.commands import publish
from nrmbus.directory.operator import Admitter
from nrmbus.directory.reader import MARK
from nrmbus.wire import times
from patience import LONGEST_WAIT, eventually

pytestmark = [pytest.mark.broker, pytest.mark.slow]


async def test_a_substituted_key_stops_the_desk_whose_it_would_be(broker: Broker) -> None:
    """Operator and both admitters agreed to the key; the desk is not ready, says why, and sends nothing more."""
    async with live(broker, {"ngo-a": "ngo_outreach"}, run=["ngo-a"]) as bus:
        health = await bus.until("ngo-a", lambda health: bool(health["ready"]))
        assert (health["held_up"], health["directory_stale"], health["state"]) == (None, False, "admitted")

        directory, theirs = await read_directory(bus.folder), Identity.at(bus.folder.path / "theirs", "ngo-a")
        public = (theirs.signing.public, theirs.sealing.public, theirs.witness.public)
        asked = joining.proposed(
            directory, joining.Wanted("ngo-a", "ngo_outreach", *public), "lost", made=STARTS + timedelta(hours=1)
        )
        entry = joining.asked_by(asked, [theirs.signing, theirs.witness])
        entry = joining.challenged(joining.holding_from(directory, entry, asked.made))
        for admitter in Admitter.here(bus.folder.path):
            entry = joining.admitted_by(entry, admitter.key)
        await publish(bus.folder, [Operator(bus.folder.path).number(entry, directory)])

        health = await bus.until("ngo-a", lambda health: health["held_up"] == "entry_not_asked")
        assert health["ready"] is False
        async with bus.door("ngo-a") as door:

            async def alarms() -> list[dict[str, str]]:
                return [each for each in (await door.get("/v1/tasks"))["tasks"] if each["kind"] == "alarm"]

            await eventually("the relay opens a task when it looks next", alarms)
            (task,) = await alarms()
        assert task["event"] == f"nrm.directory/{directory.number + 1}"


async def test_each_remembers_how_far_the_directory_went(broker: Broker) -> None:
    """Desk, registrar and operator each keep a note in their own folder while they run."""
    async with live(broker, {"ngo-a": "ngo_outreach"}, run=["ngo-a"]) as bus:
        await bus.until("ngo-a", lambda health: bool(health["ready"]))
        directory = await read_directory(bus.folder)
        homes = (bus.folder.agency("ngo-a").path, bus.folder.service("registrar"), bus.folder.keys)
        noted = f"{directory.number} {directory.digest}\n"
        assert {(home / MARK).read_text() for home in homes} == {noted}


async def test_another_machine_reaches_the_door_by_tls_with_a_token_of_its_own(broker: Broker) -> None:
    """Given `listen` and no certificate, a system that trusts the door's authority publishes with a token that was made for it."""
    async with live(broker, {"ngo-a": "ngo_outreach"}) as bus:
        home, (port,) = bus.folder.agency("ngo-a"), free_ports(1)
        listen = {"address": "127.0.0.1", "port": port, "names": ["127.0.0.1"]}
        write_json(home.agency_json, {**json.loads(home.agency_json.read_bytes()), "listen": listen})
        bus.start("ngo-a")
        await bus.ready("ngo-a")
        asked = {"name": "booking", "scopes": ["publish"], "ends": times.write(wall_now() + timedelta(days=1))}
        async with bus.door("ngo-a") as local:
            token = (await local.post("/v1/tokens", asked))["token"]
            async with Door(f"https://127.0.0.1:{port}", token, ca=home.path / "door" / "ca.pem") as door:
                assert (await door.publish(signal_of(CASE), wait=LONGEST_WAIT))["verdict"] == "registered"
                with pytest.raises(DoorError, match="scope"):
                    await door.inbox()
            await local.delete("/v1/tokens/booking")
        async with Door(f"https://127.0.0.1:{port}", token, ca=home.path / "door" / "ca.pem") as door:
            with pytest.raises(DoorError, match="token"):
                await door.health()


async def test_behind_an_old_head_a_desk_signs_nothing_until_a_fresh_one(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The desk is not ready and says why; a pending event goes out when the operator has signed a head."""
    monkeypatch.setattr(admission, "wall_now", lambda: wall_now() - timedelta(hours=3, minutes=1))
    async with live(broker, {"ngo-a": "ngo_outreach"}) as bus:
        bus.start("ngo-a")
        health = await bus.until("ngo-a", lambda health: health["held_up"] is not None)
        assert (health["held_up"], health["ready"]) == ("directory_stale", False)
        async with bus.door("ngo-a") as ngo:
            waits = await ngo.publish(signal_of(CASE), wait=1)
            assert waits["verdict"] == "pending"
            await commands.sign_head(bus.folder)
            await bus.ready("ngo-a")

            async def decided() -> bool:
                return bool((await ngo.event(waits["id"]))["verdict"] != "pending")

            await eventually("what waited is decided", decided)
            said = await ngo.event(waits["id"])
    assert said["verdict"] == "registered"


async def lost(bus: LiveBus, who: str, *, vouched: bool) -> None:
    """Have *who* lose its keys and ask for others; the old key signs too if *vouched*."""
    home = bus.folder.agency(who).path
    if not vouched:
        home.rename(home.with_suffix(".away"))
    request = await commands.ask_for_new_keys(bus.folder, who, "lost", timedelta())
    if not vouched:
        shutil.rmtree(home)
        home.with_suffix(".away").rename(home)
    directory, now = await read_directory(bus.folder), await commands.time_of(bus.folder, bus.folder.as_operator)
    for admitter in Admitter.here(bus.folder.path):
        request = commands.sign(directory, request, admitter, now)
    await commands.enter(bus.folder, request)


@pytest.mark.slow
async def test_who_wrote_to_an_agency_is_told_when_its_keys_are_lost(broker: Broker) -> None:
    """A task asks to send the letter again once the new keys hold; keys that can still be objected to cause no task."""
    async with live(broker, TWO | {"vac": "vac"}, run=["ngo-a"]) as bus, bus.door("ngo-a") as ngo:
        said = await ngo.publish(signal_of(CASE), wait=LONGEST_WAIT)
        await ngo.publish(about("consent.given", CONSENT | {"receivers": ["vac"]}), wait=LONGEST_WAIT)
        referral = about("referral.submitted", REFERRAL, **REFERRED | {"to": ["vac"]}, sealed={"name": "Alina Example"})
        referred = await ngo.publish(referral, wait=LONGEST_WAIT)
        assert (said["verdict"], referred["verdict"]) == ("registered", "registered")

        async def again() -> list[str]:
            tasks = (await ngo.get("/v1/tasks"))["tasks"]
            return [each["event"] for each in tasks if each["kind"] == "send_again"]

        async def two() -> bool:
            return len(await again()) == 2

        await lost(bus, "special-unit", vouched=False)
        await lost(bus, "vac", vouched=True)
        await eventually("the desk opens a task for what it heard last", again)
        assert await again() == [referred["id"]]
        await lost(bus, "special-unit", vouched=True)
        await eventually("the desk opens a task for the other letter too", two)
        assert set(await again()) == {said["id"], referred["id"]}


@pytest.mark.slow
async def test_nobody_leaves_as_long_as_a_case_of_its_own_is_open(broker: Broker, tmp_path: Path) -> None:
    """The admitter's command checks the history: the agency must have signed its report on each case before anybody signs."""
    file, cases = tmp_path / "file", tmp_path / "cases.yaml"
    cases.write_text(f'"{CASE}": {{handed_over: special-unit}}\n')
    async with live(broker, TWO, run=["ngo-a"]) as bus:
        async with bus.door("ngo-a") as ngo:
            await ngo.publish(signal_of(CASE), wait=LONGEST_WAIT)
        typed: dict[str, Any] = {"data": bus.folder.path, "keys_unprotected": True}

        await asyncio.to_thread(agency.retire, "ngo-a", out=file, **typed)
        with pytest.raises(BusError, match="case_open"):
            await asyncio.to_thread(agency.admit, file, "admitter-a", **typed)
        await asyncio.to_thread(agency.retire, "ngo-a", cases=cases, out=file, **typed)
        for name in ("admitter-a", "admitter-b"):
            await asyncio.to_thread(agency.admit, file, name, **typed)
        found = await read_directory(bus.folder)
    assert found.state("ngo-a", STARTS + timedelta(days=1)) == "retired"
