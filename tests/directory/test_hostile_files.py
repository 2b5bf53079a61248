"""Hostile files, by mail or on a stick: each is believed as its maker signed it, or refused with a code."""

import json as plain
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings

from agencies import NOW
from directory.given import Office
from hostile import bounded, not_plain, spoilt
from nrmbus.bus.folder import BusFolder
from nrmbus.directory import DirectoryError, Operator, admitters, joining, operator_key
from nrmbus.directory.admitters import Listing, propose
from nrmbus.directory.commands import sign
from nrmbus.directory.entry import AdmitterKey, Signature, body_of
from nrmbus.directory.invitation import Invitation
from nrmbus.directory.renewal import Renewal, asked_by
from nrmbus.directory.requests import LARGEST, Carried, Request
from nrmbus.wire import base64, json, statement
from nrmbus.wire.keys.keys import SealingKey, SigningKey

LAST, FIRST = "9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z"
Reader = Callable[[Path], Carried]
READERS: dict[str, Reader] = {
    "request": Request.read, "renewal": Renewal.read, "admitters": Listing.read, "invitation": Invitation.read,
}  # fmt: skip
CODES = {"invitation": "invitation_malformed", "admitters": "list_malformed"}


@pytest.fixture(name="office")
def _office(tmp_path: Path) -> Office:
    office = Office(tmp_path)
    office.joins("ngo-a")
    return office


UNREADABLE: dict[str, bytes] = {
    "nothing": b"",
    "a BOM before it": b"\xef\xbb\xbf{}",
    "UTF-16": '{"form":"nrmbus-request/1"}'.encode("utf-16"),
    "overlong UTF-8": b'{"form":"\xc0\xae"}',
    "a lone surrogate": b'{"form":"\\ud800"}',
    "a member twice": b'{"form":"nrmbus-request/1","form":"nrmbus-request/1"}',
    "a null": b'{"form":null}',
    "a number without an end": b'{"form":' + b"9" * 1_000_000 + b"}",
    "a float beyond all": b'{"form":1e999}',
    "no number": b'{"form":NaN}',
    "a hundred thousand levels": b'{"entry":' * 100_000,
    "many members": b"{" + b",".join(b'"m%d":1' % each for each in range(20_000)) + b"}",
    "more than may be": b" " * (LARGEST + 1),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("what", UNREADABLE)
def test_an_ambiguous_file_is_refused(what: str, reader: str, tmp_path: Path) -> None:
    """A file that two parsers could read differently is refused at once with one code."""
    (tmp_path / "file").write_bytes(UNREADABLE[what])

    with bounded(), pytest.raises(DirectoryError) as refused:
        READERS[reader](tmp_path / "file")
    assert refused.value.code == CODES.get(reader, "request_malformed")


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("what", ["pipe", "folder", "device"])
def test_only_a_plain_file_is_read(what: str, reader: str, tmp_path: Path) -> None:
    """A stick may hold a pipe: an admitter waits for nobody."""
    with bounded(), pytest.raises(OSError, match="plain file"):
        READERS[reader](not_plain(tmp_path)[what])


X25519_HIGH_BIT = bytearray(SealingKey.from_seed(bytes(32)).public)
X25519_HIGH_BIT[-1] |= 0x80

MEMBERS: dict[str, tuple[str, object, str]] = {
    "no number": ("number", 0, "request_malformed"),
    "a number beyond JSON's": ("number", 2**53, "request_malformed"),
    "true for a number": ("number", True, "request_malformed"),
    "a later step": ("step", 10**9, "request_invalid"),
    "a part of the bus": ("agency", "operator", "request_invalid"),
    "a service of the bus": ("agency", "registrar", "request_invalid"),
    "an id with a line end": ("agency", "ngo-b\n", "request_malformed"),
    "an id in another script": ("agency", "ngo-\u0430", "request_malformed"),
    "a role with a line end": ("role", "ngo_outreach\n", "request_malformed"),
    "the role of a service": ("role", "auditor", "request_invalid"),
    "no signing key": ("signing", "", "weak_key"),
    "the identity as signing key": ("signing", base64.encode(bytes([1, *bytes(31)])), "weak_key"),
    "y beyond p": ("signing", base64.encode(b"\xff" * 32), "weak_key"),
    "base64 with stray bits": ("signing", "A" * 42 + "B=", "weak_key"),
    "base64 for addresses": ("signing", "-" * 43 + "=", "weak_key"),
    "a sealing key of zeros": ("sealing", base64.encode(bytes(1216)), "weak_key"),
    "a sealing key beyond its modulus": ("sealing", base64.encode(b"\xff" * 1216), "weak_key"),
    "a sealing key in a second spelling": ("sealing", base64.encode(bytes(X25519_HIGH_BIT)), "weak_key"),
    "a sealing key that is short": ("sealing", base64.encode(bytes(1215)), "weak_key"),
    "log keys that are none": ("log", {"ed25519": "", "mldsa44": ""}, "weak_key"),
    "a certificate request that is not here": ("csr", "0" * 64, "request_changed"),
    "cases that are not here": ("cases", "0" * 64, "request_changed"),
    "another kind": ("kind", "retired", "request_invalid"),
    "the end of time": ("until", LAST, "request_invalid"),
    "leap second": ("made", "2016-12-31T23:59:60Z", "request_malformed"),
    "midnight twice": ("made", "2026-03-02T24:00:00Z", "request_malformed"),
    "the year 0": ("made", "0000-01-01T00:00:00Z", "request_malformed"),
    "other digits": ("made", "\u0662026-03-02T05:00:00Z", "request_malformed"),
    "nobody's signature": ("asked", [], "possession_unproven"),
    "a signature of another": (
        "asked", [{"keyid": "ed25519:" + "0" * 32, "sig": base64.encode(bytes(64))}], "request_invalid",
    ),
    "a signature of 63 bytes": ("asked", [{"keyid": "ed25519:" + "0" * 32, "sig": "A" * 84}], "request_malformed"),
}  # fmt: skip


@pytest.mark.thorough
@pytest.mark.parametrize("what", MEMBERS)
def test_a_request_with_one_member_otherwise_is_signed_by_no_admitter(
    what: str, office: Office, tmp_path: Path
) -> None:
    """Where the file is read, or before the admitter signs; each by its code, and nothing is entered."""
    member, value, code = MEMBERS[what]
    body = body_of(Request(entry=office.asked(office.identity("ngo-b"))))
    (tmp_path / "file").write_text(plain.dumps({**body, "entry": body["entry"] | {member: value}}))

    with bounded(), pytest.raises(DirectoryError) as refused:
        sign(office.directory, Request.read(tmp_path / "file"), office.admitters[0], NOW)
    assert refused.value.code == code


FAKE = [Signature(keyid="ed25519:" + "0" * 32, sig=base64.encode(bytes(64)))] * 2


@pytest.mark.parametrize(
    ("made", "valid_from", "code"),
    [
        (LAST, LAST, "lost_too_soon"),
        (FIRST, LAST, "time_backwards"),
        (FIRST, FIRST, "time_backwards"),
        (LAST, FIRST, "time_backwards"),
    ],
)
@pytest.mark.parametrize("signatures", [1, 2])
def test_keys_lost_at_the_end_of_time_crash_nobody(
    office: Office, made: str, valid_from: str, code: str, signatures: int
) -> None:
    """Even with invented admitters, neither admitter nor operator crashes on a sum of two times beyond the last year."""
    asked = joining.changed(
        joining.challenged(office.asked(office.identity("ngo-a", 2), "lost")),
        made=made,
        valid_from=valid_from,
        admitted=[body_of(each) for each in FAKE[:signatures]],
    )

    with pytest.raises(DirectoryError) as refused:
        sign(office.directory, Request(entry=asked), office.admitters[0], NOW)
    assert refused.value.code == code
    with pytest.raises(DirectoryError) as refused:
        office.enter(asked)
    assert refused.value.code == code


@pytest.mark.parametrize("made", [LAST, FIRST])
def test_a_renewal_of_the_end_of_time(office: Office, made: str) -> None:
    """A renewal with a time at the end of the calendar is refused as too old, or as from later."""
    body = {"bus": office.directory.bus, "agency": "ngo-a", "csr": "x", "made": made}
    asked = statement.sign("request", body, office.identity("ngo-a").signing).decode()

    with pytest.raises(DirectoryError, match="request_invalid"):
        asked_by(office.directory, Renewal(asked=asked))


def test_a_request_for_keys_is_no_request_for_a_certificate(office: Office) -> None:
    """Both are signed as requests, by the same key: their members tell them apart."""
    own = office.identity("ngo-a")
    signed = statement.sign("request", body_of(office.asked(own, "rotated")), own.signing).decode()

    with pytest.raises(DirectoryError, match="request_malformed"):
        asked_by(office.directory, Renewal(asked=signed))


@pytest.fixture(name="good", scope="module")
def _good(tmp_path_factory: pytest.TempPathFactory) -> tuple[Office, Path, dict[str, bytes]]:
    home = tmp_path_factory.mktemp("good")
    office = Office(home)
    own = office.joins("ngo-a")
    body = {"bus": office.directory.bus, "agency": "ngo-a", "csr": "x", "made": "2026-03-02T05:00:00Z"}
    renewal = Renewal(asked=statement.sign("request", body, own.signing).decode())
    request = Request(entry=office.asked(office.identity("ngo-b")))
    carol = AdmitterKey(name="carol", key=base64.encode(SigningKey.from_seed(bytes(32)).public))
    bus = BusFolder(home / "bus")
    bus.create(play=True)
    Operator(bus.path)
    carried = {
        "request": request,
        "renewal": renewal,
        "admitters": propose(office.directory, added={carol.name: carol.key}),
        "invitation": Invitation.to(bus, "kafka.invalid:9093"),
    }
    return office, home, {name: json.dumps(body_of(each)) for name, each in carried.items()}


@pytest.mark.thorough
@pytest.mark.parametrize("reader", READERS)
def test_any_alteration_of_the_bytes(reader: str, good: tuple[Office, Path, dict[str, bytes]]) -> None:
    """After flips of bits, tokens and pieces, a file that is still believed has its original content."""
    office, home, raws = good
    raw = raws[reader]
    whole = READERS[reader](_written(home / "whole", raw))

    @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
    @given(spoilt(raw))
    def held(content: bytes) -> None:
        with bounded(2):
            try:
                found = READERS[reader](_written(home / "spoilt", content))
                if isinstance(found, Request):
                    sign(office.directory, found, office.admitters[0], NOW)
                    assert _signed(found) == _signed(cast("Request", whole))
                elif isinstance(found, Listing):
                    admitters.sign(office.directory, found, office.admitters[0])
                elif isinstance(found, Invitation):
                    assert found == whole or found.fingerprint != cast("Invitation", whole).fingerprint
                else:
                    asked_by(office.directory, cast("Renewal", found))
            except DirectoryError as error:
                assert error.__context__ is None  # noqa: PT017 - either answer is right here

    held()


def _written(path: Path, raw: bytes) -> Path:
    path.write_bytes(raw)
    return path


def _signed(request: Request) -> dict[str, Any]:
    """Return the members that the agency signed; times, number and challenge come from admitters and operator."""
    others = {"number", "made", "valid_from", "challenge", "admitted", "asked"}
    return {name: value for name, value in body_of(request.entry).items() if name not in others}


@pytest.mark.parametrize(
    "raw",
    [b"", b"zz" * 32, b"00", b"\xff\xfe", b"01" + b"00" * 31, b"ff" * 32, b"00 " * 32, b"0" * 5_000_000, "\u0661".encode() * 64],
    ids=range(9),
)  # fmt: skip
def test_a_malformed_operator_key_is_refused(tmp_path: Path, raw: bytes) -> None:
    """A half-copied key, or one under which everything verifies, is refused with the advice to copy it again."""
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "operator.pub").write_bytes(raw)

    with bounded(), pytest.raises(DirectoryError) as refused:
        operator_key(tmp_path)
    assert refused.value.code == "operator_key_malformed"


def test_the_operators_key_as_it_is_written(tmp_path: Path) -> None:
    """The operator's key is hex, with or without a line end."""
    key = SigningKey.from_seed(bytes(32))
    (tmp_path / "keys").mkdir()
    for end in ("", "\n", "\r\n"):
        (tmp_path / "keys" / "operator.pub").write_bytes((key.public.hex() + end).encode())
        assert operator_key(tmp_path).kid == key.kid
