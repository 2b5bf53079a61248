"""Nobody gets anything from the broker without a good certificate of its own authority, also on a connection opened before."""

import asyncio
import json
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiokafka.conn import create_conn
from aiokafka.errors import KafkaConnectionError, TopicAuthorizationFailedError, TransactionalIdAuthorizationFailed
from aiokafka.protocol.admin import CreateTopicsRequest
from aiokafka.protocol.coordination import FindCoordinatorRequest
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.protocol.offset import OffsetRequest
from aiokafka.protocol.produce import ProduceRequest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    ConfigResource,
    ResourcePatternType,
    ResourceType,
)
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from bus.closed import SERVICES, Closed, speaking
from bus.kafka.test_matrix import GROUP, TOPIC, batch
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.kafka import clients, quotas
from nrmbus.bus.pki import certificate
from nrmbus.bus.pki.authority import Authority
from nrmbus.bus.reach import Reach, Tls
from patience import PATIENCE

pytestmark = pytest.mark.broker


def stranger(tmp_path: Path, who: str, ca: bytes) -> Reach:
    """A certificate for *who* from another bus's authority; it trusts our broker."""
    folder = BusFolder(tmp_path / "other")
    folder.create(bootstrap="127.0.0.1:1", tls=True)
    Authority(folder).equip(who, folder.service(who))
    (folder.service(who) / "tls" / "ca.pem").write_bytes(ca)
    return Reach("", Tls(folder.service(who)))


async def gets_nothing(where: Reach, context: ssl.SSLContext | None = None) -> None:
    """Such a client gets no request answered."""
    with pytest.raises(KafkaConnectionError):
        async with speaking(where, context) as send:
            await send(OffsetRequest(-1, 0, [("nrm.directory", [(0, -1)])]))


def controller(bus: Closed) -> tuple[str, int]:
    """Host and port by which brokers vote."""
    host, _, port = json.loads((bus.folder.run / "broker.json").read_bytes())["controller"].rpartition(":")
    return host, int(port)


@pytest.mark.parametrize("who", ["ngo-a", "registrar", "operator", "broker"])
async def test_a_stranger_gets_nothing(closed_bus: Closed, tmp_path: Path, who: str) -> None:
    """A certificate with the right name on it, from another authority, opens nothing."""
    where = stranger(tmp_path, who, closed_bus.authority.ca)
    await gets_nothing(Reach(closed_bus.folder.bootstrap, where.tls))


def signed(bus: Closed, tmp_path: Path, subject: str) -> Reach:
    """Return a certificate that the authority's key signed for a name that the authority itself never certifies."""
    where, key = Tls(tmp_path), ec.generate_private_key(ec.SECP256R1())
    certificate.request(where)
    home = bus.folder.keys / "authority"
    by = serialization.load_pem_private_key((home / "key.pem").read_bytes(), None)
    assert isinstance(by, ec.EllipticCurvePrivateKey)
    issuer = x509.load_pem_x509_certificate((home / "cert.pem").read_bytes()).subject
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    where.key.write_bytes(key.private_bytes(pem, pkcs8, serialization.NoEncryption()))
    made = (
        x509.CertificateBuilder()
        .subject_name(x509.Name.from_rfc4514_string(subject))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(certificate.now() - timedelta(minutes=1))
        .not_valid_after(certificate.now() + timedelta(days=1))
        .sign(by, hashes.SHA256())
    )
    certificate.keep(where, made.public_bytes(pem), bus.authority.ca)
    return Reach(bus.folder.bootstrap, where)


@pytest.mark.parametrize(
    "subject",
    ["CN=operator", "CN=operator,OU={bus},O=nrmbus", "CN=operator,OU=1,OU=play-0000000000000000,O=nrmbus",
     "CN=ngo-a.1,OU=1,OU={bus},O=nrmbus", "CN=NGO-A,OU=1,OU={bus},O=nrmbus", "CN=operator,OU=1,OU={bus},O=nrmbus,C=AZ",
     "L=x,CN=operator,OU=1,OU={bus},O=nrmbus", "CN=operator,OU=0,OU={bus},O=nrmbus"],
)  # fmt: skip
async def test_a_name_that_the_authority_never_writes_is_nobodys(
    closed_bus: Closed, tmp_path: Path, subject: str
) -> None:
    """The mapping of subjects to names has no default: what it does not fit gets nothing, not even as a stranger."""
    await gets_nothing(signed(closed_bus, tmp_path, subject.format(bus=closed_bus.folder.settings.bus)))


async def test_a_client_without_a_certificate_gets_nothing(closed_bus: Closed) -> None:
    """Neither over TLS, nor in plain text."""
    nobody = ssl.create_default_context(cadata=closed_bus.authority.ca.decode())
    await gets_nothing(Reach(closed_bus.folder.bootstrap), nobody)
    await gets_nothing(Reach(closed_bus.folder.bootstrap))


async def test_an_older_protocol_gets_nothing(closed_bus: Closed) -> None:
    """TLS 1.2 is refused, whatever the certificate."""
    context = closed_bus.reach("ngo-a").context()
    assert context is not None
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_2
    await gets_nothing(closed_bus.reach("ngo-a"), context)


async def test_a_client_speaks_to_no_other_broker(closed_bus: Closed, tmp_path: Path) -> None:
    """A server at the broker's address with another authority's certificate receives nothing."""
    other = stranger(tmp_path, "ngo-a", b"").tls
    assert other is not None
    context = closed_bus.reach("ngo-a").context()
    assert context is not None
    # The client's own side, which trusts the other authority only.
    context = ssl.create_default_context(cadata=Authority(BusFolder(tmp_path / "other")).ca.decode())
    context.load_cert_chain(other.certificate, other.key)
    await gets_nothing(closed_bus.reach("ngo-a"), context)


def test_the_controller_is_as_closed(closed_bus: Closed, tmp_path: Path) -> None:
    """The broker's other port, by which brokers vote, takes neither plain text nor a stranger."""
    host, port = controller(closed_bus)
    # A request for the supported versions, with which every client begins.
    begin = bytes.fromhex("0000000f001200000000000100056e726d2d31")
    strange = stranger(tmp_path, "broker", closed_bus.authority.ca).context()
    assert strange is not None

    def answer(context: ssl.SSLContext | None) -> bytes:
        with socket.create_connection((host, port), timeout=PATIENCE) as plain:
            try:
                with context.wrap_socket(plain, server_hostname=host) if context else plain as connection:
                    connection.sendall(begin)
                    return connection.recv(4)
            except OSError:  # an alert, or a connection that is closed under us
                return b""

    assert answer(None)[:1] in (b"", b"\x15"), "nothing, or an alert of TLS"
    assert answer(strange) == b""
    broker = Reach("", Tls(closed_bus.folder.service("broker"))).context()
    assert answer(broker), "who belongs there is answered, so that the silence above says something"


async def test_the_controller_does_nothing_for_an_agency(closed_bus: Closed) -> None:
    """Every certificate opens a connection there; its requests are refused, and the operator's are served."""
    made = CreateTopicsRequest([("nrm.forged", 1, 1, [], [])], 5_000, True)  # noqa: FBT003 - only looked at, not made
    codes = {}
    for who, where in (("ngo-a", closed_bus.reach("ngo-a")), ("operator", closed_bus.folder.as_operator)):
        host, port = controller(closed_bus)
        connection = await create_conn(host, port, ssl_context=where.context(), security_protocol="SSL")
        answer = await connection.send(made)
        codes[who] = {code for _, code, *_ in answer.topic_errors}
        connection.close()
    assert codes == {"ngo-a": {TOPIC}, "operator": {0}}


# -- what ends later -------------------------------------------------------------------------------------------------


class Open:
    """A connection of an agency that stays open."""

    def __init__(self, send: Any, who: str) -> None:
        self._send, self._who = send, who

    async def codes(self) -> set[int]:
        """Return Kafka's codes for writing the outbox, reading the inbox and reading the directory."""
        outbox, inbox = f"nrm.outbox.{self._who}", f"nrm.inbox.{self._who}"
        wrote = await self._send(ProduceRequest(None, -1, 5_000, [(outbox, [(0, batch())])]))
        read = await self._send(FetchRequest(0, 0, 1 << 20, 1, [(inbox, [(0, 0, 1 << 16)])]))
        asked = await self._send(OffsetRequest(-1, 0, [("nrm.directory", [(0, -1)])]))
        return {each.topics[0][1][0][1] for each in (wrote, read, asked)}

    async def finds_its_group(self) -> bool:
        """Return whether the broker lets the client join its desk's group and so move the group's offsets."""
        found = await self._send(FindCoordinatorRequest(f"{self._who}.desk", 0))
        return bool(found.error_code != GROUP)


@asynccontextmanager
async def connected(bus: Closed, who: str) -> AsyncIterator[Open]:
    """An open connection of *who*."""
    async with speaking(bus.reach(who)) as send:
        yield Open(send, who)


async def test_a_suspended_agency_gets_nothing_on_any_connection(closed_bus: Closed) -> None:
    """Suspension takes the rights of open and new connections; admission restores them."""
    await asyncio.to_thread(closed_bus.admit, "ngo-s")
    async with connected(closed_bus, "ngo-s") as before:
        assert await before.codes() == {0}
        assert await before.finds_its_group()

        await asyncio.to_thread(closed_bus.gate.suspend, "ngo-s")
        assert await before.codes() == {TOPIC}
        assert not await before.finds_its_group()
        async with connected(closed_bus, "ngo-s") as after:
            assert await after.codes() == {TOPIC}

        await asyncio.to_thread(closed_bus.gate.apply)  # as `topics apply`, and each start, do
        assert await before.codes() == {TOPIC}
        assert await asyncio.to_thread(closed_bus.gate.keep, {"ngo-s": closed_bus.home("ngo-s")}) == frozenset()

        await asyncio.to_thread(closed_bus.gate.admit_again, "ngo-s")
        assert await before.codes() == {0}


async def test_an_ended_certificate_gets_nothing_on_any_connection(closed_bus: Closed) -> None:
    """Kafka checks a certificate's end only at the handshake; the certificate's rights end on open connections too."""
    await asyncio.to_thread(closed_bus.admit, "ngo-e", life=timedelta(seconds=5))
    async with connected(closed_bus, "ngo-e") as before:
        assert await before.codes() == {0}

        await until_ended(closed_bus, "ngo-e")
        await asyncio.to_thread(closed_bus.gate.keep, {})

        assert await before.codes() == {TOPIC}
        await gets_nothing(closed_bus.reach("ngo-e"))


async def until_ended(bus: Closed, who: str) -> None:
    """Wait for the end of the certificate that *who* has."""
    await until_after(certificate.ends(Tls(bus.home(who))))


async def until_after(end: datetime | None) -> None:
    """Wait until *end* has passed."""
    assert end is not None
    await asyncio.sleep(max(0.0, (end - certificate.now()).total_seconds()) + 0.1)


@pytest.mark.slow
async def test_a_renewed_certificate_takes_over_from_the_one_before(closed_bus: Closed) -> None:
    """From the last third of its life a certificate is renewed; both are good until the old one ends, then only the new."""
    home = closed_bus.home("ngo-r")
    await asyncio.to_thread(closed_bus.admit, "ngo-r", life=timedelta(seconds=6))
    end = certificate.ends(Tls(home))
    async with connected(closed_bus, "ngo-r") as before:
        renewed = await asyncio.to_thread(closed_bus.gate.keep, {"ngo-r": home})
        assert renewed == {"ngo-r"}
        async with connected(closed_bus, "ngo-r") as after:
            assert await before.codes() == await after.codes() == {0}

            await until_after(end)
            await asyncio.to_thread(closed_bus.gate.keep, {"ngo-r": home})
            assert await before.codes() == {TOPIC}
            assert await after.codes() == {0}


async def test_a_revoked_certificate_is_worth_nothing_and_the_next_one_is_good(
    closed_bus: Closed, tmp_path: Path
) -> None:
    """After a theft the stolen key has no rights on any connection, and the agency goes on with another key."""
    await asyncio.to_thread(closed_bus.admit, "ngo-t")
    thief = Reach(closed_bus.folder.bootstrap, Tls(tmp_path))
    (tmp_path / "tls").mkdir()
    for each in (closed_bus.home("ngo-t") / "tls").iterdir():
        (tmp_path / "tls" / each.name).write_bytes(each.read_bytes())
    async with speaking(thief) as send:
        stolen = Open(send, "ngo-t")
        assert await stolen.codes() == {0}

        own = Tls(closed_bus.home("ngo-t"))
        await asyncio.to_thread(closed_bus.gate.revoke, "ngo-t")
        request = certificate.request(own, anew=True)
        certificate.keep(own, closed_bus.authority.issue("ngo-t", request), closed_bus.authority.brokers_ca)
        await asyncio.to_thread(closed_bus.gate.apply)

        assert await stolen.codes() == {TOPIC}
    async with speaking(thief) as send:
        assert await Open(send, "ngo-t").codes() == {TOPIC}
    async with connected(closed_bus, "ngo-t") as again:
        assert await again.codes() == {0}


# -- the clients that services use -----------------------------------------------------------------------------------


async def test_services_own_clients_come_with_their_certificate(closed_bus: Closed) -> None:
    """A producer and a consumer from the factory, and another library's consumer, reach what is theirs and no more."""
    async with clients.producer(closed_bus.reach("registrar")) as producer:
        sent = await producer.send_and_wait("nrm.inbox.police", b"told", partition=1)
    consumer = Consumer({**closed_bus.reach("police").confluent(), "group.id": "police.desk", "log_level": 0})
    consumer.assign([TopicPartition("nrm.inbox.police", 1, sent.offset)])
    message = await asyncio.to_thread(consumer.poll, 10)
    consumer.close()
    assert message is not None
    assert message.value() == b"told"
    async with clients.producer(closed_bus.reach("ngo-a")) as producer:
        with pytest.raises(TopicAuthorizationFailedError):
            await producer.send_and_wait("nrm.inbox.police", b"forged")
    fencing = clients.transactional_producer(closed_bus.reach("ngo-a"), "nrm-registrar-p0")
    with pytest.raises(TransactionalIdAuthorizationFailed):
        await fencing.start()
    await fencing.stop()


def test_drift_of_rights_and_quotas_is_reported_and_mended(closed_bus: Closed) -> None:
    """Rights that somebody gave or took with Kafka's own tools are named, and the next apply undoes them."""
    allowed = ("*", AclOperation.READ, AclPermissionType.ALLOW)
    wide = AclBinding(ResourceType.TOPIC, "nrm.", ResourcePatternType.PREFIXED, "User:ngo-a.1", *allowed)
    own = AclBindingFilter(ResourceType.TOPIC, "nrm.inbox.ngo-a", ResourcePatternType.LITERAL, "User:ngo-a.1", *allowed)
    admin = clients.admin(closed_bus.folder.as_operator)
    assert closed_bus.gate.check() == ()
    for future in [*admin.create_acls([wide]).values(), *admin.delete_acls([own]).values()]:
        future.result(10)

    assert closed_bus.gate.check() == (
        "ngo-a.1 allow read topic nrm.inbox.ngo-a is declared, and not on the broker: nrmbus topics apply",
        "ngo-a.1 allow read topic nrm. (prefixed, from *) is on the broker, and not declared: nrmbus topics apply",
    )
    asyncio.run(quotas.put(closed_bus.folder.as_operator, {"ngo-a.1": {}, "registrar.1": quotas.load_quota()}))
    assert closed_bus.gate.check()[2:] == (
        "ngo-a.1 has another quota than is declared: nrmbus topics apply",
        "registrar.1 has another quota than is declared: nrmbus topics apply",
    )
    closed_bus.gate.apply()
    assert closed_bus.gate.check() == ()


def test_a_default_quota_of_all_users_is_reported_and_taken_back(closed_bus: Closed) -> None:
    """Given a quota for every user without one, which holds for the registrar, then it is named, and the next apply removes it."""
    limits = [("producer_byte_rate", 10240.0, False), ("request_percentage", 1.0, False)]
    every_user = quotas._Alter([([("user", None)], limits)])
    asyncio.run(quotas.asked(closed_bus.folder.as_operator, every_user))

    assert closed_bus.gate.check() == ("<default> has another quota than is declared: nrmbus topics apply",)
    closed_bus.gate.apply()
    assert closed_bus.gate.check() == ()
    assert "<default>" not in asyncio.run(quotas.found(closed_bus.folder.as_operator))


def test_every_agency_has_the_quota_and_no_service_has_one(closed_bus: Closed) -> None:
    """By the broker's own word."""
    found = asyncio.run(quotas.found(closed_bus.folder.as_operator))

    assert found["ngo-a.1"] == found["police.1"] == quotas.load_quota()
    assert not {each for each in found if each.partition(".")[0] in (*SERVICES, "operator", "broker")}


def test_secrets_are_for_their_owner_and_in_no_command_line(closed_bus: Closed) -> None:
    """Each key file has mode 0600, and neither the broker's command line nor its log or settings hold a key."""
    folder = closed_bus.folder.path
    keys = [path for path in folder.rglob("*.pem") if b"PRIVATE KEY" in path.read_bytes()]
    assert len(keys) > 5
    assert {path.stat().st_mode & 0o777 for path in keys} == {0o600}
    bodies = {line for path in keys for line in path.read_bytes().split(b"\n")[1:3] if len(line) == 64}
    told = [Path(f"/proc/{closed_bus.kafka.pid}/cmdline"), *(folder / "logs").iterdir(), *(folder / "run").iterdir()]
    assert not [path.name for path in told if any(body in path.read_bytes() for body in bodies)]


def test_the_broker_shows_its_private_key_to_nobody(closed_bus: Closed) -> None:
    """Not even to the operator, who may ask for all of its settings."""
    resource = ConfigResource(ConfigResource.Type.BROKER, "1")
    admin = clients.admin(closed_bus.folder.as_operator)  # kept: without a name it would be gone before it answers
    (answer,) = admin.describe_configs([resource]).values()
    shown = answer.result(10)

    assert shown["ssl.client.auth"].value == "required"
    assert {shown[name].value for name in ("ssl.keystore.key", "ssl.keystore.certificate.chain")} == {None}
    assert not any("PRIVATE KEY" in str(each.value) for each in shown.values())
