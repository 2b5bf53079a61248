"""The table: what nobody should send, one row each. A row makes its record and names the outcome."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from bad_input.given import CANARY, CONSENT, PARTITIONS, Post
from desk.live import STARTS
from nrmbus.wire import base64, dsse, ids, material
from nrmbus.wire.envelope import encode
from nrmbus.wire.keys.keys import SigningKey
from nrmbus.wire.record import Record


@dataclass(frozen=True, slots=True)
class Row:
    """*make* the record; *verdict* and *code* are its fate. The record goes where it belongs, or to a wrong place."""

    name: str
    make: Callable[[Post], Record]
    verdict: str
    code: str
    owner: str = "ngo-a"
    beside: bool = False


def resigned(
    post: Post, record: Record, *, data: bytes | None = None, key: SigningKey | None = None, **attributes: str
) -> Record:
    """*record* with other data or headers and a new signature, so that the sender really signed it."""
    headers = {name: value.decode() for name, value in record.headers if name.startswith(("ce_", "content"))}
    headers = {name: value for name, value in headers.items() if name != "ce_dssematerial"} | attributes
    value = (record.value or b"") if data is None else data
    payload = material.payload(headers, value, material.signed_names(headers))
    envelope = dsse.wrap(material.PAYLOAD_TYPE, payload, key or post.identities["ngo-a"].signing)
    every = [(name, text.encode()) for name, text in headers.items()]
    return Record(record.key, value, (*every, ("ce_dssematerial", base64.encode(envelope).encode())))


def said(data: bytes) -> Callable[[Post], Record]:
    """A signal whose signed data are *data*."""
    return lambda post: resigned(post, post.signal(), data=data)


def typed(type_: str, version: int) -> Callable[[Post], Record]:
    """A signal under another type or version, signed."""
    name = f"nrm.{type_}"
    return lambda post: resigned(post, post.signal(), ce_type=name, ce_dataschema=f"urn:nrmbus:{name}:{version}")


def with_header(name: str, value: Any) -> Callable[[Post], Record]:
    """A signed signal with one more header."""
    return lambda post: post.signal().with_header(name, value)


def altered(key: Any = ..., value: Any = ..., without: str = "") -> Callable[[Post], Record]:
    """A signed signal with another key or value, or lacking a header."""

    def make(post: Post) -> Record:
        whole = post.signal()
        headers = tuple(each for each in whole.headers if each[0] != without)
        return Record(whole.key if key is ... else key, whole.value if value is ... else value, headers)

    return make


def bad_signature(post: Post) -> Record:
    """A signal signed for another text."""
    one, other = post.signal(), dict(post.signal().headers)
    headers = tuple((name, other[name] if name == "ce_dssematerial" else value) for name, value in one.headers)
    return Record(one.key, one.value, headers)


def others_key(post: Post) -> Record:
    """An event of ngo-a, signed by ngo-l."""
    return resigned(post, post.signal(), key=post.identities["ngo-l"].signing)


def unknown_case(post: Post) -> Record:
    """A consent to what nobody opened."""
    event = post.event("ngo-a", "consent.given", CONSENT, case=ids.new_ref())
    return encode(event, post.identities["ngo-a"].signing)


def gap(post: Post) -> Record:
    """The third event of a case of which nobody sent the second."""
    case = ids.new_ref()
    post.submit(post.signal(case=case))
    event = post.event("ngo-a", "consent.given", CONSENT, case=case, sequence=3)
    return encode(event, post.identities["ngo-a"].signing)


def id_again(post: Post) -> Record:
    """Other words under an id that was used."""
    first = post.signal()
    assert post.submit(first).verdict == "registered"
    return resigned(post, first, data=b'{"detector":"ngo_outreach"}', ce_sequence="2")


def swapped_letter(post: Post) -> Record:
    """A referral with the letter of another one."""
    case = post.ready_to_refer()
    right, other = post.referral(case), dict(post.referral(case).headers)["nrm_letter"]
    return right.without_letter().with_header("nrm_letter", other)


SEALED: Final = (
    Row("letter of another digest", swapped_letter, "refused", "letter_digest_mismatch"),
    Row(
        "letter that does not travel with it",
        lambda post: post.referral(post.ready_to_refer()).without_letter(), "refused", "letter_missing",
    ),
    Row(
        "letter that is no letter",
        lambda post: post.referral(post.ready_to_refer()).without_letter().with_header("nrm_letter", CANARY.encode()),
        "refused", "letter_malformed",
    ),
    Row(
        "letter sealed to one too many",
        lambda post: post.referral(post.ready_to_refer(), readers=("special-unit", "vac")), "refused", "audience_changed",
    ),
    Row(
        "letter sealed to one too few",
        lambda post: post.referral(post.ready_to_refer(), readers=()), "refused", "audience_changed",
    ),
    Row("unknown recipient", lambda post: post.referral(post.ready_to_refer(), to="nobody-here"), "refused", "unknown_recipient"),
)  # fmt: skip
"""Letters with wrong readers."""

SAID: Final = (
    Row("signed data that are no JSON", said(CANARY.encode()), "refused", "json_invalid"),
    Row("member twice", said(b'{"basis":["%s"],"basis":[]}' % CANARY.encode()), "refused", "json_duplicate"),
    Row("unknown field", said(b'{"%s":1}' % CANARY.encode()), "refused", "unknown_field"),
    Row("value that a field may not have", said(b'{"detector":"%s"}' % CANARY.encode()), "refused", "unknown_field"),
    Row("unknown type", typed("case.nobody_knows", 1), "refused", "unknown_type"),
    Row("unknown version", typed("case.signal_recorded", 99), "refused", "unknown_version"),
    Row(
        "trace context that is none",
        lambda post: resigned(post, post.signal(), ce_traceparent=CANARY), "refused", "header_not_allowed",
    ),
    Row(
        "time six minutes ahead",
        lambda post: post.signal(at=STARTS + timedelta(minutes=6)), "refused", "time_in_future",
    ),
    Row("unknown case", unknown_case, "refused", "unknown_case"),
    Row("id used again with other bytes", id_again, "refused", "id_reused"),
    Row("gap in the sequence", gap, "answered", "sequence_gap"),
)  # fmt: skip
"""Events that the sender really signed, so the sender gets a registration or a gap answer."""

NOT_BELIEVED: Final = (
    Row("not an event", lambda _: Record(b"x", CANARY.encode(), ()), "quarantined", "signature_profile"),
    Row(
        "not JSON under a signature for something else",
        altered(value=CANARY.encode()), "quarantined", "signature_invalid",
    ),
    Row("null value", altered(value=None), "quarantined", "unreadable"),
    Row("null key", altered(key=None), "quarantined", "key_mismatch"),
    Row("key that is not the case", altered(key=CANARY.encode()), "quarantined", "key_mismatch"),
    Row("key that is not UTF-8", altered(key=b"\xff\xfe"), "quarantined", "key_mismatch"),
    Row("header that is not allowed", with_header("x-note", CANARY.encode()), "quarantined", "header_not_allowed"),
    Row("registrar's header", with_header("nrm_registration", CANARY.encode()), "quarantined", "header_not_allowed"),
    Row("header that is not UTF-8", with_header("ce_approver", b"\xff\xfe"), "quarantined", "header_not_allowed"),
    Row("header that is null", with_header("ce_approver", None), "quarantined", "header_not_allowed"),
    Row("header twice", with_header("ce_id", CANARY.encode()), "quarantined", "header_not_allowed"),
    Row("header over 1 KiB", with_header("ce_approver", b"a" * 1025), "quarantined", "too_large"),
    Row("data over 16 KiB", altered(value=CANARY.encode() * 1000), "quarantined", "too_large"),
    Row(
        "record over 256 KiB, which the broker still takes",
        with_header("nrm_letter", CANARY.encode() * 10_000), "quarantined", "too_large",
    ),
    Row("no signature", altered(without="ce_dssematerial"), "quarantined", "signature_profile"),
    Row("bad signature", bad_signature, "quarantined", "signature_invalid"),
    Row("key of another agency", others_key, "quarantined", "signature_invalid"),
    Row("source that is not the topic's owner", Post.signal, "quarantined", "source_not_owner", owner="ngo-l"),
    Row("wrong partition", Post.signal, "quarantined", "wrong_partition", beside=True),
)  # fmt: skip
"""Records without a believable author: quarantined, with a notice to the topic's owner."""

TABLE: Final = (*SAID, *SEALED, *NOT_BELIEVED)


def partition_of(post: Post, row: Row, record: Record) -> int:
    """Where the row puts its record."""
    return (post.partition_of(record) + row.beside) % PARTITIONS
