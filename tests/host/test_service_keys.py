"""Keys of the bus's own services: they change while the bus runs, and what was signed with those before still verifies."""

import asyncio
import json
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka.errors import TopicAuthorizationFailedError

from host.test_hosts import joined
from nrmbus.auditor.history.whole import audited
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.wall_clock import wall_now
from nrmbus.cli import health
from nrmbus.cli.hosts import hosts_of
from nrmbus.cli.membership import agency, standby
from nrmbus.client.door import Door
from nrmbus.directory.admission import Newcomer, home_of, read_directory
from nrmbus.directory.commands import read_as
from nrmbus.directory.operator import Identity, LogIdentity
from nrmbus.host.supervisor import Supervisor
from nrmbus.wire.errors import WireError
from nrmbus.wire.names import AUDITOR, REGISTRAR, TIMEKEEPER
from patience import LONGEST_WAIT, until
from typed import run

pytestmark = [pytest.mark.broker, pytest.mark.slow]

SIGNAL = json.loads((Path(__file__).parents[2] / "deploy" / "examples" / "signal.json").read_text())
OPEN: dict[str, Any] = {"keys_unprotected": True}
ADMITTERS = ("admitter-a", "admitter-b")
EACH = [REGISTRAR, *(pytest.param(each, marks=pytest.mark.slow) for each in (TIMEKEEPER, AUDITOR))]


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


def rotated(folder: BusFolder, service: str, file: Path) -> None:
    """Request other keys for *service*, signed with the present key too."""
    agency.rotate(service, overlap=1, found_as=agency.FoundAs(), out=file, data=folder.path, **OPEN)


def lost(folder: BusFolder, service: str, file: Path) -> None:
    """Request other keys for *service*, whose keys somebody else may have."""
    agency.lost(service, out=file, data=folder.path, **OPEN)


def change(folder: BusFolder, service: str, file: Path, asking: Callable[[BusFolder, str, Path], None]) -> None:
    """Change the keys of *service* as the operator and two admitters do, and wait until another process has them."""
    process = pid(folder, service)
    asking(folder, service, file)
    for each in ADMITTERS:
        agency.admit(file, each, data=folder.path, **OPEN)
    agency.check(service, file, data=folder.path, **OPEN)
    until("another process has the service", lambda: pid(folder, service) not in (None, process))
    until("the bus is ready", lambda: not health.not_ready(folder))


def exported(folder: BusFolder, case: str, file: Path) -> list[str]:
    """Export the evidence of *case* to *file*; return the options with the keys that people verify it with."""
    done = run("export", "--case", case, "--out", file, "--data", folder.path)
    assert done.returncode == 0, done.stderr
    keys = [line.split() for line in done.stdout.splitlines() if line.startswith("  --")]
    assert {option for option, _ in keys} >= {"--log", "--operator"}, done.stdout
    return [each for key in keys for each in key]


def signed(folder: BusFolder) -> None:
    """Have the auditor sign everything, as she does when she ends in order, and wait until a witness has co-signed it."""
    process = pid(folder, AUDITOR)
    assert process is not None

    def asked(service: str) -> dict[str, Any]:
        found = asyncio.run(health.ask(folder, service))
        return dict(found) if found else {}

    numbers = asked(REGISTRAR)["numbers"]
    until("she has read all", lambda: asked(AUDITOR).get("numbers") == numbers)
    os.kill(process, signal.SIGTERM)
    until("another process has the service", lambda: pid(folder, AUDITOR) not in (None, process))

    def state() -> bool:
        found = asked(AUDITOR)
        sizes, co = found.get("signed", {}), found.get("cosigned", {})
        return bool(found.get("ready") and sizes == found.get("size")) and all(
            co.get(number, {}).get("size") == size for number, size in sizes.items() if size
        )

    until("a witness has co-signed all", state)


@pytest.mark.parametrize("service", EACH)
def test_a_service_changes_its_keys_while_the_bus_runs(up: BusFolder, tmp_path: Path, service: str) -> None:
    """P5: given a running bus, when a service changes its keys, then its process has them, and the history verifies from first to last.

    The change makes the service neither a witness nor a desk. An earlier registration verifies with the former key.
    """
    publish(up)
    before = key_of(up, service)

    change(up, service, tmp_path / "request.json", rotated)

    after = key_of(up, service)
    directory = asyncio.run(read_directory(up))
    assert after != before
    assert directory.signing_kid(service, directory.entries[service].valid_from) == after
    assert directory.entries[service].witness is None
    assert not home_of(up, service).joinpath("agency.json").exists()
    publish(up)
    registrations = [each.registration for each in asyncio.run(audited(up)).history.entries]
    assert len(registrations) >= 2
    assert directory.any_verify_key(service, before).kid == before


@pytest.mark.parametrize("service", EACH)
def test_stolen_keys_of_a_service_are_worth_nothing(up: BusFolder, tmp_path: Path, service: str) -> None:
    """P2 and P5: given a thief with the folder of a service, when the operator replaces its keys as lost, then the thief's are worth nothing.

    The broker gives the stolen certificate nothing, readers take no signature of the stolen key at any later time, and the
    service goes on. Earlier evidence verifies with the keys that were handed out with the evidence.
    """
    case = publish(up)
    signed(up)
    evidence = tmp_path / "before.evidence.jsonl"
    keys = exported(up, case, evidence)
    thief, stolen = tmp_path / service, key_of(up, service)
    shutil.copytree(home_of(up, service), thief)
    asyncio.run(read_as(up, thief))

    change(up, service, tmp_path / "request.json", lost)

    with pytest.raises(TopicAuthorizationFailedError):
        asyncio.run(read_as(up, thief))
    directory = asyncio.run(read_directory(up))
    with pytest.raises(WireError, match="signature_invalid"):
        directory.verify_key(service, stolen, wall_now())
    publish(up)
    assert len(asyncio.run(audited(up)).history.entries) >= 2
    verified = run("verify", evidence, *keys)
    assert verified.returncode == 0, verified.stdout + verified.stderr


@pytest.mark.parametrize("asking", [rotated, pytest.param(lost, marks=pytest.mark.slow)])
def test_the_auditor_changes_the_keys_of_her_logs(
    up: BusFolder, tmp_path: Path, asking: Callable[[BusFolder, str, Path], None]
) -> None:
    """P5: given signed logs, when the auditor changes her keys, then her logs have new keys too.

    The witnesses accept the new log keys by the directory. Evidence signed before verifies with the former keys, also
    after a later export. Evidence signed afterwards verifies with the new keys.
    """
    case, home = publish(up), home_of(up, AUDITOR)
    signed(up)
    old, pairs = tmp_path / "old.evidence.jsonl", len(asyncio.run(read_directory(up)).log_keys())
    earlier, before = exported(up, case, old), LogIdentity.at(home).public

    change(up, AUDITOR, tmp_path / "request.json", asking)

    directory = asyncio.run(read_directory(up))
    after = LogIdentity.at(home).public
    assert (directory.entries[AUDITOR].log, len(directory.log_keys())) == (after, pairs + 1)
    assert not {before.ed25519, before.mldsa44} & {after.ed25519, after.mldsa44}
    assert list((home / "keys" / "next").glob("*")) == []
    again = tmp_path / "again.evidence.jsonl"
    assert exported(up, case, again) == earlier, "no checkpoint of the new keys covers the case"
    later = publish(up)
    signed(up)
    new = tmp_path / "new.evidence.jsonl"
    newest = exported(up, later, new)
    assert newest[1] != earlier[1]
    for file, keys in ((old, earlier), (again, earlier), (new, newest)):
        verified = run("verify", file, *keys)
        assert verified.returncode == 0, verified.stdout + verified.stderr
    assert run("verify", new, *earlier).returncode == 1


@pytest.mark.parametrize("asking", [rotated, pytest.param(lost, marks=pytest.mark.slow)])
def test_a_standby_host_with_old_keys_is_named_until_it_is_admitted_again(
    up: BusFolder, tmp_path: Path, asking: Callable[[BusFolder, str, Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    """Given a standby host, when a service changes its keys, then the command names the host, and status and doctor show it as a fault.

    Admitted again it is none. Services that kept their keys are none either.
    """
    host = f"host-{asking.__name__}"
    joined(up, tmp_path, host)
    assert {each.state for each in hosts_of(up) if each.host == host} == {"away"}
    capsys.readouterr()

    change(up, TIMEKEEPER, tmp_path / "request.json", asking)

    assert f"nrmbus standby revoke {host}" in capsys.readouterr().out
    states = {each.service: each.state for each in hosts_of(up) if each.host == host}
    assert states == {REGISTRAR: "away", TIMEKEEPER: "old keys", AUDITOR: "away"}
    fault = f"The timekeeper of standby host {host} has keys that were changed since."
    for command in ("status", "doctor"):
        shown = run(command, "--data", up.path, "--json")
        assert (shown.returncode, fault in shown.stdout) == (1, True), shown.stdout
    standby.revoke(host, data=up.path, **OPEN)
    assert not [each for each in hosts_of(up) if each.host == host]
    joined(up, tmp_path / "again", host)
    assert {each.state for each in hosts_of(up) if each.host == host} == {"away"}
    standby.revoke(host, data=up.path, **OPEN)
