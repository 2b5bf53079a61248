"""A register of certificates that is older than the directory: a restored folder gives no right back that was taken."""

import asyncio
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
import typer
from cryptography import x509

from directory.given import HOUR, Office
from nrmbus.backup import folders, restore
from nrmbus.backup.store import Manifest, Store
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.kafka import quotas
from nrmbus.bus.kafka import topics as kafka_topics
from nrmbus.bus.kafka.gate import Gate, Rule
from nrmbus.bus.pki import certificate
from nrmbus.bus.pki.authority import Authority
from nrmbus.bus.private_files import make_private
from nrmbus.bus.reach import Tls
from nrmbus.bus.wall_clock import wall_now
from nrmbus.cli.membership import renewal as agency_renewal
from nrmbus.cli.operate import topics
from nrmbus.directory import Directory, DirectoryError, admission, commands, renewal, standby
from nrmbus.directory.admission import home_of, withdraw
from nrmbus.directory.fold import SERVICES
from nrmbus.directory.operator import Identity
from nrmbus.directory.requests import Request
from nrmbus.wire import statement, times
from nrmbus.wire.names import REGISTRAR

US = "ngo-a"
NOW = wall_now()
BEFORE = NOW - 40 * HOUR


@pytest.fixture(name="folder")
def _folder(tmp_path: Path) -> BusFolder:
    folder = BusFolder(tmp_path / "bus")
    folder.create()
    return folder


@pytest.fixture(name="office")
def _office(folder: BusFolder) -> Office:
    return Office(folder.path, folder.settings.bus)


def certified(folder: BusFolder, name: str = "before", life: timedelta = certificate.LIFE) -> None:
    """Issue a certificate to the agency."""
    Authority(folder).issue(US, certificate.request(Tls(folder.path / name)), life=life)


@pytest.fixture(name="cluster")
def _cluster(tmp_path: Path) -> BusFolder:
    folder = BusFolder(tmp_path / "bus")
    folder.create(bootstrap="127.0.0.1:1", tls=True)
    return folder


@pytest.fixture(name="topic")
def _topic(cluster: BusFolder, monkeypatch: pytest.MonkeyPatch) -> Office:
    """Directory on the cluster, which no loss of the operator's machine changes; the commands read and write it."""
    office = Office(cluster.path, cluster.settings.bus)

    async def read(_: BusFolder) -> Directory:
        return office.directory

    async def publish(_: BusFolder, _records: list[bytes]) -> None:
        """Write nothing: `enter` has added the entry to the directory that `read` returned."""

    for module in (admission, commands, topics):
        monkeypatch.setattr(module, "read_directory", read)
    monkeypatch.setattr(commands, "publish", publish)
    monkeypatch.setattr(kafka_topics, "apply", lambda *_, **__: ())
    return office


@pytest.fixture(name="denied")
def _denied() -> set[str]:
    """Principals that a broker denies everything; `Gate.apply` changes them."""
    return set()


@pytest.fixture(name="has")
def _has(topic: Office, denied: set[str], monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Principals that have rights at a broker; `Gate.apply` changes them."""
    assert topic.directory.number
    there = set[str]()

    async def nothing(*_: object) -> dict[str, quotas.Quota]:
        return {}

    def have(_gate: Gate, wanted: frozenset[Rule], _found: frozenset[Rule]) -> None:
        for each, permission in ((there, "allow"), (denied, "deny")):
            each.clear()
            each.update(rule.principal for rule in wanted if rule.permission == permission)

    def found(_gate: Gate) -> frozenset[Rule]:
        return frozenset(Rule(each, "allow", "topic", "nrm.directory", "read") for each in there)

    monkeypatch.setattr(Gate, "_found", found)
    monkeypatch.setattr(Gate, "_have", have)
    monkeypatch.setattr(Gate, "_have_quotas", lambda *_: None)
    monkeypatch.setattr(quotas, "found", nothing)
    return there


def hosted(folder: BusFolder, *hosts: str) -> None:
    """Issue a certificate of the registrar to each of *hosts*, and give them their rights."""
    for each in hosts:
        Authority(folder).issue(REGISTRAR, certificate.request(Tls(folder.path / each)), host=each)
    Gate(folder).apply()


class Kept:
    """Backup of a bus's folder."""

    def __init__(self, folder: BusFolder) -> None:
        self._folder, self._store = folder, Store.at(folder.path.parent / "backup")
        with self._store.held():
            files = {each: self._store.put_file(folder.path / each) for each in folders.paths(folder.path)}
        self._manifest = Manifest(
            bus=folder.settings.bus,
            generation=1,
            made="2026-03-01T00:00:00Z",
            by="x",
            private_keys="sealed",
            files=files,
        )

    def folder(self) -> None:
        """Restore the folder of a machine that was lost, beside the cluster."""
        shutil.rmtree(self._folder.path)
        restore.everything(self._store, self._manifest, self._folder, lambda _: None, lambda *_: None, only_folder=True)

    def keys(self) -> None:
        """Restore keys that were lost."""
        shutil.rmtree(self._folder.keys)
        restore.one_part(self._store, self._manifest, self._folder, "keys", lambda _: None, lambda *_: None)


@pytest.mark.parametrize("restored", [Kept.folder, Kept.keys])
def test_a_standby_host_that_was_taken_off_gets_no_rights_after_a_restore(
    cluster: BusFolder, has: set[str], restored: Callable[[Kept], None]
) -> None:
    """P2: given a register of before `standby revoke`, when rights are given, then the host that was taken off has none, and another has its own."""
    hosted(cluster, "host-b", "host-c")
    assert has == {"registrar.1", "registrar.2"}
    backup = Kept(cluster)
    Authority(cluster).revoke_host("host-b")
    Gate(cluster).apply()
    assert has == {"registrar.2"}

    restored(backup)
    Gate(cluster).apply()

    assert has == {"registrar.2"}
    assert Authority(cluster).hosts(certificate.now()).keys() == {"host-c"}


def test_a_standby_host_is_left_where_the_broker_tells_nothing(cluster: BusFolder, has: set[str]) -> None:
    """Given another broker, on which nobody has rights, when rights are given after a restore, then the standby host has its own."""
    hosted(cluster, "host-b")
    has.clear()

    Kept(cluster).folder()
    Gate(cluster).apply()

    assert has == {"registrar.1"}


def test_a_standby_host_that_was_just_admitted_gets_its_rights(cluster: BusFolder, has: set[str]) -> None:
    """Given no restore since rights were last given, when a host is admitted, then it has rights that the broker did not know before."""
    hosted(cluster, "host-b")
    Kept(cluster).folder()
    Gate(cluster).apply()

    hosted(cluster, "host-c")

    assert has == {"registrar.1", "registrar.2"}


def asking(cluster: BusFolder, host: str) -> standby.Standby:
    """Return the request of another machine to be the standby *host*."""
    there = BusFolder(cluster.path.parent / host)
    make_private(there.path)
    shutil.copy(cluster.path / "bus.json", there.path)
    return standby.ask(there, host)


def admits(cluster: BusFolder, host: str) -> str:
    """Admit *host* as the command does; return the broker's name for the registrar on it."""
    request = asking(cluster, host)
    answer = standby.admit(cluster, request, request.fingerprint)
    return principal((answer.certificates or {})[REGISTRAR])


def principal(pem: str) -> str:
    """Return the broker's name for the holder of a certificate."""
    subject = x509.load_pem_x509_certificate(pem.encode()).subject
    (who,) = [str(each.value) for each in subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)]
    _bus, number = [str(each.value) for each in subject.get_attributes_for_oid(x509.NameOID.ORGANIZATIONAL_UNIT_NAME)]
    return f"{who}.{number}"


def test_a_host_that_is_admitted_before_the_first_start_has_its_rights(cluster: BusFolder, has: set[str]) -> None:
    """Given a restored folder that nothing has started in, when a host is admitted, then it has its rights, and a host that was taken off has none."""
    hosted(cluster, "host-b", "host-c")
    backup = Kept(cluster)
    Authority(cluster).revoke_host("host-b")
    Gate(cluster).apply()

    backup.folder()
    new = admits(cluster, "host-d")
    Gate(cluster).apply()

    assert {each for each in has if each.startswith(REGISTRAR)} == {"registrar.2", new}
    assert Authority(cluster).hosts(certificate.now()).keys() == {"host-c", "host-d"}


def test_a_host_that_was_taken_off_is_admitted_again_before_the_first_start(cluster: BusFolder, has: set[str]) -> None:
    """Given a restored register that lists a host which was taken off since, when the host is admitted again, then only its new certificate has rights."""
    hosted(cluster, "host-b", "host-c")
    backup = Kept(cluster)
    Authority(cluster).revoke_host("host-b")
    Gate(cluster).apply()

    backup.folder()
    new = admits(cluster, "host-b")

    assert {each for each in has if each.startswith(REGISTRAR)} == {"registrar.2", new}


def test_a_host_that_is_admitted_before_the_first_start_shares_no_number(cluster: BusFolder, has: set[str]) -> None:
    """P2: given a certificate that was issued after the backup, when a host is admitted, then it gets another number, since rights go by the number."""
    hosted(cluster, "host-b")
    backup = Kept(cluster)
    hosted(cluster, "host-c")
    assert has == {"registrar.1", "registrar.2"}

    backup.folder()

    assert admits(cluster, "host-d") == "registrar.3"


def revokes(cluster: BusFolder, host: str) -> None:
    """Take *host* off, of which the register knows nothing."""
    with pytest.raises(DirectoryError, match="standby_unknown"):
        standby.revoke(cluster, host)


def test_a_host_that_the_register_lacks_is_taken_off_and_leaves_its_number_to_nobody(
    cluster: BusFolder, has: set[str]
) -> None:
    """P2: given a host that was admitted after the backup, when it is taken off before the first start, then it has no rights, and the next host does not get its number."""
    hosted(cluster, "host-b")
    backup = Kept(cluster)
    hosted(cluster, "host-c")

    backup.folder()
    revokes(cluster, "host-c")
    assert has == {"registrar.1"}

    assert admits(cluster, "host-d") == "registrar.3"
    assert "registrar.2" not in has


def renewed(cluster: BusFolder, office: Office, host: str) -> str:
    """Renew the registrar's certificate on *host* by file; return the broker's name for its new holder."""
    identity = Identity.at(home_of(cluster, REGISTRAR), REGISTRAR)
    entry = office.operator.entry(office.directory, identity, SERVICES[REGISTRAR], BEFORE)
    if entry is not None:
        office.directory.add(entry)
    csr = certificate.request(Tls(cluster.path.parent / f"tls-{host}")).decode()
    asked = {"bus": cluster.settings.bus, "agency": REGISTRAR, "csr": csr, "made": times.write(wall_now())}
    request = renewal.Renewal(asked=statement.sign("request", asked, identity.signing).decode())
    return principal(renewal.issue(cluster, office.directory, request).certificate or "")


def test_a_renewal_before_the_first_start_is_for_hosts_that_were_not_taken_off(
    cluster: BusFolder, topic: Office, has: set[str]
) -> None:
    """P2: given a restored folder that nothing has started in, when two hosts renew by file, then the one that was taken off gets nothing, and the other's new certificate has rights."""
    for each in ("host-b", "host-c"):
        request = certificate.request(Tls(cluster.path.parent / f"tls-{each}"))
        Authority(cluster).issue(REGISTRAR, request, host=each)
    Gate(cluster).apply()
    backup = Kept(cluster)
    Authority(cluster).revoke_host("host-b")
    Gate(cluster).apply()

    backup.folder()
    new = renewed(cluster, topic, "host-c")
    assert has == {"registrar.2", new}
    with pytest.raises(DirectoryError, match="standby_unknown"):
        renewed(cluster, topic, "host-b")


def newcomer(cluster: BusFolder, topic: Office) -> None:
    """Enter the request of an agency that joins."""
    entry = topic.admitted(topic.asked(topic.identity("ngo-n")))
    asyncio.run(commands.enter(cluster, Request(entry=entry)))


def head(cluster: BusFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Look after the directory as the timer of `nrmbus agency head` does, with nothing to answer."""

    async def signed(_: BusFolder) -> Directory:
        return await admission.read_directory(cluster)

    async def answered(_: BusFolder) -> tuple[str, ...]:
        return ()

    monkeypatch.setattr(agency_renewal, "sign_head", signed)
    monkeypatch.setattr(agency_renewal, "answer", answered)
    asyncio.run(agency_renewal.looked_after(cluster))


def applied(cluster: BusFolder) -> None:
    """Apply the declared topics and rights."""
    with pytest.raises(typer.Exit):
        topics.apply(data=cluster.path)


@pytest.mark.parametrize(
    "command",
    [
        lambda cluster, _topic, _patch: admits(cluster, "host-d"),
        lambda cluster, _topic, _patch: revokes(cluster, "hots-b"),
        lambda cluster, topic, _patch: renewed(cluster, topic, "host-b"),
        lambda cluster, topic, _patch: newcomer(cluster, topic),
        lambda cluster, _topic, patch: head(cluster, patch),
        lambda cluster, _topic, _patch: applied(cluster),
    ],
    ids=[
        "standby admit",
        "standby revoke of a wrong name",
        "agency renew",
        "agency admit",
        "agency head",
        "topics apply",
    ],
)
def test_a_command_before_the_first_start_gives_no_right_back(
    cluster: BusFolder,
    topic: Office,
    has: set[str],
    denied: set[str],
    monkeypatch: pytest.MonkeyPatch,
    command: Callable[[BusFolder, Office, pytest.MonkeyPatch], object],
) -> None:
    """P2: given a restored folder that nothing has started in, when any command sets rights, then an agency that was suspended since the backup is denied everything, and one that has left has none."""
    agencies = {each: topic.joins(each, BEFORE) for each in (US, "ngo-b")}
    for each in agencies:
        Authority(cluster).issue(each, certificate.request(Tls(cluster.path / each)))
    hosted(cluster, "host-b")
    request = certificate.request(Tls(cluster.path.parent / "tls-host-b"))
    Authority(cluster).issue(REGISTRAR, request, host="host-b")
    Gate(cluster).apply()
    backup = Kept(cluster)
    topic.state(US, "suspended", NOW)
    Gate(cluster).suspend(US)
    topic.leaves(agencies["ngo-b"], NOW)
    Gate(cluster).revoke("ngo-b")
    assert ("ngo-b.1" in has, denied) == (False, {f"{US}.1"})

    backup.folder()
    command(cluster, topic, monkeypatch)

    assert ("ngo-b.1" in has, denied) == (False, {f"{US}.1"})


@pytest.mark.parametrize("is_entered", [False, True], ids=["new", "entered again after a cut"])
def test_a_stolen_certificate_gets_no_rights_by_its_number(
    cluster: BusFolder, topic: Office, has: set[str], *, is_entered: bool
) -> None:
    """P2: given a certificate that was issued after the backup, and stolen, when the agency's lost keys are entered before the first start, then its new certificate has another number."""
    old = topic.joins(US, BEFORE)
    certified(cluster, life=certificate.LIFE - 30 * HOUR)  # as one that was issued 30 hours ago
    Gate(cluster).apply()
    backup = Kept(cluster)
    stolen = principal(Authority(cluster).issue(US, certificate.request(Tls(cluster.path.parent / "stolen"))).decode())
    Gate(cluster).apply()
    assert has == {f"{US}.1", stolen}
    csr = certificate.request(Tls(cluster.path.parent / "new")).decode()
    entry = topic.asked(topic.identity(US, 2), "lost", before=old, made=NOW - HOUR)
    request = Request(entry=topic.admitted(entry, NOW - HOUR), csr=csr)
    if is_entered:
        topic.enter(request.entry)

    backup.folder()
    new = principal(asyncio.run(commands.enter(cluster, request)).certificate or "")

    assert new not in {f"{US}.1", stolen}
    assert has == {new}


def suspended(office: Office) -> None:
    """Suspend the agency."""
    office.joins(US, BEFORE)
    office.state(US, "suspended", NOW)


def retired(office: Office) -> None:
    """Have the agency leave."""
    office.leaves(office.joins(US, BEFORE), NOW)


@pytest.mark.parametrize("took", [suspended, retired])
def test_an_agency_without_rights_has_none_after_a_restore(
    folder: BusFolder, office: Office, took: Callable[[Office], None]
) -> None:
    """P2: given a register of before, when the bus starts, then it denies everything to an agency that is suspended or has left."""
    certified(folder)
    took(office)

    withdraw(folder, office.directory)

    authority = Authority(folder)
    assert authority.suspended == {US}
    assert bool(authority.standing(certificate.now())[US]) == (took is suspended)


def test_a_stolen_certificate_ends_again_after_a_restore(folder: BusFolder, office: Office) -> None:
    """P2: given a register of before a loss, when the bus starts, then certificates of before the loss end, and those since do not."""
    old = office.joins(US, BEFORE)
    certified(folder, life=certificate.LIFE - 30 * HOUR)  # as one that was issued 30 hours ago
    new = office.identity(US, 2)
    office.enter(office.admitted(office.asked(new, "lost", before=old, made=NOW - HOUR), NOW - HOUR))
    certified(folder, "since")

    for _ in range(2):
        withdraw(folder, office.directory)

    assert Authority(folder).standing(certificate.now()) == {US: (f"{US}.2",)}


def test_a_loss_that_waits_ends_the_certificates_at_its_time(folder: BusFolder, office: Office) -> None:
    """Given a register of before a loss that the old key did not sign, when the bus starts, then they end when the new keys hold.

    After an objection of the old key in time they are left.
    """
    old, new = office.joins(US, BEFORE), office.identity(US, 2)
    certified(folder)
    waiting = office.enter(office.admitted(office.asked(new, "lost", made=NOW), NOW))
    register = folder.keys / "authority" / "issued.json"
    backup = register.read_bytes()

    withdraw(folder, office.directory)

    def standing() -> list[tuple[str, ...]]:
        return [Authority(folder).standing(at)[US] for at in (NOW, waiting.valid_from + HOUR)]

    assert standing() == [(f"{US}.1",), ()]

    register.write_bytes(backup)
    ours = office.identity(US, 3)
    asked = office.asked(ours, "rotated", before=old, made=NOW + HOUR, until=NOW + 2 * HOUR)
    office.enter(office.admitted(asked, NOW + HOUR))
    withdraw(folder, office.directory)
    assert standing() == [(f"{US}.1",), (f"{US}.1",)]
