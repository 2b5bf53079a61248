"""A case is erased on a real bus: on a court's decision, after a week, by every holder, and the history proves it."""

import asyncio
from datetime import timedelta

import pytest
from typer.testing import CliRunner

from auditor.live import AuditedBus
from brokers import Broker
from desk.live import STARTS, live, signal_of
from nrmbus.auditor.reports.erasure_certificate import Certificate, certificate
from nrmbus.bus.clock import tick_clock
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.kafka import clients
from nrmbus.cli.app import app
from nrmbus.cli.audit.own_reading import verified
from patience import until

pytestmark = [pytest.mark.broker, pytest.mark.slow]

CASE = "ab" * 16
HOLDERS = {"ngo-a": "ngo_outreach", "special-unit": "special_unit", "court": "court"}
TERMINATED = {
    "type": "access.terminated",
    "case": CASE,
    "actor": "S-1",
    "approver": "S-2",
    "data": {"body": "court", "scope": "case"},
    "sealed": {"decision_number": "CANARY-17/2026"},
}


def of_the_case(folder: BusFolder) -> Certificate:
    """Return the erasure certificate of the verified history."""
    return certificate(verified(folder).history.about(CASE))


async def test_a_court_ends_access_and_every_holder_erases_and_confirms(broker: Broker) -> None:
    """The court never heard of the case; its desk seals the decision's number to the agencies that the registrar names.

    Nothing is erased in the week of objection, nor while the auditor's hold stands. Afterwards no ledger has a letter
    or a key of the case, not even its author's.
    """
    async with live(broker, HOLDERS, run=tuple(HOLDERS)) as bus:
        bus.start("timekeeper")
        async with bus.door("ngo-a") as door:
            assert (await door.publish(signal_of(CASE), wait=30))["verdict"] == "registered"
        async with bus.door("court") as door:
            assert (await door.publish(TERMINATED, wait=30))["verdict"] == "registered"
        how = ["erasure", "hold", "--case", CASE, "--until", "2026-03-10", "--data", str(bus.folder.path)]
        auditor = AuditedBus(bus.folder)
        auditor.start()
        try:
            await auditor.until(lambda health: health["ready"])
            placed = await asyncio.to_thread(CliRunner().invoke, app, how)
        finally:
            auditor.stop()
        assert placed.stdout.startswith("registered as number"), placed.exception
        async with clients.producer(bus.folder.bootstrap) as producer:
            for tick, days in ((2, 6), (3, 8)):
                await tick_clock(producer, tick, STARTS + timedelta(days=days))
                await bus.until(
                    "timekeeper", lambda health, tick=tick: health["tick"] >= tick and not health["outbox_open"]
                )
                assert (await asyncio.to_thread(of_the_case, bus.folder)).due is None
            await tick_clock(producer, 4, STARTS + timedelta(days=9))

        def complete() -> bool:
            return of_the_case(bus.folder).complete

        await asyncio.to_thread(until, "every holder has confirmed", complete)
        found = await asyncio.to_thread(of_the_case, bus.folder)
        assert {each.agency for each in found.confirmed} == set(HOLDERS)
        assert (found.decided_by, found.ground) == ("court", "decision")
        assert [(each.agency, each.until) for each in found.holds] == [("auditor", "2026-03-10")]
        for agency in HOLDERS:
            assert left_in(bus.folder, agency) == (0, 0, 0)


def left_in(folder: BusFolder, agency: str) -> tuple[int, ...]:
    """Count the case keys, received letters and sent letters in a ledger."""
    import sqlite3  # noqa: PLC0415 - a second connection, as another process has it

    asked = (
        "SELECT count(*) FROM case_keys",
        "SELECT count(*) FROM events WHERE letter IS NOT NULL",
        "SELECT count(*) FROM outbox WHERE letter IS NOT NULL OR draft IS NOT NULL",
    )
    other = sqlite3.connect(folder.agency(agency).ledger)
    try:
        return tuple(other.execute(each).fetchone()[0] for each in asked)
    finally:
        other.close()
