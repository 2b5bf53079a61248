"""Webhooks of a desk on a real bus, by the commands that an administrator gives."""

import asyncio
import json
from pathlib import Path

import pytest
import standardwebhooks

from brokers import Broker
from desk.live import LiveBus, live, signal_of
from desk.webhooks.receiver import receiving, says, silence
from nrmbus.bus.private_files import write_json
from patience import LONGEST_WAIT, eventually
from typed import typed

pytestmark = [pytest.mark.broker, pytest.mark.slow]

TWO = {"ngo-a": "ngo_outreach", "special-unit": "special_unit"}
UNIT = "special-unit"
CASE = "ab" * 16
ALLOWED = {"webhooks": {"networks": ["127.0.0.0/8", "::1/128"], "http_on_loopback": True}}


async def asked(bus: LiveBus, command: str, *arguments: str, status: int = 0) -> str:
    """Give `nrmbus webhook` *command* about the special unit's desk; return what it prints, or its sentence."""
    whole = ("webhook", command, UNIT, *arguments, "--data", str(bus.folder.path))
    done = await asyncio.to_thread(typed, *whole)
    assert done.exit_code == status, done.output
    return str(done.exception) if status else done.output


async def test_a_desk_that_is_killed_while_its_receiver_works_sends_the_same_webhook_again(broker: Broker) -> None:
    """Added by a command, killed by SIGKILL within a request, started again: nothing is lost, and the id is the same."""
    async with live(broker, TWO, run=["ngo-a"]) as bus, receiving() as receiver, bus.door("ngo-a") as ngo:
        settings = bus.folder.agency(UNIT).agency_json
        write_json(settings, json.loads(Path(settings).read_bytes()) | ALLOWED)
        bus.start(UNIT)
        await bus.ready(UNIT)
        added = await asked(bus, "add", receiver.url, "--type", "case.*", "--algorithm", "v1")
        webhook, secret = added.split()[0], added.split("v1: ")[1].split()[0]
        assert "204 after" in await asked(bus, "ping", webhook)
        receiver.got.clear()
        receiver.answer = silence
        await ngo.publish(signal_of(CASE), wait=LONGEST_WAIT)
        await eventually("the receiver works", lambda: receiver.got)

        bus.kill(UNIT)
        receiver.answer = says(204)
        bus.start(UNIT)
        await bus.ready(UNIT)
        await eventually("it comes again", lambda: len(receiver.got) > 1)

        assert len(set(receiver.ids)) == 1
        shown = json.loads(await asked(bus, "deliveries", webhook, "--state", "delivered", "--json"))["deliveries"]
        assert [(each["type"], each["message"]) for each in shown[1:]] == [("case.signal_recorded", receiver.ids[0])]
        last = receiver.got[-1]
        said = standardwebhooks.Webhook(secret).verify(last.body, dict(last.headers))
        async with bus.door(UNIT) as unit:
            (event,) = (await unit.get(said["data"]["link"]))["events"]
        assert (event["type"], event["case"]) == ("case.signal_recorded", CASE)
        log = (bus.folder.logs / f"{UNIT}.log").read_text()
        assert receiver.url not in log
        assert secret not in log

        assert "active, 0 waiting" in await asked(bus, "list")
        assert "v1a: whpk_" in await asked(bus, "rotate", webhook, "--grace", "60", "--algorithm", "v1a")
        await asked(bus, "resend", webhook, receiver.ids[0])

        async def is_taken() -> bool:
            return '"deliveries": []' in await asked(bus, "deliveries", webhook, "--state", "open", "--json")

        await eventually("what was sent again is taken", is_taken)
        assert "1 are sent now" in await asked(
            bus, "recover", webhook, "--since", "2026-01-01T00:00:00Z", "--delivered"
        )
        assert "is active" in await asked(bus, "enable", webhook)
        log = await asked(bus, "deliveries", webhook)
        assert "case.signal_recorded  delivered: 204 (" in log or "case.signal_recorded  open" in log
        assert receiver.ids[0] in log
        assert "Nothing cancelled" in await asked(bus, "deliveries", webhook, "--state", "cancelled")
        await asked(bus, "remove", webhook)
        assert "has no webhook" in await asked(bus, "list")
        assert "not_found" in await asked(bus, "ping", webhook, status=1)
