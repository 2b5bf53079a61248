"""Signatures of webhooks, judged by the public libraries that receivers use."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import standardwebhooks
import svix
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from nrmbus.client.webhook import WebhookRefused, verify_webhook
from nrmbus.desk.webhooks import signing
from nrmbus.desk.webhooks.signing import Secret
from nrmbus.wire import base64

BODY = b'{"type":"referral.submitted","timestamp":"2026-03-02T06:00:00Z","data":{"id":"x","link":"/v1/inbox"}}'
ID = signing.message_id("bus", "ngo-a", "heard", "case", "vac", "event")


def now() -> datetime:
    """Return the time that the libraries compare with."""
    return datetime.now(UTC)


@pytest.mark.parametrize("library", [standardwebhooks.Webhook, svix.Webhook], ids=["standardwebhooks", "svix"])
def test_public_libraries_accept_the_symmetric_signature_and_no_other(library: type[svix.Webhook]) -> None:
    """Both Python libraries take the secret as it is shown; an altered body, id or time is refused by them."""
    secret = Secret.made("v1")
    headers = signing.headers_of(ID, BODY, now(), [secret])
    receiver = library(secret.shown)

    receiver.verify(BODY, headers)

    altered = [
        (BODY + b" ", headers),
        (BODY, headers | {"webhook-id": "msg_x"}),
        (BODY, headers | {"webhook-timestamp": str(int(now().timestamp()) - 1)}),
    ]
    for body, wrong in altered:
        with pytest.raises(Exception, match="No matching signature found"):
            receiver.verify(body, wrong)
    with pytest.raises(Exception, match="No matching signature found"):
        library(Secret.made("v1").shown).verify(BODY, headers)


def test_the_public_key_verifies_the_asymmetric_signature() -> None:
    """``whpk_`` is a plain Ed25519 key: any library for Ed25519 verifies the signed content with it."""
    secret = Secret.made("v1a")
    headers = signing.headers_of(ID, BODY, now(), [secret])
    name, _, signature = headers["webhook-signature"].partition(",")
    key = Ed25519PublicKey.from_public_bytes(base64.read(secret.shown.removeprefix("whpk_")) or b"")
    content = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + BODY

    assert name == "v1a"
    key.verify(base64.read(signature) or b"", content)
    with pytest.raises(InvalidSignature):
        key.verify(base64.read(signature) or b"", content + b" ")


@pytest.mark.parametrize("algorithm", ["v1", "v1a"])
def test_the_sdk_verifies_both(algorithm: signing.Algorithm) -> None:
    """`verify_webhook` of the SDK takes the key as the desk shows it, and reads the notice."""
    secret = Secret.made(algorithm)

    read = verify_webhook(signing.headers_of(ID, BODY, now(), [secret]), BODY, secret.shown)

    assert (read.id, read.type) == (ID, "referral.submitted")


def test_during_the_grace_a_receiver_verifies_with_the_old_secret_or_the_new_one() -> None:
    """Both sign for the time of grace; afterwards the new one alone. A receiver may change from `v1` to `v1a` so."""
    old = Secret.made("v1")
    end = now().replace(microsecond=0) + timedelta(hours=1)
    new, kept = signing.rotated([old], now(), end, "v1a")

    headers = signing.headers_of(ID, BODY, now(), [each for each in (new, kept) if each.signs_at(now())])

    standardwebhooks.Webhook(old.shown).verify(BODY, headers)
    assert [each.partition(",")[0] for each in headers["webhook-signature"].split(" ")] == ["v1a", "v1"]
    assert [each.signs_at(end) for each in (new, kept)] == [True, False]
    assert len(signing.rotated([new, kept], end, end + timedelta(hours=1), "v1")) == 2
    held: tuple[Secret, ...] = (new,)
    for _ in range(9):
        held = signing.rotated(held, now(), end, "v1")
    assert len(held) == signing.MOST


def test_secrets_are_kept_whole_and_shown_by_no_repr() -> None:
    """A secret has 32 random bytes; a log or a trace that shows the object shows nothing of it."""
    made = (Secret.made("v1"), Secret.made("v1a"))

    assert signing.read(signing.written(made)) == made
    assert len({each.seed for each in made}) == 2
    for each in made:
        assert len(base64.read(each.seed) or b"") == 32
        assert each.seed not in repr(each)
    assert [each.shown[:6] for each in made] == ["whsec_", "whpk_" + made[1].shown[5]]


def test_a_message_has_one_id_without_a_full_stop() -> None:
    """The signed content joins id, time and body by full stops, so that an id with one could be read in two ways."""
    assert "." not in ID
    assert signing.message_id("bus", "ngo-a", "heard", "case", "vac", "event") == ID
    assert signing.message_id("bus", "ngo-a", "heard", "case", "va", "cevent") != ID


PAGE = (Path(signing.__file__).parent / "README.md").read_text(encoding="utf-8")
PROGRAMS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("program", PROGRAMS, ids=["sdk", "public library", "by hand"])
def test_the_programs_of_the_page_verify(program: str) -> None:
    """An integrator copies them: each takes what the desk signs, and refuses another body, an old time, another key's signature."""
    secret = Secret.made("v1a" if "whpk_" in program else "v1")
    filled = program.replace("whsec_…", secret.shown).replace("whpk_…", secret.shown)
    others = [Secret.made("v1"), Secret.made("v1a")]
    headers = signing.headers_of(ID, BODY, now(), [*others, secret])
    old = signing.headers_of(ID, BODY, now() - timedelta(minutes=6), [secret])

    exec(filled, {"headers": headers, "raw_body": BODY})  # noqa: S102 - the page's own program
    for wrong, body in ((headers, BODY + b" "), (old, BODY), (signing.headers_of(ID, BODY, now(), others), BODY)):
        with pytest.raises((PermissionError, WebhookRefused, standardwebhooks.webhooks.WebhookVerificationError)):
            exec(filled, {"headers": wrong, "raw_body": body})  # noqa: S102 - the same
