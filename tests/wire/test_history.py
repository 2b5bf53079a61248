"""The one verification of ``nrm.cases``: every record as it was registered passes, and every alteration has its code."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import get_args

import pytest

from agencies import BUS
from nrmbus.wire import base64, json, statement
from nrmbus.wire.errors import WireError
from nrmbus.wire.history import (
    Chain,
    FaultCode,
    HistoryFault,
    HistoryRecord,
    check_signature,
    known_event,
    plain,
    read,
    unspelled,
)
from nrmbus.wire.keys.keys import SigningKey, VerifyKey
from nrmbus.wire.record import AUDIENCE, MATERIAL, REGISTRATION, Record
from nrmbus.wire.registration import Audience, Registration, sign_registration
from registrar.given import Bus

STRANGER = SigningKey.generate()
REFUSED = 3
"""The number of the registration that is a refusal."""

Alter = Callable[[Bus, list[Record]], object]


@pytest.fixture(name="bus", scope="module")
def _bus() -> Bus:
    """Return a bus with four registrations, the third of which is a refusal."""
    bus = Bus()
    shard = bus.shard()
    bus.signal(shard)
    bus.consents(shard, "vac")
    bus.say(shard, "vac", "plan.completed", {"outcome": "achieved"})
    bus.consents(shard, "fund")
    return bus


def header(record: Record, name: str) -> bytes:
    """Return the value of one header."""
    return dict(record.headers)[name]


def with_header(record: Record, name: str, value: bytes | None) -> Record:
    """Return *record* with another value of one header, or without it."""
    kept = tuple(each for each in record.headers if each[0] != name)
    return replace(record, headers=kept if value is None else (*kept, (name, value)))


def at(number: int, change: Callable[[Bus, Record], Record]) -> Alter:
    """Alter the record *number*."""
    return lambda bus, records: records.__setitem__(number - 1, change(bus, records[number - 1]))


def put(name: str, value: Callable[[bytes], bytes | None]) -> Callable[[Bus, Record], Record]:
    """Alter the header *name*."""
    return lambda _, record: with_header(record, name, value(header(record, name)))


def registered(signer: SigningKey | None = None, **fields: object) -> Callable[[Bus, Record], Record]:
    """Sign the registration with other *fields*, by the registrar or by *signer*."""

    def change(bus: Bus, record: Record) -> Record:
        said = Registration.parse(statement.body_of("registration", header(record, REGISTRATION)))
        other = Registration.model_validate(said.model_dump() | fields)
        return with_header(record, REGISTRATION, sign_registration(other, signer or bus.key))

    return change


def bare(_: Bus, record: Record) -> Record:
    """Return *record* without its envelope."""
    return Record(record.key, b"", tuple(each for each in record.headers if each[0].startswith("nrm_")))


def other_signature(bus: Bus, record: Record) -> Record:
    """Sign the envelope with a key that is not the sender's, and register that."""
    material = json.loads(base64.decode(header(record, MATERIAL), "unreadable"), limit=65536)
    kid, signed = material["signatures"][0]["keyid"], base64.encode(STRANGER.sign(b"other words"))
    altered = json.dumps({**material, "signatures": [{"keyid": kid, "sig": signed}]})
    record = with_header(record, MATERIAL, base64.encode(altered).encode())
    return registered(envelope=json.digest(altered))(bus, record)


FAULTS: list[tuple[str, Alter, int, FaultCode]] = [
    ("no statement of the registrar", at(2, put(REGISTRATION, lambda _: None)), 2, "unreadable"),
    ("two statements", at(2, lambda _, each: each.with_header(REGISTRATION, b"{}")), 2, "unreadable"),
    ("a statement of another form", at(2, put(REGISTRATION, lambda _: b"[" * 5000)), 2, "unreadable"),
    ("a record of nothing", at(2, lambda _, __: Record(None, None, ())), 2, "unreadable"),
    ("a statement that a stranger signed", at(4, registered(STRANGER)), 4, "signature_invalid"),
    ("another bus", at(2, registered(bus="play-fedcba9876543210")), 2, "foreign"),
    ("another partition", at(2, registered(partition=1)), 2, "foreign"),
    ("one taken out", lambda _, records: records.pop(1), 2, "gap"),
    ("one twice", lambda _, records: records.insert(2, records[1]), 3, "duplicate"),
    ("another one before it", at(2, registered(previous="e" * 64)), 2, "chain_broken"),
    ("no audience", at(2, put(AUDIENCE, lambda _: None)), 2, "audience_missing"),
    ("another audience", at(2, put(AUDIENCE, lambda raw: raw.replace(b'"salt":"', b'"salt":"0'))), 2, "audience_altered"),
    ("no envelope", at(2, bare), 2, "envelope_missing"),
    ("an envelope that is not signed", at(2, put(MATERIAL, lambda _: None)), 2, "envelope_unreadable"),
    ("a signature that is no base64", at(2, put(MATERIAL, lambda raw: raw[:-1])), 2, "envelope_unreadable"),
    ("an envelope that was not registered", at(2, registered(envelope="e" * 64)), 2, "envelope_altered"),
    ("an envelope under a refusal", at(REFUSED, lambda _, each: replace(each, value=b"{}")), REFUSED, "envelope_altered"),
]  # fmt: skip
"""What was done to the history, the record at which reading stops, and the code: for every reader, however it verifies."""

IN_FULL: list[tuple[str, Alter, FaultCode]] = [
    ("other data", at(2, lambda _, each: replace(each, value=(each.value or b"") + b" ")), "envelope_altered"),
    ("another attribute", at(2, put("ce_actor", lambda _: b"S-2")), "envelope_altered"),
    ("an attribute that does not exist", at(2, lambda _, each: each.with_header("ce_note", b"x")), "envelope_unreadable"),
    ("no data", at(2, lambda _, each: replace(each, value=None)), "envelope_unreadable"),
    ("another event", at(2, registered(id="0196f0a0-0000-7000-8000-000000000001")), "envelope_altered"),
    ("another sender", at(2, registered(source="vac")), "envelope_altered"),
    ("another case", at(2, registered(subject="cd" * 16)), "envelope_altered"),
    ("another key", at(2, registered(key=f"ed25519:{'0' * 32}")), "envelope_altered"),
    ("an envelope that the sender did not sign", at(2, other_signature), "signature_invalid"),
]  # fmt: skip
"""Alterations that only `HistoryRecord.opened` finds, all of them in the second record."""


class Reader:
    """A reader that takes every step: with each signature, or with the last one alone."""

    def __init__(self, bus: Bus, *, every: bool) -> None:
        """Begin before the first record."""
        self._bus, self._every = bus, every
        self.chain = Chain(BUS, 0)

    def registrar_key(self, kid: str) -> VerifyKey:
        """Find the registrar's key, as the directory does."""
        return {self._bus.key.kid: self._bus.key.verify_key}[kid]

    def sender_key(self, agency: str, kid: str) -> VerifyKey:
        """Find an agency's key, as the directory does."""
        return self._bus.directory.any_verify_key(agency, kid)

    def read(self, records: Sequence[Record], *, opened: bool = True) -> None:
        """Read *records* to their end; without *opened*, of each envelope the digest alone."""
        found: HistoryRecord[Registration] | None = None
        for record in records:
            found = self._read(record)
            self.chain.check(found)
            found.check_commitments()
            if found.registration.verdict == "registered":
                found.check_envelope_digest()
                if opened:
                    assert known_event(found.opened(self.sender_key if self._every else None)) is not None
            assert found.told(Audience.parse).commitment() == found.registration.audience
            self.chain.take(found)
        if found and not self._every:
            check_signature(found.signed, self.registrar_key)

    def _read(self, record: Record) -> HistoryRecord[Registration]:
        if self._every:
            return read(record, Registration.parse, self.registrar_key)
        return read(record, lambda body: unspelled(Registration, body))


def code_of(reader: Reader, records: Sequence[Record], *, opened: bool = True) -> FaultCode:
    """Return the code at which *reader* stops; the error holds nothing of the record."""
    with pytest.raises(HistoryFault) as found:
        reader.read(records, opened=opened)
    assert (found.value.__cause__, found.value.__context__) == (None, None)
    assert str(found.value) == found.value.code
    return found.value.code


@pytest.mark.parametrize("every", [True, False], ids=["every signature", "the last signature"])
class TestAHistory:
    def test_passes_as_it_was_written(self, bus: Bus, *, every: bool) -> None:
        """Four registrations pass, the refusal without an envelope among them, and the chain knows the last one."""
        reader = Reader(bus, every=every)
        reader.read(bus.history)

        assert (reader.chain.number, header(bus.history[REFUSED - 1], AUDIENCE)[:1]) == (4, b"{")
        body = statement.body_of("registration", header(bus.history[-1], REGISTRATION))
        assert reader.chain.digest == json.digest(body)

    @pytest.mark.parametrize(("alter", "number", "code"), [row[1:] for row in FAULTS], ids=[row[0] for row in FAULTS])
    @pytest.mark.parametrize("opened", [True, False], ids=["in full", "by digest"])
    def test_stops_at_the_record_that_was_altered(
        self, bus: Bus, *, every: bool, alter: Alter, number: int, code: FaultCode, opened: bool
    ) -> None:
        """Each alteration has one code, and the chain stays at the record before."""
        records = list(bus.history)
        alter(bus, records)
        reader = Reader(bus, every=every)

        assert code_of(reader, records, opened=opened) == code
        if code != "signature_invalid" or every:
            assert reader.chain.number == number - 1

    @pytest.mark.parametrize(("alter", "code"), [row[1:] for row in IN_FULL], ids=[row[0] for row in IN_FULL])
    def test_is_read_in_full_to_find_an_altered_envelope(
        self, bus: Bus, *, every: bool, alter: Alter, code: FaultCode
    ) -> None:
        """The digest covers what the sender signed; attributes and data are compared with that when they are opened."""
        records = list(bus.history[:2])
        alter(bus, records)
        if code == "signature_invalid" and not every:
            Reader(bus, every=every).read(records)  # taken on trust: the registrar verified it
            return

        assert code_of(Reader(bus, every=every), records) == code


def test_every_code_of_the_list_has_an_alteration() -> None:
    """A code that no test brings about would be a promise that nobody keeps."""
    assert {row[-1] for row in FAULTS} | {row[-1] for row in IN_FULL} == set(get_args(FaultCode))


def test_a_key_that_is_unknown_signs_nothing(bus: Bus) -> None:
    """The key's finder may say so by LookupError or by a wire code."""

    def unknown(kid: str) -> VerifyKey:
        raise KeyError(kid)

    def never_had(kid: str) -> VerifyKey:
        raise WireError("signature_invalid")

    for key_of in (unknown, never_had):
        with pytest.raises(HistoryFault, match="signature_invalid"):
            read(bus.history[0], Registration.parse, key_of)
        with pytest.raises(HistoryFault, match="signature_invalid"):
            check_signature(header(bus.history[0], REGISTRATION), key_of)


def test_plain_fields_are_those_of_the_model(bus: Bus) -> None:
    """The quick reading gives the same values as the strict one."""
    for record in bus.history:
        quick, strict = read(record, plain), read(record, Registration.parse)

        assert quick.digest == strict.digest == strict.registration.digest
        for name in ("bus", "partition", "number", "previous", "audience", "verdict", "envelope", "id", "source", "subject", "key", "sequence"):  # fmt: skip
            assert getattr(quick.registration, name) == getattr(strict.registration, name)


@pytest.mark.parametrize("body", [b"[]", b"{}", b'"x"', b"{", b'{"number":"1"}', b"[" * 60_000, b"\xff"])
def test_plain_fields_of_another_form_are_no_registration(bus: Bus, body: bytes) -> None:
    """Whatever the bytes are, reading ends in the one error."""
    record = with_header(bus.history[0], REGISTRATION, statement.sign_bytes("registration", body, bus.key))

    with pytest.raises(HistoryFault, match="unreadable"):
        read(record, plain)
    with pytest.raises(HistoryFault, match="unreadable"):
        read(record, Registration.parse, lambda _: bus.key.verify_key)


def test_an_audience_of_another_form_is_unreadable(bus: Bus) -> None:
    """Though the registration commits to its bytes."""
    record = registered(audience=json.digest(b"{}"))(bus, with_header(bus.history[0], AUDIENCE, b"{}"))
    found = read(record, Registration.parse)
    found.check_commitments()

    with pytest.raises(HistoryFault, match="unreadable"):
        found.told(Audience.parse)
