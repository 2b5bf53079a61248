"""Another certificate for an agency on a machine of its own: asked for by nobody but itself, and not for ever."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from directory.given import BUS, NOW, Office
from nrmbus.bus import certificate
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.gate import Gate
from nrmbus.bus.reach import Tls
from nrmbus.directory import DirectoryError, renewal
from nrmbus.directory.changes import check
from nrmbus.directory.operator import Identity, Operator
from nrmbus.directory.renewal import GOOD_FOR, Asked, Renewal, asked_by
from nrmbus.directory.requests import Request, digest
from nrmbus.wire import json, statement, times
from nrmbus.wire.keys import SigningKey


@pytest.fixture(name="office")
def _office(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Office:
    monkeypatch.setattr(renewal, "utc_time", lambda: NOW)
    office = Office(tmp_path)
    office.joins("ngo-a")
    return office


def signed(office: Office, key: SigningKey | None = None, **altered: Any) -> Renewal:
    """What ngo-a asks for, *altered* before it is signed."""
    body = {"bus": BUS, "agency": "ngo-a", "csr": "a request", "made": times.write(NOW), **altered}
    key = key or office.identity("ngo-a").signing
    return Renewal(asked=statement.sign("request", body, key).decode())


def test_what_the_agency_asks_for_is_believed(office: Office) -> None:
    """It is what it signed, word for word."""
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
def test_what_it_did_not_ask_for_is_not_certified(
    office: Office, forge: Callable[[Office], Renewal], code: str
) -> None:
    """Each with its code, and before the authority looks at the key in it."""
    with pytest.raises(DirectoryError, match=code):
        asked_by(office.directory, forge(office))


def test_who_is_suspended_gets_none(office: Office) -> None:
    """The key is still its own, and is worth nothing meanwhile."""
    asked = signed(office)
    office.state("ngo-a", "suspended", NOW)

    with pytest.raises(DirectoryError, match="request_invalid"):
        asked_by(office.directory, asked)


def test_it_goes_there_and_back(tmp_path: Path) -> None:
    """At the agency alone: what it writes is read again, and what comes back is kept; without a certificate nothing is."""
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
    pem, ca, word = Operator(folder.path).vouched(folder.settings.bus, "ngo-a", b"certificate", b"authority")
    renewal.keep(folder, "ngo-a", Renewal(asked=found.asked, certificate=pem, ca=ca, word=word))
    assert (folder.agency("ngo-a").path / "tls" / "cert.pem").read_text() == "certificate"


def test_the_authority_writes_the_name_and_the_broker_hears_of_it(
    office: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of what the agency sent only the key is taken, which never left it; its rights are set anew for the new certificate."""
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


def came_back(folder: BusFolder, operator: Operator, **altered: Any) -> Renewal:
    """What the operator sends back, *altered* on the way."""
    pem, ca, word = operator.vouched(folder.settings.bus, "ngo-a", b"certificate", b"authority")
    return Renewal.model_validate({"asked": "{}", "certificate": pem, "ca": ca, "word": word} | altered)


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
def test_whoever_carries_the_file_back_puts_nothing_else_into_it(what: str, tmp_path: Path) -> None:
    """He would be the broker to that agency, or cut it off: what it has stays as it is."""
    folder = BusFolder(tmp_path / "bus")
    folder.create(play=True, bootstrap="127.0.0.1:1", tls=True)
    operator, tls = Operator(folder.path), Tls(folder.agency("ngo-a").path)
    renewal.keep(folder, "ngo-a", came_back(folder, operator))
    kept = [tls.ca.read_bytes(), tls.certificate.read_bytes()]

    with pytest.raises(DirectoryError) as refused:
        renewal.keep(folder, "ngo-a", came_back(folder, operator, **ANOTHER_WORD[what](folder, operator, tmp_path)))
    assert refused.value.code == "certificate_altered"
    assert [tls.ca.read_bytes(), tls.certificate.read_bytes()] == kept


async def test_nor_into_the_file_of_an_admission(tmp_path: Path, office: Office) -> None:
    """Before the agency has ever been at the broker there is nothing to compare with: the operator's word alone tells."""
    folder = BusFolder(tmp_path / "bus")
    folder.create(play=True, bootstrap="127.0.0.1:1", tls=True)
    pem, ca, word = Operator(folder.path).vouched(folder.settings.bus, "ngo-a", b"certificate", b"authority")
    asked = Request(entry=office.asked(office.identity("ngo-b")))

    for came in ((pem, "another", word), ("another", ca, word), (pem, ca, None)):
        with pytest.raises(DirectoryError, match="certificate_altered"):
            await check(folder, "ngo-a", asked.having(asked.entry, *came))
    assert not Tls(folder.agency("ngo-a").path).ca.exists()
