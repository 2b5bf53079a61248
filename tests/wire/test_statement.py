"""Signed statements of the bus: one form, one purpose, one digest."""

import base64
import json as plain
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nrmbus.published import vectors
from nrmbus.wire import dsse, statement
from nrmbus.wire.keys.keys import SigningKey, VerifyKey
from wire.given import CANARY, refused

KEY = SigningKey.from_seed(vectors.seed("registrar"))
KEYS = {KEY.kid: KEY.verify_key}
NOBODY: dict[str, VerifyKey] = {}
BODY = {"bus": vectors.BUS, "number": 7, "said": CANARY}


def altered(change: Callable[[dict[str, Any]], object]) -> bytes:
    """A signed answer whose DSSE envelope somebody changed."""
    envelope = plain.loads(statement.sign("answer", BODY, KEY))
    change(envelope)
    return plain.dumps(envelope).encode()


def test_signed_bytes_are_those_of_dsse() -> None:
    """The pre-authentication encoding of DSSE's own example."""
    assert dsse.pae(b"http://example.com/HelloWorld", b"hello world") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )


def test_what_is_signed_verifies() -> None:
    """The body comes back with the name of the key; a reader who trusts the chain may read without verifying."""
    signed = statement.sign("answer", BODY, KEY)

    assert statement.verify("answer", signed, KEYS.__getitem__) == (BODY, KEY.kid)
    assert plain.loads(statement.body_of("answer", signed)) == BODY


def test_blanks_and_order_of_the_envelope_do_not_matter() -> None:
    """Other libraries write DSSE with blanks or in another order; the payload is what is signed."""
    signed = altered(lambda envelope: envelope.update(payload=envelope.pop("payload")))

    assert statement.verify("answer", signed, KEYS.__getitem__)[0] == BODY


def test_one_purpose_is_not_another() -> None:
    """A signed answer is no certificate."""
    signed = statement.sign("answer", BODY, KEY)

    refused("signature_profile", lambda: statement.verify("certificate", signed, KEYS.__getitem__))
    refused("signature_profile", lambda: statement.body_of("certificate", signed))


def test_the_purpose_is_signed() -> None:
    """Nor does renaming it help."""
    named = "application/vnd.nrmbus.certificate.v1+json"
    signed = altered(lambda envelope: envelope.update(payloadType=named))

    refused("signature_invalid", lambda: statement.verify("certificate", signed, KEYS.__getitem__))


@pytest.mark.parametrize(
    "change",
    [
        lambda envelope: envelope.update(more=CANARY),
        lambda envelope: envelope.pop("payload"),
        lambda envelope: envelope.update(payload=7),
        lambda envelope: envelope.update(payload=""),
        lambda envelope: envelope.update(payload=CANARY + "="),
        lambda envelope: envelope.update(payload=envelope["payload"].rstrip("=") + "\n"),
        lambda envelope: envelope.update(signatures=[]),
        lambda envelope: envelope.update(signatures=envelope["signatures"] * 2),
        lambda envelope: envelope.update(signatures=[[CANARY]]),
        lambda envelope: envelope["signatures"][0].update(more=CANARY),
        lambda envelope: envelope["signatures"][0].pop("keyid"),
        lambda envelope: envelope["signatures"][0].update(keyid=CANARY),
        lambda envelope: envelope["signatures"][0].update(sig=envelope["signatures"][0]["sig"][:-4]),
        lambda envelope: envelope["signatures"][0].update(sig=[CANARY]),
    ],
    ids=range(14),
)
def test_another_form_is_refused(change: Callable[[dict[str, Any]], object]) -> None:
    """An envelope has exactly one Ed25519 signature, no further member, and base64 in one spelling."""
    refused("signature_profile", lambda: statement.verify("answer", altered(change), KEYS.__getitem__))


def test_stray_bits_of_base64_are_refused() -> None:
    """Two base64 texts that decode to the same bytes would give one statement two digests."""

    def stray(envelope: dict[str, Any]) -> None:
        signature = envelope["signatures"][0]
        signature["sig"] = signature["sig"][:-3] + chr(ord(signature["sig"][-3]) + 1) + "=="

    assert base64.b64decode(plain.loads(altered(stray))["signatures"][0]["sig"]) == base64.b64decode(
        plain.loads(altered(lambda _: None))["signatures"][0]["sig"]
    )
    refused("signature_profile", lambda: statement.verify("answer", altered(stray), KEYS.__getitem__))


def test_other_keys() -> None:
    """A key that nobody knows, and a known one under another's name."""
    signed, other = statement.sign("answer", BODY, KEY), SigningKey.generate()

    refused("key_not_current", lambda: statement.verify("answer", signed, NOBODY.__getitem__), KEY.kid)
    refused("signature_invalid", lambda: statement.verify("answer", signed, lambda _: other.verify_key))
    renamed = signed.replace(KEY.kid.encode(), other.kid.encode())
    refused("signature_invalid", lambda: statement.verify("answer", renamed, lambda _: KEY.verify_key))


@pytest.mark.parametrize(
    "payload", [b'{"b":1,"a":2}', b'{"a": 1}', b"[]", b'{"a":1,"a":1}', b'{"a":"\\u0062"}'], ids=range(5)
)
def test_a_statement_has_one_digest(payload: bytes) -> None:
    """A signed payload that is not canonical JSON is refused, though its signature fits."""
    signed = statement.sign_bytes("answer", payload, KEY)

    refused("json_invalid json_duplicate", lambda: statement.verify("answer", signed, KEYS.__getitem__))


@given(st.binary(max_size=300) | st.integers(0, 600).map(lambda cut: statement.sign("answer", BODY, KEY)[:cut]))
def test_random_bytes_are_refused(raw: bytes) -> None:
    """Bytes that nobody signed never get further than a refusal."""
    if raw != statement.sign("answer", BODY, KEY):
        refused("signature_profile", lambda: statement.verify("answer", raw, KEYS.__getitem__))


def test_too_large() -> None:
    """A statement of more than 64 KiB is not looked at."""
    signed = statement.sign("answer", {"a": CANARY * 10_000}, KEY)

    refused("signature_profile", lambda: statement.verify("answer", signed, KEYS.__getitem__))
