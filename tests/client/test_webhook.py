"""Webhooks: a program accepts fresh notices signed by its desk, and refuses everything else with one exception."""

import hmac
import subprocess
import sys
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import pytest
import standardwebhooks
import svix
from hypothesis import given
from hypothesis import strategies as st

import extras
from nrmbus.client import Webhook, WebhookRefused, verify_webhook
from nrmbus.wire import base64
from nrmbus.wire.keys.keys import SigningKey

NOW = 1_772_427_600.0
BODY = b'{"type":"referral.submitted","timestamp":"2026-03-02T05:00:00Z","data":{"id":"1","link":"/v1/inbox?after=6"}}'
SECRET = bytes(range(32))
SIGNING = SigningKey(bytes(32))
WHSEC = f"whsec_{base64.encode(SECRET)}"
WHPK = f"whpk_{base64.encode(SIGNING.public)}"
ID = "msg_1"
Parts = dict[str, str]


def content(body: bytes = BODY, id: str = ID, stamp: float = NOW) -> bytes:
    """Return the signed content."""
    return f"{id}.{int(stamp)}.".encode() + body


def v1(signed: bytes, secret: bytes = SECRET) -> str:
    """Symmetric signature of a desk."""
    return f"v1,{base64.encode(hmac.digest(secret, signed, sha256))}"


def v1a(signed: bytes) -> str:
    """Ed25519 signature of a desk."""
    return f"v1a,{base64.encode(SIGNING.sign(signed))}"


def headers(signature: str, **more: str) -> Parts:
    """Headers of a request."""
    return {"Webhook-Id": ID, "WEBHOOK-TIMESTAMP": str(int(NOW)), "webhook-signature": signature} | {
        name.replace("_", "-"): value for name, value in more.items()
    }


def test_the_vector_of_the_specification_holds() -> None:
    """Given the example of Standard Webhooks' own libraries, then its signature fits; its body is no notice of a desk."""
    given = {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
    with pytest.raises(WebhookRefused) as raised:
        verify_webhook(given, b'{"test": 2432232314}', "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", now=1614265330)
    assert raised.value.code == "body"


@pytest.mark.parametrize("library", [standardwebhooks.Webhook, svix.Webhook], ids=["standardwebhooks", "svix"])
def test_a_signature_of_the_public_libraries_is_accepted(library: type[svix.Webhook]) -> None:
    """Given a sender with the libraries that others use, then the same secret verifies here."""
    at = datetime.now(UTC)
    sent = headers(library(WHSEC).sign(ID, at, BODY.decode()), **{"WEBHOOK-TIMESTAMP": str(int(at.timestamp()))})

    assert verify_webhook(sent, BODY, WHSEC).id == ID
    assert verify_webhook(sent, BODY, [WHPK, WHSEC]).id == ID


@pytest.mark.parametrize(
    ("signature", "keys"),
    [
        (v1(content()), WHSEC),
        (v1a(content()), [WHPK]),
        (f"v2,YQ== {v1a(b'another')} v1 v1,a,b  {v1(content(), b'k' * 32)} {v1(content())}", [WHPK, WHSEC]),
    ],
    ids=["v1", "v1a", "after others"],
)
def test_a_signature_of_the_desk_is_accepted(signature: str, keys: str | list[str]) -> None:
    """Given a valid signature beside foreign and malformed ones, then the notice comes with the id."""
    sent = headers(signature)
    pairs = [(name.encode(), value.encode()) for name, value in sent.items()]

    for form in (sent, pairs):
        found = verify_webhook(form, BODY, keys, now=NOW + 299)
        assert found == Webhook(
            id=ID,
            type="referral.submitted",
            timestamp="2026-03-02T05:00:00Z",
            data={"id": "1", "link": "/v1/inbox?after=6"},
        )
        assert "inbox" not in repr(found)


REFUSED: dict[str, tuple[str, dict[str, Any]]] = {
    "no header": ("headers", {"headers": {}}),
    "an id with a full stop": ("headers", {"headers": headers(v1(content(id="a.b")), webhook_id="a.b")}),
    "a header twice": ("headers", {"headers": [*headers(v1(content())).items(), ("webhook-id", ID)]}),
    "a time that is none": ("headers", {"headers": headers(v1(content()), webhook_timestamp="²")}),
    "too old": ("timestamp", {"now": NOW + 301}),
    "too new": ("timestamp", {"now": NOW - 301}),
    "another body": ("signature", {"body": BODY + b" "}),
    "another id": ("signature", {"headers": headers(v1(content(id="msg_2")))}),
    "another key": ("signature", {"keys": f"whsec_{base64.encode(b'x' * 32)}"}),
    "the public key as a secret": (
        "signature",
        {"headers": headers(v1(content(), SIGNING.public)), "keys": [WHPK]},
    ),
    "the other algorithm's name": ("signature", {"headers": headers(v1(content()).replace("v1,", "v1a,"))}),
    "a cut signature": ("signature", {"headers": headers(v1(content())[:-8])}),
    "a short Ed25519 signature": ("signature", {"headers": headers("v1a,YQ=="), "keys": WHPK}),
}


@pytest.mark.parametrize(("code", "changed"), REFUSED.values(), ids=REFUSED)
def test_what_the_desk_did_not_send_is_refused(code: str, changed: dict[str, Any]) -> None:
    """Given one thing that does not fit, then the exception names the part, and repeats nothing."""
    how: dict[str, Any] = {"headers": headers(v1(content())), "body": BODY, "keys": [WHSEC, WHPK], "now": NOW} | changed
    with pytest.raises(WebhookRefused) as raised:
        verify_webhook(**how)
    assert raised.value.code == code


@given(
    sent=st.dictionaries(
        st.sampled_from(["webhook-id", "webhook-timestamp", "webhook-signature"]),
        st.text() | st.sampled_from([ID, str(int(NOW)), "v1", "v1,", "v1,ä", "v1a,====", "v1,a,b", " ", "\udcff"]),
    ),
    body=st.binary(),
)
def test_garbage_is_refused_and_never_an_error_of_another_kind(sent: Parts, body: bytes) -> None:
    """Given any three headers and any bytes, then a receiver that catches one exception never answers 500."""
    with pytest.raises(WebhookRefused):
        verify_webhook(sent, body, [WHSEC, WHPK], now=NOW)


@pytest.mark.parametrize("body", [b"\xff", b"[]", b"{}", b"[" * 100_000, b'{"type":1,"timestamp":"","data":{}}'])
def test_a_signed_body_that_is_no_notice_is_refused(body: bytes) -> None:
    """Given a body that was signed and cannot be read, then it is refused all the same."""
    with pytest.raises(WebhookRefused) as raised:
        verify_webhook(headers(v1(content(body))), body, WHSEC, now=NOW)
    assert raised.value.code == "body"


@pytest.mark.parametrize("key", ["", "whsec_", "whsec_YQ==", f"whpk_{base64.encode(b'x' * 31)}", "Leyla"])
def test_a_key_that_is_none_is_named_at_once(key: str) -> None:
    """Given a setting that is no key, then the program's own mistake is told apart from a bad request."""
    with pytest.raises(ValueError, match="whsec_ or whpk_") as raised:
        verify_webhook({}, b"", key)
    assert "Leyla" not in str(raised.value)


def verified_without(*packages: str) -> str:
    """Return the output of a program that verifies both kinds without *packages*."""
    program = f"""
{extras.without(*packages)}
from nrmbus.client import verify_webhook
for signature, key in {[(v1(content()), WHSEC), (v1a(content()), WHPK)]!r}:
    sent = {{"webhook-id": {ID!r}, "webhook-timestamp": "{int(NOW)}", "webhook-signature": signature}}
    try:
        print(verify_webhook(sent, {BODY!r}, key, now={NOW}).id)
    except ModuleNotFoundError as error:
        print(error)
"""
    return subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout


@pytest.mark.thorough
def test_hmac_needs_no_package_and_ed25519_any_of_two() -> None:
    """Given the SDK alone, then `v1` verifies and `v1a` names the extra; with either library, both verify."""
    alone = verified_without("cryptography", "nacl").splitlines()

    assert alone[0] == ID
    assert alone[1].endswith("pip install 'nrmbus[cli]'")
    assert verified_without("cryptography") == verified_without("nacl") == f"{ID}\n{ID}\n"
