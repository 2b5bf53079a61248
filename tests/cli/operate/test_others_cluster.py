"""A bus on somebody else's Kafka cluster: admitted as the page for its operator says, and as closed as on its own."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.protocol.produce import ProduceRequest
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    ResourcePatternType,
    ResourceType,
)

from bus.closed import speaking
from bus.kafka.test_closed import gets_nothing, stranger
from bus.kafka.test_matrix import TOPIC, batch
from cli.operate.others_cluster import OthersCluster
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.kafka import clients, quotas
from nrmbus.bus.kafka.cluster import CLUSTER_SETTINGS
from nrmbus.bus.kafka.gate import Gate
from nrmbus.bus.pki.authority import Authority
from nrmbus.bus.reach import Reach
from nrmbus.wire.keys import keyfile
from patience import until

pytestmark = [pytest.mark.broker, pytest.mark.slow]

NRMBUS = [sys.executable, "-c", "from nrmbus.cli import main; main()"]
UP_SECONDS = 60.0
AGENCIES = {"ngo-a", "special-unit"}
SIGNAL = Path(__file__).parents[3] / "deploy" / "examples" / "signal.json"


@dataclass
class Guest:
    """A bus, its folder, and the foreign cluster for it."""

    cluster: OthersCluster
    folder: BusFolder
    key_file: Path
    dir: Path
    running: "subprocess.Popen[bytes] | None" = None

    @property
    def environment(self) -> dict[str, str]:
        """Return the environment of the bus's commands."""
        return {**os.environ, keyfile.SETTING: str(self.key_file)}

    @property
    def options(self) -> list[str]:
        """Return the options of ``up``, as the page for the cluster's operator has them."""
        agencies = self.folder.path.parent / "agencies.yaml"
        agencies.write_text("ngo-a: {role: ngo_outreach}\nspecial-unit: {role: special_unit}\n")
        where = ["--bootstrap", self.cluster.guest, "--tls", str(self.dir)]
        return ["up", *where, "--agencies", str(agencies), "--data", str(self.folder.path)]

    def says(self, *command: str) -> tuple[int, list[str]]:
        """Return exit status and lines of a command that ends."""
        done = subprocess.run(
            [*NRMBUS, *command], env=self.environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            check=False, timeout=90,
        )  # fmt: skip
        return done.returncode, (done.stdout + done.stderr).splitlines()

    def begins(self, *command: str) -> "subprocess.Popen[bytes]":
        """Start a command that runs until a signal ends it."""
        quiet = subprocess.DEVNULL
        self.running = subprocess.Popen(
            [*NRMBUS, *command], env=self.environment, stdin=quiet, stdout=quiet, stderr=quiet
        )
        return self.running

    def runs(self) -> set[str]:
        """Return the names of the running services."""
        try:
            return set(json.loads((self.folder.run / "services.json").read_bytes()))
        except FileNotFoundError:
            return set()

    def reach(self, agency: str) -> Reach:
        """Return the cluster as *agency* reaches it."""
        return self.folder.reach(self.folder.agency(agency).path)


@pytest.fixture(scope="module")
def guest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guest]:
    """Yield a running cluster that knows no bus, and a key file."""
    home = tmp_path_factory.mktemp("guest")
    cluster = OthersCluster(home / "cluster")
    cluster.fetch()
    cluster.start()
    (home / "dir").mkdir()
    (home / "dir" / "ca.pem").write_bytes(cluster.authority.pem)
    key_file = home / "elsewhere.key"
    key_file.write_text(os.urandom(32).hex())
    key_file.chmod(0o600)
    keyfile.hold(keyfile.Passphrase.of_file(key_file))
    made = Guest(cluster, BusFolder(home / "bus"), key_file, home / "dir")
    try:
        yield made
    finally:
        keyfile.hold(None)
        if made.running:
            made.running.send_signal(signal.SIGTERM)
            made.running.wait(20)
        cluster.stop()


@pytest.fixture(scope="module")
def told(guest: Guest) -> tuple[int, list[str]]:
    """Return status and output of the first start on a cluster without the settings."""
    return guest.says(*guest.options)


@pytest.fixture(scope="module")
def up(guest: Guest, told: tuple[int, list[str]]) -> Guest:
    """Return the bus, up on the cluster, after its operator applied only the printed settings."""
    printed = dict(line.strip().split("=", 1) for line in told[1] if line.startswith("  "))
    assert CLUSTER_SETTINGS.keys() <= printed.keys()
    # Those are for three brokers, and this cluster has one.
    guest.cluster.told = {key: value for key, value in printed.items() if key not in CLUSTER_SETTINGS}
    guest.cluster.stop()
    guest.cluster.start()
    process = guest.begins(*guest.options)
    services = {"registrar", "timekeeper", "auditor", *AGENCIES}
    until("all of it runs", lambda: process.poll() is not None or guest.runs() >= services, UP_SECONDS)
    assert process.poll() is None
    for agency in AGENCIES:
        until("its desk has a door", guest.folder.agency(agency).door.exists, UP_SECONDS)
    return guest


@pytest.mark.slow
def test_an_unprepared_cluster_denies_the_bus_and_the_missing_settings_are_printed(
    guest: Guest, told: tuple[int, list[str]]
) -> None:
    """The lines are settings as Kafka reads them; the authority that is made for them has its key sealed."""
    status, lines = told
    assert status == 1
    assert lines[-1].startswith(f"nrmbus: No broker answers at {guest.cluster.guest}: ")
    settings = dict(line.strip().split("=", 1) for line in lines if line.startswith("  "))
    assert settings["listener.name.nrmbus.ssl.client.auth"] == "required"
    assert settings["super.users"] == "User:operator"
    assert keyfile.is_sealed(guest.folder.keys / "authority" / "key.pem")


@pytest.mark.slow
def test_an_event_of_an_agency_is_registered_there(up: Guest) -> None:
    """An event goes from a desk over the cluster to the registrar and back, as on a bus with its own broker."""
    status, lines = up.says("publish", "ngo-a", "--event", str(SIGNAL), "--data", str(up.folder.path))

    assert status == 0, lines
    assert any("registered" in line for line in lines), lines
    assert up.says("topics", "check", "--data", str(up.folder.path))[0] == 0
    status, lines = up.says("cluster", "check", "--data", str(up.folder.path))
    assert status == 1, "one broker is no cluster of three"
    assert "Broker 1 has min.insync.replicas=1: set min.insync.replicas=2" in lines
    assert not any("authorizer" in line or "super.users" in line for line in lines)
    status, lines = up.says("cluster", "settings", "--data", str(up.folder.path))
    assert status == 0
    assert set(up.cluster.told.items()) <= {tuple(line.split("=", 1)) for line in lines if "=" in line}
    log = (up.folder.logs / "registrar.log").read_text()
    assert "session_longer" in log, "the cluster allows no session below six seconds, so a standby takes over after six"
    assert Gate(up.folder).check() == ()


@pytest.mark.parametrize("who", ["ngo-a", "registrar", "operator"])
async def test_a_stranger_gets_nothing_there(up: Guest, tmp_path: Path, who: str) -> None:
    """A certificate of another bus has no access, and neither has a client without a certificate."""
    where = stranger(tmp_path, who, up.cluster.authority.pem)
    await gets_nothing(Reach(up.cluster.guest, where.tls))
    await gets_nothing(Reach(up.cluster.guest))


@pytest.mark.parametrize("name", ["CN=operator,OU=1,OU={bus},O=nrmbus", "CN=admin,O=Ministry"])
async def test_the_clusters_own_authority_opens_nothing_of_the_bus(up: Guest, tmp_path: Path, name: str) -> None:
    """Neither a name like the operator's nor the cluster's administrator has access: the bus's listener trusts the bus's authority."""
    tls = up.cluster.authority.certify(tmp_path, name.format(bus=up.folder.settings.bus))

    await gets_nothing(Reach(up.cluster.guest, tls))


async def test_the_clusters_own_listener_is_as_it_was(up: Guest) -> None:
    """The cluster's administrator reaches its own listener as before, and nobody of the bus does."""
    assert (await asyncio.to_thread(clients.admin(up.cluster.as_admin).list_topics, timeout=10)).brokers
    await gets_nothing(Reach(up.cluster.bootstrap, up.reach("ngo-a").tls))


async def test_an_agency_reads_its_own_inbox_and_nobody_elses(up: Guest) -> None:
    """An agency may not write another's outbox, nor the registrar's topics."""
    async with speaking(up.reach("ngo-a")) as send:

        async def read(topic: str) -> int:
            answer = await send(FetchRequest(0, 0, 1 << 20, 1, [(topic, [(0, 0, 1 << 16)])]))
            code: int = answer.topics[0][1][0][1]
            return code

        async def write(topic: str) -> int:
            answer = await send(ProduceRequest(None, -1, 5_000, [(topic, [(0, batch())])]))
            code: int = answer.topics[0][1][0][1]
            return code

        assert await read("nrm.inbox.ngo-a") == 0
        assert {await read(f"nrm.{each}") for each in ("inbox.special-unit", "cases", "outbox.special-unit")} == {TOPIC}
        assert {await write(f"nrm.{each}") for each in ("outbox.special-unit", "inbox.ngo-a", "cases")} == {TOPIC}


async def test_a_suspended_agency_gets_nothing_there(up: Guest) -> None:
    """An open connection of the suspended agency loses its rights too."""
    async with speaking(up.reach("special-unit")) as send:
        fetch = FetchRequest(0, 0, 1 << 20, 1, [("nrm.inbox.special-unit", [(0, 0, 1 << 16)])])
        assert (await send(fetch)).topics[0][1][0][1] == 0
        await asyncio.to_thread(Gate(up.folder).suspend, "special-unit")
        assert (await send(fetch)).topics[0][1][0][1] == TOPIC
        await asyncio.to_thread(Gate(up.folder).admit_again, "special-unit")
        assert (await send(fetch)).topics[0][1][0][1] == 0


def test_nobody_of_the_cluster_is_a_super_user_of_the_bus_by_a_short_name(up: Guest) -> None:
    """The mapping has no default, and knows no `broker`: that name is our own broker's."""
    assert "broker" not in up.cluster.told["super.users"]
    assert "DEFAULT" not in up.cluster.told["listener.name.nrmbus.ssl.principal.mapping.rules"]
    assert not (up.folder.path / "broker").exists()
    assert Authority(up.folder).brokers_ca == up.cluster.authority.pem


@pytest.mark.slow
@pytest.mark.parametrize("what", ["rule", "quota"])
def test_rules_and_quotas_of_others_are_left_as_they_are(up: Guest, what: str) -> None:
    """Foreign rules or quotas are reported with a sentence, and the command fails: only our own rules are ours to remove."""
    admin, gate, name = clients.admin(up.cluster.as_admin), Gate(up.folder), "other-application"
    allowed = ("*", AclOperation.READ, AclPermissionType.ALLOW)
    rule = AclBinding(ResourceType.TOPIC, "theirs", ResourcePatternType.LITERAL, f"User:{name}", *allowed)
    try:
        if what == "rule":
            admin.create_acls([rule])[rule].result(10)
        else:
            asyncio.run(quotas.put(up.cluster.as_admin, {name: quotas.load_quota()}))
        until("it is seen", lambda: name in "".join(gate.check()))
        status, lines = up.says("topics", "apply", "--data", str(up.folder.path))

        assert status == 1
        assert f"{name} for one; they are left as they are" in lines[-1]
        assert name in "".join(gate.check())
    finally:
        theirs = AclBindingFilter(ResourceType.TOPIC, "theirs", ResourcePatternType.LITERAL, f"User:{name}", *allowed)
        admin.delete_acls([theirs])[theirs].result(10)
        asyncio.run(quotas.put(up.cluster.as_admin, {name: {}}))


@pytest.mark.slow
def test_a_later_start_needs_neither_option(up: Guest) -> None:
    """The cluster's address and TLS were decided when the bus was made."""
    assert up.running
    up.running.send_signal(signal.SIGTERM)
    assert up.running.wait(20) == 0
    process = up.begins("up", "--data", str(up.folder.path))

    until("all of it runs", lambda: process.poll() is not None or up.runs() >= AGENCIES, UP_SECONDS)
    assert process.poll() is None
    assert up.says("topics", "check", "--data", str(up.folder.path))[0] == 0
