"""The envelope: a signed event is read back, an alteration is noticed, and each fault has its answer."""

import json as plain
from collections.abc import Callable, Iterable
from datetime import timedelta
from functools import partial

import pytest
from cloudevents.core.bindings.kafka import KafkaMessage, from_binary
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from hypothesis import given
from hypothesis import strategies as st

from nrmbus.events.examples import CASE
from nrmbus.events.model import Data, Event
from nrmbus.events.registry import TYPES
from nrmbus.published import vectors
from nrmbus.wire import base64, dsse, ids, json, material
from nrmbus.wire.envelope import Record, Signed, decode, encode, with_letter
from nrmbus.wire.errors import WireError
from nrmbus.wire.keys.keys import SigningKey
from wire.given import CANARY, refused

KEY = SigningKey.from_seed(vectors.seed("signing"))
EVENT = vectors.event()
RECORD = encode(EVENT, KEY)
HEADERS = dict(RECORD.headers)


def having(headers: dict[str, bytes], value: bytes | None = RECORD.value, key: bytes | None = RECORD.key) -> Record:
    """A record with other headers, value or key; the signature stays as it was."""
    return Record(key, value, tuple(headers.items()))


def signed(headers: dict[str, bytes], value: bytes = RECORD.value or b"", *, key: bytes | None = RECORD.key) -> Record:
    """Return a record that its sender signed with any content."""
    own = {name: text for name, text in headers.items() if name != "ce_dssematerial"}
    texts = {name: text.decode() for name, text in own.items()}
    payload = material.payload(texts, value, material.signed_names(texts))
    own["ce_dssematerial"] = base64.encode(dsse.wrap(material.PAYLOAD_TYPE, payload, KEY)).encode()
    return having(own, value, key)


def verified(record: Record) -> None:
    """Decode a record and check its signature."""
    decode(record).verify(KEY.verify_key)


def refused_event(record: Record) -> Callable[[], Event]:
    """Read the event of a record whose signature holds."""
    decoded = decode(record)
    decoded.verify(KEY.verify_key)
    return decoded.event


def test_what_is_sent_is_read() -> None:
    """An event is read back equal, with its signer and the digest of the signed bytes."""
    decoded = decode(RECORD)
    decoded.verify(KEY.verify_key)

    assert decoded.event() == EVENT
    assert (decoded.source, decoded.kid, decoded.sequence) == ("ngo-a", KEY.kid, 3)
    assert decoded.digest == json.digest(base64.decode(HEADERS["ce_dssematerial"], "unreadable"))
    assert (decoded.subject, decoded.type, decoded.version) == (CASE, "referral.submitted", 1)
    assert (decoded.traceparent, decoded.sealeddigest) == (EVENT.traceparent, EVENT.sealeddigest)


@pytest.mark.parametrize(("name", "version"), TYPES)
def test_every_published_type_travels(name: str, version: int) -> None:
    """The minimal example of every published type is sent and read."""
    path = f"schemas/nrm.{name}/v{version}/minimal.json"
    with open(path, encoding="utf-8") as file:  # noqa: PTH123 - one line, one file
        data = plain.load(file)["event"].get("data", {})
    event = Event(**{**dict(EVENT), "type": name, "version": version, "data": TYPES[name, version].from_mapping(data)})
    decoded = decode(encode(event, KEY))
    decoded.verify(KEY.verify_key)

    assert decoded.event() == event


@given(
    st.integers(1, 2**31 - 1),
    st.integers(0, 2**30),
    st.sampled_from([None, 0, 7]),
    st.lists(st.just(EVENT.id), max_size=9),
)
def test_attributes_travel(sequence: int, seconds: int, seen: int | None, consents: list[str]) -> None:
    """Numbers, times and lists of consents come back as they were."""
    time = EVENT.time + timedelta(seconds=seconds)
    changed = {"sequence": sequence, "time": time, "expectedversion": seen, "consent": " ".join(consents) or None}
    event = Event(**{**dict(EVENT), **changed})
    decoded = decode(encode(event, KEY))
    decoded.verify(KEY.verify_key)

    assert decoded.event() == event


def test_somebody_elses_library_reads_it() -> None:
    """The CloudEvents project's own library reads our records as CloudEvents in Kafka binary mode."""
    message = KafkaMessage(headers=dict(RECORD.headers), key=RECORD.key, value=RECORD.value or b"")
    theirs = from_binary(message, JSONFormat(), CloudEvent)

    assert theirs.get_id() == EVENT.id
    assert theirs.get_source() == "/agency/ngo-a"
    assert theirs.get_type() == "nrm.referral.submitted"
    assert theirs.get_subject() == CASE
    assert theirs.get_time() == EVENT.time
    assert theirs.get_data() == EVENT.data.to_mapping()
    assert theirs.get_extension("sequence") == "3"


def test_one_bit_of_anything_signed() -> None:
    """Whatever header or data is altered on the way, the signature no longer fits, or the record no longer reads."""
    others = {
        "content-type": b"application/cbor", "ce_specversion": b"1.1", "ce_id": vectors.EARLIER_ID.encode(),
        "ce_source": b"/agency/ngo-b", "ce_type": b"nrm.referral.revoked", "ce_subject": b"f" * 32,
        "ce_time": b"2026-03-02T05:00:01Z", "ce_dataschema": b"urn:nrmbus:nrm.referral.submitted:2",
    }  # fmt: skip
    for name, value in HEADERS.items():
        altered = {**HEADERS, name: others.get(name, value[:-1] + bytes([value[-1] ^ 1]))}
        refused("signature_invalid signature_profile unreadable header_not_allowed", partial(verified, having(altered)))
        missing = {other: value for other, value in HEADERS.items() if other != name}
        refused("signature_invalid signature_profile unreadable", partial(verified, having(missing)))
    refused("signature_invalid", partial(verified, having(HEADERS, b"{}")))


def test_another_agencys_key() -> None:
    """A signature by somebody else does not verify, under neither name."""
    other = SigningKey.generate()

    refused("signature_invalid", lambda: decode(RECORD).verify(other.verify_key))
    refused("signature_invalid", partial(verified, encode(EVENT, other)))
    envelope = base64.decode(HEADERS["ce_dssematerial"], "unreadable").replace(KEY.kid.encode(), other.kid.encode())
    refused(
        "signature_invalid", partial(verified, having({**HEADERS, "ce_dssematerial": base64.encode(envelope).encode()}))
    )


PAYLOAD = plain.loads(dsse.unwrap(material.PAYLOAD_TYPE, base64.decode(HEADERS["ce_dssematerial"], "unreadable"))[0])


@pytest.mark.parametrize(
    "payload",
    [
        {"core": PAYLOAD["core"]},
        {"core": PAYLOAD["core"], "ext": PAYLOAD["ext"]},
        {**PAYLOAD, "more": CANARY},
        {**PAYLOAD, "signedextattrs": PAYLOAD["signedextattrs"][::-1]},
        {**PAYLOAD, "signedextattrs": PAYLOAD["signedextattrs"][1:]},
        {**PAYLOAD, "signedextattrs": [*PAYLOAD["signedextattrs"], "approver"]},
        {**PAYLOAD, "signedextattrs": [*PAYLOAD["signedextattrs"], CANARY]},
        {**PAYLOAD, "signedextattrs": "recordedtime"},
        {**PAYLOAD, "signedextattrs": []},
        {**PAYLOAD, "core": 7},
        {**PAYLOAD, "core": PAYLOAD["core"][:-4]},
        {**PAYLOAD, "ext": CANARY},
    ],
    ids=range(12),
)
def test_signature_profile(payload: dict[str, object]) -> None:
    """The signature covers every attribute that is there, in order, and nothing else; core alone never verifies."""
    envelope = base64.encode(dsse.wrap(material.PAYLOAD_TYPE, plain.dumps(payload).encode(), KEY)).encode()

    refused("signature_profile", lambda: decode(having({**HEADERS, "ce_dssematerial": envelope})))


def test_payload_in_another_spelling() -> None:
    """Another library may write the payload with blanks or in another order: the same is signed."""
    text = plain.dumps(dict(reversed(PAYLOAD.items())), indent=1).encode()
    envelope = base64.encode(dsse.wrap(material.PAYLOAD_TYPE, text, KEY)).encode()

    decode(having({**HEADERS, "ce_dssematerial": envelope})).verify(KEY.verify_key)


def test_older_payload_type() -> None:
    """A statement of the registrar, or another version of the extension, is no signature of an event."""
    for kind in ("application/vnd.nrmbus.delivery.v1+json", "https://cloudevents.io/verifiability/dsse/v0.2"):
        envelope = base64.encode(dsse.wrap(kind, plain.dumps(PAYLOAD).encode(), KEY)).encode()
        refused("signature_profile", partial(decode, having({**HEADERS, "ce_dssematerial": envelope})))


@pytest.mark.parametrize(
    ("code", "record"),
    [
        ("unreadable", having(HEADERS, None)),
        ("unreadable", having(HEADERS, None, None)),
        ("signature_profile", having({name: value for name, value in HEADERS.items() if name != "ce_dssematerial"})),
        ("signature_profile", having({**HEADERS, "ce_dssematerial": CANARY.encode()})),
        ("signature_profile", having({**HEADERS, "ce_dssematerial": b"\x01\x02"})),
        ("header_not_allowed", having({**HEADERS, CANARY: b"1"})),
        ("header_not_allowed", having({**HEADERS, "reply_to": CANARY.encode()})),
        ("header_not_allowed", having({**HEADERS, "nrm_registration": b"{}"})),
        ("header_not_allowed", Record(RECORD.key, RECORD.value, (*RECORD.headers, ("ce_id", CANARY.encode())))),
        ("header_not_allowed", having({**HEADERS, "ce_actor": b""})),
        ("header_not_allowed", having({**HEADERS, "ce_actor": None})),  # type: ignore[dict-item]  # a consumed null
        ("header_not_allowed", having({**HEADERS, "ce_actor": b"\xff" + CANARY.encode()})),
        ("header_not_allowed", having({**HEADERS, "ce_actor": "Əlinə".encode()})),
        ("header_not_allowed", having({**HEADERS, "ce_actor": CANARY.encode() + b"\n"})),
        ("header_not_allowed", having({**HEADERS, "correlation_id": b"\x00"})),
        ("too_large", having({**HEADERS, "ce_actor": CANARY.encode() * 1000})),
        ("too_large", having({**HEADERS, "ce_dssematerial": CANARY.encode() * 1000})),
        ("too_large", having({**HEADERS, "nrm_letter": CANARY.encode() * 30_000})),
        ("too_large", having(HEADERS, CANARY.encode() * 2000)),
        ("too_large", having(HEADERS, b"{}", CANARY.encode() * 30_000)),
        ("unreadable", signed({**HEADERS, "ce_specversion": b"1.1"})),
        ("unreadable", signed({**HEADERS, "content-type": b"application/json; charset=utf-8"})),
        ("unreadable", signed({**HEADERS, "ce_id": b"1"})),
        ("unreadable", signed({**HEADERS, "ce_id": b"01930000-0000-4000-8000-000000000001"})),
        ("unreadable", signed({**HEADERS, "ce_source": b"ngo-a"})),
        ("unreadable", signed({**HEADERS, "ce_source": b"/agency/operator"})),
        ("unreadable", signed({**HEADERS, "ce_source": b"/agency/" + CANARY.encode()})),
        ("unreadable", signed({**HEADERS, "ce_subject": CANARY.encode()})),
        ("unreadable", signed({**HEADERS, "ce_type": b"referral.submitted"})),
        ("unreadable", signed({**HEADERS, "ce_type": b"nrm.referral.revoked"})),
        ("unreadable", signed({**HEADERS, "ce_dataschema": b"urn:nrmbus:nrm.referral.submitted:0"})),
        ("unreadable", signed({**HEADERS, "ce_time": b"2026-03-02T05:00:00+00:00"})),
        ("unreadable", signed({**HEADERS, "ce_time": b"2026-03-02T05:00:00.000Z"})),
        ("unreadable", signed({**HEADERS, "ce_time": b"2026-02-30T05:00:00Z"})),
        ("unreadable", signed({**HEADERS, "ce_recordedtime": b"2026-03-02 05:00:00Z"})),
        ("unreadable", signed({**HEADERS, "ce_sequence": b"0"})),
        ("unreadable", signed({**HEADERS, "ce_sequence": b"01"})),
        ("unreadable", signed({**HEADERS, "ce_sequence": b"2147483648"})),
        ("unreadable", signed({**HEADERS, "ce_sequence": b"9" * 900})),
    ],
    ids=range(39),
)
def test_what_cannot_be_decoded(code: str, record: Record) -> None:
    """Without a sender that could be believed: quarantined, and answered to the owner of the topic."""
    refused(code, lambda: decode(record))


@pytest.mark.parametrize(
    ("code", "record"),
    [
        ("key_mismatch", having(HEADERS, key=None)),
        ("key_mismatch", having(HEADERS, key=CANARY.encode())),
        (
            "unknown_type",
            signed(
                {**HEADERS, "ce_type": b"nrm.referral.undone", "ce_dataschema": b"urn:nrmbus:nrm.referral.undone:1"}
            ),
        ),
        ("unknown_version", signed({**HEADERS, "ce_dataschema": b"urn:nrmbus:nrm.referral.submitted:99"})),
        ("json_invalid", signed(HEADERS, CANARY.encode())),
        ("json_invalid", signed(HEADERS, b"")),
        ("json_invalid", signed(HEADERS, b"\x1f\x8b" + CANARY.encode())),
        ("json_duplicate", signed(HEADERS, b'{"%b":1,"%b":2}' % (CANARY.encode(), CANARY.encode()))),
        ("unknown_field", signed(HEADERS, b"{}")),
        ("unknown_field", signed(HEADERS, json.dumps({**EVENT.data.to_mapping(), CANARY: 1}))),
        ("unknown_field", signed(HEADERS, json.dumps({**EVENT.data.to_mapping(), "urgency": CANARY}))),
        ("unknown_field", signed(HEADERS, json.dumps({**EVENT.data.to_mapping(), "child": 1}))),
        ("unknown_field", signed(HEADERS, json.dumps({**EVENT.data.to_mapping(), "to": ["b", "a"]}))),
        ("unknown_field", signed(HEADERS, json.dumps({**EVENT.data.to_mapping(), "to": {"a": CANARY}}))),
        ("header_not_allowed", signed({**HEADERS, "ce_actor": b"(" + CANARY.encode() + b")"})),
        ("header_not_allowed", signed({name: value for name, value in HEADERS.items() if name != "ce_policy"})),
        ("header_not_allowed", signed({**HEADERS, "ce_dataclassification": b"DC9"})),
        ("header_not_allowed", signed({**HEADERS, "ce_dataclassification": b"DC4"})),  # nothing so dear is in the clear
        ("header_not_allowed", signed({**HEADERS, "ce_expectedversion": b"-1"})),
        ("header_not_allowed", signed({**HEADERS, "ce_expectedversion": b"1e3"})),
        ("header_not_allowed", signed({**HEADERS, "ce_consent": CANARY.encode()})),
        ("header_not_allowed", signed({**HEADERS, "ce_consent": b"  " + vectors.EVENT_ID.encode()})),
        ("header_not_allowed", signed({**HEADERS, "ce_sealeddigest": CANARY.encode()})),
        ("header_not_allowed", signed({**HEADERS, "ce_traceparent": b"01-" + CANARY.encode()})),
    ],
    ids=range(24),
)
def test_what_its_sender_is_told(code: str, record: Record) -> None:
    """A wrong event of its source is refused by a registration, with a helpful code and nothing of the input."""
    refused(code, refused_event(record))


def test_a_refusal_names_our_fields_only() -> None:
    """It helps to hear which field is wrong, and a field's name is ours; an unknown name is the sender's."""
    known = signed(HEADERS, json.dumps({**EVENT.data.to_mapping(), "urgency": CANARY}))
    unknown = signed(HEADERS, json.dumps({**EVENT.data.to_mapping(), CANARY: CANARY}))

    assert refused("unknown_field", refused_event(known)).safe["pointer"] == "/urgency"
    assert refused("unknown_field", refused_event(unknown)).safe["pointer"] == ""


def test_a_later_version_is_still_somebodys_word() -> None:
    """A version that is not known here is verified and numbered all the same; only its data stay unread."""
    decoded = decode(signed({**HEADERS, "ce_dataschema": b"urn:nrmbus:nrm.referral.submitted:99"}))
    decoded.verify(KEY.verify_key)

    assert (decoded.id, decoded.source, decoded.version) == (EVENT.id, "ngo-a", 99)
    refused("unknown_version", decoded.event)


def test_nothing_is_signed_that_nobody_reads() -> None:
    """An event with a wrong form does not leave the desk."""
    for name in ("ə", f"{CANARY}\n", CANARY * 1000):
        event = Event(**{**dict(EVENT), "type": name})
        refused("header_not_allowed too_large", partial(encode, event, KEY))


class Verbose(Data):
    """A type whose data may be long; it is not published."""

    type = "case.told"
    words: str


def test_large_data_is_not_signed() -> None:
    """More than 16 KiB of data do not leave the desk, nor a record of more than 256 KiB."""
    fits, more = ({"type": "case.told", "data": Verbose(words="x" * size)} for size in (16_372, 16_373))

    assert len(encode(Event(**{**dict(EVENT), **fits}), KEY).value or b"") == 16 * 1024
    refused("too_large", lambda: encode(Event(**{**dict(EVENT), **more}), KEY))
    refused("letter_too_large", lambda: with_letter(RECORD, bytes(255 * 1024)))


def test_a_record_is_known_by_its_digest() -> None:
    """Whatever differs between two records shows in the digest, also where a border between two values moved."""
    records = [
        RECORD, having(HEADERS, None), having(HEADERS, b""), having(HEADERS, key=None), having(HEADERS, key=b""),
        Record(b"a", b"bc", ()), Record(b"ab", b"c", ()), Record(b"a", b"b", (("c", b""),)), Record(b"a", b"b", (("", b"c"),)),
        Record(b"a", b"b", (("\udcff", b"c"),)),
    ]  # fmt: skip

    assert len({record.digest() for record in records}) == len(records)


def test_what_the_registrar_adds_is_taken_off() -> None:
    """A delivered record splits into what was submitted, bytes unchanged, and what the registrar says."""
    delivered = RECORD.with_header("nrm_registration", b"{}").with_header("nrm_delivery", b"[]")

    assert delivered.split() == (RECORD, {"nrm_registration": b"{}", "nrm_delivery": b"[]"})
    refused("header_not_allowed", lambda: delivered.with_header("nrm_delivery", CANARY.encode()).split())
    refused("header_not_allowed", lambda: RECORD.with_header("nrm_delivery", b"").split())
    refused("too_large", lambda: RECORD.with_header("nrm_delivery", b"x" * (64 * 1024 + 1)).split())


def test_the_envelope_alone() -> None:
    """The history keeps the event without its letter and without the unsigned header."""
    submitted = with_letter(RECORD, b"a letter").with_header("correlation_id", b"1")

    assert submitted.without_letter() == RECORD
    assert decode(submitted).digest == decode(RECORD).digest


def every_answer(record: Record) -> Iterable[WireError]:
    """Yield the errors that answer *record*, read as far as possible."""
    try:
        decoded: Signed = decode(record)
    except WireError as error:
        yield error
        return
    for step in (lambda: decoded.verify(KEY.verify_key), decoded.event, decoded.letter):
        try:
            step()
        except WireError as error:
            yield error


HOSTILE = st.binary(max_size=60) | st.sampled_from([CANARY.encode(), b"", *HEADERS.values()]) | st.none()
NAMES = st.sampled_from([*HEADERS, "nrm_letter", "correlation_id"]) | st.text(max_size=12)


@given(
    st.dictionaries(st.sampled_from(list(HEADERS)), HOSTILE, max_size=3),
    st.lists(st.tuples(NAMES, HOSTILE), max_size=2),
    st.sampled_from([RECORD.value]) | HOSTILE,
    st.sampled_from([RECORD.key]) | HOSTILE,
    st.sampled_from(["as it was", "again"]),
)
def test_hostile_records(
    changed: dict[str, bytes], added: list[tuple[str, bytes]], value: bytes | None, key: bytes | None, sign: str
) -> None:
    """Every record is read or refused by a code, and no refusal repeats the input."""
    headers = {**HEADERS, **changed}
    if sign == "again" and value is not None and all(each and each.isascii() for each in headers.values()):
        headers = dict(signed(headers, value).headers)
    record = Record(key, value, (*headers.items(), *added))

    for error in every_answer(record):
        assert error.__context__ is None
        assert CANARY not in f"{error} {error!r} {error.safe}"
    assert ids.DIGEST.fullmatch(record.digest())
