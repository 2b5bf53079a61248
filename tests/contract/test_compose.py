"""compose.yaml: a bus of closed containers with secrets as files, and brokers that are set as the bus needs them."""

import importlib.util
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.x509.oid import ExtensionOID

from contract.test_container import PROJECT
from contract.tree import ROOT
from nrmbus.bus.embedded.embedded import java_on
from nrmbus.bus.embedded.jars import KAFKA, class_path, fetch, jar_home
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.kafka.cluster import guest_settings, replicated_settings
from nrmbus.cli.app import COMMANDS
from nrmbus.directory.standby import SERVED
from nrmbus.wire.keys import keyfile
from patience import until

HERE = ROOT / "deploy" / "compose"
FILE = yaml.safe_load((HERE / "compose.yaml").read_text(encoding="utf-8"))
SERVICES: Mapping[str, Any] = FILE["services"]
IMAGE = f"nrmbus:{PROJECT['version']}"


STANDBY = ("standby", *(f"standby-{each}" for each in SERVED))
"""The containers of a standby host, with the one that holds their network first."""

WATCHED = ("operator-network", "operator", "prometheus", "grafana")
"""The operator's services and the containers that watch them, with the one that holds their network first."""

OLDEST = {"docker": 2, "docker-compose": 2, "podman-compose": 1}
"""The first major version of each engine's reader of compose files that knows today's files."""


def reads_compose_files(command: list[str]) -> bool:
    """Return whether *command* is a reader of compose files that is there, and new enough to know today's files."""
    if shutil.which(command[0]) is None:
        return False
    said = subprocess.run([*command, "version", "--short"], capture_output=True, text=True, check=False).stdout
    major = re.match(r"v?(\d+)\.", said)
    return major is not None and int(major[1]) >= OLDEST[command[0]]


ENGINES = [
    each for each in (["docker", "compose"], ["docker-compose"], ["podman-compose"]) if reads_compose_files(each)
]


def program(path: Path) -> Any:
    """Return the program at *path* as a module."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


PREPARE = program(HERE / "prepare.py")


def faults(services: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is open in *services*: rights, a writable root, a moving image, a port, a secret that stands in the file."""
    for name, each in services.items():
        if each["cap_drop"] != ["ALL"] or each["security_opt"] != ["no-new-privileges:true"]:
            yield f"{name} has rights"
        if not each.get("read_only") and not each["image"].startswith("apache/kafka:"):
            yield f"{name} may write its root"
        if ":" not in each["image"] or each["image"].endswith(":latest"):
            yield f"{name} has an image that moves"
        log = each.get("logging", {"driver": "none"}) if each.get("restart") else {}
        if log and (log["driver"] != "json-file" or not log["options"].get("max-size")):
            yield f"{name} logs without an end, or to a driver that Podman or Docker has not"
        if not each.get("mem_limit"):
            yield f"{name} may take all memory"
        yield from (
            f"{name} opens {port}"
            for port in each.get("ports", [])
            if not port.startswith(("127.0.0.1:", "${LISTEN:-127.0.0.1}:"))
        )
        for key in each.get("environment", {}):
            if any(word in key for word in ("PASSWORD", "TOKEN", "SECRET")) and not key.endswith("__FILE"):
                yield f"{name} has the secret {key}"


def test_every_container_is_closed() -> None:
    """No container has a capability, a secret in its environment, or a port for others that nobody asked for."""
    assert [*faults(SERVICES)] == []
    assert [name for name, each in SERVICES.items() if str(each.get("user", "")).startswith("0")] == ["prepare"]


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"cap_drop": []}, "desk-a has rights"),
        ({"read_only": False}, "desk-a may write its root"),
        ({"image": "nrmbus:latest"}, "desk-a has an image that moves"),
        (
            {"logging": {"driver": "local"}},
            "desk-a logs without an end, or to a driver that Podman or Docker has not",
        ),
        ({"mem_limit": None}, "desk-a may take all memory"),
        ({"ports": ["8000:8000"]}, "desk-a opens 8000:8000"),
        ({"environment": {"DB_PASSWORD": "x"}}, "desk-a has the secret DB_PASSWORD"),
    ],
)
def test_an_open_container_is_found(change: Mapping[str, Any], fault: str) -> None:
    """Sabotage: each of these is named."""
    assert [*faults({"desk-a": {**SERVICES["desk-a"], **change}})] == [fault]


def test_it_has_a_bus_with_three_brokers_and_desks_for_cases_and_for_figures() -> None:
    """The containers run commands that there are, from the image of this release and the Kafka that the bus is tested with."""
    ours = {name: each for name, each in SERVICES.items() if each["image"] == IMAGE and name != "prepare"}

    assert {name: each["command"] for name, each in ours.items()} == {
        "operator": ["up"],
        "desk-a": ["run", "ngo-a"],
        "desk-b": ["run", "special-unit"],
        "desk-statistics": ["run", "statistics"],
        "desk-coordinator": ["run", "coordinator"],
        "operator-network": [],  # it runs nothing
        "standby": [],
        **{f"standby-{each}": ["run", each] for each in SERVED},
    }
    assert {name for name, each in ours.items() if each.get("profiles")} == {
        "desk-statistics",
        "desk-coordinator",
        *STANDBY,
    }
    assert {each["command"][0] for each in ours.values() if each["command"]} <= COMMANDS.keys()
    brokers = {name: each for name, each in SERVICES.items() if each["image"] == f"apache/kafka:{KAFKA}"}
    assert [*brokers] == [PREPARE.name_of(number) for number in PREPARE.BROKERS]
    for number, (name, each) in zip(PREPARE.BROKERS, brokers.items(), strict=True):
        inside = PREPARE.address_of(number, "").rpartition(":")[2]
        assert each["ports"] == [f"${{LISTEN:-127.0.0.1}}:{inside}:{inside}"]
        assert f"{name}-config:{PREPARE.MOUNTED}:ro" in each["volumes"]
        assert f"{name}-config:/made/{name}" in SERVICES["prepare"]["volumes"]


@pytest.mark.parametrize("names", [STANDBY, WATCHED], ids=["standby", "operator"])
def test_a_network_that_containers_share_ends_with_none_of_them(names: tuple[str, ...]) -> None:
    """Given containers that ask one another on 127.0.0.1, when the engine starts one of them again, then the others keep the network."""
    holder, *services = (SERVICES[name] for name in names)

    assert {each["network_mode"] for each in services} == {f"service:{names[0]}"}
    assert not any({"networks", "hostname", "ports"} & each.keys() for each in services), (
        "an engine refuses them beside network_mode"
    )
    assert (holder["networks"], holder["healthcheck"]) == (["bus"], {"disable": True})
    assert not {"secrets", "volumes"} & holder.keys()
    assert "nrmbus" not in holder["entrypoint"], "it runs no service that could end"


def test_the_services_of_a_standby_host_share_a_folder() -> None:
    """The health check of each asks all services of its folder."""
    assert len({str(SERVICES[name]["volumes"]) for name in STANDBY[1:]}) == 1


def test_secrets_are_files_that_git_does_not_know() -> None:
    """Each desk has a key file of its own; what lies in `secrets/` and `exchange/` is never committed."""
    secret = {name: each["file"] for name, each in FILE["secrets"].items()}

    assert len(set(secret.values())) == len(secret)
    assert all(path.startswith("./secrets/") for path in secret.values())
    assert {"/deploy/compose/secrets/", "/deploy/compose/exchange/"} <= {
        *(ROOT / ".gitignore").read_text().splitlines()
    }
    used = [each["source"] for name in ("operator", "desk-a", "desk-b") for each in SERVICES[name]["secrets"]]
    assert len(set(used)) == 3


def test_every_file_that_is_mounted_is_there() -> None:
    """A name that is not there would be made as an empty folder by the engine."""
    mounted = [
        volume.split(":")[0]
        for each in SERVICES.values()
        for volume in each.get("volumes", [])
        if volume.startswith(".") and not volume.startswith("./exchange")
    ]

    assert mounted
    assert [path for path in mounted if not (HERE / path).exists()] == []


@pytest.fixture(name="made")
def _made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Folder that `prepare` fills for brokers that other machines reach as bus.example.org; accounts are not changed."""
    monkeypatch.setattr(os, "chown", lambda *_: None)
    keyfile.hold(keyfile.Passphrase(b"of the compose file"))
    PREPARE.prepare(tmp_path / "made", BusFolder(tmp_path / "bus"), "bus.example.org")
    yield tmp_path
    keyfile.hold(None)


def settings(made: Path, broker: int) -> dict[str, str]:
    """Return the settings of a broker, as Kafka reads them."""
    text = (made / "made" / PREPARE.name_of(broker) / "server.properties").read_text()
    return dict(line.split("=", 1) for line in text.splitlines())


def chain(made: Path, broker: int) -> x509.Certificate:
    """Return the certificate of a broker."""
    pem = settings(made, broker)["ssl.keystore.certificate.chain"].replace("\\n", "\n")
    return x509.load_pem_x509_certificate(pem.encode())


def test_brokers_are_set_as_the_bus_needs_them(made: Path) -> None:
    """Each broker has the settings of the bus's listener, three copies of each record, and a certificate for its names."""
    bus = BusFolder(made / "bus").settings
    authority = x509.load_pem_x509_certificate((made / "made/cluster/ca.pem").read_bytes())

    assert bus.bootstrap == "bus.example.org:9193,bus.example.org:9293,bus.example.org:9393"
    for broker in PREPARE.BROKERS:
        found, certificate = settings(made, broker), chain(made, broker)
        listener, rights = guest_settings(bus.bus, Path("/mnt/shared/config/bus.pem"))
        wanted = {**listener, **{key: str(value) for key, value in replicated_settings(3).items()}}
        assert {key: found[key] for key in wanted} == wanted
        assert found["super.users"].split(";")[1:] == [f"User:CN=kafka-{each},O=nrmbus-cluster" for each in (1, 2, 3)]
        assert found["authorizer.class.name"] == rights["authorizer.class.name"]
        certificate.verify_directly_issued_by(authority)
        assert certificate.subject.rfc4514_string() == f"CN=kafka-{broker},O=nrmbus-cluster"
        names = certificate.extensions.get_extension_for_oid(ExtensionOID.SUBJECT_ALTERNATIVE_NAME).value
        assert isinstance(names, x509.SubjectAlternativeName)
        assert names.get_values_for_type(x509.DNSName) == [f"kafka-{broker}", "bus.example.org"]
        trusted = made / "made" / f"kafka-{broker}"
        assert (trusted / "bus.pem").read_bytes() != (trusted / "cluster.pem").read_bytes()


def test_a_python_that_reads_strictly_trusts_a_broker(made: Path) -> None:
    """Given the rules of RFC 5280 as Python 3.13 keeps them, then a client accepts a broker's certificate."""
    config = settings(made, 1)
    pem = made / "broker.pem"
    pem.write_text(
        "".join(config[f"ssl.keystore.{each}"] for each in ("key", "certificate.chain")).replace("\\n", "\n")
    )
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(pem)
    strict = ssl.create_default_context(cafile=str(made / "made/cluster/ca.pem"))
    strict.verify_flags |= ssl.VERIFY_X509_STRICT

    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = strict.wrap_bio(down, up, server_hostname="kafka-1")
    server = serving.wrap_bio(up, down, server_side=True)
    for each in (client, server, client):
        with suppress(ssl.SSLWantReadError):
            each.do_handshake()

    assert client.version() == "TLSv1.3"


def test_another_run_renews_certificates_and_nothing_else(made: Path) -> None:
    """The bus, its authority and the cluster's authority stay, so that one broker after another can be restarted."""
    before = chain(made, 1), BusFolder(made / "bus").settings, (made / "made/cluster/ca.pem").read_bytes()
    PREPARE.prepare(made / "made", BusFolder(made / "bus"), "bus.example.org")

    assert chain(made, 1) != before[0]
    assert (BusFolder(made / "bus").settings, (made / "made/cluster/ca.pem").read_bytes()) == before[1:]


def test_the_end_of_the_brokers_certificates_is_said_and_is_far_behind_the_next_renewal(
    made: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Given that a person renews them once a year, then a renewal that is months late ends nothing, and each run prints the last day."""
    PREPARE.prepare(made / "made", BusFolder(made / "bus"), "bus.example.org")
    ends = [chain(made, each).not_valid_after_utc for each in PREPARE.BROKERS]

    assert min(ends) - datetime.now(UTC) > timedelta(days=365 + 180)
    said = capsys.readouterr().out
    assert all(
        f"kafka-{broker} is good until {end:%Y-%m-%d}" in said for broker, end in zip((1, 2, 3), ends, strict=True)
    )


@pytest.mark.parametrize("earlier", ["bus.example.org", ""])
def test_a_bus_keeps_the_name_of_its_host(earlier: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a bus that is made, when HOST is another one, then nothing is written, and the message has the earlier HOST."""
    monkeypatch.setattr(os, "chown", lambda *_: None)
    bus = BusFolder(tmp_path / "bus")
    made = bus.create(bootstrap=",".join(PREPARE.address_of(each, earlier) for each in PREPARE.BROKERS), tls=True)

    with pytest.raises(SystemExit, match=rf"HOST cannot change .* Write HOST={earlier} into \.env again"):
        PREPARE.prepare(tmp_path / "made", bus, "other.example.org")
    assert not (tmp_path / "made").exists()
    assert bus.settings == made


@pytest.mark.parametrize(
    "host", ["https://bus.example.org", "bus.example.org:9193", "10.0.0.5 # ours", "fd00::5", "[fd00::5]"]
)
def test_a_host_that_is_no_name_makes_no_bus(host: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a HOST with more than a name, which the bus would keep for good, then no bus is made, and the message has an example."""
    monkeypatch.setattr(os, "chown", lambda *_: None)
    bus = BusFolder(tmp_path / "bus")

    with pytest.raises(SystemExit, match=r"HOST in \.env is a name or an IPv4 address alone, like bus\.example\.org"):
        PREPARE.prepare(tmp_path / "made", bus, host)
    assert not bus.exists


def test_a_file_that_vanishes_while_folders_are_given_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a service removing its files meanwhile, when a folder is given to an account, then the account gets the remaining files."""
    for name in ("first", "last"):
        (tmp_path / "run" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "run" / name).write_text("x")
    given = set()

    def chown(path: Path, *_account: int) -> None:
        given.add(path.resolve(strict=True))
        if path.parent.name == "run":
            for other in {*path.parent.iterdir()} - {path}:
                other.unlink()

    monkeypatch.setattr(os, "chown", chown)
    PREPARE.give(tmp_path, PREPARE.NRMBUS)

    assert given == {tmp_path, tmp_path / "run", *(tmp_path / "run").iterdir()}


def test_the_brokers_authority_is_given_to_the_operator_before_anything_else_can_fail(
    made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given an operator that runs, when another run ends half-way, then the operator can read its brokers' authority all the same."""
    given = []
    monkeypatch.setattr(os, "chown", lambda path, *_: given.append(path.name))
    monkeypatch.setattr(PREPARE, "properties", None)
    with pytest.raises(TypeError):
        PREPARE.prepare(made / "made", BusFolder(made / "bus"), "bus.example.org")

    assert "broker-ca.pem" in given


def test_prometheus_waits_for_a_bus_that_ran(made: Path) -> None:
    """Before the services chose their addresses there is nothing to watch, and the message says what to start."""
    with pytest.raises(SystemExit, match="docker compose up --detach operator"):
        PREPARE.prometheus(made / "made", BusFolder(made / "bus"))


@contextmanager
def brokers(made: Path) -> Iterator[list["subprocess.Popen[bytes]"]]:
    """Run the three brokers as processes, each with its settings and its own folder in place of a container's."""
    java, running = java_on(class_path(jar_home())), []
    with ExitStack() as stack:
        for number in PREPARE.BROKERS:
            config = made / "made" / PREPARE.name_of(number)
            path = config / "here.properties"
            text = (config / "server.properties").read_text().replace(PREPARE.MOUNTED, str(config))
            path.write_text(text.replace("/var/lib/kafka/data", str(config / "data")))
            log = stack.enter_context((config / "log").open("wb"))
            form = [
                *java,
                "kafka.tools.StorageTool",
                "format",
                "--cluster-id",
                "bnJtYnVzLWNvbXBvc2UtMQ",
                "--config",
                str(path),
            ]
            subprocess.run(form, stdout=log, stderr=log, check=True)
            running.append(subprocess.Popen([*java, "kafka.Kafka", str(path)], stdout=log, stderr=log))
        try:
            yield running
        finally:
            for each in running:
                each.kill()
                each.wait()


def listens(address: str) -> bool:
    """Return whether a program listens at HOST:PORT."""
    host, port = address.split(":")
    with suppress(OSError), socket.create_connection((host, int(port)), timeout=1):
        return True
    return False


@pytest.mark.broker
@pytest.mark.slow
@pytest.mark.parametrize("host", ["127.0.0.1"] if sys.platform == "linux" else [])  # macOS has one address for itself
def test_three_brokers_take_the_bus_in(host: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given three real brokers with the settings, then the bus is up on them, and stays ready when one of them is killed."""
    monkeypatch.setattr(PREPARE, "name_of", lambda number: f"{host}{number}")
    monkeypatch.setattr(os, "chown", lambda *_: None)
    key, bus = tmp_path / "operator.keys", BusFolder(tmp_path / "bus")
    key.write_text("of the compose file")
    key.chmod(0o600)
    fetch(jar_home(), lambda *_: None)
    keyfile.hold(keyfile.Passphrase.of_file(key))
    PREPARE.prepare(tmp_path / "made", bus, "")
    keyfile.hold(None)
    environment = {**os.environ, keyfile.SETTING: str(key)}
    nrmbus = [sys.executable, "-c", "from nrmbus.cli import main; main()"]
    with brokers(tmp_path) as running, (tmp_path / "up.log").open("wb") as log:
        until("all brokers listen", lambda: all(listens(PREPARE.address_of(each, "")) for each in PREPARE.BROKERS))
        up = subprocess.Popen([*nrmbus, "up", "--data", str(bus.path)], env=environment, stdout=log, stderr=log)
        try:
            until("the bus is up", lambda: up.poll() is not None or b"is up" in (tmp_path / "up.log").read_bytes())
            assert up.poll() is None, (tmp_path / "up.log").read_text()
            running[1].kill()
            ready = [*nrmbus, "status", "--ready", "--data", str(bus.path)]
            until("it goes on", lambda: subprocess.run(ready, env=environment, check=False).returncode == 0)
        finally:
            up.terminate()
            up.wait()


@pytest.mark.oracle
@pytest.mark.parametrize("engine", ENGINES, ids=" ".join)
def test_an_engine_accepts_it(engine: list[str], tmp_path: Path) -> None:
    """Given Docker Compose or podman-compose, when it reads the file with all profiles, then it has no word about it. Where there is none, pytest says so."""
    copy = tmp_path / "compose.yaml"
    copy.write_text((HERE / "compose.yaml").read_text())
    done = subprocess.run(
        [*engine, "--file", str(copy), "--profile", "*", "config", "--quiet"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stdout + done.stderr) == (0, "")
