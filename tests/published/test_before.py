"""Records in a form that was never released are refused with a code; nothing of them is believed."""

import json as plain
from pathlib import Path

from nrmbus.wire import base64
from nrmbus.wire.errors import LetterClosed
from nrmbus.wire.history import HistoryFault, read
from nrmbus.wire.keys.keys import VerifyKey
from nrmbus.wire.letter import Container
from nrmbus.wire.record import REGISTRATION, Record
from nrmbus.wire.registration import Registration, verify_registration
from wire.given import refused

BEFORE = plain.loads((Path(__file__).parent / "before" / "nrm.referral.submitted.v1.json").read_text(encoding="utf-8"))
"""A golden record of 2026-11-24: each statement in a DSSE envelope of its own, the letter in JSON."""
HEADERS = {name: value.encode() for name, value in BEFORE["record"]["headers"].items()}


def key_of(_: str) -> VerifyKey:
    """Return the key of the registrar of then, whose signature fits."""
    return VerifyKey(base64.decode(BEFORE["public"]["registrar"], "weak_key"))


def test_a_registration_in_an_envelope_of_its_own() -> None:
    """The signature over it would hold, but its form is not this release's."""
    refused("signature_profile", lambda: verify_registration(HEADERS[REGISTRATION], key_of))


def test_a_letter_in_json() -> None:
    """The container is refused as malformed, before anything in it is read."""
    assert isinstance(refused("letter_malformed", lambda: Container.parse(BEFORE["letter"].encode())), LetterClosed)


def test_a_record_of_the_history() -> None:
    """Every reader of the history stops at it, with or without a look at the signature."""
    record = Record(BEFORE["record"]["key"].encode(), BEFORE["record"]["value"].encode(), tuple(HEADERS.items()))
    codes = []
    for keys in (None, key_of):
        try:
            read(record, Registration.parse, keys)
        except HistoryFault as fault:
            codes.append(fault.code)

    assert codes == ["unreadable", "unreadable"]
