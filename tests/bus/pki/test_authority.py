"""The authority alone writes who somebody is: not what is asked for, not a reserved name, not over a weak or another's key."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from nrmbus.bus.errors import KeyElsewhere, KeysSealed, NotCertified
from nrmbus.bus.folder import BusFolder, Listening
from nrmbus.bus.kafka.gate import Gate
from nrmbus.bus.pki import building, certificate
from nrmbus.bus.pki.authority import BROKER, Authority, principal
from nrmbus.bus.pki.certificate import LIFE, now
from nrmbus.bus.private_files import locked_folder
from nrmbus.bus.reach import Reach, Tls
from patience import until

Key = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey


@pytest.fixture
def folder(tmp_path: Path) -> BusFolder:
    """A bus that was made."""
    folder = BusFolder(tmp_path / "bus")
    folder.create()
    return folder


@pytest.fixture
def authority(folder: BusFolder) -> Authority:
    """Its authority."""
    return Authority(folder)


def request(key: Key, name: str = "operator") -> bytes:
    """A request over *key* that asks to be called *name*."""
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    made = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, algorithm)
    return made.public_bytes(serialization.Encoding.PEM)


def curve() -> ec.EllipticCurvePrivateKey:
    """A key as ours are."""
    return ec.generate_private_key(ec.SECP256R1())


def test_the_authority_writes_the_subject_itself(authority: Authority, folder: BusFolder) -> None:
    """Whatever name a request has, the certificate has the id, its number, and the bus; for a client, for thirty days."""
    made = x509.load_pem_x509_certificate(authority.issue("ngo-a", request(curve())))

    assert made.subject.rfc4514_string() == f"CN=ngo-a,OU=1,OU={folder.settings.bus},O=nrmbus"
    assert made.not_valid_after_utc - now() <= LIFE == timedelta(days=30)
    purposes = made.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(purposes) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert not made.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    by = x509.load_pem_x509_certificate(authority.ca)
    made.verify_directly_issued_by(by)
    assert by.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length == 0


@pytest.mark.parametrize(
    "name",
    ["broker", "operator", "player", "play", "nrm", "admin", "kafka", "everybody", "anonymous", "ANONYMOUS", "User", "user", "User:broker",
     "ngo-a,OU=1", "ngo-a.1", "ngo a", "", "-", "*", "ngo-a\n", "a" * 32],
)  # fmt: skip
def test_a_reserved_name_is_certified_to_nobody(authority: Authority, name: str) -> None:
    """Parts of the bus, words of Kafka's, and whatever is no agency's id."""
    with pytest.raises(NotCertified) as refused:
        authority.issue(name, request(curve()))
    assert refused.value.code == "reserved"
    assert not authority.standing(now())


@pytest.mark.parametrize(
    ("code", "asked"),
    [
        ("weak_key", request(rsa.generate_private_key(65537, 2048))),
        ("weak_key", request(ec.generate_private_key(ec.SECP192R1()))),
        ("weak_key", request(ec.generate_private_key(ec.SECP384R1()))),
        ("weak_key", request(ed25519.Ed25519PrivateKey.generate())),
        ("not_readable", b""),
        ("not_readable", b"-----BEGIN CERTIFICATE REQUEST-----\nMIIB\n-----END CERTIFICATE REQUEST-----\n"),
        ("not_readable", b"\xff" * 100),
        ("not_readable", b"-----BEGIN CERTIFICATE REQUEST-----\n" + b"A" * 9000),
    ],
)
def test_a_request_that_is_none_is_refused_with_a_code(authority: Authority, code: str, asked: bytes) -> None:
    """Another kind of key, and bytes of any kind; nothing of them stands in the message."""
    with pytest.raises(NotCertified) as refused:
        authority.issue("ngo-a", asked)
    assert refused.value.code == code
    assert not authority.standing(now())


def test_a_request_that_its_key_did_not_sign_is_refused(authority: Authority) -> None:
    """Nobody is certified for a key that they do not hold."""
    whole = x509.load_pem_x509_csr(request(curve())).public_bytes(serialization.Encoding.DER)
    other = bytearray(whole)
    other[-3] ^= 1
    forged = x509.load_der_x509_csr(bytes(other)).public_bytes(serialization.Encoding.PEM)

    with pytest.raises(NotCertified) as refused:
        authority.issue("ngo-a", forged)
    assert refused.value.code == "weak_key"


def test_a_key_is_one_agencys_for_ever(authority: Authority) -> None:
    """An agency may have its key certified again, another may not, not even after a revocation."""
    asked = request(curve())
    authority.issue("ngo-a", asked)
    authority.issue("ngo-a", asked)
    authority.revoke("ngo-a")

    with pytest.raises(NotCertified) as refused:
        authority.issue("ngo-b", asked)
    assert refused.value.code == "key_in_use"


def test_certificates_are_counted_and_stand_until_they_end_or_are_revoked(authority: Authority) -> None:
    """Each certificate has its own name at the broker, so one can lose its rights while another keeps them."""
    authority.issue("ngo-a", request(curve()), life=timedelta(days=5))
    authority.issue("ngo-a", request(curve()))
    assert authority.standing(now())["ngo-a"] == ("ngo-a.1", "ngo-a.2")
    assert authority.standing(now() + timedelta(days=6))["ngo-a"] == ("ngo-a.2",)
    assert authority.has_ended(now(), now() + timedelta(days=6))
    assert not authority.has_ended(now(), now() + timedelta(days=4))

    authority.revoke("ngo-a")
    authority.issue("ngo-a", request(curve()))
    assert authority.standing(now())["ngo-a"] == ("ngo-a.3",)
    assert principal("broker", 7) == "broker"


def test_a_holder_is_equipped_once_and_again_ten_days_before_the_end(authority: Authority, folder: BusFolder) -> None:
    """A valid certificate is left; a certificate that is due gets a successor over the same key."""
    home = folder.agency("ngo-a").path
    assert authority.equip("ngo-a", home)
    key, first = Tls(home).key.read_bytes(), Tls(home).certificate.read_bytes()
    assert not authority.equip("ngo-a", home)
    assert not certificate.is_due(Tls(home), now() + timedelta(days=19))
    assert certificate.is_due(Tls(home), now() + timedelta(days=21))

    short = folder.agency("short-lived").path
    assert authority.equip("short-lived", short, life=timedelta(days=9))
    assert [certificate.is_due(Tls(short), now() + timedelta(days=each)) for each in (5, 7)] == [False, True]

    Tls(home).certificate.write_bytes(b"half a file")
    assert authority.equip("ngo-a", home)
    assert Tls(home).key.read_bytes() == key
    assert Tls(home).certificate.read_bytes() != first
    assert {path.stat().st_mode & 0o777 for path in Tls(home).folder.iterdir()} == {0o600}
    assert {path.stat().st_mode & 0o777 for path in [home, *home.parents][:3]} == {0o700}


@pytest.mark.parametrize("ahead", [timedelta(hours=4), timedelta(days=3650)])
def test_a_certificate_that_is_not_valid_yet_is_issued_again(
    authority: Authority, folder: BusFolder, monkeypatch: pytest.MonkeyPatch, ahead: timedelta
) -> None:
    """Given certificates that were issued while the clock was ahead, when the clock is right, then broker and agency get another one, once, and the early ones do not count against the agency."""
    homes = {BROKER: folder.service(BROKER), "ngo-a": folder.agency("ngo-a").path}
    authority.ca  # noqa: B018 - the bus is older than the error
    with monkeypatch.context() as wrong:
        wrong.setattr(building, "now", lambda: now() + ahead)
        assert all(authority.equip(who, home) for who, home in homes.items())

    early = authority.count("ngo-a", None, now())
    assert [authority.equip(who, home) for _ in range(2) for who, home in homes.items()] == [True, True, False, False]
    for home in homes.values():
        found = x509.load_pem_x509_certificate(Tls(home).certificate.read_bytes())
        assert found.not_valid_before_utc <= now() < found.not_valid_after_utc
    assert (early, authority.count("ngo-a", None, now())) == (0, 1)


@pytest.mark.parametrize(
    "address", ["[2001:db8::1]:9093", "[2001:DB8:0:0::0001]:9093", "192.0.2.1:9093", "Bus.example.org:9093"]
)
def test_the_brokers_certificate_is_not_due_again_for_another_spelling_of_its_address(
    authority: Authority, folder: BusFolder, address: str
) -> None:
    """Given an address that is not in its shortest form, when the broker has a certificate for it, then it needs no other."""
    assert authority.equip(BROKER, folder.path / BROKER)
    folder.listen(Listening((address,)))

    assert [authority.equip(BROKER, folder.path / BROKER) for _ in range(2)] == [True, False]


def test_issued_certificates_are_on_record_without_a_secret(authority: Authority, folder: BusFolder) -> None:
    """The register has ids, numbers, ends and digests of public keys."""
    authority.issue("ngo-a", request(curve()))
    register = json.loads((folder.keys / "authority" / "issued.json").read_bytes())

    assert register.keys() == {"ngo-a"}
    assert register["ngo-a"]["certificates"][0].keys() == {"number", "key", "ends"}


def test_an_agency_with_lost_keys_has_certificates_until_the_new_keys_hold(authority: Authority) -> None:
    """Present certificates and those issued meanwhile end then; after an objection each ends at its own date."""
    authority.issue("ngo-a", request(curve()))
    authority.end("ngo-a", now() + timedelta(days=4))
    authority.issue("ngo-a", request(curve()))
    later = now() + timedelta(days=5)
    assert authority.standing(now())["ngo-a"] == ("ngo-a.1", "ngo-a.2")
    assert authority.standing(later)["ngo-a"] == ()
    assert authority.has_ended(now(), later)

    authority.end("ngo-a", None)
    assert authority.standing(later)["ngo-a"] == ("ngo-a.1", "ngo-a.2")


def test_a_certificate_that_a_loss_has_ended_is_never_valid_again(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given lost keys and the four days over, when the agency changes its keys again, the stolen certificate stays ended.

    Then the loss is no longer open to objection: neither a rotation nor another loss gives rights back.
    """
    authority.issue("ngo-a", request(curve()))
    authority.end("ngo-a", now() + timedelta(days=4))
    at = now() + timedelta(days=5)
    monkeypatch.setattr("nrmbus.bus.pki.authority.now", lambda: at)
    assert authority.standing(at)["ngo-a"] == ()
    authority.issue("ngo-a", request(curve()))

    authority.end("ngo-a", None)
    assert authority.standing(at)["ngo-a"] == ("ngo-a.2",)
    authority.end("ngo-a", at + timedelta(days=4))
    assert authority.standing(at)["ngo-a"] == ("ngo-a.2",)


def test_a_number_that_the_broker_knows_is_given_to_no_other_certificate(authority: Authority) -> None:
    """P2: given a register older than the broker's rules, when certificates are issued, then none has a number that was given."""
    authority.issue("ngo-a", request(curve()))
    authority.number_above(["ngo-a.1", "ngo-a.10", "ngo-a.9", "ngo-b.2"])

    for who in ("ngo-a", "ngo-a", "ngo-b"):
        authority.issue(who, request(curve()))

    authority.number_above(["ngo-a.12"])
    authority.issue("ngo-a", request(curve()))
    assert authority.standing(now()) == {
        "ngo-a": ("ngo-a.1", "ngo-a.11", "ngo-a.12", "ngo-a.13"),
        "ngo-b": ("ngo-b.3",),
    }


def test_a_suspended_agency_gets_no_certificate_automatically(authority: Authority, folder: BusFolder) -> None:
    """Renewal skips the suspended agency."""
    homes = {who: folder.agency(who).path for who in ("ngo-a", "ngo-b")}
    authority.suspend("ngo-a")
    assert Gate(folder).equip(homes) == {"ngo-b"}


def test_a_next_key_takes_its_place_although_storing_its_certificate_was_cut(
    authority: Authority, folder: BusFolder
) -> None:
    """Given a power cut between a certificate and the key that it is over, then the holder's next look finishes the change."""
    home = folder.agency("ngo-a").path
    tls = Tls(home)
    authority.equip("ngo-a", home)
    asked = certificate.request(tls, anew=True)
    assert not authority.equip("ngo-a", home)
    tls.certificate.write_bytes(authority.issue("ngo-a", asked))

    assert authority.equip("ngo-a", home)
    assert not tls.next_key.exists()
    Reach("kafka.example.org:9092", tls).context()


def test_a_next_key_that_an_interrupted_storing_left_is_the_one_in_use(authority: Authority, folder: BusFolder) -> None:
    """Given a power cut between a certificate and the key that it is over, when another key is asked for, then the certificate keeps its key."""
    tls = Tls(folder.agency("ngo-a").path)
    authority.equip("ngo-a", tls.home)
    tls.certificate.write_bytes(authority.issue("ngo-a", certificate.request(tls, anew=True)))

    certificate.request(tls, anew=True)

    assert tls.next_key.exists()
    Reach("kafka.example.org:9092", tls).context()


def test_a_certificate_over_a_key_that_is_gone_is_not_stored(authority: Authority, folder: BusFolder) -> None:
    """Given the answer to a request whose key another request has replaced, when it is to be stored, then it is refused, and the present certificate works on."""
    tls = Tls(folder.agency("ngo-a").path)
    authority.equip("ngo-a", tls.home)
    first, _ = certificate.request(tls, anew=True), certificate.request(tls, anew=True)
    present = tls.certificate.read_bytes()

    with pytest.raises(KeyElsewhere, match="nrmbus agency renew"):
        certificate.keep(tls, authority.issue("ngo-a", first), authority.brokers_ca)

    assert tls.certificate.read_bytes() == present
    Reach("kafka.example.org:9092", tls).context()


def test_a_damaged_key_is_replaced_by_the_one_that_a_certificate_came_for(
    authority: Authority, folder: BusFolder
) -> None:
    """Given a TLS key whose file is damaged, when the certificate over its successor comes, then both are in use; no other certificate is stored."""
    tls = Tls(folder.agency("ngo-a").path)
    authority.equip("ngo-a", tls.home)
    present = tls.certificate.read_bytes()
    tls.key.write_bytes(b"")
    asked = certificate.request(tls, anew=True)

    with pytest.raises(KeysSealed):
        certificate.keep(tls, present, authority.brokers_ca)
    certificate.keep(tls, authority.issue("ngo-a", asked), authority.brokers_ca)

    assert not tls.next_key.exists()
    Reach("kafka.example.org:9092", tls).context()


def test_a_damaged_next_key_leaves_the_certificate_over_the_present_one(
    authority: Authority, folder: BusFolder
) -> None:
    """Given a waiting TLS key whose file is damaged, when a certificate over the present key comes, then it is stored."""
    tls = Tls(folder.agency("ngo-a").path)
    authority.equip("ngo-a", tls.home)
    issued = authority.issue("ngo-a", certificate.request(tls, present=True))
    certificate.request(tls, anew=True)
    tls.next_key.write_bytes(b"")

    certificate.keep(tls, issued, authority.brokers_ca)

    Reach("kafka.example.org:9092", tls).context()


def test_a_next_key_that_cannot_be_opened_stops_no_renewal(authority: Authority, folder: BusFolder) -> None:
    """Given a waiting TLS key whose file is damaged, when the present certificate is due, then it is renewed over the present key."""
    homes = {who: folder.agency(who).path for who in ("ngo-a", "ngo-b")}
    tls = Tls(homes["ngo-a"])
    authority.equip("ngo-a", tls.home)
    certificate.request(tls, anew=True)
    tls.next_key.write_bytes(b"")

    assert not certificate.is_due(tls, now())
    assert certificate.is_due(tls, now() + LIFE)
    assert over(certificate.request(tls)) == certificate.opened(tls.key).public_key()
    tls.certificate.unlink()
    assert Gate(folder).equip(homes) == homes.keys()
    Reach("kafka.example.org:9092", tls).context()


def test_a_next_key_that_cannot_be_opened_is_replaced_when_another_is_asked_for(
    authority: Authority, folder: BusFolder
) -> None:
    """Given a waiting TLS key whose file is damaged, when another key is asked for, then the certificate over that one is stored."""
    tls = Tls(folder.agency("ngo-a").path)
    authority.equip("ngo-a", tls.home)
    certificate.request(tls, anew=True)
    tls.next_key.write_bytes(b"")

    asked = certificate.request(tls, anew=True)

    assert over(asked) == certificate.opened(tls.next_key).public_key()
    certificate.keep(tls, authority.issue("ngo-a", asked), authority.brokers_ca)
    Reach("kafka.example.org:9092", tls).context()


def over(asked: bytes) -> object:
    """Return the public key of a request."""
    return x509.load_pem_x509_csr(asked).public_key()


def test_two_that_ask_at_once_name_the_same_key(folder: BusFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given an agency without a TLS key, when two commands make a request at once, then both are over the key that is on disk."""
    tls, asked, waiting = Tls(folder.agency("ngo-b").path), list[bytes](), list[Path]()
    other = threading.Thread(target=lambda: asked.append(certificate.request(tls)))
    generate = ec.generate_private_key

    @contextmanager
    def watched(path: Path) -> Iterator[None]:
        waiting.append(path)
        with locked_folder(path):
            yield

    def meanwhile(of: ec.EllipticCurve) -> ec.EllipticCurvePrivateKey:
        monkeypatch.setattr(ec, "generate_private_key", generate)
        other.start()
        until("the other command has made its request, or waits", lambda: len(waiting) > 1 or not other.is_alive())
        return generate(of)

    monkeypatch.setattr(certificate, "locked_folder", watched, raising=False)
    monkeypatch.setattr(ec, "generate_private_key", meanwhile)
    asked.append(certificate.request(tls))
    other.join()

    assert [over(each) for each in asked] == [certificate.opened(tls.key).public_key()] * 2
