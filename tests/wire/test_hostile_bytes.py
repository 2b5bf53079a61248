"""Bytes of every kind that come over the bus, spoilt at random: a code of the list, nothing of them repeated, no time taken."""

import traceback
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hostile import bounded, spoilt
from nrmbus.wire import statement
from nrmbus.wire.envelope import Record, decode
from nrmbus.wire.errors import PROOF_SENTENCES, SENTENCES, ProofError, WireError
from nrmbus.wire.keys.keys import SealingKey, VerifyKey
from nrmbus.wire.letter import Container
from nrmbus.wire.log.checkpoint import AddCheckpoint, Checkpoint
from nrmbus.wire.log.note import Note
from nrmbus.wire.registration import verify_answer, verify_delivery, verify_registration
from wire.given import CANARY, KEYS, PLACE, RAW, UNIT, WHOLE
from wire.log.test_note import SIGNED, SIGNER
from wire.test_envelope import HEADERS, KEY, RECORD, signed

NAMES = sorted(name for name in HEADERS if name != "ce_dssematerial")


def harmless(attempt: Callable[[], object]) -> bool:
    """Return True if *attempt* was accepted; else assert a quick refusal by a code, with nothing of the input."""
    with bounded():
        try:
            attempt()
        except (WireError, ProofError) as error:
            assert error.code in SENTENCES or error.code in PROOF_SENTENCES  # noqa: PT017 - either answer is right here
            assert error.__context__ is None  # noqa: PT017 - the same
            shown = "".join(traceback.format_exception(error))
            assert CANARY not in f"{shown} {error.safe}"  # noqa: PT017 - the same
            return False
    return True


def read_whole(record: Record) -> None:
    """Read a record as registrar and desk do, up to its letter."""
    decoded = decode(record)
    decoded.verify(KEY.verify_key)
    decoded.event()
    decoded.letter()


@pytest.mark.thorough
@settings(max_examples=200, deadline=None)
@given(st.sampled_from([name for name, _ in RECORD.headers]), st.data())
def test_a_record_with_one_header_spoilt(name: str, data: st.DataObject) -> None:
    """It is the same, in another spelling of its signature, or refused: every attribute is signed."""
    headers = dict(HEADERS)
    headers[name] = data.draw(spoilt(HEADERS[name]))

    if harmless(lambda: read_whole(Record(RECORD.key, RECORD.value, tuple(headers.items())))):
        assert name in {"ce_dssematerial", "correlation_id"} or headers[name] == HEADERS[name]


@pytest.mark.thorough
@settings(max_examples=200, deadline=None)
@given(st.sampled_from(NAMES), st.data())
def test_a_record_that_its_sender_spoilt_and_signed(name: str, data: st.DataObject) -> None:
    """A sender may sign anything: what is no event of this bus gets a code all the same."""
    value = data.draw(spoilt(RECORD.value or b"{}"))
    text = data.draw(spoilt(HEADERS[name]).filter(bytes.isascii))

    harmless(lambda: read_whole(signed({**HEADERS, name: text}, value)))


@settings(max_examples=200, deadline=None)
@given(spoilt(RAW))
def test_a_letter_spoilt(raw: bytes) -> None:
    """An altered letter is refused, has another digest, or is the same in another spelling; it opens to the original or not at all."""

    def opened() -> None:
        container = Container.parse(raw)
        for agency, key in KEYS.items():
            found = container.open(agency, key, **PLACE)
            assert found.items() <= WHOLE.open(agency, key, **PLACE).items()

    harmless(opened)
    harmless(lambda: Container.parse(Container.parse(raw).copy_for(UNIT)))


@settings(max_examples=200, deadline=None)
@given(spoilt(*(statement.sign(thing, {"bus": CANARY}, KEY) for thing in ("registration", "delivery", "answer"))))
def test_what_the_registrar_says_spoilt(raw: bytes) -> None:
    """Nothing of it is believed, under any name."""

    def key_of(kid: str) -> VerifyKey:
        return {KEY.kid: KEY.verify_key}[kid]

    for verify in (verify_registration, verify_delivery, verify_answer):
        assert not harmless(lambda verify=verify: verify(raw, key_of))  # type: ignore[misc]


@settings(max_examples=200, deadline=None)
@given(spoilt(b"old 0\n\n" + SIGNED, SIGNED))
def test_a_note_spoilt(raw: bytes) -> None:
    """A trusted event has the signed content."""

    def read() -> None:
        for note in (raw, AddCheckpoint.parse(raw).note):
            read_note = Note.parse(note)
            read_note.verified([SIGNER.verifier])
            assert read_note.text == Note.parse(SIGNED).text
            Checkpoint.parse(read_note.text)

    harmless(read)


@pytest.mark.parametrize("size", [0, 1, 1119, 1120, 1121, 1167, 1169, 100_000])
def test_a_wrap_of_another_length(size: int) -> None:
    """It opens nothing, and takes no time."""
    key = SealingKey.from_seed(bytes(32))

    assert not harmless(lambda: key.open(bytes(size), b"info"))


@settings(max_examples=100, deadline=None)
@given(spoilt(SealingKey.from_seed(bytes(32)).seal_to.wrap(b"k" * 32, b"info")))
def test_a_wrap_spoilt(raw: bytes) -> None:
    """A wrap opens to the wrapped key only if the alteration changed nothing."""
    key = SealingKey.from_seed(bytes(32))

    if harmless(lambda: key.open(raw, b"info")):
        assert key.open(raw, b"info") == b"k" * 32
