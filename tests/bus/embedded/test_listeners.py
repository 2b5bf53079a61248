"""Addresses for other machines: what an operator may name, in which words others are refused, and what the broker does with them."""

import socket
import ssl
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from nrmbus.bus.embedded import listeners, ports
from nrmbus.bus.embedded.embedded import EmbeddedKafka
from nrmbus.bus.errors import KafkaFailed, NoBus
from nrmbus.bus.folder import BusFolder, Listening
from nrmbus.bus.pki import certificate
from nrmbus.bus.pki.authority import BROKER, Authority
from nrmbus.bus.reach import Reach, Tls, parts
from nrmbus.cli.operate.up import for_others
from patience import PATIENCE

NOT_OURS = "203.0.113.9"
"""An address of documentation (RFC 5737), which no machine has."""


class TestWhatAnOperatorMayName:
    """An operator names addresses as other machines use them; a mistake is refused before a bus is made."""

    def test_a_host_alone_has_the_usual_port(self) -> None:
        """Given HOST, when it is read, then the port is Kafka's usual one over TLS."""
        assert listeners.listening(["127.0.0.1", "LOCALHOST:9094"]).addresses == ("127.0.0.1:9093", "localhost:9094")

    @pytest.mark.parametrize(
        ("given", "says"),
        [
            (["no host"], r"--listen takes HOST or HOST:PORT"),
            (["a:1,b:2"], r"--listen takes HOST or HOST:PORT"),
            (["bus..example.org"], r"--listen takes HOST or HOST:PORT"),
            ([f"{NOT_OURS}"], rf"^{NOT_OURS} is no address of this machine.*--forwarded"),
            ([listeners.EVERYWHERE], r"No other machine reaches this one at 0\.0\.0\.0"),
            (["nowhere.invalid"], r"nowhere\.invalid has no address here"),
            (["127.0.0.1", "localhost"], r"needs a port of its own"),
            (["none", "127.0.0.1"], r"--listen none .* give it alone"),
        ],
    )
    def test_others_are_refused_with_what_to_give(self, given: list[str], says: str) -> None:
        """Given an address that cannot be, when it is read, then the message says why and what to give."""
        with pytest.raises(NoBus, match=says):
            listeners.listening(given)

    def test_a_misspelt_name_of_an_earlier_release_is_named(self) -> None:
        """Given a name in listen.json that nobody can look up, when the broker starts, then the message names it."""
        with pytest.raises(NoBus, match=r"bus\.\.example\.org has no address here"):
            listeners.bound("bus..example.org:9093", forwarded=False)

    def test_a_name_that_means_the_machine_itself_only_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Given a host name that /etc/hosts maps to a loopback address, as Debian does, then no other machine would get in."""
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 9093))]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)

        with pytest.raises(NoBus, match=r"means 127\.0\.0\.1 here, where only this machine listens"):
            listeners.listening(["bus.example.org"])

    def test_a_router_may_have_the_address(self) -> None:
        """Given an address of a router that passes connections on, when the operator says so, then the broker listens everywhere."""
        made = listeners.listening([NOT_OURS], forwarded=True)
        named, mine, told = listeners.settings(made, "SSL")

        assert mine == ["AGENCIES1://0.0.0.0:9093"]
        assert told == [f"AGENCIES1://{NOT_OURS}:9093"]
        assert named["listener.name.agencies1.max.connections"] == "1000"

    def test_a_move_is_announced_with_both_addresses(self) -> None:
        """Given a move to another machine, when both addresses are given as the page of the operator says, then both are in the list."""
        given = ["old.example.org:9093", "new.example.org:9094"]
        made = for_others(given, forwarded=True, cluster=None)
        assert made is not None

        assert made.addresses == ("old.example.org:9093", "new.example.org:9094")
        assert listeners.settings(made, "SSL")[2] == [
            f"AGENCIES{number}://{each}" for number, each in enumerate(given, 1)
        ]

    @pytest.mark.parametrize("host", [listeners.EVERYWHERE, "[::]"])
    def test_a_router_passes_nothing_on_from_the_unspecified_address(self, host: str) -> None:
        """Given an address that means all addresses, when a router is said to pass it on, then it is refused before it is kept.

        A kept one is refused in the same words when the broker starts: Kafka itself only ends, and its log has the reason.
        """
        with pytest.raises(NoBus, match=r"No other machine reaches this one at .* give --listen the name or address"):
            for_others([host], forwarded=True, cluster=None)
        with pytest.raises(NoBus, match=r"No other machine reaches this one"):
            listeners.settings(Listening((f"{host}:9093",), forwarded=True), "SSL")

    def test_of_three_brokers_each_has_a_port_of_its_own(self) -> None:
        """Given one address and three brokers, then the next two ports are the others', and another address may not have them."""
        found = listeners.listening(["127.0.0.1:9200"], brokers=3)
        assert found.addresses == ("127.0.0.1:9200", "127.0.0.1:9201", "127.0.0.1:9202")
        with pytest.raises(NoBus, match="three in a row"):
            listeners.listening(["127.0.0.1:9200", "localhost:9202"], brokers=3)

    @pytest.mark.parametrize(
        ("platform", "command"), [("linux", "ss -tlnp"), ("darwin", "lsof -nP -iTCP -sTCP:LISTEN")]
    )
    def test_a_port_that_another_program_has_is_named(
        self, monkeypatch: pytest.MonkeyPatch, platform: str, command: str
    ) -> None:
        """Given a port in use, when the broker's settings are made, then the message names it and a command that the system has."""
        monkeypatch.setattr(sys, "platform", platform)
        with socket.create_server(("127.0.0.1", 0)) as other:
            port = other.getsockname()[1]
            with pytest.raises(
                KafkaFailed, match=rf"Another program listens on 127\.0\.0\.1:{port}: {command} shows it"
            ):
                listeners.settings(Listening((f"127.0.0.1:{port}",)), "SSL")

    def test_the_options_of_up(self) -> None:
        """Given the options, then `none` closes the bus to other machines again, and a cluster has no listener of ours."""
        assert for_others(None, forwarded=False, cluster=None) is None
        assert for_others(["none"], forwarded=False, cluster=None) == Listening()
        with pytest.raises(NoBus, match="--listen is for the bus's own Kafka"):
            for_others(["localhost"], forwarded=False, cluster="kafka:9093")
        with pytest.raises(NoBus, match="--forwarded says how"):
            for_others(None, forwarded=True, cluster=None)


def test_the_file_keeps_what_was_set(tmp_path: Path) -> None:
    """Given addresses, when they are kept, then the next start has them; a broken file is refused with what to do."""
    folder = BusFolder(tmp_path)
    folder.create()
    assert folder.listens == Listening()
    folder.listen(Listening(("bus.example.org:9093",), forwarded=True))

    assert folder.listens == Listening(("bus.example.org:9093",), forwarded=True)
    assert folder.addresses == ("bus.example.org:9093",)
    (tmp_path / "listen.json").write_text("{")
    with pytest.raises(NoBus, match=r"listen\.json cannot be read: remove it"):
        folder.listens  # noqa: B018 - raises


def test_the_certificate_names_every_address(tmp_path: Path) -> None:
    """Given a broker with a certificate, when it is to listen elsewhere too, then it needs another, which names that place."""
    folder = BusFolder(tmp_path)
    folder.create()
    authority, home = Authority(folder), folder.service(BROKER)
    assert authority.equip(BROKER, home)
    assert not authority.is_due(BROKER, home)
    folder.listen(Listening(("bus.example.org:9093", "10.0.0.5:9094", "[fd00::5]:9095")))

    assert authority.is_due(BROKER, home)
    assert authority.equip(BROKER, home)
    assert {"127.0.0.1", "localhost", "bus.example.org", "10.0.0.5", "fd00::5"} == certificate.names(Tls(home))
    folder.listen(Listening())
    assert not authority.is_due(BROKER, home), "a name more does no harm"


@pytest.mark.broker
class TestABrokerForOtherMachines:
    """The broker keeps its address over restarts, shows a certificate for it, and lets in holders of a certificate only."""

    @pytest.fixture
    def kafka(self, tmp_path: Path) -> EmbeddedKafka:
        """A broker that was not started yet."""
        folder = BusFolder(tmp_path)
        folder.create()
        made = EmbeddedKafka(folder)
        made.fetch()
        return made

    @pytest.mark.slow
    def test_it_has_its_address_again_after_a_restart(self, kafka: EmbeddedKafka) -> None:
        """Given a bus that listens, when it is ended and started, then clients reach it at the same address, by its name."""
        port = ports.free_ports(1)[0]
        kafka.folder.listen(Listening((f"localhost:{port}",)))
        for _ in range(2):
            try:
                kafka.start()
                assert served(kafka, port) == f"localhost:{port}"
            finally:
                kafka.stop()

    def test_each_side_asks_for_the_others_certificate(self, kafka: EmbeddedKafka) -> None:
        """Given the listener for other machines, then a client without a certificate gets no answer, and no client believes another name.

        So a false list of addresses leads a desk to no other broker.
        """
        port = ports.free_ports(1)[0]
        kafka.folder.listen(Listening((f"localhost:{port}",)))
        kafka.start()
        try:
            assert answer_without_certificate(kafka, port) == b""
            context = kafka.folder.as_operator.context()
            assert context is not None
            with (
                pytest.raises(ssl.SSLCertVerificationError, match=r"other\.example\.org"),
                socket.create_connection(("localhost", port), timeout=PATIENCE) as raw,
            ):
                context.wrap_socket(raw, server_hostname="other.example.org")
        finally:
            kafka.stop()


def served(kafka: EmbeddedKafka, port: int) -> str:
    """Return the address that the broker names itself to a client which came to *port*."""
    from nrmbus.bus.kafka import clients  # noqa: PLC0415 - the library is needed here only

    where = Reach(f"localhost:{port}", kafka.folder.as_operator.tls)
    broker = next(iter(clients.admin(where).list_topics(timeout=PATIENCE).brokers.values()))
    assert parts(f"{broker.host}:{broker.port}") == ("localhost", port)
    return f"{broker.host}:{broker.port}"


def answer_without_certificate(kafka: EmbeddedKafka, port: int) -> bytes:
    """Return the first byte that a client of the bus's authority, and without a certificate, is answered; nothing if none is."""
    tls = kafka.folder.as_operator.tls
    assert tls is not None
    context = ssl.create_default_context(cafile=str(tls.ca))
    # ApiVersions, version 0, of a client "abc".
    request = bytes.fromhex("0000000d00120000000000010003616263")
    with (
        suppress(ssl.SSLError, ConnectionError),
        socket.create_connection(("localhost", port), timeout=PATIENCE) as raw,
        context.wrap_socket(raw, server_hostname="localhost") as secured,
    ):
        secured.sendall(request)
        return secured.recv(1)
    return b""
