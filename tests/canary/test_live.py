"""A canary on a real bus: ready when its first hand-over is back, older while nothing is handed over, and nowhere in the history."""

import asyncio
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from nrmbus.bus.errors import NoBus
from nrmbus.bus.folder import CANARY_SECONDS, BusFolder
from nrmbus.cli import health
from nrmbus.directory.admission import read_directory
from nrmbus.host.services import services_of
from nrmbus.host.supervisor import Supervisor
from nrmbus.wire.names import CANARY, TEST_AGENCIES
from patience import until
from telemetry.test_alerts import fires
from telemetry.test_metrics import values

pytestmark = pytest.mark.broker


@pytest.fixture(scope="module", name="bus")
def _bus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BusFolder]:
    folder = BusFolder(tmp_path_factory.mktemp("canary"))
    folder.create(partitions=2)
    folder.send_canary(1)
    with Supervisor(folder):
        until("all is ready", lambda: not health.not_ready(folder))
        yield folder


def asked(folder: BusFolder, service: str = CANARY) -> dict[str, Any]:
    """Return the health of a service."""
    found = asyncio.run(health.ask(folder, service))
    return dict(found) if found else {}


def scraped(folder: BusFolder, service: str = CANARY) -> dict[str, float]:
    """Return what Prometheus reads."""
    door = json.loads((folder.service(service) / "door.json").read_bytes())
    headers = {"authorization": f"Bearer {door['token']}"}
    return values(httpx.get(f"{door['url']}/metrics", headers=headers).raise_for_status().content)


def test_ready_means_that_a_hand_over_came_back(bus: BusFolder) -> None:
    """Given a bus that is up, then test hand-overs come back, metrics say how old the newest is, and no registration exists."""
    shown = scraped(bus)

    assert shown["nrmbus_ready"] == 1
    assert not fires("NrmbusNothingHandedOver", shown)
    assert 0 < shown["nrmbus_canary_way_seconds"] < shown["nrmbus_canary_age_seconds"] + 60
    assert shown["nrmbus_certificate_left_seconds"] > 0
    assert sum(asked(bus, "auditor")["numbers"].values()) == 0
    entries = asyncio.run(read_directory(bus)).entries
    assert {name: entries[name].role for name in TEST_AGENCIES} == dict.fromkeys(TEST_AGENCIES, CANARY)


def test_it_grows_old_while_the_registrar_stands_still_and_recovers(bus: BusFolder) -> None:
    """Given a frozen registrar, which is a process that runs, then the age passes five intervals, and falls when it goes on."""
    pid = json.loads((bus.run / "services.json").read_bytes())["registrar"]["pid"]
    os.kill(pid, signal.SIGSTOP)
    try:
        until("the canary is not ready", lambda: not asked(bus)["ready"])
        shown = scraped(bus)
        assert fires("NrmbusNothingHandedOver", shown)
        assert "No test hand-over has come back" in health.not_ready(bus)[CANARY]
    finally:
        os.kill(pid, signal.SIGCONT)
    until("hand-overs come back", lambda: asked(bus)["ready"])


def test_a_bus_has_a_canary_only_if_it_is_set(tmp_path: Path) -> None:
    """Given a folder without the setting, then there is no canary; `nrmbus up` sets one a minute, and keeps what was set."""
    folder = BusFolder(tmp_path)
    assert (folder.canary_seconds, CANARY in services_of(folder)) == (0, False)
    folder.send_canary(None)
    assert (folder.canary_seconds, CANARY in services_of(folder)) == (CANARY_SECONDS, True)
    folder.send_canary(0)
    folder.send_canary(None)
    assert (folder.canary_seconds, CANARY in services_of(folder)) == (0, False)
    (tmp_path / "canary.json").write_text("{")
    with pytest.raises(NoBus, match=r"canary\.json cannot be read"):
        folder.canary_seconds  # noqa: B018 - raises
