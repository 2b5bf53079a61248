"""Operator's inbox: valid requests in the topics are answered, and no other record has an effect."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.producer import message_accumulator
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from brokers import Broker
from nrmbus.bus.clock import BEFORE_ANY_TICK
from nrmbus.bus.errors import KafkaFailed
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.kafka import clients, topics
from nrmbus.bus.kafka.gate import Gate
from nrmbus.bus.pki import certificate
from nrmbus.bus.pki.authority import Authority
from nrmbus.bus.reach import Tls
from nrmbus.bus.wall_clock import wall_now
from nrmbus.directory import renewal
from nrmbus.directory.admission import Newcomer, admit
from nrmbus.directory.entry import body_of
from nrmbus.directory.operator import Identity
from nrmbus.directory.operator_inbox import A_PASS, Outcome, answer
from nrmbus.directory.renewal import GOOD_FOR, MOST, Renewal
from nrmbus.wire import json, statement, times
from nrmbus.wire.keys.keys import SigningKey
from nrmbus.wire.names import ANSWERS, requests_of
from patience import eventually

pytestmark = pytest.mark.broker


@pytest.fixture(name="bus")
async def _bus(broker: Broker) -> BusFolder:
    folder = broker.fresh_bus(play=False)
    await admit(folder, {"ngo-a": Newcomer("ngo_outreach"), "ngo-b": Newcomer("ngo_legal")}, BEFORE_ANY_TICK)
    return folder


class _NotUtf8(str):
    """A name that goes over the wire as bytes that are not UTF-8."""

    __slots__ = ()

    def encode(self, *_how: Any) -> bytes:
        return b"x-\xff\xfe"


async def put(bus: BusFolder, agency: str, *records: bytes | None) -> None:
    """Write *records* into an agency's topic, as the holder of its certificate may."""
    async with clients.producer(bus.bootstrap) as producer:
        for each in records:
            await producer.send(requests_of(agency), value=each, key=b"x", partition=0)
        await producer.flush()


async def came(bus: BusFolder) -> list[Renewal]:
    """All answers."""
    topic, found = TopicPartition(ANSWERS, 0), list[Renewal]()
    async with clients.reading(bus.bootstrap, topic) as (consumer, end):
        while await consumer.position(topic) < end:
            for records in (await consumer.getmany(topic, timeout_ms=200)).values():
                found += [Renewal.parsed(each.value) for each in records]
    return found


def asked(
    where: BusFolder,
    agency: str = "ngo-a",
    /,
    key: SigningKey | None = None,
    named: str | None = None,
    **altered: Any,
) -> bytes:
    """Return the certificate request of *agency*'s desk, for itself or for *named*, *altered* before signing."""
    home = where.agency(agency).path
    body = {
        "bus": where.settings.bus,
        "agency": named or agency,
        "csr": certificate.request(Tls(home)).decode(),
        "made": times.write(wall_now()),
        **altered,
    }
    return wrapped(statement.sign("request", body, key or Identity.at(home, agency).signing).decode())


def wrapped(signed: str) -> bytes:
    """*signed* as a record."""
    return json.dumps(body_of(Renewal(asked=signed)))


def csr(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, *, named: str = "special-unit") -> str:
    """A request for a certificate over *key*, in another's name."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, named)])
    made = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    return made.public_bytes(serialization.Encoding.PEM).decode()


def whose(found: Renewal) -> str:
    """Return the name in the certificate of the answer."""
    names = x509.load_pem_x509_certificate((found.certificate or "").encode()).subject
    return str(names.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0].value)


async def test_an_agency_gets_one_certificate_and_can_keep_it(bus: BusFolder) -> None:
    """The next pass finds nothing new, and the returned certificate is believed."""
    await put(bus, "ngo-a", asked(bus))

    assert await answer(bus) == (Outcome("ngo-a"),)
    assert await answer(bus) == ()
    (back,) = await came(bus)
    assert whose(back) == "ngo-a"
    renewal.keep(bus, "ngo-a", back)
    assert not certificate.is_due(Tls(bus.agency("ngo-a").path), certificate.now())


HOSTILE: dict[str, tuple[Callable[[BusFolder], bytes | None], str]] = {
    "nothing": (lambda _: None, "request_malformed"),
    "no JSON": (lambda _: b"\xff\x00{", "request_malformed"),
    "a thousand levels": (lambda _: b'{"asked":' + b"[" * 1000 + b"]" * 1000 + b"}", "request_malformed"),
    "another form": (lambda _: b'{"form":"nrmbus-request/1"}', "request_malformed"),
    "no statement": (lambda _: wrapped("{}"), "request_malformed"),
    "more than there is": (lambda bus: asked(bus, more="than there is"), "request_malformed"),
    "a stranger's key": (lambda bus: asked(bus, key=SigningKey.generate()), "request_invalid"),
    "in another's name": (lambda bus: asked(bus, named="ngo-b"), "request_invalid"),
    "another's, found somewhere": (lambda bus: asked(bus, "ngo-b"), "request_invalid"),
    "for another bus": (lambda bus: asked(bus, bus="0" * 16), "request_invalid"),
    "of last week": (lambda bus: asked(bus, made=times.write(wall_now() - GOOD_FOR * 2)), "request_invalid"),
    "of next week": (lambda bus: asked(bus, made=times.write(wall_now() + GOOD_FOR * 2)), "request_invalid"),
    "no request for a certificate": (lambda bus: asked(bus, csr="-----BEGIN"), "not_readable"),
    "RSA": (lambda bus: asked(bus, csr=csr(rsa.generate_private_key(65537, 2048))), "weak_key"),
    "another curve": (lambda bus: asked(bus, csr=csr(ec.generate_private_key(ec.SECP384R1()))), "weak_key"),
    "another's key": (lambda bus: asked(bus, csr=of_another(bus)), "key_in_use"),
}


def of_another(bus: BusFolder) -> str:
    """A request over the key of another agency, which has a certificate over it."""
    made = certificate.request(Tls(bus.agency("ngo-b").path))
    Authority(bus).issue("ngo-b", made)
    return made.decode()


@pytest.mark.slow
async def test_an_invalid_request_is_skipped(bus: BusFolder) -> None:
    """Each invalid request gets its code and no certificate; a valid one in another topic is answered in the same pass."""
    for what, (record, code) in HOSTILE.items():
        await put(bus, "ngo-a", record(bus))
        assert await answer(bus) == (Outcome("ngo-a", code),), what
    await put(bus, "ngo-a", *(record(bus) for record, _ in HOSTILE.values()))
    await put(bus, "ngo-b", asked(bus, "ngo-b"))

    assert Outcome("ngo-b") in await answer(bus)
    assert [whose(each) for each in await came(bus)] == ["ngo-b"]
    assert "ngo-a" not in Authority(bus).standing(certificate.now())


async def test_a_certificate_names_the_agency_and_not_the_requested_name(bus: BusFolder) -> None:
    """The authority writes the name: only the public key is taken from a request."""
    await put(bus, "ngo-a", asked(bus, csr=csr(ec.generate_private_key(ec.SECP256R1()))))

    assert await answer(bus) == (Outcome("ngo-a"),)
    assert [whose(each) for each in await came(bus)] == ["ngo-a"]


@pytest.mark.slow
async def test_a_flood_of_requests_gets_three_certificates_and_delays_no_other_agency(bus: BusFolder) -> None:
    """A flood is read a little at a time, one certificate a pass at most, and three at once in all."""
    flood = [asked(bus), *[b"junk"] * (A_PASS - 1)] * 6
    await put(bus, "ngo-a", *flood)
    await put(bus, "ngo-b", asked(bus, "ngo-b"))

    passes = [await answer(bus) for _ in range(7)]
    assert Outcome("ngo-b") in passes[0]
    assert [Outcome("ngo-a") in each for each in passes] == [True] * MOST + [False] * (7 - MOST)
    assert Outcome("ngo-a", "certificates_many") in passes[MOST]
    assert passes[6] == ()
    assert len(Authority(bus).standing(certificate.now())["ngo-a"]) == MOST


async def test_a_header_that_no_client_reads_stops_nobody(bus: BusFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """The record is skipped like any invalid one, and the records behind it are answered."""
    monkeypatch.setattr(message_accumulator, "DefaultRecordBatchBuilder", _DefaultRecordBatchBuilderPy)
    async with clients.producer(bus.bootstrap) as producer:
        batch = producer.create_batch()
        batch.append(key=None, value=b"junk", timestamp=None, headers=[(_NotUtf8("x"), b"1")])
        await (await producer.send_batch(batch, requests_of("ngo-a"), partition=0))
    await put(bus, "ngo-a", asked(bus))
    await put(bus, "ngo-b", asked(bus, "ngo-b"))

    assert set(await answer(bus)) == {Outcome("ngo-a", "request_malformed"), Outcome("ngo-a"), Outcome("ngo-b")}


async def test_a_pass_that_was_cut_is_finished_by_the_next(bus: BusFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """The issued certificate is sent, and no second one is issued; nothing is sent before the broker knows it."""

    def fails(_gate: Gate) -> None:
        raise KafkaFailed("the broker does not answer")

    await put(bus, "ngo-a", asked(bus))
    with monkeypatch.context() as patch:
        patch.setattr(Gate, "apply", fails)
        with pytest.raises(KafkaFailed):
            await answer(bus)
    assert await came(bus) == []

    await answer(bus)
    assert [whose(each) for each in await came(bus)] == ["ngo-a"]
    assert len(Authority(bus).standing(certificate.now())["ngo-a"]) == 1


async def test_the_state_of_earlier_passes_may_be_lost(bus: BusFolder) -> None:
    """All records are read again: old requests are refused, and the number of good certificates is limited."""
    old = asked(bus, made=times.write(wall_now() - GOOD_FOR - timedelta(seconds=1)))
    await put(bus, "ngo-a", old, asked(bus))
    await answer(bus)
    (bus.keys / "requests.json").write_text("{")

    assert set(await answer(bus)) == {Outcome("ngo-a", "request_invalid"), Outcome("ngo-a")}


async def test_a_topic_of_requests_that_was_made_again_is_read_from_its_beginning(bus: BusFolder) -> None:
    """Given a topic read to its end, when it is deleted and made again, the next request is answered, and it is said once that the topic is new."""
    await put(bus, "ngo-a", b"junk", b"junk", asked(bus))
    await answer(bus)
    topic, admin = requests_of("ngo-a"), clients.admin(bus.bootstrap)
    admin.delete_topics([topic])[topic].result(10)
    await eventually("the topic is gone", lambda: topic not in admin.list_topics(timeout=10).topics)
    topics.apply(bus.bootstrap, ["ngo-a", "ngo-b"], 1, play=False)
    await put(bus, "ngo-a", asked(bus))

    assert set(await answer(bus)) == {Outcome("ngo-a"), Outcome("ngo-a", done="again")}
    assert [whose(each) for each in await came(bus)] == ["ngo-a"] * 2
    assert await answer(bus) == ()
