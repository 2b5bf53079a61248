"""A real bus with a key file: a copy of its folder contains no usable private key, not even those of TLS."""

import base64
import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from nrmbus.bus.folder import BusFolder
from nrmbus.bus.pki import certificate
from nrmbus.bus.reach import Tls
from nrmbus.cli import health
from nrmbus.cli.membership.keys import private_keys
from nrmbus.wire.keys import keyfile
from nrmbus.wire.names import CANARY, TEST_AGENCIES
from patience import lives, until

pytestmark = pytest.mark.broker

NRMBUS = [sys.executable, "-c", "from nrmbus.cli import main; main()"]
UP_SECONDS = 60.0
SERVICES = {"broker", "registrar", "timekeeper", "auditor", "canary", "ngo-a"}


@dataclass(frozen=True)
class Kept:
    """Bus, key file of its private keys, and the process that runs the bus."""

    folder: BusFolder
    key_file: Path
    process: "subprocess.Popen[str]"

    def pids(self) -> dict[str, int]:
        """Return the pids of the running processes by name."""
        try:
            found = json.loads((self.folder.run / "services.json").read_bytes())
        except FileNotFoundError:
            return {}
        return {name: each["pid"] for name, each in found.items()}

    def secrets(self) -> dict[str, bytes]:
        """Return every private key that must not be on disk: a seed as bytes, a TLS key as its scalar."""
        passphrase = keyfile.Passphrase.of_file(self.key_file)
        opened = {path: passphrase.open(path.read_bytes()) for path in private_keys(self.folder)}
        return {str(path.relative_to(self.folder.path)): scalar(raw) for path, raw in opened.items()}


def scalar(raw: bytes) -> bytes:
    """Return the 32 bytes of a private key."""
    if not raw.startswith(b"-----BEGIN"):
        return raw
    key = serialization.load_pem_private_key(raw, None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return key.private_numbers().private_value.to_bytes(32, "big")


def spelled(secret: bytes) -> list[bytes]:
    """Return the spellings of *secret* in a file: raw, in hex, or in base64 after any number of bytes."""
    parts = [base64.b64encode(bytes(before) + secret)[(before * 8 + 5) // 6 : -4] for before in range(3)]
    return [secret, secret.hex().encode(), *parts]


def found_in(folder: Path, secrets: dict[str, bytes]) -> list[tuple[str, str]]:
    """Return file and owner of each private key in the clear below *folder*, or ``PEM`` as owner of any PEM key."""
    spellings = {name: spelled(secret) for name, secret in secrets.items()}
    found = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        try:
            # Each of the broker's indices has a megabyte of zeros; line ends in PEM divide the base64 text.
            content = path.read_bytes().rstrip(b"\0") + bytes(32)  # a key may end in a zero
        except FileNotFoundError:  # rolled away while we looked
            continue
        joined = content.replace(b"\\n", b"").replace(b"\n", b"")
        names = [name for name, forms in spellings.items() if any(form in content or form in joined for form in forms)]
        found += [(str(path.relative_to(folder)), name) for name in names]
        found += [(str(path.relative_to(folder)), "PEM")] if b"PRIVATE KEY-----" in content else []
    return found


def started(folder: BusFolder, key_file: Path | None) -> "subprocess.Popen[str]":
    """Start ``nrmbus up`` as a person does, away from any terminal."""
    agencies = folder.path.parent / "agencies.yaml"
    agencies.write_text("ngo-a: {role: ngo_outreach}\n")
    named = {keyfile.SETTING: str(key_file)} if key_file else {}
    return subprocess.Popen(
        [*NRMBUS, "up", "--data", str(folder.path), "--agencies", str(agencies)],
        env={**{name: value for name, value in os.environ.items() if name != keyfile.SETTING}, **named},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def sentence_of(folder: BusFolder, *command: str, key_file: Path | None = None) -> tuple[int, str]:
    """Return exit status and message of a command that must fail."""
    named = {keyfile.SETTING: str(key_file)} if key_file else {}
    done = subprocess.run(
        [*NRMBUS, *command, "--data", str(folder.path)],
        env={**{name: value for name, value in os.environ.items() if name != keyfile.SETTING}, **named},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return done.returncode, done.stdout + done.stderr


def ready(bus: Kept) -> None:
    """Wait until every service of *bus* is ready, as after a restart of its broker."""
    until("every service is ready", lambda: bus.process.poll() is not None or health.not_ready(bus.folder) == {})


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kept]:
    """Yield a running bus with an agency, each of its private keys sealed."""
    home = tmp_path_factory.mktemp("kept")
    folder, key_file = BusFolder(home / "bus"), home / "elsewhere.key"
    key_file.write_text(os.urandom(32).hex())
    key_file.chmod(0o600)
    with started(folder, key_file) as process:
        bus = Kept(folder, key_file, process)
        try:
            until("all of it runs", lambda: process.poll() is not None or bus.pids().keys() >= SERVICES, UP_SECONDS)
            ready(bus)
            yield bus
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(20)


def test_every_private_key_is_sealed_those_of_connections_too(kept: Kept) -> None:
    """Keys of operator, broker, services and agencies are sealed, also those that end in 30 days."""
    found = private_keys(kept.folder)
    holders = {path.parents[1].name for path in found if path.parent.name == "tls"}

    assert holders == {"keys", *SERVICES - {CANARY}, *TEST_AGENCIES}
    assert len(found) > 15
    assert all(map(keyfile.is_sealed, found))


@pytest.mark.slow
def test_no_file_of_the_folder_has_a_private_key_in_the_clear(kept: Kept) -> None:
    """No file has a key as PEM or as a bare number, after a start, a kill -9 of the broker, and its renewal."""
    secrets = kept.secrets()
    assert found_in(kept.folder.path, secrets) == []

    for due in (False, True):
        before = kept.pids()["broker"]
        if due:
            Tls(kept.folder.service("broker")).certificate.unlink()
        os.kill(before, signal.SIGKILL)
        until("the broker is back", lambda pid=before: kept.pids().get("broker", pid) != pid, UP_SECONDS)  # type: ignore[misc]
        assert lives(kept.pids()["broker"])
        assert found_in(kept.folder.path, secrets) == []
    assert not certificate.is_due(Tls(kept.folder.service("broker")), certificate.now())


def test_one_that_lies_in_the_clear_is_found(kept: Kept) -> None:
    """Sabotage: the search finds a key of a connection, the broker or a desk in a log, in every spelling."""
    secrets, written = kept.secrets(), {}
    for who in ("broker/tls/key.pem", "agencies/ngo-a/tls/key.pem", "agencies/ngo-a/keys/signing.seed"):
        for number, form in enumerate(spelled(secrets[who])):
            log = kept.folder.logs / f"{Path(who).parents[1].name}-{Path(who).parent.name}-{number}.log"
            log.write_bytes(b"a word before " + form)
            written[f"logs/{log.name}"] = who
    try:
        assert found_in(kept.folder.path, secrets) == sorted(written.items())
    finally:
        for name in written:
            (kept.folder.path / name).unlink()


def test_one_as_pem_is_found(kept: Kept) -> None:
    """Sabotage: the search finds the key file of a play bus, and the settings that an earlier version wrote for Kafka."""
    pem = keyfile.Passphrase.of_file(kept.key_file).open((kept.folder.path / "broker/tls/key.pem").read_bytes())
    for content in (pem, b"ssl.keystore.key=" + pem.replace(b"\n", b"\\n")):
        written = kept.folder.run / "by-hand"
        written.write_bytes(content)
        found = found_in(kept.folder.path, kept.secrets())
        written.unlink()
        assert found == [("run/by-hand", "broker/tls/key.pem"), ("run/by-hand", "PEM")]


if sys.platform == "linux":  # no other system shows these in files

    def test_no_process_has_one_in_its_arguments_or_environment(kept: Kept) -> None:
        """No process has a private key or its passphrase in arguments or environment."""
        secrets = {**kept.secrets(), "key file": bytes.fromhex(kept.key_file.read_text())}
        forms = [form for secret in secrets.values() for form in spelled(secret)]
        assert len(kept.pids()) >= len(SERVICES)
        for pid in [kept.process.pid, *kept.pids().values()]:
            for shown in ("cmdline", "environ"):
                content = Path(f"/proc/{pid}/{shown}").read_bytes()
                assert content or shown == "environ"
                assert not any(form in content for form in forms)

    def test_no_process_leaves_a_picture_of_its_memory(kept: Kept) -> None:
        """Desks have keys and open letters in memory, so the system's handling of core files must not apply to them."""
        raised = os.geteuid() == 0 or resource.getrlimit(resource.RLIMIT_CORE)[1] != 0
        for name, pid in {**kept.pids(), "supervisor": kept.process.pid}.items():
            limits = Path(f"/proc/{pid}/limits").read_text(encoding="ascii").splitlines()
            (line,) = (each for each in limits if each.startswith("Max core file size"))
            assert line.split()[4:6] == (["1", "1"] if raised else ["0", "0"]), name

    @pytest.mark.slow
    def test_a_broker_that_crashes_leaves_no_picture_of_its_memory(kept: Kept) -> None:
        """By default Java writes a report with memory contents beside its data."""
        before = set(kept.folder.path.iterdir())
        pid = kept.pids()["broker"]
        os.kill(pid, signal.SIGSEGV)

        until("the broker is back", lambda: kept.pids().get("broker", pid) != pid, UP_SECONDS)
        ready(kept)
        assert set(kept.folder.path.iterdir()) == before


@pytest.mark.slow
def test_without_the_key_file_nothing_comes_to_the_broker(kept: Kept) -> None:
    """One sentence names the missing key file, and the doctor notes that the broker was not asked.

    A replay needs no key: the running auditor answers with its own.
    """
    for command in (["topics", "check"], ["run", "auditor"], ["auditor", "judge"]):
        status, said = sentence_of(kept.folder, *command)
        assert status != 0
        assert keyfile.SETTING in said
        assert "Traceback" not in said
    ready(kept)
    assert sentence_of(kept.folder, "replay")[0] == 0
    said = ""

    def is_well() -> bool:
        nonlocal said
        status, said = sentence_of(kept.folder, "doctor")
        return status == 0

    until("the doctor finds nothing: the timekeeper has seen which desks are connected", is_well)
    assert "The broker was not asked" in said
    assert sentence_of(kept.folder, "topics", "check", key_file=kept.key_file)[0] == 0


@pytest.mark.slow
def test_without_the_key_file_nothing_starts(kept: Kept, tmp_path: Path) -> None:
    """Neither the whole bus nor its broker alone starts; another key file opens nothing either."""
    kept.process.send_signal(signal.SIGTERM)
    kept.process.wait(20)
    other = tmp_path / "other.key"
    other.write_text(os.urandom(32).hex())
    other.chmod(0o600)

    for command in (["up"], ["run", "broker"]):
        status, said = sentence_of(kept.folder, *command)
        assert (status, said.count("\n")) == (1, 1), said
        assert f"name their key file with {keyfile.SETTING}=FILE" in said
        status, said = sentence_of(kept.folder, *command, key_file=other)
        assert (status, said.count("\n")) == (1, 1), said
        assert "does not open the private keys here" in said
        assert not kept.folder.is_held


@pytest.mark.slow
def test_a_raw_one_is_not_started_with_until_it_is_sealed(kept: Kept) -> None:
    """The start names the command for a raw key, the doctor finds the key, and the command seals it."""
    kept.process.send_signal(signal.SIGTERM)
    kept.process.wait(20)
    path = kept.folder.agency("ngo-a").path / "tls" / "key.pem"
    path.write_bytes(keyfile.Passphrase.of_file(kept.key_file).open(path.read_bytes()))
    (kept.folder.path / "broker" / "tls" / "keystore.pem").write_bytes(path.read_bytes())

    status, said = sentence_of(kept.folder, "up", key_file=kept.key_file)
    assert status == 1
    assert "private keys lie unprotected: nrmbus keys protect" in said
    status, said = sentence_of(kept.folder, "doctor", key_file=kept.key_file)
    assert status == 1
    assert "private keys are unprotected" in said
    status, said = sentence_of(kept.folder, "keys", "protect", key_file=kept.key_file)
    assert (status, said.split(" of ")[0]) == (0, "1")
    assert found_in(kept.folder.path, kept.secrets()) == []
    assert sentence_of(kept.folder, "doctor", key_file=kept.key_file)[0] == 0
