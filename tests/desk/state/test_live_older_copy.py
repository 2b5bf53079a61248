"""An older copy of a ledger is put back, on a real broker: the desk notices, catches up, and then goes on."""

import signal
import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from brokers import Broker
from desk.live import LiveBus, live, log_of, signal_of
from desk.state.test_live_beginnings import findings
from desk.test_live import CASE, CONSENT, TWO, about, quiet, rows, topic
from nrmbus.cli import health as healths
from nrmbus.cli.operate import service_faults
from nrmbus.client import DoorError
from nrmbus.desk.state import older_copy
from nrmbus.wire.envelope import decode
from patience import LONGEST_WAIT, eventually

pytestmark = [pytest.mark.broker, pytest.mark.slow]

NGO = "ngo-a"
OTHER, NEW, LAST = "ef" * 16, "12" * 16, "34" * 16
REFUSED = about("consent.refused", {"purposes": CONSENT["purposes"], "given_by": "individual", "receivers": ["special-unit"]})  # fmt: skip


def copied(ledger: Path, to: Path) -> None:
    """Copy a ledger while its desk runs, as a backup does."""
    with closing(sqlite3.connect(ledger)) as source, closing(sqlite3.connect(to)) as target:
        source.backup(target)


def put_back(copy: Path, ledger: Path) -> None:
    """Put a copy in the place of a ledger whose desk has ended."""
    for path in ledger.parent.glob("ledger.sqlite*"):
        path.unlink()
    ledger.write_bytes(copy.read_bytes())
    ledger.chmod(0o600)


async def said(bus: LiveBus, body: dict[str, Any], wait: float = LONGEST_WAIT) -> dict[str, Any]:
    """Publish at the NGO's door."""
    async with bus.door(NGO) as door:
        return await door.publish(body, wait=wait)


async def health(bus: LiveBus) -> dict[str, Any]:
    """Return the health of the NGO's desk, empty while it does not answer."""
    with suppress(DoorError, httpx.HTTPError, KeyError):
        async with bus.door(NGO) as door:
            return await door.health()
    return {}


async def sent(bus: LiveBus) -> list[str]:
    """Return the ids in the NGO's outbox topic, in order."""
    return [decode(each.without_letter()).id for each in await topic(bus, f"nrm.outbox.{NGO}")]


async def test_an_older_copy_speaks_neither_twice_nor_out_of_turn(broker: Broker, tmp_path: Path) -> None:
    """The copy has an event to send that was registered since, knows nothing of two others, and the registrar is away."""
    async with live(broker, TWO, run=list(TWO)) as bus:
        ledger, copy = bus.folder.agency(NGO).ledger, tmp_path / "copy.sqlite"
        first = await said(bus, signal_of(CASE))
        await quiet(bus, *TWO)
        async with bus.door(NGO) as door:
            followed = (await door.inbox())["ledger"]
        # The copy is made while an event waits for its answer, and another one waits behind it.
        bus.kill("registrar")
        pending = [await said(bus, about("consent.given", CONSENT), 0), await said(bus, REFUSED, 0)]
        await eventually(
            "one is sent", lambda: rows(bus, NGO, "SELECT count(*) FROM outbox WHERE state = 'signed'") == [(1,)]
        )
        copied(ledger, copy)
        bus.start("registrar")
        await bus.served()
        since = [await said(bus, signal_of(OTHER))]
        await quiet(bus, *TWO)
        bus.kill("registrar")
        since.append(await said(bus, signal_of(NEW), 0))
        await eventually(
            "it is sent", lambda: rows(bus, NGO, "SELECT count(*) FROM outbox WHERE state = 'signed'") == [(1,)]
        )
        bus.kill(NGO, signal.SIGTERM)
        put_back(copy, ledger)
        before = await sent(bus)

        bus.start(NGO)
        await eventually("the desk asks the registrar", lambda: _longer(bus, before))
        waits = await health(bus)
        new = await said(bus, signal_of(LAST), 0)
        (asked,) = (await sent(bus))[len(before) :]
        bus.start("registrar")
        await bus.served()
        told = (await quiet(bus, *TWO))[NGO][older_copy.TASK]

        assert asked in before, "before the registrar has answered, the desk only repeats an event that is registered"
        assert (waits["ready"], waits[older_copy.TASK]["caught_up"]) == (False, False)
        assert "sends nothing until it has caught up" in waits[older_copy.TASK]["sentence"]
        ids = [each["id"] for each in (first, *pending, *since, new)]
        own = rows(bus, NGO, "SELECT id, sequence FROM outbox WHERE verdict = 'registered' ORDER BY seq")
        assert own == list(zip([*ids[:3], ids[5]], (1, 2, 3, 1), strict=True))
        received = rows(bus, NGO, "SELECT id, verdict FROM inbox WHERE source = 'ngo-a' ORDER BY id")
        assert received == [(each, "registered") for each in sorted(ids)], "each once, and nothing was refused"
        assert set(await sent(bus)) == set(ids)
        assert {each for (each,) in rows(bus, NGO, "SELECT id FROM events")} >= set(ids)
        assert rows(bus, "special-unit", "SELECT count(*), count(DISTINCT subject || id) FROM outbox") == [(4, 4)]
        await is_said_aloud(bus, told, followed)


async def is_said_aloud(bus: LiveBus, told: dict[str, Any], followed: str) -> None:
    """Look at health, log, doctor, task and inbox of a desk that has caught up."""
    assert (told["caught_up"], told["own"]) == (True, 2)
    assert told["again"] >= 4
    log = log_of(bus.folder, NGO)
    assert [each in log for each in ('"outcome": "alarm"', '"event": "caught_up"')] == [True, True]
    assert await findings(bus.folder) == {older_copy.TASK: "ngo-a began with an older copy of its ledger."}
    async with bus.door(NGO) as door:
        (task,) = [each for each in (await door.tasks())["tasks"] if each["kind"] == older_copy.TASK]
        assert (await door.inbox())["ledger"] != followed, "a program that follows the rows begins again"
        with pytest.raises(DoorError) as restarted:
            await door.inbox(after=1, ledger=followed)
        await door.post(f"/v1/tasks/{task['task']}/done")
    assert restarted.value.code == "inbox_restarted"
    found = list(service_faults.of_services(bus.folder, await healths.ask_all(bus.folder)))
    assert [each.serious for each in found] == [False], "a person has seen it"


async def _longer(bus: LiveBus, before: list[str]) -> bool:
    return len(await sent(bus)) > len(before)
