"""Another certificate for an agency on a machine of its own: asked for by nobody but itself, and not for ever."""

import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from agencies import BUS, NOW
from directory.given import Office
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.kafka.gate import Gate
from nrmbus.bus.pki import building, certificate
from nrmbus.bus.pki.authority import Authority
from nrmbus.bus.reach import Reach, Tls
from nrmbus.directory import DirectoryError, renewal
from nrmbus.directory.commands import ask_for_new_keys, check
from nrmbus.directory.operator import Identity, Operator
from nrmbus.directory.renewal import GOOD_FOR, Asked, Renewal, asked_by
from nrmbus.directory.requests import Request, digest
from nrmbus.wire import json, statement, times
from nrmbus.wire.keys.keys import SigningKey


@pytest.fixture(name="office")
def _office(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Office:
    monkeypatch.setattr(renewal, "wall_now", lambda: NOW)
    office = Office(tmp_path)
    office.joins("ngo-a")
    return office


def signed(office: Office, key: SigningKey | None = None, **altered: Any) -> Renewal:
    """Return ngo-a's certificate request, *altered* before signing."""
    body = {"bus": BUS, "agency": "ngo-a", "csr": "a request", "made": times.write(NOW), **altered}
    key = key or office.identity("ngo-a").signing
    return Renewal(asked=statement.sign("request", body, key).decode())


def test_a_signed_certificate_request_is_believed(office: Office) -> None:
    """The verified request equals the signed one, word for word."""
    assert asked_by(office.directory, signed(office)) == Asked(bus=BUS, agency="ngo-a", csr="a request", made=NOW)


@pytest.mark.parametrize(
    ("forge", "code"),
    [
        (lambda office: signed(office, SigningKey.generate()), "request_invalid"),
        (lambda office: signed(office, agency="special-unit"), "request_invalid"),
        (lambda office: signed(office, bus="play-ffffffffffffffff"), "request_invalid"),
        (lambda office: signed(office, made=times.write(NOW - GOOD_FOR - timedelta(seconds=1))), "request_invalid"),
        (lambda office: signed(office, made=times.write(NOW + GOOD_FOR + timedelta(seconds=1))), "request_invalid"),
        (lambda office: signed(office, more="than there is"), "request_malformed"),
        (lambda _: Renewal(asked="{}"), "request_malformed"),
    ],
    ids=[
        "a stranger's key",
        "for another agency",
        "of another bus",
        "too old",
        "from later",
        "another form",
        "no statement",
    ],
)
def test_a_forged_certificate_request_is_refused(office: Office, forge: Callable[[Office], Renewal], code: str) -> None:
    """Each forgery is refused with its code, before the authority looks at its key."""
    with pytest.raises(DirectoryError, match=code):
        asked_by(office.directory, forge(office))


def test_a_suspended_agency_gets_no_certificate(office: Office) -> None:
    """The key of a suspended agency is still its own, but not accepted meanwhile."""
    asked = signed(office)
    office.state("ngo-a", "suspended", NOW)

    with pytest.raises(DirectoryError, match="request_invalid"):
        asked_by(office.directory, asked)


def test_a_request_without_a_certificate_is_read_back_and_not_kept(tmp_path: Path) -> None:
    """At the agency alone: what it writes is read again; without a certificate nothing is kept."""
    folder = BusFolder(tmp_path / "bus")
    folder.create(play=True, bootstrap="127.0.0.1:1", tls=True)
    Identity.at(folder.agency("ngo-a").path, "ngo-a")
    Operator(folder.path)
    file = tmp_path / "ngo-a.renewal.json"
    renewal.ask(folder, "ngo-a").write(file)
    found = Renewal.read(file)
    assert json.loads(statement.body_of("request", found.asked.encode()), limit=65536)["agency"] == "ngo-a"

    with pytest.raises(DirectoryError, match="request_invalid"):
        renewal.keep(folder, "ngo-a", found)


def test_the_authority_writes_the_name_and_the_broker_gets_the_rights(
    office: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the public key is taken from the agency's request; its rights are set again for the new certificate."""
    told: list[str] = []
    monkeypatch.setattr(Gate, "apply", lambda _: told.append("applied"))
    folder = BusFolder(tmp_path / "bus")
    folder.create(play=True, bootstrap="127.0.0.1:1", tls=True)
    tls = Tls(folder.agency("ngo-a").path)
    csr = certificate.request(tls).decode()

    back = renewal.issue(folder, office.directory, signed(office, csr=csr))
    renewal.keep(folder, "ngo-a", back)
    names = x509.load_pem_x509_certificate((back.certificate or "").encode()).subject
    assert names.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0].value == "ngo-a"
    assert told == ["applied"]
    assert tls.ca.read_text() == back.ca
    assert not certificate.is_due(tls, certificate.now())


class There:
    """Agency with a certificate in its last days, and the authority that issued it."""

    def __init__(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(Gate, "apply", lambda _: None)
        self.folder = BusFolder(home / "bus")
        self.folder.create(play=True, bootstrap="127.0.0.1:1", tls=True)
        self.authority, self.tls = Authority(self.folder), Tls(self.folder.agency("ngo-a").path)
        self.authority.equip("ngo-a", self.tls.home, life=timedelta(days=9))

    def back(self, who: str = "ngo-a", *, own: bool = True, by: Authority | None = None, days: int = 30) -> Renewal:
        """Return an answer: a certificate of *who*, over its *own* key, from the authority or from *by*."""
        authority, other = by or self.authority, Tls(self.folder.path / "other")
        issued = authority.issue(who, certificate.request(self.tls if own else other), life=timedelta(days=days))
        return self.vouched(issued, authority)

    def vouched(self, issued: bytes, authority: Authority | None = None) -> Renewal:
        """Return *issued* with the operator's signature, and the *authority* that it claims to be from."""
        pem, ca, word = Operator(self.folder.path).vouched(self.folder.settings.bus, "ngo-a", issued, b"broker")
        by = authority.ca.decode() if authority else None
        return Renewal(asked="", certificate=pem, ca=ca, word=word, authority=by)

    def forgetting(self) -> "There":
        """The same, where the authority no longer knows whose key this is."""
        (self.folder.keys / "authority" / "issued.json").unlink()
        return self

    def stranger(self) -> Authority:
        """Another authority, which calls the bus by the same name."""
        folder = BusFolder(self.folder.path.parent / "forged")
        folder.create(play=True, bootstrap="127.0.0.1:1", tls=True)
        made = json.loads((self.folder.path / "bus.json").read_bytes(), limit=65536)
        (folder.path / "bus.json").write_bytes(json.dumps(made))
        return Authority(folder)

    def of_next_week(self) -> Renewal:
        """A certificate from an authority whose clock is a week ahead."""
        with pytest.MonkeyPatch.context() as ahead:
            ahead.setattr(building, "now", lambda: certificate.now() + timedelta(days=7))
            return self.back()

    def of_another_bus(self) -> Authority:
        """The same authority, had it been another bus's."""
        folder = BusFolder(self.folder.path.parent / "elsewhere")
        folder.create(play=True, bootstrap="127.0.0.1:1", tls=True)
        shutil.copytree(self.folder.keys, folder.keys)
        return Authority(folder)


@pytest.fixture(name="there")
def _there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> There:
    return There(tmp_path, monkeypatch)


def test_the_next_certificate_is_taken_and_who_is_trusted_stays(there: There) -> None:
    """Over the topic nobody says whom to trust at the broker; who brings a file does."""
    trusted, back = there.tls.ca.read_bytes(), there.back()
    renewal.take(there.folder, "ngo-a", back)
    assert there.tls.certificate.read_text() == back.certificate
    assert there.tls.ca.read_bytes() == trusted

    renewal.keep(there.folder, "ngo-a", there.back(days=31))
    assert there.tls.ca.read_text() == "broker"


@pytest.mark.parametrize(
    "forged",
    [
        lambda there: there.back("ngo-b", own=False),
        lambda there: there.forgetting().back("ngo-b"),
        lambda there: there.back(own=False),
        lambda there: there.back(by=there.stranger()),
        lambda there: there.back(by=there.of_another_bus()),
        lambda there: there.back(days=8),
        lambda there: there.vouched(there.tls.certificate.read_bytes(), there.authority),
        lambda there: there.of_next_week(),
        lambda there: there.vouched((there.back().certificate or "").encode()),
        lambda there: there.vouched((there.back().certificate or "").encode(), there.stranger()),
        lambda there: there.vouched(b"CANARY", there.authority),
    ],
    ids=[
        "another's",
        "in another's name over its own key",
        "over another key",
        "by another authority",
        "of another bus",
        "an earlier one",
        "the one that is there",
        "one that is not good yet",
        "without its authority",
        "with another's authority",
        "no certificate",
    ],
)
def test_only_the_next_certificate_is_taken(there: There, forged: Callable[[There], Renewal]) -> None:
    """Any other certificate is refused over the topic and from a file; the present one stays."""
    before, back = there.tls.certificate.read_bytes(), forged(there)

    for keeps in (renewal.take, renewal.keep):
        with pytest.raises(DirectoryError, match="certificate_invalid"):
            keeps(there.folder, "ngo-a", back)
    assert there.tls.certificate.read_bytes() == before


def test_missing_or_unreadable_certificate_accepts_delivered_file(there: There) -> None:
    """A desk without a usable certificate takes the one that the operator delivers by file."""
    back = there.back()
    for left in (b"", b"CANARY"):
        there.tls.certificate.write_bytes(left)
        renewal.keep(there.folder, "ngo-a", back)
        assert there.tls.certificate.read_text() == back.certificate


@pytest.mark.parametrize("keeps", [renewal.take, renewal.keep])
def test_a_certificate_that_is_not_valid_yet_gives_way_to_one_that_is(
    there: There, keeps: Callable[[BusFolder, str, Renewal], None]
) -> None:
    """Given a certificate from the hours when the clocks were ahead, when the next one comes, then it is taken, although it ends earlier."""
    there.tls.certificate.write_text(there.of_next_week().certificate or "")
    back = there.back()

    keeps(there.folder, "ngo-a", back)

    assert there.tls.certificate.read_text() == back.certificate


ANOTHER_WORD: dict[str, Callable[[BusFolder, Operator, Path], dict[str, Any]]] = {
    "another certificate": lambda *_: {"certificate": "another"},
    "another authority for the broker": lambda *_: {"ca": "another"},
    "no word of the operator's": lambda *_: {"word": None},
    "a word that is none": lambda *_: {"word": "\u0259" * 100},
    "the word on another agency's": lambda folder, operator, _: {
        "word": operator.vouched(folder.settings.bus, "ngo-b", b"certificate", b"authority")[2]
    },
    "the word of another bus": lambda _, operator, __: {
        "word": operator.vouched("play-ffffffffffffffff", "ngo-a", b"certificate", b"authority")[2]
    },
    "another operator's word on his own": lambda folder, _, home: dict(
        zip(
            ("certificate", "ca", "word"),
            Operator(home / "other").vouched(folder.settings.bus, "ngo-a", b"other", b"his own"),
            strict=True,
        )
    ),
    "the operator's word on something else": lambda folder, operator, _: {
        "word": statement.sign(
            "directory",
            {"bus": folder.settings.bus, "agency": "ngo-a", "certificate": digest("x"), "ca": digest("y")},
            SigningKey.from_seed((operator.home / "keys" / "operator.seed").read_bytes()),
        ).decode()
    },
}


@pytest.mark.parametrize("what", ANOTHER_WORD)
def test_the_carrier_of_the_file_cannot_alter_it(what: str, there: There, tmp_path: Path) -> None:
    """The carrier of the file cannot act as the broker or cut the agency off: stored files stay as they are."""
    folder, operator, tls = there.folder, Operator(there.folder.path), there.tls
    renewal.keep(folder, "ngo-a", there.back())
    kept = [tls.ca.read_bytes(), tls.certificate.read_bytes()]
    came = there.back(days=31)

    with pytest.raises(DirectoryError) as refused:
        renewal.keep(folder, "ngo-a", came.model_validate(dict(came) | ANOTHER_WORD[what](folder, operator, tmp_path)))
    assert refused.value.code == "certificate_altered"
    assert [tls.ca.read_bytes(), tls.certificate.read_bytes()] == kept


async def test_nor_into_the_file_of_an_admission(tmp_path: Path, office: Office) -> None:
    """Before its first connection the agency has nothing to compare with: only the operator's signature tells."""
    folder = BusFolder(tmp_path / "bus")
    folder.create(play=True, bootstrap="127.0.0.1:1", tls=True)
    pem, ca, word = Operator(folder.path).vouched(folder.settings.bus, "ngo-a", b"certificate", b"authority")
    asked = Request(entry=office.asked(office.identity("ngo-b")))

    for came in ((pem, "another", word), ("another", ca, word), (pem, ca, None)):
        with pytest.raises(DirectoryError, match="certificate_altered"):
            await check(folder, "ngo-a", asked.having(asked.entry, *came))
    assert not Tls(folder.agency("ngo-a").path).ca.exists()


@pytest.mark.parametrize("answered", [0, 1], ids=["first", "second"])
async def test_either_of_two_requests_for_lost_keys_may_be_answered(tmp_path: Path, answered: int) -> None:
    """Given an agency that asked twice for other keys, since nothing had come back, when either request is certified, then the agency has a certificate that works."""
    folder, office = BusFolder(tmp_path / "bus"), Office(tmp_path / "office")
    folder.create(bootstrap="127.0.0.1:1", tls=True)
    authority, tls = Authority(folder), Tls(folder.agency("ngo-a").path)
    office.enter(office.admitted(office.asked(Identity.at(tls.home, "ngo-a"))))
    authority.equip("ngo-a", tls.home)
    known = office.directory
    asked = [await ask_for_new_keys(folder, "ngo-a", "lost", timedelta(), known=known) for _ in range(2)]

    issued = authority.issue("ngo-a", (asked[answered].csr or "").encode())
    certificate.keep(tls, issued, authority.brokers_ca)

    assert tls.certificate.read_bytes() == issued
    Reach("kafka.example.org:9092", tls).context()
