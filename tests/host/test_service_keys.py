"""Keys of the bus's own services: they change while the bus runs, and what was signed with those before still verifies."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nrmbus.auditor.history.whole import audited
from nrmbus.bus.folder import BusFolder
from nrmbus.cli import health
from nrmbus.cli.membership import agency
from nrmbus.client.door import Door
from nrmbus.directory.admission import Newcomer, home_of, read_directory
from nrmbus.directory.operator import Identity
from nrmbus.host.supervisor import Supervisor
from nrmbus.wire.names import AUDITOR, REGISTRAR, TIMEKEEPER
from patience import LONGEST_WAIT, until

pytestmark = pytest.mark.broker

SIGNAL = json.loads((Path(__file__).parents[2] / "deploy" / "examples" / "signal.json").read_text())
OPEN: dict[str, Any] = {"keys_unprotected": True}
ADMITTERS = ("admitter-a", "admitter-b")


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BusFolder]:
    """Yield the folder of a running bus with one agency."""
    folder = BusFolder(tmp_path_factory.mktemp("keys") / "bus")
    folder.create()
    folder.send_canary(0)
    with Supervisor(folder, agencies={"ngo-a": Newcomer("ngo_outreach")}):
        until("the bus is ready", lambda: not health.not_ready(folder))
        yield folder


def publish(folder: BusFolder) -> str:
    """Publish a signal; return its case once it is registered."""

    async def said() -> dict[str, Any]:
        async with Door.of(folder.agency("ngo-a").path) as door:
            return dict(await door.publish(SIGNAL, wait=LONGEST_WAIT))

    answer = asyncio.run(said())
    assert answer["verdict"] == "registered"
    return str(answer["case"])


def key_of(folder: BusFolder, service: str) -> str:
    """Return the kid of the signing key of *service* on disk."""
    return Identity.at(home_of(folder, service), service).signing.kid


def pid(folder: BusFolder, service: str) -> int | None:
    """Return the process of *service*."""
    found = json.loads((folder.run / "services.json").read_bytes())
    return found[service]["pid"] if service in found else None


def change(folder: BusFolder, service: str, file: Path) -> None:
    """Change the keys of *service* as the operator and two admitters do."""
    agency.rotate(service, overlap=1, found_as=agency.FoundAs(), out=file, data=folder.path, **OPEN)
    for each in ADMITTERS:
        agency.admit(file, each, data=folder.path, **OPEN)
    agency.check(service, file, data=folder.path, **OPEN)


@pytest.mark.parametrize("service", [REGISTRAR, TIMEKEEPER, AUDITOR])
def test_a_service_changes_its_keys_while_the_bus_runs(up: BusFolder, tmp_path: Path, service: str) -> None:
    """P5: given a running bus, when a service changes its keys, then its process has them, and the history verifies from first to last.

    The service is no witness by that, and no desk. A registration of before verifies with the key before.
    """
    publish(up)
    before, process = key_of(up, service), pid(up, service)

    change(up, service, tmp_path / "request.json")

    after = key_of(up, service)
    directory = asyncio.run(read_directory(up))
    assert after != before
    assert directory.signing_kid(service, directory.entries[service].valid_from) == after
    assert directory.entries[service].witness is None
    assert not home_of(up, service).joinpath("agency.json").exists()
    until("another process has the service", lambda: pid(up, service) not in (None, process))
    until("the bus is ready", lambda: not health.not_ready(up))
    publish(up)
    registrations = [each.registration for each in asyncio.run(audited(up)).history.entries]
    assert len(registrations) >= 2
    assert directory.any_verify_key(service, before).kid == before
