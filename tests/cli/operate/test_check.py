"""``nrmbus check`` names the first step that fails on the way to the broker, and what to do about it."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from cli.operate.others_cluster import OthersAuthority
from nrmbus.bus.errors import BusError
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.pki.authority import BROKER, OPERATOR, Authority
from nrmbus.bus.private_files import write_json
from nrmbus.bus.reach import Reach, Tls, parts, piped
from nrmbus.cli.operate import check, doctor, status
from nrmbus.cli.operate.steps import Step, ok


@pytest.fixture
def folder(tmp_path: Path) -> BusFolder:
    """A bus's folder with the certificates of broker and operator."""
    made = BusFolder(tmp_path / "bus")
    made.create()
    authority = Authority(made)
    authority.equip(BROKER, made.service(BROKER))
    authority.equip(OPERATOR, made.keys)
    return made


@contextmanager
def listening(tls: Tls | None) -> Iterator[int]:
    """A program on this machine that shows the certificate *tls*, or speaks no TLS; yields its port."""
    context = None
    if tls is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with piped(tls.private_key()) as key:
            context.load_cert_chain(tls.certificate, f"/dev/fd/{key}")

    def serve(server: socket.socket) -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            try:
                if context is None:
                    connection.close()
                else:
                    context.wrap_socket(connection, server_side=True).close()
            except OSError:
                connection.close()

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve, args=(server,))
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


def steps(folder: BusFolder, host: str, port: int) -> list[Step]:
    """Return the steps of the operator to a host at a port of this machine."""
    return list(check._steps(folder, f"{host}:{port}", None))


def test_a_name_that_nobody_knows(folder: BusFolder) -> None:
    """Given a name without an address, then nothing else is tried."""
    assert [(each.step, each.well) for each in steps(folder, "nowhere.invalid", 9093)] == [("name", False)]


def test_a_port_where_nobody_listens(folder: BusFolder) -> None:
    """Given a closed port, then the message says whom to ask."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    last = steps(folder, "localhost", port)[-1]

    assert (last.step, last.well) == ("port", False)
    assert "ask the operator whether the bus runs" in last.what


def test_a_port_that_answers_nothing(folder: BusFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a firewall that drops everything, then the message names it."""

    def dropped(*_: object) -> None:
        raise TimeoutError

    monkeypatch.setattr(socket, "create_connection", dropped)
    assert "a firewall may be in between" in steps(folder, "localhost", 9093)[-1].what


def test_another_program_on_the_port(folder: BusFolder) -> None:
    """Given a program that speaks no TLS, then the step TLS fails and says so."""
    with listening(None) as port:
        last = steps(folder, "localhost", port)[-1]

    assert (last.step, last.well) == ("tls", False)
    assert "speaks no TLS 1.3 with us" in last.what


def test_the_certificate_of_another_authority(folder: BusFolder, tmp_path: Path) -> None:
    """Given another bus's broker, or a proxy with a certificate of its own, then nothing is sent there."""
    other = BusFolder(tmp_path / "other")
    other.create()
    Authority(other).equip(BROKER, other.service(BROKER))
    with listening(Tls(other.service(BROKER))) as port:
        last = steps(folder, "localhost", port)[-1]

    assert (last.step, last.well) == ("tls", False)
    assert "another bus listens there, or a proxy opens the connection" in last.what


@pytest.mark.parametrize(
    ("made", "remedy"),
    [
        ({}, "certified 127.0.0.1"),
        ({"signs": False}, "makes the authority's certificate again"),
        ({"has_key_id": False}, "the extension subjectKeyIdentifier, over the same key"),
        ({"names_key": False}, "issues the brokers' certificates again with the extension authorityKeyIdentifier"),
    ],
    ids=["all", "no keyUsage", "no subjectKeyIdentifier", "no authorityKeyIdentifier"],
)
def test_certificates_that_a_newer_python_does_not_trust(
    folder: BusFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made: dict[str, Any], remedy: str
) -> None:
    """Given a strict Python, when the cluster's certificates lack an extension, then the step names the remedy that helps."""
    as_it_is = ssl.create_default_context

    def strict(*, cafile: str) -> ssl.SSLContext:
        context = as_it_is(cafile=cafile)
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        return context

    monkeypatch.setattr(ssl, "create_default_context", strict)
    broker = OthersAuthority(**made).certify(tmp_path / "kafka-1", "CN=kafka-1,O=Ministry")
    Tls(folder.keys).ca.write_bytes(broker.ca.read_bytes())
    with listening(broker) as port:
        tls = next(each for each in steps(folder, "127.0.0.1", port) if each.step == "tls")

    assert (tls.well, "Python 3.13 and newer do not trust" in tls.what) == (not made, bool(made))
    assert remedy in tls.what


@pytest.mark.parametrize("host", ["bus.example.org", "192.0.2.7"])
def test_a_certificate_for_other_names(folder: BusFolder, monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    """Given a broker under a name missing in its certificate, then the message names the option for the name."""
    with listening(Tls(folder.service(BROKER))) as port:
        real = socket.create_connection
        monkeypatch.setattr(socket, "create_connection", lambda _at, *rest: real(("127.0.0.1", port), *rest))
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [_at(port)])
        last = steps(folder, host, port)[-1]

    assert (last.step, last.well) == ("tls", False)
    assert f"for other names than {host}" in last.what
    assert "nrmbus up --listen, or for a cluster by nrmbus invite --bootstrap" in last.what


async def test_a_closed_agency_is_sent_to_the_operator(folder: BusFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a certificate without rights, which does not read the directory either, then the command named is one of the operator's."""

    async def denied(_: Reach) -> bool:
        return False

    monkeypatch.setattr("nrmbus.bus.kafka.clients.anybody_answers", denied)
    (last,) = await check._at_kafka(folder, Reach("kafka.invalid:9093", None), "ngo-b")

    assert (last.step, last.well) == ("rights", False)
    assert "Ask the operator: nrmbus agency show AGENCY, on the operator's machine" in last.what


def _at(port: int) -> tuple[int, int, int, str, tuple[str, int]]:
    """Return what the system's resolver says of the local program at *port*."""
    return socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("127.0.0.1", port)


def test_what_is_certified_is_believed(folder: BusFolder) -> None:
    """Given the broker's own certificate, then TLS and certificate are well: the faults above are no accident."""
    with listening(Tls(folder.service(BROKER))) as port:
        step, certificate = check._tls("localhost", port, Reach(f"localhost:{port}", Tls(folder.keys)))
    assert step.well
    assert certificate is not None
    assert check._of_broker(certificate).well
    assert check._certificate(Tls(folder.keys)).well


@pytest.fixture(name="cluster_at")
def _cluster_at(tmp_path: Path) -> Callable[[timedelta, timedelta], AbstractContextManager[BusFolder]]:
    """Begin the bus of an operator on a broker whose certificate has existed and will last for so long."""

    @contextmanager
    def begun(before: timedelta, left: timedelta) -> Iterator[BusFolder]:
        broker = OthersAuthority(before=before, left=left).certify(tmp_path / "kafka-1", "CN=kafka-1,O=Ministry")
        with listening(broker) as port:
            made = BusFolder(tmp_path / "on-a-cluster")
            made.create(bootstrap=f"127.0.0.1:{port},nowhere.invalid:9093", tls=True)
            Authority(made).equip(OPERATOR, made.keys)
            Tls(made.keys).ca.write_bytes(broker.ca.read_bytes())
            yield made

    return begun


DAY, YEAR = timedelta(days=1), timedelta(days=365)


@pytest.mark.parametrize(
    ("before", "left", "is_told"),
    [
        (YEAR, timedelta(hours=3), True),
        (YEAR, 6 * DAY, True),
        (YEAR, 8 * DAY, False),
        (DAY / 2, DAY / 2, False),
        (DAY * 3 / 4, DAY / 4, True),
    ],
    ids=["tomorrow", "within a week", "later", "a life of a day, half over", "a life of a day, nearly over"],
)
def test_a_brokers_certificate_that_ends_soon(
    cluster_at: Callable[[timedelta, timedelta], AbstractContextManager[BusFolder]],
    monkeypatch: pytest.MonkeyPatch,
    before: timedelta,
    left: timedelta,
    *,
    is_told: bool,
) -> None:
    """Given a cluster's broker that nobody gave another certificate, then check, doctor and status name it, and the steps after it are made."""

    async def well(*_: object) -> list[Step]:
        return [ok("rights", "The operator may do anything there.")]

    monkeypatch.setattr(check, "_at_kafka", well)
    for module in (doctor, status):
        for name, none in (("brokers_of", (1, 1)), ("peers_of", []), ("hosts_of", ())):
            monkeypatch.setattr(module, name, lambda _, none=none: none)
    with cluster_at(before, left) as folder:
        found = steps(folder, *parts(folder.bootstrap.split(",")[0]))
        findings = doctor._of_the_peers(folder)
        faults = status._elsewhere(folder, ()).faults

    assert {each.step: each.well for each in found} == {
        "name": True, "port": True, "tls": True, "broker": not is_told, "certificate": True, "rights": True,
    }  # fmt: skip
    assert ([each.code for each in findings], len(faults)) == (["certificate"] * is_told, is_told)
    assert all("The certificate of the broker at 127.0.0.1:" in each for each in faults)


def test_a_brokers_certificate_that_has_ended(
    cluster_at: Callable[[timedelta, timedelta], AbstractContextManager[BusFolder]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a cluster's broker whose certificate is over, then the doctor says so, although nothing can be read of it any more."""
    monkeypatch.setattr(doctor, "brokers_of", lambda _: (1, 1))
    monkeypatch.setattr(doctor, "peers_of", lambda _: [])
    monkeypatch.setattr(doctor, "hosts_of", lambda _: ())
    with cluster_at(YEAR, -DAY) as folder:
        (found,) = doctor._of_the_peers(folder)

    assert found.what.endswith(" has ended.")


def test_before_admission_name_and_port_can_be_checked(folder: BusFolder) -> None:
    """Given a machine that has only joined, then the way up to the port is checked, and the next step is named."""
    with listening(None) as port:
        steps = list(check._steps(folder, f"localhost:{port}", check.NOBODY))

    assert [(each.step, each.well) for each in steps] == [("name", True), ("port", True), ("certificate", None)]
    assert "nrmbus agency request AGENCY" in steps[-1].what


def test_an_agency_must_be_chosen_and_be_here(tmp_path: Path) -> None:
    """Given a joined machine with several agencies, or an id that is not there, then the message says what there is."""
    folder = BusFolder(tmp_path)
    folder.create(bootstrap="kafka.invalid:9093", tls=True)
    (folder.keys).mkdir()
    (folder.keys / "operator.pub").write_text("")
    assert check._who(folder, None) == check.NOBODY
    for name in ("ngo-a", "ngo-b"):
        write_json(folder.agency(name).agency_json, {})
    with pytest.raises(BusError, match="Choose one by --agency: ngo-a, ngo-b"):
        check._who(folder, None)
    with pytest.raises(BusError, match="ngo-c has no desk on this machine; there are ngo-a, ngo-b"):
        check._who(folder, "ngo-c")
    assert check._who(folder, "ngo-b") == "ngo-b"
    with pytest.raises(BusError, match="checked on the operator's machine"):
        check._all_reached(folder, None, None, as_json=False)


@pytest.mark.parametrize("tls", [True, False])
def test_an_auditor_on_her_own_machine_is_checked(tmp_path: Path, *, tls: bool) -> None:
    """Given the auditor's own machine, then her certificate is used; a standby host is checked as the timekeeper."""
    folder = BusFolder(tmp_path)
    folder.create(bootstrap="kafka.invalid:9093", tls=tls)
    folder.keys.mkdir()
    (folder.keys / "operator.pub").write_text("")
    assert check._who(folder, None) == check.NOBODY
    (tmp_path / "auditor" / "keys").mkdir(parents=True)
    if tls:
        assert check._who(folder, None) == check.NOBODY, "she has asked, and is not admitted yet"
        Tls(folder.service("auditor")).certificate.parent.mkdir()
        Tls(folder.service("auditor")).certificate.touch()

    assert (check._who(folder, None), check._who(folder, "auditor")) == ("auditor", "auditor")
    folder.be_host("host-b")
    assert check._who(folder, None) == "timekeeper"


def test_a_step_is_printed_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    """Given brackets in an address, or in what was found, then they are printed, and are no markup."""
    check._print({"[::1]:9093": [ok("name", "Found [/red].")]}, [])

    assert capsys.readouterr().out == "[::1]:9093\n  ok  name         Found [/red].\n"
