"""Statements of the registrar: one spelling, one digest, one meaning."""

import hashlib
import json as plain
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from nrmbus.events.model import PARTS
from nrmbus.published import vectors
from nrmbus.wire import json, statement
from nrmbus.wire.keys.keys import SigningKey
from nrmbus.wire.registration import (
    NOTHING_BEFORE,
    Answer,
    Audience,
    Delivery,
    Policy,
    Registration,
    sign_answer,
    sign_delivery,
    sign_registration,
    verify_answer,
    verify_delivery,
    verify_registration,
)
from wire.given import CANARY, refused

KEY = SigningKey.from_seed(vectors.seed("registrar"))
KEYS = {KEY.kid: KEY.verify_key}
STATED: dict[str, Any] = {
    "bus": vectors.BUS, "partition": 0, "number": 1, "time": vectors.TIME, "source": "ngo-a", "subject": vectors.CASE,
    "id": vectors.EVENT_ID, "sequence": 1, "envelope": "e" * 64, "key": KEY.kid, "verdict": "registered",
    "policy": Policy(name="az@2022-04-29", digest="d" * 64), "audience": "a" * 64, "previous": NOTHING_BEFORE,
}  # fmt: skip
REFUSED = {"verdict": "refused", "code": "consent_refused", "rule": "G-30", "article": "[S34, S46]"}
REGISTRATION = Registration(**STATED)
DELIVERY = Delivery(
    bus=vectors.BUS,
    to="special-unit",
    partition=0,
    inbox_number=1,
    registration=REGISTRATION.digest,
    previous=NOTHING_BEFORE,
)
ANSWER = Answer(
    bus=vectors.BUS,
    to="ngo-a",
    partition=0,
    time=vectors.TIME,
    code="unreadable",
    topic="nrm.outbox.ngo-a",
    offset=9,
    sha256="b" * 64,
)

LINES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)
AGENCIES = st.lists(st.from_regex(r"[a-z][a-z0-9-]{1,6}", fullmatch=True), max_size=3).map(tuple)


@given(
    st.integers(1, json.MAX_INTEGER),
    st.integers(0, 10**9),
    LINES,
    st.dictionaries(st.sampled_from(PARTS), AGENCIES) | st.none(),
)
def test_registrations_are_canonical(number: int, seconds: int, article: str, seal_to: dict[Any, Any] | None) -> None:
    """Pydantic writes RFC 8785 for any words and numbers, and the result is read back equal."""
    refusal = {**REFUSED, "code": "audience_changed", "article": article}
    time = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    said = Registration(**{**STATED, **refusal, "number": number, "time": time, "seal_to": seal_to})

    assert said.json() == json.dumps(said.to_mapping())
    assert Registration.parse(said.json()) == said


@pytest.mark.thorough
@given(st.dictionaries(st.from_regex(r"[a-z][a-z0-9-]{1,6}", fullmatch=True), st.just((vectors.EARLIER_ID,))), AGENCIES)
def test_audiences_are_canonical(earlier: dict[str, tuple[str, ...]], recipients: tuple[str, ...]) -> None:
    """The order in which somebody was told does not change what was committed to."""
    told = Audience(salt="0" * 32, recipients=recipients, earlier=earlier)
    backwards = Audience(salt="0" * 32, recipients=recipients, earlier=dict(reversed(earlier.items())))

    assert told.json() == json.dumps(told.to_mapping())
    assert told.commitment() == backwards.commitment()
    assert Audience.parse(told.json()) == told


@pytest.mark.parametrize("kind", [Policy, Registration, Delivery, Answer, Audience])
def test_fields_stand_in_their_order(kind: type[Registration]) -> None:
    """The declared order is the canonical order, so pydantic's own writer is canonical."""
    assert list(kind.model_fields) == sorted(kind.model_fields)


def test_signed_and_verified() -> None:
    """Each signed statement of the registrar is read back equal, as its own kind."""
    assert verify_registration(sign_registration(REGISTRATION, KEY), KEYS.__getitem__) == REGISTRATION
    assert verify_delivery(sign_delivery(DELIVERY, KEY), KEYS.__getitem__) == DELIVERY
    assert verify_answer(sign_answer(ANSWER, KEY), KEYS.__getitem__) == ANSWER


def test_the_leaf_is_the_registration() -> None:
    """RFC 9162: SHA-256 over a zero byte and the JSON, without the signature."""
    assert REGISTRATION.leaf() == hashlib.sha256(b"\0" + REGISTRATION.json()).digest()
    assert REGISTRATION.digest == hashlib.sha256(REGISTRATION.json()).hexdigest()


@pytest.mark.parametrize(
    "change",
    [
        {"verdict": "refused"},
        {"code": "consent_refused"},
        {**REFUSED, "rule": None},
        {**REFUSED, "article": None},
        {**REFUSED, "verdict": "registered"},
        {**REFUSED, "seal_to": {"coded": ("ngo-a",)}},
        {"number": 0},
        {"bus": CANARY},
        {"time": vectors.TIME.replace(microsecond=1)},
        {"time": vectors.TIME.replace(tzinfo=None)},
        {"key": CANARY},
        {"envelope": "E" * 64},
        {"more": CANARY},
    ],
    ids=range(13),
)
def test_a_registration_says_one_thing(change: dict[str, Any]) -> None:
    """A refusal has code, rule and article, a registered event none of them, and errors do not repeat the fields."""
    with pytest.raises(ValidationError) as caught:
        Registration(**{**STATED, **change})
    assert CANARY not in str(caught.value)


@pytest.mark.parametrize(
    ("code", "change"),
    [
        ("unknown_field", lambda said: said.update(more=CANARY)),
        ("unknown_field", lambda said: said.pop("number")),
        ("unknown_field", lambda said: said.update(number="1")),
        ("unknown_field", lambda said: said.update(source=CANARY + " ")),
        ("unknown_field", lambda said: said.update(time="2026-03-02T05:00:00+00:00")),
        ("unknown_field", lambda said: said.update(policy=CANARY)),
        ("json_invalid", lambda said: said.update(code=None)),
    ],
    ids=range(7),
)
def test_no_registration(code: str, change: Callable[[dict[str, Any]], object]) -> None:
    """A signed statement that is no registration is refused, and nothing of it shows."""
    said = REGISTRATION.to_mapping()
    change(said)
    raw = plain.dumps(said, separators=(",", ":"), sort_keys=True).encode()

    refused(code, lambda: Registration.parse(raw))
    signed = statement.sign_bytes("registration", raw, KEY)
    refused(code, lambda: verify_registration(signed, KEYS.__getitem__))


@pytest.mark.parametrize(
    "raw", [b" " + REGISTRATION.json(), plain.dumps(REGISTRATION.to_mapping()).encode()], ids=range(2)
)
def test_a_registration_has_one_spelling(raw: bytes) -> None:
    """Blanks would give one registration two digests, and the chain two ends."""
    refused("json_invalid", lambda: Registration.parse(raw))


@given(st.binary(max_size=400))
def test_random_bytes(raw: bytes) -> None:
    """Bytes that are no statement are refused."""
    for kind in (Registration, Delivery, Answer, Audience):
        refused("json_invalid json_duplicate unknown_field", partial(kind.parse, raw))
