"""Each fault is made on a real bus: the services' numbers fulfil the alert's expression; doctor and status agree."""

import asyncio
import json
import os
import resource
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from nrmbus.bus import vitals
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.kafka import clients
from nrmbus.bus.pki import certificate
from nrmbus.bus.pki.authority import Authority
from nrmbus.bus.reach import Tls
from nrmbus.cli import health
from nrmbus.cli.app import app
from nrmbus.cli.operate import faults
from nrmbus.client.door import Door
from nrmbus.directory.admission import Newcomer, read_directory
from nrmbus.host import supervisor
from nrmbus.host.services import SERVICES
from nrmbus.host.supervisor import Supervisor
from nrmbus.wire.names import CANARY, TEST_AGENCIES, outbox_of
from patience import LONGEST_WAIT, PATIENCE, until
from telemetry.test_alerts import fires, metrics_of, rules
from telemetry.test_dashboards import named
from telemetry.test_metrics import samples, values

pytestmark = [pytest.mark.broker, pytest.mark.slow]

SIGNAL = json.loads((Path(__file__).parents[2] / "deploy" / "examples" / "signal.json").read_text(encoding="utf-8"))
DESKS = ("ngo-a", "special-unit")


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the machine's faults."""
    return tmp_path_factory.mktemp("faults")


@pytest.fixture(scope="module", name="bus")
def given_bus(tmp_path_factory: pytest.TempPathFactory, machine: Path) -> Iterator[BusFolder]:
    """Yield a running bus with two desks, whose supervisor renews no certificate meanwhile."""
    folder = BusFolder(tmp_path_factory.mktemp("bus"))
    folder.create()
    folder.send_canary(1)
    newcomers = {"ngo-a": Newcomer("ngo_outreach"), "special-unit": Newcomer("special_unit")}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).parent / "wrong_machine"))
        patch.setenv("NRMBUS_TEST_FAULTS", str(machine))
        patch.setattr(supervisor, "CERTIFICATE_SECONDS", 3600.0)
        patch.setattr(health, "ASK_SECONDS", 2.0)
        with Supervisor(folder, agencies=newcomers):
            until("all is ready", lambda: not health.not_ready(folder))
            yield folder


_STILL: set[int] = set()
"""The processes that stand still now (`frozen`): only of those is no answer expected."""


def scraped(folder: BusFolder, name: str) -> dict[str, float]:
    """Return what Prometheus knows after it has read a service: the numbers, and whether the service answered."""
    try:
        return {"up": 1, **values(page(folder, name))}
    except httpx.TransportError:
        return {"up": 0}


def page(folder: BusFolder, name: str) -> bytes:
    """Return the page of metrics of a service."""
    home = folder.service(name) if name in SERVICES else folder.agency(name).path
    door = json.loads((home / "door.json").read_bytes())
    answer = httpx.get(
        f"{door['url']}/metrics",
        headers={"authorization": f"Bearer {door['token']}"},
        timeout=2 if _STILL else PATIENCE,
    )
    return answer.raise_for_status().content


def told(folder: BusFolder) -> set[str]:
    """Return the codes of what nrmbus doctor calls wrong; the keys of a test's bus are always open."""
    shown = CliRunner().invoke(app, ["doctor", "--json", "--data", str(folder.path)])
    body: dict[str, Any] = json.loads(shown.output)
    codes = {each["code"] for each in body["findings"] if each["serious"]} - {"keys_unprotected"}
    assert (shown.exit_code, body["well"]) == (1, False), "of the keys alone"
    return codes


def status(folder: BusFolder) -> dict[str, Any]:
    """Return what nrmbus status shows."""
    shown = CliRunner().invoke(app, ["status", "--json", "--data", str(folder.path)])
    body: dict[str, Any] = json.loads(shown.output)
    assert shown.exit_code == (not body["well"])
    return body


@contextmanager
def frozen(folder: BusFolder, *names: str) -> Iterator[None]:
    """Hold the processes of services, as a machine without memory or disk does."""
    running = json.loads((folder.run / "services.json").read_bytes())
    pids = [running[name]["pid"] for name in names]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    _STILL.update(pids)
    try:
        yield
    finally:
        _STILL.difference_update(pids)
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def asked(folder: BusFolder, service: str) -> dict[str, Any]:
    """Return the health of a service; nothing while it does not answer."""
    found = asyncio.run(health.ask(folder, service))
    return dict(found) if found else {}


def publish(folder: BusFolder) -> dict[str, Any]:
    """Publish the first event of a case at the desk of ngo-a."""

    async def published() -> dict[str, Any]:
        async with Door.of(folder.agency("ngo-a").path) as door:
            return await door.publish(SIGNAL, wait=LONGEST_WAIT)

    return asyncio.run(published())


def test_on_a_bus_that_is_well_nothing_fires_and_nobody_complains(bus: BusFolder) -> None:
    """Given all services ready and one event, then no alert's expression holds, the doctor finds nothing, and status is well."""
    assert publish(bus)["verdict"] == "registered"
    until("it is co-signed", lambda: scraped(bus, "auditor").get("nrmbus_registrations_not_cosigned") == 0)

    for name in ("registrar", "timekeeper", "auditor", *DESKS):
        shown = scraped(bus, name)
        for alert in (
            "ServiceAway",
            "ClockWrong",
            "CertificateEnds",
            "DiskNearlyFull",
            "CheckpointNotCosigned",
            "CheckpointStale",
        ):
            assert not fires(f"Nrmbus{alert}", shown), (alert, name)
    assert told(bus) == set()
    assert (status(bus)["well"], status(bus)["faults"]) == (True, [])


def test_every_number_of_alerts_and_dashboards_is_there(bus: BusFolder) -> None:
    """Given the pages of a bus as they are, then each name that an alert or a dashboard looks at is on one of them."""
    wanted = named() | {name for rule in rules() for name in metrics_of(str(rule["expr"]))}

    def missing() -> set[str]:
        pages = [page(bus, name) for name in ("registrar", "timekeeper", "auditor", "canary", *DESKS)]
        return wanted - {each.name for found in pages for each in samples(found)}

    until("all numbers are there but `up`, which Prometheus makes", lambda: missing() == {"up"})


def test_a_canary_that_is_ready_had_its_hand_over_back(bus: BusFolder) -> None:
    """Given a bus that is up, then metrics say how old the newest test hand-over is, and the directory names both test agencies."""
    shown = scraped(bus, CANARY)

    assert not fires("NrmbusNothingHandedOver", shown)
    assert 0 < shown["nrmbus_canary_way_seconds"] < shown["nrmbus_canary_age_seconds"] + 60
    assert shown["nrmbus_certificate_left_seconds"] > 0
    entries = asyncio.run(read_directory(bus)).entries
    assert {name: entries[name].role for name in TEST_AGENCIES} == dict.fromkeys(TEST_AGENCIES, CANARY)


def test_nothing_is_handed_over(bus: BusFolder) -> None:
    """Given a frozen registrar, whose process runs, then the age passes five intervals; it falls when the registrar goes on, and nothing was registered."""
    before = asked(bus, "auditor")["numbers"]
    with frozen(bus, "registrar"):
        until("the canary is not ready", lambda: not asked(bus, CANARY)["ready"])
        assert fires("NrmbusNothingHandedOver", scraped(bus, CANARY))
        assert "No test hand-over has come back" in health.not_ready(bus)[CANARY]
    until("hand-overs come back", lambda: asked(bus, CANARY)["ready"])
    assert asked(bus, "auditor")["numbers"] == before


def test_a_desk_that_is_silent(bus: BusFolder) -> None:
    """Given a desk whose process stands still, then its page does not answer."""
    with frozen(bus, "special-unit"):
        assert fires("NrmbusServiceAway", scraped(bus, "special-unit"))
        assert told(bus) == {"not_answering"}
        assert [each["state"] for each in status(bus)["services"] if each["name"] == "special-unit"] == ["away"]
    until("it answers", lambda: not fires("NrmbusServiceAway", scraped(bus, "special-unit")))


def test_a_clock_that_is_wrong(bus: BusFolder, machine: Path) -> None:
    """Given a machine whose clock is two minutes ahead, then the desk measures the difference with the next event."""
    (machine / "clock").write_text("120")
    try:
        publish(bus)
        until("it is measured", lambda: fires("NrmbusClockWrong", scraped(bus, "ngo-a")))
        assert "clock_skew" in told(bus)
        assert any("ahead of the broker's" in each for each in status(bus)["faults"])
    finally:
        (machine / "clock").unlink()
    publish(bus)
    until("it is right", lambda: not fires("NrmbusClockWrong", scraped(bus, "ngo-a")))


def test_a_certificate_that_ends(bus: BusFolder) -> None:
    """Given a certificate with six days left that nobody renewed, then metrics, doctor and status name it."""
    tls = Tls(bus.agency("ngo-a").path)
    kept = tls.certificate.read_bytes()
    short = Authority(bus).issue("ngo-a", certificate.request(tls), life=timedelta(days=6))
    certificate.keep(tls, short, tls.ca.read_bytes())
    try:
        assert fires("NrmbusCertificateEnds", scraped(bus, "ngo-a"))
        assert told(bus) == {"certificate"}
        assert any("certificate of ngo-a ends in" in each for each in status(bus)["ending"])
    finally:
        certificate.keep(tls, kept, tls.ca.read_bytes())
    assert not fires("NrmbusCertificateEnds", scraped(bus, "ngo-a"))


def test_a_disk_that_is_nearly_full(bus: BusFolder, machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a disk with one gigabyte free, then every service shows it."""
    (machine / "disk").write_text("1e9")
    try:
        assert all(fires("NrmbusDiskNearlyFull", scraped(bus, name)) for name in ("registrar", "auditor", *DESKS))
    finally:
        (machine / "disk").unlink()
    monkeypatch.setattr(vitals, "LEAST_FREE", 2**62)
    assert told(bus) == {"disk"}


def test_a_submission_in_quarantine(bus: BusFolder) -> None:
    """Given a record that no desk signed, then the registrar counts it, and the doctor reads the quarantine."""

    async def write() -> None:
        async with clients.producer(bus.reach(bus.agency("ngo-a").path)) as producer:
            await producer.send_and_wait(outbox_of("ngo-a"), b"{}", b"a" * 32, 0)

    before = scraped(bus, "registrar")["nrmbus_quarantined_records_total"]
    asyncio.run(write())
    until("it is set aside", lambda: scraped(bus, "registrar")["nrmbus_quarantined_records_total"] > before)
    assert told(bus) == {"quarantine"}
    assert status(bus)["history"]["quarantined"] == 1


def writers(folder: BusFolder) -> list[int]:
    """Return the broker's processes: the process in the supervisor's report, and its children."""
    found = [json.loads((folder.run / "services.json").read_bytes())["broker"]["pid"]]
    for pid in found:
        for children in Path(f"/proc/{pid}/task").glob("*/children"):
            found += map(int, children.read_text().split())
    return found


@pytest.mark.slow
@pytest.mark.parametrize("limit", [(1, 1)] if sys.platform == "linux" else [])
def test_a_brokers_disk_that_is_full(bus: BusFolder, limit: tuple[int, int]) -> None:
    """Given a broker with a full disk, then it stops; with room again, an event taken by a desk is registered once."""
    before = scraped(bus, "ngo-a"), asked(bus, "auditor")["numbers"]
    broker = writers(bus)
    for pid in broker:
        resource.prlimit(
            pid, resource.RLIMIT_FSIZE, (1, 1)
        )  # as a full disk: what was written stays, and nothing is added
    answer = publish(bus)
    until("Kafka has stopped, and is started again", lambda: set(writers(bus)).isdisjoint(broker))
    until("it is registered", lambda: scraped(bus, "ngo-a").get("nrmbus_outbox_open_events") == 0)
    until("hand-overs come back", lambda: asked(bus, "canary").get("ready"))

    assert (answer["verdict"] or "pending") in {"registered", "pending"}
    assert before[0]["nrmbus_outbox_open_events"] == 0
    more = {"0": before[1]["0"] + 2}  # the event, and the receipt of the special unit
    until("it is registered once", lambda: asked(bus, "auditor").get("numbers") == more)


def test_a_broker_that_is_silent(bus: BusFolder, machine: Path) -> None:
    """Given a frozen broker and a clock two minutes later, then each service that only waits for records is not ready, and says why."""
    broker = writers(bus)
    for pid in broker:
        os.kill(pid, signal.SIGSTOP)
    (machine / "clock").write_text("120")
    try:
        for name in ("ngo-a", "timekeeper", "auditor"):
            until(f"{name} is not ready", lambda: not asked(bus, name).get("ready", True))  # noqa: B023 - it is asked at once
            assert fires("NrmbusServiceNotReady", {"nrmbus_trouble": 0, **scraped(bus, name)})
            assert "Kafka has not answered it for " in health.not_ready(bus)[name]
    finally:
        (machine / "clock").unlink()
        for pid in broker:
            os.kill(pid, signal.SIGCONT)
    until("all are ready", lambda: not health.not_ready(bus))


@pytest.mark.slow
@pytest.mark.parametrize("soft", [1] if sys.platform == "linux" else [])
def test_a_desks_disk_that_is_full(bus: BusFolder, soft: int) -> None:
    """Given an idle desk without room for log and ledger, then it is shown as standing still before anybody asks it.

    With room again the desk goes on.
    """
    before = asked(bus, "auditor")["numbers"]
    pid = json.loads((bus.run / "services.json").read_bytes())["special-unit"]["pid"]
    limits = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (soft, limits[1]))
    try:
        until("it is seen", lambda: "special-unit" in asked(bus, "timekeeper").get("desks_still", ()), 2 * PATIENCE)
        assert "standing_still" in told(bus)
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, limits)
    until("it is seen again", lambda: asked(bus, "timekeeper").get("desks_still") == [], 2 * PATIENCE)

    assert publish(bus)["verdict"] == "registered"
    more = {"0": before["0"] + 2}  # the event, and the receipt of the special unit
    until("the event has come, and its receipt", lambda: asked(bus, "auditor").get("numbers") == more)
    assert json.loads((bus.run / "services.json").read_bytes())["special-unit"]["pid"] == pid, (
        "it was not started again"
    )


@pytest.mark.slow
def test_a_checkpoint_that_nobody_co_signs(bus: BusFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given desks that stand still while the auditor signs, then the registrations below are counted, until a desk is back."""
    monkeypatch.setattr(faults, "WAITS", timedelta(0))
    with frozen(bus, "auditor"):
        publish(bus)
    with frozen(bus, *DESKS):
        running = json.loads((bus.run / "services.json").read_bytes())
        os.kill(running["auditor"]["pid"], signal.SIGTERM)  # it signs a last checkpoint over all
        until("it is signed", lambda: fires("NrmbusCheckpointNotCosigned", scraped(bus, "auditor")))
        assert {"checkpoint_stale", "not_answering"} <= told(bus)
        assert any("No desk has co-signed" in each for each in status(bus)["faults"])
    until("it is co-signed", lambda: scraped(bus, "auditor").get("nrmbus_registrations_not_cosigned") == 0)
